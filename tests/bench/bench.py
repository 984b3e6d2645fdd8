"""Measures Penstock and compares with the budgets.

    bench.py            everything; some minutes
    bench.py --quick    fewer reads, one round: for a look in between; noisier
    bench.py --profile  instead, where the hypervisor's instructions go, function by function

Writes build/bench/report.json, a list of {name, unit, value, bare_metal, ratio, budget, ok}, and
prints it as a table. Exits with 0 only when every budget is kept. docs/benchmarks.md explains the
figures.
"""

import argparse
import json
import re
import statistics
import sys
from dataclasses import dataclass

import control
import guests
import hotspots
import interrupts
import iommu
import measure
import mix
import paths
import workstation
from figures import Figure, figure, rows, table

REPORT = paths.BUILD / "bench" / "report.json"

READ_RATIO = 1.05
MESSAGE_BUDGET = 1600
CONFIG_BUDGET = 800
BAR_BUDGET = 10
BOOT_MILLION = 25
IMAGE_BUDGET = 448 << 10
MEMORY_BUDGET = 8 << 20
# A guest may say something on its console while it reads; a trap per doorbell would be one or more.
SYNC_PER_READ = 0.001
FUNCTIONS = 32


@dataclass(frozen=True)
class Effort:
    rounds: int  # of bare metal and Penstock in turns
    reads: int
    loops: int


FULL, QUICK = Effort(3, 20000, 2000), Effort(1, 4000, 1000)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def per_operation(runs: list[measure.Run], marker: int, own: bool = False,
                  operations: int = 1, middle=statistics.median) -> float:
    """Of all windows of all runs; each window holds `operations`."""
    windows = [window for run in runs for window in run.windows.get(marker, [])]
    if not windows:
        raise measure.Broken(f"no window with marker {marker:x}")
    return middle([each.own if own else each.instructions for each in windows]) / operations


def reads(bare: list[measure.Run], ours: list[measure.Run]) -> list[Figure]:
    unit = "instructions"
    found = []
    for marker, depth, batch in ((measure.READ_1, 1, 1), (measure.READ_32, 32, measure.BATCH)):
        name = f"NVMe 4 KiB random read, queue depth {depth}"
        limit, value = (per_operation(runs, marker, operations=batch, middle=statistics.mean)
                        for runs in (bare, ours))
        found.append(figure(name, unit, value, limit, READ_RATIO * limit))
        if depth == 1:
            found += mix.figures(bare, ours)
        found.append(figure("  of these the hypervisor's own, mean", unit,
                            per_operation(ours, marker, True, batch, statistics.mean)))
        windows = [window for run in ours for window in run.windows[marker]]
        count = len(windows) * batch
        found.append(figure("  traps by an interrupt, per read", "traps",
                            sum(each.irq for each in windows) / count))
        found.append(figure("  other traps, per read (none per doorbell)", "traps",
                            sum(each.sync for each in windows) / count, budget=SYNC_PER_READ))
    return found


def traps_per_interrupt(ours: list[measure.Run]) -> Figure:
    """By the hypervisor's own counters, from the start of the board to its end."""
    traps = sum(each["msi"] for run in ours for each in run.events("exits"))
    interrupts = sum(each["interrupts"] for run in ours for each in run.events("device"))
    if interrupts == 0:
        raise measure.Broken("the hypervisor counted no interrupts")
    return figure("traps per message-signalled interrupt", "traps", traps / interrupts, budget=1)


def microcosts(bare: list[measure.Run], ours: list[measure.Run], loops: int) -> list[Figure]:
    unit = "instructions"

    def of(runs: list[measure.Run], marker: int) -> float:
        return per_operation(runs, marker, operations=loops)

    return [figure(name, unit, of(ours, marker), of(bare, marker), budget)
            for name, marker, budget in (
                ("MSI, raised to handled", measure.MESSAGE, MESSAGE_BUDGET),
                ("config-space read, load from ECAM", measure.RAW_CONFIG, CONFIG_BUDGET),
                ("config-space read, pci_read_config_word", measure.LINUX_CONFIG, CONFIG_BUDGET),
                ("BAR read", measure.BAR, BAR_BUDGET))]


def devices_per_domain() -> int:
    """The hypervisor's limit, from its source: what cannot be configured cannot be measured."""
    source = (paths.ROOT / "core" / "manifest" / "manifest.hpp").read_text()
    found = re.search(r"kMaxDevicesPerDomain = (\d+);", source)
    if found is None:
        raise measure.Broken("core/manifest/manifest.hpp does not say kMaxDevicesPerDomain")
    return int(found[1])


def config_reads(effort: Effort) -> list[Figure]:
    """The last function's config space, with one and with many functions passed through."""
    found = []
    for count in (1, min(FUNCTIONS, devices_per_domain())):
        say(f"  Penstock with {count} function{'s' if count > 1 else ''}")
        devices = measure.many_functions(count)
        words = {"rounds": str(effort.loops), "settle": "1", "device": devices[-1].place}
        run = measure.Board(f"functions-{count}", devices, words).penstock()
        for name, marker in (("load from ECAM", measure.RAW_CONFIG),
                             ("pci_read_config_word", measure.LINUX_CONFIG)):
            found.append(figure(f"config-space read, {name}, functions: {count}", "instructions",
                                per_operation([run], marker, operations=effort.loops),
                                budget=CONFIG_BUDGET))
    return found


def boot(bare: list[measure.Run], ours: list[measure.Run]) -> list[Figure]:
    unit = "million instructions"
    limit = statistics.median(run.init.instructions for run in bare) / 1e6
    return [figure("reset to the guest's init", unit,
                   statistics.median(run.init.instructions for run in ours) / 1e6, limit,
                   limit + BOOT_MILLION),
            figure("  of these the hypervisor's own", unit,
                   statistics.median(run.init.own for run in ours) / 1e6)]


def sizes(run: measure.Run) -> list[Figure]:
    memory = run.events("memory")[-1]
    return [figure("image", "bytes", paths.need(paths.IMAGE, "./dev build").stat().st_size,
                   budget=IMAGE_BUDGET),
            figure("memory beside the guests' own", "bytes",
                   memory["image_memory"] + memory["pool"], budget=MEMORY_BUDGET)]


def board_figures(effort: Effort) -> list[Figure]:
    devices = [measure.nvme(), measure.edu()]
    words = {"reads": str(effort.reads), "rounds": str(effort.loops)}
    bare, ours = [], []
    for number in range(effort.rounds):
        say(f"  bare metal, {number + 1} of {effort.rounds}")
        bare.append(measure.Board(f"bare-{number + 1}", devices, words).bare())
        say(f"  Penstock, {number + 1} of {effort.rounds}")
        ours.append(measure.Board(f"penstock-{number + 1}", devices, words).penstock())
    return [*reads(bare, ours), traps_per_interrupt(ours), *microcosts(bare, ours, effort.loops),
            *config_reads(effort), *boot(bare, ours), *sizes(ours[-1]),
            *iommu.figures(effort.rounds, effort.reads, effort.loops)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures Penstock and compares with the budgets.")
    parser.add_argument("--quick", action="store_true", help="fewer reads, one round")
    parser.add_argument("--profile", action="store_true",
                        help="only show which functions of the hypervisor cost how much")
    chosen = parser.parse_args()
    try:
        guests.OUT.mkdir(parents=True, exist_ok=True)
        guests.plugin()
        guests.ram_disk()
        if chosen.profile:
            print(hotspots.text())
            return 0
        say(guests.machine_description())
        figures = workstation.measure(chosen.quick)
        effort = QUICK if chosen.quick else FULL
        figures = [*board_figures(effort), *interrupts.figures(),
                   *control.figures(effort.rounds, chosen.quick), *figures]
    except (measure.Broken, paths.Missing, RuntimeError) as problem:
        print(problem, file=sys.stderr)
        return 1
    REPORT.write_text(json.dumps(rows(figures), indent=2) + "\n")
    print(table(figures))
    missed = [each.name.strip() for each in figures if not each.ok]
    print(f"\n{len(figures)} figures in {REPORT.relative_to(paths.ROOT)}; "
          + (f"{len(missed)} over budget: {', '.join(missed)}" if missed else "all budgets kept"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
