"""Devices as boards have them: behind bridges, several functions in one device, many of them."""

import re

import pytest

import scenario
from scenario import Device

BOOT = 300


def describe(folder, *bdfs, isolation="acs"):
    """A board's description that has these functions and no reason against any of them: what can be
    done with a device the hypervisor finds out for itself."""
    text = ['name = "devices"', 'title = "devices"', "cpus = 4", "memory_base = 0x40000000",
            'memory = "4G"', 'iommu = "smmuv3"', "iommu_stages = 2", 'msi = "its"',
            'bridge = "ecam"']
    for bdf in bdfs:
        text += ["[[device]]", f'bdf = "{bdf}"', f'name = "{bdf}"', 'driver = ""',
                 'reset = "flr"', f'isolation = "{isolation}"', 'class = "ff0000"']
    file = folder / "board.toml"
    file.write_text("\n".join(text) + "\n")
    return str(file)


@pytest.fixture
def start_described(folder):
    """As `start`, on a board that is described to have what the domains want."""
    from board import Board, bundle_command

    running = []

    def run(domains, devices, **words):
        hosts = sorted({each.host for domain in domains for each in domain.devices})
        bundle = scenario.bundle(domains, folder, board=describe(folder, *hosts, **words))
        running.append(Board(bundle_command(bundle, devices), folder / "console.log"))
        return running[-1].__enter__()

    yield run
    for board in running:
        board.stop()


def spoken(board):
    return "\n".join(line.text for line in board.console.of("penstock"))


def port(number, *behind):
    words = ["-device", f"pcie-root-port,id=port{number},bus=pcie.0,addr={number:#x},"
                        f"chassis={number},slot={number}"]
    for each in behind:
        words += ["-device", each]
    return words


def null_drive(number):
    return ["-blockdev", f"driver=null-co,node-name=null{number},size=67108864,read-zeroes=on"]


def boot(name, cpus, devices=()):
    return scenario.guest(name, "boot", "6.12", cpus, memory=256 * scenario.MIB,
                          devices=list(devices))


# Covers: H2 H38 S3.12
def test_conventional_device_behind_a_bridge_reads_writes_and_interrupts(start_described, folder):
    image = folder / "disk.img"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    drive = Device("0000:02:01.0", accept=("no-isolation",))
    board = start_described(
        [scenario.guest("store", "disk", "6.12", [0, 1], "drive=vda", devices=[drive])],
        [*port(1, "pcie-pci-bridge,id=bridge,bus=port1"),
         "-drive", f"if=none,id=disk0,format=raw,file={image}", "-device",
         "virtio-blk-pci,bus=bridge,addr=0x1,drive=disk0,iommu_platform=on,disable-legacy=on"],
        isolation="shared")
    board.wait_for("store", r"RESULT disk verified", BOOT, "the drive's data to be verified")
    assert board.wait_end(120) == 0
    assert "aliased-requester" in spoken(board)
    counted = [event.fields for event in board.console.events() if event.name == "device"]
    assert counted[-1]["bdf"] == drive.host and counted[-1]["interrupts"] > 0
    assert not [event for event in board.console.events() if event.name == "blocked"]
    assert any(image.read_bytes()), "nothing has reached the drive"


# Covers: S3.21 S3.22
@pytest.mark.parametrize("functions", [(0, 1), (1, 0)])
def test_functions_of_one_device_start_in_whatever_order_they_are_listed(start_described,
                                                                         functions):
    """The network function's own reset changes nothing: only that of the bus does."""
    devices = [Device(f"0000:01:00.{n}", guest=f"00:01.{n}") for n in functions]
    board = start_described(
        [boot("both", [0], devices)],
        [*null_drive(1), *port(1, "nvme,bus=port1,addr=0x0.0,multifunction=on,drive=null1,serial=m"),
         "-netdev", "user,id=net1", "-device", "e1000e,bus=port1,addr=0x0.1,netdev=net1,romfile="])
    board.wait_for("both", r"RESULT boot reached-init", BOOT, "the guest with both functions")
    assert board.wait_end(120) == 0
    assert "left out" not in spoken(board)


# Covers: H65
def test_a_domain_with_sixteen_drives_on_a_board_with_a_hundred_functions(start_described):
    words, devices = [], []
    for n in range(1, 17):
        words += [*null_drive(n), *port(n, f"nvme,bus=port{n},drive=null{n},serial=s{n}")]
        devices.append(Device(f"0000:{n:02x}:00.0"))
    for slot in range(17, 26):
        for function in range(8):
            words += ["-device", f"pci-testdev,bus=pcie.0,addr={slot:#x}.{function}"
                                 + (",multifunction=on" if function == 0 else "")]
    board = start_described([boot("many", [0], devices), boot("plain", [1])], words)
    for name in ("many", "plain"):
        board.wait_for(name, r"RESULT boot reached-init", BOOT, f"{name} to start")
    assert board.wait_end(120) == 0
    said = spoken(board)
    assert "left out" not in said and "unusable" not in said and "cannot be assigned" not in said
    announced = re.search(r"domain many: .*", said)[0]
    assert all(each.host in announced for each in devices), announced
