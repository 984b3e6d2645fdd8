"""The library's Google Benchmark programs, and how their figures grow with the arrangement's size.

A program's benchmark `name/1`, `name/100`, `name/10000` is one family: the last over the first is
its growth. Times are of this workstation and a record only; the growth has a budget.
"""

import json
import subprocess
from pathlib import Path

import paths
from figures import Figure, figure

PROGRAMS = paths.BUILD / "bench" / "benchmarks"
GROWTH = 3.0  # flat or logarithmic; 10,000 times as many would be 10,000 otherwise

# What has to be there: family of the program -> what it is called in the report.
NEEDED = {
    "ConfigRead": "config-space read of a virtual function, functions",
    "BM_Stage2MapUnmap4K": "stage-2 map and unmap, 4 KiB, mappings",
    "BM_Stage2MapUnmap2M": "stage-2 map and unmap, 2 MiB, mappings",
    "its_command": "virtual ITS command, mapped events",
    "vsmmu_command": "virtual SMMU command, queued at a time",
    "vsmmu_command_of_stream": "virtual SMMU command for a stream, devices",
    "vsmmu_refresh": "virtual SMMU entry invalidated and taken over, devices",
    "vsmmu_entry": "guest's stream table read, entries",
    "vsmmu_event": "virtual SMMU event, devices",
}


def run(program: Path, quick: bool) -> dict[str, dict[int, float]]:
    """CPU nanoseconds, median of several repetitions: family -> argument -> time."""
    command = [str(program), "--benchmark_format=json",
               f"--benchmark_min_time={0.02 if quick else 0.1}",
               f"--benchmark_repetitions={3 if quick else 7}",
               "--benchmark_report_aggregates_only=true"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{program.name} failed:\n{done.stderr}")
    families: dict[str, dict[int, float]] = {}
    for each in json.loads(done.stdout)["benchmarks"]:
        if each.get("error_occurred"):
            raise RuntimeError(f"{program.name}: {each['name']}: {each.get('error_message')}")
        if each.get("aggregate_name") != "median":
            continue
        name, _, argument = each["run_name"].partition("/")
        families.setdefault(name, {})[int(argument or 1)] = each["cpu_time"]
    return families


def measure(quick: bool) -> list[Figure]:
    programs = sorted(PROGRAMS.glob("penstock_*_bench"))
    if not programs:
        raise paths.Missing(f"{PROGRAMS.relative_to(paths.ROOT)} holds no benchmarks: "
                            "run ./dev bench first")
    families: dict[str, dict[int, float]] = {}
    for program in programs:
        families.update(run(program, quick))
    missing = sorted(set(NEEDED) - set(families))
    if missing:
        raise paths.Missing(f"no benchmark program has {', '.join(missing)}")
    found = []
    for family, title in NEEDED.items():
        times = families[family]
        found += [figure(f"{title}: {size}", "ns", times[size]) for size in sorted(times)]
        growth = times[max(times)] / times[min(times)]
        found.append(figure(f"  growth from {min(times)} to {max(times)}", "times", growth,
                            budget=GROWTH))
    rate = 1000 / max(families["vsmmu_command"].values())
    found.append(figure("virtual SMMU commands in a second, at least", "million", rate))
    for family in sorted(set(families) - set(NEEDED)):
        times = families[family]
        found += [figure(f"{family}/{size}" if len(times) > 1 else family, "ns", times[size])
                  for size in sorted(times)]
    return found
