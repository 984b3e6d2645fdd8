"""One Debian guest without devices: to its shell, with its CPUs, and off again."""

import pytest

import scenario
from console import fields

BOOT = 300


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_guest_reaches_its_shell(start, kernel):
    board = start([scenario.guest("alone", "shell", kernel, [0, 1])])
    ok = board.wait_for("alone", r"RESULT shell ok (.*)", BOOT, "the guest's shell")
    said = fields(ok[1])
    assert said["kernel"].startswith(kernel + ".")
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


# What the hypervisor takes beside the guests' own memory has a budget: 384 KiB and 8 MiB.
def test_image_and_memory_stay_small(start):
    board = start([scenario.guest("alone", "boot", "6.12", [0, 1])])
    board.wait_for("alone", r"RESULT boot reached-init", BOOT, "the guest's init")
    assert board.wait_end(120) == 0
    memory = [event.fields for event in board.console.events() if event.name == "memory"][-1]
    assert 0 < memory["image"] <= 384 << 10
    assert 0 < memory["used"] <= 8 << 20


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
