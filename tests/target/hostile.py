"""Builds the hostile guests: small arm64 programs in the form of a kernel Image."""

import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import paths
from board import Board, bare_command
from console import fields

SOURCES = paths.GUEST_SOURCES / "hostile"
# Programs that do something about every exception, and those that cannot.
PROGRAMS = ("architecture", "calls", "config", "control", "emulation", "instructions",
            "interrupts", "its", "mmio", "nowhere", "odd", "plug", "smmu")
LOST = ("novectors", "nostack")
# These need what the bare board does not have, and say so there.
FOR_WHAT_THE_BARE_BOARD_LACKS = ("smmu",)


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


@dataclass(frozen=True)
class Run:
    """What a program said of one run of it: its attempts, and the stages that it came through."""

    attempts: int
    stages: tuple[str, ...]  # the lines that name them, or how these lines begin

    def missing_in(self, other: "Run") -> list[str]:
        return [stage for stage in self.stages
                if not any(said.startswith(stage) for said in other.stages)]


def run_in(console, source: str, program: str) -> Run | None:
    """None: it has not come to its end."""
    done = [line for line in console.results(source)
            if line.startswith(f"hostile {program} done ")]
    if not done:
        return None
    stages = [line.text for line in console.of(source) if line.text.startswith("hostile ")]
    return Run(int(fields(done[-1])["attempts"]), tuple(stages))


@functools.cache
def on_the_bare_board(program: str) -> Run:
    """The same program without a hypervisor, on a board without devices: what it is worth."""
    folder = paths.RUNS / f"bare-{program}"
    command = bare_command(build(program), None, "", machine="virt,gic-version=3")
    with Board(command, folder / "console.log", only="bare") as board:
        board.wait_for("bare", rf"RESULT hostile {program} (done|finds nothing)", 120,
                       f"the last line of {program}")
        if board.wait_end(60) != 0:
            raise RuntimeError(f"{program} has not switched the bare board off")
        wrong = [line for line in board.console.results("bare") if " wrong " in line]
        if wrong:
            raise RuntimeError(f"the bare board itself is wrong: {wrong}")
        return run_in(board.console, "bare", program) or Run(0, ())
