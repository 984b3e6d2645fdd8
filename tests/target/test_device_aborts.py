"""Devices that abort the hypervisor's accesses, whatever it does with them.

The board's host bridge answers an access to nothing with an abort, as real ones do, and a bridge
that does not forward makes its card's BARs nothing: that is how a lost link looks. The right
outcome is always the same: the guest for which the hypervisor worked goes on at its own exception
level and at its own instruction, and everybody else has noticed nothing.
"""

import contextlib

import pytest

import control_lab
import gdbstub
import hostile
import scenario

ABORTING = ["-global", "gpex-pcihost.allow-unmapped-accesses=off"]
ECAM = 0x40_1000_0000
COMMAND_OF_PORT_2 = ECAM + (2 << 15) + 4  # of the bridge above the card
BOOT, STEP = 120, 60

# What aborts.c does for each of these keys.
STEPS = {"FLR": "f", "bus-reset": "b", "VFs-off": "o", "VFs-on": "v", "vectors": "m", "BARs": "p",
         "config": "s"}


class Link:
    """The bridge above the card: closed, nothing below it answers a memory access."""

    def __init__(self, where) -> None:
        self._where = where
        self._open = None

    @contextlib.contextmanager
    def lost(self):
        with gdbstub.Stub(self._where) as stub:
            before = stub.read(COMMAND_OF_PORT_2, 2)
            stub.write(COMMAND_OF_PORT_2, b"\0\0")
        yield
        with gdbstub.Stub(self._where) as stub:
            stub.write(COMMAND_OF_PORT_2, before)


def program(name, cpus, **more):
    return scenario.Domain(name, cpus, hostile.build("aborts"), memory=64 * scenario.MIB, **more)


def aborting_board():
    words, where = gdbstub.options()
    return [*scenario.qemu_devices(igb=True), *ABORTING, *words], Link(where)


def do(board, name, key, number):
    """Types a key and waits until the program is back from what it means; its exception level."""
    pattern = rf"RESULT hostile aborts did {key} el=(\d)"
    known = len(board.all(name, pattern))
    board.type(key, domain=number)
    return int(board.wait_for(name, pattern, STEP, f"{name} to be back from {key}", known)[1])


# Covers: H6 H45 H54
@pytest.mark.parametrize("step", STEPS)
def test_card_lost_while_its_owner_uses_it_goes_back_to_the_owners_own_level(start, step):
    """A domain without any role. Its card has virtual functions, which have to be taken away before
    a reset: that is done from an interrupt."""
    devices, link = aborting_board()
    owner = program("owner", [1], slots=1)
    owner.devices = [scenario.Device(scenario.IGB)]
    board = start([owner, program("neighbour", [2], slots=1)], devices)
    board.wait_for("owner", r"RESULT hostile aborts begins vfs=[1-9]", BOOT, "the owner")
    assert do(board, "owner", "u", 0) == 1
    with link.lost():
        assert do(board, "owner", STEPS[step], 0) == 1
    assert do(board, "owner", "u", 0) == 1
    assert do(board, "neighbour", "n", 1) == 1


CONTROL_STEPS = {
    "attach": ("detach 0000:02:00.0 --force", "attach 0000:02:00.0 child"),
    "detach": ("attach 0000:02:00.0 child", "detach 0000:02:00.0 --force"),
    "reset": ("detach 0000:02:00.0 --force", "reset 0000:02:00.0"),
    "destroy": ("attach 0000:02:00.0 child", "destroy child"),
}


# Covers: H6 H45 H54
def test_card_lost_during_control_operations_leaves_every_domain_at_its_own_level(start, folder):
    devices, link = aborting_board()
    child = program("child", [1], slots=1)
    board = start([control_lab.control_domain(folder, [child], slots=1)], devices, smp=2)
    lab = control_lab.Control(board)
    lab.wait_until_up()
    lab.create("child")
    board.wait_for("child", r"RESULT hostile aborts begins", BOOT, "the child")
    for before, lost in CONTROL_STEPS.values():
        lab.shell(f"penstockctl {before}")
        with link.lost():
            lab.shell(f"penstockctl {lost}")
        assert lab.shell("true")[0] == 0
        if "child" in lab.domains():
            assert do(board, "child", "n", 1) == 1
    assert "child" not in lab.domains()
