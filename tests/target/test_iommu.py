"""Guests with an SMMU of their own: the stock driver, verified I/O, devices kept apart by the
guest's own stage 1 and kept in by ours, and lives that end and begin again."""

import hashlib
import json

import pytest

import control_lab
import disk
import initramfs
import paths
import scenario
from board import Board, bundle_command
from iommu_lab import (BOOT_SECONDS, OUTSIDE, Lab, all_devices, judge_boot, judge_io, judge_stray,
                       lab_domain, told)
from judgement import Judgement
from scenario import EDU, IGB, NVME, Device
from server import Server

KINDS = {"1": "DMA", "0": "DMA-FQ"}  # iommu.strict, and what the kernel calls it


def make_drive(folder, seed: int, kernel: str | None = None):
    image = folder / "store.img"
    boot = (paths.kernel_image(kernel), initramfs.build("iommu", kernel)) if kernel else None
    return image, disk.make(image, seed=seed, next_boot=boot)


def with_server(server: Server, nonce: str) -> str:
    return f"nonce={nonce} server={server.address_for_guest}"


def end(board: Board, lab: Lab) -> None:
    lab.leave("poweroff")
    assert board.wait_end(120) == 0


# Covers: S1.11 S2.2 S2.5 S2.7 S2.14 S2.16 S2.17 S2.21 S2.23 S2.26
@pytest.mark.parametrize("kernel,strict", [("6.1", "1"), ("6.1", "0"), ("6.12", "1"),
                                           ("6.12", "0")])
def test_stock_driver_isolates_its_own_devices(start, folder, kernel, strict):
    nonce = f"iommu-{kernel}-{strict}"
    image, digest = make_drive(folder, seed=31)
    judgement = Judgement()
    with Server(seed=32, nonce=nonce) as server:
        words = f"iommu.strict={strict} {with_server(server, nonce)}"
        board = start([lab_domain("lab", kernel, [0, 1], words, devices=all_devices())],
                      scenario.qemu_devices(nvme=image, igb=True, edu=True))
        lab = Lab(board, "lab", focus=0)
        lab.wait_boot()
        judge_boot(judgement, lab, KINDS[strict], "first boot")
        judge_io(judgement, lab, image, digest, "first boot", server)
        judge_stray(judgement, lab, "first boot", OUTSIDE)
        judge_io(judgement, lab, image, digest, "after edu's strays", server)
        end(board, lab)
    assert judgement.ok, judgement.failed


# Covers: S1.11 S2.5 S2.6 S2.17 H36 H37
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_drivers_and_kernels_come_and_go(start, folder, kernel):
    nonce = f"lives-{kernel}"
    image, digest = make_drive(folder, seed=33, kernel=kernel)
    judgement = Judgement()
    with Server(seed=34, nonce=nonce) as server:
        words = f"iommu.strict=1 {with_server(server, nonce)}"
        board = start([lab_domain("lab", kernel, [0, 1], words, devices=all_devices())],
                      scenario.qemu_devices(nvme=image, igb=True, edu=True))
        lab = Lab(board, "lab", focus=0)
        lab.wait_boot()
        lab.order("rebind")
        judge_io(judgement, lab, image, digest, "drivers bound again", server)
        lab.leave("reboot")
        lab.wait_boot()
        judge_boot(judgement, lab, "DMA", "rebooted")
        judge_io(judgement, lab, image, digest, "rebooted", server)
        lab.tell("kexec iommu.strict=0")
        lab.wait_boot()
        judge_boot(judgement, lab, "DMA-FQ", "by kexec")
        judge_io(judgement, lab, image, digest, "by kexec", server)
        judge_stray(judgement, lab, "by kexec", OUTSIDE)
        end(board, lab)
    assert judgement.ok, judgement.failed


# Covers: S2.21 S2.26 S2.27
def test_two_guests_with_overlapping_streams(start, folder):
    """Each has its device at 00:01.0: the same virtual stream ID for two physical ones."""
    nonce = "overlap"
    image, digest = make_drive(folder, seed=35)
    judgement = Judgement()
    with Server(seed=36, nonce=nonce) as server:
        words = with_server(server, nonce)
        board = start([lab_domain("left", "6.1", [0, 1], f"nonce={nonce}",
                                  devices=[Device(NVME, guest="00:01.0")]),
                       lab_domain("right", "6.12", [2, 3], words,
                                  devices=[Device(IGB, guest="00:01.0"),
                                           Device(EDU, ("no-reset",), guest="00:02.0")])],
                      scenario.qemu_devices(nvme=image, igb=True, edu=True))
        left, right = Lab(board, "left", focus=0), Lab(board, "right", focus=1)
        left.wait_boot()
        right.wait_boot()
        streams = [lab.places()[key].stream for lab, key in ((left, "1b36:0010"),
                                                             (right, "8086:10c9"))]
        judgement.check("the virtual stream IDs are the same", streams == [8, 8], str(streams))
        judge_io(judgement, left, image, digest, "left")
        right.order("card")
        judgement.check("right: network verified", server.verified)
        judge_io(judgement, left, image, digest, "left again")
        heard = told(right.order("stray"))
        judgement.check("right: edu's events have its own stream ID",
                        bool(heard) and {each.stream for each in heard} == {0x10}, str(heard))
        judgement.check("left: it hears of its own events only, and there are none",
                        "iommu events total=0" in left.order("events"))
        left.leave("poweroff")
        server.returned.clear()
        server.answers.clear()
        right.order("card")
        judgement.check("right: network verified, its neighbour gone", server.verified)
        end(board, right)
    assert judgement.ok, judgement.failed


# Covers: H56 S1.15 S2.18
def test_flood_of_one_device_leaves_its_guests_others_at_work(start, folder):
    """A program in the guest, by VFIO, lets edu fault until it is cut off, and ends: the guest's
    kernel then invalidates what it had, and goes on with the drive."""
    image, digest = make_drive(folder, seed=45)
    judgement = Judgement()
    board = start([lab_domain("lab", "6.12", [0, 1], "nonce=flood iommu.strict=1",
                              devices=[Device(NVME), Device(EDU, ("no-reset",))])],
                  scenario.qemu_devices(nvme=image, edu=True))
    lab = Lab(board, "lab", focus=0)
    lab.wait_boot()
    judge_io(judgement, lab, image, digest, "before the flood")
    judgement.check("edu flooded", "edu flood transfers=done" in lab.order("flood"), "")
    board.wait_for("penstock", rf"{EDU} of lab is cut off", 30, "edu to be cut off")
    judge_io(judgement, lab, image, digest, "after the flood")
    end(board, lab)
    assert "CMDQ error" not in board.console.text("lab")
    assert judgement.ok, judgement.failed


# Covers: S1.19 S2.12
def test_a_guest_with_and_one_without(start, folder):
    nonce = "mixed"
    image, digest = make_drive(folder, seed=37)
    judgement = Judgement()
    with Server(seed=38, nonce=nonce) as server:
        board = start([lab_domain("with", "6.12", [0, 1], f"nonce={nonce}",
                                  devices=[Device(NVME)]),
                       lab_domain("without", "6.12", [2, 3], with_server(server, nonce),
                                  iommu=None, devices=[Device(IGB)])],
                      scenario.qemu_devices(nvme=image, igb=True))
        one, other = Lab(board, "with", focus=0), Lab(board, "without", focus=1)
        one.wait_boot()
        other.wait_boot()
        judge_io(judgement, one, image, digest, "with")
        other.order("card")
        judgement.check("without: network verified", server.verified)
        judgement.check("without: it has no SMMU", not other.order("groups")[:-1],
                        str(other.results().all("iommu", "group")))
        other.leave("reboot")
        judge_io(judgement, one, image, digest, "with, its neighbour rebooting")
        other.wait_boot()
        other.leave("poweroff")
        end(board, one)
    assert judgement.ok, judgement.failed


# Covers: S2.13
def test_boot_option_refuses_it(folder):
    domain = scenario.guest("wants", "boot", "6.12", [0], iommu="smmuv3", devices=[Device(NVME)])
    plain = scenario.guest("plain", "boot", "6.12", [1])
    image = folder / "empty.img"
    image.write_bytes(bytes(1 << 20))
    bundle = scenario.bundle([domain, plain], folder)
    command = [*bundle_command(bundle, scenario.qemu_devices(nvme=image)), "-append",
               "viommu=off frobnicate"]
    with Board(command, folder / "console.log") as board:
        board.wait_for("penstock", r'boot option "frobnicate" is not known', 60, "the warning")
        board.wait_for("penstock", r"domain wants is left out: no iommu .*viommu=off", 60, "the refusal")
        board.wait_for("plain", r"RESULT boot", BOOT_SECONDS, "the other domain to run")
        board.wait_end(120)
    assert not board.console.of("wants")


def test_run_with_a_domain_that_is_left_out_fails_with_its_reason(folder):
    domain = scenario.guest("wants", "boot", "6.12", [0], iommu="smmuv3", devices=[Device(NVME)])
    plain = scenario.guest("plain", "boot", "6.12", [1])
    config = scenario.write_configuration(folder / "config.toml",
                                          scenario.configuration([domain, plain]))
    with Board.penstock_run(config, folder, ["--boot-option", "viommu=off"]) as board:
        board.wait_for("plain", r"RESULT boot", BOOT_SECONDS, "the other domain to run")
        assert board.wait_end(120) == 1
    report = json.loads((folder / "report.json").read_text())
    assert not report["ok"]
    assert report["why"].startswith("domain wants is left out: no iommu for its guest: ")
    states = {each["name"]: each["state"] for each in report["domains"]}
    assert states == {"wants": "left-out", "plain": "off"}


# Covers: S2.1
def test_board_that_cannot_nest_refuses_it(folder):
    """An SMMU with stage 2 alone, as QEMU's older boards can have."""
    domain = scenario.guest("wants", "boot", "6.12", [0], iommu="smmuv3", devices=[Device(NVME)])
    plain = scenario.guest("plain", "boot", "6.12", [1])
    image = folder / "empty.img"
    image.write_bytes(bytes(1 << 20))
    bundle = scenario.bundle([domain, plain], folder)
    machine = "virt-9.1,gic-version=3,iommu=smmuv3,virtualization=on"
    command = [*bundle_command(bundle, scenario.qemu_devices(nvme=image), machine=machine),
               "-global", "arm-smmuv3.stage=2"]
    with Board(command, folder / "console.log") as board:
        board.wait_for("penstock", r"domain wants is left out: no iommu .*has no stage 1", 60, "the refusal")
        board.wait_for("plain", r"RESULT boot", BOOT_SECONDS, "the other domain to run")
        board.wait_end(120)
    assert not board.console.of("wants")


# Covers: S2.20
def test_control_domain_works_behind_an_smmu_of_its_own(start, folder):
    image, _ = make_drive(folder, seed=39)
    control = control_lab.control_domain(folder, [], iommu="smmuv3", devices=[Device(NVME)])
    board = start([control], scenario.qemu_devices(nvme=image))
    lab = control_lab.Control(board)
    lab.wait_until_up()
    slot = "/sys/bus/pci/devices/0000:00:01.0"
    assert lab.shell(f"cat {slot}/vendor {slot}/iommu_group/type")[1] == ["0x1b36", "DMA"]
    assert lab.shell("readlink /sys/class/iommu/smmu3.*")[0] == 0
    size = 4 * scenario.MIB
    read = lab.shell(f"head -c {size} /dev/nvme0n1 | sha256sum")[1][0].split()[0]
    assert read == hashlib.sha256(image.read_bytes()[:size]).hexdigest()
    assert lab.domains()["control"]["iommu"]
    assert lab.json("audit")["ok"]
