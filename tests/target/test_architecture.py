"""A guest's CPU is one: what it says of itself, and what the hypervisor emulates of it.

The same programs run on the bare board and as guests; the bare board is the judge. What may differ
is written here, with its reason.
"""

import re

import pytest

import hostile
import scenario
from board import Board, bare_command, bundle_command

CPUS = ("cortex-a76", "neoverse-n1", "max,pauth-impdef=on")

# Register (CRm, op2), lowest bit and least value of the field that promises a register.
PROMISES = {
    "LORC_EL1": [("71", 16, 1)],
    "LORID_EL1": [("71", 16, 1)],
    "SCXTNUM_EL1": [("40", 56, 2), ("41", 32, 2)],
    "SCXTNUM_EL0": [("40", 56, 2), ("41", 32, 2)],
    "ERRIDR_EL1": [("40", 28, 1), ("10", 28, 1)],
    "DISR_EL1": [("40", 28, 1)],
    "PMCR_EL0": [("50", 8, 1)],
    "PMMIR_EL1": [("50", 8, 5)],
    "ZCR_EL1": [("40", 32, 1)],
    "SMCR_EL1": [("41", 24, 1)],
    "SMPRI_EL1": [("41", 24, 1)],
    "TPIDR2_EL0": [("41", 24, 1)],
    "TRBLIMITR_EL1": [("50", 44, 1)],
    "TRFCR_EL1": [("50", 40, 1)],
    "PMSCR_EL1": [("50", 32, 1)],
    "BRBCR_EL1": [("50", 52, 1)],
    "GCR_EL1": [("41", 8, 2)],
    "RNDR": [("60", 60, 1)],
    "TCR2_EL1": [("73", 0, 1)],
    "SCTLR2_EL1": [("73", 4, 1)],
    "PIR_EL1": [("73", 8, 1)],
    "GCSCR_EL1": [("41", 44, 1)],
    "ALLINT": [("41", 36, 1)],
    "MPAM1_EL1": [("40", 40, 1), ("41", 16, 1)],
    "AMCR_EL0": [("40", 44, 1)],
    "CNTPCTSS_EL0": [("70", 60, 1)],
    "APIAKeyLo_EL1": [("61", 4, 1), ("61", 8, 1), ("62", 12, 1)],
    "SSBS": [("41", 4, 1)],
    "DIT": [("40", 48, 1)],
    "PAN": [("71", 20, 1)],
    "UAO": [("72", 4, 1)],
    "TCO": [("41", 8, 1)],
}
# There without being promised: no trap of EL2 reaches a read of these.
UNPROMISED = {"DISR_EL1", "MPAM1_EL1", "TCO", "ALLINT"}

# The bare board's firmware is QEMU's, not ours, and a guest sees less than the CPU has.
DIFFERENT = re.compile(r"^(id|exists-|smccc-|psci-)")

_answers: dict[tuple[str, str, str], dict[str, int]] = {}


def answers_of(program, where, cpu, folder):
    """What the program answered there, by question. Each is run once for all tests."""
    key = (program, where, cpu)
    if key not in _answers:
        if where == "bare":
            command = bare_command(hostile.build(program), None, "", smp=1, cpu=cpu,
                                   machine="virt,gic-version=3")
            board, source = Board(command, folder / "bare.log", only="bare"), "bare"
        else:
            bundle = scenario.bundle([scenario.hostile_guest(program, [0])], folder)
            command = bundle_command(bundle, smp=1, memory="1G", cpu=cpu)
            board, source = Board(command, folder / "console.log"), "hostile"
        with board:
            board.wait_for(source, rf"RESULT hostile {program} done", 200, "the last answer")
            assert board.wait_end(60) == 0
        said = [match for line in board.console.of(source)
                if (match := re.match(r"SEEN (\S+) ([0-9a-f]{16})$", line.text))]
        _answers[key] = {match[1]: int(match[2], 16) for match in said}
    return _answers[key]


@pytest.fixture(params=CPUS, ids=lambda cpu: cpu.split(",")[0])
def both(request, folder):
    """The answers about the architecture, of the bare board and of a guest on that board."""
    return [answers_of("architecture", where, request.param, folder)
            for where in ("bare", "guest")]


def test_guest_finds_what_its_identification_registers_promise(both):
    for name, promises in PROMISES.items():
        for answers in both:
            exists = answers[f"exists-{name}"] == 1
            promised = [register for register, low, least in promises
                        if answers[f"id{register}"] >> low & 0xf >= least]
            assert exists or not promised, f"{name} does not exist, and {promised} promise it"
            assert promised or not exists or name in UNPROMISED, f"nothing promises {name}"


def test_no_identification_field_shows_more_than_the_cpu_has(both):
    bare, guest = both
    names = [each for each in bare if each.startswith("id")]
    assert len(names) == 56
    for name in names:
        for low in range(0, 64, 4):
            seen, real = guest[name] >> low & 0xf, bare[name] >> low & 0xf
            assert seen <= real, f"{name} bits {low}: {seen:x} of {real:x}"


def test_guest_sees_40_bits_of_address_and_no_world_above_it(both):
    _, guest = both
    assert guest["id70"] & 0xf == 2  # PARange: what stage 2 translates
    assert guest["id40"] >> 4 & 0xf == 1  # EL1 in AArch64 only
    assert guest["id40"] >> 8 & 0xff == 0  # EL2, EL3
    assert guest["id40"] >> 36 & 0xf == 0  # Secure EL2


def test_firmware_calls_of_smccc_1_1_and_psci_1_1(both):
    _, guest = both
    not_supported = (1 << 64) - 1
    assert guest["smccc-version"] == 0x10001
    assert guest["psci-version"] == 0x10001
    assert guest["smccc-features-version"] == guest["smccc-features-features"] == 0
    # QEMU's firmware has none of them.
    assert {guest[f"smccc-features-workaround-{n}"] for n in (1, 2, 3)} == {not_supported}
    assert guest["psci-features-suspend"] == guest["psci-features-suspend-64"] == 0
    assert guest["psci-suspend-unknown"] == 0xfffffffe  # INVALID_PARAMETERS


def test_suspended_cpu_sleeps_until_its_timer(both):
    for answers in both:
        assert answers["suspend-result"] == 0
        assert answers["suspend-until-the-timer"] == answers["suspend-sleeps"] == 1
        assert answers["suspend-interrupt-is-pending"] != 0


def test_rest_of_the_answers_is_the_bare_boards(both):
    bare, guest = both
    assert bare.keys() == guest.keys()
    assert differences(bare, guest) == {}


@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.split(",")[0])
def test_emulated_instructions_and_given_exceptions_are_as_the_cpus_own(cpu, folder):
    bare = answers_of("emulation", "bare", cpu, folder)
    guest = answers_of("emulation", "guest", cpu, folder)
    assert len(bare) > 250 and bare.keys() == guest.keys()
    assert differences(bare, guest) == {}


# What a kernel makes of all these registers: it comes up on a CPU that has everything QEMU knows.
def test_linux_comes_up_on_a_cpu_with_everything(start):
    board = start([scenario.guest("alone", "boot", "6.12", [0, 1])], cpu=CPUS[-1])
    board.wait_for("alone", r"RESULT boot reached-init", 400, "the guest's init")
    assert board.wait_end(120) == 0


def differences(bare, guest):
    return {name: (f"{bare[name]:x}", f"{guest[name]:x}") for name in bare
            if bare[name] != guest[name] and not DIFFERENT.match(name)}
