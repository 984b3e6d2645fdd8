"""Two guests side by side: what one does to itself, the other does not notice."""

import pytest

import disk
import scenario
from console import fields

BOOT, WORK = 400, 600


def both(start, one_kernel="6.1", two_kernel="6.12"):
    board = start([scenario.guest("one", "shell", one_kernel, [0, 1]),
                   scenario.guest("two", "shell", two_kernel, [2, 3])])
    for name in ("one", "two"):
        board.wait_for(name, r"RESULT shell listening", BOOT, f"guest {name} to listen")
    return board


@pytest.mark.parametrize("restless,steady", [(0, 1), (1, 0)])
def test_reboot_and_power_off_beside_a_working_neighbour(start, restless, steady):
    names = ("one", "two")
    board = both(start)
    board.type("work 12\n", domain=steady)
    board.type("reboot\n", domain=restless)
    board.wait_for(names[restless], r"RESULT shell listening", BOOT,
                   f"guest {names[restless]} to come up again", after=1)
    board.wait_for(names[steady], r"RESULT shell work sound", WORK, "the neighbour's work")
    board.type("work 3\n", domain=steady)
    board.type("poweroff\n", domain=restless)
    board.wait_for("penstock", rf'@ domain .*"name":"{names[restless]}".*"state":"off"', 120,
                   f"guest {names[restless]} to be off")
    board.wait_for(names[steady], r"RESULT shell work sound", WORK, "more of its work", after=1)
    board.type("ping still-here\n", domain=steady)
    board.wait_for(names[steady], r"RESULT shell pong still-here", 60, "the neighbour's answer")
    # When all are off, so is the board, and not before.
    assert board.exit_status is None
    board.type("poweroff\n", domain=steady)
    assert board.wait_end(120) == 0


def test_hanging_guest_does_not_hold_up_its_neighbour(start):
    board = both(start)
    board.type("hang\n", domain=0)
    board.wait_for("one", r"RESULT shell leaving hang", 60, "guest one to hang")
    board.type("work 5\n", domain=1)
    board.wait_for("two", r"RESULT shell work sound", WORK, "guest two's work")
    board.type("poweroff\n", domain=1)
    board.wait_for("penstock", r'@ domain .*"name":"two".*"state":"off"', 120, "two to be off")


def test_guest_with_a_drive_reboots_and_finds_its_drive_again(start, folder):
    image = folder / "store.img"
    digest = disk.make(image, seed=21)
    board = start([scenario.guest("owner", "driver", "6.1", [0, 1],
                                  devices=[scenario.Device(scenario.NVME)]),
                   scenario.guest("other", "shell", "6.12", [2, 3])],
                  scenario.qemu_devices(nvme=image))
    for name in ("owner", "other"):
        board.wait_for(name, r"RESULT shell listening", BOOT, f"guest {name} to listen")
    for times in range(2):
        board.type("drive\n", domain=0)
        found = board.wait_for("owner", r"RESULT shell drive (.*)", 120, "the drive's data",
                               after=times)
        assert fields(found[1])["sha256"] == digest
        if times == 0:
            board.type("reboot\n", domain=0)
            board.wait_for("owner", r"RESULT shell listening", BOOT, "the owner again", after=1)
    board.type("poweroff\n", domain=0)
    board.type("poweroff\n", domain=1)
    assert board.wait_end(120) == 0
