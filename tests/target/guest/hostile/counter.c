// Two kinds of guest that only count, where the test can look from outside: on two CPUs, of which
// the first makes a trap at each step and the second none at all.
#include "pci.h"

// Where tests/target/test_panic.py reads them: from the start of RAM.
enum { kCounters = 0x3000000 };

static void count(unsigned cpu, bool traps) {
  volatile uint64_t* counter = (volatile uint64_t*)(uintptr_t)(kRam + kCounters) + cpu;
  const uint64_t version[8] = {0x84000000};
  for (;;) {
    ++*counter;
    if (traps) (void)smccc_hvc(version);
  }
}

void second_main(void) {
  count(1, false);
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  if (!start_second()) return;
  say("RESULT hostile counter runs\n");
  count(0, true);
}
