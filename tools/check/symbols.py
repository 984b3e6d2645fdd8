#!/usr/bin/python3
"""Looks at the linked image: it needs nothing from outside and runs no code before its own entry.

usage: symbols.py BUILD      (the folder of the `target` preset)

An undefined name would be a call into a library that is not there; constructors of globals would be code that nobody
calls; a section that is both writable and executable would be one that the image's own map cannot protect.
"""

import subprocess
import sys
from pathlib import Path

import tree


def output(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def main() -> int:
    found = sorted(Path(sys.argv[1]).rglob("penstock.elf"))
    if not found:
        print(f"no penstock.elf below {sys.argv[1]}: ./dev build makes it")
        return 1
    image = str(found[0])
    problems = [f"undefined: {line.split()[-1]}" for line in output("llvm-nm-19", "-u", image) if line.strip()]
    for line in output("llvm-readelf-19", "-S", "-W", image):
        words = line.replace("[ ", "[").split()
        if len(words) < 9 or not words[0].startswith("["):
            continue
        name, size, flags = words[1], words[5], words[7]
        if name in (".init_array", ".ctors", ".preinit_array") and int(size, 16):
            problems.append(f"{name} is not empty: a global has a constructor")
        if "W" in flags and "X" in flags:
            problems.append(f"{name} is writable and executable")
    return tree.finish(problems, image)


if __name__ == "__main__":
    sys.exit(main())
