"""What lspci says of a device on the bare board and in a guest, and whether the policy explains
each difference.

Judged twice. The hex dumps are compared register by register: every bit of the guest's has to be
what the policy's table says of it, and a difference is one that the table allows. Then the text is
compared line by line, and a line may differ only where a register behind it does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from vpci_policy import Policy, Register, Section

CONFIG_BYTES = 4096
FIRST_EXTENDED = 0x100  # PCIe 7.6.1
EXPRESS, MSI, MSIX, SRIOV = (False, 0x10), (False, 0x05), (False, 0x11), (True, 0x10)
PORT = "behind a virtual root port"  # the condition of the registers that a link has

# What lspci tells that is not in config space: it comes from the kernel, which knows the topology.
NOT_CONFIG = {
    "Physical Slot": "the slot of the port above: a virtual root port's, or none on the root bus",
    "IOMMU group": "a guest has IOMMU groups when it was given an IOMMU of its own",
    "NUMA node": "the guest's memory is one node",
}
UNLISTED = "not listed in the policy"

# The first words of lspci's lines and the registers behind them; {} is a BAR's number. A line about
# PCI Express has fewer words for an integrated endpoint, so its type is behind all of them.
HEADER_LINES = {
    "Subsystem": ["Subsystem Vendor ID", "Subsystem ID"], "Control": ["Command"],
    "Status": ["Status"], "Latency": ["Cache Line Size"], "Interrupt": ["Interrupt Pin"],
    "Region {}": ["BAR {}"], "Expansion ROM": ["Expansion ROM"],
}
TYPE = "PCIe Capabilities"
CAPABILITY_LINES = {
    EXPRESS: {"": [TYPE], "DevCap": ["Device Capabilities", TYPE],
              "DevCtl": ["Device Control", TYPE], "DevSta": ["Device Status"],
              "LnkCap": ["Link Capabilities", TYPE], "LnkCtl": ["Link Control", TYPE],
              "LnkSta": ["Link Status", TYPE], "DevCap2": ["Device Capabilities 2", TYPE],
              "DevCtl2": ["Device Control 2", TYPE], "LnkCap2": ["Link Capabilities 2", TYPE],
              "LnkCtl2": ["Link Control 2", TYPE], "LnkSta2": [TYPE]},
    MSI: {"": ["MSI Message Control"], "Address": ["MSI Address", "MSI Upper Address", "MSI Data"],
          "Masking": ["MSI Mask Bits", "MSI Pending Bits"]},
    MSIX: {"": ["MSI-X Message Control"], "Vector table": ["MSI-X Table"], "PBA": ["MSI-X PBA"]},
    SRIOV: {"IOVCap": ["SR-IOV Capabilities"], "IOVCtl": ["SR-IOV Control"],
            "IOVSta": ["SR-IOV Status"], "Initial VFs": ["InitialVFs", "TotalVFs", "NumVFs"],
            "VF offset": ["First VF Offset", "VF Stride", "VF Device ID"],
            "Supported Page Size": ["Supported Page Sizes", "System Page Size"],
            "Region {}": ["VF BAR {}"]},
    (False, 0x01): {"Flags": ["PMC"], "Status": ["PMCSR"]},
}

# What the masks of the policy say of a bit that differs.
WORDS = {"ro": "shaped", "one": "reads 1", "rw": "the guest's own", "live": "live",
         "hw rw": "live", "hw w1c": "live", "rsvdz": "reads 0"}


@dataclass
class Function:
    """One function as lspci shows it: its text, and its config space from the dump."""

    slot: str
    lines: list[str]
    config: bytes

    @staticmethod
    def parse(slot: str, shown: list[str]) -> "Function":
        config, lines = bytearray(CONFIG_BYTES), []
        for line in shown:
            if row := re.match(r"([0-9a-f]+):((?: [0-9a-f]{2}){16})$", line):
                config[int(row[1], 16):int(row[1], 16) + 16] = bytes.fromhex(row[2])
            else:
                lines.append(line)
        return Function(slot, lines, bytes(config))

    def read(self, offset: int, width: int) -> int:
        return int.from_bytes(self.config[offset:offset + width], "little")

    @property
    def identity(self) -> str:
        return f"{self.read(0, 2):04x}:{self.read(2, 2):04x}"

    @property
    def kind(self) -> int:
        """Base class and subclass."""
        return self.read(0x0a, 2)

    def capabilities(self) -> dict[int, tuple[bool, int]]:
        """(extended, id) by offset. A null capability (PCIe 7.9.28) is a link and nothing else."""
        found: dict[int, tuple[bool, int]] = {}
        at = self.read(0x34, 1) if self.read(6, 2) & 0x10 else 0
        while at:
            assert at >= 0x40 and at % 4 == 0 and at not in found, f"{self.slot}: list at {at:#x}"
            found[at] = (False, self.read(at, 1))
            at = self.read(at + 1, 1)
        at = FIRST_EXTENDED if EXPRESS in found.values() else 0
        while at and self.read(at, 4):
            assert at >= FIRST_EXTENDED and at not in found, f"{self.slot}: list at {at:#x}"
            found[at] = (True, self.read(at, 2))
            at = self.read(at, 4) >> 20
        return {offset: key for offset, key in found.items() if key != (True, 0)}

    def items(self) -> dict[tuple[int, str], str]:
        """The text by (offset of the capability or 0, first words), continuation lines joined."""
        found: dict[tuple[int, str], str] = {}
        block, key = 0, (0, "")
        for line in self.lines:
            text = line.strip()
            if start := re.match(r"\tCapabilities: \[([0-9a-f]+)[^\]]*\] (.*)", line):
                block = int(start[1], 16)
                key = (block, "")
                found[key] = start[2]
                continue
            if re.match(r"\t\S", line):
                block = 0
            label = re.match(r"(\t{1,2}|)([A-Z][A-Za-z0-9 ]*):\s", line)
            if label and label[1]:
                key = (block, label[2])
                found[key] = text
            elif not label and line.startswith("\t"):
                found[key] += " " + text
            else:  # the function's first line begins with where it is
                found[key] = text.partition(" ")[2]
        return found

    def bar_sizes(self) -> dict[int, str]:
        """By number: only what is memory, as lspci writes it."""
        return {int(m[1]): m[2] for line in self.lines
                if (m := re.match(r"\tRegion (\d): Memory .*\[size=(\w+)\]", line))}


@dataclass(frozen=True)
class Difference:
    place: str  # "header" or the capability's name
    what: str
    bare: str
    guest: str
    why: str


@dataclass
class Comparison:
    bare: Function
    guest: Function
    registers: list[Difference] = field(default_factory=list)
    text: list[Difference] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    _covered: set[int] = field(default_factory=set)
    _no_link: str = ""  # the policy's reason

    @property
    def integrated(self) -> bool:
        """Whether the guest has it on its root bus, without a port above."""
        return self.guest.slot.split(":")[1] == "00"

    def _fail(self, place: str, name: str, bare: int, guest: int, text: str) -> None:
        self.unexplained.append(f"{self.bare.identity} {place}, {name}: {bare:#x} on the bare "
                                f"board, {guest:#x} in the guest: {text}")

    def judge(self, policy: Policy) -> "Comparison":
        self._no_link = next(reg.why for reg in policy.capabilities[EXPRESS].registers
                             if reg.name == TYPE)
        self._judge_section(policy.header, 0, lambda _: True)
        shown, there = self.guest.capabilities(), self.bare.capabilities()
        for offset, key in shown.items():
            if there.get(offset) != key:
                self._fail("capabilities", f"{key[1]:#x}", 0, offset, "the device has none there")
        if (True, 0) not in there.values() and any(extended for extended, _ in shown.values()):
            # The extended list begins at 0x100, if need be with a link and nothing else.
            self._covered |= set(range(FIRST_EXTENDED, FIRST_EXTENDED + 4))
        for offset, key in there.items():
            self._judge_capability(policy, offset, key, offset in shown)
        for offset in range(CONFIG_BYTES):
            if offset not in self._covered and self.guest.config[offset]:
                self._fail("config space", f"byte {offset:#x}", self.bare.config[offset],
                           self.guest.config[offset], "it is not listed and has to read 0")
        if self.bare.bar_sizes() != self.guest.bar_sizes():
            self.unexplained.append(f"{self.bare.identity}: memory BARs {self.bare.bar_sizes()} "
                                    f"on the bare board, {self.guest.bar_sizes()} in the guest")
        self._judge_text(policy)
        return self

    def _judge_capability(self, policy: Policy, offset: int, key: tuple[bool, int],
                          shown: bool) -> None:
        section = policy.capabilities.get(key)
        listed = section is not None and (not section.restriction or
                                          PORT in section.restriction and not self.integrated)
        name = capability_name(policy, self.bare, offset, key)
        if not shown:
            why = (policy.never[key] if key in policy.never else
                   f"shown {section.restriction}" if section is not None else UNLISTED)
            if listed:
                self._fail(name, "the capability", offset, 0, "the policy shows it")
            self.registers.append(Difference(name, "all of it", "there", "absent",
                                             f"hidden ({why})"))
            return
        if not listed:
            self._fail(name, "the capability", offset, offset, "the policy hides it")
            return
        # Identity and version are the device's; the link is to what is shown next.
        self._covered |= set(range(offset, offset + (4 if key[0] else 2)))
        if key[0] and (self.bare.read(offset, 4) ^ self.guest.read(offset, 4)) & 0xf0000:
            self._fail(name, "version", self.bare.read(offset, 4), self.guest.read(offset, 4), "")
        self._judge_section(section, offset, lambda reg: self._is_there(key, offset, reg))

    def _is_there(self, key: tuple[bool, int], offset: int, reg: Register) -> bool:
        """Whether the condition on a register's name holds for this function in this guest."""
        word = self.guest.read(offset + 2, 2)
        facts = {}
        if key == MSI:
            facts = {"64-bit address": word & 0x80 != 0, "32-bit address": word & 0x80 == 0,
                     "per-vector masks": word & 0x100 != 0}
        elif key == EXPRESS:
            facts = {"version 2": word & 0xf >= 2,
                     PORT: word >> 4 & 0xf != 9}
        return all(facts[each] for each in filter(None, reg.condition.split(", ")))

    def _judge_section(self, section: Section, base: int, is_there) -> None:
        for reg in section.registers:
            at = base + reg.offset
            bare, guest = self.bare.read(at, reg.width), self.guest.read(at, reg.width)
            if not is_there(reg):
                if PORT in reg.condition and bare != guest:
                    self._differs(section, reg, bare, guest, f"shaped ({self._no_link})")
                continue
            self._covered |= set(range(at, at + reg.width))
            problem = self._problem(reg, bare, guest)
            if problem:
                self._fail(section.title, reg.name, bare, guest, problem)
            elif bare != guest:
                self._differs(section, reg, bare, guest, "")

    def _differs(self, section: Section, reg: Register, bare: int, guest: int, why: str) -> None:
        kinds = [WORDS[name] for name, mask in reg.masks.items() if mask & (bare ^ guest)]
        if reg.name.startswith("BAR ") and guest:
            kinds.append(WORDS["rw"])
        elif (bare ^ guest) & ~sum(reg.masks.values()):
            kinds.append("reads 0")
        reason = why or f"{' and '.join(kinds)} ({reg.why})".removesuffix(" ()")
        digits = 2 * reg.width
        self.registers.append(Difference(section.title, reg.name, f"{bare:0{digits}x}",
                                         f"{guest:0{digits}x}", reason))

    def _problem(self, reg: Register, bare: int, guest: int) -> str:
        """Why the guest's value is not what the policy says, or nothing."""
        if reg.name.startswith("BAR "):
            return self._bar_problem(reg, bare, guest)
        if reg.name.startswith("VF BAR "):
            return "its kind is not the device's" if guest and (guest ^ bare) & 0xf else ""
        fixed = reg.masks.get("ro", 0)
        if reg.name == "Capabilities Pointer":  # the walk through both lists judges it
            return ""
        if reg.name == "Header Type":  # 7.5.1.1.9: bit 7 is the topology's
            fixed &= 0x7f
        elif reg.name == "MSI-X Message Control":  # 7.7.2.2: the table's size may be cut
            fixed &= ~0x7ff
            if guest & 0x7ff > bare & 0x7ff:
                return "more vectors than the device has"
        elif reg.name == "MSI Message Control":  # 7.7.1.2: so may the messages capable
            fixed &= ~0xe
            if guest & 0xe > bare & 0xe:
                return "more messages than the device has"
        elif reg.name in ("InitialVFs", "TotalVFs"):  # 9.3.3.5, 9.3.3.6: so may the VFs
            return "more VFs than the device has" if guest > bare else ""
        elif reg.name == TYPE:  # 7.5.3.2: an endpoint, or an integrated one
            fixed &= ~0xf0
            if guest >> 4 & 0xf != (9 if self.integrated else bare >> 4 & 0xf):
                return "the type does not fit the place"
        if (guest ^ bare) & fixed:
            return "it is read-only and the device's own"
        one = reg.masks.get("one", 0)
        if guest & one != one:
            return "it always reads 1"
        return "it is not offered and has to read 0" if guest & ~reg.bits else ""

    def _bar_problem(self, reg: Register, bare: int, guest: int) -> str:
        number = int(reg.name.split()[1])
        upper = number and self.bare.read(0x10 + 4 * (number - 1), 4) & 7 == 4
        if upper and number - 1 in self.bare.bar_sizes():
            return ""
        if number not in self.bare.bar_sizes():
            return "it is no memory BAR and has to read 0" if guest else ""
        size, unit = re.match(r"(\d+)([KMGT]?)", self.bare.bar_sizes()[number]).groups()
        low = guest & (int(size) * 1024 ** " KMGT".index(unit or " ") - 1)
        return "" if low == bare & 0xf else "its kind or alignment is not the device's"

    def _judge_text(self, policy: Policy) -> None:
        bare, guest = self.bare.items(), self.guest.items()
        there, shown = self.bare.capabilities(), self.guest.capabilities()
        for key in [*bare, *(each for each in guest if each not in bare)]:
            block, label = key
            one, other = bare.get(key, ""), guest.get(key, "")
            if one == other:
                continue
            name = capability_name(policy, self.bare, block, there.get(block))
            if block and block not in shown:
                why = next((each.why for each in self.registers if each.place == name), None)
            elif not block and label in NOT_CONFIG:
                why = NOT_CONFIG[label]
            else:
                why = self._behind(there.get(block), label)
            if why is None:
                self.unexplained.append(f"{self.bare.identity} {name}: {one!r} on the bare board, "
                                        f"{other!r} in the guest: no register behind it differs")
            if not (block and block not in shown and label):  # a hidden one: its first line only
                self.text.append(Difference(name, label, one, other, why or "UNEXPLAINED"))

    def _behind(self, key: tuple[bool, int] | None, label: str) -> str | None:
        """The reasons of the registers behind a line, or None when none of them differs."""
        number = re.sub(r"\d$", "{}", label) if label.startswith("Region") else label
        lines = HEADER_LINES if key is None else CAPABILITY_LINES.get(key, {})
        names = [name.format(label[-1:]) for name in lines.get(number, [])]
        whys = [each.why for name in names for each in self.registers if each.what == name]
        return "; ".join(dict.fromkeys(whys)) or None


def capability_name(policy: Policy, function: Function, offset: int,
                    key: tuple[bool, int] | None) -> str:
    if not offset or key is None:
        return "Header"
    if key in policy.capabilities:
        return policy.capabilities[key].title
    title = function.items().get((offset, ""), f"{key[1]:#x}")
    return re.split(r" \(|:", title)[0]


def captured(lines: list[str]) -> Iterator[Function]:
    """The functions that role `lspci` has told of, each complete."""
    slot, shown = "", []
    for line in lines:
        if begin := re.match(r"RESULT lspci begin slot=(\S+)", line):
            slot, shown = begin[1], []
        elif line.startswith("LSPCI "):
            shown.append(line.removeprefix("LSPCI "))
        elif end := re.match(r"RESULT lspci end slot=(\S+) lines=(\d+)", line):
            assert end[1] == slot and int(end[2]) == len(shown), f"lines of {slot} are missing"
            yield Function.parse(slot, shown)
