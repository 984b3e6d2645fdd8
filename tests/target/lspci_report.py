"""The comparison of lspci's views as people read it."""

import difflib
import re

from lspci import Comparison, Function

INTRODUCTION = """\
# `lspci -vvv` in a guest, beside the bare board

Made by `tests/target/test_lspci.py`, which fails when a difference is not one that
[the policy](vpci-policy.md) allows; `PENSTOCK_UPDATE_GOLDEN=1` in its environment makes it anew.
Both views are of the same devices of the same board, under the same Debian kernel and drivers, and
only what differs is here: a line or register that is not listed reads the same. `…` stands for
words that are the same, and for numbers that each kernel chooses for itself. The addresses in BARs
are such numbers and are left out ("address bits above the size are the guest's"); the sizes and
kinds of BARs are compared. The whole texts, side by side, are in `build/lspci/` after the test.

The reasons are the policy's own words. "Shaped" before them means: the device's value, changed as
the reason says. What a guest sees besides its devices (the host bridge at 00:00.0, root ports from
00:10.0 on) is the hypervisor's own and has no counterpart on the board.

Board: QEMU {version}.
"""

# Chosen by the kernel that was running, not by the device.
CHOSEN = [(r"(Memory|I/O ports) at [0-9a-f]+", r"\1 at …"), (r"IRQ \d+", "IRQ …"),
          (r"(IOMMU group|Physical Slot): \d+", r"\1: …")]


def shortened(bare: str, guest: str) -> tuple[str, str]:
    """Both texts with `…` for what is the same, except how they begin."""
    for pattern, replacement in CHOSEN:
        bare, guest = re.sub(pattern, replacement, bare), re.sub(pattern, replacement, guest)
    if not bare or not guest:
        return cut(bare), cut(guest)
    one, other = bare.split(), guest.split()
    sides: tuple[list[str], list[str]] = ([], [])
    for tag, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        same = one[a:b] if b - a < 3 else ["…"] if a else [one[0], "…"]
        sides[0].extend(same if tag == "equal" else one[a:b])
        sides[1].extend(same if tag == "equal" else other[c:d])
    return " ".join(sides[0]), " ".join(sides[1])


def cut(text: str, words: int = 8) -> str:
    every = text.split()
    return " ".join(every if len(every) <= words else [*every[:words], "…"])


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def device_section(title: str, comparison: Comparison) -> list[str]:
    lines = [f"### {title}", "", row("where", "bare board", "guest", "why"), "|---|---|---|---|"]
    told: set[str] = set()
    for each in comparison.text:
        bare, guest = shortened(each.bare, each.guest)
        told.add(each.why)
        if bare != guest:
            lines.append(row(each.place, f"`{bare}`" if bare else "absent",
                             f"`{guest}`" if guest else "absent", each.why))
    # Registers of which lspci writes nothing, or nothing that differs.
    for each in comparison.registers:
        if not any(each.why in why for why in told):
            own = each.why.startswith("the guest's own")
            lines.append(row(f"{each.place}: {each.what}", "…" if own else f"`{each.bare}`",
                             "…" if own else f"`{each.guest}`", each.why))
    return [*lines, ""]


def title_of(function: Function) -> str:
    """The device's name as lspci has it, without where it is."""
    return re.sub(r" \(.*", "", function.lines[0].partition(" ")[2])


def document(version: str, layouts: dict[str, list[Comparison]]) -> str:
    parts = [INTRODUCTION.format(version=version)]
    for heading, comparisons in layouts.items():
        parts.append(f"## {heading}\n")
        for each in comparisons:
            parts.append("\n".join(device_section(title_of(each.bare), each)))
    return "\n".join(parts).rstrip("\n") + "\n"


def side_by_side(comparison: Comparison, width: int = 110) -> str:
    """Both texts, whole, as `diff --side-by-side` would show them."""
    bare = [line.expandtabs(4) for line in comparison.bare.lines]
    guest = [line.expandtabs(4) for line in comparison.guest.lines]
    lines = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, bare, guest, autojunk=False).get_opcodes():
        left, right = bare[a:b], guest[c:d]
        for index in range(max(len(left), len(right))):
            one = left[index] if index < len(left) else ""
            other = right[index] if index < len(right) else ""
            lines.append(f"{one:{width}} {' ' if tag == 'equal' else '|'} {other}".rstrip())
    return "\n".join(lines) + "\n\n"
