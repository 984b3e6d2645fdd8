"""One Debian guest without devices: to its shell, with its CPUs, and off again."""

from dataclasses import replace

import pytest

import paths
import scenario
from console import fields

BOOT = 300


@pytest.mark.parametrize("kernel", paths.KERNELS)
def test_guest_reaches_its_shell(start, kernel):
    board = start([scenario.guest("alone", "shell", kernel, [0, 1])])
    ok = board.wait_for("alone", r"RESULT shell ok (.*)", BOOT, "the guest's shell")
    said = fields(ok[1])
    assert said["kernel"] == paths.kernel_release(kernel)
    assert said["cpus"] == "2"
    # A domain without devices has no host bridge.
    count = board.wait_for("alone", r"RESULT shell pci-count (\d+)", 60, "its list of devices")
    assert count[1] == "0"
    board.wait_for("alone", r"RESULT shell listening", 60, "the guest to listen")

    # What is typed on the hypervisor's console reaches the guest.
    board.type("ping hello\n", domain=0)
    board.wait_for("alone", r"RESULT shell pong hello", 60, "the guest's answer on its console")
    # PSCI CPU_OFF and CPU_ON of a running system.
    board.type("offline\n")
    board.wait_for("alone", r"RESULT shell cpu1 off", 60, "the second CPU to go off")
    board.type("online\n")
    board.wait_for("alone", r"RESULT shell cpu1 on", 60, "the second CPU to come back")
    # The virtual timer and both CPUs at work.
    board.type("work 3\n")
    board.wait_for("alone", r"RESULT shell work sound", 120, "three seconds of work")
    board.type("poweroff\n")
    assert board.wait_end(120) == 0

    names = [event.name for event in board.console.events()]
    assert names[-1] == "end"
    states = [event.fields for event in board.console.events() if event.name == "domain"]
    assert states[-1]["name"] == "alone" and states[-1]["state"] == "off"


# What the hypervisor takes beside the guests' own memory has a budget: 448 KiB and 8 MiB.
def test_image_and_memory_stay_small(start):
    board = start([scenario.guest("alone", "boot", "6.12", [0, 1])])
    board.wait_for("alone", r"RESULT boot reached-init", BOOT, "the guest's init")
    assert board.wait_end(120) == 0
    memory = [event.fields for event in board.console.events() if event.name == "memory"][-1]
    assert 0 < memory["image"] <= 448 << 10
    assert 0 < memory["used"] <= 8 << 20


# A raw image is entered at its first byte, where the configuration puts it, with the tree in x0.
@pytest.mark.parametrize("offset", [None, 0x1_0000, 0x123_4000])
def test_raw_image_runs_where_it_is_put(start, folder, offset):
    guest = scenario.hostile_guest("place", [0], "raw")
    image = bytearray(guest.kernel.read_bytes())
    image[56:60] = bytes(4)  # no Image any more
    raw = folder / "raw.bin"
    raw.write_bytes(image)
    board = start([replace(guest, kernel=raw, kernel_offset=offset)])
    board.wait_for("raw", r"RESULT hostile place done", BOOT, "the program to be done")
    assert board.wait_end(120) == 0
    said = fields(board.console.results("raw")[0])
    assert int(said["entry"]) == scenario.RAM_BASE + (offset or 0x8_0000)
    assert int(said["tree"]) == scenario.RAM_BASE and int(said["magic"]) == 0xD00D_FEED


# A guest that panics reboots (panic=-1) and comes up again.
def test_guest_that_panics_is_restarted(start):
    board = start([scenario.guest("alone", "shell", "6.12", [0, 1])])
    board.wait_for("alone", r"RESULT shell listening", BOOT, "the guest to listen")
    board.type("panic\n", domain=0)
    board.wait_for("alone", r"RESULT shell listening", BOOT, "the guest to come up again", after=1)
    board.type("poweroff\n")
    assert board.wait_end(120) == 0
    state = [event.fields for event in board.console.events() if event.name == "domain"][-1]
    assert state["restarts"] == 1
