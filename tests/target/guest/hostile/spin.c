// Keeps its CPU as busy as another program does, and asks nothing of the hypervisor.
#include "hostile.h"

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  for (;;) {
    __asm__ volatile("" ::: "memory");
  }
}
