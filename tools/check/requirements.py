#!/usr/bin/python3
"""Traces requirement rows and hazards to the tests that cover them.

usage: requirements.py [--write]

Rows are those of docs/requirements.toml. A test names its rows in the comment above it: `Covers: S0.13 H17` at the end
of a comment line, in C++ or Python. With --write, docs/requirements.md is made anew; without, it has to be what --write
would make. Fails too when a row that is required has no test, when a row or a test does not fit the other, and when a
test that covers a row may skip: what has not run shows nothing. Tests of sim/ are about the model of the hardware, not
about Penstock, and cover no row.
"""

import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import tree

SOURCE = Path("docs/requirements.toml")
TARGET = Path("docs/requirements.md")
COVERS = re.compile(r"^\s*(?://|#)(?:.*\s)?Covers:\s*(.*)$")
ROW = re.compile(r"\b(?:S\d+\.\d+|H\d+)\b")
CPP_TEST = re.compile(r"^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)"
                      r"\s*\(\s*(\w+)\s*,\s*(\w+)", re.MULTILINE)
PYTHON_TEST = re.compile(r"^\s*(?:async\s+)?def\s+(test_\w+)", re.MULTILINE)
SKIP = re.compile(r"\bGTEST_SKIP\b|\bpytest\.(?:skip|importorskip|mark\.skip)")
FUZZ = "LLVMFuzzerTestOneInput"
NEAR = 12  # lines between a Covers line and its test: more comment, a decorator, a parameter table


@dataclass
class Covered:
    """Row -> tests that cover it ("`name` (folder)"), and what is wrong with Covers lines."""

    rows: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, row: str, place: str) -> None:
        places = self.rows.setdefault(row, [])
        if place not in places:
            places.append(place)


def test_below(path: Path, lines: list[str]) -> str | None:
    """The name of the test that begins in these lines, the ones that follow a Covers line."""
    text = "\n".join(lines[:NEAR])
    if path.suffix == ".py":
        match = PYTHON_TEST.search(text)
        return match[1] if match else None
    match = CPP_TEST.search(text)
    if match:
        return f"{match[1]}.{match[2]}"
    # A fuzz target may say what it covers at the head of its file.
    return path.stem if FUZZ in text or path.stem.endswith("_fuzz") else None


def may_skip(path: Path, lines: list[str]) -> bool:
    """True where the test that these lines lead to, up to the next one, can end as skipped."""
    begins = CPP_TEST if path.suffix == ".cpp" else PYTHON_TEST
    seen = 0
    for line in lines:
        seen += 1 if begins.match(line) else 0
        if seen > 1:
            return False
        if SKIP.search(line):
            return True
    return False


def judge_line(path: Path, lines: list[str], number: int, covered: Covered) -> None:
    """Line `number` (from 1) of a file, if it is a Covers line."""
    match = COVERS.match(lines[number - 1])
    if not match:
        return
    place = f"{path}:{number}"
    rows = ROW.findall(match[1])
    name = test_below(path, lines[number:])
    if not rows:
        covered.problems.append(f"{place}: names no row")
    if path.parts[0] == "sim":
        covered.problems.append(f"{place}: tests of the simulated board cover no row")
    elif name is None:
        covered.problems.append(f"{place}: stands above no test")
    elif may_skip(path, lines[number:]):
        covered.problems.append(f"{place}: {name} may skip, and then shows nothing")
    else:
        for row in rows:
            covered.add(row, f"`{name}` ({path.parent})")


def collect() -> Covered:
    covered = Covered()
    for path in tree.files(".cpp", ".py"):
        if path.is_relative_to("tools/check"):
            continue
        lines = tree.text(path).splitlines()
        for number in range(1, len(lines) + 1):
            judge_line(path, lines, number, covered)
    return covered


def state(table: dict, covered: Covered, row: str) -> str:
    if not covered.rows.get(row):
        return "open"
    return "part" if row in table["part"] else "full"


def render(table: dict, covered: Covered) -> str:
    required = set(ROW.findall(table["required"]))
    rows = table["rows"]
    states = [state(table, covered, row) for row in rows]
    out = ["# Requirements and the tests that show them", "",
           "Made by `tools/check/requirements.py` from [requirements.toml](requirements.toml) and the `Covers:` lines",
           "of the tests; `./dev check --fix` makes it anew. A row without a test is open; of one that is shown in part",
           "the state says what is missing. Rows in bold have to have a test by now: `./dev check` fails when one has",
           "none.", "",
           f"{len(rows)} rows: {states.count('full')} full, {states.count('part')} in part, "
           f"{states.count('open')} open.", ""]
    for area, title in table["areas"].items():
        own = [row for row in rows if row.startswith(area + ".") or (area == "H" and row[0] == "H")]
        when = "input that has to be survived" if area == "H" else "shown when"
        out += [f"## {area}: {title}" if area != "H" else f"## {title}", "",
                f"| row | what | {when} | state | tests |", "|---|---|---|---|---|"]
        for row in own:
            name = f"**{row}**" if row in required else row
            now = state(table, covered, row)
            if now == "part":
                now = f"part: {table['part'][row]}"
            out.append(f"| {name} | {rows[row]} | {table['works'][row]} | {now} |"
                       f" {', '.join(covered.rows.get(row, []))} |")
        out.append("")
    return "\n".join(out)


def judge_table(table: dict, covered: Covered) -> list[str]:
    """What speaks against the rows and their tests."""
    rows = table["rows"]
    problems = [f"{row} is no row of {SOURCE}: {', '.join(tests)}"
                for row, tests in sorted(covered.rows.items()) if row not in rows]
    for section in ("works", "part"):
        problems += [f"{row} of [{section}] is no row of {SOURCE}"
                     for row in table[section] if row not in rows]
    problems += [f"{row} has no line in [works]: when does it count as shown?"
                 for row in rows if row not in table["works"]]
    problems += [f"{row} of [part] has no test: it is open"
                 for row in table["part"] if row in rows and not covered.rows.get(row)]
    problems += [f"{row} is required and has no test: {rows.get(row, 'no such row')}"
                 for row in ROW.findall(table["required"]) if not covered.rows.get(row)]
    return problems


def main() -> int:
    table = tomllib.loads(tree.text(SOURCE))
    covered = collect()
    problems = covered.problems + judge_table(table, covered)
    if problems:
        return tree.finish(problems, "")
    wanted = render(table, covered)
    if "--write" in sys.argv[1:]:
        (tree.ROOT / TARGET).write_text(wanted)
        print(f"{TARGET} written")
        return 0
    if not (tree.ROOT / TARGET).is_file() or tree.text(TARGET) != wanted:
        problems.append(f"{TARGET} is not what the tests say: ./dev check --fix makes it anew")
    return tree.finish(problems, f"{len(table['rows'])} rows")


if __name__ == "__main__":
    sys.exit(main())
