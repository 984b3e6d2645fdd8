#!/usr/bin/python3
"""Finds what comments and documents name and the repository does not have.

- a file with one of our suffixes, by its path from the root, from its reader's folder, or by its end
- a function that a C++ comment writes as `name()`: somewhere the code has that identifier, or the line says whose it is
- the target of a relative link in a Markdown file
"""

import re
import sys
from pathlib import Path

import tree

FILE = re.compile(r"(?<![\w./<$%{}*-])([\w-]+(?:/[\w-]+)*\.(?:hpp|cpp|md|py))\b(?![\w/*(])")
FUNCTION = re.compile(r"(?<![\w.:>-])([a-z]\w*)\(\)")
LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")
COMMENT = re.compile(r"//.*$")
WORD = re.compile(r"\w+")
OTHERS = re.compile(r"\b(?:Linux|QEMU|Xen|POSIX)\b")  # whose functions are not ours


class Repository:
    def __init__(self) -> None:
        self.paths = {str(path) for path in tree.files()}
        self.words = {word for path in tree.files(".cpp", ".hpp", ".S", ".c", ".h")
                      for line in tree.text(path).splitlines() for word in WORD.findall(COMMENT.sub("", line))}

    def has_file(self, name: str, reader: Path) -> bool:
        return (name in self.paths or str(reader.parent / name) in self.paths
                or any(path.endswith("/" + name) for path in self.paths))


def missing_links(path: Path, line: str) -> list[str]:
    targets = [(target, (tree.ROOT / path.parent / target).exists()) for target in LINK.findall(line)]
    return [f"link to {target}" for target, there in targets if not there]


def missing(repository: Repository, path: Path, line: str) -> list[str]:
    """What this line names in vain."""
    if path.suffix == ".md":
        said, found = line, missing_links(path, line)
    else:
        comment = COMMENT.search(line)
        said, found = comment[0] if comment else "", []
        if not OTHERS.search(said):
            found += [f"{name}()" for name in FUNCTION.findall(said) if name not in repository.words]
    return found + [name for name in FILE.findall(said) if not repository.has_file(name, path)]


def main() -> int:
    repository = Repository()
    problems = []
    readers = tree.files(".cpp", ".hpp", ".S", ".md")
    for path in readers:
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            problems += [f"{path}:{number}: names {name}, which is not there"
                         for name in missing(repository, path, line)]
    return tree.finish(problems, f"{len(readers)} files")


if __name__ == "__main__":
    sys.exit(main())
