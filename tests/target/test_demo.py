"""The demo, run once, and every field that its report has to have."""

import json

import pytest

import demo
import scenario


@pytest.fixture(scope="module")
def report():
    good = demo.demo(["--quiet"])
    found = json.loads((demo.OUT / "report.json").read_text())
    assert good == found["ok"]
    return found


# Covers: S0.7 S1.9 S2.1
def test_everything_held(report):
    failed = [f"{each['what']} ({each['detail']})" for each in report["checks"] if not each["ok"]]
    assert report["ok"] and not failed, failed


# Covers: S3.12 S3.13
def test_each_guest_works_with_its_own_devices(report):
    domains = {domain["name"]: domain for domain in report["domains"]}
    assert set(domains) == {"store", "net"}
    assert domains["store"]["kernel"].startswith("6.1.")
    assert domains["net"]["kernel"].startswith("6.12.")
    for domain in domains.values():
        assert domain["cpus"] >= 2 and domain["memory"] >= 256 << 20
    drive, = domains["store"]["devices"]
    card, traitor = domains["net"]["devices"]
    assert (drive["bdf"], drive["driver"]) == (scenario.NVME, "nvme")
    assert (card["bdf"], card["driver"]) == (scenario.IGB, "igb")
    assert traitor["bdf"] == scenario.EDU
    for device in (drive, card):
        assert device["verified"] and device["interrupts"] > 0 and device["vectors"] >= 2
        assert device["bytes_read"] >= 8 << 20 and device["bytes_written"] >= 8 << 20


# Covers: S0.19 S0.21 S2.9
def test_the_traitor_is_stopped_and_named(report):
    assert report["blocked"]
    for entry in report["blocked"]:
        assert set(entry) >= {"device", "domain", "target", "evidence"}
        assert (entry["device"], entry["domain"]) == (scenario.EDU, "net")
        assert entry["evidence"]


# Covers: S3.11 S3.19 S3.22
def test_guests_and_functions_came_and_went(report):
    guests = report["control"]["guests"]
    assert [guest["name"] for guest in guests] == ["first", "second"]
    assert all(guest["verified"] and len(guest["devices"]) == 2 for guest in guests)


# Covers: S2.2 S2.5 S2.7 S2.26
def test_guest_with_an_iommu_keeps_its_devices_apart(report):
    iommu = report["iommu"]
    assert [boot["domains"] for boot in iommu["boots"]] == ["DMA", "DMA-FQ", "DMA"]
    strays = [boot["stray"] for boot in iommu["boots"] if "stray" in boot]
    assert len(strays) == 2
    for boot in iommu["boots"]:
        streams = [each["stream"] for each in boot["groups"]]
        assert len(streams) >= 2 and len(set(streams)) == len(streams)
    for stray in strays:
        assert stray["events"] > 0 and stray["reported"] > 0
        assert stray["stream"] not in [each["stream"] for each in iommu["boots"][0]["groups"]]
    # Told to the operator: what stage 2 stopped, page by page, and nothing of the guest's own.
    targets = {int(each["target"], 0) & ~0xfff for each in iommu["blocked"]}
    assert targets == {int(stray["outside"], 0) & ~0xfff for stray in strays}
    assert all((each["device"], each["domain"]) == (scenario.EDU, "lab")
               for each in iommu["blocked"])


def test_report_says_what_it_cost(report):
    assert report["board"] == "qemu-virt-gicv3-smmuv3"
    assert 0 < report["penstock"]["image_bytes"] <= 448 << 10
    assert 0 < report["penstock"]["memory_used"] <= 8 << 20
    for name in ("store", "net"):
        assert sum(value for value in report["exits"][name].values()) > 0
    assert report["seconds"] > 0
