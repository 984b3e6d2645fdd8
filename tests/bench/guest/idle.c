// A guest that says one line and then only waits: what a domain costs without an operating system's
// own share. It says when it was there, by the counter that all domains read.
#include "tests/target/guest/hostile/hostile.h"

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  uint64_t count, frequency;
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tmrs %1, cntfrq_el0"
                   : "=r"(count), "=r"(frequency)::"memory");
  say_number("RESULT idle up at=",
             count / frequency * 1000000000 + count % frequency * 1000000000 / frequency);
  say("\n");
  for (;;) __asm__ volatile("wfi" ::: "memory");
}
