"""Boards as their device trees describe them: every tree of the guests' kernel packages through the
host tool, and trees with something unusual in QEMU."""

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import disk
import paths
import scenario
from board import Board, bundle_command

OUTCOMES = paths.ROOT / "tests" / "boards" / "outcomes.tsv"
SECONDS = 120  # for a batch; the parser needs a fraction of a second for each, under sanitizers too
BATCH = 64


def explain(trees) -> list[dict]:
    """What the tool says of each tree, in their order."""
    done = subprocess.run([str(paths.TOOL), "board", "explain", *map(str, trees), "--json"],
                          capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"one of {trees[0]} to {trees[-1]}: {done.stderr}"
    said = json.loads(done.stdout)
    answers = said if isinstance(said, list) else [said]  # of one tree, the answer alone
    assert [answer["file"] for answer in answers] == list(map(str, trees))
    return answers


def outcome(answer: dict) -> list[str]:
    console = answer["console"] or "-"
    return [*("yes" if answer[key] else "no" for key in ("boots", "assigns")),
            answer["isolation"], console]


def judge(answer: dict) -> list[str]:
    """What is wrong with this answer, whatever the tree."""
    wrong = []
    if not answer["boots"] and not any(r["weight"] == "no-boot" for r in answer["reasons"]):
        wrong.append("does not boot, and nothing says why")
    if not answer["assigns"] and not any(r["weight"] != "remark" for r in answer["reasons"]):
        wrong.append("assigns nothing, and nothing says why")
    if answer["console"] is None and not answer["reasons"]:
        wrong.append("has no console, and nothing says why")
    if answer["assigns"] != (answer["isolation"] != "none"):
        wrong.append("assigns, and does not say what isolates")
    wrong += [f"empty reason at {r['node']}" for r in answer["reasons"] if not r["what"]]
    return [f"{answer['file']}: {text}" for text in wrong]


def explain_all(trees) -> list[dict]:
    batches = [trees[first:first + BATCH] for first in range(0, len(trees), BATCH)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return [answer for answers in pool.map(explain, batches) for answer in answers]


def all_trees(line: str) -> dict:
    folder = paths.PAYLOAD / f"kernel-{line}" / "dtbs"
    assert folder.is_dir(), f"{folder} is missing: ./dev setup"
    return {str(tree.relative_to(folder)): tree for tree in sorted(folder.rglob("*.dtb"))}


def recorded() -> dict:
    rows = [line.split("\t") for line in OUTCOMES.read_text().splitlines() if line[0] != "#"]
    return {row[0]: row[1:] for row in rows}


# Covers: H70 H62
def test_every_board_of_the_kernel_package_has_the_outcome_that_is_recorded():
    """PENSTOCK_UPDATE_GOLDEN=1 writes the table anew."""
    trees = all_trees("6.12")
    assert len(trees) > 900
    answers = explain_all(list(trees.values()))
    wrong = [text for answer in answers for text in judge(answer)]
    assert not wrong, wrong[:20]
    found = dict(zip(trees, map(outcome, answers)))
    if os.environ.get("PENSTOCK_UPDATE_GOLDEN"):
        OUTCOMES.parent.mkdir(exist_ok=True)
        lines = ["# tree\tboots\tassigns\tisolation\tconsole",
                 *("\t".join([name, *row]) for name, row in sorted(found.items()))]
        OUTCOMES.write_text("\n".join(lines) + "\n")
    table = recorded()
    # A later package may bring boards and take some away; what it says of the others must hold.
    known = {name: row for name, row in found.items() if name in table}
    assert len(known) > 0.9 * len(table), "most of the recorded boards are gone"
    changed = {name: (row, table[name]) for name, row in known.items() if row != table[name]}
    assert not changed, dict(list(changed.items())[:20])


# Covers: H70
def test_trees_of_the_older_kernel_are_all_explained():
    answers = explain_all(list(all_trees("6.1").values()))
    wrong = [text for answer in answers for text in judge(answer)]
    assert not wrong, wrong[:20]


def test_tree_that_cannot_be_read_does_not_hide_the_others(tmp_path):
    good = next(iter(all_trees("6.12").values()))
    command = [str(paths.TOOL), "board", "explain", str(tmp_path / "none.dtb"), str(good)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2
    assert "none.dtb: cannot be read" in done.stderr
    assert [answer["ok"] for answer in json.loads(done.stdout)] == [False, True]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2
    assert str(good) in done.stdout and "none.dtb" not in done.stdout


def changed_tree(command: list[str], folder, change):
    """The board's own device tree after `change` of its source text."""
    plain, source, tree = folder / "plain.dtb", folder / "changed.dts", folder / "changed.dtb"
    words = list(command)
    words[words.index("-M") + 1] += f",dumpdtb={plain}"
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    text = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", str(plain)], check=True,
                          capture_output=True, text=True).stdout
    source.write_text(change(text))
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", str(tree), str(source)],
                   check=True)
    return tree


def another_smmu(base: int):
    def change(text: str) -> str:
        node = (f'\n\tsmmuv3@{base:x} {{ compatible = "arm,smmu-v3"; #iommu-cells = <1>;'
                f" reg = <0 0x{base:x} 0 0x20000>; }};\n")
        at = text.index("\n\tpsci {")
        return text[:at] + node + text[at:]
    return change


def console_on_a_bus(text: str) -> str:
    """The UART below a bus that moves its address, and a second window that lies over RAM."""
    text, moved = re.subn(r"\n\tpl011@9000000 \{(.*?)\n\t\};", lambda found: (
        "\n\tbus@9000000 { #address-cells = <1>; #size-cells = <1>; ranges = <0 0 0x9000000 0x1000>;"
        "\n\tpl011@0 {" + re.sub(r"reg = <[^>]*>", "reg = <0 0x1000>", found.group(1)) +
        "\n\t};\n\t};"), text, flags=re.DOTALL)
    assert moved == 1
    text = re.sub(r"/pl011@9000000", "/bus@9000000/pl011@0", text)
    text, windows = re.subn(r"\n\t\tranges = <(0x1000000 [^>]*)>", (
        r"\n\t\tranges = <\1 0x2000000 0 0x50000000 0 0x50000000 0 0x1000000>"), text)
    assert windows == 1
    return text


def run_with_tree(folder, change) -> Board:
    disk.make(folder / "store.img", seed=41)
    bundle = scenario.bundle([scenario.guest("store", "shell", "6.1", [0, 1],
                                             devices=[scenario.Device(scenario.NVME)])], folder)
    command = bundle_command(bundle, scenario.qemu_devices(nvme=folder / "store.img"))
    tree = changed_tree(command, folder, change)
    board = Board([*command, "-dtb", str(tree)], folder / "console.log")
    with board:
        board.wait_for("store", r"Linux version|RESULT|shell", 300, "the guest with its drive")
        board.stop()
    return board


def said(board: Board) -> str:
    return board.console.text("penstock") + "\n" + board.console.text("")


# Covers: H62 H68
@pytest.mark.parametrize("base", [0xb000000, 0x4000000], ids=["aborts", "zeroes"])
def test_smmu_that_no_map_names_is_told_and_does_not_stand_in_for_another(folder, base):
    board = run_with_tree(folder, another_smmu(base))
    assert f"an SMMUv3 at 0x{base:x} does not answer" in said(board), said(board)
    assert "panic" not in said(board)


# Covers: H70
def test_console_below_a_bus_and_a_window_over_ram(folder):
    board = run_with_tree(folder, console_on_a_bus)
    assert "its window at 0x50000000" in said(board), said(board)


# Covers: H65 H70
def test_board_with_twelve_cpus_runs(folder):
    bundle = scenario.bundle([scenario.guest("alone", "boot", "6.12", [0, 1])], folder)
    board = Board(bundle_command(bundle, scenario.qemu_devices(), smp=12), folder / "console.log")
    with board:
        board.wait_for("alone", r"RESULT boot reached-init", 400, "the guest")
        board.stop()


def switches(levels: int) -> list[str]:
    """Bridges one below the other: a root port, then ports of switches, upstream and downstream in turn."""
    devices = ["pcie-root-port,id=level1,bus=pcie.0,chassis=100,addr=0x10"]
    for level in range(2, levels + 1):
        kind = "x3130-upstream" if level % 2 == 0 else f"xio3130-downstream,chassis={100 + level}"
        devices.append(f"{kind},id=level{level},bus=level{level - 1}")
    return [word for device in devices for word in ("-device", device)]


# Covers: H62
def test_bridges_as_deep_as_can_be_opened_and_deeper(folder):
    bundle = scenario.bundle([scenario.guest("alone", "boot", "6.12", [0])], folder)
    board = Board(bundle_command(bundle, [*scenario.qemu_devices(), *switches(9)]), folder / "console.log")
    with board:
        board.wait_for("alone", r"RESULT boot reached-init", 200, "the guest")
        board.stop()
    assert re.search(r"and what is beyond stay closed", said(board)), said(board)
