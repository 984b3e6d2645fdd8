// What the hostile guests share: a console, random numbers, power-off, counted exceptions, and
// loads and stores of every width that neither the compiler nor the hardware merges.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Nothing relocates these programs: data of another file is reached relative to the program counter,
// not through a table of addresses.
#define HIDDEN __attribute__((visibility("hidden")))

// Counted by the vectors, with what the last one said; the order is known to start.S.
struct Exceptions {
  uint64_t synchronous;
  uint64_t interrupts;
  uint64_t errors;
  uint64_t last_syndrome;
  uint64_t last_address;  // FAR_EL1
  uint64_t last_return;   // ELR_EL1
  uint64_t last_state;    // SPSR_EL1
  uint64_t last_vector;   // 0..15, in the order of the table
};
extern struct Exceptions exceptions HIDDEN;

// The memory map of QEMU's "virt" board, which a guest of the hypervisor has too.
static const uint64_t kGicd = 0x08000000;
static const uint64_t kIts = 0x08080000;
static const uint64_t kItsTranslation = 0x08090000;
static const uint64_t kGicr = 0x080a0000;
static const uint64_t kUart = 0x09000000;
static const uint64_t kSmmu = 0x09050000;
static const uint64_t kMmio32 = 0x10000000;
static const uint64_t kRam = 0x40000000;
static const uint64_t kEcam = 0x4010000000;
static const uint64_t kMmio64 = 0x8000000000;

void say(const char* text);
void say_number(const char* label, uint64_t value);
// "RESULT hostile NAME done …counts": the last line of every program.
void say_result(const char* name, uint64_t attempts);

// "SEEN QUESTION VALUE", for programs whose answers are compared with the bare board's. `answers`
// counts them.
void say_answer(const char* question, uint64_t value);
extern uint64_t answers HIDDEN;

uint64_t random64(void);
uint64_t random_below(uint64_t limit);

// Loads (dropping the value) or stores of 1, 2, 4 or 8 bytes.
uint64_t load(uint64_t address, unsigned bytes);
void store(uint64_t address, unsigned bytes, uint64_t value);

// Maps the first TiB at its own address with the MMU on: RAM as normal memory, everything else as
// normal non-cacheable. That is not how devices should be mapped, and so it allows what a device
// mapping does not: unaligned and multi-register accesses, exclusives, cache operations.
void map_everything_as_memory(void);

// Afterwards: 1 GiB each of RAM and of devices, for EL0, within its 32 bits.
static const uint64_t kUserRam = 0x80000000;
static const uint64_t kUserDevices = 0xc0000000;
void map_for_user(void);

// Runs code at EL0 with PSTATE `state` and x0 = `argument` until it makes a supervisor call, whose
// x0 is the result. x30 is the address of such a call.
uint64_t run_at_el0(uint64_t code, uint64_t state, uint64_t argument);

// Accesses whose syndrome does not say what they were: pairs, vectors, write-back, exclusives,
// atomics, cache zeroing. `which` is taken modulo the number of them.
enum { kOddAccesses = 12 };
void odd_access(uint64_t address, unsigned which);

long smccc_hvc(const uint64_t arguments[8]);
long smccc_smc(const uint64_t arguments[8]);
void odd_immediates(void);
void second_cpu(void);
void power_off(void);

void hostile_main(uint64_t device_tree);
