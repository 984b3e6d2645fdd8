// Says where it was put, where it was told that its device tree is, and whether one is there.
#include "hostile.h"

// Hidden: its address is computed, and not read from a table that nobody has relocated.
extern const char _start[] __attribute__((visibility("hidden")));

void hostile_main(uint64_t device_tree) {
  say_number("RESULT hostile place entry=", (uint64_t)(uintptr_t)_start);
  say_number(" tree=", device_tree);
  say_number(" magic=", __builtin_bswap32((uint32_t)load(device_tree, 4)));
  say("\n");
  say_result("place", 1);
}
