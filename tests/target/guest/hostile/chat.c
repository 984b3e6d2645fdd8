// Writes on its console as fast as it can, a line that never ends.
#include "hostile.h"

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  for (;;) {
    store(kUart, 4, 'A');
  }
}
