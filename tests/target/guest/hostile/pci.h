// What the programs that play with PCI functions share: counted accesses, random numbers for each
// CPU, capabilities, BARs, virtual functions, a second CPU.
#pragma once

#include "hostile.h"

enum {
  kConfigBytes = 4096,
  kCommand = 0x04,
  kClass = 0x0a,  // base class and subclass, 2 bytes
  kFirstBar = 0x10,
  kBars = 6,
  kFirstCapability = 0x34,
  kCapabilityMsi = 0x05,
  kCapabilityExpress = 0x10,
  kCapabilityMsix = 0x11,
  kExtendedSriov = 0x10,
  kFirstExtended = 0x100,
  kDeviceControl = 0x08,  // in the PCI Express capability
  kFunctionReset = 0x8000,
  kSriovControl = 0x08,  // in the SR-IOV capability
  kSriovTotal = 0x0e,
  kSriovCount = 0x10,
  kSriovOffset = 0x14,
  kSriovStride = 0x16,
  kSriovDevice = 0x1a,
  kSriovPages = 0x20,
  kSriovBars = 0x24,
  kSriovBytes = 0x40,
  kVfEnable = 1,
  kVfMemory = 8,
};

// One CPU's: the other one neither waits for it nor spoils its sequence.
struct Player {
  uint64_t random;
  uint64_t attempts;
};

// xorshift64*, as runtime.c's.
static inline uint64_t roll(struct Player* player) {
  player->random ^= player->random >> 12;
  player->random ^= player->random << 25;
  player->random ^= player->random >> 27;
  return player->random * 0x2545f4914f6cdd1dU;
}

static inline unsigned roll_below(struct Player* player, unsigned limit) {
  return (unsigned)(roll(player) % limit);
}

static inline uint64_t get(struct Player* player, uint64_t address, unsigned bytes) {
  ++player->attempts;
  return load(address, bytes);
}

static inline void set(struct Player* player, uint64_t address, unsigned bytes, uint64_t value) {
  ++player->attempts;
  store(address, bytes, value);
}

static inline uint64_t config_at(unsigned bus, unsigned device, unsigned function) {
  return kEcam + ((uint64_t)bus << 20) + ((uint64_t)device << 15) + ((uint64_t)function << 12);
}

static inline bool is_there(struct Player* player, uint64_t function) {
  return (get(player, function, 4) & 0xffff) != 0xffff;
}

// The offset of a capability, 0 where there is none. Both lists end, whatever they hold.
static inline unsigned find_capability(struct Player* player, uint64_t function, unsigned id) {
  unsigned at = (unsigned)get(player, function + kFirstCapability, 1) & 0xfc;
  for (unsigned step = 0; at != 0 && step < 48; ++step) {
    if (get(player, function + at, 1) == id) return at;
    at = (unsigned)get(player, function + at + 1, 1) & 0xfc;
  }
  return 0;
}

static inline unsigned find_extended(struct Player* player, uint64_t function, unsigned id) {
  unsigned at = kFirstExtended;
  for (unsigned step = 0; at >= kFirstExtended && step < 960; ++step) {
    const uint64_t header = get(player, function + at, 4);
    if (header == UINT32_MAX || header == 0) return 0;
    if ((header & 0xffff) == id) return at;
    at = (unsigned)(header >> 20) & 0xffc;
  }
  return 0;
}

// Puts the BARs one behind the other where BARs belong, and decodes. Returns the next free place.
static inline uint64_t place_bars(struct Player* player, uint64_t function, uint64_t place) {
  set(player, function + kCommand, 2, 0);
  for (unsigned bar = 0; bar < kBars; ++bar) {
    const uint64_t at = function + kFirstBar + 4 * bar;
    set(player, at, 4, UINT32_MAX);
    const uint64_t sized = get(player, at, 4);
    if (sized == 0 || (sized & 1) != 0) continue;
    const uint64_t bytes = (~(sized & ~UINT64_C(15)) & UINT32_MAX) + 1;
    place = (place + bytes - 1) & ~(bytes - 1);
    set(player, at, 4, place);
    if ((sized & 6) == 4) {
      set(player, at + 4, 4, place >> 32);
      ++bar;
    }
    place += bytes;
  }
  set(player, function + kCommand, 2, 6);
  return place;
}

// Asks for virtual functions, whatever there were before. True: the register shows them.
static inline bool switch_vfs(struct Player* player, uint64_t sriov, uint64_t count) {
  set(player, sriov + kSriovCount, 2, count);
  set(player, sriov + kSriovControl, 2, kVfEnable | kVfMemory);
  return (get(player, sriov + kSriovControl, 2) & kVfEnable) != 0;
}

// What a sweep writes: all ones, nothing, or anything.
static inline uint64_t odd_value(struct Player* player, unsigned which) {
  return which % 3 == 0 ? UINT64_MAX : which % 3 == 1 ? 0 : roll(player);
}

// Every offset in every width, also across a register's and the page's end. `values`: 1..3.
static inline void sweep(struct Player* player, uint64_t page, unsigned bytes, unsigned step,
                         unsigned values) {
  for (unsigned offset = 0; offset < bytes; offset += step) {
    for (unsigned width = 1; width <= 8; width *= 2) {
      (void)get(player, page + offset, width);
      for (unsigned which = 0; which < values; ++which) {
        set(player, page + offset, width, odd_value(player, values == 1 ? 2 : which));
      }
    }
  }
}

// The second CPU: comes with the address of this, takes its stack and the vectors of the first.
struct Start {
  uint64_t stack;
  uint64_t vectors;
};

// What a program has its second CPU do; it does not return.
void second_main(void);

static uint64_t second_stack[2048] __attribute__((aligned(16)));
static struct Start second_start;

__attribute__((naked)) static inline void second_entry(void) {
  __asm__ volatile(
      "ldp x1, x2, [x0]\n mov sp, x1\n msr vbar_el1, x2\n"
      "mrs x3, cpacr_el1\n orr x3, x3, #(3 << 20)\n msr cpacr_el1, x3\n isb\n"
      "b second_main");
}

// PSCI CPU_ON. False: there is no second CPU.
static inline bool start_second(void) {
  second_start.stack = (uint64_t)(uintptr_t)(second_stack + 2048);
  __asm__ volatile("mrs %0, vbar_el1" : "=r"(second_start.vectors));
  // It begins with its MMU off and looks into memory, not into this CPU's caches.
  __asm__ volatile("dc civac, %0\n dsb sy" ::"r"(&second_start) : "memory");
  const uint64_t arguments[8] = {0xc4000003, 1, (uint64_t)(uintptr_t)second_entry,
                                 (uint64_t)(uintptr_t)&second_start};
  return smccc_hvc(arguments) == 0;
}
