// A guest without an operating system that owns an SMMUv3 and gives it commands in batches: what does one of a batch
// cost, and how long is it away at most? Built with the hostile guests' start.S and runtime.c.
//
// Markers (see plugin.c), each from the write of CMDQ_PROD to 0x7f, when CMDQ_CONS has come to it:
//   0x7b  batches of 1, 4, 16, 64, 256, 1024 and 4096 TLBI_NH_VA with a CMD_SYNC behind, ROUNDS of each, in this order
//   0x7c  one CFGI_ALL with a CMD_SYNC behind, after every stream's entry has changed, ROUNDS times
#include "tests/target/guest/hostile/hostile.h"

enum { LOG2_ENTRIES = 13, ENTRIES = 1 << LOG2_ENTRIES, LOG2_STREAMS = 8, ROUNDS = 8, BATCHES = 7 };
enum { CR0 = 0x20, CR0ACK = 0x24, STRTAB_BASE = 0x80, STRTAB_BASE_CFG = 0x88 };
enum { CMDQ_BASE = 0x90, CMDQ_PROD = 0x98, CMDQ_CONS = 0x9c };
enum { SMMUEN = 1 << 0, CMDQEN = 1 << 3 };
enum { CFGI_ALL = 0x04, EVERY_STREAM = 31, TLBI_NH_VA = 0x12, CMD_SYNC = 0x46 };
enum { BYPASS = 0x9, STAGE_1 = 0xb };

static const uint64_t kQueue = 0x41000000;
static const uint64_t kTable = 0x41100000;
static const uint64_t kContext = 0x41200000;
static uint32_t producer;

static void put(uint64_t word0, uint64_t word1) {
  const uint64_t slot = kQueue + (uint64_t)(producer % ENTRIES) * 16;
  store(slot, 8, word0);
  store(slot + 8, 8, word1);
  producer = (producer + 1) % (2 * ENTRIES);
}

static void produce(void) {
  *(volatile uint32_t*)(kSmmu + CMDQ_PROD) = producer;
  while (*(volatile uint32_t*)(kSmmu + CMDQ_CONS) != producer) {
  }
}

static void invalidate(unsigned commands) {
  for (unsigned i = 0; i < commands; ++i) {
    put(TLBI_NH_VA | 1ull << 48, (0x10000000ull + i * 0x1000ull) | 1);  // ASID 1, leaf
  }
  put(CMD_SYNC, 0);
  __asm__ volatile("dsb sy\n\thint #0x7b" ::: "memory");
  produce();
  __asm__ volatile("hint #0x7f" ::: "memory");
}

static void set_entries(uint64_t word0) {
  for (unsigned stream = 0; stream < 1u << LOG2_STREAMS; ++stream) store(kTable + stream * 64ull, 8, word0);
}

static void change_every_entry(uint64_t word0) {
  set_entries(word0);
  put(CFGI_ALL, EVERY_STREAM);
  put(CMD_SYNC, 0);
  __asm__ volatile("dsb sy\n\thint #0x7c" ::: "memory");
  produce();
  __asm__ volatile("hint #0x7f" ::: "memory");
}

static int enable(uint32_t bits) {
  store(kSmmu + CR0, 4, bits);
  for (unsigned patience = 1000000; load(kSmmu + CR0ACK, 4) != bits; --patience) {
    if (patience == 0) return 0;
  }
  return 1;
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  store(kSmmu + CMDQ_BASE, 8, kQueue | LOG2_ENTRIES);
  store(kSmmu + STRTAB_BASE, 8, kTable);
  store(kSmmu + STRTAB_BASE_CFG, 4, LOG2_STREAMS);
  set_entries(BYPASS);
  if (!enable(CMDQEN) || !enable(SMMUEN | CMDQEN)) {
    say("RESULT failed no-acknowledgement\n");
    return;
  }
  for (unsigned i = 0; i < BATCHES; ++i) {
    for (unsigned round = 0; round < ROUNDS; ++round) invalidate(1u << 2 * i);
  }
  for (unsigned round = 0; round < ROUNDS; ++round) {
    change_every_entry(round % 2 == 0 ? STAGE_1 | kContext : BYPASS);
  }
  say("RESULT done\n");
}
