#!/usr/bin/python3
"""Finds what does not belong in the repository.

- a note to do something later that names no issue: it has to say `TODO(#12)`
- the name of a package archive (those of this machine's apt sources): set-up uses whichever a machine has
- absolute paths of somebody's machine
"""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import tree

LATER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
PLACES = re.compile(r"(?<![\w.}$*~])/(?:work|home|Users|mnt/c|tmp/\w+)/[\w.-]+")
BINARY = {".png", ".img", ".bin", ".dtb"}


def archives() -> set[str]:
    """Host names in the machine's apt sources, switched off ones too."""
    found = set()
    folder = Path("/etc/apt")
    for file in [folder / "sources.list", *folder.glob("sources.list.d/*")]:
        if file.is_file():
            for url in re.findall(r"\b(?:https?|ftp)://[^\s\]]+", file.read_text(errors="replace")):
                host = urlsplit(url).hostname
                if host and host != "localhost" and not re.fullmatch(r"[\d.]+", host):
                    found.add(host)
    return found


def main() -> int:
    hosts = sorted(archives())
    problems = []
    listed = tree.files()
    for path in listed:
        if path.suffix in BINARY or "seeds" in path.parts or path.name == Path(__file__).name:
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if LATER.search(line):
                problems.append(f"{path}:{number}: a note for later without its issue: {line.strip()[:60]}")
            if match := PLACES.search(line):
                problems.append(f"{path}:{number}: a path of one machine: {match[0]}")
            problems += [f"{path}:{number}: names a package archive: {host}" for host in hosts if host in line]
            if str(tree.ROOT) in line and len(tree.ROOT.parts) > 2:
                problems.append(f"{path}:{number}: names this checkout: {tree.ROOT}")
    return tree.finish(problems, f"{len(listed)} files")


if __name__ == "__main__":
    sys.exit(main())
