"""The hypervisor's own end. What it stands on is broken from outside, by QEMU's gdb stub."""

import subprocess
import time

import gdbstub
import hostile
import paths
import scenario
from board import Board

LOADED_AT = 0x4020_0000  # where QEMU puts the image
COUNTERS = 0x300_0000  # counter.c: from the start of its RAM
SMMU = 0x0905_0000
CR0, GBPA = SMMU + 0x20, SMMU + 0x44
BOOT = 60

UNDEFINED = bytes(4)
RETURN = bytes.fromhex("c0035fd6")
# sub sp, sp, #4, lsl #12; str x0, [sp]
RUN_OVER_THE_STACK = bytes.fromhex("ff1340d1" "e00300f9")

TRAP = "handle_guest_sync"
OFF = "_ZNK8penstock8platform4Psci10system_offEv"
SAY = "_ZN8penstock8platform7Console3rawESt17basic_string_viewIcSt11char_traitsIcEE"


def address_of(symbol):
    elf = paths.need(paths.IMAGE.parent / "hypervisor" / "penstock.elf", "./dev build")
    listed = subprocess.run(["llvm-nm-19", str(elf)], check=True, capture_output=True, text=True)
    found = [line.split() for line in listed.stdout.splitlines() if line.endswith(f" {symbol}")]
    assert len(found) == 1, f"{symbol} is not in the image"
    return LOADED_AT + int(found[0][0], 16)


RAM = {"one": 0x6000_0000, "two": 0x7000_0000}


def counting_board(start):
    """Two domains; the second CPU of each never enters the hypervisor by itself."""
    words, where = gdbstub.options()
    domains = [scenario.Domain(name, cpus, hostile.build("counter"), memory=64 * scenario.MIB,
                               memory_base=RAM[name])
               for name, cpus in (("one", [0, 1]), ("two", [2, 3]))]
    board = start(domains, [*scenario.qemu_devices(), *words])
    for name in RAM:
        board.wait_for(name, "RESULT hostile counter runs", BOOT, name)
    Board.unjudged.remove(board)  # this hypervisor answers no audit
    return board, where


def counts(stub):
    return [stub.read(base + COUNTERS + at, 8) for base in RAM.values() for at in (0, 8)]


def judge_stopped(board, where, reason):
    """One panic was said, no CPU goes on and no DMA passes."""
    board.wait_for_any("panic: stopped", 20, "the panic")
    time.sleep(1)
    with gdbstub.Stub(where) as stub:
        before = counts(stub)
    time.sleep(1)
    stub = gdbstub.Stub(where)
    stub.ask(b"?")
    after = counts(stub)
    enabled = int.from_bytes(stub.read(CR0, 4), "little") & 1
    aborts = int.from_bytes(stub.read(GBPA, 4), "little") >> 20 & 1
    stub.send(b"k")  # ends QEMU
    board.wait_end(20)
    text = "\n".join(line.text for line in board.console.lines)
    assert text.count(reason) == 1 and text.count("panic: stopped") == 1, text
    assert any(value != bytes(8) for value in before)
    assert after == before, "a guest's CPU goes on"
    assert (enabled, aborts) == (0, 1), "DMA goes on"


def test_panic_is_said_once_and_stops_every_cpu_and_all_dma(start):
    board, where = counting_board(start)
    with gdbstub.Stub(where) as stub:
        stub.write(address_of(OFF), RETURN)  # firmware that cannot switch the board off
        stub.write(address_of(TRAP), UNDEFINED)
    judge_stopped(board, where, "exception 4 in the hypervisor")


def test_full_stack_is_noticed_before_anything_below_it_is_written(start):
    board, where = counting_board(start)
    with gdbstub.Stub(where) as stub:
        stub.write(address_of(OFF), RETURN)
        stub.write(address_of(TRAP), RUN_OVER_THE_STACK)
    judge_stopped(board, where, "a stack of the hypervisor's is full")


def test_panic_within_a_panic_switches_the_board_off(start):
    board, where = counting_board(start)
    with gdbstub.Stub(where) as stub:
        stub.write(address_of(SAY), UNDEFINED)
        stub.write(address_of(TRAP), UNDEFINED)
    assert board.wait_end(20) == 0
