"""Runs one board with the counting plugin and reads what it counted.

The board is QEMU's `virt` with one CPU and with `-icount shift=0,sleep=off`: one virtual nanosecond
per instruction, and a CPU that waits lets the time jump to the next event. Bare metal is Debian's
kernel at EL2 on the same board without an SMMU; Penstock is the bundle that `penstock build` makes
of the same kernel, RAM disk, command line and devices.
"""

import json
import re
import subprocess
import time
from collections import defaultdict
from dataclasses import astuple, dataclass, field
from pathlib import Path

import guests
import paths

GUEST_MEMORY = "1G"  # the bare board has as much RAM as the guest, so that the kernels' work is the same
BOARD_MEMORY = "2G"
LIMIT = 900  # seconds on the workstation
CMDLINE = "console=ttyAMA0 panic=-1 quiet loglevel=4 printk.devkmsg=off"

# Where QEMU loads an arm64 Image, and how much of what follows can be the hypervisor's.
IMAGE_BASE = 0x4020_0000
IMAGE_LIMIT = 16 << 20

READ_1, READ_32, LINUX_CONFIG, MESSAGE = 0x71, 0x72, 0x73, 0x75
INIT, RAW_CONFIG, BAR, END = 0x76, 0x79, 0x7A, 0x7F
UNMAP_4K, MAP_4K, MAP_64K = 0x74, 0x77, 0x78
COMMANDS, EVERY_ENTRY = 0x7B, 0x7C
BATCH = 500  # reads in one window at queue depth 32, as guest/bench.sh says


@dataclass(frozen=True)
class Counts:
    """One line of the plugin's file, or the difference between two; plugin.c explains them."""

    instructions: int
    own: int
    sync: int
    irq: int
    waits: int
    taken: int
    stacks: int
    longest: int

    def __sub__(self, other: "Counts") -> "Counts":
        sums = [mine - its for mine, its in zip(astuple(self), astuple(other))]
        return Counts(*sums[:-1], self.longest)


@dataclass
class Run:
    """What one run of a board has shown."""

    windows: dict[int, list[Counts]]  # by begin marker, in order
    init: Counts | None
    blocks: list[tuple[int, int]]  # (address, instructions), when profiled
    console: str
    seconds: float
    words: dict[str, str]

    def events(self, name: str) -> list[dict]:
        """The hypervisor's `@ NAME {json}` lines."""
        found = re.findall(rf"@ {name} (\{{.*\}})", self.console)
        return [json.loads(each) for each in found]


class Broken(Exception):
    """A run did not come to its end, or says of itself that it failed."""


def symbol(name: str) -> int:
    """The address of one of the hypervisor's symbols, once it is loaded."""
    elf = paths.need(paths.BUILD / "target" / "hypervisor" / "penstock.elf", "./dev build")
    listing = subprocess.run(["llvm-nm-19", str(elf)], capture_output=True, text=True, check=True)
    found = re.search(rf"^([0-9a-f]+) \w {re.escape(name)}$", listing.stdout, re.MULTILINE)
    if found is None:
        raise Broken(f"{elf.name} has no symbol {name}")
    return IMAGE_BASE + int(found[1], 16)


@dataclass
class Device:
    """A function of bus 0: on the board, and at the same place in the domain."""

    place: str  # "03.0"
    qemu: str  # model and properties
    reset: str  # as in a board description: "flr" or "none"
    backend: str = ""

    @property
    def address(self) -> str:
        slot, function = self.place.split(".")
        return f"0x{slot}.{function}"

    def arguments(self) -> list[str]:
        return [*self.backend.split(), "-device", f"{self.qemu},addr={self.address}"]


def nvme() -> Device:
    return Device("02.0", "nvme,drive=drive0,serial=bench", "flr",
                  "-blockdev driver=null-co,node-name=drive0,size=1073741824,read-zeroes=on")


def edu(place: str = "03.0", functions: int = 1) -> Device:
    many = ",multifunction=on" if functions > 1 else ""
    return Device(place, f"edu,dma_mask=0xffffffffffffffff{many}", "none")


def many_functions(count: int) -> list[Device]:
    """`count` functions on bus 0 from slot 3 on: one in each slot, or eight where they are many."""
    each = 1 if count <= 29 else 8
    return [edu(f"{3 + i // each:02x}.{i % each}", each) for i in range(count)]


def parse_counts(file: Path):
    windows: dict[int, list[Counts]] = defaultdict(list)
    blocks = []
    init, begin, begun = None, None, 0
    for line in file.read_text().splitlines():
        words = line.split()
        if words[0] == "block":
            blocks.append((int(words[1], 16), int(words[2]) * int(words[3])))
            continue
        marker, counts = int(words[0], 16), Counts(*map(int, words[1:]))
        if marker == INIT:
            init = counts
        elif marker == END and begin is not None:
            windows[begun].append(counts - begin)
            begin = None
        else:
            begun, begin = marker, counts
    return dict(windows), init, blocks


@dataclass
class Board:
    """How to run one board."""

    name: str
    devices: list[Device]
    words: dict[str, str] = field(default_factory=dict)  # of the guest's command line
    profile: int = 0
    iommu: bool = False  # for the kernel: the board's own on bare metal, a virtual one in a domain
    program: Path | None = None  # instead of Debian's kernel and the RAM disk

    @property
    def folder(self) -> Path:
        folder = guests.OUT / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def cmdline(self) -> str:
        return " ".join([CMDLINE, *[f"{key}={value}" for key, value in self.words.items()]])

    def bare(self) -> Run:
        machine = "virt,virtualization=on,gic-version=3" + (",iommu=smmuv3" if self.iommu else "")
        return self._run(machine, GUEST_MEMORY,
                         ["-kernel", paths.kernel_image(guests.KERNEL), "-initrd",
                          guests.OUT / "initrd.cpio", "-append", self.cmdline, "-no-reboot"], "")

    def penstock(self) -> Run:
        bundle = self._bundle()
        options = (f",image={IMAGE_BASE:x}-{IMAGE_BASE + IMAGE_LIMIT:x}"
                   f",vectors={symbol('exception_vectors'):x}")
        if self.profile:
            options += f",profile={self.profile:x}"
        run = self._run("virt,virtualization=on,gic-version=3,iommu=smmuv3", BOARD_MEMORY,
                        ["-kernel", bundle, "-append", "spectre-bhb=off"], options)
        if not run.events("end"):
            raise Broken(f"{self.name}: the hypervisor did not announce its end")
        return run

    def _bundle(self) -> Path:
        folder = self.folder
        (folder / "board.toml").write_text(self._description())
        (folder / "config.toml").write_text(self._configuration(folder / "board.toml"))
        bundle = folder / "bundle.img"
        guests.run([paths.need(paths.TOOL, "./dev build"), "build", folder / "config.toml", "-o",
                    bundle, "--hypervisor", paths.need(paths.IMAGE, "./dev build")],
                   folder / "build.log")
        return bundle

    def _description(self) -> str:
        lines = ['name = "bench"', 'title = "QEMU virt for the benchmark"', "cpus = 1",
                 "memory_base = 0x40000000", f'memory = "{BOARD_MEMORY}"', 'iommu = "smmuv3"',
                 'iommu_stages = 2', 'msi = "its"', 'bridge = "ecam"', "", "[qemu]",
                 'machine = "virt,virtualization=on,gic-version=3,iommu=smmuv3"',
                 'cpu = "cortex-a76"', "arguments = []"]
        for device in self.devices:
            lines += ["", "[[device]]", f'bdf = "0000:00:{device.place}"',
                      f'name = "{device.qemu.split(",")[0]}"', f'reset = "{device.reset}"',
                      'isolation = "integrated"']
        return "\n".join(lines) + "\n"

    def _configuration(self, board: Path) -> str:
        lines = [f'board = "{board}"', "", "[[domain]]", 'name = "bench"', "cpus = [0]",
                 f'memory = "{GUEST_MEMORY}"']
        if self.iommu:
            lines.append('iommu = "smmuv3"')
        if self.program is not None:
            lines.append(f'kernel = "{self.program}"')
        else:
            lines += [f'kernel = "{paths.kernel_image(guests.KERNEL)}"',
                      f'initrd = "{guests.OUT / "initrd.cpio"}"', f'cmdline = "{self.cmdline}"']
        for device in self.devices:
            lines += ["", "[[domain.device]]", f'host = "0000:00:{device.place}"',
                      f'guest = "00:{device.place}"']
            if device.reset == "none":
                lines.append('accept = ["no-reset"]')
        return "\n".join(lines) + "\n"

    def _run(self, machine: str, memory: str, boot: list,
             plugin_options: str) -> Run:
        counts, log = self.folder / "counts.txt", self.folder / "console.log"
        command = [paths.QEMU, "-M", machine, "-cpu", "cortex-a76", "-smp", "1",
                   "-m", memory, "-icount", "shift=0,sleep=off", "-nographic", "-nodefaults",
                   "-serial", "stdio", "-monitor", "none",
                   "-plugin", f"{guests.OUT / 'plugin.so'},out={counts}{plugin_options}", *boot]
        for device in self.devices:
            command += device.arguments()
        started = time.monotonic()
        with log.open("wb") as file:
            try:
                done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                                      stdout=file, stderr=subprocess.STDOUT, timeout=LIMIT)
            except subprocess.TimeoutExpired:
                raise Broken(f"{self.name}: not done after {LIMIT} s, see {log}") from None
        console = log.read_text(errors="replace")
        if done.returncode != 0 or "RESULT done" not in console or "RESULT failed" in console:
            tail = "\n".join(console.splitlines()[-15:])
            raise Broken(f"{self.name}: did not come to its end, see {log}:\n{tail}")
        return Run(*parse_counts(counts), console, time.monotonic() - started, self.words)
