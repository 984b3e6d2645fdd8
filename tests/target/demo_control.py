"""The demo's fourth act: from the control domain's shell guests come and go, and so do devices.

The control domain owns an NVMe drive and a network card and switches virtual functions of both on. A
guest is made, gets one of each while it runs, works on them, and is destroyed in the middle of it.
The functions are reset and handed to the other guest, whose drivers find them as after power-on.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import control_lab
import disk
import scenario
import sriov_lab
from board import Board, Failure, bundle_command
from judgement import Judgement
from server import Server
from sriov_lab import (VF_CARD, VF_DRIVE, all_io, devices, left_over, not_at_work, order, switch_on,
                       traces)

FILE_BYTES = 2 << 20


class Act:
    def __init__(self, board: Board, server: Server, digest: str, judgement: Judgement,
                 progress: Callable[[str], None]) -> None:
        self.board, self.server, self.digest = board, server, digest
        self.judgement, self.progress = judgement, progress
        self.lab = control_lab.Control(board)
        self.guests: list[dict] = []

    def audited(self, when: str) -> None:
        audit = self.lab.json("audit")
        self.judgement.check(f"fourth act: the audit holds {when}", audit["ok"], str(audit))

    def look(self, number: int, name: str) -> None:
        """The registers as the guest finds them, before its drivers."""
        wrong = left_over(traces(self.board, number, name))
        self.judgement.check(f"fourth act: {name}: no trace of the last owner",
                             not wrong, str(wrong))
        order(self.board, number, name, "adopt")

    def guest(self, seed: int, name: str) -> None:
        """Made, given its functions while it runs, looked at, at work, verified from outside."""
        self.lab.create(name)
        self.board.wait_for(name, r"RESULT visitor listening", sriov_lab.BOOT, f"guest {name}")
        number = self.lab.domains()[name]["domain"] & 0xff
        self.server.returned.clear()
        self.server.answers.clear()
        order(self.board, number, name, "strangers")
        for function in (VF_DRIVE, VF_CARD):
            self.lab.ctl(f"attach {function} {name}")
        self.look(number, name)
        try:
            all_io(self.board, number, name, self.digest, self.server, seed)
            verified = True
        except AssertionError as wrong:
            print(wrong, file=sys.stderr)
            verified = False
        self.judgement.check(f"fourth act: {name}: drive and network verified", verified)
        self.guests.append({"name": name, "devices": [VF_DRIVE, VF_CARD], "verified": verified})
        self.progress(f"control: {name} made, two virtual functions plugged in, work verified")
        self.audited(f"while {name} works")

    def play(self) -> None:
        self.lab.wait_until_up()
        switch_on(self.lab)
        self.progress("control: virtual functions of drive and card are on")
        self.guest(1, "first")
        order(self.board, 1, "first", "busy 3")
        idle = not_at_work(traces(self.board, 1, "first"))
        self.judgement.check("fourth act: first: its queues and interrupts are in use", not idle,
                             str(idle))
        self.lab.ctl("destroy first")
        self.progress("control: first destroyed in the middle of its work")
        self.audited("after first was destroyed")
        found = devices(self.lab)
        for function in (VF_DRIVE, VF_CARD):
            self.judgement.check(f"fourth act: {function} was reset and is free",
                                 found[function]["state"] == "free", str(found[function]))
        self.guest(2, "second")
        self.lab.ctl("destroy second")
        left = sorted(self.lab.domains())
        self.judgement.check("fourth act: no guest is left", left == ["control"], str(left))
        self.board.type("poweroff\n", domain=0)


def control_act(judgement: Judgement, out: Path, nonce: str,
                progress: Callable[[str], None]) -> dict:
    """Runs the act, adds to what was judged, and returns its part of the report."""
    progress("fourth act: making the drive")
    folder = out / "run-control"
    image = folder / "drive.img"
    folder.mkdir(parents=True, exist_ok=True)
    digest = disk.make(image, seed=int(nonce, 16) + 4)
    with Server(seed=int(nonce, 16) + 5, nonce=nonce, file_bytes=FILE_BYTES) as server:
        bundle = scenario.bundle(sriov_lab.domains(folder, server, ("first", "second")), folder)
        board = Board(bundle_command(bundle, scenario.sriov_devices(nvme=image, igb=True)),
                      folder / "console.log")
        act = Act(board, server, digest, judgement, progress)
        try:
            with board:
                act.play()
                status = board.wait_end(120, "the board to end after the control domain's power-off")
            judgement.check("fourth act: the board ended by itself", status == 0, f"status {status}")
        except (Failure, control_lab.Refused) as failure:
            print(failure, file=sys.stderr)
            judgement.check("fourth act: the run went to its end", False,
                            str(failure).splitlines()[0])
    problems = board.audit_problems()
    judgement.check("fourth act: no audit found anything", not problems, str(problems))
    return {"guests": act.guests}
