#!/usr/bin/python3
"""Compares the #include lines with the directions that dependencies may have, and with what CMake links.

The picture is the one of docs/architecture.md: dependencies point down only, and folders on one line do not include
one another. Host side (pci, iommu, msi, uart) and guest side (vpci, viommu, vmsi) meet in assign and above.
"""

import re
import sys
from pathlib import Path

import tree

# A folder of core/ may include the folders listed here, and itself.
_PORTS = {"base", "hw", "port"}
_HARDWARE = {"pci", "iommu", "msi", "uart"}
_GUEST = {"vpci", "viommu", "vmsi"}
ALLOWED = {
    "base": set(),
    "hw": {"base"},
    "port": {"base"},
    "mem": _PORTS,
    **{name: _PORTS | {"mem"} for name in _HARDWARE},
    **{name: _PORTS | {"mem"} for name in _GUEST},
    "manifest": {"base", "hw"},
    "assign": _PORTS | {"mem", "manifest"} | _HARDWARE | _GUEST,
    "control": _PORTS | {"mem", "assign", "vpci"},
    "vm": _PORTS | {"mem", "assign", "manifest", "control"} | _HARDWARE | _GUEST,
}

# sim/ is there to check the field layouts of core/hw: it must not share them.
SIM_ALLOWED = {"core/base", "core/port", "sim"}

# Above core: which top folders may include which.
TOP_ALLOWED = {
    "hypervisor": {"core", "hypervisor"},
    "tools": {"core", "tools"},
    "tests": {"core", "hypervisor", "tools", "sim", "tests"},
}

# What a freestanding implementation can have, and compiles without an operating system.
STANDARD = set("array atomic bit compare concepts cstddef cstdint initializer_list limits new optional span "
               "string_view tuple type_traits utility".split())
# Libraries that a folder of core/ uses on the target too.
LIBRARIES = {"manifest": {"libfdt.h"}, "vm": {"libfdt.h"}}

COMPONENT = re.compile(r"penstock_component\(\s*(\w+)(.*?)\)", re.DOTALL)
KEYWORDS = ("DEPS", "SOURCES", "TESTS", "FUZZERS", "BENCHMARKS", "TEST_DEPS")


def judge_core(path: Path, kind: str, name: str) -> str | None:
    """What is wrong with one #include of a file of core/, or None."""
    folder, test = path.parts[1], tree.is_test_only(path)
    if kind == "<":
        if test or name in STANDARD or name in LIBRARIES.get(folder, set()):
            return None
        return f"<{name}> is not a header that core/ may use on the target"
    parts = Path(name).parts
    if parts[0] == "sim" and test:
        return None
    if parts[0] != "core" or len(parts) < 3:
        return f'"{name}": core/ includes core/ only, by its name from the repository'
    if parts[1] == folder or parts[1] in ALLOWED[folder]:
        if tree.is_test_only(Path(name)) and not test:
            return f'"{name}" is for tests only'
        return None
    if test and parts[1] in {"hw", "mem"}:
        return None
    return f"core/{folder} must not include core/{parts[1]}"


def judge(path: Path, kind: str, name: str) -> str | None:
    top = path.parts[0]
    if top == "core":
        if path.parts[1] not in ALLOWED:
            return f"core/{path.parts[1]} has no place in the picture: add it to tools/check/dependencies.py"
        return judge_core(path, kind, name)
    beside = (tree.ROOT / path.parent / name).is_file()
    if kind == "<" or beside or top not in {"sim", *TOP_ALLOWED}:
        return None
    parts = Path(name).parts
    if top == "sim":
        place = "/".join(parts[:2]) if parts[0] == "core" else parts[0]
        return None if place in SIM_ALLOWED or tree.is_test_only(path) else f"sim/ must not include {place}"
    return None if parts[0] in TOP_ALLOWED[top] else f"{top}/ must not include {parts[0]}/"


def linked() -> dict[str, set[str]]:
    """Per component that is a folder of core/: the components that CMake links, through all levels."""
    direct: dict[str, set[str]] = {}
    for path in tree.files(".txt"):
        if path.name != "CMakeLists.txt":
            continue
        for match in COMPONENT.finditer(tree.text(path)):
            words, section = re.sub(r"#.*", "", match[2]).split(), ""
            direct[match[1]] = set()
            for word in words:
                if word in KEYWORDS:
                    section = word
                elif section == "DEPS":
                    direct[match[1]].add(word)
    full = {}
    for name in direct:
        reached, queue = set(), [name]
        while queue:
            for dep in direct.get(queue.pop(), set()) - reached:
                reached.add(dep)
                queue.append(dep)
        full[name] = reached
    for name, deps in direct.items():
        for dep in deps if name in ALLOWED else ():
            if dep not in ALLOWED[name]:
                full[name].add(f"!{dep}")
    return full


def cycles(graph: dict[str, list[str]]) -> list[list[str]]:
    """Each cycle found by a depth-first walk, once."""
    state: dict[str, int] = {}
    found = []

    def visit(node: str, trail: list[str]) -> None:
        state[node] = 1
        for after in graph.get(node, []):
            if state.get(after) == 1:
                found.append([*trail[trail.index(after):], after])
            elif after not in state:
                visit(after, [*trail, after])
        state[node] = 2

    for node in sorted(graph):
        if node not in state:
            visit(node, [node])
    return found


def main() -> int:
    problems, graph, links = [], {}, linked()
    count = 0
    for path in tree.files(*tree.CPP, ".h", ".c", ".S"):
        graph[str(path)] = []
        for kind, name, line in tree.includes(path):
            count += 1
            reason = judge(path, kind, name)
            if reason:
                problems.append(f"{path}:{line}: {reason}")
            if kind != '"':
                continue
            graph[str(path)].append(name)
            if not (tree.ROOT / name).is_file() and not (tree.ROOT / path.parent / name).is_file():
                problems.append(f'{path}:{line}: "{name}" is not there')
            parts = Path(name).parts
            if path.parts[0] == "core" and parts[0] == "core" and not tree.is_test_only(path):
                folder = path.parts[1]
                if parts[1] != folder and parts[1] not in links.get(folder, set()):
                    problems.append(f"{path}:{line}: core/{folder} does not link {parts[1]} (DEPS in CMakeLists.txt)")
    for name, deps in sorted(links.items()):
        problems += [f"core/{name}/CMakeLists.txt: {name} must not link {d[1:]}" for d in sorted(deps) if d[0] == "!"]
    problems += ["a cycle: " + " -> ".join(cycle) for cycle in cycles(graph)]
    return tree.finish(problems, f"{len(graph)} files, {count} includes")


if __name__ == "__main__":
    sys.exit(main())
