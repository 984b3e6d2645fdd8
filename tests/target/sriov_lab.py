"""A control domain that owns physical functions, and guests of role `visitor` that get virtual ones."""

from contextlib import contextmanager

import control_lab
import disk
import scenario
from console import fields
from server import Server

BOOT, WORK = 400, 300
PF_DRIVE, PF_CARD = "0000:01:00.0", "0000:02:00.0"  # as the control domain sees them, too
VF_DRIVE, VF_CARD = "0000:01:00.1", "0000:02:10.0"


def domains(folder, server, names):
    """The control domain with the hardware, and in it the files of its guests, which know the
    workstation's server."""
    children = [scenario.guest(name, "visitor", "6.12", [index + 1], slots=2,
                               words=f"server={server.address_for_guest} nonce={server.nonce}",
                               memory=384 * scenario.MIB)
                for index, name in enumerate(names)]
    return [control_lab.control_domain(folder, children, hardware=True, slots=3)]


@contextmanager
def board_with_functions(start, folder, names=("first",)):
    """A board whose control domain has switched on two VFs of each device."""
    image = folder / "store.img"
    digest = disk.make(image, seed=41)
    with Server(seed=42, nonce="vf") as server:
        board = start(domains(folder, server, names), scenario.sriov_devices(nvme=image, igb=True))
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
    assert (server.nonce, server.digest) in server.returned
    assert (server.nonce, server.digest) in server.answers
