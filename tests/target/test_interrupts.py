"""The virtual interrupt controller's answers beside those of the bare board, and its cost where CPUs
are many."""

import os

import hostile
import scenario
from board import Board, bare_command, bundle_command

ANSWERS = 30
MANY = 8
CORES = 2
BOOT = 300  # seconds; the bare board takes ten with two cores to itself


def answers(console, name):
    """"NAME right seen=… right=…" of every question that the program asks."""
    return [line.removeprefix("hostile interrupts ") for line in console.results(name)
            if " seen=" in line]


def test_virtual_gic_answers_as_the_board(start, folder):
    command = bare_command(hostile.build("interrupts"), None, "", machine="virt,gic-version=3")
    with Board(command, folder / "bare.log", only="bare") as bare:
        bare.wait_for("bare", r"RESULT hostile interrupts done", 120, "the bare board's last answer")
    board = start([scenario.hostile_guest("interrupts", [0, 1])])
    board.wait_for("hostile", r"RESULT hostile interrupts done", 240, "the guest's last answer")
    right = answers(bare.console, "bare")
    assert len(right) == ANSWERS
    assert not [line for line in right if " right " not in line]
    assert answers(board.console, "hostile") == right
    assert board.wait_end(60) == 0


# Covers: H66
def test_guest_with_more_cpus_than_there_are_cores_comes_up_and_works(folder):
    described = folder / "board.toml"
    described.write_text(
        'name = "many"\ntitle = "QEMU virt with many CPUs"\n'
        f'cpus = {MANY}\nmemory_base = 0x40000000\nmemory = "4G"\n'
        'iommu = "smmuv3"\niommu_stages = 2\nmsi = "its"\nbridge = "ecam"\n\n[qemu]\n'
        'machine = "virt,virtualization=on,gic-version=3,iommu=smmuv3"\n'
        'cpu = "cortex-a76"\narguments = []\n')
    guest = scenario.guest("many", "shell", "6.12", list(range(MANY)))
    bundle = scenario.bundle([guest], folder, board=str(described))
    cores = ",".join(str(each) for each in sorted(os.sched_getaffinity(0))[:CORES])
    command = ["taskset", "-c", cores, *bundle_command(bundle, smp=MANY)]
    with Board(command, folder / "console.log") as board:
        board.wait_for("many", rf"RESULT shell ok .*cpus={MANY}", BOOT, "the guest with all its CPUs")
        board.wait_for("many", r"RESULT shell listening", BOOT, "the guest to listen")
        board.type("work 5\n", domain=0)
        board.wait_for("many", r"RESULT shell work sound", BOOT, "the guest's work on all CPUs")
        board.type("poweroff\n", domain=0)
        assert board.wait_end(120) == 0
