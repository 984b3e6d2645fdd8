"""What a measured board needs besides the hypervisor: the plugin, the guest's RAM disk.

The RAM disk is one archive for bare metal and for domains: busybox, the NVMe driver's modules, the
programs of guest/ and the module of module/, built for Debian's own 6.12 kernel.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "target"))

import hostile
import initramfs
import paths

OUT = paths.BUILD / "bench" / "board"
KERNEL = "6.12"
CROSS = "aarch64-linux-gnu-"


def run(command: list, log: Path) -> None:
    """Runs a build step; what it says goes to `log`, and is told when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        done = subprocess.run([str(word) for word in command], stdout=file, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"{command[0]} failed, see {log}:\n{tail}")


def newer(out: Path, *sources: Path) -> bool:
    return out.exists() and all(out.stat().st_mtime >= each.stat().st_mtime for each in sources)


def plugin() -> Path:
    source, out = HERE / "plugin.c", OUT / "plugin.so"
    if not newer(out, source):
        run(["clang-19", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
             "-fvisibility=hidden", source, "-o", out], OUT / "plugin.log")
    return out


def reads() -> Path:
    source, out = HERE / "guest" / "reads.c", OUT / "reads"
    if not newer(out, source):
        run([f"{CROSS}gcc", "-std=c11", "-D_GNU_SOURCE", "-static", "-O2", "-s", "-Wall", "-Wextra",
             "-Wconversion", "-Werror", source, "-o", out], OUT / "reads.log")
    return out


def commands() -> Path:
    """The bare program that drives a command queue, on the hostile guests' runtime."""
    return hostile.build("commands", HERE / "guest")


def module() -> Path:
    """microcosts.ko for the kernel of the payload, from Debian's headers for it."""
    source, folder = HERE / "module", OUT / "module"
    out = folder / "microcosts.ko"
    release = (paths.need(paths.PAYLOAD / f"kernel-{KERNEL}" / "version", "./dev build")
               .read_text().strip())
    headers = paths.need(paths.PAYLOAD / f"headers-{KERNEL}" / "usr" / "src"
                         / f"linux-headers-{release}", "./dev bench")
    if newer(out, *source.iterdir(), headers / "Makefile"):
        return out
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    run(["make", "-C", headers, f"M={folder}", "ARCH=arm64", f"CROSS_COMPILE={CROSS}",
         "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"], OUT / "module.log")
    run([f"{CROSS}strip", "-g", out], OUT / "strip.log")
    return out


def ram_disk() -> Path:
    out = OUT / "initrd.cpio"
    files = [("init", HERE / "guest" / "bench.sh", 0o755), ("bin/reads", reads(), 0o755),
             ("bin/busybox", paths.busybox(), 0o755), ("microcosts.ko", module(), 0o644)]
    modules = initramfs.load_modules(initramfs.module_tree(KERNEL), ("nvme",))
    archive = initramfs.Archive()
    for folder in ("proc", "sys", "dev", "tmp"):
        archive.directory(folder)
    archive.character_device("dev/console", 5, 1)
    archive.link("bin/sh", "busybox")
    for name, path, mode in files:
        archive.file(name, path.read_bytes(), mode)
    for name, data in modules.items():
        archive.file(f"modules/{name}.ko", data)
    archive.file("modules/order", "".join(f"{name}.ko\n" for name in modules).encode())
    out.write_bytes(archive.finish())
    return out


def machine_description() -> str:
    """The workstation, for the report."""
    qemu = subprocess.run([paths.QEMU, "--version"], capture_output=True, text=True, check=True)
    release = (paths.PAYLOAD / f"kernel-{KERNEL}" / "version").read_text().strip()
    return f"{qemu.stdout.splitlines()[0]}; Linux {release}; workstation {platform.machine()}"
