// Restarts again and again, to have anew what it was given once: in each of its lives the card
// fetches descriptors from where there is no memory, as fast as it can, and two of its BARs are put
// into one place, which the hypervisor says cannot be.
//
//   RESULT hostile restarts done ...   in its last life
#include "hostile.h"

// The card, at 00:01.0.
static const uint64_t kCard = kEcam + (1U << 15), kCardBar = kMmio32;
enum { kBar0 = 0x10, kBar3 = 0x1c, kCommand = 4, kDecodeAndMaster = 6 };
// Of an igb: transmit control, and queue 0's base, length, head, tail and control.
enum {
  kTransmitControl = 0x400,
  kBaseLow = 0xe000,
  kBaseHigh = 0xe004,
  kLength = 0xe008,
  kHead = 0xe010,
  kTail = 0xe018,
  kQueueControl = 0xe028
};
static const uint32_t kTransmitOn = 1U << 1, kQueueOn = 1U << 25;
static const uint32_t kNowhere = 0x70000000;

enum { kLifeMs = 150, kAllMs = 20000, kDescriptors = 200, kRingBytes = 4096 };
static const uint64_t kSystemReset = 0x84000009;

static uint64_t milliseconds(void) {
  uint64_t hz = 0, ticks = 0;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
  __asm__ volatile("isb\n mrs %0, cntpct_el0" : "=r"(ticks)::"memory");
  return ticks * 1000 / hz;
}

static void card(uint64_t offset, uint32_t value) {
  store(kCardBar + offset, 4, value);
}

static void bars_in_one_place(void) {
  store(kCard + kBar0, 4, (uint32_t)kCardBar);
  store(kCard + kBar3, 4, (uint32_t)kCardBar);
  for (unsigned i = 0; i < 9; ++i) {
    store(kCard + kCommand, 2, kDecodeAndMaster);
    store(kCard + kCommand, 2, 0);
  }
  store(kCard + kBar3, 4, (uint32_t)kCardBar + 0x100000);
  store(kCard + kCommand, 2, kDecodeAndMaster);
}

// One round of descriptors, from another page than the last one's: no two faults are alike.
static void fetch_from_nowhere(uint64_t round) {
  card(kQueueControl, 0);
  card(kBaseLow, kNowhere + (uint32_t)(round & 1) * 0x10000);
  card(kBaseHigh, 0);
  card(kLength, kRingBytes);
  card(kHead, 0);
  card(kTail, 0);
  card(kTransmitControl, kTransmitOn);
  card(kQueueControl, kQueueOn);
  card(kTail, kDescriptors);
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  const uint64_t born = milliseconds();
  bars_in_one_place();
  uint64_t rounds = 0;
  while (milliseconds() - born < kLifeMs) fetch_from_nowhere(rounds++);
  if (milliseconds() < kAllMs) {
    const uint64_t reset[8] = {kSystemReset};
    (void)smccc_hvc(reset);
  }
  say_result("restarts", rounds);
}
