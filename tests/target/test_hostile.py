"""Guests that mean harm: answered, one by one, while a neighbour works.

Each program ends by itself and powers off, having made every attempt that it makes on the bare
board: an access that is refused is an exception for the guest, never its end. The neighbour and the
hypervisor go on.
"""

from dataclasses import replace

import pytest

import hostile
import scenario
from console import fields

BOOT, WORK = 300, 400


def trial(start, program, devices=(), qemu=None, iommu=None, work=5, during=None, like=None,
          **more):
    """`work`: seconds of the neighbour's; `during` is called with the board meanwhile; `like`: the
    run that it has to be worth, that of the bare board if nothing is said; `more`: of the hostile
    domain, as scenario.Domain has it."""
    like = like or hostile.on_the_bare_board(program)
    assert like.attempts > 0
    guest = replace(scenario.hostile_guest(program, [0, 1]), devices=list(devices), iommu=iommu,
                    **more)
    board = start([guest, scenario.guest("neighbour", "shell", "6.12", [2, 3])], qemu)
    board.wait_for("neighbour", r"RESULT shell listening", BOOT, "the neighbour to listen")
    board.type(f"work {work}\n", domain=1)
    if during is not None:
        during(board)
    gone = board.wait_for("penstock", r'@ domain .*"name":"hostile".*"state":"(\w+)"', WORK,
                          f"the hostile program {program} to be over")
    board.wait_for("neighbour", r"RESULT shell work sound", WORK, "the neighbour's work")
    board.type("ping alive\n", domain=1)
    board.wait_for("neighbour", r"RESULT shell pong alive", 60, "the neighbour's answer")
    board.type("poweroff\n", domain=1)
    assert board.wait_end(120) == 0

    assert gone[1] == "off", "it was stopped, or has lost itself"
    run = hostile.run_in(board.console, "hostile", program)
    assert run is not None, "it has not come to its end"
    assert run.attempts >= like.attempts, (run, like)
    assert not like.missing_in(run), (run, like)
    # A guest cannot make the hypervisor talk without end.
    assert len(board.console.of("penstock")) < 400
    return board


# Covers: H14 H26
@pytest.mark.parametrize("program", ["calls", "nowhere", "odd"])
def test_hostile_guest_harms_only_itself(start, program):
    trial(start, program)


# Covers: H12 H13 H14 S2.27
def test_random_accesses_to_everything_that_is_not_memory(start):
    trial(start, "mmio")


# Covers: H14 H50 S0.20
def test_its_with_tables_and_rings_in_the_wrong_places(start):
    trial(start, "its")


DEVICES = [scenario.Device(scenario.IGB), scenario.Device(scenario.EDU, ("no-reset",))]


# Covers: H13 S3.13
def test_random_accesses_with_devices_to_hit(start):
    trial(start, "mmio", DEVICES, scenario.qemu_devices(igb=True, edu=True))


# Covers: H15 H17 H19 H45 S0.6 S3.13 S3.14
def test_every_config_access_and_bars_in_the_wrong_places(start):
    """The bare board has one function, its host bridge; this guest has its two devices besides."""
    bare = hostile.on_the_bare_board("config")
    board = trial(start, "config", DEVICES, scenario.qemu_devices(igb=True, edu=True),
                  like=replace(bare, attempts=(1 + len(DEVICES)) * bare.attempts))
    found, = [fields(line) for line in board.console.results("hostile") if "functions=" in line]
    assert int(found["functions"]) == 1 + len(DEVICES)


# The programs themselves are sound: without a hypervisor they run to their end. What the bare board
# does not have they say, and the trials with it demand a number of their own.
@pytest.mark.parametrize("program", hostile.PROGRAMS)
def test_program_runs_on_the_bare_board(program):
    run = hostile.on_the_bare_board(program)
    assert (run.attempts == 0) == (program in hostile.FOR_WHAT_THE_BARE_BOARD_LACKS)
