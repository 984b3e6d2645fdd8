// Looks through its RAM for anything that is not zero, then fills it with a pattern for whoever has
// it next.
//
//   RESULT hostile scan found=N first=ADDRESS
//   RESULT hostile scan filled=N
#include "hostile.h"

// Hidden: nothing relocates a table of addresses here.
extern const char _start[] __attribute__((visibility("hidden")));
extern const char stack_end[] __attribute__((visibility("hidden")));

static const uint64_t kBytes = UINT64_C(2) << 30;
static const uint64_t kTreeBytes = UINT64_C(64) << 10;
static const uint64_t kPattern = UINT64_C(0x5ec2e75ec2e75ec2);

static uint64_t tree_start;
static uint64_t tree_end;

// What the loader put there: this program, and its device tree with the room that it was made in.
static uint64_t skip_own(uint64_t at) {
  if (at >= (uint64_t)(uintptr_t)_start && at < (uint64_t)(uintptr_t)stack_end) {
    return (uint64_t)(uintptr_t)stack_end;
  }
  return at >= tree_start && at < tree_end ? tree_end : at;
}

static uint64_t count_other_than(uint64_t value, uint64_t* first) {
  uint64_t count = 0;
  for (uint64_t at = kRam; at < kRam + kBytes; at += 8) {
    at = skip_own(at);
    if (*(volatile const uint64_t*)(uintptr_t)at == value) {
      continue;
    }
    *first = count == 0 ? at : *first;
    ++count;
  }
  return count;
}

void hostile_main(uint64_t device_tree) {
  tree_start = device_tree;
  tree_end = device_tree + kTreeBytes;
  uint64_t first = 0;
  const uint64_t found = count_other_than(0, &first);
  say_number("RESULT hostile scan found=", found);
  say_number(" first=", first);
  say("\n");
  for (uint64_t at = kRam; at < kRam + kBytes; at += 8) {
    at = skip_own(at);
    *(volatile uint64_t*)(uintptr_t)at = kPattern;
  }
  const uint64_t holes = count_other_than(kPattern, &first);
  say_number("RESULT hostile scan filled=", kBytes / 8 - holes);
  say("\n");
  for (;;) {
    __asm__ volatile("wfi");
  }
}
