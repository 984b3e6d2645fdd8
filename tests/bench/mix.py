"""Single reads compared with reads of their kind, beside the plain mean that the verdict is on."""

import statistics

import measure
from figures import Figure, figure

ENOUGH_OF_A_KIND = 20  # reads
LEAST_SHARE = 0.8


def kinds(runs: list[measure.Run]) -> dict[tuple, list[int]]:
    """Single reads by what happened during them: waits, interrupts, changes of task."""
    found: dict[tuple, list[int]] = {}
    for run in runs:
        for each in run.windows.get(measure.READ_1, []):
            found.setdefault((each.waits, each.taken, each.stacks), []).append(each.instructions)
    return found


def same_mix(bare: list[measure.Run], ours: list[measure.Run]):
    """Instructions of a read on bare metal and on Penstock, and the share of reads that count; where
    the share is too small to say anything, None and None.

    Whether a completion finds the reader still on the CPU, or the idle task, or a CPU that waits,
    makes thousands of instructions of difference and depends on when QEMU's threads run. So reads
    are compared with reads of their kind, and both sides are weighted with the same mix: theirs
    together. A kind that one side has hardly ever shown is left out.
    """
    theirs, mine = kinds(bare), kinds(ours)
    common = [kind for kind in theirs
              if min(len(theirs[kind]), len(mine.get(kind, []))) >= ENOUGH_OF_A_KIND]
    weight = sum(len(theirs[kind]) + len(mine[kind]) for kind in common)

    def typical(side: dict[tuple, list[int]]) -> float:
        return sum(statistics.median(side[kind]) * (len(theirs[kind]) + len(mine[kind]))
                   for kind in common) / weight

    share = weight / (sum(map(len, theirs.values())) + sum(map(len, mine.values())))
    if share < LEAST_SHARE:
        return None, None, share
    return typical(theirs), typical(mine), share


def figures(bare: list[measure.Run], ours: list[measure.Run]) -> list[Figure]:
    """What the comparison with the same mix leaves out, so that a reader can judge it: a Penstock
    that made slow kinds of reads more frequent would show here and in the plain mean alone."""

    def slow(runs: list[measure.Run]) -> float:
        found = kinds(runs)
        return 1 - len(found.get(min(found), [])) / sum(map(len, found.values()))

    def spread(runs: list[measure.Run]) -> float:
        means = [statistics.mean(each.instructions for each in run.windows[measure.READ_1])
                 for run in runs]
        return max(means) / min(means)

    # Beside the verdict, never instead of it: how much of the difference is a different mix.
    mix_limit, mix_value, share = same_mix(bare, ours)
    found = []
    if mix_value is not None:
        found.append(figure("  both sides weighted with the same mix of reads (a record)",
                            "instructions", mix_value, mix_limit))
    return [*found,
            figure("  share of the reads that were of a kind on both", "", share),
            figure("  share of reads that are not of the quickest kind", "", slow(ours),
                   slow(bare)),
            figure("  largest plain mean of a round over the smallest", "times", spread(ours),
                   spread(bare))]
