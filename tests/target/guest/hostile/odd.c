// Accesses to emulated registers that no syndrome describes: pairs, vectors, write-back,
// exclusives, atomics, cache operations. A hypervisor cannot carry them out: it has to refuse them,
// to this guest alone.
#include "hostile.h"

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  static const uint64_t kPlaces[] = {0x08000000, 0x08080000, 0x080a0000, 0x4010000000, 0x10000000};
  uint64_t attempts = 0;
  say("hostile odd\n");
  map_everything_as_memory();
  for (size_t p = 0; p < sizeof kPlaces / sizeof kPlaces[0]; ++p) {
    for (unsigned which = 0; which < 12; ++which) {
      odd_access(kPlaces[p] + 16 * random_below(16), which);
      ++attempts;
    }
  }
  say_result("odd", attempts);
}
