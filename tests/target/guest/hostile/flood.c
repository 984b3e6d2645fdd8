// Floods, as fast as it goes: accesses to its card's MSI-X table, each of them a trap and some of
// them work for the interrupt controller; interrupts of edu; and transfers of edu to where this
// guest has nothing. The letter b on its console makes the transfers bigger, so that the board's
// SMMU cannot keep an account of them; s ends it.
//
//   RESULT hostile flood begins
//   RESULT hostile flood table=N interrupts=N transfers=N
#include "pci.h"

// The devices, in the order in which the configuration gives them to this guest, and their BARs.
static const uint64_t kCard = kEcam + (1U << 15);
static const uint64_t kEdu = kEcam + (2U << 15);
static const uint64_t kCardBars = kMmio32;
static const uint64_t kEduBar = kMmio32 + 0x1000000;
static const uint64_t kEduDeviceId = 2U << 3;
static const uint64_t kNowhere = 0x70000000;  // guest-physical, far above this guest's memory

enum { kEduRaise = 0x60, kEduSource = 0x80, kEduTarget = 0x88, kEduCount = 0x90, kEduRun = 0x98 };
enum { kTransferBytes = 512, kBigTransferBytes = 4096 };  // each few of them are a fault
enum { kUartFlags = 0x18, kReceiveEmpty = 1U << 4, kUartControl = 0x30, kUartOn = 0x301 };
enum {
  kEntry = 16,
  kEntries = 3,
  kTableRounds = 64,
  kRaises = 16,
  kLpi = 8192,
  kPages = 4096
};

static uint64_t ring[4096 / 8] __attribute__((aligned(65536)));
static uint64_t devices[65536 / 8] __attribute__((aligned(65536)));
static uint64_t collections[65536 / 8] __attribute__((aligned(65536)));

static uint64_t table_accesses;
static uint64_t interrupts;
static uint64_t transfers;

static void map_interrupt(void) {
  const uint64_t valid = UINT64_C(1) << 63;
  const uint64_t commands[4][4] = {
      {0x09, 0, valid, 0},                                                               // MAPC
      {0x08 | kEduDeviceId << 32, 4, valid | (uint64_t)(uintptr_t)(devices + 4096), 0},  // MAPD
      {0x0a | kEduDeviceId << 32, (uint64_t)kLpi << 32, 0, 0},                           // MAPTI
      {0x05, 0, 0, 0}};                                                                  // SYNC
  for (unsigned i = 0; i < 16; ++i) {
    ring[i] = commands[i / 4][i % 4];
  }
  __asm__ volatile("dsb sy" ::: "memory");
  store(kIts + 0x100, 8, valid | (uint64_t)(uintptr_t)devices);
  store(kIts + 0x108, 8, valid | (uint64_t)(uintptr_t)collections);
  store(kIts + 0x80, 8, valid | (uint64_t)(uintptr_t)ring);
  store(kIts, 4, 1);
  store(kIts + 0x88, 8, sizeof commands);
}

static void enable_msi(uint64_t msi) {
  store(msi + 4, 4, kItsTranslation + 0x40);
  const bool wide = (load(msi + 2, 2) & 0x80) != 0;
  if (wide) {
    store(msi + 8, 4, 0);
  }
  store(msi + (wide ? 12 : 8), 2, 0);
  store(msi + 2, 2, load(msi + 2, 2) | 1);
}

static void flood_table(uint64_t table) {
  for (unsigned i = 0; i < kTableRounds; ++i) {
    const uint64_t entry = table + i % kEntries * kEntry;
    store(entry, 4, kItsTranslation + 0x40);
    store(entry + 8, 4, i);
    store(entry + 12, 4, (i & 4) != 0);  // masked and not
    (void)load(entry + 12, 4);
    table_accesses += 4;
  }
}

static void flood_interrupts(void) {
  for (unsigned i = 0; i < kRaises; ++i) {
    store(kEduBar + kEduRaise, 4, 1);
    ++interrupts;
  }
}

// A transfer takes edu a while; the next one goes to the next page.
static void flood_transfers(uint64_t bytes) {
  if ((load(kEduBar + kEduRun, 8) & 1) != 0) {
    return;
  }
  store(kEduBar + kEduSource, 8, 0x40000);
  store(kEduBar + kEduTarget, 8, kNowhere + transfers % kPages * 4096);
  store(kEduBar + kEduCount, 8, bytes);
  store(kEduBar + kEduRun, 8, 1 | 2);
  ++transfers;
}

// The letter that was typed, or nothing.
static uint64_t order(void) {
  return (load(kUart + kUartFlags, 4) & kReceiveEmpty) != 0 ? 0 : load(kUart, 4) & 0xff;
}

static void flood(uint64_t table) {
  uint64_t bytes = kTransferBytes;
  for (uint64_t letter = 0; letter != 's'; letter = order()) {
    if (letter == 'b') {
      bytes = kBigTransferBytes;
    }
    flood_table(table);
    flood_interrupts();
    flood_transfers(bytes);
  }
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  struct Player player = {0};
  const unsigned msix = find_capability(&player, kCard, kCapabilityMsix);
  const unsigned msi = find_capability(&player, kEdu, kCapabilityMsi);
  if (msix == 0 || msi == 0) {
    say("RESULT hostile flood no-devices\n");
    return;
  }
  (void)place_bars(&player, kCard, kCardBars);
  (void)place_bars(&player, kEdu, kEduBar);
  const uint64_t where = load(kCard + msix + 4, 4);
  const uint64_t bar = load(kCard + kFirstBar + 4 * (where & 7), 4) & ~UINT64_C(15);
  store(kCard + msix + 2, 2, load(kCard + msix + 2, 2) | 1U << 15);
  map_interrupt();
  enable_msi(kEdu + msi);
  store(kUart + kUartControl, 4, kUartOn);
  say("RESULT hostile flood begins\n");
  flood(bar + (where & ~UINT64_C(7)));
  say_number("RESULT hostile flood table=", table_accesses);
  say_number(" interrupts=", interrupts);
  say_number(" transfers=", transfers);
  say("\n");
}
