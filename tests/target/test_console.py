"""Whoever writes on the console costs nobody else anything: not time, and not a line on the screen.

Time is QEMU's virtual one under -icount: it counts instructions, of all CPUs together, and says
nothing of how busy the workstation is. A CPU that waits for a lock burns its whole share of them.
"""

import scenario
from console import fields

# Virtual time is the machine's, and the CPUs take turns in it.
ICOUNT = ["-icount", "shift=0,sleep=off"]
# The writer sends some of its neighbours' characters in its turns, at most so much of its time.
MOST = 1.25


def nanoseconds_a_character(start, neighbour):
    board = start([scenario.hostile_guest("writer", [1], "writer"),
                   scenario.hostile_guest(neighbour, [2], "neighbour")], ICOUNT, smp=3, memory="2G")
    board.wait_for("penstock", r'@ domain .*"name":"writer"', 400, "the writer to be done")
    found, = [fields(line) for line in board.console.results("writer") if " ns=" in line]
    board.stop()
    return int(found["ns"]) / int(found["characters"])


def test_neighbour_that_writes_without_end_costs_a_writer_no_time(start):
    alone = nanoseconds_a_character(start, "spin")
    beside = nanoseconds_a_character(start, "chat")
    assert beside <= MOST * alone, (alone, beside)
