"""The control domain: domains and devices come and go while the board runs."""

import time

import pytest

import control_lab
import disk
import scenario
from board_memory import BoardMemory

BOOT, WORK = 400, 600
NEIGHBOUR, CHILD = 1, 2  # numbers of domains, for what is typed


def board_with(start, folder, child, devices=None, **control_words):
    """The control domain on CPU 0, a working neighbour on two CPUs, CPU 1 for who comes later."""
    control = control_lab.control_domain(folder, [child], slots=2, **control_words)
    neighbour = scenario.guest("other", "shell", "6.1", [2, 3])
    board = start([control, neighbour], devices)
    lab = control_lab.Control(board)
    lab.wait_until_up()
    board.wait_for("other", r"RESULT shell listening", BOOT, "the neighbour to listen")
    return board, lab


def child_named(name, role="shell", **more):
    more.setdefault("memory", 256 * scenario.MIB)
    return scenario.guest(name, role, "6.12", [1], **more)


def free_of(lab):
    """What comes and goes with a domain: memory of the board and of the hypervisor."""
    hello = lab.json("hello")
    return hello["memory_free"], hello["pool_used"]


# Covers: S3.19
def test_domain_is_created_paused_and_destroyed_beside_a_working_neighbour(start, folder):
    board, lab = board_with(start, folder, child_named("child"))
    before = free_of(lab)
    board.type("work 20\n", domain=NEIGHBOUR)
    lab.create("child")
    board.wait_for("child", r"RESULT shell listening", BOOT, "the new guest to listen")
    assert lab.domains()["child"]["state"] == "running"
    assert any("RESULT shell listening" in line for line in lab.ctl("console child --dump"))
    lab.ctl("pause child")
    assert lab.domains()["child"]["state"] == "paused"
    board.type("ping while-paused\n", domain=CHILD)
    time.sleep(5)  # of which it would need a moment
    assert not board.all("child", "pong")
    lab.ctl("unpause child")
    board.wait_for("child", r"pong while-paused", 60, "the guest to go on")
    lab.ctl("destroy child")
    assert set(lab.domains()) == {"control", "other"}
    assert free_of(lab) == before
    assert lab.json("audit")["ok"]
    board.wait_for("other", r"RESULT shell work sound", WORK, "the neighbour's work")


def board_interrupts(lab, name):
    return lab.json(f"info {name}")["counters"].get("board_interrupt", 0)


def test_board_interrupts_leave_the_cpu_of_a_domain_that_is_created_and_return(start, folder):
    board, lab = board_with(start, folder, child_named("child"))

    # Each line typed is an interrupt of the UART at least. What a domain says itself brings a few of
    # EL2's timer on its own CPU, which count as the board's, too.
    lines = 24

    def type_much(what):
        for turn in range(lines):
            board.type(f"ping {what}{turn}\n", domain=NEIGHBOUR)
            board.wait_for("other", rf"pong {what}{turn}", 60, "the neighbour's answer")

    for life in ("one", "two"):
        lab.create("child")
        before = board_interrupts(lab, "child")
        type_much(f"with-{life}")
        assert board_interrupts(lab, "child") - before < lines / 2
        lab.ctl("destroy child")
        before = board_interrupts(lab, "control")
        type_much(f"after-{life}")
        assert board_interrupts(lab, "control") - before < lines / 2


# Covers: S3.19 H43 H44
def test_drive_is_plugged_into_a_running_guest_and_out_again(start, folder):
    image, memory = folder / "store.img", BoardMemory(folder / "board.ram")
    digest = disk.make(image, seed=31)
    pages = [disk.question(31)[at:at + 64] for at in range(0, 8 * scenario.MIB, 2 * scenario.MIB)]
    board, lab = board_with(start, folder, child_named("child", "driver", slots=2),
                            [*scenario.qemu_devices(nvme=image), *memory.words])
    lab.create("child")
    board.wait_for("child", r"RESULT shell listening", BOOT, "the new guest to listen")
    for times in range(2):
        lab.ctl(f"attach {scenario.NVME} child")
        board.type("drive\n", domain=CHILD)
        board.wait_for("child", rf"RESULT shell drive sha256={digest}", 120, "the drive's data",
                       after=times)
        lab.ctl(f"detach {scenario.NVME}")
        assert device(lab, scenario.NVME)["state"] == "free"
        assert lab.json("audit")["ok"]
    lab.ctl(f"attach {scenario.NVME} child")
    board.type("drive\n", domain=CHILD)
    board.wait_for("child", rf"RESULT shell drive sha256={digest}", 120, "the drive's data", after=2)
    # What the guest has read is in its page cache, and when it is gone nowhere.
    assert all(memory.holds(page) for page in pages)
    lab.ctl("destroy child")
    assert not any(memory.holds(page) for page in pages)
    memory.remove()
    assert device(lab, scenario.NVME)["state"] == "free"
    assert lab.json("audit")["ok"]


def device(lab, bdf):
    return next(each for each in lab.json("devices")["devices"] if each["device"] == bdf)


# Covers: H1 H4 H32 S3.16
def test_requests_that_cannot_be_are_refused_with_a_reason(start, folder):
    disk.make(folder / "d.img", seed=32)
    board, lab = board_with(start, folder, child_named("child"),
                            scenario.qemu_devices(nvme=folder / "d.img"))
    lab.create("child")
    board.wait_for("child", r"RESULT shell listening", BOOT, "the new guest to listen")
    for words, reason in {
        "create /guests/child.toml": "child",
        "attach 0000:77:00.0 child": "77:00.0",
        f"attach {scenario.NVME} child": "slot",
        f"detach {scenario.NVME}": "no domain",
        "start child": "child",
        "unpause child": "child",
        "destroy control": "control",
        "pause control": "control",
        "destroy nobody": "nobody",
    }.items():
        with pytest.raises(control_lab.Refused) as refused:
            lab.ctl(words)
        assert reason in " ".join(refused.value.lines), words
    lab.ctl(f"hide {scenario.NVME}")
    with pytest.raises(control_lab.Refused, match="hidden"):
        lab.ctl(f"attach {scenario.NVME} control")
    lab.ctl(f"unhide {scenario.NVME}")
    assert lab.json("audit")["ok"]


# Covers: H34
def test_memory_of_a_destroyed_domain_is_empty_for_the_next_one(start, folder):
    """Two of the domain have no room beside each other: the second gets what the first one had."""
    child = scenario.hostile_guest("scan", [1], name="scan")
    child.memory = 2048 * scenario.MIB
    board, lab = board_with(start, folder, child)
    before = free_of(lab)
    assert before[0] < 2 * child.memory
    for lives in range(2):
        lab.create("scan")
        found = board.wait_for("scan", r"RESULT hostile scan found=(\w+) first=(\w+)", BOOT,
                               "the program's look through its memory", after=lives)
        assert int(found[1], 0) == 0, found[0]
        filled = board.wait_for("scan", r"RESULT hostile scan filled=(\w+)", BOOT,
                                "the program to fill its memory", after=lives)
        assert int(filled[1], 0) > 0.99 * child.memory / 8
        lab.ctl("destroy scan")
    assert free_of(lab) == before


# Covers: S3.18 S3.21 H2 H32 H34
def test_functions_without_a_reset_go_through_the_reset_of_their_bus(start, folder):
    """edu has no reset of its own; two functions of one device behind a port."""
    pair = ["-device", "pcie-root-port,id=port3,bus=pcie.0,addr=0x4,chassis=3,slot=3",
            "-device", "edu,bus=port3,addr=0x0,multifunction=on", "-device", "edu,bus=port3,addr=0x0.1"]
    first, second = "0000:03:00.0", "0000:03:00.1"
    board, lab = board_with(start, folder, child_named("child", "visitor", slots=2),
                            [*scenario.qemu_devices(), *pair])
    assert [device(lab, each)["reset"] for each in (first, second)] == ["bus", "bus"]
    with pytest.raises(control_lab.Refused):
        lab.ctl(f"reset {first} --method flr")
    assert device(lab, first)["state"] == "free"
    lab.ctl(f"reset {first} --method bus")
    lab.ctl(f"reset {first}")
    lab.create("child")
    board.wait_for("child", r"RESULT visitor listening", BOOT, "the new guest to listen")
    lab.ctl(f"attach {first} child")
    # Nothing keeps the two apart: who has the one is the only one to get the other.
    with pytest.raises(control_lab.Refused, match="isolation group"):
        lab.ctl(f"attach {second} control")
    lab.ctl(f"attach {second} child")
    seen = 0
    while not board.all("child", r"RESULT visitor pci slot=0000:02:00.0 id=1234:11e8"):
        assert seen < 20, "the guest never saw the second function"
        board.type("pci\n", domain=CHILD)
        board.wait_for("child", r"RESULT visitor did pci", 60, "the guest's list", after=seen)
        seen += 1
    # Their bus cannot be reset as long as the guest has one of them.
    with pytest.raises(control_lab.Refused, match="did not come back"):
        lab.ctl(f"detach {first} --force")
    assert device(lab, first)["state"] == "broken"
    with pytest.raises(control_lab.Refused, match="reset"):
        lab.ctl(f"reset {first}")
    assert device(lab, second)["state"] == "assigned"
    lab.ctl("destroy child")
    assert device(lab, second)["state"] == "free"
    lab.ctl(f"reset {first}")
    assert device(lab, first)["state"] == "free"
    assert lab.json("audit")["ok"]


# Covers: H22
def test_control_domain_reboots_in_the_middle_and_carries_on(start, folder):
    board, lab = board_with(start, folder, child_named("child"))
    lab.create("child")
    board.wait_for("child", r"RESULT shell listening", BOOT, "the new guest to listen")
    before = free_of(lab)
    board.type("reboot\n", domain=0)
    lab.wait_until_up(after=1)
    board.type("ping still-here\n", domain=CHILD)
    board.wait_for("child", r"pong still-here", 60, "the guest that it had made")
    assert free_of(lab) == before
    lab.ctl("destroy child")
    assert set(lab.domains()) == {"control", "other"}
    assert lab.json("audit")["ok"]
