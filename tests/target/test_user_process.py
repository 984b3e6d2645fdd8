"""Accesses that nothing answers, or that cannot be carried out, are aborts for the guest.

What an unprivileged process in a guest can bring about ends that process at most. The judge of the
bare programs is QEMU's board without a hypervisor, where the same program says the same.
"""

import pytest

import disk
import hostile
import scenario
from console import fields
from test_hostile import trial

BOOT, WORK = 400, 60
SIGBUS = "135"  # as the shell has it
DRIVE = "/sys/bus/pci/devices/0000:00:01.0/resource0"
MSIX_PAGE = 0x2000  # of that drive's BAR: the page that traps
NOWHERE = 0x0a000000  # a guest-physical address where such a guest has nothing


# Covers: H64
def test_every_form_of_an_access_is_carried_out_or_aborts_as_on_a_bus(start):
    board = trial(start, "instructions")
    said = board.console.results("hostile")
    assert not [line for line in said if " wrong " in line], said
    assert said[-1].startswith("hostile instructions done "), said
    # Which the bare board does not do: its distributor takes a pair of words for one access.
    assert "hostile instructions: pairs of words" in board.console.text("hostile")


def poke(board, file, offset, how, times):
    """Status and value of one process's access, the `times`th of the guest."""
    board.type(f"poke {file} {offset:#x} {how}\n", domain=0)
    said = board.wait_for("guest", r"RESULT shell poke (.*)", WORK, f"the guest to poke by {how}",
                          after=times)
    found = fields(said[1])
    assert found["how"] == how
    return found["status"], found.get("value", "")


# Covers: H64
def test_processes_of_a_debian_guest_get_a_signal_and_the_guest_goes_on(start, folder):
    image = folder / "store.img"
    digest = disk.make(image, seed=71)
    board = start([scenario.guest("guest", "driver", "6.12", [0, 1], "iomem=relaxed",
                                  devices=[scenario.Device(scenario.NVME)])],
                  scenario.qemu_devices(nvme=image))
    board.wait_for("guest", r"RESULT shell listening", BOOT, "the guest to listen")
    times = iter(range(100))
    plain = poke(board, DRIVE, MSIX_PAGE, "plain", next(times))
    assert plain[0] == "0" and plain[1] != "ffffffff"
    for how in ("pair", "post"):
        assert poke(board, DRIVE, MSIX_PAGE, how, next(times)) == plain
    assert poke(board, DRIVE, MSIX_PAGE, "vector", next(times)) == (SIGBUS, "")
    for how in ("plain", "pair", "write"):
        assert poke(board, "/dev/mem", NOWHERE, how, next(times)) == (SIGBUS, "")
    # One line for each, with its guest and its place.
    said = [line.text for line in board.console.of("penstock") if "an abort, at pc" in line.text]
    assert len(said) == 4, said
    assert all("guest: " in text for text in said), said
    board.type("drive\n", domain=0)
    read = board.wait_for("guest", r"RESULT shell drive sha256=(\w+)", WORK, "the drive's data")
    assert read[1] == digest
    board.type("poweroff\n", domain=0)
    assert board.wait_end(120) == 0
    exits, = [each.fields for each in board.console.events() if each.name == "exits"]
    assert exits["abort"] == 4 and exits["impossible"] == 0


# Covers: H64
@pytest.mark.parametrize("program", hostile.LOST)
def test_guest_that_cannot_take_an_abort_is_stopped(start, program):
    board = start([scenario.hostile_guest(program, [0])])
    board.wait_for("penstock", r'@ domain .*"name":"hostile".*"state":"crashed"', BOOT,
                   "the guest to be stopped")
    assert board.all("penstock", "hostile: stopped: its exception vectors take no abort")
    assert board.wait_end(120) == 0
    assert not board.console.results("hostile")
