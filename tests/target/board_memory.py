"""The board's RAM as a file of the workstation's: what is in it, whatever the hypervisor says."""

import contextlib
import mmap
import os
from pathlib import Path

import scenario


class BoardMemory:
    """`words` go on QEMU's command line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.unlink(missing_ok=True)
        self.words = ["-object", f"memory-backend-file,id=ram,size={scenario.BOARD_RAM},share=on,"
                                 f"mem-path={file}", "-machine", "memory-backend=ram"]

    def holds(self, sample: bytes) -> bool:
        """Whether these bytes are anywhere in RAM, in one piece."""
        with self._file.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            with contextlib.closing(memory):
                return any(memory.find(sample, start, end) >= 0 for start, end in _written(file))

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)


def _written(file) -> list[tuple[int, int]]:
    """The parts of the file that are no holes."""
    parts, size, end = [], os.fstat(file.fileno()).st_size, 0
    while end < size:
        try:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError:  # there are only holes from here on
            break
        end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        parts.append((start, end))
    return parts
