"""What QEMU's SMMU says of itself: a witness that neither the hypervisor nor a guest can influence.

Every fault of a device is a line, whether the event queue had room for it or not.
"""

import re
from pathlib import Path

_EVENT = re.compile(r"smmuv3_record_event \S+ sid=0x([0-9a-f]+)")


class FaultTrace:
    """`words` go on QEMU's command line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.words = ["-trace", "smmuv3_record_event", "-D", str(file)]

    def faults(self) -> dict[int, int]:
        """So far, by stream."""
        counts: dict[int, int] = {}
        for found in _EVENT.finditer(self._file.read_text(errors="replace")):
            stream = int(found[1], 16)
            counts[stream] = counts.get(stream, 0) + 1
        return counts
