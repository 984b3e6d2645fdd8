// Touches addresses at which the guest has nothing: below its RAM, after it, where the machine's
// own RAM and devices are, and at the end of the address space.
#include "hostile.h"

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  static const uint64_t kPlaces[] = {
      0,
      0x04000000,
      0x0a000000,
      0x3f000000,
      0x60000000,
      0x7fff0000,
      0x80000000,
      0xbfff0000,
      0xc0000000,
      0x13ffff000,
      UINT64_C(1) << 36,
      0x3effffff00,
      0x5000000000,
      0x7ffffffff0,
      0xfffffffff0,
      0xffffffff00,
  };
  uint64_t attempts = 0;
  say("hostile nowhere\n");
  for (size_t p = 0; p < sizeof kPlaces / sizeof kPlaces[0]; ++p) {
    for (unsigned shift = 0; shift < 4; ++shift) {
      (void)load(kPlaces[p], 1U << shift);
      store(kPlaces[p], 1U << shift, random64());
      attempts += 2;
    }
  }
  say_result("nowhere", attempts);
}
