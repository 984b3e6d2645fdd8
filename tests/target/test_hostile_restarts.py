"""A guest that restarts again and again gets nothing anew by it, and does so ever more slowly."""

import scenario
from scenario import IGB, Device

SECONDS = 20  # of its lives together (guest/hostile/restarts.c)
# What the hypervisor grants (core/assign/device.hpp, hypervisor/partition.hpp).
FAULTS_AT_ONCE, FAULTS_PER_SECOND = 4096, 64
RESTARTS_AT_ONCE, SECONDS_PER_RESTART = 16, 2
LINES_AT_ONCE, LINES_PER_MINUTE = 8, 1
# A device that is cut off leaves a full event queue behind; as many are in the array of one look.
LEFT_BEHIND = 256 + 32


# Covers: H58 H14 S1.15
def test_restarts_renew_neither_faults_nor_lines(start):
    guest = scenario.hostile_guest("restarts", [1], "hostile")
    guest.devices = [Device(IGB, guest="00:01.0")]
    # All CPUs belong to domains: a neighbour's takes the board's interrupts.
    board = start([scenario.guest("neighbour", "shell", "6.12", [0]), guest],
                  scenario.qemu_devices(igb=True), smp=2)
    board.wait_for("penstock", r'@ domain .*"name":"hostile".*"state":"(\w+)"', 300,
                   "the hostile guest to be over")
    board.wait_for("neighbour", r"RESULT shell listening", 300, "the neighbour to listen")
    board.type("ping alive\n", domain=0)
    board.wait_for("neighbour", r"RESULT shell pong alive", 60, "the neighbour's answer")
    board.type("poweroff\n", domain=0)
    assert board.wait_end(120) == 0

    ended, = [each.fields for each in board.console.events()
              if each.name == "domain" and each.fields["name"] == "hostile"]
    most = RESTARTS_AT_ONCE + 2 * SECONDS / SECONDS_PER_RESTART
    assert RESTARTS_AT_ONCE < ended["restarts"] <= most, ended
    card, = [each.fields for each in board.console.events()
             if each.name == "device" and each.fields["domain"] == "hostile"]
    least = FAULTS_AT_ONCE // 32  # where each event stands for that many that were lost
    assert least <= card["faults"], card
    assert card["faults"] <= (FAULTS_AT_ONCE + 2 * SECONDS * FAULTS_PER_SECOND
                              + LEFT_BEHIND * (ended["restarts"] + 1)), (card, ended)
    said = board.console.of("penstock")
    for what in ("a BAR is not mapped", "is cut off"):
        lines = [line.text for line in said if what in line.text]
        assert 1 <= len(lines) <= LINES_AT_ONCE + LINES_PER_MINUTE + 1, lines
