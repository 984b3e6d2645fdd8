"""A guest's own SMMU against bare metal with the same kernel on the board's own: drive, mappings,
and the command queue by itself."""

import statistics
import sys

import guests
import measure
import mix
from figures import Figure, figure

READ_RATIO = {"1": 1.08, "0": 1.05}  # iommu.strict
KIND = {"1": "strict", "0": "lazy"}
MAP_BUDGET = {measure.MAP_4K: 1500, measure.MAP_64K: 1700}
COMMAND_BUDGET = 150
JUDGED_BATCH = 64
ROUNDS = 8  # of each batch, as guest/commands.c says
BATCHES = [4 ** i for i in range(7)]
STREAMS = 32
SLICE_BUDGET = 10_000  # docs/benchmarks.md, "A slice"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def mean(runs: list[measure.Run], marker: int, operations: int, of=lambda each: each.instructions):
    windows = [of(window) for run in runs for window in run.windows.get(marker, [])]
    if not windows:
        raise measure.Broken(f"no window with marker {marker:x}")
    return statistics.mean(windows) / operations


def reads(bare: list[measure.Run], ours: list[measure.Run], strict: str) -> list[Figure]:
    found = []
    for marker, depth, batch in ((measure.READ_1, 1, 1), (measure.READ_32, 32, measure.BATCH)):
        limit, value = mean(bare, marker, batch), mean(ours, marker, batch)
        found.append(figure(f"NVMe 4 KiB random read behind stage 1, {KIND[strict]}, depth {depth}",
                            "instructions", value, limit, READ_RATIO[strict] * limit))
        if depth == 1:
            found += mix.figures(bare, ours)
        found.append(figure("  of these the hypervisor's own", "instructions",
                            mean(ours, marker, batch, lambda each: each.own)))
        found.append(figure("  traps other than interrupts, per read", "traps",
                            mean(ours, marker, batch, lambda each: each.sync)))
    return found


def mappings(bare: list[measure.Run], ours: list[measure.Run], plain: list[measure.Run],
             loops: int) -> list[Figure]:
    found = []
    for marker, size in ((measure.MAP_4K, "4 KiB"), (measure.MAP_64K, "64 KiB")):
        limit, value = mean(bare, marker, loops), mean(ours, marker, loops)
        found.append(figure(f"DMA map and unmap of {size}, strict", "instructions", value, limit,
                            limit + MAP_BUDGET[marker]))
        traps = mean(ours, marker, loops, lambda each: each.sync)
        found.append(figure("  traps of each", "traps", traps, budget=1.01))
    limit, value, without = (statistics.median(each.instructions for run in runs
                                               for each in run.windows[measure.UNMAP_4K])
                             for runs in (bare, ours, plain))
    found.append(figure("DMA unmap of 4 KiB, strict, median", "instructions", value, limit))
    found.append(figure("  times that of a guest without an SMMU", "times", value / without))
    return found


def commands() -> list[Figure]:
    board = measure.Board("commands", measure.many_functions(STREAMS), iommu=True,
                          program=guests.commands())
    seen = board.penstock().windows
    batches, entries = (seen.get(each, []) for each in (measure.COMMANDS, measure.EVERY_ENTRY))
    if len(batches) != ROUNDS * len(BATCHES) or len(entries) != ROUNDS:
        raise measure.Broken(f"of {ROUNDS * len(BATCHES)} batches {len(batches)} were seen, "
                             f"of {ROUNDS} changes of every entry {len(entries)}")
    found = []
    for i, batch in enumerate(BATCHES):
        own = statistics.median(each.instructions for each in batches[ROUNDS * i:ROUNDS * (i + 1)])
        found.append(figure(f"vSMMU command, in a batch of {batch:,}", "instructions", own / batch,
                            budget=COMMAND_BUDGET if batch == JUDGED_BATCH else None))
    changed = statistics.median(each.instructions for each in entries)
    found.append(figure(f"vSMMU entry, {STREAMS} changed with one CFGI_ALL", "instructions",
                        changed / STREAMS))
    for title, windows in (("full batches", batches), ("CFGI_ALL", entries)):
        found.append(figure(f"  longest stay in the hypervisor, {title}", "instructions",
                            max(each.longest for each in windows), budget=SLICE_BUDGET))
    return found


def figures(rounds: int, count: int, loops: int) -> list[Figure]:
    devices = [measure.nvme(), measure.edu()]
    found = []
    for strict in ("1", "0"):
        words = {"reads": str(count), "rounds": str(loops), "iommu.strict": strict}
        bare, ours = [], []
        for number in range(rounds):
            about = f"iommu-{KIND[strict]}-{number + 1}"
            say(f"  with an IOMMU, {KIND[strict]}, {number + 1} of {rounds}")
            bare.append(measure.Board(f"bare-{about}", devices, words, iommu=True).bare())
            ours.append(measure.Board(f"penstock-{about}", devices, words, iommu=True).penstock())
        found += reads(bare, ours, strict)
        if strict == "1":
            say("  Penstock, a guest without an IOMMU")
            plain = measure.Board("plain", devices, {"reads": "500", "rounds": str(loops)})
            found += mappings(bare, ours, [plain.penstock()], loops)
    return found + commands()
