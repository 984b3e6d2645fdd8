"""A guest that floods the hypervisor with all that its devices can do, beside one that works.

The neighbour lives twice, from its boot to its power-off, with the same work on its drive: once alone
and once beside the flood. What is compared are counts of what happened, not times: how long the same
work takes says how busy the workstation is.
"""

import time

import control_lab
import disk
import scenario
from console import fields
from model_trace import ModelTrace
from scenario import EDU, IGB, NVME, Device
from sriov_lab import order

BOOT, WORK = 400, 300

# A domain's exits for the same work, beside a flood against alone: what depends on nothing but the
# work, and all of it. Ticks of its own clock are not counted, they are the time that it took.
SAME_WORK = ("hypercall", "distributor", "redistributor", "its", "config_space", "bar")
SAME_FACTOR, ALL_FACTOR = 1.5, 3

# What must have come from the flooder while the neighbour lived, or it was none.
# The board's interrupts for its faults go to a CPU that costs no domain's time, while there is one.
FLOOD = {"bar": 100_000, "msi": 10_000}
FAULTS = 5_000
EDU_STREAM = 3 << 3  # of 0000:00:03.0
STILL = 10  # seconds in which a device that was cut off has no fault
LINES = 150  # of the hypervisor's, in the whole run


def board_with(start, folder, image):
    """The control domain, and in it the files of the two others."""
    trace = ModelTrace(folder / "smmu.trace")
    flooder = scenario.hostile_guest("flood", [1], "flooder")
    flooder.devices = [Device(IGB, guest="00:01.0"), Device(EDU, ("no-reset",), guest="00:02.0")]
    neighbour = scenario.guest("neighbour", "visitor", "6.12", [2, 3], devices=[Device(NVME)],
                               memory=384 * scenario.MIB)
    board = start([control_lab.control_domain(folder, [flooder, neighbour])],
                  [*scenario.qemu_devices(nvme=image, igb=True, edu=True), *trace.words])
    lab = control_lab.Control(board)
    lab.wait_until_up()
    return board, lab, trace


def number_of(lab, name):
    """For what is typed."""
    return lab.domains()[name]["domain"] & 0xff


def reported(board, event, name):
    return [each.fields for each in board.console.events()
            if each.name == event and each.fields.get("domain") == name]


def life(board, lab, digest, before=0):
    """One life of the neighbour, its `before`th: its exits, and the rates while it was at work."""
    lab.create("neighbour")
    board.wait_for("neighbour", r"RESULT visitor listening", BOOT, "the neighbour to listen",
                   after=before)
    number = number_of(lab, "neighbour")
    order(board, number, "neighbour", "drive 1", after=before)
    found = board.all("neighbour", r"RESULT visitor drive (.*)")[before]
    assert fields(found[1]) == {"verified": "yes", "sha256": digest}
    rates = lab.json("top --once")
    board.type("poweroff\n", domain=number)
    board.wait_for("penstock", r'@ device .*"domain":"neighbour"', WORK,
                   "the hypervisor's account of the neighbour", after=before)
    lab.ctl("destroy neighbour")
    return reported(board, "exits", "neighbour")[before], rates


def without_ticks(exits):
    return sum(count for reason, count in exits.items() if reason not in ("domain", "timer"))


def judge_costs(alone, beside):
    for reason in SAME_WORK:
        assert beside[reason] <= SAME_FACTOR * alone[reason], (reason, alone, beside)
    assert without_ticks(beside) <= ALL_FACTOR * without_ticks(alone), (alone, beside)


def judge_rates(rates):
    """The faults are edu's and its owner's, and nobody else's."""
    for kind, key, guilty in (("devices", "device", EDU), ("domains", "name", "flooder")):
        rate = {each[key]: each["per_second"]["faults"] for each in rates[kind]}
        assert rate.pop(guilty) > 0, rates
        assert not any(rate.values()), rates


# Covers: S3.30
def test_flood_of_traps_interrupts_and_faults_beside_a_working_neighbour(start, folder):
    image = folder / "store.img"
    digest = disk.make(image, seed=61)
    board, lab, trace = board_with(start, folder, image)
    alone, _ = life(board, lab, digest)
    lab.create("flooder")
    board.wait_for("flooder", r"RESULT hostile flood begins", 60, "the flood to begin")
    first = lab.json("info flooder")
    beside, rates = life(board, lab, digest, before=1)
    last = lab.json("info flooder")
    for reason, least in FLOOD.items():
        assert last["counters"][reason] - first["counters"][reason] >= least, (reason, first, last)
    assert last["faults"] - first["faults"] >= FAULTS
    judge_costs(alone, beside)
    judge_rates(rates)

    # More than the SMMU can tell of: the device is cut off, and that costs a few lines, too.
    board.type("b", domain=number_of(lab, "flooder"))
    board.wait_for("penstock", rf"{EDU} of flooder is cut off", 120, "edu to be cut off")
    # The flood goes on meanwhile: nothing more comes of it, once the event queue has been read.
    time.sleep(2)
    cut_off, seen = lab.json("info flooder"), trace.faults()
    time.sleep(STILL)
    later = lab.json("info flooder")
    assert later["faults"] == cut_off["faults"], (cut_off, later)
    # The SMMU itself says so, too, and that nobody else had any; what it could not queue is not
    # among those that the hypervisor knows.
    assert trace.faults() == seen and set(seen) == {EDU_STREAM}
    assert seen[EDU_STREAM] >= later["faults"] >= FAULTS
    assert later["counters"]["bar"] > cut_off["counters"]["bar"]
    board.type("s", domain=number_of(lab, "flooder"))
    board.wait_for("flooder", r"RESULT hostile flood table=\d+", 60, "the flood to stop")
    board.wait_for("penstock", rf'@ device .*"domain":"flooder","bdf":"{EDU}"', 60,
                   "the hypervisor's account of the flooder")
    edu, = [each for each in reported(board, "device", "flooder") if each["bdf"] == EDU]
    assert edu["faults"] >= FAULTS and edu["interrupts"] >= FLOOD["msi"]
    assert all(each["faults"] == 0 for each in reported(board, "device", "neighbour"))
    blocked = [each.fields for each in board.console.events() if each.name == "blocked"]
    assert {(each["device"], each["domain"]) for each in blocked} == {(EDU, "flooder")}
    assert blocked[-1]["count"] > 10 * len(blocked)
    assert len(board.console.of("penstock")) < LINES
    assert lab.json("audit")["ok"]
