"""SR-IOV: the control domain owns the physical functions, other guests get virtual ones."""

from contextlib import contextmanager

import control_lab
import disk
import scenario
from console import fields
from server import Server

BOOT, WORK = 400, 300
PF_DRIVE, PF_CARD = "0000:01:00.0", "0000:02:00.0"  # as the control domain sees them, too
VF_DRIVE, VF_CARD = "0000:01:00.1", "0000:02:10.0"


@contextmanager
def board_with_functions(start, folder, names=("first",)):
    """A board whose control domain has switched on two VFs of each device; its guests' words know
    the workstation's server."""
    image = folder / "store.img"
    digest = disk.make(image, seed=41)
    with Server(seed=42, nonce="vf") as server:
        children = [scenario.guest(name, "visitor", "6.12", [index + 1], slots=2,
                                   words=f"server={server.address_for_guest} nonce=vf",
                                   memory=384 * scenario.MIB)
                    for index, name in enumerate(names)]
        control = control_lab.control_domain(folder, children, hardware=True, slots=3)
        board = start([control], scenario.sriov_devices(nvme=image, igb=True))
        lab = control_lab.Control(board)
        lab.wait_until_up()
        switch_on(lab)
        yield board, lab, digest, server


def switch_on(lab):
    for pf in (PF_DRIVE, PF_CARD):
        status, lines = lab.shell(f"echo 2 >/sys/bus/pci/devices/{pf}/sriov_numvfs")
        assert status == 0, lines
    for controller in (1, 2):
        status, lines = lab.shell(f"nvme_vf /dev/nvme0 {controller} 3 3")
        assert status == 0, lines
    assert lab.shell("ifconfig eth0 up; sleep 2")[0] == 0


def order(board, number, name, words, after=0):
    board.type(f"{words}\n", domain=number)
    word = words.split()[0]
    board.wait_for(name, rf"RESULT visitor did {word}", WORK, f"{name} to do {words}", after=after)


def devices(lab):
    return {each["device"]: each for each in lab.json("devices")["devices"]}


def all_io(board, number, name, digest, server, seed=1):
    order(board, number, name, f"drive {seed}")
    found = board.all(name, r"RESULT visitor drive (.*)")[-1]
    assert fields(found[1]) == {"verified": "yes", "sha256": digest}
    order(board, number, name, "card")
    found = board.all(name, r"RESULT visitor card (.*)")[-1]
    assert fields(found[1]) == {"verified": "yes", "driver": "igbvf"}
    assert ("vf", server.digest) in server.returned and ("vf", server.digest) in server.answers


# Covers: S3.10 S3.11
def test_functions_are_made_given_away_and_taken_back(start, folder):
    with board_with_functions(start, folder) as (board, lab, digest, server):
        found = devices(lab)
        assert {PF_DRIVE, PF_CARD, VF_DRIVE, VF_CARD} <= set(found)
        assert found[VF_DRIVE]["state"] == "free" and found[PF_DRIVE]["state"] == "assigned"
        lab.create("first")
        board.wait_for("first", r"RESULT visitor listening", BOOT, "the new guest to listen")
        for vf in (VF_DRIVE, VF_CARD):
            lab.ctl(f"attach {vf} first")
        all_io(board, 1, "first", digest, server)
        assert lab.json("audit")["ok"]
        lab.ctl(f"detach {VF_CARD}")
        assert devices(lab)[VF_CARD]["state"] == "free"
        # The physical function's owner switches off what another guest has: it is taken away first.
        status, lines = lab.shell(f"echo 0 >/sys/bus/pci/devices/{PF_DRIVE}/sriov_numvfs")
        assert status == 0, lines
        assert VF_DRIVE not in devices(lab)
        assert lab.json("audit")["ok"]
        board.type("ping after-the-surprise\n", domain=1)
        board.wait_for("first", r"pong after-the-surprise", 60, "the guest that lost its drive")
        lab.ctl("destroy first")
        assert lab.json("audit")["ok"]


# Covers: S3.22 H27 H34
def test_functions_of_a_guest_destroyed_at_work_serve_the_next_one(start, folder):
    with board_with_functions(start, folder, ("first", "second")) as (board, lab, digest, server):
        for number, name in enumerate(("first", "second"), 1):
            lab.create(name)
            board.wait_for(name, r"RESULT visitor listening", BOOT, f"guest {name} to listen")
            assert lab.domains()[name]["state"] == "running", number
        for vf in (VF_DRIVE, VF_CARD):
            lab.ctl(f"attach {vf} first")
        all_io(board, 1, "first", digest, server)
        board.type("busy 3\n", domain=1)
        board.wait_for("first", r"RESULT visitor did busy", 60, "the guest to be at work")
        lab.ctl("destroy first")
        assert lab.json("audit")["ok"]
        server.returned.clear()
        server.answers.clear()
        for vf in (VF_DRIVE, VF_CARD):
            assert devices(lab)[vf]["state"] == "free"
            lab.ctl(f"attach {vf} second")
        all_io(board, 2, "second", digest, server, seed=2)
        assert lab.json("audit")["ok"]
        lab.ctl("destroy second")
        assert set(lab.domains()) == {"control"}
