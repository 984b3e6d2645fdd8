// Has no place where it could take an exception, and brings one about: an access where nothing is.
#include "hostile.h"

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  const uint64_t nowhere = 0x0b000000;
  say("hostile novectors\n");
  __asm__ volatile("msr vbar_el1, %0\n isb" ::"r"(nowhere));
  (void)load(nowhere, 4);
  say("RESULT hostile novectors goes on\n");
}
