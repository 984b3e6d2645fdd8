#!/usr/bin/python3
"""Adds up what one `./dev test` ran and prints `N passed, N failed, N skipped` as the last line.

usage: counts.py RESULTS

RESULTS holds ctest.xml and gtest/*.json (unit tests: every TEST counts, not every program), fuzz.tsv (one test per
fuzz target), pytest.xml and pytest.status (whole systems, and how pytest itself ended). A program that died before it
could report counts as one failed test, and so does a kind of tests of which there is no report at all. Exit status 0
only when tests ran and none failed.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


class Counts:
    def __init__(self) -> None:
        self.passed = 0
        self.skipped = 0
        self.failures: list[str] = []

    def fail(self, name: str) -> None:
        self.failures.append(name)


def read_gtest(folder: Path, counts: Counts) -> set[str]:
    """Every TEST of every program that wrote a report; returns the programs that said themselves that they failed."""
    failed_programs = set()
    for file in sorted(folder.glob("*.json")):
        try:
            report = json.loads(file.read_text())
        except json.JSONDecodeError:
            continue  # died while it wrote: ctest's verdict counts
        for suite in report.get("testsuites", []):
            for test in suite["testsuite"]:
                name = f"{suite['name']}.{test['name']}"
                if test.get("failures"):
                    counts.fail(f"{file.stem}: {name}")
                    failed_programs.add(file.stem)
                elif test.get("result") == "SKIPPED" or test.get("status") == "NOTRUN":
                    counts.skipped += 1
                else:
                    counts.passed += 1
    return failed_programs


def read_ctest(results: Path, counts: Counts) -> None:
    file = results / "ctest.xml"
    if not file.exists():
        counts.fail("unit tests: no report")
        return
    failed_programs = read_gtest(results / "gtest", counts)
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        name = case.get("name", "?")
        explained = f"penstock_{name}_test" in failed_programs
        if case.get("status") == "fail" and not explained:
            counts.fail(f"{name}: the program ended without a failed TEST of its own"
                        " (sanitizer, crash or time-out)")


def read_fuzz(results: Path, counts: Counts) -> None:
    file = results / "fuzz.tsv"
    lines = file.read_text().splitlines() if file.exists() else []
    if not lines:
        counts.fail("fuzz targets: no report")
    for line in lines:
        stem, verdict, _ = line.split("\t")
        if verdict == "passed":
            counts.passed += 1
        else:
            counts.fail(f"fuzz: {stem}")


def read_pytest(results: Path, counts: Counts) -> None:
    file = results / "pytest.xml"
    cases = list(ElementTree.parse(file).getroot().iter("testcase")) if file.exists() else []
    if not cases:
        counts.fail("whole-system tests: none ran")
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            counts.fail(f"{case.get('classname')}::{case.get('name')}")
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    ended = results / "pytest.status"
    status = ended.read_text().strip() if ended.exists() else "unknown"
    if cases and status not in ("0", "1"):  # 1 is a failed test, which the report names
        counts.fail(f"whole-system tests: pytest ended early, with status {status}")


def main() -> int:
    results = Path(sys.argv[1])
    counts = Counts()
    read_ctest(results, counts)
    read_fuzz(results, counts)
    read_pytest(results, counts)
    for name in counts.failures:
        print(f"FAILED {name}")
    print(f"{counts.passed} passed, {len(counts.failures)} failed, {counts.skipped} skipped")
    return 0 if counts.passed and not counts.failures else 1


if __name__ == "__main__":
    sys.exit(main())
