#!/usr/bin/python3
"""clang-format over every C++ file of ours.

usage: format.py [--fix]
"""

import subprocess
import sys

import tree


def main() -> int:
    names = [str(path) for path in tree.files(*tree.CPP)]
    mode = ["-i"] if "--fix" in sys.argv[1:] else ["--dry-run", "-Werror"]
    result = subprocess.run(["clang-format-19", *mode, *names], cwd=tree.ROOT)
    if result.returncode == 0:
        print(f"{len(names)} files")
    else:
        print("./dev check --fix reformats them")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
