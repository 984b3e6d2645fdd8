// Its exception vectors are in order, but the first thing that they do is to store where nothing is.
#include "hostile.h"

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  say("hostile nostack\n");
  __asm__ volatile("mov sp, %0\n ldr x0, [%0]" ::"r"(UINT64_C(0x0b000000)) : "x0", "memory");
  say("RESULT hostile nostack goes on\n");
}
