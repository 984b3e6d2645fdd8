"""Guests that mean harm: stopped or answered, one by one, while a neighbour works.

Each program ends by itself and powers off. Two outcomes are right: it gets to its end, every
attempt having had a defined answer, or the hypervisor has stopped it with a message that names it
and says what it did. In both, the neighbour and the hypervisor go on.
"""

import re
from dataclasses import replace

import pytest

import hostile
import scenario
from board import Board, bare_command
from console import fields

BOOT, WORK = 300, 400


def trial(start, program, devices=(), qemu=None, iommu=None, work=5, during=None, **more):
    """`work`: seconds of the neighbour's; `during` is called with the board meanwhile; `more`: of
    the hostile domain, as scenario.Domain has it."""
    guest = replace(scenario.hostile_guest(program, [0, 1]), devices=list(devices), iommu=iommu,
                    **more)
    board = start([guest, scenario.guest("neighbour", "shell", "6.12", [2, 3])], qemu)
    board.wait_for("neighbour", r"RESULT shell listening", BOOT, "the neighbour to listen")
    board.type(f"work {work}\n", domain=1)
    if during is not None:
        during(board)
    gone = board.wait_for("penstock", r'@ domain .*"name":"hostile".*"state":"(\w+)"', WORK,
                          f"the hostile program {program} to be over")
    board.wait_for("neighbour", r"RESULT shell work sound", WORK, "the neighbour's work")
    board.type("ping alive\n", domain=1)
    board.wait_for("neighbour", r"RESULT shell pong alive", 60, "the neighbour's answer")
    board.type("poweroff\n", domain=1)
    assert board.wait_end(120) == 0

    ended = [line for line in board.console.results("hostile") if " done " in line]
    stopped = re.search(r"^(?:\w+: )?hostile: (.+)$", board.console.text("penstock"), re.MULTILINE)
    if gone[1] == "off":
        assert ended and int(fields(ended[-1])["attempts"]) > 0
    else:
        assert stopped, "a guest was stopped without a word"
    # A guest cannot make the hypervisor talk without end.
    assert len(board.console.of("penstock")) < 400
    return board


# Covers: H14 H26
@pytest.mark.parametrize("program", ["calls", "nowhere", "odd"])
def test_hostile_guest_harms_only_itself(start, program):
    trial(start, program)


# Covers: H12 H13 H14 S2.27
def test_random_accesses_to_everything_that_is_not_memory(start):
    trial(start, "mmio")


# Covers: H14 H50 S0.20
def test_its_with_tables_and_rings_in_the_wrong_places(start):
    trial(start, "its")


DEVICES = [scenario.Device(scenario.IGB), scenario.Device(scenario.EDU, ("no-reset",))]


# Covers: H13 S3.13
def test_random_accesses_with_devices_to_hit(start):
    trial(start, "mmio", DEVICES, scenario.qemu_devices(igb=True, edu=True))


# Covers: H15 H17 H19 H45 S0.6 S3.13 S3.14
def test_every_config_access_and_bars_in_the_wrong_places(start):
    board = trial(start, "config", DEVICES, scenario.qemu_devices(igb=True, edu=True))
    found = [fields(line) for line in board.console.results("hostile") if "functions=" in line]
    assert not found or int(found[0]["functions"]) >= 2


# The programs themselves are sound: without a hypervisor they run to their end.
@pytest.mark.parametrize("program", hostile.PROGRAMS)
def test_program_runs_on_the_bare_board(folder, program):
    command = bare_command(hostile.build(program), None, "", machine="virt,gic-version=3")
    with Board(command, folder / "console.log", only="bare") as board:
        board.wait_for("bare", rf"RESULT hostile {program} done", 60, "the program's last line")
        assert board.wait_end(30) == 0
