"""A guest that means harm to the SMMU that it owns, beside a neighbour that works."""

import disk
import scenario
from hostile import Run
from iommu_lab import Lab, judge_io, lab_domain
from judgement import Judgement
from test_hostile import trial

EDU = [scenario.Device(scenario.EDU, ("no-reset",), guest="00:01.0")]


# What the program comes through; it does the last of it 20,000 times.
ALL = Run(20_000, tuple(f"hostile smmu: {stage}" for stage in (
    "opcodes", "places", "full queue of invalidations", "full queue of ranges",
    "full queue of syncs", "entries", "tables", "faults", "cut off",
    "random")))


# Covers: S1.15 H56 S2.14 S2.15 S2.16 S2.18 S2.26 S2.27 H13 H51 H52 H53
def test_smmu_with_everything_that_it_must_not_get(start):
    board = trial(start, "smmu", EDU, scenario.qemu_devices(edu=True), iommu="smmuv3",
                  like=ALL)
    wrong = [line for line in board.console.results("hostile") if " wrong " in line]
    assert not wrong, wrong
    # A flood of faults cuts its device off, which is told once; that its guest cannot have it back
    # is no news.
    said = [line.text for line in board.console.of("penstock") if "cut off" in line.text]
    assert len(said) == 1 and "is cut off: more than" in said[0], said


# Covers: H51
def test_neighbour_with_an_smmu_of_its_own_notices_nothing(start, folder):
    """While the hostile guest keeps its queues full, the neighbour's drive works behind stage 1."""
    image = folder / "store.img"
    digest = disk.make(image, seed=41)
    guest = scenario.hostile_guest("smmu", [0, 1])
    guest.devices, guest.iommu = EDU, "smmuv3"
    nonce = "hostile"
    board = start([guest, lab_domain("lab", "6.12", [2, 3], f"nonce={nonce}",
                                     devices=[scenario.Device(scenario.NVME)])],
                  scenario.qemu_devices(nvme=image, edu=True))
    lab = Lab(board, "lab", focus=1)
    judgement = Judgement()
    lab.wait_boot()
    for times in range(2):
        judge_io(judgement, lab, image, digest, f"pass {times + 1}")
    board.wait_for("penstock", r'@ domain .*"name":"hostile".*"state":"off"', 400,
                   "the hostile guest to be over")
    lab.leave("poweroff")
    assert board.wait_end(120) == 0
    assert judgement.ok, judgement.failed
