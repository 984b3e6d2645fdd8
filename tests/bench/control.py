"""What it costs that domains and devices come and go: virtual time under -icount of the control
domain's requests. A nanosecond is one instruction of any CPU, or of waiting while all CPUs wait.

Stand-alone (`python3 tests/bench/control.py [part...]`) it measures only this and prints the table.
"""

import json
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import guests

import control_lab
import hostile
import initramfs
import measure
import paths
import scenario
from board import Board, bundle_command
from figures import Figure, figure, table

ROUNDS = 3
LISTS = 64
BOOT, ANSWER = 600, 400  # seconds of the workstation
FUNCTIONS = (1, 32)
MEMORIES = (128, 512, 2048, 8192)  # MiB
MOST_DOMAINS = 8  # with the control domain
DRIVE_BDF = "100"  # routing ID of 0000:01:00.0
DRIVE = ["-device", "pcie-root-port,id=port1,bus=pcie.0,addr=0x1,chassis=1,slot=1",
         "-blockdev", "driver=null-co,node-name=drive0,size=1073741824,read-zeroes=on",
         "-device", "nvme,id=nvme,bus=port1,addr=0x0,drive=drive0,serial=bench"]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def probe() -> Path:
    source, out = guests.HERE / "guest" / "probe.cpp", guests.OUT / "probe"
    if not guests.newer(out, source, paths.ROOT / "core" / "control" / "abi.hpp"):
        guests.run([f"{guests.CROSS}g++", "-std=c++20", "-static", "-O2", "-s", "-Wall", "-Wextra",
                    "-Wconversion", "-Werror", "-fno-exceptions", "-fno-rtti", f"-I{paths.ROOT}",
                    source, "-o", out], guests.OUT / "probe.log")
    return out


def with_files(base: Path, files: dict[str, Path | bytes], out: Path) -> Path:
    """`base` with `probe` and more files."""
    archive = initramfs.Archive()
    archive.file("bin/probe", probe().read_bytes(), 0o755)
    for name, what in files.items():
        archive.file(name, what if isinstance(what, bytes) else what.read_bytes())
    out.write_bytes(base.read_bytes() + archive.finish())
    return out


def idle(name: str, cpu: int, mebibytes: int = 64) -> scenario.Domain:
    """A guest that says one line and then only waits."""
    return scenario.Domain(name, [cpu], hostile.build("idle", guests.HERE / "guest"), slots=1,
                           memory=mebibytes * scenario.MIB)


def linux(cpu: int) -> scenario.Domain:
    """A guest that reads a drive whenever one is plugged in."""
    domain = scenario.guest("linux", "driver", guests.KERNEL, [cpu], slots=1,
                            memory=256 * scenario.MIB)
    domain.initrd = with_files(domain.initrd, {"role": guests.HERE / "guest" / "plugged.sh"},
                               guests.OUT / "plugged.cpio")
    return domain


def payloads(children: list[scenario.Domain]) -> dict[str, Path | bytes]:
    """Files of the control domain from which the children are created."""
    files: dict[str, Path | bytes] = {}
    for child in children:
        toml = scenario.configuration([child])
        for payload in filter(None, (child.kernel, child.initrd)):
            toml = toml.replace(f'"{payload}"', f'"/guests/{payload.name}"')
            files[f"guests/{payload.name}"] = payload
        files[f"guests/{child.name}.toml"] = toml.encode()
    return files


@dataclass
class Lab:
    """A running board with a control domain that has `probe`."""

    board: Board
    control: control_lab.Control

    def probe(self, words: str) -> list[int]:
        status, lines = self.control.shell(f"probe {words}", ANSWER)
        if status != 0 or not lines or not re.fullmatch(r"[\d ]+", lines[-1]):
            raise measure.Broken(f"probe {words}: status {status}: {' / '.join(lines)}")
        return [int(each) for each in lines[-1].split()]

    def said(self, name: str, what: str, after: int = 0) -> int:
        """The moment that a guest tells behind `what`."""
        found = self.board.wait_for(name, rf"RESULT \w+ {what} at=(\d+)", ANSWER,
                                    f"{name} to say {what}", after=after)
        return int(found[1])

    def run(self, command: str) -> tuple[int, int]:
        """Begin and end of a program in the control domain."""
        begin, end = self.probe(f"run {command} >/dev/null")
        return begin, end

    def create(self, name: str, after: int = 0) -> tuple[int, int]:
        """Of penstockctl, and until the guest speaks."""
        begin, end, *_ = self.probe(f"run penstockctl create /guests/{name}.toml")
        return end - begin, self.said(name, "up", after) - begin

    def destroy(self, name: str) -> int:
        begin, _, done = self.probe(f"destroy {name}")
        return done - begin

    def answered(self, words: str) -> int:
        begin, answer, _ = self.probe(words)
        return answer - begin

    def done(self, words: str) -> int:
        begin, _, done = self.probe(words)
        return done - begin

    def list(self) -> float:
        begin, end = self.probe(f"list {LISTS}")
        return (end - begin) / LISTS

    def traps(self, name: str) -> int:
        return self.control.domains()[name]["traps"]


class Started:
    """A board with the control domain on CPU 0, while the context lasts. `gibibytes`: its RAM."""

    def __init__(self, name: str, children: list[scenario.Domain], cpus: int, gibibytes: int,
                 devices: list[str]) -> None:
        folder = guests.OUT / f"control-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        described = folder / "board.toml"
        described.write_text(
            'name = "bench"\ntitle = "QEMU virt for the benchmark"\n'
            f'cpus = {cpus}\nmemory_base = 0x40000000\nmemory = "{gibibytes}G"\n'
            'iommu = "smmuv3"\niommu_stages = 2\nmsi = "its"\nbridge = "ecam"\n\n[qemu]\n'
            'machine = "virt,virtualization=on,gic-version=3,iommu=smmuv3"\n'
            'cpu = "cortex-a76"\narguments = []\n')
        initrd = with_files(initramfs.build("control", guests.KERNEL), payloads(children),
                            folder / "control.cpio")
        domain = scenario.Domain("control", [0], paths.kernel_image(guests.KERNEL), initrd,
                                 "role=control", control=True, memory=768 * scenario.MIB)
        bundle = scenario.bundle([domain], folder, board=str(described))
        command = bundle_command(bundle, devices, smp=cpus, memory=f"{gibibytes}G")
        self._board = Board([*command, "-icount", "shift=0,sleep=off"], folder / "console.log")

    def __enter__(self) -> Lab:
        board = self._board.__enter__()
        lab = Lab(board, control_lab.Control(board))
        try:
            board.wait_for("control", r"RESULT control listening", BOOT, "the control domain")
            lab.control.ctl("hello")  # enables the function, which stays so
        except BaseException:
            board.stop()
            raise
        return lab

    def __exit__(self, *_exception) -> None:
        self._board.stop()
        Board.unjudged.clear()


def ms(name: str, nanoseconds: float, budget: float | None = None) -> Figure:
    return figure(name, "virtual ms", nanoseconds / 1e6, budget=budget)


def middle(values: list[int]) -> float:
    return statistics.median(values)


def a_life(rounds: int) -> list[Figure]:
    """A Linux guest with a drive."""
    say("  control domain: a guest's and a drive's life")
    seen: dict[str, list[int]] = {}

    def note(**values: int) -> None:
        for key, value in values.items():
            seen.setdefault(key, []).append(value)

    with Started("life", [linux(1)], 2, 4, DRIVE) as lab:
        for turn in range(rounds):
            begin, end = lab.run("penstockctl list")
            create, up = lab.create("linux", turn)
            note(shell=end - begin, list=int(lab.list()), create=create, up=up)
            note(pause=lab.answered("pause linux"), unpause=lab.answered("unpause linux"))
            before = lab.traps("linux")
            begin, answered, _ = lab.probe(f"attach {DRIVE_BDF} linux")
            io = lab.said("linux", "io", turn)
            note(attach=answered - begin, io=io - begin, io_traps=lab.traps("linux") - before)
            note(detach=lab.done(f"detach {DRIVE_BDF}"))
            note(destroy=lab.destroy("linux"))
    return []


PARTS = {"life": lambda: a_life(ROUNDS)}
