#!/usr/bin/python3
"""clang-tidy over every C++ file that a build compiles, several at once.

usage: tidy.py BUILD...      (build folders with compile_commands.json; the first that knows a file is used)

Test code is spared the path-sensitive analyzer, which takes most of the time and thinks little of gtest's macros.
A file that was clean is not looked at again until it, a file that it includes, or .clang-tidy changes: what was clean
is kept in build/tidy.
"""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

FOR_TESTS = "-clang-analyzer-*,-performance-inefficient-vector-operation"
CLEAN = tree.ROOT / "build" / "tidy"


def commands(builds: list[Path]) -> dict[Path, Path]:
    """Each of our files that is compiled -> the build folder that knows how."""
    ours, found = set(tree.files(".cpp")), {}
    for build in builds:
        for entry in json.loads((build / "compile_commands.json").read_text()):
            file = Path(entry["directory"], entry["file"]).resolve()
            if file.is_relative_to(tree.ROOT) and file.relative_to(tree.ROOT) in ours:
                found.setdefault(file.relative_to(tree.ROOT), build)
    return found


def key(path: Path) -> str:
    """A name for all that the verdict on one file depends on within the repository."""
    digest = hashlib.sha256(b"".join((tree.ROOT / p).read_bytes() for p in
                                     (".clang-tidy", "cmake/component.cmake", "tools/check/tidy.py")))
    seen, queue = {path}, [path]
    while queue:
        current = queue.pop()
        digest.update(str(current).encode() + (tree.ROOT / current).read_bytes())
        for kind, name, _ in tree.includes(current):
            after = Path(name)
            if kind == '"' and after not in seen and (tree.ROOT / after).is_file():
                seen.add(after)
                queue.append(after)
    return digest.hexdigest()


def look(path: Path, build: Path) -> tuple[Path, str]:
    """Runs clang-tidy on one file; returns what it said, nothing when clean."""
    stamp = CLEAN / key(path)
    if stamp.exists():
        return path, ""
    result = subprocess.run(["clang-tidy-19", "-p", str(build), "--quiet", "--warnings-as-errors=*",
                             f"--checks={FOR_TESTS if tree.is_test_only(path) else ''}", str(path)],
                            cwd=tree.ROOT, capture_output=True, text=True)
    if result.returncode == 0:
        stamp.touch()
        return path, ""
    return path, result.stdout or result.stderr


def main() -> int:
    builds = [Path(name).resolve() for name in sys.argv[1:]]
    CLEAN.mkdir(parents=True, exist_ok=True)
    jobs = commands(builds)
    bad = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, said in pool.map(lambda item: look(*item), sorted(jobs.items())):
            if said:
                print(said.rstrip())
                bad.append(str(path))
    return tree.finish([f"not clean: {name}" for name in bad], f"{len(jobs)} files")


if __name__ == "__main__":
    sys.exit(main())
