// Owns an SMMUv3, and with it edu, and gives it everything that it must not get: queues and tables
// in the wrong places and of the wrong sizes, commands that do not exist, entries that are illegal,
// floods of work and of faults. What the architecture says about the answer is compared: a line
// "RESULT hostile smmu wrong NAME" is a mistake of the SMMU.
#include "hostile.h"

enum {
  kIdr0 = 0x00,
  kIdr1 = 0x04,
  kCr0 = 0x20,
  kCr0Ack = 0x24,
  kCr2 = 0x2c,
  kGbpa = 0x44,
  kIrqCtrl = 0x50,
  kGerror = 0x60,
  kGerrorN = 0x64,
  kStrtabBase = 0x80,
  kStrtabCfg = 0x88,
  kCmdqBase = 0x90,
  kCmdqProd = 0x98,
  kCmdqCons = 0x9c,
  kEventqBase = 0xa0,
  kEventqProd = 0x100a8,
  kEventqCons = 0x100ac
};
enum { kSmmuEn = 1, kEventqEn = 4, kCmdqEn = 8 };
enum { kCfgiSte = 3, kCfgiSteRange = 4, kCfgiCd = 5, kTlbiNhVa = 0x12, kSync = 0x46 };
enum { kIllegal = 1, kAbort = 2, kPatience = 2000000 };

// Away from the program: a queue of 2^19 commands, one of events, a stream table.
static const uint64_t kQueue = 0x41000000, kEvents = 0x42000000, kTable = 0x42800000;
static const uint64_t kLevel2 = 0x42900000, kTarget = 0x42a00000, kEduBar = 0x10000000;
static const unsigned kEduStream = 0x08;  // 00:01.0

static uint64_t attempts;

static uint32_t reg(uint64_t offset) {
  return (uint32_t)load(kSmmu + offset, 4);
}
static void set(uint64_t offset, uint32_t value) {
  store(kSmmu + offset, 4, value);
  ++attempts;
}
static void set64(uint64_t offset, uint64_t value) {
  store(kSmmu + offset, 8, value);
  ++attempts;
}
static void expect(bool good, const char* name, uint64_t value) {
  if (good) return;
  say("RESULT hostile smmu wrong ");
  say(name);
  say_number(" value=", value);
  say("\n");
}

static bool enable(uint32_t bits) {
  set(kCr0, bits);
  for (unsigned i = 0; i < kPatience; ++i) {
    if (reg(kCr0Ack) == bits) return true;
  }
  expect(false, "no-acknowledgement", bits);
  return false;
}

static unsigned log2_entries;
static uint32_t producer;

static void start_queue(uint64_t address, unsigned log2) {
  (void)enable(0);
  set(kGerrorN, reg(kGerror));
  set64(kCmdqBase, address | log2);
  set(kCmdqProd, 0);
  set(kCmdqCons, 0);
  log2_entries = log2;
  producer = 0;
  (void)enable(kCmdqEn);
}

static void put(uint64_t word0, uint64_t word1) {
  const uint64_t slot = kQueue + (producer & ((1u << log2_entries) - 1)) * 16ull;
  store(slot, 8, word0);
  store(slot + 8, 8, word1);
  producer = (producer + 1) & ((2u << log2_entries) - 1);
}

static bool failed(void) {
  return ((reg(kGerror) ^ reg(kGerrorN)) & 1) != 0;
}

// Gives what was put to the SMMU; true when all of it was executed.
static bool go(void) {
  __asm__ volatile("dsb sy" ::: "memory");
  set(kCmdqProd, producer);
  for (unsigned i = 0; i < kPatience && !failed(); ++i) {
    if ((reg(kCmdqCons) & 0xfffff) == producer) return true;
  }
  return false;
}

// Every opcode, alone and with the Secure bit: executed, or CERROR_ILL at its place.
static void every_opcode(void) {
  say("hostile smmu: opcodes\n");
  for (unsigned op = 0; op < 256; ++op) {
    const bool known =
        (op >= 1 && op <= 6) || (op >= 0x10 && op <= 0x13) || op == 0x30 || op == kSync;
    for (unsigned secure = 0; secure < 2; ++secure) {
      start_queue(kQueue, 8);
      put(op | secure << 10 | (random64() << 32), op == kSync ? 0 : random64() & ~0xc00ull);
      const bool done = go();
      expect(done == (known && !secure), "opcode", op | secure << 10);
      if (!done) {
        expect(((reg(kCmdqCons) >> 24) & 0x7f) == kIllegal, "cerror", op);
        set(kGerrorN, reg(kGerror));
      }
    }
  }
}

static void queues_in_wrong_places(void) {
  static const uint64_t kPlaces[] = {
      0,          0x08000000, 0x08090000,   0x09000000,   0x09050000,
      0x10000000, 0x60000000, 0x4010000000, 0x8000000000, 0xfffffffff000};
  say("hostile smmu: places\n");
  for (size_t i = 0; i < sizeof kPlaces / sizeof kPlaces[0]; ++i) {
    start_queue(kPlaces[i], 8);
    set(kCmdqProd, 4);
    expect(failed() && ((reg(kCmdqCons) >> 24) & 0x7f) == kAbort, "no-abort", kPlaces[i]);
    set(kGerrorN, reg(kGerror));
    // A CMD_SYNC whose message goes there.
    start_queue(kQueue, 8);
    put(kSync | 1 << 12 | 0x5aull << 32, kPlaces[i] & 0xffffffffffffc);
    expect(go(), "sync-message", kPlaces[i]);
    // An event queue there, with a fault to put into it, is tried with edu below.
  }
  start_queue(kQueue, 31);  // more than IDR1.CMDQS: cut to it
  put(kSync, 0);
  log2_entries = (reg(kIdr1) >> 21) & 0x1f;
  expect(go(), "huge-queue", log2_entries);
  for (unsigned i = 0; i < 64;
       ++i) {  // producers that jump, forged wraps, writes to what is in use
    set(kCmdqProd, (uint32_t)random64());
    set(kCmdqCons, (uint32_t)random64());
    set64(kCmdqBase, random64());
    if (failed()) set(kGerrorN, reg(kGerror));
  }
}

// A full queue of the largest size: whatever happens meanwhile, it comes to its end.
static void full_queue(uint64_t word0, uint64_t word1, const char* name) {
  const unsigned log2 = (reg(kIdr1) >> 21) & 0x1f;
  start_queue(kQueue, log2);
  for (unsigned i = 0; i < 1u << log2; ++i) put(word0, word1);
  __asm__ volatile("dsb sy" ::: "memory");
  set(kCmdqProd, producer);
  unsigned looks = 0;
  while ((reg(kCmdqCons) & 0xfffff) != producer && !failed() && ++looks < 100 * kPatience) {
    set(kCmdqProd, producer);  // and this CPU hammers the producer meanwhile
  }
  expect((reg(kCmdqCons) & 0xfffff) == producer, name, reg(kCmdqCons));
  say("hostile smmu: full queue of ");
  say(name);
  say_number(" looks=", looks);
  say("\n");
}

static void entry(uint64_t at, uint64_t word0, uint64_t word1) {
  store(at, 8, word0);
  store(at + 8, 8, word1);
  for (unsigned i = 2; i < 8; ++i) store(at + 8 * i, 8, random64());
  __asm__ volatile("dsb sy" ::: "memory");
}

static void start_edu(void) {
  const uint64_t config = kEcam + ((uint64_t)kEduStream << 12);
  store(config + 0x10, 4, kEduBar);
  store(config + 4, 2, 6);
}

// edu writes so many bytes of its buffer to `address`; each transfer takes it a tenth of a second.
static void edu_write(uint64_t address, uint64_t bytes) {
  store(kEduBar + 0x80, 8, 0x40000);
  store(kEduBar + 0x88, 8, address);
  store(kEduBar + 0x90, 8, bytes);
  store(kEduBar + 0x98, 8, 1 | 2);
  for (unsigned i = 0; i < kPatience && (load(kEduBar + 0x98, 8) & 1) != 0; ++i) {
  }
  ++attempts;
}

static bool configure(uint64_t table, uint32_t shape) {
  (void)enable(0);
  set64(kStrtabBase, table);
  set(kStrtabCfg, shape);
  set(kCr2, 2);  // RECINVSID
  set64(kEventqBase, kEvents | 8);
  set(kEventqProd, 0);
  set(kEventqCons, 0);
  set64(kCmdqBase, kQueue | 8);
  set(kCmdqProd, 0);
  set(kCmdqCons, 0);
  log2_entries = 8;
  producer = 0;
  return enable(kSmmuEn | kEventqEn | kCmdqEn);
}

// The type of the first event that edu's write brings; 0: none.
static unsigned event_of(uint64_t address) {
  store(kTarget, 8, 0x1111);
  const uint32_t before = reg(kEventqProd);
  edu_write(address, 8);
  for (unsigned i = 0; i < 20000 && reg(kEventqProd) == before; ++i) {
  }
  if (reg(kEventqProd) == before) return 0;
  const uint64_t record = kEvents + (before & 0xff) * 32ull;
  expect(load(record, 8) >> 32 == kEduStream, "event-stream", load(record, 8));
  set(kEventqCons, reg(kEventqProd));
  return (unsigned)(load(record, 8) & 0xff);
}

static void stream_tables(void) {
  enum { kBadStreamId = 2, kSteFetch = 3, kBadSte = 4, kBadCd = 0xa };
  static const struct {
    char name[20];
    uint64_t word0, word1;
    unsigned event;
  } kEntries[] = {
      {"v0", 0, 0, kBadSte},
      {"config-stage2", 1 | 6 << 1, 0, kBadSte},
      {"config-nested", 1 | 7 << 1, 0, kBadSte},
      {"s1cdmax", 1 | 5 << 1 | 1ull << 59 | 0x42b00000, 0, kBadSte},
      {"s1fmt", 1 | 5 << 1 | 3 << 4 | 1ull << 59 | 0x42b00000, 0, kBadSte},
      {"stalld", 1 | 5 << 1 | 0x42b00000, 1 << 27, kBadSte},
      {"context-high", 1 | 5 << 1 | 0xff000000000000, 0, kBadSte},
      {"context-zero", 1 | 5 << 1 | 0x42b00000, 3ull << 28, kBadCd},  // EATS full: no way around
      {"abort", 1, 0, 0},
  };
  say("hostile smmu: entries\n");
  for (size_t i = 0; i < sizeof kEntries / sizeof kEntries[0]; ++i) {
    entry(kTable + kEduStream * 64ull, kEntries[i].word0, kEntries[i].word1);
    if (!configure(kTable, 4)) return;
    const unsigned event = event_of(kTarget);
    expect(event == kEntries[i].event, kEntries[i].name, event);
    expect(load(kTarget, 8) == 0x1111, "written", i);
  }
  say("hostile smmu: tables\n");
  entry(kTable + kEduStream * 64ull, 1 | 4 << 1, 0);  // bypass, in tables of odd shapes
  static const struct {
    char name[20];
    uint64_t table, descriptor;
    uint32_t shape;
    unsigned event;
  } kTables[] = {
      {"bypass", 0x42800000, 0, 4, 0},
      {"size-63", 0x42800000, 0, 63, 0},
      {"too-small", 0x42800000, 0, 3, kBadStreamId},
      {"not-ram", 0x09050000, 0, 4, kSteFetch},
      {"span-0", 0x42800000, 0x42900000, 8 | 6 << 6 | 1 << 16, kBadStreamId},
      {"span-huge", 0x42800000, 0x42900000 | 31, 8 | 6 << 6 | 1 << 16, kBadStreamId},
      {"level2-not-ram", 0x42800000, 0x09050000 | 5, 8 | 6 << 6 | 1 << 16, kSteFetch},
      {"split-over-size", 0x42800000, 0x42900000 | 5, 4 | 10 << 6 | 1 << 16, 0},
  };
  for (size_t i = 0; i < sizeof kTables / sizeof kTables[0]; ++i) {
    entry(kLevel2 + kEduStream * 64ull, 1 | 4 << 1, 0);
    entry(kTable + kEduStream * 64ull, 1 | 4 << 1, 0);
    if ((kTables[i].shape >> 16) != 0) store(kTable, 8, kTables[i].descriptor);
    if (!configure(kTables[i].table, kTables[i].shape)) return;
    const unsigned event = event_of(kTarget);
    expect(event == kTables[i].event, kTables[i].name, event);
    expect((load(kTarget, 8) != 0x1111) == (kTables[i].event == 0), "arrived", i);
    // A range over the whole space, again and again.
    for (unsigned k = 0; k < 64; ++k) put(kCfgiSteRange, 31);
    expect(go(), "ranges", i);
  }
}

// edu was cut off for its faults: what it is asked for does nothing, and its owner's other commands
// in the same batch are executed.
static void commands_for_the_cut_off(void) {
  say("hostile smmu: cut off\n");
  for (unsigned i = 0; i < 3; ++i) {
    put(kTlbiNhVa | 1ull << 48, 0x10000000);
    put(kCfgiCd + i % 2 | (uint64_t)kEduStream << 32, 1);
    put(kCfgiSte | (uint64_t)kEduStream << 32, 1);
    put(kTlbiNhVa | 2ull << 48, 0x10000000);
    put(kSync, 0);
    expect(go(), "cut-off", reg(kCmdqCons));
  }
  expect(reg(kGerror) == reg(kGerrorN), "cut-off-error", reg(kGerror));
}

// Faults in a loop, more than the event queue holds: the flag says so, and the SMMU goes on. They
// are more than the hypervisor bears, too: the device is cut off, and from then on nothing comes.
static void fault_flood(void) {
  say("hostile smmu: faults\n");
  entry(kTable + kEduStream * 64ull, 0, 0);
  if (!configure(kTable, 4)) return;
  for (unsigned i = 0; i < 12; ++i) edu_write(kTarget, 4096);  // an event for each few bytes
  expect((reg(kEventqProd) ^ reg(kEventqCons)) >> 31 == 1, "no-overflow", reg(kEventqProd));
  commands_for_the_cut_off();
  const uint32_t before = reg(kEventqProd);
  set(kEventqCons, before);
  edu_write(kTarget, 4096);
  expect(reg(kEventqProd) == before, "silence", reg(kEventqProd));
  set64(kEventqBase, 0x09050000 | 8);  // in use: ignored
  (void)enable(0);
  set64(kEventqBase, 0x09050000 | 8);
  set(kEventqProd, 0);
  set(kEventqCons, 0);
  if (enable(kSmmuEn | kEventqEn | kCmdqEn)) {
    edu_write(kTarget, 64);
    (void)enable(0);
  }
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  const uint64_t before = exceptions.synchronous;
  const uint32_t idr0 = reg(kIdr0);
  if (exceptions.synchronous != before || (idr0 & 3) != 2) {
    say("RESULT hostile smmu finds nothing: no SMMU with stage 1 alone\n");
    return;
  }
  every_opcode();
  queues_in_wrong_places();
  full_queue(kTlbiNhVa | 1ull << 48, 0x10000000, "invalidations");
  full_queue(kCfgiSteRange, 31, "ranges");
  full_queue(kSync, 0, "syncs");
  start_edu();
  stream_tables();
  fault_flood();
  say("hostile smmu: random\n");
  for (unsigned i = 0; i < 20000; ++i) {
    const unsigned bytes = 1u << random_below(4);
    const uint64_t offset = random_below(0x20000);
    if (random_below(2) != 0) {
      store(kSmmu + offset, bytes, random64());
    } else {
      (void)load(kSmmu + offset, bytes);
    }
    ++attempts;
  }
  (void)enable(0);
  say_result("smmu", attempts);
}
