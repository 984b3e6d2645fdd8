"""Which of the hypervisor's functions the measured operations spend its instructions in."""

import bisect
import re
import subprocess
from collections import Counter

import measure
import paths

# Marker, its title, and whether the guest has an SMMU of its own.
OPERATIONS = ((measure.READ_1, "NVMe read, queue depth 1", False),
              (measure.READ_32, "NVMe read, queue depth 32", False),
              (measure.READ_32, "NVMe read behind stage 1, strict, queue depth 32", True),
              (measure.MAP_4K, "DMA map and unmap of 4 KiB, strict", True),
              (measure.MESSAGE, "MSI, raised to handled", False),
              (measure.RAW_CONFIG, "config-space read", False))
READS, ROUNDS, SHOWN = 4000, 1000, 16


def functions() -> list[tuple[int, str]]:
    """(address once loaded, name), ascending."""
    elf = paths.need(paths.BUILD / "target" / "hypervisor" / "penstock.elf", "./dev build")
    listing = subprocess.run(["llvm-nm-19", "-C", str(elf)], capture_output=True, text=True,
                             check=True).stdout
    return sorted((measure.IMAGE_BASE + int(address, 16), name) for address, name in
                  re.findall(r"^([0-9a-f]+) [tTwW] (.*)$", listing, re.MULTILINE))


def text() -> str:
    known = functions()
    starts = [address for address, _ in known]
    lines = []
    for marker, title, iommu in OPERATIONS:
        words = {"reads": str(READS), "rounds": str(ROUNDS), "iommu.strict": "1"}
        board = measure.Board("profile", [measure.nvme(), measure.edu()], words, marker, iommu)
        run = board.penstock()
        spent: Counter[str] = Counter()
        for address, instructions in run.blocks:
            spent[known[bisect.bisect(starts, address) - 1][1]] += instructions
        count = READS if marker in (measure.READ_1, measure.READ_32) else ROUNDS
        lines.append(f"{title}: {sum(spent.values()) / count:.1f} of the hypervisor's instructions")
        lines += [f"  {instructions / count:8.1f}  {re.sub(r'[(].*', '', name)}"
                  for name, instructions in spent.most_common(SHOWN)]
        lines.append("")
    return "\n".join(lines)
