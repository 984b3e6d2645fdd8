"""The drive that guest `store` is given: made on the workstation, judged there afterwards.

An MBR with two partitions: an ext4 file system with the question, fio and its libraries, and a
scratch area. mkfs.ext4 fills the file system from a folder and debugfs reads it, so that nothing
has to be mounted and nobody has to be root.
"""

import hashlib
import os
import random
import shutil
import struct
import subprocess
from pathlib import Path

import paths

MIB = 1 << 20
SECTOR = 512
START_1, SIZE_1 = 1 * MIB, 255 * MIB
START_2, SIZE_2 = 256 * MIB, 64 * MIB
TOTAL = START_2 + SIZE_2


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}


def partition_table(partitions: list[tuple[int, int]]) -> bytes:
    """A master boot record for (start, size) in bytes, all of type Linux (0x83)."""
    record = bytearray(SECTOR)
    for index, (start, size) in enumerate(partitions):
        struct.pack_into("<B3sB3sII", record, 446 + 16 * index, 0, b"\xfe\xff\xff", 0x83,
                         b"\xfe\xff\xff", start // SECTOR, size // SECTOR)
    record[510:512] = b"\x55\xaa"
    return bytes(record)


def question(seed: int, size: int = 8 * MIB) -> bytes:
    """What the guest is asked to read."""
    return random.Random(seed).randbytes(size)


def make(image: Path, seed: int, question_bytes: int = 8 * MIB,
         next_boot: tuple[Path, Path] | None = None) -> str:
    """Writes the drive's image; returns the SHA-256 of the question. `next_boot` is a kernel and an
    initial RAM disk that the guest can start by kexec."""
    folder = image.with_suffix(".folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    asked = question(seed, question_bytes)
    digest = hashlib.sha256(asked).hexdigest()
    (folder / "question.bin").write_bytes(asked)
    (folder / "question.sha256").write_text(f"{digest}  question.bin\n")
    shutil.copytree(paths.fio_tree(), folder / "fio", symlinks=True)
    if next_boot is not None:
        for name, source in zip(("Image", "initrd"), next_boot):
            shutil.copyfile(source, folder / name)
        shutil.copytree(paths.kexec_tree(), folder / "kexec", symlinks=True)
    part = image.with_suffix(".ext4")
    part.unlink(missing_ok=True)
    with part.open("wb") as file:
        file.truncate(SIZE_1)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "store", "-m", "0", "-E",
                    "lazy_itable_init=0,root_owner=0:0", "-d", str(folder), str(part)],
                   check=True, env=_environment(), stdout=subprocess.DEVNULL)
    with image.open("wb") as out, part.open("rb") as file:
        out.write(partition_table([(START_1, SIZE_1), (START_2, SIZE_2)]))
        out.seek(START_1)
        while data := file.read(MIB):
            if data.count(0) == len(data):
                out.seek(len(data), 1)  # stays a hole
            else:
                out.write(data)
        out.truncate(TOTAL)
    part.unlink()
    shutil.rmtree(folder)
    return digest


def read_file(image: Path, name: str) -> bytes | None:
    """The contents of a file in the first partition, or nothing if there is none."""
    part = image.with_suffix(".read")
    with image.open("rb") as file, part.open("wb") as out:
        file.seek(START_1)
        left = SIZE_1
        while left and (data := file.read(min(left, MIB))):
            left -= len(data)
            if data.count(0) == len(data):
                out.seek(len(data), 1)
            else:
                out.write(data)
        out.truncate(SIZE_1)
    found = subprocess.run(["debugfs", "-R", f"cat /{name}", str(part)], env=_environment(),
                           capture_output=True, check=True)
    part.unlink()
    if b"File not found" in found.stderr:
        return None
    return found.stdout


def clean(image: Path) -> bool:
    """Whether the file system was left in good order (no recovery, no errors)."""
    part = image.with_suffix(".check")
    with image.open("rb") as file, part.open("wb") as out:
        file.seek(START_1)
        out.write(file.read(SIZE_1))
    status = subprocess.run(["e2fsck", "-f", "-n", str(part)], env=_environment(),
                            capture_output=True).returncode
    part.unlink()
    return status == 0
