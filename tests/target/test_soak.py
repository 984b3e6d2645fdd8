"""A long life: 200 rounds here, more by `./dev soak` (ROUNDS and SEED in the environment)."""

import os
import random

import control_lab
import disk
import hostile
import paths
import scenario
import soak

BOOT = 400
SECONDS_PER_ROUND = 30  # a deadline, not an expectation


# Covers: S3.19 S3.22 H21 H32 H34 H35 H36
def test_nothing_is_left_after_any_round(start, folder):
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    rounds = int(os.environ.get("ROUNDS", "200"))
    print(f"SEED={seed} ROUNDS={rounds}")
    image = folder / "store.img"
    disk.make(image, seed=51)
    bare = scenario.Domain(soak.BARE, [1], hostile.build("idle", paths.ROOT / "tests/bench/guest"),
                           memory=32 * scenario.MIB, slots=2)
    linux = scenario.guest(soak.LINUX, "visitor", "6.12", [1], slots=2, memory=384 * scenario.MIB)
    script = soak.Soak(seed, rounds, other_domains=2).script()
    control = control_lab.control_domain(folder, [bare, linux], slots=1,
                                         files={"soak.sh": script.encode()})
    neighbour = scenario.guest("other", "shell", "6.1", [2, 3])
    board = start([control, neighbour], scenario.qemu_devices(nvme=image, igb=True))
    lab = control_lab.Control(board)
    lab.wait_until_up()
    board.type("work 20\n", domain=1)
    status, lines = lab.shell("sh /soak.sh", seconds=120 + rounds * SECONDS_PER_ROUND)
    assert status == 0, [f"SEED={seed}", *lines[-3:]]
    assert lines[-1] == f"SOAK ended rounds={rounds}"
    assert [line for line in lines if line.startswith("SOAK round")] == [
        f"SOAK round {number}" for number in range(1, rounds + 1)]
    board.wait_for("other", r"RESULT shell work sound", 600, "the neighbour's work")
