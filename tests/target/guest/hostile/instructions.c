// Accesses that trap in every form that an instruction can have, from EL1, EL0 and 32-bit EL0. What
// is carried out is compared with what plain loads see; what is refused has to be an external abort
// that says what a bus without an answer says: class, status, address, instruction, vector. A line
// "RESULT hostile instructions wrong NAME" is a mistake of the machine.
#include "hostile.h"

enum { kCtlr = 0x0, kPriorities = 0x420, kRoutes = 0x6100 };
static const uint64_t kNowhere = 0x0b000000;
static const uint64_t kPlace = kGicd + kPriorities;  // 16 interrupts, a byte each

static const uint64_t kEl1Load = 0x96000010, kEl1Store = 0x96000050, kEl1Fetch = 0x86000010;
static const uint64_t kEl0Load = 0x92000010, kEl0Fetch = 0x82000010;
enum { kFromEl1 = 4, kFromEl0 = 8, kFrom32 = 12 };  // vectors
enum { kEl0State = 0x3c0, kEl0State32 = 0x1d0 };

static uint64_t attempts;

static void expect(bool good, const char* name, uint64_t value) {
  ++attempts;
  if (good) {
    return;
  }
  say("RESULT hostile instructions wrong ");
  say(name);
  say_number(" value=", value);
  say("\n");
}

static uint64_t word(unsigned i) {
  return load(kPlace + 4 * i, 4);
}

static uint64_t extended(uint64_t value, unsigned bits) {
  return (uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits));
}

static void set_priorities(void) {
  store(kPlace, 4, 0x7080a090);
  store(kPlace + 4, 4, 0xa0908070);
  store(kPlace + 8, 4, 0x70608090);
  store(kPlace + 12, 4, 0x90a0b0c0);
}

#define LOAD_PAIR(text, a, b, base) \
  __asm__ volatile(text : "=&r"(a), "=&r"(b), "+r"(base)::"memory")
#define LOAD_ONE(text, a, base) __asm__ volatile(text : "=&r"(a), "+r"(base)::"memory")

static void load_pairs(void) {
  uint64_t a, b, at = kPlace;
  LOAD_PAIR("ldp %w0, %w1, [%2]", a, b, at);
  expect(a == word(0) && b == word(1) && at == kPlace, "ldp", a);
  LOAD_PAIR("ldp %w0, %w1, [%2, #8]", a, b, at);
  expect(a == word(2) && b == word(3) && at == kPlace, "ldp-offset", a);
  LOAD_PAIR("ldnp %w0, %w1, [%2, #4]", a, b, at);
  expect(a == word(1) && b == word(2), "ldnp", a);
  LOAD_PAIR("ldpsw %0, %1, [%2]", a, b, at);
  expect(a == extended(word(0), 32) && b == extended(word(1), 32), "ldpsw", b);
  LOAD_PAIR("ldp %w0, %w1, [%2], #8", a, b, at);
  expect(a == word(0) && b == word(1) && at == kPlace + 8, "ldp-post", at);
  LOAD_PAIR("ldp %w0, %w1, [%2, #-4]!", a, b, at);
  expect(a == word(1) && b == word(2) && at == kPlace + 4, "ldp-pre", at);
  at = kPlace;
  __asm__ volatile("ldp %w0, %w1, [%0]" : "+r"(at), "=&r"(b)::"memory");
  expect(at == word(0) && b == word(1), "ldp-base-is-target", at);
}

static void load_singles(void) {
  uint64_t a, at = kPlace;
  LOAD_ONE("ldr %w0, [%1], #4", a, at);
  expect(a == word(0) && at == kPlace + 4, "ldr-post", a);
  LOAD_ONE("ldr %w0, [%1, #-4]!", a, at);
  expect(a == word(0) && at == kPlace, "ldr-pre", a);
  LOAD_ONE("ldrb %w0, [%1, #1]!", a, at);
  expect(a == (word(0) >> 8 & 0xff) && at == kPlace + 1, "ldrb-pre", a);
  LOAD_ONE("ldrsb %0, [%1], #1", a, at);
  expect(a == extended(word(0) >> 8 & 0xff, 8) && at == kPlace + 2, "ldrsb-post", a);
  at = kPlace;
  LOAD_ONE("ldrsb %w0, [%1], #4", a, at);
  expect(a == (extended(word(0) & 0xff, 8) & 0xffffffff), "ldrsb-32", a);
  LOAD_ONE("ldrsw %0, [%1], #-4", a, at);
  expect(a == extended(word(1), 32) && at == kPlace, "ldrsw-post", a);
}

static void store_pairs(void) {
  uint64_t at = kPlace;
  __asm__ volatile("stp %w1, %w2, [%0], #8"
                   : "+r"(at)
                   : "r"(UINT64_C(0x9080a070)), "r"(UINT64_C(0x60708090))
                   : "memory");
  expect(word(0) == 0x9080a070 && word(1) == 0x60708090 && at == kPlace + 8, "stp-post", word(0));
  __asm__ volatile("stp wzr, %w1, [%0]" ::"r"(at), "r"(UINT64_C(0xa0a0a0a0)) : "memory");
  expect(word(2) == 0 && word(3) == 0xa0a0a0a0, "stp-zero", word(2));
}

static void store_singles(void) {
  uint64_t at = kPlace + 8;
  __asm__ volatile("str %w1, [%0, #-8]!" : "+r"(at) : "r"(UINT64_C(0x70707070)) : "memory");
  expect(word(0) == 0x70707070 && at == kPlace, "str-pre", word(0));
  __asm__ volatile("strb %w1, [%0], #1" : "+r"(at) : "r"(UINT64_C(0xf80)) : "memory");
  expect(word(0) == 0x70707080 && at == kPlace + 1, "strb-post", word(0));
}

static void wide_pairs(void) {
  const uint64_t routes = kGicd + kRoutes;
  uint64_t a, b, at = routes;
  store(kGicd + kCtlr, 4, 0x10);  // affinity routing
  __asm__ volatile("stp %1, xzr, [%0], #16" : "+r"(at) : "r"(UINT64_C(1)) : "memory");
  __asm__ volatile("stp xzr, %1, [%0]" ::"r"(at), "r"(UINT64_C(1)) : "memory");
  expect(load(routes, 8) == 1 && load(routes + 8, 8) == 0, "stp-64", load(routes, 8));
  expect(load(routes + 16, 8) == 0 && load(routes + 24, 8) == 1, "stp-64-2", load(routes + 24, 8));
  LOAD_PAIR("ldp %0, %1, [%2, #-16]!", a, b, at);
  expect(a == 1 && b == 0 && at == routes, "ldp-64-pre", a);
  LOAD_PAIR("ldp %0, %1, [%2, #16]", a, b, at);
  expect(a == 0 && b == 1 && at == routes, "ldp-64-offset", b);
  __asm__ volatile("mov x9, sp\n mov sp, %2\n ldp %0, %1, [sp], #16\n mov %2, sp\n mov sp, x9"
                   : "=&r"(a), "=&r"(b), "+r"(at)::"x9", "memory");
  expect(a == 1 && b == 0 && at == routes + 16, "ldp-64-sp", at);
}

// QEMU's distributor takes a pair of words for one access of 8 bytes, and refuses it.
static bool answers_pairs_of_words(void) {
  uint64_t a, b, at = kPlace;
  LOAD_PAIR("ldp %w0, %w1, [%2]", a, b, at);
  return a == word(0) && b == word(1);
}

// The last exception was this one, and the only one since `before`.
static void expect_abort(uint64_t before, uint64_t syndrome, uint64_t address, uint64_t vector,
                         const char* name) {
  expect(exceptions.synchronous == before + 1, name, exceptions.synchronous - before);
  expect(exceptions.last_syndrome == syndrome, name, exceptions.last_syndrome);
  expect(exceptions.last_address == address, name, exceptions.last_address);
  expect(exceptions.last_vector == vector, name, exceptions.last_vector);
}

static void aborts_of_el1(void) {
  uint64_t before = exceptions.synchronous, a = 0x5a, b = 0xa5, at = kNowhere, here;
  __asm__ volatile("adr %1, 1f\n1: ldr %0, [%2]" : "+&r"(a), "=&r"(here) : "r"(at) : "memory");
  expect_abort(before, kEl1Load, kNowhere, kFromEl1, "load");
  expect(exceptions.last_return == here && a == 0x5a, "load-return", exceptions.last_return);
  expect((exceptions.last_state & 0x3df) == 0x3c5, "load-state", exceptions.last_state);
  before = exceptions.synchronous;
  store(kNowhere + 8, 4, 1);
  expect_abort(before, kEl1Store, kNowhere + 8, kFromEl1, "store");
  before = exceptions.synchronous;
  __asm__ volatile("ldp %0, %1, [%2], #16" : "+&r"(a), "+&r"(b), "+&r"(at)::"memory");
  expect_abort(before, kEl1Load, kNowhere, kFromEl1, "pair");
  expect(a == 0x5a && b == 0xa5 && at == kNowhere, "pair-registers", at);
  before = exceptions.synchronous;
  __asm__ volatile("blr %0" ::"r"(kNowhere) : "x30", "memory");
  expect_abort(before, kEl1Fetch, kNowhere, kFromEl1, "fetch");
  expect(exceptions.last_return == kNowhere, "fetch-return", exceptions.last_return);
}

// Of what a hypervisor may refuse: nothing happened but an abort, or it was carried out.
static void refused_or_done(void) {
  for (unsigned which = 0; which < kOddAccesses; ++which) {
    const uint64_t before = exceptions.synchronous;
    odd_access(kPlace, which);
    const uint64_t status = exceptions.last_syndrome & ~UINT64_C(0x150);
    expect(exceptions.synchronous == before ||
               (exceptions.synchronous == before + 1 && exceptions.last_vector == kFromEl1 &&
                exceptions.last_address >> 12 == kPlace >> 12 && status == (kEl1Load & ~UINT64_C(0x10))),
           "odd", which << 16 | (exceptions.last_syndrome & 0xffff));
  }
  expect(load(kGicd + 8, 4) != 0, "still-there", 0);
}

__asm__(
    ".globl user64, user32\n"
    "user64: ldr x0, [x0]\n svc #0\n"
    "user32: .inst 0xe5900000\n .inst 0xef000000\n");  // ldr r0, [r0]; svc 0
extern const char user64[] __attribute__((visibility("hidden")));
extern const char user32[] __attribute__((visibility("hidden")));

static uint64_t for_user(const char* code) {
  return (uint64_t)(uintptr_t)code - kRam + kUserRam;
}

static void aborts_of_el0(void) {
  const uint64_t nowhere = kNowhere + kUserDevices;
  const uint64_t good = (uint64_t)(uintptr_t)&attempts - kRam + kUserRam;
  expect(run_at_el0(for_user(user64), kEl0State, good) == attempts, "el0-runs", attempts);
  uint64_t before = exceptions.synchronous;
  expect(run_at_el0(for_user(user64), kEl0State, nowhere) == nowhere, "el0-register", 0);
  expect_abort(before, kEl0Load, nowhere, kFromEl0, "el0-load");
  expect((exceptions.last_state & 0x3df) == kEl0State, "el0-state", exceptions.last_state);
  before = exceptions.synchronous;
  (void)run_at_el0(nowhere, kEl0State, 0);
  expect_abort(before, kEl0Fetch, nowhere, kFromEl0, "el0-fetch");
  before = exceptions.synchronous;
  expect(run_at_el0(for_user(user32), kEl0State32, good) == (uint32_t)attempts, "32-runs", 0);
  expect(run_at_el0(for_user(user32), kEl0State32, nowhere) == nowhere, "32-register", 0);
  expect_abort(before, kEl0Load, nowhere, kFrom32, "32-load");
  expect((exceptions.last_state & 0x3df) == kEl0State32, "32-state", exceptions.last_state);
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  say("hostile instructions\n");
  map_everything_as_memory();
  map_for_user();
  set_priorities();
  if (answers_pairs_of_words()) {
    say("hostile instructions: pairs of words\n");
    load_pairs();
    store_pairs();
    set_priorities();
  }
  load_singles();
  store_singles();
  wide_pairs();
  set_priorities();
  aborts_of_el1();
  refused_or_done();
  aborts_of_el0();
  say_result("instructions", attempts);
}
