"""A guest of role `iommu` (guest/iommu.sh): gives it orders, and judges what came of them.

What the guest says is checked against what others say: the drive's image, the network's server, and
the hypervisor, which must report what its own stage of translation stopped and nothing else.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import disk
import scenario
from board import Board
from console import fields
from judgement import Judgement, Results
from scenario import EDU, IGB, NVME, Device, Domain
from server import Server

BOOT_SECONDS, WORK_SECONDS = 400, 600
F_TRANSLATION = "0x10"
NVME_ID, IGB_ID, EDU_ID = "1b36:0010", "8086:10c9", "1234:11e8"
OWN = (NVME_ID, IGB_ID, EDU_ID)
OUTSIDE = 0x0a00_0000  # a guest-physical address where such a guest has nothing

# Lets the guest's program read from the drive's registers, which the drive's driver has claimed,
# under which address the drive finds its admin queue.
WORDS = "iomem=relaxed"


# What arm-smmu-v3 says when it has come up; kernels of before 7.x say more.
DRIVER_STARTED = re.compile(r"smmu arm-smmu-v3 .*\boas \d+-bit")


def lab_domain(name: str, kernel: str, cpus: list[int], words: str = "",
               iommu: str | None = "smmuv3", **more) -> Domain:
    """A guest of this role with an SMMU of its own, unless said otherwise."""
    return scenario.guest(name, "iommu", kernel, cpus, f"{WORDS} {words}".strip(), iommu=iommu,
                          **more)


def all_devices() -> list[Device]:
    return [Device(NVME), Device(IGB), Device(EDU, ("no-reset",))]


@dataclass
class Place:
    """Where the guest finds a device: its address, the stream ID of its requests, its group."""

    slot: str
    group: str = ""
    kind: str = ""  # of the group's default domain: DMA is strict, DMA-FQ lazy

    @property
    def stream(self) -> int:
        _, bus, rest = self.slot.split(":")
        device, function = rest.split(".")
        return int(bus, 16) << 8 | int(device, 16) << 3 | int(function)


@dataclass
class Lab:
    """One such guest on a running board. `focus` is its number for the console, if it has one."""

    board: Board
    name: str
    focus: int | None = None
    role: str = "iommu"
    boots: int = 0
    asked: dict[str, int] = field(default_factory=dict)

    def wait_boot(self) -> str:
        """Waits until it obeys orders, for the first or the next time; returns its kernel."""
        up = self.board.wait_for(self.name, rf"RESULT {self.role} up kernel=(\S+)", BOOT_SECONDS,
                                 f"guest {self.name} to reach its init", after=self.boots)
        self.board.wait_for(self.name, rf"RESULT {self.role} listening", BOOT_SECONDS,
                            f"guest {self.name} to listen", after=self.boots)
        self.boots += 1
        return up[1]

    def tell(self, order: str) -> None:
        self.board.type(f"{order}\n", domain=self.focus)

    def order(self, order: str) -> list[str]:
        """Gives an order, waits until it is done, and returns the RESULT lines it brought."""
        word = order.split()[0]
        before = len(self.board.console.results(self.name))
        self.tell(order)
        self.board.wait_for(self.name, rf"RESULT {self.role} (did {word}|failed .*)", WORK_SECONDS,
                            f"guest {self.name} to be done with `{order}`",
                            after=self.asked.get(word, 0) if word else 0)
        self.asked[word] = self.asked.get(word, 0) + 1
        return self.board.console.results(self.name)[before:]

    def leave(self, order: str) -> None:
        """An order that ends this boot: the next one has to be waited for with wait_boot()."""
        self.tell(order)
        word = order.split()[0]
        self.board.wait_for(self.name, rf"RESULT {self.role} leaving {word}", WORK_SECONDS,
                            f"guest {self.name} to leave for {word}",
                            after=self.asked.get(word, 0))
        self.asked[word] = self.asked.get(word, 0) + 1

    def results(self) -> Results:
        return Results(self.board.console, self.name)

    def places(self) -> dict[str, Place]:
        """The devices of this guest by vendor:device."""
        found = {each["id"]: Place(each["slot"])
                 for each in self.results().all(self.role, "pci") if "id" in each}
        for line in self.order("groups"):
            said = fields(line)
            for place in found.values():
                if "devices" in said and place.slot in said["devices"].split(","):
                    place.group, place.kind = said["number"], said["type"]
        return found


@dataclass
class Told:
    """An event that the guest's kernel logged (SMMUv3 specification, event records)."""

    kind: str
    stream: int
    address: int

    @staticmethod
    def parse(line: str) -> "Told":
        said = fields(line)
        words = [int(word, 16) for word in said["words"].split(",")]
        return Told(said["id"], words[0] >> 32, words[2])


def told(lines: list[str], role: str = "iommu") -> list[Told]:
    return [Told.parse(line) for line in lines if line.startswith(f"{role} event ")]


def judge_boot(judgement: Judgement, lab: Lab, kind: str, about: str) -> dict[str, Place]:
    """The stock driver found its SMMU, and every device has a group of its own."""
    said = lab.order("boot")
    judgement.check(f"{about}: the SMMU's driver has started",
                    any(DRIVER_STARTED.search(line) for line in said), str(said))
    bad = [line for line in said if any(word in line.lower() for word in
                                        ("fail", "timeout", "timed out", "error", "unable"))]
    judgement.check(f"{about}: it has nothing to complain about", not bad, str(bad))
    places = lab.places()
    own = {key: place for key, place in places.items() if key in OWN}
    groups = [place.group for place in own.values() if place.group]
    judgement.check(f"{about}: each device has a group of its own",
                    len(set(groups)) == len(groups) and
                    all(place.group for key, place in own.items() if key != EDU_ID),
                    str(places))
    kinds = {place.kind for place in own.values() if place.group}
    judgement.check(f"{about}: domains are of kind {kind}", kinds == {kind}, str(kinds))
    return places


def judge_io(judgement: Judgement, lab: Lab, image: Path, digest: str, about: str,
             server: Server | None = None) -> None:
    said = [fields(line) for line in lab.order("drive")
            if line.startswith(f"{lab.role} drive verified=")]
    judgement.check(f"{about}: the drive's data verified",
                    bool(said) and said[-1].get("verified") == "yes"
                    and said[-1].get("sha256") == digest, str(said))
    answer = fields((disk.read_file(image, "answer.txt") or b"").decode(errors="replace"))
    judgement.check(f"{about}: the answer has arrived on the drive",
                    answer.get("sha256") == digest, str(answer))
    if server is not None:
        server.returned.clear()
        server.answers.clear()
        lab.order("card")
        judgement.check(f"{about}: the network's data verified by the server", server.verified)


def judge_stray(judgement: Judgement, lab: Lab, about: str, outside: int) -> dict:
    """edu in the drive's buffer, which is the guest's business, and outside, which is ours."""
    before = blocked(lab)
    lines = lab.order(f"stray 0x{outside:x}")
    cut = {part: lines.index(f"iommu after stray {part}") if f"iommu after stray {part}" in lines
           else len(lines) for part in ("in", "out")}
    stream = lab.places()[EDU_ID].stream
    strays = {each["kind"]: each for each in map(fields, lines) if "readback" in each}
    controls = [fields(line) for line in lines if line.startswith("edu control")]
    judgement.check(f"{about}: edu reaches what is mapped for it, before and after",
                    len(controls) == 4 and all(each["read"] == "yes" for each in controls),
                    str(controls))
    for kind in ("nvme", "outside"):
        got = strays.get(kind, {})
        judgement.check(f"{about}: edu brings nothing back ({kind})",
                        got.get("readback") in ("nothing", "zeros", "ones"), str(got))
    inside = told(lines[cut["in"]:cut["out"]])
    address = int(strays.get("nvme", {}).get("address", "0"), 16)
    named = [each for each in inside if each.kind == F_TRANSLATION and each.stream == stream
             and each.address & ~0xfff == address & ~0xfff]
    judgement.check(f"{about}: the guest's kernel logs F_TRANSLATION with edu's stream ID",
                    bool(named) and len(named) == len(inside), str(inside))
    judgement.check(f"{about}: it hears nothing of what stage 2 stopped",
                    cut["out"] < len(lines) and not told(lines[cut["out"]:]),
                    str(told(lines[cut["out"]:])))
    reported = blocked(lab)[len(before):]
    judgement.check(f"{about}: the operator hears of the access outside, and of no other",
                    bool(reported) and all(
                        each.get("device") == EDU and each.get("domain") == lab.name
                        and same_page(each.get("target"), outside) for each in reported),
                    str(reported))
    return {"stream": stream, "events": len(named),
            "nvme": strays.get("nvme", {}).get("address", ""), "outside": f"0x{outside:x}",
            "reported": len(reported)}


def same_page(target: object, address: int) -> bool:
    try:
        return int(str(target), 0) & ~0xfff == address & ~0xfff
    except ValueError:
        return False


def blocked(lab: Lab) -> list[dict]:
    return [event.fields for event in lab.board.console.events() if event.name == "blocked"]
