"""docs/vpci-policy.md as a program reads it: what a guest may see of a function's config space.

A unit test keeps the document equal to the table that the hypervisor uses, so who judges a guest's
view by the document judges it by what the hypervisor promises, and not by its code.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import paths

MASKS = ("ro", "one", "rw", "live", "hw rw", "hw w1c", "rsvdz")


@dataclass(frozen=True)
class Register:
    offset: int  # from the capability's beginning
    width: int
    name: str
    condition: str  # "" or when it is there, such as "64-bit address"
    masks: dict[str, int]
    why: str

    @property
    def bits(self) -> int:
        """The bits that a guest can ever read as 1."""
        return sum(mask for name, mask in self.masks.items() if name != "rsvdz")


@dataclass(frozen=True)
class Section:
    title: str
    restriction: str  # "" or to whom alone it is shown
    registers: list[Register] = field(default_factory=list)


@dataclass(frozen=True)
class Policy:
    header: Section
    capabilities: dict[tuple[bool, int], Section]  # by (extended, id)
    never: dict[tuple[bool, int], str]  # why


def register(cells: list[str], why_before: str) -> Register:
    offset, width, name, *masks, why = cells
    name, _, condition = name.partition(" (")
    values = {key: int(cell, 16) for key, cell in zip(MASKS, masks, strict=True) if cell}
    return Register(int(offset, 16), int(width), name, condition.rstrip(")"), values,
                    why or why_before)


def read(file: Path = paths.ROOT / "docs" / "vpci-policy.md") -> Policy:
    header, capabilities, never = None, {}, {}
    section: Section | None = None
    text = file.read_text()
    assert "Whatever is not listed is hidden: it reads zero" in text, file
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if title := re.match(r"## (.*?)(?: \((.*)\))?$", line):
            section = None
            if title[1] == "Header":
                header = section = Section("Header", "")
            elif found := re.match(r"(.*), (extended )?([0-9a-f]+)$", title[1]):
                section = Section(found[1], title[2] or "")
                capabilities[bool(found[2]), int(found[3], 16)] = section
        elif section is not None and line.startswith("| +0x"):
            before = section.registers[-1].why if section.registers else ""
            section.registers.append(register(cells, before))
        elif found := re.match(r"\| (extended )?0x([0-9a-f]+) \|", line):
            # Also the list of what full access leaves out: no guest without it sees those either.
            never[bool(found[1]), int(found[2], 16)] = cells[2]
    assert header is not None and header.registers and capabilities and never, file
    return Policy(header, capabilities, never)
