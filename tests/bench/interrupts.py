"""What a CPU pays for interrupts, and whether that grows with the number of a domain's CPUs.

A program without an operating system (guest/costs.c) runs on bare metal and in a domain, with 1
to 8 CPUs, under -icount: a nanosecond of virtual time is one instruction of whichever CPU runs. The
difference is what the hypervisor executes, on all CPUs together. Stand-alone
(`python3 tests/bench/interrupts.py`) it measures only this and prints the table.
"""

import re
import sys

import guests

import hostile
import measure
import paths
import scenario
from board import Board, Failure, bare_command, bundle_command
from figures import Figure, figure, table

CPUS = (1, 2, 8)
LIMIT = 300  # seconds of the workstation
GROWTH = 1.25  # from the fewest CPUs that it takes to the most
EDU = ["-device", "edu,dma_mask=0xffffffffffffffff,addr=3"]
ICOUNT = ["-icount", "shift=0,sleep=off"]
# Instructions at EL2, the largest that is allowed. Those of a register are beyond an HVC, which is
# what every trap costs. The branch history is not cleared, as in the other rows (measure.py).
BEYOND_HVC = ("distributor", "uart")
BUDGETS = {"hvc": 150, "distributor": 126, "uart": 148, "tick": None, "self": None, "pair": 500,
           "message": None}
NAMES = {"hvc": "HVC", "distributor": "virtual distributor, a register read beyond an HVC",
         "uart": "virtual UART, a register read beyond an HVC", "tick": "tick of the timer, set to ended",
         "self": "SGI to itself", "pair": "SGI to another CPU",
         "message": "MSI, raised to ended"}


def description(cpus: int) -> str:
    return ('name = "bench"\ntitle = "QEMU virt for the benchmark"\n'
            f'cpus = {cpus}\nmemory_base = 0x40000000\nmemory = "2G"\n'
            'iommu = "smmuv3"\niommu_stages = 2\nmsi = "its"\nbridge = "ecam"\n\n[qemu]\n'
            'machine = "virt,virtualization=on,gic-version=3,iommu=smmuv3"\n'
            'cpu = "cortex-a76"\narguments = []\n\n[[device]]\nbdf = "0000:00:03.0"\n'
            'name = "edu"\nreset = "none"\nisolation = "integrated"\n')


def times(command: list[str], name: str, log) -> dict[str, float]:
    """Nanoseconds of each operation."""
    try:
        with Board([*command, *ICOUNT], log, only=name if name == "bare" else None) as board:
            board.wait_for(name, r"RESULT done cpus=\d+", LIMIT, "the program's last line")
            lines = board.console.results(name)
    except Failure as problem:
        raise measure.Broken(f"interrupts: {problem}") from problem
    found = (re.search(r"^time (\w+) picoseconds=(\d+)", line) for line in lines)
    return {each[1]: int(each[2]) / 1000 for each in found if each}


def run(cpus: int) -> tuple[dict[str, float], dict[str, float]]:
    folder = guests.OUT / f"interrupts-{cpus}"
    folder.mkdir(parents=True, exist_ok=True)
    program = hostile.build("costs", guests.HERE / "guest")
    bare = times(bare_command(program, None, "", EDU, machine="virt,gic-version=3", smp=cpus),
                 "bare", folder / "bare.log")
    (folder / "board.toml").write_text(description(cpus))
    domain = scenario.Domain("bench", list(range(cpus)), program, memory=64 * scenario.MIB,
                             devices=[scenario.Device("0000:00:03.0", ("no-reset",), "00:03.0")])
    bundle = scenario.bundle([domain], folder, board=str(folder / "board.toml"))
    ours = times([*bundle_command(bundle, EDU, smp=cpus, memory="2G"), "-append",
                  "spectre-bhb=off"], "bench", folder / "penstock.log")
    return bare, ours


def figures() -> list[Figure]:
    costs: dict[str, dict[int, float]] = {each: {} for each in NAMES}
    found = []
    for cpus in CPUS:
        print(f"  interrupts with CPUs: {cpus}", file=sys.stderr, flush=True)
        bare, ours = run(cpus)
        for each, value in ours.items():
            # A pair is two SGIs.
            costs[each][cpus] = (value - bare[each]) / (2 if each == "pair" else 1)
    for each in BEYOND_HVC:
        costs[each] = {cpus: cost - costs["hvc"][cpus] for cpus, cost in costs[each].items()}
    for each, of in costs.items():
        least, most = min(of), max(of)
        for cpus in (least, most):
            found.append(figure(f"{NAMES[each]}, at EL2, CPUs: {cpus}", "instructions", of[cpus],
                                budget=BUDGETS[each]))
        found.append(figure("  growth", "times", of[most] / of[least], budget=GROWTH))
    return found


def main() -> int:
    guests.OUT.mkdir(parents=True, exist_ok=True)
    paths.need(paths.IMAGE, "./dev build")
    found = figures()
    print(table(found))
    return 0 if all(each.ok for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
