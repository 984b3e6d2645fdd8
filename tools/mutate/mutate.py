#!/usr/bin/python3
"""Changes single lines of the code and looks whether a test notices.

usage: mutate.py [--count N] [--seed S] [--list] [FOLDER...]

Works on a copy of the tree, build/mutate/source, that is built without sanitizers. Each mutant is compiled; the unit
tests of its own folder run first, then those of the folders above it, until one fails: the mutant is killed. What no
test notices has survived, and is listed unless tests/mutants/explained.toml says why no test can notice it. Writes
build/mutate/report.json; exit status 1 when less than 95 % of the mutants that compile are killed or explained.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import mutants as kinds

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutate"
SOURCE, BUILD = WORK / "source", WORK / "build"
EXPLAINED = ROOT / "tests" / "mutants" / "explained.toml"
# From the bottom of the house to its top: a change shows in the tests of its folder or of those after it.
FOLDERS = ["core/mem", "core/pci", "core/iommu", "core/msi", "core/vpci", "core/viommu", "core/vmsi", "core/assign",
           "core/control", "core/vm"]
DEFAULT = ["core/assign", "core/viommu", "core/vmsi", "core/vpci", "core/iommu", "core/msi", "core/pci", "core/mem"]
TEST_ONLY = ("_test.cpp", "_fuzz.cpp", "_bench.cpp")
WANTED_SHARE = 0.95
COMPILE_SECONDS, TEST_SECONDS = 600, 60


def run(command: list[str], seconds: int) -> subprocess.CompletedProcess | None:
    """None: it has not ended in time, and is no more."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, errors="replace")
    except subprocess.TimeoutExpired:
        return None


def copy_tree() -> None:
    """The files that git knows; those that have not changed keep their time, so that they are not compiled again."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        here, there = ROOT / name, SOURCE / name
        if not here.is_file():
            continue
        if there.is_file() and there.read_bytes() == here.read_bytes():
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here, there)


def configure() -> None:
    launcher = []
    if shutil.which("ccache"):
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
    done = run(["cmake", "-G", "Ninja", "-S", str(SOURCE), "-B", str(BUILD), "-DCMAKE_BUILD_TYPE=Debug",
                "-DCMAKE_CXX_COMPILER=clang++-19", "-DCMAKE_C_COMPILER=clang-19", "-DCMAKE_CXX_FLAGS_DEBUG=-O0 -w",
                "-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld", f"-DPENSTOCK_LIBFDT={ROOT / 'build/payload/libfdt'}", *launcher], COMPILE_SECONDS)
    if done is None or done.returncode != 0:
        sys.exit(f"mutate: cmake fails:\n{done.stdout + done.stderr if done else 'no end'}")


def program(folder: str) -> str:
    return f"penstock_{Path(folder).name}_test"


def compile_tests(folders: list[str]) -> bool:
    done = run(["cmake", "--build", str(BUILD), "-j", str(os.cpu_count()), "--target", *map(program, folders)],
               COMPILE_SECONDS)
    return done is not None and done.returncode == 0


def fails(folder: str) -> bool:
    done = run([str(BUILD / folder / program(folder)), "--gtest_brief=1", "--gtest_fail_fast"], TEST_SECONDS)
    return done is None or done.returncode != 0


def folder_of(path: Path) -> str:
    return next(each for each in FOLDERS if path.is_relative_to(each))


def above(folder: str) -> list[str]:
    return FOLDERS[FOLDERS.index(folder):]


def try_mutant(mutant: kinds.Mutant, folder: str) -> str:
    """`killed by FOLDER`, `survived` or `does not compile`."""
    file = SOURCE / mutant.path
    original = file.read_text()
    file.write_text(mutant.apply(original))
    try:
        if not compile_tests([folder]):
            return "does not compile"
        if fails(folder):
            return f"killed by {folder}"
        for other in above(folder)[1:]:
            if compile_tests([other]) and fails(other):
                return f"killed by {other}"
        return "survived"
    finally:
        file.write_text(original)


def candidates(folders: list[str]) -> dict[str, list[kinds.Mutant]]:
    found = {}
    for folder in folders:
        files = [path for path in sorted((ROOT / folder).rglob("*.cpp")) if not path.name.endswith(TEST_ONLY)]
        found[folder] = [each for path in files
                         for each in kinds.mutants_of(path.relative_to(ROOT), path.read_text())]
    return found


def reason_for(mutant: kinds.Mutant, explained: list[dict]) -> str | None:
    for each in explained:
        if (each["path"], each["before"], each["after"]) == (str(mutant.path), mutant.before.strip(),
                                                             mutant.after.strip()):
            return each["reason"]
    return None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev mutate",
                                     description="Changes single lines and looks whether a test notices.")
    parser.add_argument("--count", type=int, default=200, help="how many mutants are drawn (200)")
    parser.add_argument("--seed", type=int, default=1, help="decides which (1)")
    parser.add_argument("--list", action="store_true", help="only show what would be changed")
    parser.add_argument("folders", nargs="*", default=DEFAULT, metavar="FOLDER", help="such as core/vpci")
    chosen = parser.parse_args()
    unknown = [each for each in chosen.folders if each.rstrip("/") not in FOLDERS]
    if unknown:
        parser.error(f"no tests are known for {', '.join(unknown)}; there are: {', '.join(FOLDERS)}")
    chosen.folders = [each.rstrip("/") for each in chosen.folders]
    return chosen


def main() -> int:
    chosen = arguments()
    explained = tomllib.loads(EXPLAINED.read_text())["mutant"] if EXPLAINED.is_file() else []
    drawn = kinds.draw(candidates(chosen.folders), chosen.count, chosen.seed)
    if chosen.list:
        for each in drawn:
            print(f"{each.path}:{each.line}\n  - {each.before.strip()}\n  + {each.after.strip()}")
        return 0
    copy_tree()
    configure()
    folders = above(min(chosen.folders, key=FOLDERS.index))
    print(f"building the tests of {len(folders)} folders", flush=True)
    if not compile_tests(folders):
        sys.exit("mutate: the unchanged tree does not build")
    broken = [each for each in folders if fails(each)]
    if broken:
        sys.exit(f"mutate: tests of the unchanged tree fail: {', '.join(broken)}")
    outcomes: Counter[str] = Counter()
    rows = []
    for number, mutant in enumerate(drawn, 1):
        outcome = try_mutant(mutant, folder_of(mutant.path))
        reason = reason_for(mutant, explained) if outcome == "survived" else None
        kind = "explained" if reason else outcome.split(" by ")[0]
        outcomes[kind] += 1
        rows.append({"path": str(mutant.path), "line": mutant.line, "before": mutant.before.strip(),
                     "after": mutant.after.strip(), "outcome": outcome, **({"reason": reason} if reason else {})})
        print(f"{number}/{len(drawn)} {mutant.path}:{mutant.line} {outcome if not reason else 'explained'}", flush=True)
        if kind == "survived":
            print(f"  - {mutant.before.strip()}\n  + {mutant.after.strip()}", flush=True)
    judged = outcomes["killed"] + outcomes["survived"] + outcomes["explained"]
    good = outcomes["killed"] + outcomes["explained"]
    report = {"seed": chosen.seed, "counts": dict(outcomes), "mutants": rows}
    (WORK / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{outcomes['killed']} killed, {outcomes['explained']} explained, {outcomes['survived']} survived, "
          f"{outcomes['does not compile']} do not compile; each is in build/mutate/report.json")
    return 0 if judged and good >= WANTED_SHARE * judged else 1


if __name__ == "__main__":
    sys.exit(main())
