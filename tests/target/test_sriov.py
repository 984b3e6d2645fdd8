"""SR-IOV: the control domain owns the physical functions, other guests get virtual ones."""

from sriov_lab import (BOOT, PF_CARD, PF_DRIVE, VF_CARD, VF_DRIVE, all_io, board_with_functions,
                       devices, left_over, not_at_work, order, traces)


# Covers: S3.10 S3.11
def test_functions_are_made_given_away_and_taken_back(start, folder):
    with board_with_functions(start, folder) as (board, lab, digest, server):
        found = devices(lab)
        assert {PF_DRIVE, PF_CARD, VF_DRIVE, VF_CARD} <= set(found)
        assert found[VF_DRIVE]["state"] == "free" and found[PF_DRIVE]["state"] == "assigned"
        lab.create("first")
        board.wait_for("first", r"RESULT visitor listening", BOOT, "the new guest to listen")
        for vf in (VF_DRIVE, VF_CARD):
            lab.ctl(f"attach {vf} first")
        all_io(board, 1, "first", digest, server)
        assert lab.json("audit")["ok"]
        lab.ctl(f"detach {VF_CARD}")
        assert devices(lab)[VF_CARD]["state"] == "free"
        # The physical function's owner switches off what another guest has: it is taken away first.
        status, lines = lab.shell(f"echo 0 >/sys/bus/pci/devices/{PF_DRIVE}/sriov_numvfs")
        assert status == 0, lines
        assert VF_DRIVE not in devices(lab)
        assert lab.json("audit")["ok"]
        board.type("ping after-the-surprise\n", domain=1)
        board.wait_for("first", r"pong after-the-surprise", 60, "the guest that lost its drive")
        # A physical function out of its owner's sight, and its virtual ones with it.
        lab.ctl(f"hide {PF_CARD}")
        assert devices(lab)[PF_CARD]["state"] == "hidden" and VF_CARD not in devices(lab)
        assert lab.json("audit")["ok"]
        lab.ctl(f"unhide {PF_CARD}")
        lab.ctl(f"attach {PF_CARD} control")
        lab.ctl("destroy first")
        assert lab.json("audit")["ok"]


# Covers: S3.22 H27 H34
def test_functions_of_a_guest_destroyed_at_work_serve_the_next_one(start, folder):
    with board_with_functions(start, folder, ("first", "second")) as (board, lab, digest, server):
        for number, name in enumerate(("first", "second"), 1):
            lab.create(name)
            board.wait_for(name, r"RESULT visitor listening", BOOT, f"guest {name} to listen")
            assert lab.domains()[name]["state"] == "running", number
        for vf in (VF_DRIVE, VF_CARD):
            lab.ctl(f"attach {vf} first")
        all_io(board, 1, "first", digest, server)
        order(board, 1, "first", "busy 3")
        at_work = traces(board, 1, "first")
        assert not not_at_work(at_work), at_work
        lab.ctl("destroy first")
        assert lab.json("audit")["ok"]
        server.returned.clear()
        server.answers.clear()
        # The next one looks at the registers before any driver does.
        order(board, 2, "second", "strangers")
        for vf in (VF_DRIVE, VF_CARD):
            assert devices(lab)[vf]["state"] == "free"
            lab.ctl(f"attach {vf} second")
        assert not left_over(traces(board, 2, "second"))
        order(board, 2, "second", "adopt")
        all_io(board, 2, "second", digest, server, seed=2)
        assert lab.json("audit")["ok"]
        lab.ctl("destroy second")
        assert set(lab.domains()) == {"control"}
