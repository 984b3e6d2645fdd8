"""Guests that mean harm to their root ports, virtual functions and control interface."""

import contextlib
import time

import pytest

import control_lab
import disk
import scenario
from board import Failure
from console import fields
from test_hostile import WORK, trial

BETWEEN_AUDITS = 0.5


def devices(folder):
    """A drive and a card, both with virtual functions."""
    image = folder / "store.img"
    disk.make(image, seed=51)
    return scenario.sriov_devices(nvme=image, igb=True)


def found(board, program, word):
    """The program's line that has `word`."""
    lines = [fields(line) for line in board.console.results("hostile")
             if line.startswith(f"hostile {program} ") and f" {word}=" in line]
    assert lines, f"{program} has not said {word}"
    return {key: int(value) for key, value in lines[-1].items()}


def audit_until_the_end(board):
    """The hypervisor is asked for audits while all this goes on; the fixture judges them."""
    deadline = time.monotonic() + WORK
    while time.monotonic() < deadline:
        assert board.audit() is not None, "the hypervisor has not answered with an audit"
        with contextlib.suppress(Failure):
            return board.wait_for("penstock", r'@ domain .*"name":"hostile"', BETWEEN_AUDITS,
                                  "the hostile program to be over")
    raise Failure(f"waited {WORK} s for the hostile program to be over")


CARDS = [scenario.Device(scenario.NVME), scenario.Device(scenario.IGB)]
OWNERS = {"given": {"devices": CARDS}, "hardware": {"hardware": True}}


# Covers: S0.6 S3.10 S3.11 S3.13 S3.18 S3.22 H14 H17 H22 H44 H45
@pytest.mark.parametrize("owner", OWNERS)
def test_ports_and_virtual_functions_with_everything_that_they_must_not_get(start, folder, owner):
    """Once with the config space that every guest sees, once with a hardware domain's."""
    board = trial(start, "plug", qemu=devices(folder), slots=3, work=15, during=audit_until_the_end,
                  **OWNERS[owner])
    assert {"ports": 3, "cards": 2, "physical": 2, "cpus": 2}.items() <= found(
        board, "plug", "ports").items()
    did = found(board, "plug", "on")
    assert did["on"] >= 16 and did["refused"] >= 8 and did["resets"] >= 8
    assert did["below"] > 0 and did["second"] > 0
    assert did["wrong"] == 0


def judge_requests(board):
    """Every request was answered with sense, and what they had taken is free again."""
    assert found(board, "control", "functions")["functions"] == 1
    assert found(board, "control", "functions")["cpus"] == 2
    did = found(board, "control", "wrong")
    assert did["wrong"] == 0 and did["unanswered"] == 0 and did["second"] > 0
    # Answers by result: done, unknown operation, malformed, not found, refused.
    assert all(did[f"r{result}"] > 0 for result in (0, 1, 2, 3, 8))
    assert found(board, "control", "lost") == {"lost": 0, "pool": 0}
    return did


# Covers: S3.19 H1 H13 H14 H44
def test_control_interface_with_everything_that_it_must_not_get(start):
    board = trial(start, "control", work=15, during=audit_until_the_end, control=True)
    judge_requests(board)


# Covers: S3.11 S3.18 S3.19 S3.22 H32 H34 H43 H44
def test_devices_that_come_and_go_while_their_owner_resets_them(start, folder):
    """The control domain has the physical functions and plays with all that is in its reach."""
    board = trial(start, "control", qemu=devices(folder), work=15, during=audit_until_the_end,
                  control=True, hardware=True, slots=6)
    did = judge_requests(board)
    assert did["devices"] > 2 and did["moves"] >= 40 and did["uses"] >= 20


NEIGHBOUR = 2  # its number among the domains
GIVE = """given=0
until penstockctl list | grep -Eq 'hostile.* (off|crashed)'; do
    for vf in 01:00.1 01:00.2 02:10.0 02:10.2; do
        penstockctl attach 0000:$vf neighbour >/dev/null 2>&1 && given=$((given + 1))
    done
done
echo given=$given"""
MOVE = """moved=0
for force in '' --force ''; do
    for pf in 01:00.0 02:00.0; do
        penstockctl pause hostile
        penstockctl unpause hostile
        penstockctl detach 0000:$pf $force
        penstockctl detach 0000:$pf --force
        penstockctl attach 0000:$pf hostile && moved=$((moved + 1))
        usleep 500000
    done
done >/dev/null 2>&1
until penstockctl start hostile >/dev/null 2>&1; do sleep 1; done
sleep 3
penstockctl list | grep -q 'hostile.* running' || exit 1
penstockctl destroy hostile && echo moved=$moved"""


def three_domains(start, folder):
    """A control domain, which has no device; the hostile owner of the physical functions, which is
    yet to be started; and a neighbour with drivers for what it gets."""
    owner = scenario.hostile_guest("plug", [1, 2])
    owner.hardware, owner.slots, owner.autostart = True, 3, False
    control = control_lab.control_domain(
        folder, [], files={"give.sh": GIVE.encode(), "move.sh": MOVE.encode()})
    neighbour = scenario.guest("neighbour", "visitor", "6.12", [3], slots=4)
    board = start([control, owner, neighbour], devices(folder))
    lab = control_lab.Control(board)
    lab.wait_until_up()
    board.wait_for("neighbour", r"RESULT visitor listening", 400, "the neighbour to listen")
    lab.ctl("start hostile")
    return board, lab


def run_script(lab, name, word):
    """What the script says that it did, as a number."""
    status, lines = lab.shell(f"sh /{name}.sh", 300)
    assert status == 0, lines
    return int(fields(" ".join(lines))[word])


def judge_neighbour(board, lab):
    assert lab.json("audit")["ok"]
    board.type("ping alive\n", domain=NEIGHBOUR)
    board.wait_for("neighbour", r"RESULT visitor pong alive", 120, "the neighbour's answer")


# Covers: S3.11 S3.18 S3.19 S3.22 H22 H27 H34 H35
def test_functions_of_a_hostile_owner_come_and_go_at_a_neighbour(start, folder):
    """One domain plays with the physical functions, a second one gives their virtual functions to a
    third, which loses them again and again."""
    board, lab = three_domains(start, folder)
    assert run_script(lab, "give", "given") >= 4
    assert found(board, "plug", "on")["wrong"] == 0
    judge_neighbour(board, lab)


# Covers: S3.11 S3.18 S3.19 S3.22 H22 H27 H34 H44
def test_physical_functions_are_taken_from_a_hostile_owner(start, folder):
    """Its cards are taken and given back; when it is over it is started again, and destroyed in the
    middle of it all."""
    board, lab = three_domains(start, folder)
    assert run_script(lab, "move", "moved") >= 4
    assert "hostile" not in lab.domains()
    left = {each["device"]: each["state"] for each in lab.json("devices")["devices"]}
    assert left == {scenario.NVME: "free", scenario.IGB: "free"}
    lab.ctl(f"attach {scenario.IGB} neighbour")
    judge_neighbour(board, lab)
