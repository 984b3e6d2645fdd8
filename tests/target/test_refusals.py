"""Boards and bundles that are not good enough: refused with a message that a person can act on."""

import contextlib
import re
import struct
import subprocess

import pytest

import disk
import paths
import scenario
from board import MACHINE, Board, Failure, bundle_command

END = 120


@pytest.fixture(scope="module")
def plain_bundle():
    """A bundle with one small guest that says one line and leaves."""
    folder = paths.RUNS / "refusals"
    folder.mkdir(parents=True, exist_ok=True)
    return scenario.bundle([scenario.guest("alone", "boot", "6.12", [0, 1])], folder)


def image_bytes() -> int:
    """Where the bundle's header lies: behind the hypervisor with its zero-initialised data."""
    return struct.unpack_from("<Q", paths.IMAGE.read_bytes(), 16)[0]


def run(bundle, folder, seconds=END, **board) -> Board:
    board = Board(bundle_command(bundle, scenario.qemu_devices(), **board), folder / "console.log")
    with board:
        try:
            board.wait_for("penstock", r"@ end", seconds, "the end of the run")
            board.wait_end(30)
        finally:
            board.stop()
    return board


def refuse(bundle, folder) -> Board:
    """Runs until the hypervisor has given up: the board ends, or says that it cannot go on."""
    board = Board(bundle_command(bundle, scenario.qemu_devices()), folder / "console.log")
    with board:
        board.wait_for_any(r"(?i)bundle|manifest", 60, "a message about the bundle")
        with contextlib.suppress(Failure):  # a halted board is an answer too
            board.wait_end(5)
    return board


def spoken(board: Board) -> str:
    return board.console.text("penstock") + "\n" + board.console.text("")


def test_the_bundle_itself_is_good(plain_bundle, folder):
    board = run(plain_bundle, folder, seconds=300)
    assert any("reached-init" in line for line in board.console.results("alone"))


@pytest.mark.parametrize("where", ["in-header", "in-manifest", "in-payload"])
def test_truncated_bundle_is_refused(plain_bundle, folder, where):
    whole = plain_bundle.read_bytes()
    header = image_bytes()
    length = {"in-header": header + 100, "in-manifest": header + 4096 + 64,
              "in-payload": len(whole) - (1 << 20)}[where]
    cut = folder / "bundle.img"
    cut.write_bytes(whole[:length])
    board = refuse(cut, folder)
    assert "bundle" in spoken(board).lower() or "manifest" in spoken(board).lower(), spoken(board)
    assert not board.console.results("alone")


@pytest.mark.parametrize("offset", [0, 8, 16, 40, 4096 + 16, 4096 + 128])
def test_corrupt_bundle_is_refused(plain_bundle, folder, offset):
    data = bytearray(plain_bundle.read_bytes())
    data[image_bytes() + offset] ^= 0x40
    broken = folder / "bundle.img"
    broken.write_bytes(data)
    board = refuse(broken, folder)
    assert "bundle" in spoken(board).lower() or "manifest" in spoken(board).lower(), spoken(board)
    assert not board.console.results("alone")


# Covers: H7 S0.22
def test_board_without_smmu_gives_no_device_away(folder):
    image = folder / "store.img"
    disk.make(image, seed=31)
    bundle = scenario.bundle([scenario.guest("store", "shell", "6.1", [0, 1],
                                             devices=[scenario.Device(scenario.NVME)]),
                              scenario.guest("plain", "boot", "6.12", [2, 3])], folder)
    board = Board(bundle_command(bundle, scenario.qemu_devices(nvme=image),
                                 machine="virt,gic-version=3,virtualization=on"),
                  folder / "console.log")
    with board:
        # The domain with a device is left out with a reason, the other one runs.
        board.wait_for("penstock", r"(?i)store.*(isolat|SMMU|IOMMU)", 120, "the refusal of store")
        board.wait_for("plain", r"RESULT boot reached-init", 300, "the guest without devices")
        board.wait_end(120)
    assert "no SMMUv3" in spoken(board)
    assert not board.console.results("store")
    checked = subprocess.run([str(paths.TOOL), "check", str(folder / "config.toml"), "--board",
                              "qemu-virt-gicv3"], capture_output=True, text=True)
    assert checked.returncode != 0
    assert 'domain "store" would not run: its devices cannot be isolated' in checked.stderr
    assert '"plain"' not in checked.stderr


def firmware_tree(command, folder):
    """The board's own device tree, with memory that firmware uses through the drive's root port."""
    plain, source, changed = folder / "plain.dtb", folder / "changed.dts", folder / "changed.dtb"
    words = list(command)
    machine = words.index("-M") + 1
    words[machine] += f",dumpdtb={plain}"
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    text = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", str(plain)], check=True,
                          capture_output=True, text=True).stdout
    text, bridges = re.subn(r"(\n\tpcie@[0-9a-f]+ \{\n(?:\t\t.*\n)*?)(\t\};)",
                            r"\1\t\tport: pci@1,0 { reg = <0x800 0 0 0 0>; };\n\2", text)
    assert bridges == 1
    text += """/ { reserved-memory { #address-cells = <2>; #size-cells = <2>; ranges;
        log@7f000000 { reg = <0 0x7f000000 0 0x10000>;
                       iommu-addresses = <&port 0 0 0x7f000000 0 0x10000>; }; }; };"""
    source.write_text(text)
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", str(changed), str(source)],
                   check=True)
    return changed


# Covers: S3.23
def test_device_that_firmware_uses_memory_through_is_given_to_nobody(folder):
    disk.make(folder / "store.img", seed=33)
    bundle = scenario.bundle([scenario.guest("store", "shell", "6.1", [0, 1],
                                             devices=[scenario.Device(scenario.NVME)]),
                              scenario.guest("plain", "boot", "6.12", [2, 3])], folder)
    command = bundle_command(bundle, scenario.qemu_devices(nvme=folder / "store.img"))
    command += ["-dtb", str(firmware_tree(command, folder))]
    with Board(command, folder / "console.log") as board:
        board.wait_for("penstock", r"firmware uses memory at 0x7f000000 .*0000:00:01\.0", 120,
                       "the report of the memory")
        board.wait_for("penstock", r"domain store is left out: .*firmware-memory", 120,
                       "the refusal of store")
        board.wait_for("plain", r"RESULT boot reached-init", 300, "the guest without devices")
        board.wait_end(120)
    assert not board.console.results("store")


def test_board_without_its_gives_no_device_away(folder):
    # QEMU refuses devices with MSI-X on such a board; its test device has no interrupts at all.
    bundle = scenario.bundle([scenario.guest("store", "shell", "6.1", [0, 1],
                                             devices=[scenario.Device(scenario.EDU,
                                                                      accept=["no-reset"])]),
                              scenario.guest("plain", "boot", "6.12", [2, 3])], folder)
    board = Board(bundle_command(bundle, ["-device", "pci-testdev,addr=3.0"],
                                 machine=f"{MACHINE},its=off"),
                  folder / "console.log")
    with board:
        board.wait_for("penstock", r"(?i)no GICv3 ITS", 120, "a message about the ITS")
        board.wait_for("plain", r"RESULT boot reached-init", 300, "the guest without devices")
        board.wait_end(120)
    assert not board.console.results("store")


def test_board_with_gicv2_stops_with_a_message(plain_bundle, folder):
    board = Board(bundle_command(plain_bundle, [], machine="virt,gic-version=2,virtualization=on"),
                  folder / "console.log")
    with board:
        board.wait_for_any(r"GICv3", 60, "a message about the interrupt controller")
    assert not board.console.results("alone")


def test_device_that_is_not_there(folder):
    bundle = scenario.bundle([scenario.guest("store", "shell", "6.1", [0, 1],
                                             devices=[scenario.Device(scenario.NVME)]),
                              scenario.guest("plain", "boot", "6.12", [2, 3])], folder)
    board = Board(bundle_command(bundle, scenario.qemu_devices()), folder / "console.log")
    with board:
        # Invariant 8: which domain, which device, and why.
        board.wait_for("penstock", r"(?i)store.*01:00\.0", 120, "the refusal of store")
        board.wait_for("plain", r"RESULT boot reached-init", 300, "the guest without devices")
        board.wait_end(120)


def check(folder, text: str) -> str:
    """What `penstock check` says of a configuration that it has to refuse."""
    config = scenario.write_configuration(folder / "config.toml", text)
    done = subprocess.run([str(paths.need(paths.TOOL, "./dev build")), "check", str(config)],
                          capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "config.toml:" in said, said  # file and line
    return said


def test_two_domains_that_want_one_device(folder):
    wanted = scenario.Device(scenario.NVME)
    said = check(folder, scenario.configuration([
        scenario.guest("one", "shell", "6.1", [0, 1], devices=[wanted]),
        scenario.guest("two", "shell", "6.12", [2, 3], devices=[wanted])]))
    assert scenario.NVME in said and "one" in said


def test_one_cpu_given_twice(folder):
    said = check(folder, scenario.configuration([
        scenario.guest("one", "shell", "6.1", [0, 1]),
        scenario.guest("two", "shell", "6.12", [1, 2])]))
    assert "cpu" in said.lower()


def test_memory_that_the_board_does_not_have(folder):
    said = check(folder, scenario.configuration([
        scenario.guest("one", "shell", "6.1", [0, 1], memory=8192 * scenario.MIB)]))
    assert "memory" in said.lower()


def test_device_that_the_board_does_not_have(folder):
    said = check(folder, scenario.configuration([
        scenario.guest("one", "shell", "6.1", [0, 1], devices=[scenario.Device("0000:07:00.0")])]))
    assert "0000:07:00.0" in said
