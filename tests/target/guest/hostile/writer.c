// Writes lines on its console and looks at the clock: how long does that take beside the others?
#include "hostile.h"

static uint64_t now(void) {
  uint64_t ticks;
  __asm__ volatile("isb\n mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
  return ticks;
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  uint64_t hz;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
  const uint64_t start = now();
  while (now() - start < hz / 4) {  // the others have begun by then
  }
  const unsigned kLines = 3000, kLength = 60;
  const uint64_t begin = now();
  for (unsigned line = 0; line < kLines; ++line) {
    for (unsigned i = 0; i < kLength; ++i) {
      store(kUart, 4, '.');
    }
    store(kUart, 4, '\n');
  }
  const uint64_t end = now();
  say_number("RESULT hostile writer characters=", kLines * (kLength + 1));
  say_number(" ns=", (end - begin) * 1000000000 / hz);
  say("\n");
  say_result("writer", kLines);
}
