"""Where things are: the one place that knows the layout of the build folder."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "target"
GUEST_SOURCES = HERE / "guest"
BUILD = ROOT / "build"
PAYLOAD = Path(os.environ.get("PENSTOCK_PAYLOAD", BUILD / "payload"))
GUEST = BUILD / "guest"
RUNS = BUILD / "runs"

KERNELS = ("6.1", "6.12", "newest")

QEMU = os.environ.get("PENSTOCK_QEMU", "qemu-system-aarch64")
TOOL = Path(os.environ.get("PENSTOCK_TOOL", BUILD / "host" / "tools" / "penstock" / "penstock"))
CTL = BUILD / "ctl"  # the control domain's tools, arm64
IMAGE = Path(os.environ.get("PENSTOCK_IMAGE", BUILD / "target" / "penstock.bin"))


class Missing(Exception):
    """Something that another step makes is not there; the text says which step."""


def need(path: Path, made_by: str) -> Path:
    """Returns `path`, or says who makes it."""
    if not path.exists():
        raise Missing(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path} is missing:"
                      f" run {made_by} first")
    return path


def kernel_part(line: str, part: str) -> Path:
    return need(PAYLOAD / f"kernel-{line}" / part, "./dev test" if line == "newest" else "./dev build")


def kernel_image(line: str) -> Path:
    return kernel_part(line, "Image")


def kernel_modules(line: str) -> Path:
    return kernel_part(line, "modules")


def kernel_release(line: str) -> str:
    """What `uname -r` says in a guest with this kernel."""
    return kernel_part(line, "version").read_text().strip()


def busybox() -> Path:
    return need(PAYLOAD / "busybox", "./dev build")


def fio_tree() -> Path:
    return need(PAYLOAD / "fio", "./dev build")


def kexec_tree() -> Path:
    return need(PAYLOAD / "kexec", "./dev build")


def pciutils_tree() -> Path:
    return need(PAYLOAD / "pciutils", "./dev build")
