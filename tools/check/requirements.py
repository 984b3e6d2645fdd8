#!/usr/bin/python3
"""Traces requirement rows and hazards to the tests that cover them.

usage: requirements.py [--write]

Rows are those of docs/requirements.toml. A test names its rows in a comment above it: `// Covers: S0.13 H17` in C++,
`# Covers: ...` in Python. With --write, docs/requirements.md is made anew; without, it has to be what --write would
make. Fails too when a row that is required has no test, or a test names a row that does not exist.
"""

import re
import sys
import tomllib
from pathlib import Path

import tree

SOURCE = Path("docs/requirements.toml")
TARGET = Path("docs/requirements.md")
COVERS = re.compile(r"^\s*(?://|#)\s*Covers:\s*(.*)$")
ROW = re.compile(r"\b(?:S\d+\.\d+|H\d+)\b")
CPP_TEST = re.compile(r"^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)"
                      r"\s*\(\s*(\w+)\s*,\s*(\w+)", re.MULTILINE)
PYTHON_TEST = re.compile(r"^\s*(?:async\s+)?def\s+(test_\w+)", re.MULTILINE)
FUZZ = "LLVMFuzzerTestOneInput"
NEAR = 12  # lines between a Covers line and its test: more comment, a decorator, a parameter table


def test_below(path: Path, lines: list[str]) -> str | None:
    """The name of the test that begins in these lines, the ones that follow a Covers line."""
    text = "\n".join(lines[:NEAR])
    if path.suffix == ".py":
        match = PYTHON_TEST.search(text)
        return match[1] if match else None
    match = CPP_TEST.search(text)
    if match:
        return f"{match[1]}.{match[2]}"
    return path.stem if FUZZ in text else None


def collect() -> tuple[dict[str, list[str]], list[str]]:
    """Row -> tests that cover it ("name in folder"), and what is wrong with Covers lines."""
    covered: dict[str, list[str]] = {}
    problems = []
    for path in tree.files(".cpp", ".py"):
        if path.is_relative_to("tools/check"):
            continue
        lines = tree.text(path).splitlines()
        for number, line in enumerate(lines, 1):
            match = COVERS.match(line)
            if not match:
                continue
            rows = ROW.findall(match[1])
            name = test_below(path, lines[number:])
            if not rows:
                problems.append(f"{path}:{number}: names no row")
            # A fuzz target may say what it covers at the head of its file.
            if name is None and path.stem.endswith("_fuzz"):
                name = path.stem
            if name is None:
                problems.append(f"{path}:{number}: stands above no test")
                continue
            for row in rows:
                place = f"`{name}` ({path.parent})"
                if place not in covered.setdefault(row, []):
                    covered[row].append(place)
    return covered, problems


def render(table: dict, covered: dict[str, list[str]]) -> str:
    required = set(ROW.findall(table["required"]))
    rows = table["rows"]
    done = sum(1 for row in rows if covered.get(row))
    out = ["# Requirements and the tests that show them", "",
           "Made by `tools/check/requirements.py` from [requirements.toml](requirements.toml) and the `Covers:` lines",
           "of the tests; `./dev check --fix` makes it anew. A row without a test is open. Rows in bold have to have a",
           "test by now: `./dev check` fails when one has none.", "",
           f"{done} of {len(rows)} rows have a test.", ""]
    for area, title in table["areas"].items():
        own = [row for row in rows if row.startswith(area + ".") or (area == "H" and row[0] == "H")]
        out += [f"## {area}: {title}" if area != "H" else f"## {title}", "", "| row | what | tests |", "|---|---|---|"]
        for row in own:
            name = f"**{row}**" if row in required else row
            out.append(f"| {name} | {rows[row]} | {', '.join(covered.get(row, [])) or 'open'} |")
        out.append("")
    return "\n".join(out)


def main() -> int:
    table = tomllib.loads(tree.text(SOURCE))
    covered, problems = collect()
    known = set(table["rows"])
    problems += [f"{row} is no row of {SOURCE}: {', '.join(tests)}"
                 for row, tests in sorted(covered.items()) if row not in known]
    problems += [f"{row} is required and has no test: {table['rows'].get(row, 'no such row')}"
                 for row in ROW.findall(table["required"]) if not covered.get(row)]
    wanted = render(table, covered)
    if "--write" in sys.argv[1:]:
        (tree.ROOT / TARGET).write_text(wanted)
        print(f"{TARGET} written")
        return 0
    if not (tree.ROOT / TARGET).is_file() or tree.text(TARGET) != wanted:
        problems.append(f"{TARGET} is not what the tests say: ./dev check --fix makes it anew")
    return tree.finish(problems, f"{len(known)} rows, {sum(1 for r in known if covered.get(r))} with a test")


if __name__ == "__main__":
    sys.exit(main())
