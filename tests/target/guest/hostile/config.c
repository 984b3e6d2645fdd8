// Works through the config space of every function on bus 0: every offset in every width, reads and
// writes, spanning ones too; BARs sized, moved, put on top of each other and touched with decoding
// on and off; MSI-X and MSI switched on and off again and again.
#include "hostile.h"

enum { kSlots = 32, kConfigBytes = 4096, kCommand = 4, kFirstBar = 0x10, kBars = 6 };

static uint64_t attempts;

static uint64_t config(unsigned slot) {
  return kEcam + ((uint64_t)slot << 15);
}

static uint64_t get(uint64_t address, unsigned bytes) {
  ++attempts;
  return load(address, bytes);
}

static void put_value(uint64_t address, unsigned bytes, uint64_t value) {
  ++attempts;
  store(address, bytes, value);
}

// Everything below BAR windows is config space only: what the values do is the hypervisor's matter.
static void every_access(uint64_t function) {
  for (unsigned offset = 0; offset < kConfigBytes; ++offset) {
    for (unsigned bytes = 1; bytes <= 8; bytes *= 2) {
      (void)get(function + offset, bytes);
      put_value(function + offset, bytes, (offset & 1) != 0 ? UINT64_MAX : random64());
    }
  }
}

static void touch(uint64_t address) {
  for (unsigned bytes = 1; bytes <= 8; bytes *= 2) {
    (void)get(address, bytes);
    (void)get(address + 4096 - bytes / 2, bytes);  // across the end of the page
  }
  if (address < kUart || (address >= kMmio32 && address < kRam)) {
    put_value(address, 4, 0);  // what lies elsewhere is this program's own
  }
}

// Places every BAR at one address, decodes, touches, stops decoding, touches again.
static void move_bars(uint64_t function, uint64_t place) {
  put_value(function + kCommand, 2, 0);
  for (unsigned bar = 0; bar < kBars; ++bar) {
    put_value(function + kFirstBar + 4 * bar, 4, UINT32_MAX);
    (void)get(function + kFirstBar + 4 * bar, 4);
    put_value(function + kFirstBar + 4 * bar, 4, place);
  }
  put_value(function + kCommand, 2, 2);
  touch(place);
  put_value(function + kFirstBar, 4, place + 0x100000);  // moved while decoding
  touch(place);
  touch(place + 0x100000);
  put_value(function + kCommand, 2, 0);
  touch(place);
  touch(place + 0x100000);
}

// Follows the list of capabilities, at most 48 steps, and plays with MSI (5) and MSI-X (0x11).
static void toggle_interrupts(uint64_t function) {
  uint64_t at = get(function + 0x34, 1) & 0xfc;
  for (unsigned step = 0; at != 0 && step < 48; ++step) {
    const uint64_t id = get(function + at, 1);
    for (unsigned i = 0; (id == 5 || id == 0x11) && i < 16; ++i) {
      const uint64_t enable = id == 5 ? 1U : 1U << 15;
      put_value(function + at + 2, 2, (i & 1) != 0 ? 0 : enable);
      put_value(function + at + 2, 4, random64());  // over the field's end
      put_value(function + at + 4, 8, UINT64_MAX);  // address and more
      put_value(function + at + 3, 2, random64());  // between two fields
    }
    at = get(function + at + 1, 1) & 0xfc;
  }
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  say("hostile config\n");
  map_everything_as_memory();
  unsigned functions = 0;
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    const uint64_t function = config(slot);
    if ((get(function, 4) & 0xffff) == 0xffff) {
      continue;  // nobody there
    }
    ++functions;
    static const uint64_t kPlaces[] = {0x10000000, 0x10000800, 0x3efe0000, 0x40000000,
                                       0x08000000, 0x09000000, 0xfffff000, 0};
    for (unsigned p = 0; p < sizeof kPlaces / sizeof kPlaces[0]; ++p) {
      move_bars(function, kPlaces[p]);
    }
    toggle_interrupts(function);
    every_access(function);
    put_value(function + kCommand, 2, 0);
  }
  say_number("RESULT hostile functions=", functions);
  say("\n");
  say_result("config", attempts);
}
