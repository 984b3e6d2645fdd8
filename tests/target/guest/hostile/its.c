// Gives the ITS tables and command rings in places where they must not be: devices, config space,
// beyond RAM, themselves; commands that are huge, unknown, cut off or change under the reader.
#include "hostile.h"

static const uint64_t kCtlr = 0x0000;
static const uint64_t kCbaser = 0x0080;
static const uint64_t kCwriter = 0x0088;
static const uint64_t kCreadr = 0x0090;
static const uint64_t kBaser = 0x0100;
static const uint64_t kValid = UINT64_C(1) << 63;

static uint64_t ring[16384 / 8] __attribute__((aligned(65536)));
static uint64_t table[65536 / 8] __attribute__((aligned(65536)));

static uint64_t reg(uint64_t offset) {
  return load(kIts + offset, 8);
}
static void set(uint64_t offset, uint64_t value) {
  store(kIts + offset, 8, value);
}

static void point_everything_at(uint64_t ring_address, uint64_t table_address, uint64_t pages) {
  set(kCtlr, 0);
  for (unsigned i = 0; i < 8; ++i) {
    set(kBaser + 8 * i, kValid | (table_address & 0x0000fffffffff000U) | (pages - 1));
  }
  set(kCbaser, kValid | (ring_address & 0x000ffffffffff000U) | (pages - 1));
  set(kCwriter, 0);
  store(kIts + kCtlr, 4, 1);
}

// Waits a bounded time: a ring that is refused need never be consumed.
static void run_ring(uint64_t producer) {
  set(kCwriter, producer);
  for (int i = 0; i < 200 && reg(kCreadr) != (producer & 0xfffe0); ++i) {
    __asm__ volatile("yield");
  }
}

static void command(unsigned slot, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  ring[4 * slot] = a;
  ring[4 * slot + 1] = b;
  ring[4 * slot + 2] = c;
  ring[4 * slot + 3] = d;
  __asm__ volatile("dsb sy" ::: "memory");
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  static const uint64_t kPlaces[] = {
      0,          0x08000000, 0x08080000, 0x080a0000,   0x09000000,   0x10000000,
      0x3fff0000, 0x60000000, 0xc0000000, 0x4010000000, 0x8000000000, 0xfffffffff000,
  };
  const uint64_t my_ring = (uint64_t)(uintptr_t)ring;
  const uint64_t my_table = (uint64_t)(uintptr_t)table;
  uint64_t attempts = 0;
  say("hostile its: places\n");
  for (size_t p = 0; p < sizeof kPlaces / sizeof kPlaces[0]; ++p) {
    point_everything_at(kPlaces[p], my_table, 4);
    run_ring(0x1000);
    point_everything_at(my_ring, kPlaces[p], 256);
    command(0, 0x09, (1U << 16), kValid, 0);                             // MAPC
    command(1, 0x08 | (UINT64_C(8) << 32), 31, kValid | kPlaces[p], 0);  // MAPD, 2^32 events
    command(2, 0x0a | (UINT64_C(8) << 32), UINT64_C(8192) << 32, 0, 0);  // MAPTI
    command(3, 0x03 | (UINT64_C(8) << 32), 0, 0, 0);                     // INT
    run_ring(4 * 32);
    attempts += 6;
  }
  say("hostile its: commands\n");
  point_everything_at(my_ring, my_table, 4);
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    for (unsigned slot = 0; slot < 8; ++slot) {
      command(slot, opcode | (random64() << 32), random64(), random64() | kValid, random64());
    }
    set(kCwriter, 0);
    run_ring(8 * 32);
    attempts += 8;
  }
  say("hostile its: producers\n");
  for (unsigned i = 0; i < 256; ++i) {
    set(kCwriter, random64());  // odd, beyond the ring, with the retry bit
    (void)reg(kCreadr);
    store(kIts + kCwriter + 4, 4, random64());
    ++attempts;
  }
  // A ring that is one of the ITS's own tables, and a table that is the ring.
  point_everything_at(my_table, my_table, 1);
  run_ring(0xfe0);
  say("hostile its: doorbell\n");
  for (unsigned i = 0; i < 64; ++i) {
    store(kItsTranslation + 0x40, 4, random64());
    ++attempts;
  }
  set(kCtlr, 0);
  say_result("its", attempts);
}
