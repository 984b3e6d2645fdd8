"""What QEMU's SMMU and ITS say of themselves: a witness that neither the hypervisor nor a guest can
influence.

Every fault of a device is a line, whether the event queue had room for it or not, and so is every
message that reaches the ITS, whether it is translated or not.
"""

import re
from collections import Counter
from pathlib import Path

_EVENTS = ("smmuv3_record_event", "gicv3_its_translation_write")
_FAULT = re.compile(r"smmuv3_record_event \S+ sid=0x([0-9a-f]+)")
_MESSAGE = re.compile(r"gicv3_its_translation_write .* requester_id 0x([0-9a-f]+)")


class ModelTrace:
    """`words` go on QEMU's command line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.words = [word for event in _EVENTS for word in ("-trace", event)] + ["-D", str(file)]

    def _count(self, what: re.Pattern) -> Counter[int]:
        text = self._file.read_text(errors="replace")
        return Counter(int(found[1], 16) for found in what.finditer(text))

    def faults(self) -> Counter[int]:
        """So far, by stream."""
        return self._count(_FAULT)

    def messages(self) -> Counter[int]:
        """So far, by the requester ID that they came with."""
        return self._count(_MESSAGE)
