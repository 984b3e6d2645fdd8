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


# Lets the guest's program read registers that a driver has claimed (guest/traces.c).
WORDS = "iomem=relaxed"

MEMORY_AND_MASTER = 0b110  # of the command register
RING_RUNS = 1 << 25  # of RXDCTL and TXDCTL: the queue is enabled
ADDRESSES = {"nvme": ("aqa", "asq", "acq"), "card": ("rdba", "rdlen", "tdba", "tdlen")}
RUNNING = {"nvme": {"cc": 1, "csts": 1}, "card": {"rxdctl": RING_RUNS, "txdctl": RING_RUNS}}


def domains(folder, server, names):
    """The control domain with the hardware, and in it the files of its guests, which know the
    workstation's server."""
    children = [scenario.guest(name, "visitor", "6.12", [index + 1], slots=2,
                               words=f"{WORDS} server={server.address_for_guest} "
                                     f"nonce={server.nonce}",
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
    board.wait_for(name, rf"RESULT visitor did {word}\b", WORK, f"{name} to do {words}", after=after)


def traces(board, number, name):
    """What the guest reads in its two functions: the words of each line that traces.c prints."""
    before = len(board.console.results(name))
    asked = len(board.all(name, r"RESULT visitor did traces\b"))
    order(board, number, name, "traces 2", after=asked)
    said = [fields(line) for line in board.console.results(name)[before:]
            if line.startswith("traces ")]
    return [{key: int(value, 0) if value[:1].isdigit() and key != "slot" else value
             for key, value in each.items()} for each in said]


def not_at_work(told):
    """What is missing in a guest whose drivers use both functions: without it, nothing follows from
    what the next guest finds."""
    found = {each["kind"]: each for each in told}
    wrong = [f"{kind} {key}={found[kind][key]:#x}" for kind, keys in ADDRESSES.items()
             for key in keys if not found[kind][key]]
    wrong += [f"{kind} {key}={found[kind][key]:#x}" for kind, bits in RUNNING.items()
              for key, bit in bits.items() if not found[kind][key] & bit]
    vectors = {each["slot"] for each in told if each["kind"] == "vector" and each["address"]}
    return wrong if len(vectors) == 2 else [*wrong, f"interrupts in {vectors} only"]


def left_over(told):
    """What a guest, before its drivers, finds in its functions that is not as after a reset."""
    wrong = []
    for each in told:
        kind = each["kind"]
        if kind == "config":
            good = (not each["command"] & MEMORY_AND_MASTER and each["msix"] == "off"
                    and each["driver"] == "no")
        elif kind == "vector":
            good = not each["address"] and not each["data"] and each["control"] == 1
        else:
            good = not any(each[key] & bit for key, bit in RUNNING[kind].items())
            good = good and not any(value for key, value in each.items()
                                    if key not in {"slot", "kind"})
        wrong += [] if good else [str(each)]
    kinds = {each["kind"] for each in told}
    return wrong if kinds >= {"config", "vector", "nvme", "card"} else [*wrong, f"only {kinds}"]


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
