#!/usr/bin/python3
"""Copies one program, the shared libraries that it needs and the loader out of an unpacked root tree.

usage: closure.py TREE PROGRAM OUT     (PROGRAM relative to TREE; OUT is made)

Follows PT_INTERP and DT_NEEDED as the loader would, in the library folders of Debian's arm64, so that the result runs
under chroot or from an initramfs and holds nothing else.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDERS = ("usr/lib/aarch64-linux-gnu", "usr/lib")


def wanted_by(path: Path) -> tuple[list[str], list[str]]:
    """The names of the libraries that an ELF file needs, and the folders of its own that it looks in first."""
    text = subprocess.run(["aarch64-linux-gnu-readelf", "-d", "-W", str(path)], check=True,
                          capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", text)
    run_path = [p for entry in re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.+)\]", text)
                for p in entry.split(":")]
    return needed, run_path


def find(tree: Path, name: str, extra: list[str]) -> Path:
    for folder in [*(p.lstrip("/") for p in extra), *FOLDERS]:
        if (tree / folder / name).exists():
            return Path(folder) / name
    raise SystemExit(f"{name} is in none of the packages")


def copy(tree: Path, out: Path, place: Path) -> None:
    target = out / place
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile((tree / place).resolve(), target)
    target.chmod(0o755)


def main() -> None:
    tree, program, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), Path(sys.argv[3])
    for folder in ("bin", "lib", "sbin"):
        (out / "usr" / folder).mkdir(parents=True, exist_ok=True)
        (out / folder).symlink_to(f"usr/{folder}")
    # The loader is named in the program by /lib/ld-linux-aarch64.so.1, wherever the package keeps it.
    queue = [program, find(tree, "ld-linux-aarch64.so.1", [])]
    done: set[str] = set()
    while queue:
        place = queue.pop()
        if place.name in done:
            continue
        done.add(place.name)
        copy(tree, out, place)
        needed, run_path = wanted_by(tree / place)
        queue += [find(tree, name, run_path) for name in needed if name not in done]
    loader = out / "usr/lib/ld-linux-aarch64.so.1"
    if not loader.exists():
        shutil.copyfile((tree / find(tree, loader.name, [])).resolve(), loader)
        loader.chmod(0o755)
    print(f"{len(done)} files: {' '.join(sorted(done))}")


if __name__ == "__main__":
    main()
