// Hypervisor and firmware calls with numbers and arguments that mean nothing.
#include "hostile.h"

static bool would_end_the_guest(uint64_t function) {
  const uint32_t number = (uint32_t)function & 0xbfffffffU;
  // CPU_SUSPEND, CPU_OFF, SYSTEM_OFF, SYSTEM_RESET, SYSTEM_RESET2, SYSTEM_SUSPEND, CPU_FREEZE and
  // CPU_DEFAULT_SUSPEND are what they are; this program wants to live on.
  switch (number) {
    case 0x84000001:
    case 0x84000002:
    case 0x84000008:
    case 0x84000009:
    case 0x8400000b:
    case 0x8400000c:
    case 0x8400000e:
    case 0x84000012: return true;
    default: return false;
  }
}

static uint64_t call(uint64_t function, uint64_t a, uint64_t b, uint64_t c) {
  if (would_end_the_guest(function)) {
    return 0;
  }
  const uint64_t arguments[8] = {function, a, b, c, random64(), random64(), random64(), random64()};
  (void)smccc_hvc(arguments);
  (void)smccc_smc(arguments);
  return 2;
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  uint64_t attempts = 0;
  say("hostile calls\n");
  for (unsigned range = 0; range < 64; ++range) {
    // Fast and yielding calls of every owner, 32 and 64 bit.
    const uint64_t owner = (uint64_t)range << 24;
    for (unsigned number = 0; number < 24; ++number) {
      attempts += call(0x80000000U | owner | number, random64(), random64(), random64());
      attempts += call(0xc0000000U | owner | number, random64(), random64(), random64());
      attempts += call(owner | number, random64(), random64(), random64());
    }
  }
  // CPU_ON of CPUs that do not exist, of this one, and with entry points that are nowhere.
  const uint64_t targets[] = {0, 1, 2, 7, 0xff, 0x100, 0xffffff, UINT64_MAX, UINT64_C(1) << 32};
  const uint64_t entries[] = {0, 3, kRam - 4, kEcam, kMmio64, UINT64_MAX, kIts};
  for (size_t t = 0; t < sizeof targets / sizeof targets[0]; ++t) {
    for (size_t e = 0; e < sizeof entries / sizeof entries[0]; ++e) {
      if (targets[t] != 1) {  // the second CPU is started below, once, at a place that exists
        attempts += call(0xc4000003, targets[t], entries[e], random64());
      }
    }
    attempts += call(0xc4000004, targets[t], random_below(8), 0);  // AFFINITY_INFO
  }
  for (int i = 0; i < 2000; ++i) {
    const uint64_t function = random64();
    const uint32_t number = (uint32_t)function & 0xbfffffffU;
    if (number != 0x84000003) {  // not CPU_ON: a random entry point may be one that runs
      attempts += call(function, random64(), random64(), random64());
    }
  }
  attempts += call(0xc4000003, 1, (uint64_t)(uintptr_t)second_cpu, 0);
  attempts += call(0xc4000003, 1, (uint64_t)(uintptr_t)second_cpu, 0);  // and again: already on
  odd_immediates();
  say_result("calls", attempts + 4);
}
