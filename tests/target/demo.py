"""The demo: two Debian guests, a real device each, and a traitor; then one guest with an IOMMU of
its own (demo_iommu.py); then guests and devices that come and go (demo_control.py).

    demo.py          build/demo/demo.toml on the hypervisor, by way of `penstock run`
    demo.py --bare   the same guests directly on the board, one after the other, without a
                     hypervisor: shows that the payload works, and that the traitor's attacks
                     do arrive where nobody stops them

What the guests say is not enough: the answer is read from the drive's image after shutdown, the
network's data are compared by the server, and blocked accesses are what the hypervisor reports.
Writes build/demo/report.json; exits with 0 only when everything held.
"""

import argparse
import json
import secrets
import sys
import time
from pathlib import Path

import disk
import paths
from board import Board, Failure, bare_command
from console import Console, fields
from demo_control import control_act
from demo_iommu import iommu_act
from judgement import Judgement, Results
from model_trace import ModelTrace
from scenario import (BOARD_RAM, CMDLINE, EDU, IGB, MIB, NVME, RAM_BASE, Device, Domain,
                      configuration, drive_backend, guest, network_backend, qemu_devices,
                      write_configuration)
from server import Server

OUT = paths.BUILD / "demo"
BOARD_NAME = "qemu-virt-gicv3-smmuv3"
STORE_BASE = 0x8000_0000  # machine address of store's memory: outside what net calls its own
ITS_DOORBELL = 0x0809_0040  # GITS_TRANSLATER
BOOT_SECONDS = 400
WORK_SECONDS = 600
EDU_ID, NVME_ID = 3 << 3, 1 << 8  # requester and stream IDs of EDU and NVME
TRANSFERS = 2 + 2 + 8  # of the traitor's orders: write and read twice, and a message for each event
WITHOUT_ID = 0  # what QEMU's "edu" sends its writes with, where no SMMU is in their way


def progress(started: float, text: str) -> None:
    print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)


def store_domain(nonce: str, busy: int = 240) -> Domain:
    return guest("store", "store", "6.1", [0, 1], f"nonce={nonce} busy={busy}",
                 memory_base=STORE_BASE, devices=[Device(NVME)])


def net_domain(server: Server, nonce: str, words: str = "") -> Domain:
    return guest("net", "net", "6.12", [2, 3],
                 f"nonce={nonce} server={server.address_for_guest} {words}".strip(),
                 devices=[Device(IGB), Device(EDU, ("no-reset",))])


def hypervisor_memory(console: Console) -> int:
    """A machine address that the hypervisor keeps for itself: its pool, at the top of RAM."""
    for event in console.events():
        if event.name == "memory" and "pool_base" in event.fields:
            return int(str(event.fields["pool_base"]), 0)
    return RAM_BASE + BOARD_RAM - 1 * MIB


def orders(canary: int, hypervisor: int) -> list[str]:
    return [f"memory:store:0x{canary:x}", f"memory:penstock:0x{hypervisor:x}",
            f"doorbell:its:0x{ITS_DOORBELL:x}"]


def run_demo(board: Board, server: Server, started: float) -> None:
    """Drives the run: waits for what happens, hands the traitor its orders, ends store's work."""
    console = board.console
    store_at = board.wait_for("store", r"RESULT store up kernel=(\S+)", BOOT_SECONDS,
                              "store to reach its init")
    progress(started, f"store: up, Linux {store_at[1]}")
    net_at = board.wait_for("net", r"RESULT net up kernel=(\S+)", BOOT_SECONDS,
                            "net to reach its init")
    progress(started, f"net: up, Linux {net_at[1]}")
    board.wait_for("store", r"RESULT store question .*verified=yes", WORK_SECONDS,
                   "store to find and verify the file on its drive")
    progress(started, "store: file on the drive verified")
    board.wait_for("net", r"RESULT net file .*verified=yes", WORK_SECONDS,
                   "net to fetch and verify the file")
    progress(started, "net: file fetched over the network and verified")
    canary = board.wait_for("store", r"RESULT canary address=(0x[0-9a-f]+)", WORK_SECONDS,
                            "store's canary page")
    board.wait_for("store", r"RESULT store fio-pass 1\b", WORK_SECONDS,
                   "store's first verified fio pass")
    progress(started, "store: fio writes and verifies; now the traitor gets its orders")
    machine_address = STORE_BASE + int(canary[1], 16) - RAM_BASE
    server.give_orders(orders(machine_address, hypervisor_memory(console)))
    board.wait_for("net", r"RESULT (edu attack kind=doorbell|edu no-device|edu cannot|net traitor)",
                   WORK_SECONDS, "the traitor to finish")
    progress(started, "net: the traitor is through with its attempts")
    passes = len(Results(console, "store").all("store", "fio-pass"))
    try:
        board.wait_for("store", rf"RESULT store fio-pass {passes + 1}\b", WORK_SECONDS,
                       "store to finish a fio pass that began after the attack")
        progress(started, "store: another fio pass verified after the attack")
        board.type("enough\n", domain=0)
    except Failure as failure:
        if not Results(console, "store").said("store fio verified=yes"):
            raise failure
    board.wait_for("net", r"RESULT net done", WORK_SECONDS, "net to finish")
    board.wait_for("store", r"RESULT store done", WORK_SECONDS, "store to finish")
    progress(started, "both guests are done and power off")
    board.wait_end(120, "the board to end after both guests have powered off")


def interrupts_of(results: Results, role: str) -> tuple[int, int]:
    """(sum of all interrupts, number of vectors that had any)."""
    counts = [int(each["count"]) for each in results.all(role, "irq")]
    return sum(counts), sum(1 for count in counts if count)


def only_own_devices(results: Results, role: str, own: set[str]) -> bool:
    """Nothing but the domain's own devices, not counting a host bridge (class 0600)."""
    seen = [each["id"] for each in results.all(role, "pci")
            if not each.get("class", "").startswith("0x0600")]
    return sorted(seen) == sorted(own)


def judge_store(judgement: Judgement, results: Results, image: Path, digest: str, nonce: str,
                ids: set[str] | None) -> dict:
    """`ids`: the devices that store may see; nothing where that does not matter (bare board)."""
    io = results.one("store", "io")
    total, vectors = interrupts_of(results, "store")
    answer = (disk.read_file(image, "answer.txt") or b"").decode(errors="replace").strip()
    answered = fields(answer)
    verified = judgement.check("store: answer on the drive is right",
                               answered.get("sha256") == digest
                               and answered.get("nonce") == nonce, answer or "no answer")
    verified &= judgement.check("store: fio verified its data",
                                results.one("store", "fio").get("verified") == "yes")
    judgement.check("store: file system left in good order", disk.clean(image))
    if ids is not None:
        judgement.check("store: sees its drive and nothing else",
                        only_own_devices(results, "store", ids))
    judgement.check("store: several MSI-X vectors in use", vectors >= 2, f"{vectors}")
    return {"bdf": NVME, "driver": "nvme", "bytes_read": int(io.get("bytes_read", 0)),
            "bytes_written": int(io.get("bytes_written", 0)), "verified": verified,
            "interrupts": total, "vectors": vectors}


def judge_net(judgement: Judgement, results: Results, server: Server,
              ids: set[str] | None) -> dict:
    io = results.one("net", "io")
    total, vectors = interrupts_of(results, "net")
    verified = judgement.check("net: the server got the same bytes back and the same checksum",
                               server.verified)
    verified &= judgement.check("net: the guest verified what it fetched",
                                results.one("net", "file").get("verified") == "yes")
    if ids is not None:
        judgement.check("net: sees its devices and nothing else",
                        only_own_devices(results, "net", ids))
    judgement.check("net: several MSI-X vectors in use", vectors >= 2, f"{vectors}")
    return {"bdf": IGB, "driver": results.one("net", "address").get("driver", ""),
            "bytes_read": int(io.get("bytes_read", 0)),
            "bytes_written": int(io.get("bytes_written", 0)), "verified": verified,
            "interrupts": total, "vectors": vectors}


def judge_traitor(judgement: Judgement, net: Results, store: Results,
                  blocked: list[dict]) -> dict:
    control = net.one("edu", "control")
    works = judgement.check("edu: DMA into its owner's memory works",
                            control.get("wrote") == "yes" and control.get("read") == "yes")
    attacks = net.all("edu", "attack")
    judgement.check("edu: three attempts were made", len(attacks) == 3, f"{len(attacks)}")
    for attack in attacks:
        name = f"edu: attempt on {attack['target']} at {attack['address']}"
        if attack["kind"] == "memory":
            judgement.check(name + " brought nothing",
                            attack["readback"] in ("nothing", "zeros", "ones"),
                            attack["readback"])
        address = int(attack["address"], 16)
        # The SMMU reports the address of the access; a doorbell may be reported by its name, when
        # it was the ITS that refused the message.
        named = [each for each in blocked
                 if each.get("device") == EDU and each.get("domain") == "net"
                 and matches(str(each.get("target", "")), address, attack["kind"])]
        judgement.check(name + " is reported as blocked, with its owner", named)
    canary = store.one("canary", "intact")
    intact = [each for each in store.all("canary") if "intact" in each]
    judgement.check("store: the attacked page is as it was",
                    bool(intact) and intact[-1]["intact"] == "yes" and intact[-1]["moved"] == "no",
                    str(canary))
    return {"bdf": EDU, "driver": "edu_traitor", "bytes_read": 64 * (len(attacks) + 1),
            "bytes_written": 64 * (len(attacks) + 1), "verified": works, "interrupts": 0}


def judge_models(judgement: Judgement, trace: ModelTrace) -> None:
    """What QEMU's models saw of the traitor's attempts, whatever the hypervisor says."""
    faults, messages = trace.faults(), trace.messages()
    judgement.check("edu: the SMMU's model has refused every transfer of its attempts",
                    faults[EDU_ID] >= TRANSFERS, f"{faults[EDU_ID]}")
    judgement.check("edu: the ITS's model has seen the drive's messages and none of the traitor's",
                    messages[NVME_ID] > 0 and messages[EDU_ID] == messages[WITHOUT_ID] == 0,
                    f"{dict(messages)}")


def matches(target: str, address: int, kind: str) -> bool:
    try:
        return int(target, 0) & ~0xfff == address & ~0xfff
    except ValueError:
        return kind == "doorbell" and "doorbell" in target.lower()


def events_named(console: Console, name: str) -> list[dict]:
    return [event.fields for event in console.events() if event.name == name]


def domain_report(console: Console, domain: Domain, devices: list[dict]) -> dict:
    up = Results(console, domain.name).one(domain.name, "up")
    counted = {each.get("bdf"): each for each in events_named(console, "device")
               if each.get("domain") == domain.name}
    for device in devices:
        if device["bdf"] in counted:
            device["interrupts_by_hypervisor"] = counted[device["bdf"]].get("interrupts", 0)
    return {"name": domain.name, "kernel": up.get("kernel", ""), "cpus": int(up.get("cpus", 0)),
            "memory": domain.memory, "devices": devices}


def write_report(console: Console, domains: list[dict], iommu: dict, control: dict,
                 judgement: Judgement, seconds: float) -> dict:
    memory = (events_named(console, "memory") or [{}])[-1]
    exits = {each["domain"]: {key: value for key, value in each.items() if key != "domain"}
             for each in events_named(console, "exits") if "domain" in each}
    report = {
        "board": BOARD_NAME,
        "ok": judgement.ok,
        "penstock": {"image_bytes": memory.get("image", 0), "memory_used": memory.get("used", 0)},
        "domains": domains,
        "exits": exits,
        "blocked": events_named(console, "blocked"),
        "iommu": iommu,
        "control": control,
        "checks": [{"what": name, "ok": good, "detail": detail}
                   for name, good, detail in judgement.checks],
        "seconds": round(seconds, 1),
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def print_table(report: dict) -> None:
    print()
    print(f"{'domain':8} {'kernel':22} {'device':13} {'driver':11} {'read':>10} {'written':>10} "
          f"{'verified':8} interrupts")
    for domain in report["domains"]:
        for device in domain["devices"]:
            print(f"{domain['name']:8} {domain['kernel'][:22]:22} {device['bdf']:13} "
                  f"{device['driver']:11} {device['bytes_read']:>10} {device['bytes_written']:>10} "
                  f"{'yes' if device['verified'] else 'NO':8} {device['interrupts']}")
    for entry in report["blocked"][:12]:
        print(f"blocked: {entry.get('device')} of {entry.get('domain')} -> {entry.get('target')}: "
              f"{entry.get('evidence')}")
    for boot in report["iommu"]["boots"]:
        stray = boot.get("stray")
        groups = ", ".join(f"{each['slot']} stream {each['stream']:#x} group {each['group']}"
                           for each in boot["groups"])
        print(f"lab      {boot['kernel'][:22]:22} {boot['how']} ({boot['domains']}): {groups}"
              + (f"; edu stopped by the guest at {stray['nvme']}, by Penstock at "
                 f"{stray['outside']}" if stray else ""))
    for check in report["checks"]:
        if not check["ok"]:
            print(f"FAILED: {check['what']} {check['detail']}")
    memory = report["penstock"]
    print(f"Penstock: image {memory['image_bytes'] // 1024} KiB, memory "
          f"{memory['memory_used'] / MIB:.1f} MiB; {report['seconds']} s; "
          f"{'everything held' if report['ok'] else 'NOT everything held'}")


def demo(penstock: list[str]) -> bool:
    """The demo proper. Returns whether everything held."""
    started = time.monotonic()
    nonce = secrets.token_hex(8)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "report.json").unlink(missing_ok=True)
    image = OUT / "store.img"
    progress(started, "making the drive")
    digest = disk.make(image, seed=int(nonce, 16))
    judgement = Judgement()
    with Server(seed=int(nonce, 16) + 1, nonce=nonce) as server:
        domains = [store_domain(nonce), net_domain(server, nonce)]
        text = configuration(domains, board=BOARD_NAME, timeout=2 * WORK_SECONDS, backends={
            "nvme0": drive_backend(image), "net0": network_backend()})
        config = write_configuration(OUT / "demo.toml", text)
        progress(started, "starting the board")
        (OUT / "run").mkdir(exist_ok=True)
        trace = ModelTrace(OUT / "run" / "models.trace")
        board = Board.penstock_run(config, OUT / "run", [
            "--input", "store", *penstock, *(f"--qemu-arg={word}" for word in trace.words)])
        try:
            with board:
                run_demo(board, server, started)
            judgement.check("the board ended by itself", board.exit_status == 0,
                            f"exit status {board.exit_status}")
        except Failure as failure:
            print(failure, file=sys.stderr)
            judgement.check("the run went to its end", False, str(failure).splitlines()[0])
    console = board.console
    store, net = Results(console, "store"), Results(console, "net")
    drive = judge_store(judgement, store, image, digest, nonce, {"1b36:0010"})
    card = judge_net(judgement, net, server, {"8086:10c9", "1234:11e8"})
    traitor = judge_traitor(judgement, net, store, events_named(console, "blocked"))
    judge_models(judgement, trace)
    iommu = iommu_act(judgement, OUT, BOARD_NAME, nonce, penstock,
                      lambda text: progress(started, text))
    control = control_act(judgement, OUT, nonce, lambda text: progress(started, text))
    report = write_report(console, [domain_report(console, domains[0], [drive]),
                                    domain_report(console, domains[1], [card, traitor])],
                          iommu, control, judgement, time.monotonic() - started)
    print_table(report)
    return report["ok"]


def bare(only: str | None = None) -> bool:
    """The same guests without a hypervisor. Their attacks arrive, and that is the point."""
    started = time.monotonic()
    nonce = secrets.token_hex(8)
    folder = paths.RUNS / "bare"
    folder.mkdir(parents=True, exist_ok=True)
    judgement = Judgement()
    if only in (None, "store"):
        image = folder / "store.img"
        digest = disk.make(image, seed=1)
        domain = store_domain(nonce, busy=60)
        command = bare_command(domain.kernel, domain.initrd, domain.cmdline,
                               qemu_devices(nvme=image))
        with Board(command, folder / "store.log", only="store") as board:
            board.wait_for("store", r"RESULT store fio-pass 1\b", BOOT_SECONDS, "a fio pass")
            progress(started, "store: first fio pass")
            board.type("enough\n")
            board.wait_for("store", r"RESULT store done", WORK_SECONDS, "store to finish")
            board.wait_end(60)
        results = Results(board.console, "store")
        judgement.check("store: heard its console", results.said("store told"))
        device = judge_store(judgement, results, image, digest, nonce, None)
        progress(started, f"store: {device}")
    if only in (None, "net"):
        with Server(seed=2, nonce=nonce) as server:
            domain = net_domain(server, nonce)
            # Half of the memory is hidden from the kernel, so that an attack that arrives there
            # hurts nobody. And no SMMU: with one, Linux leaves the stream of a device without a
            # driver unconfigured, and edu could reach nothing at all.
            cmdline = f"{domain.cmdline} mem=512M"
            server.give_orders([f"memory:hidden:0x{RAM_BASE + 768 * MIB:x}",
                                "memory:nowhere:0x3f00000000", f"doorbell:its:0x{ITS_DOORBELL:x}"])
            command = bare_command(domain.kernel, domain.initrd, cmdline,
                                   qemu_devices(igb=True, edu=True),
                                   machine="virt,gic-version=3,virtualization=on")
            with Board(command, folder / "net.log", only="net") as board:
                board.wait_for("net", r"RESULT net done", BOOT_SECONDS, "net to finish")
                board.wait_end(60)
            results = Results(board.console, "net")
            device = judge_net(judgement, results, server, None)
            control = results.one("edu", "control")
            judgement.check("edu: DMA works", control.get("read") == "yes", str(control))
            arrived = [each.get("readback") for each in results.all("edu", "attack")]
            judgement.check("edu: without a hypervisor, an attack arrives",
                            arrived[:1] == ["own-data"], str(arrived))
            progress(started, f"net: {device}")
    for name, good, detail in judgement.checks:
        print(f"{'ok    ' if good else 'FAILED'} {name} {detail}")
    return judgement.ok


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bare", nargs="?", const="all", choices=["all", "store", "net"],
                        help="run the guests without a hypervisor")
    parser.add_argument("--penstock", action="append", default=[], metavar="ARGUMENT",
                        help="a further argument for `penstock run` (repeatable)")
    chosen = parser.parse_args()
    try:
        if chosen.bare:
            return 0 if bare(None if chosen.bare == "all" else chosen.bare) else 1
        return 0 if demo(chosen.penstock) else 1
    except (Failure, paths.Missing) as failure:
        print(failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
