// A guest without an operating system that owns an SMMUv3 and gives it commands in batches: what does one of a batch
// cost? Built with the hostile guests' start.S and runtime.c.
//
// Markers (see plugin.c): 0x7b before the write of CMDQ_PROD, 0x7f when CMDQ_CONS has come to it. Batches of 1, 4, 16,
// 64, 256, 1024 and 4096 TLBI_NH_VA with a CMD_SYNC behind, ROUNDS of each, in this order.
#include "hostile.h"

enum { LOG2_ENTRIES = 13, ENTRIES = 1 << LOG2_ENTRIES, ROUNDS = 8, BATCHES = 7 };
enum { CR0 = 0x20, CR0ACK = 0x24, CMDQ_BASE = 0x90, CMDQ_PROD = 0x98, CMDQ_CONS = 0x9c };
enum { CMDQEN = 1 << 3, TLBI_NH_VA = 0x12, CMD_SYNC = 0x46 };

static const uint64_t kQueue = 0x41000000;
static uint32_t producer;

static void put(uint64_t word0, uint64_t word1) {
  const uint64_t slot = kQueue + (uint64_t)(producer % ENTRIES) * 16;
  store(slot, 8, word0);
  store(slot + 8, 8, word1);
  producer = (producer + 1) % (2 * ENTRIES);
}

static void batch(unsigned commands) {
  for (unsigned i = 0; i < commands; ++i) {
    put(TLBI_NH_VA | 1ull << 48, (0x10000000ull + i * 0x1000ull) | 1);  // ASID 1, leaf
  }
  put(CMD_SYNC, 0);
  volatile uint32_t* const prod = (volatile uint32_t*)(kSmmu + CMDQ_PROD);
  volatile uint32_t* const cons = (volatile uint32_t*)(kSmmu + CMDQ_CONS);
  __asm__ volatile("dsb sy\n\thint #0x7b" ::: "memory");
  *prod = producer;
  while (*cons != producer) {
  }
  __asm__ volatile("hint #0x7f" ::: "memory");
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  store(kSmmu + CMDQ_BASE, 8, kQueue | LOG2_ENTRIES);
  store(kSmmu + CR0, 4, CMDQEN);
  for (unsigned patience = 1000000; load(kSmmu + CR0ACK, 4) != CMDQEN; --patience) {
    if (patience == 0) {
      say("RESULT failed no-acknowledgement\n");
      return;
    }
  }
  for (unsigned i = 0; i < BATCHES; ++i) {
    for (unsigned round = 0; round < ROUNDS; ++round) batch(1u << 2 * i);
  }
  say("RESULT done\n");
}
