"""A CPU's registers, painted by one owner and looked for by the next."""

import pytest

import control_lab
import hostile
import scenario

CPUS = ["cortex-a76", "max,pauth-impdef=on"]
# What a CPU has whoever owned it: the reset value of SCTLR_EL1 and what the program's start made of
# the vectors' address and the trap of vector registers; the OS lock's registers and the virtual
# interrupt interface where their reset value is not zero; the counters' frequency; claim tags, which
# read as ones; stack pointers and PSTATE.
OWN = {"SCTLR_EL1", "VBAR_EL1", "CPACR_EL1", "CNTFRQ_EL0", "DBGCLAIMSET_EL1", "SPSel", "DAIF",
       "NZCV", "ICC_SRE_EL1", "ICC_CTLR_EL1", "ICC_BPR0_EL1", "ICC_BPR1_EL1", "PMCR_EL0", "SSBS",
       "PAN", "CNTP_CTL_EL0"}
BOOT = 120


def program(name, cpus, **more):
    return scenario.Domain(name, cpus, hostile.build("registers"), memory=64 * scenario.MIB, **more)


def looks(board, name):
    """What the program found, look by look: the CPU, and its registers that were not zero."""
    found = []
    for line in board.console.of(name):
        words = line.text.split()
        if words[:4] == ["RESULT", "hostile", "registers", "looks"]:
            found.append((words[4], {}))
        elif words[:1] == ["FOUND"] and found:
            found[-1][1][words[1]] = words[2]
    return found


def judge(found, count):
    assert len(found) == count, found
    for cpu, registers in found:
        strange = {name: value for name, value in registers.items() if name not in OWN}
        assert not strange, f"{cpu}: {strange}"
        first = next(each for which, each in found if which == cpu)
        assert registers == first, f"{cpu} found other values than before"


def painted(board, name):
    counts = board.all(name, r"RESULT hostile registers looked cpu=\d found=\d+ painted=(\d+)")
    return [int(match[1]) for match in counts]


# Covers: H55
@pytest.mark.parametrize("cpu", CPUS)
def test_registers_of_a_domain_that_restarts_are_as_at_its_first_start(start, cpu):
    """Also those of its second CPU, which goes off and on."""
    board = start([program("painter", [0, 1])], cpu=cpu)
    board.wait_for("painter", "RESULT hostile registers waits", BOOT, "the first life")
    board.type("r", domain=0)
    board.wait_for("painter", "RESULT hostile registers waits", BOOT, "the second life", after=1)
    judge(looks(board, "painter"), 6)
    assert all(count >= 40 for count in painted(board, "painter"))
    board.type("q", domain=0)
    assert board.wait_end(60) == 0


# Covers: H55
def test_registers_of_a_destroyed_domain_are_not_found_by_the_next_one(start, folder):
    children = [program("one", [1, 2]), program("two", [2, 1])]
    board = start([control_lab.control_domain(folder, children)])
    lab = control_lab.Control(board)
    lab.wait_until_up()
    for child in ("one", "two"):
        lab.create(child)
        board.wait_for(child, "RESULT hostile registers waits", BOOT, f"{child} to have painted")
        judge(looks(board, child), 3)
        lab.ctl(f"destroy {child}")
