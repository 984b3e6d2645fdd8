// Reads and writes of every width at random places of everything that a guest may see that is not
// RAM: interrupt controllers, ITS, config space, BAR windows; aligned or not, in the middle of
// frames and across their ends.
#include "hostile.h"

struct Region {
  char name[24];
  uint64_t base;
  uint64_t bytes;
  bool write;
};

// The console is only read: its line is wanted at the end.
static const struct Region kRegions[] = {
    {"distributor", 0x08000000, 0x10000, true},
    {"its", 0x08080000, 0x20000, true},
    {"redistributors", 0x080a0000, 0x200000, true},
    {"console", 0x09000000, 0x1000, false},
    {"board", 0x09010000, 0x60000, true},
    {"bars32", 0x10000000, 0x2eff0000, true},
    {"config-space", 0x4010000000, 0x10000000, true},
    {"config-bus-0", 0x4010000000, 0x100000, true},
    {"config-slot-1", 0x4010008000, 0x1000, true},
    {"config-slot-2", 0x4010010000, 0x1000, true},
    {"config-slot-3", 0x4010018000, 0x1000, true},
    {"first-bars", 0x10000000, 0x400000, true},
    {"bars64", 0x8000000000, 0x8000000000, true},
};

static uint64_t disturb(const struct Region* region, unsigned rounds) {
  for (unsigned i = 0; i < rounds; ++i) {
    const unsigned bytes = 1U << random_below(4);
    uint64_t offset = random_below(region->bytes);
    const uint64_t style = random_below(4);
    if (style == 0) {
      offset &= ~(uint64_t)(bytes - 1);  // as a driver would
    } else if (style == 1) {
      offset = (offset & ~UINT64_C(0xfff)) | (0x1000 - random_below(8) - 1);  // across a page's end
    } else if (style == 2) {
      offset = random_below(0x200);  // where the interesting registers are
    }
    const uint64_t address = region->base + offset;
    if (region->write && random_below(2) == 0) {
      store(address, bytes, random_below(2) == 0 ? random64() : UINT64_MAX);
    } else {
      (void)load(address, bytes);
    }
  }
  return rounds;
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  uint64_t attempts = 0;
  for (int mapped = 0; mapped < 2; ++mapped) {
    if (mapped == 1) {
      map_everything_as_memory();
    }
    say(mapped == 1 ? "hostile mmio, as memory\n" : "hostile mmio, as device\n");
    for (size_t r = 0; r < sizeof kRegions / sizeof kRegions[0]; ++r) {
      attempts += disturb(&kRegions[r], 1500);
      say("hostile mmio: ");
      say(kRegions[r].name);
      say("\n");
    }
  }
  say_result("mmio", attempts);
}
