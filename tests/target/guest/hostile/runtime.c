#include "hostile.h"

struct Exceptions exceptions;

// PL011: data register, and the flag register's "transmit FIFO full" (bit 5). The wait is bounded:
// a hostile guest may have broken its own console.
static void put(char c) {
  for (int i = 0; i < 100000 && (load(kUart + 0x18, 4) & (1U << 5)) != 0; ++i) {
  }
  store(kUart, 4, (uint64_t)(unsigned char)c);
}

void say(const char* text) {
  for (; *text != '\0'; ++text) {
    if (*text == '\n') {
      put('\r');
    }
    put(*text);
  }
}

void say_number(const char* label, uint64_t value) {
  char digits[21];
  int at = 20;
  digits[at] = '\0';
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  say(label);
  say(digits + at);
}

void say_result(const char* name, uint64_t attempts) {
  say("RESULT hostile ");
  say(name);
  say_number(" done attempts=", attempts);
  say_number(" synchronous=", exceptions.synchronous);
  say_number(" errors=", exceptions.errors);
  say_number(" interrupts=", exceptions.interrupts);
  say("\n");
}

uint64_t answers;

void say_answer(const char* question, uint64_t value) {
  char digits[17];
  for (int i = 0; i < 16; ++i) {
    digits[15 - i] = "0123456789abcdef"[(value >> (4 * i)) & 15];
  }
  digits[16] = '\0';
  say("SEEN ");
  say(question);
  say(" ");
  say(digits);
  say("\n");
  ++answers;
}

// xorshift64*: the same sequence in every run, so that what fails once fails again.
static uint64_t random_state = 0x9e3779b97f4a7c15U;

uint64_t random64(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545f4914f6cdd1dU;
}

uint64_t random_below(uint64_t limit) {
  return random64() % limit;
}

uint64_t load(uint64_t address, unsigned bytes) {
  uint64_t value = 0;
  switch (bytes) {
    case 1: __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory"); break;
    case 2: __asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory"); break;
    case 4: __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory"); break;
    default: __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory"); break;
  }
  return value;
}

void store(uint64_t address, unsigned bytes, uint64_t value) {
  switch (bytes) {
    case 1: __asm__ volatile("strb %w0, [%1]" ::"r"(value), "r"(address) : "memory"); break;
    case 2: __asm__ volatile("strh %w0, [%1]" ::"r"(value), "r"(address) : "memory"); break;
    case 4: __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(address) : "memory"); break;
    default: __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(address) : "memory"); break;
  }
}

void odd_access(uint64_t address, unsigned which) {
  const uint64_t x = address;
  uint64_t a = 0;
  uint64_t b = 0;
  switch (which % kOddAccesses) {
    case 0: __asm__ volatile("ldp %0, %1, [%2]" : "=&r"(a), "=&r"(b) : "r"(x) : "memory"); break;
    case 1: __asm__ volatile("stp xzr, xzr, [%0]" ::"r"(x) : "memory"); break;
    case 2: __asm__ volatile("ldr q0, [%0]" ::"r"(x) : "memory", "v0"); break;
    case 3: __asm__ volatile("str q0, [%0]" ::"r"(x) : "memory"); break;
    case 4: __asm__ volatile("ldr %0, [%1], #8" : "=&r"(a), "=&r"(b) : "1"(x) : "memory"); break;
    case 5: __asm__ volatile("str xzr, [%0, #-8]!" : "=&r"(a) : "0"(x) : "memory"); break;
    case 6: __asm__ volatile("ldxr %0, [%1]" : "=&r"(a) : "r"(x) : "memory"); break;
    case 7: __asm__ volatile("stlr xzr, [%0]" ::"r"(x) : "memory"); break;
    case 8: __asm__ volatile("dc zva, %0" ::"r"(x) : "memory"); break;
    case 9: __asm__ volatile("dc civac, %0" ::"r"(x) : "memory"); break;
    case 10: __asm__ volatile("at s1e1r, %0\n isb" ::"r"(x) : "memory"); break;
    default: __asm__ volatile("ldadd %1, %0, [%2]" : "=&r"(a) : "r"(b), "r"(x) : "memory"); break;
  }
}

// Level 0 has two entries (512 GiB each), each level 1 table 512 blocks of 1 GiB.
static uint64_t level0[512] __attribute__((aligned(4096)));
static uint64_t level1[2][512] __attribute__((aligned(4096)));

void map_everything_as_memory(void) {
  const uint64_t gib = UINT64_C(1) << 30;
  const uint64_t block = 1 | (1U << 10);  // valid block, access flag
  const uint64_t inner_shareable = 3U << 8;
  for (uint64_t half = 0; half < 2; ++half) {
    level0[half] = (uint64_t)(uintptr_t)level1[half] | 3;
    for (uint64_t i = 0; i < 512; ++i) {
      const uint64_t address = (half * 512 + i) * gib;
      const bool ram = address >= kRam && address < kRam + 4 * gib;
      level1[half][i] = address | block | inner_shareable | (ram ? 0U : 1U << 2);
    }
  }
  const uint64_t attributes = 0xff | (0x44U << 8);  // 0: write-back, 1: non-cacheable
  // 40-bit addresses, 4 KiB granule, write-back tables, upper half off, 40-bit output.
  const uint64_t control =
      24 | (1U << 8) | (1U << 10) | (3U << 12) | (1U << 23) | (UINT64_C(2) << 32);
  __asm__ volatile(
      "msr mair_el1, %0\n msr tcr_el1, %1\n msr ttbr0_el1, %2\n dsb sy\n isb\n"
      "tlbi vmalle1\n dsb sy\n isb\n"
      "mrs x9, sctlr_el1\n orr x9, x9, #1\n orr x9, x9, #4\n bic x9, x9, #2\n"
      "msr sctlr_el1, x9\n isb\n" ::"r"(attributes),
      "r"(control), "r"((uint64_t)(uintptr_t)level0)
      : "x9", "memory");
}

void map_for_user(void) {
  const uint64_t user = 1 | (1U << 10) | (1U << 6);  // block, access flag, EL0 may
  level1[0][kUserRam >> 30] = 0;
  level1[0][kUserDevices >> 30] = 0;
  __asm__ volatile("dsb sy\n tlbi vmalle1\n dsb sy\n isb" ::: "memory");
  level1[0][kUserRam >> 30] = kRam | user | (3U << 8);
  level1[0][kUserDevices >> 30] = user | (1U << 2);
  __asm__ volatile("dsb sy\n isb" ::: "memory");
}

// PSCI SYSTEM_OFF, by whichever conduit answers.
void power_off(void) {
  const uint64_t arguments[8] = {0x84000008};
  (void)smccc_hvc(arguments);
  (void)smccc_smc(arguments);
}
