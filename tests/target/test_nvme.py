"""One guest with a drive: verified data through SMMU, ITS and the virtual config space."""

import pytest

import disk
import paths
import scenario
from console import fields
from demo import Judgement, Results, judge_store

BOOT, WORK = 300, 600


# Covers: S0.7 S1.9 S2.1 S3.4 S3.25
@pytest.mark.parametrize("kernel", paths.KERNELS)
def test_verified_io(start, folder, kernel):
    image = folder / "store.img"
    digest = disk.make(image, seed=11)
    nonce = f"nvme-{kernel}"
    board = start([scenario.guest("store", "store", kernel, [0, 1], f"nonce={nonce} busy=1",
                                  devices=[scenario.Device(scenario.NVME)])],
                  scenario.qemu_devices(nvme=image))
    board.wait_for("store", r"RESULT store up", BOOT, "the guest's init")
    board.wait_for("store", r"RESULT store done", WORK, "the drive's data to be verified")
    assert board.wait_end(120) == 0
    judgement = Judgement()
    device = judge_store(judgement, Results(board.console, "store"), image, digest, nonce,
                         {"1b36:0010"})
    assert judgement.ok, judgement.failed
    assert device["bytes_written"] >= 32 << 20 and device["bytes_read"] >= 32 << 20
    counted = [event.fields for event in board.console.events() if event.name == "device"]
    assert counted and counted[-1]["bdf"] == scenario.NVME and counted[-1]["interrupts"] > 0
    # Nothing was blocked: the drive only ever reached for what is its owner's.
    assert not [event for event in board.console.events() if event.name == "blocked"]


# Debian's newest kernel, too, drives its own SMMU with its stock driver.
def test_newest_kernel_with_an_smmu_of_its_own(start, folder):
    image = folder / "store.img"
    digest = disk.make(image, seed=13)
    nonce = "nvme-own-smmu"
    board = start([scenario.guest("store", "store", "newest", [0, 1],
                                  f"nonce={nonce} busy=1 iommu.strict=1", iommu="smmuv3",
                                  devices=[scenario.Device(scenario.NVME)])],
                  scenario.qemu_devices(nvme=image))
    board.wait_for("store", r"RESULT store done", BOOT + WORK, "the drive's data to be verified")
    assert board.wait_end(120) == 0
    judgement = Judgement()
    device = judge_store(judgement, Results(board.console, "store"), image, digest, nonce,
                         {"1b36:0010"})
    assert judgement.ok, judgement.failed
    exits, = [event.fields for event in board.console.events() if event.name == "exits"]
    # Strict: what the drive was given is invalidated at the SMMU, each time.
    assert exits["iommu"] > 1000 and device["bytes_written"] >= 32 << 20
    assert not [event for event in board.console.events() if event.name == "blocked"]


# Covers: S3.12 S3.13 S3.15 H11
def test_guest_sees_a_config_space_of_known_things(start, folder):
    image = folder / "store.img"
    disk.make(image, seed=12)
    board = start([scenario.guest("alone", "shell", "6.12", [0, 1],
                                  devices=[scenario.Device(scenario.NVME)])],
                  scenario.qemu_devices(nvme=image, igb=True, edu=True))
    board.wait_for("alone", r"RESULT shell listening", BOOT, "the guest to listen")
    seen = [fields(line) for line in board.console.results("alone") if "pci slot=" in line]
    functions = [each["id"] for each in seen if not each["class"].startswith("0x0600")]
    # The control interface, too, is shown to its domain only.
    assert functions == ["1b36:0010"], seen
    board.type("capabilities\n", domain=0)
    known = board.wait_for("alone", r"RESULT shell capabilities (.*)", 60, "its capabilities")
    # Power management, MSI, PCI Express, MSI-X: what the policy names for everybody, nothing else.
    shown = set(known[1].split("=", 1)[1].split(","))
    assert {"10", "11"} <= shown <= {"01", "05", "10", "11"}, known[1]
    board.type("poweroff\n")
    assert board.wait_end(120) == 0
