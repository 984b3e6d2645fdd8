"""The demo's third act: one guest with an SMMU of its own and three devices, which it keeps apart.

The stock driver boots, drive and network work behind the guest's stage 1, edu is stopped twice: in
the drive's buffer by the guest's own stage 1, of which its kernel tells, and outside the guest by
ours, of which only the operator hears. Then drivers are bound anew, the guest starts its next
kernel by kexec, with lazy invalidation this time, and reboots.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import disk
import initramfs
import paths
from board import Board, Failure
from iommu_lab import (OUTSIDE, Lab, all_devices, blocked, judge_boot, judge_io, judge_stray,
                       lab_domain)
from judgement import Judgement
from scenario import configuration, drive_backend, network_backend, write_configuration
from server import Server

KERNEL = "6.12"
LIMIT = 1200  # seconds
FILE_BYTES = 2 << 20  # goes over the network and back four times
# One more blocked access in the page of the one before it is not told again.
OUTSIDE_LATER = OUTSIDE + 4096


@dataclass
class Act:
    """The guest on its board, and what every boot of it is judged by."""

    lab: Lab
    judgement: Judgement
    image: Path
    digest: str
    server: Server
    progress: Callable[[str], None]
    boots: list[dict] = field(default_factory=list)

    def boot(self, how: str, kind: str, outside: int | None = None) -> None:
        """One boot, from the first line to verified I/O, and edu's strays if it is told where."""
        kernel = self.lab.wait_boot()
        self.progress(f"lab: {how}, Linux {kernel}")
        places = judge_boot(self.judgement, self.lab, kind, how)
        self.io(how)
        boot = {"kernel": kernel, "how": how, "domains": kind, "groups": [
            {"slot": place.slot, "stream": place.stream, "group": place.group}
            for place in places.values() if place.group]}
        if outside is not None:
            stray = boot["stray"] = judge_stray(self.judgement, self.lab, how, outside)
            self.progress(f"lab: edu sent to the drive's buffer at {stray['nvme']}: its guest "
                          f"heard {stray['events']} events of stream {stray['stream']:#x}; sent "
                          f"outside to {stray['outside']}: the operator heard {stray['reported']}")
        self.boots.append(boot)

    def io(self, about: str) -> None:
        judge_io(self.judgement, self.lab, self.image, self.digest, about, self.server)
        self.progress(f"lab: {about}: drive and network verified")

    def play(self) -> None:
        self.boot("first boot", "DMA", OUTSIDE)
        self.lab.order("rebind")
        self.io("drivers bound again")
        self.lab.leave("kexec iommu.strict=0")
        self.boot("by kexec", "DMA-FQ", OUTSIDE_LATER)
        self.lab.leave("reboot")
        self.boot("rebooted", "DMA")
        self.lab.leave("poweroff")


def iommu_act(judgement: Judgement, out: Path, board_name: str, nonce: str, arguments: list[str],
              progress: Callable[[str], None]) -> dict:
    """Runs the act, adds to what was judged, and returns its part of the report."""
    image = out / "lab.img"
    progress("third act: making the drive")
    digest = disk.make(image, seed=int(nonce, 16) + 2, next_boot=(
        paths.kernel_image(KERNEL), initramfs.build("iommu", KERNEL)))
    with Server(seed=int(nonce, 16) + 3, nonce=nonce, file_bytes=FILE_BYTES) as server:
        words = f"iommu.strict=1 nonce={nonce} server={server.address_for_guest}"
        domain = lab_domain("lab", KERNEL, [0, 1], words, devices=all_devices())
        text = configuration([domain], board=board_name, timeout=LIMIT, backends={
            "nvme0": drive_backend(image), "net0": network_backend()})
        board = Board.penstock_run(write_configuration(out / "iommu.toml", text),
                                   out / "run-iommu", ["--input", "lab", *arguments])
        act = Act(Lab(board, "lab"), judgement, image, digest, server, progress)
        try:
            with board:
                act.play()
                board.wait_end(120, "the board to end after the guest has powered off")
            judgement.check("third act: the board ended by itself", board.exit_status == 0,
                            f"exit status {board.exit_status}")
        except Failure as failure:
            print(failure, file=sys.stderr)
            judgement.check("third act: the run went to its end", False,
                            str(failure).splitlines()[0])
    judgement.check("third act: the audit holds", not board.audit_problems(),
                    str(board.audit_problems()))
    return {"boots": act.boots, "blocked": blocked(act.lab)}
