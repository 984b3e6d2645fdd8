"""Builds the hostile guests: small arm64 programs in the form of a kernel Image."""

import subprocess
from pathlib import Path

import paths

SOURCES = paths.GUEST_SOURCES / "hostile"
# Programs that do something about every exception, and those that cannot.
PROGRAMS = ("architecture", "calls", "config", "control", "emulation", "instructions",
            "interrupts", "its", "mmio", "nowhere", "odd", "plug", "smmu")
LOST = ("novectors", "nostack")


def build(name: str, folder: Path = SOURCES) -> Path:
    """The Image of one program, built when one of its sources is newer. The program itself may be
    in another folder than its runtime."""
    out = paths.GUEST / "hostile" / f"{name}.img"
    sources = [SOURCES / "start.S", SOURCES / "runtime.c", folder / f"{name}.c"]
    inputs = [*sources, *SOURCES.glob("*.h"), SOURCES / "hostile.lds"]
    if out.exists() and all(out.stat().st_mtime >= each.stat().st_mtime for each in inputs):
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    elf = out.with_suffix(".elf")
    subprocess.run(["clang-19", "--target=aarch64-linux-gnu", "-std=c11", "-ffreestanding", "-O2",
                    "-fpie", "-fno-stack-protector", "-mstrict-align", "-march=armv8.1-a",
                    "-mno-outline-atomics",
                    "-Wall", "-Wextra", "-Wconversion", "-Werror", "-nostdlib", "-fuse-ld=lld-19",
                    "-no-pie", f"-I{paths.ROOT}", "-Wl,-static,--build-id=none,-z,norelro,--emit-relocs",
                    "-Wl,-T," + str(SOURCES / "hostile.lds"), *map(str, sources), "-o", str(elf)],
                   check=True)
    relocations = subprocess.run(["llvm-readelf-19", "-r", str(elf)], check=True,
                                 capture_output=True, text=True).stdout
    absolute = [line for line in relocations.splitlines()
                if "R_AARCH64_ABS" in line and "image_bytes" not in line]
    if absolute:
        # Nothing relocates these programs, so that a table of pointers would be wrong in silence.
        raise RuntimeError(f"{name} holds absolute addresses:\n" + "\n".join(absolute))
    subprocess.run(["llvm-objcopy-19", "-O", "binary", str(elf), str(out)], check=True)
    return out
