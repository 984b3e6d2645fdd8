"""What it costs that domains and devices come and go: virtual time under -icount of the control
domain's requests. A nanosecond is one instruction of any CPU, or of waiting while all CPUs wait.

Stand-alone (`python3 tests/bench/control.py [part...]`) it measures only this and prints the table.
"""

import re
import statistics
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import guests

import control_lab
import hostile
import initramfs
import measure
import paths
import scenario
from board import Board, Failure, bundle_command
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


HEAD_ROOM = 1.2
# What was measured, in the rows' units: the budget is so much more. A row that is not here is a
# record.
MEASURED = {
    "control request, list": 6.4,
    "  traps of it": 3,
    "penstockctl list, from fork to exit": 3.3,
    "Linux guest created, until penstockctl is done": 668,
    "  the control domain's traps until then": 351,
    "Linux guest created, until its first line": 2473,
    "pause, request until answer": 5.78,
    "unpause, request until answer": 5.78,
    "attach of an NVMe drive, request until answer": 215,
    "attach of an NVMe drive, until the guest has read from it": 131,
    "  the guest's traps from attach to read": 567,
    "detach of an NVMe drive, until it is reset": 5300,
    "  the guest's traps until then": 121,
    "Linux guest of 256 MiB destroyed, until it is gone": 104,
    "request, list, domains: 8": 11.5,
    "create, until the guest speaks, domains: 8": 5.53,
    "  growth of create, until the guest speaks, domains": 1,
    "  growth of pause, domains": 1,
    "  growth of attach, domains": 1,
    "  growth of detach by force, domains": 1,
    "  growth of destroy, domains": 1,
    "  growth of detach by force, functions": 1,
    "  growth of attach, functions": 1,
    "  growth of penstockctl devices, functions": 1.21,
    "  growth of destroy with the drive, functions": 1,
    "  growth of create, MiB": 1,
    "  destroy, for each MiB more": 400,
}


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
class Times:
    """One operation, in nanoseconds from its beginning; `traps` are the control domain's."""

    begin: int
    answered: int
    done: int
    traps: int


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
        """The moment that a guest tells; `after`: of so many more before it."""
        found = self.board.wait_for(name, rf"RESULT \w+ {what} at=(\d+)", ANSWER,
                                    f"{name} to say {what}", after=after)
        return int(found[1])

    def request(self, words: str) -> Times:
        begin, answered, done, traps = self.probe(words)
        return Times(begin, answered - begin, done - begin, traps)

    def run(self, command: str) -> Times:
        """A program in the control domain, from fork to exit."""
        begin, end, traps = self.probe(f"run {command}")
        return Times(begin, end - begin, end - begin, traps)

    def create(self, name: str, after: int = 0) -> Times:
        """Answered: to penstockctl; done: when the guest speaks."""
        times = self.run(f"penstockctl create /guests/{name}.toml")
        times.done = self.said(name, "up", after) - times.begin
        return times

    def list(self) -> tuple[float, float]:
        """Nanoseconds and traps of one request."""
        begin, end, traps = self.probe(f"list {LISTS}")
        return (end - begin) / LISTS, traps / (LISTS + 1)

    def traps(self, name: str) -> Counter:
        """By kind. Without the timer's: a guest's own naps decide how many those are."""
        counters = Counter(self.control.json(f"info {name}")["counters"])
        del counters["timer"]
        return counters


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

    def __exit__(self, exception, *_) -> None:
        self._board.stop()
        Board.unjudged.remove(self._board)
        problems = self._board.audit_problems()
        if problems and exception is None:
            raise measure.Broken("; ".join(problems))


def row(name: str, unit: str, value: float) -> Figure:
    measured = MEASURED.get(name)
    return figure(name, unit, value, budget=None if measured is None else HEAD_ROOM * measured)


def ms(name: str, nanoseconds: float) -> Figure:
    return row(name, "virtual ms", nanoseconds / 1e6)


def us(name: str, nanoseconds: float) -> Figure:
    return row(name, "virtual us", nanoseconds / 1e3)


def grown(least: float, most: float, name: str) -> Figure:
    return row(name, "times", most / least)


def a_life(rounds: int) -> list[Figure]:
    """A Linux guest and a drive that comes and goes. The first attach of all resets the drive, each
    later one finds it reset since it was taken back."""
    say("  control domain: a guest's and a drive's life")
    seen = defaultdict(list)
    with Started("life", [linux(1)], 2, 4, DRIVE) as lab:
        request, traps_of_request = lab.list()
        for turn in range(rounds):
            seen["tool"].append(lab.run("penstockctl list").done)
            created = lab.create("linux", turn)
            seen["create"].append(created.answered)
            seen["create traps"].append(created.traps - traps_of_request)
            seen["up"].append(created.done)
            seen["boot traps"].append(lab.traps("linux").total())
            seen["pause"].append(lab.request("pause linux").answered)
            seen["unpause"].append(lab.request("unpause linux").answered)
            before = lab.traps("linux")
            attached = lab.request(f"attach {DRIVE_BDF} linux")
            seen["attach"].append(attached.answered)
            seen["attach traps"].append(attached.traps - traps_of_request)
            seen["io"].append(lab.said("linux", "io", turn) - attached.begin)
            between = lab.traps("linux")
            seen["io traps"].append((between - before).total())
            seen["io config"].append((between - before)["config_space"])
            seen["detach"].append(lab.request(f"detach {DRIVE_BDF}").done)
            seen["detach traps"].append((lab.traps("linux") - between).total())
            destroyed = lab.request("destroy linux")
            seen["destroy"].append(destroyed.done)
            seen["destroy traps"].append(destroyed.traps - traps_of_request)
    of = {key: statistics.median(values) for key, values in seen.items()}
    return [us("control request, list", request),
            row("  traps of it", "traps", traps_of_request),
            ms("penstockctl list, from fork to exit", of["tool"]),
            ms("Linux guest created, until penstockctl is done", of["create"]),
            row("  the control domain's traps until then", "traps", of["create traps"]),
            ms("Linux guest created, until its first line", of["up"]),
            row("  the guest's traps until then, of its boot", "traps", of["boot traps"]),
            us("pause, request until answer", of["pause"]),
            us("unpause, request until answer", of["unpause"]),
            us("attach of an NVMe drive, request until answer", of["attach"]),
            row("  the control domain's traps for it", "traps", of["attach traps"]),
            ms("attach of an NVMe drive, until the guest has read from it", of["io"]),
            row("  the guest's traps from attach to read", "traps", of["io traps"]),
            row("  of these of config space", "traps", of["io config"]),
            ms("detach of an NVMe drive, until it is reset", of["detach"]),
            row("  the guest's traps until then", "traps", of["detach traps"]),
            ms("Linux guest of 256 MiB destroyed, until it is gone", of["destroy"]),
            row("  the control domain's traps until the answer", "traps", of["destroy traps"])]


def domains() -> list[Figure]:
    """The same requests beside more and more domains."""
    say(f"  control domain: 1 to {MOST_DOMAINS} domains")
    names = [f"idle{cpu}" for cpu in range(1, MOST_DOMAINS)]
    children = [idle(name, cpu) for cpu, name in enumerate(names, 1)]
    seen = defaultdict(list)
    with Started("domains", children, MOST_DOMAINS, 4, DRIVE) as lab:
        lab.request(f"destroy {create_and_attach(lab, names[0])}")  # the drive's first reset
        seen["request, list"].append(lab.list()[0])
        for turn, name in enumerate(names):
            seen["create, until the guest speaks"].append(lab.create(name, turn == 0).done)
            seen["pause"].append(lab.request(f"pause {name}").answered)
            lab.request(f"unpause {name}")
            seen["attach"].append(lab.request(f"attach {DRIVE_BDF} {name}").answered)
            seen["detach by force"].append(lab.request(f"force {DRIVE_BDF}").done)
            seen["request, list"].append(lab.list()[0])
        for name in reversed(names):
            seen["destroy"].append(lab.request(f"destroy {name}").done)
    seen["destroy"].reverse()
    found = []
    for title, values in seen.items():
        least = MOST_DOMAINS - len(values) + 1
        unit = us if title in ("request, list", "pause", "attach") else ms
        found += [unit(f"{title}, domains: {least}", values[0]),
                  unit(f"{title}, domains: {MOST_DOMAINS}", values[-1]),
                  grown(values[0], values[-1], f"  growth of {title}, domains")]
    return found


def create_and_attach(lab: Lab, name: str) -> str:
    lab.create(name)
    lab.request(f"attach {DRIVE_BDF} {name}")
    return name


def devices() -> list[Figure]:
    """The same requests on boards with few and with many functions, nobody's."""
    seen = defaultdict(list)
    for count in FUNCTIONS:
        say(f"  control domain: functions on the board: {count}")
        others = [word for each in measure.many_functions(count - 1) for word in each.arguments()]
        with Started(f"functions-{count}", [idle("idle", 1)], 2, 4, [*DRIVE, *others]) as lab:
            create_and_attach(lab, "idle")
            seen["detach by force"].append(lab.request(f"force {DRIVE_BDF}").done)
            seen["attach"].append(lab.request(f"attach {DRIVE_BDF} idle").answered)
            seen["penstockctl devices"].append(lab.run("penstockctl devices").done)
            seen["destroy with the drive"].append(lab.request("destroy idle").done)
    found = []
    for title, values in seen.items():
        unit = us if title == "attach" else ms
        found += [unit(f"{title}, functions on the board: {count}", value)
                  for count, value in zip(FUNCTIONS, values)]
        found.append(grown(values[0], values[-1], f"  growth of {title}, functions"))
    return found


def memories(sizes: tuple[int, ...]) -> list[Figure]:
    """Guests that differ only in their RAM, which is cleared when they are gone."""
    say(f"  control domain: guests of {sizes[0]} to {sizes[-1]} MiB")
    children = [idle(f"idle{size}", 1, size) for size in sizes]
    created, destroyed = [], []
    with Started("memory", children, 2, sizes[-1] // 1024 + 4, []) as lab:
        for size in sizes:
            created.append(lab.create(f"idle{size}").done)
            destroyed.append(lab.request(f"destroy idle{size}").done)
    found = []
    for size, up, gone in zip(sizes, created, destroyed):
        found += [ms(f"create, until the guest speaks, MiB: {size}", up),
                  ms(f"destroy, until it is gone, MiB: {size}", gone)]
    more = sizes[-1] - sizes[0]
    return [*found, grown(created[0], created[-1], "  growth of create, MiB"),
            us("  destroy, for each MiB more", (destroyed[-1] - destroyed[0]) / more)]


def figures(rounds: int, quick: bool) -> list[Figure]:
    """Everything; `quick` leaves out the largest guest, whose RAM is the workstation's, too."""
    try:
        return [*a_life(rounds), *domains(), *devices(), *memories(MEMORIES[:3 if quick else 4])]
    except (Failure, control_lab.Refused) as problem:
        raise measure.Broken(f"the control domain's part: {problem}") from problem


def main() -> int:
    guests.OUT.mkdir(parents=True, exist_ok=True)
    parts = {"life": lambda: a_life(ROUNDS), "domains": domains, "devices": devices,
             "memory": lambda: memories(MEMORIES)}
    found = [each for name in sys.argv[1:] or parts for each in parts[name]()]
    print(table(found))
    return 0 if all(each.ok for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
