"""Builds the guests' initial RAM file systems: one newc archive per (role, kernel).

An archive holds busybox, the kernel modules that the role needs in the order in which they have
to be inserted, the role's own programs, `/init` and `/role`. It is not compressed: unpacking would
cost the guest more instructions than the few MiB are worth. Archives are kept under build/guest/
and made anew only when something that goes into them has changed.
"""

import argparse
import gzip
import hashlib
import lzma
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paths


@dataclass(frozen=True)
class Role:
    """What one kind of guest carries."""

    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()  # of the project's own, for arm64
    libraries: tuple[str, ...] = ()  # guest/lib/<name>.sh, for the role to source
    trees: tuple[str, ...] = ()  # of payloads: programs with their own libraries, as /<name>
    script: str | None = None  # guest/<script>.sh, when it is not the role's own name
    minimal: bool = False  # /init is the role itself, with nothing before it


# What makes the power button an input device: its GPIO controller's driver is part of the kernels.
BUTTON = ("gpio_keys", "evdev")

# ext4 asks the kernel for its checksum, which was a module of its own before 7.x.
EXT4 = ("crc32c_generic", "ext4")
# What a kernel does not have: the checksum is a part of it, and the flavour for clouds has no
# buttons.
WITHOUT = {"newest": {"crc32c_generic", "gpio_keys"}}

ROLES = {
    "shell": Role(modules=BUTTON),
    "driver": Role(modules=("nvme", *EXT4, *BUTTON), programs=("poke",), script="shell"),
    "store": Role(modules=("nvme", *EXT4), programs=("canary",),
                  libraries=("drive",)),
    "net": Role(modules=("igb", "af_packet"), programs=("edu_traitor",), libraries=("card",)),
    "iommu": Role(modules=("nvme", *EXT4, "igb", "af_packet",
                           "vfio_iommu_type1", "vfio_pci"),
                  programs=("edu_stray",), libraries=("drive", "card")),
    "visitor": Role(modules=("nvme", *EXT4, "igb", "igbvf", "af_packet"),
                    programs=("traces",), libraries=("drive", "card")),
    "control": Role(modules=("nvme", "igb"), programs=("nvme_vf",), tools=("penstockctl",)),
    "lspci": Role(modules=("nvme", "igb"), libraries=("drive",), trees=("pciutils",)),
    "disk": Role(modules=("virtio_pci", "virtio_blk")),
    "boot": Role(minimal=True),
}

TREES = {"pciutils": paths.pciutils_tree}


class Archive:
    """A writer for cpio's "newc" format (see cpio(5)): only what an initramfs uses."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._inode = 0
        self._known: set[str] = set()

    def directory(self, name: str) -> None:
        """Adds a directory and its parents, once."""
        parts = name.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path not in self._known:
                self._known.add(path)
                self._entry(path, 0o040755, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._parent(name)
        self._entry(name.strip("/"), 0o100000 | mode, data)

    def link(self, name: str, target: str) -> None:
        self._parent(name)
        self._entry(name.strip("/"), 0o120777, target.encode())

    def character_device(self, name: str, major: int, minor: int) -> None:
        self._parent(name)
        self._entry(name.strip("/"), 0o020600, b"", major, minor)

    def finish(self) -> bytes:
        self._entry("TRAILER!!!", 0, b"")
        self._bytes += b"\0" * (-len(self._bytes) % 512)
        return bytes(self._bytes)

    def _parent(self, name: str) -> None:
        folder = name.strip("/").rpartition("/")[0]
        if folder:
            self.directory(folder)

    def _entry(self, name: str, mode: int, data: bytes, major: int = 0, minor: int = 0) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(encoded), 0)
        self._bytes += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._bytes += b"\0" * (-len(self._bytes) % 4)
        self._bytes += data
        self._bytes += b"\0" * (-len(self._bytes) % 4)


def module_name(path: str) -> str:
    """The name under which the kernel knows a module file."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def dependencies(module: bytes) -> list[str]:
    """What a module says of itself, in the strings `depends=a,b` of its section .modinfo."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found[1].decode().split(",") if found else []
    return [name.replace("-", "_") for name in names if name]


def insertion_order(wanted: tuple[str, ...], builtin: set[str],
                    read: Callable[[str], bytes | None]) -> dict[str, bytes]:
    """The modules to insert for `wanted`, each after all that it depends on, with their contents.

    `read` gives a module's contents by its name, or nothing. A module that is part of the kernel
    image needs nothing, and neither does what it would depend on.
    """
    order: dict[str, bytes] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in order or name in path:
            return
        data = read(name)
        if data is None:
            if name in builtin:
                return
            raise paths.Missing(f"the kernel has no module {name}")
        for each in dependencies(data):
            add(each, (*path, name))
        order[name] = data

    for name in wanted:
        add(name, ())
    return order


def module_tree(version: str) -> Path:
    """The folder of the one kernel version whose modules are there: it holds modules.builtin."""
    top = paths.kernel_modules(version)
    found = sorted(path.parent for path in [*top.glob("modules.builtin"),
                                            *top.glob("*/modules.builtin"),
                                            *top.glob("lib/modules/*/modules.builtin")])
    if len(found) != 1:
        raise paths.Missing(f"{top} holds {len(found)} module trees instead of one")
    return found[0]


def decompressed(file: Path) -> bytes:
    data = file.read_bytes()
    if file.suffix == ".xz":
        return lzma.decompress(data)
    if file.suffix == ".gz":
        return gzip.decompress(data)
    if file.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", str(file)], check=True, capture_output=True).stdout
    return data


def load_modules(tree: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    files = {module_name(path.name): path for path in (tree / "kernel").rglob("*.ko*")}
    builtin = {module_name(line) for line in (tree / "modules.builtin").read_text().split()}
    return insertion_order(wanted, builtin,
                           lambda name: decompressed(files[name]) if name in files else None)


def compile_program(name: str) -> Path:
    """A static arm64 program from guest/<name>.c, built when its source is newer."""
    source = paths.GUEST_SOURCES / f"{name}.c"
    inputs = [source, *paths.GUEST_SOURCES.glob("*.h")]
    out = paths.GUEST / "bin" / name
    if out.exists() and all(out.stat().st_mtime >= each.stat().st_mtime for each in inputs):
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["aarch64-linux-gnu-gcc", "-std=c11", "-D_GNU_SOURCE", "-static", "-O2", "-s",
                    "-Wall", "-Wextra", "-Wconversion", "-Werror", str(source), "-o", str(out)],
                   check=True)
    return out


def build(role: str, kernel: str) -> Path:
    """The archive for `role` with the modules of `kernel` (one of paths.KERNELS)."""
    what = ROLES[role]
    script = paths.GUEST_SOURCES / f"{what.script or role}.sh"
    files: list[tuple[str, Path, int]] = [("bin/busybox", paths.busybox(), 0o755)]
    if what.minimal:
        files.append(("init", script, 0o755))
    else:
        files.append(("init", paths.GUEST_SOURCES / "init.sh", 0o755))
        files.append(("role", script, 0o755))
        files.append(("etc/udhcpc.script", paths.GUEST_SOURCES / "udhcpc.sh", 0o755))
    for library in what.libraries:
        files.append((f"lib/{library}.sh", paths.GUEST_SOURCES / "lib" / f"{library}.sh", 0o644))
    for name in what.trees:
        tree = TREES[name]()
        files += [(f"{name}/{path.relative_to(tree)}", path, 0o755)
                  for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()
                  and not path.parent.is_symlink()]
    for tool in what.tools:
        files.append((f"bin/{tool}", paths.need(paths.CTL / tool, "./dev build"), 0o755))
    for program in what.programs:
        files.append((f"bin/{program}", compile_program(program), 0o755))

    tree = module_tree(kernel) if what.modules else None
    wanted = tuple(name for name in what.modules if name not in WITHOUT.get(kernel, ()))
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name, path, mode in files:
        digest.update(f"{name} {mode:o}\n".encode() + path.read_bytes())
    if tree is not None:
        # The tree's own name holds the kernel's full version.
        digest.update(f"{tree.name} {wanted}\n".encode() +
                      (tree / "modules.builtin").read_bytes())
    key = digest.hexdigest()

    out = paths.GUEST / f"{role}-{kernel}.cpio"
    stamp = out.with_suffix(".key")
    if out.exists() and stamp.exists() and stamp.read_text() == key:
        return out

    archive = Archive()
    for folder in ("proc", "sys", "dev", "mnt", "tmp"):
        archive.directory(folder)
    archive.character_device("dev/console", 5, 1)
    archive.link("bin/sh", "busybox")
    for name, path, mode in files:
        archive.file(name, path.read_bytes(), mode)
    if not what.minimal:
        modules = load_modules(tree, wanted) if tree is not None else {}
        for name, data in modules.items():
            archive.file(f"modules/{name}.ko", data)
        archive.file("modules/order", "".join(f"{name}.ko\n" for name in modules).encode())
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_bytes(archive.finish())
    part.replace(out)
    stamp.write_text(key)
    return out


def extend(base: Path, files: dict[str, Path | bytes], out: Path) -> Path:
    """`base` with more files in it: the kernel unpacks archives that follow one another."""
    archive = Archive()
    for name, what in files.items():
        archive.file(name, what if isinstance(what, bytes) else what.read_bytes())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(base.read_bytes() + archive.finish())
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds a guest's RAM disk and prints its path.")
    parser.add_argument("role", choices=sorted(ROLES))
    parser.add_argument("kernel", choices=paths.KERNELS)
    chosen = parser.parse_args()
    try:
        print(build(chosen.role, chosen.kernel))
        return 0
    except paths.Missing as missing:
        print(missing, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
