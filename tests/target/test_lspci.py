"""What `lspci -vvv` shows of a device in a guest, beside what it shows on the bare board: every
difference is one that the policy allows and gives a reason for."""

import os
import re
import subprocess

import pytest

import disk
import lspci
import lspci_report
import paths
import scenario
import vpci_policy
from board import Board, bare_command
from scenario import EDU, IGB, NVME, Device

SECONDS = 400
KERNEL = "6.12"
DOCUMENT = paths.ROOT / "docs" / "lspci.md"
DEVICES = ["1b36:0010", "8086:10c9", "1234:11e8"]
HOST_BRIDGE, PORT = 0x0600, 0x0604

LAYOUTS = {
    "In slots, behind virtual root ports": ("slots", 3, {
        NVME: "01:00.0", IGB: "02:00.0", EDU: "03:00.0"}),
    "On the guest's root bus": ("flat", 0, {NVME: None, IGB: None, EDU: None}),
}


def shown_by(board: Board, source: str) -> list[lspci.Function]:
    board.wait_for(source, "^RESULT lspci done", SECONDS, "lspci of every function")
    return list(lspci.captured([line.text for line in board.console.of(source)]))


def endpoints(functions: list[lspci.Function]) -> dict[str, lspci.Function]:
    return {each.identity: each for each in functions if each.kind not in (HOST_BRIDGE, PORT)}


def qemu_version() -> str:
    said = subprocess.run([paths.QEMU, "--version"], check=True, capture_output=True, text=True)
    return re.search(r"version (\d+\.\d+)", said.stdout)[1]


# Covers: S3.12 S3.33 S3.38
def test_every_difference_from_the_bare_board_is_the_policys(start, folder):
    policy = vpci_policy.read()
    disk.make(folder / "d.img", seed=51)
    devices = scenario.qemu_devices(nvme=folder / "d.img", igb=True, edu=True)
    bare = scenario.guest("bare", "lspci", KERNEL, [0])
    with Board(bare_command(bare.kernel, bare.initrd, bare.cmdline, devices), folder / "bare.log",
               only="bare") as board:
        there = endpoints(shown_by(board, "bare"))
    assert set(there) == set(DEVICES)

    layouts, out = {}, paths.BUILD / "lspci"
    out.mkdir(parents=True, exist_ok=True)
    for heading, (name, slots, places) in LAYOUTS.items():
        given = [Device(host, ("no-reset",) if host == EDU else (), guest=place)
                 for host, place in places.items()]
        functions = shown_by(start([scenario.guest(name, "lspci", KERNEL, [0], slots=slots,
                                                   devices=given)], devices), name)
        here = endpoints(functions)
        assert set(here) == set(DEVICES)
        kinds = [each.kind for each in functions if each not in here.values()]
        assert sorted(kinds) == [HOST_BRIDGE] + [PORT] * slots
        layouts[heading] = [lspci.Comparison(there[key], here[key]).judge(policy)
                            for key in DEVICES]
        (out / f"{name}.txt").write_text("".join(lspci_report.side_by_side(each)
                                                 for each in layouts[heading]))

    text = lspci_report.document(qemu_version(), layouts)
    (out / "lspci.md").write_text(text)
    unexplained = [one for each in layouts.values() for pair in each for one in pair.unexplained]
    assert not unexplained, "\n".join(unexplained)
    if os.environ.get("PENSTOCK_UPDATE_GOLDEN"):
        DOCUMENT.write_text(text)
    # Another version of QEMU may have other devices; the judgement above holds for any.
    if f"Board: QEMU {qemu_version()}." in DOCUMENT.read_text():
        assert text == DOCUMENT.read_text(), "docs/lspci.md is not what lspci says"


# A drive as a guest with slots may see it, and the same drive on the bare board.
DRIVE = [
    "0000:01:00.0 Non-Volatile memory controller [0108]: A drive [1b36:0010] (rev 02)",
    "\tControl: I/O- Mem+ BusMaster+",
    "\tRegion 0: Memory at 10000000 (64-bit, non-prefetchable) [size=16K]",
    "\tCapabilities: [40] MSI-X: Enable+ Count=65 Masked-",
    "\tCapabilities: [80] Express (v2) Endpoint, MSI 00",
    "\t\tDevCap:\tMaxPayload 128 bytes, PhantFunc 0",
    "\t\t\tExtTag+ FLReset+",
    "00: 36 1b 10 00 06 04 10 00 02 02 08 01 00 00 00 00",
    "10: 04 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00",
    "20: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11",
    "30: 00 00 00 00 40 00 00 00 00 00 00 00 16 00 00 00",
    "40: 11 80 40 80 00 20 00 00 00 30 00 00 00 00 00 00",
    "80: 10 00 02 00 20 80 00 10 00 00 00 00 11 00 00 00",
    "90: 00 00 11 00 00 00 00 00 00 00 00 00 00 00 00 00",
]


@pytest.mark.parametrize("offset,value,complaint", [
    (0x00, 0x37, "Vendor ID"),  # another device's identity
    (0x04, 0x07, "Command"),  # I/O decode is not offered
    (0x10, 0x0c, "BAR 0"),  # prefetchable, which the device's is not
    (0x11, 0x10, "BAR 0"),  # not aligned to its size
    (0x18, 0x01, "BAR 2"),  # a BAR that the device does not have
    (0x3d, 0x01, "Interrupt Pin"),  # INTx
    (0x42, 0x41, "more vectors"),
    (0x44, 0x01, "MSI-X Table"),
    (0x82, 0x92, "the type does not fit"),  # integrated, in a slot
    (0x84, 0x38, "Device Capabilities"),  # phantom functions
    (0x80, 0x09, "the device has none"),  # another capability in its place
    (0xa6, 0x30, "Device Capabilities 2"),
    (0x60, 0x01, "not listed"),  # between capabilities
    (0xfff, 0x01, "not listed"),
])
def test_the_judge_sees_what_the_policy_does_not_allow(offset, value, complaint):
    policy = vpci_policy.read()
    bare = lspci.Function.parse("0000:01:00.0", DRIVE)
    same = lspci.Function.parse("0000:01:00.0", DRIVE)
    assert not lspci.Comparison(bare, same).judge(policy).unexplained
    config = bytearray(same.config)
    config[offset] = value
    found = lspci.Comparison(bare, lspci.Function(same.slot, same.lines, bytes(config)))
    assert any(complaint in text for text in found.judge(policy).unexplained)


@pytest.mark.parametrize("before,after", [("FLReset+", "FLReset-"), ("Mem+", "Mem-"),
                                          ("Count=65", "Count=64"), ("16K", "32K")])
def test_the_judge_wants_a_register_behind_each_line_that_differs(before, after):
    lines = [line.replace(before, after) for line in DRIVE]
    pair = [lspci.Function.parse("0000:01:00.0", each) for each in (DRIVE, lines)]
    assert lspci.Comparison(*pair).judge(vpci_policy.read()).unexplained
