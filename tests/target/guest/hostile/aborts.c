// Owns a card whose BARs stop answering: the test closes the bridge above it, as a lost link does,
// and then types what is to be done with the card. After each of these the program says at which
// exception level it is, and goes on: the hypervisor's accesses to the card abort meanwhile, most
// of them in work that it does from an interrupt of this CPU.
#include "pci.h"

enum { kPortBus = 1, kBridgeControl = 0x3e, kBusReset = 0x40, kMsixEnable = 0x8000 };

static struct Player player = {0xab0475, 0};

struct Card {
  uint64_t port, at, sriov;
  unsigned express, msix;
};
static struct Card card;

// PL011: the receiver on, and its flag "receive FIFO empty".
static char key(void) {
  store(kUart + 0x30, 4, 0x301);
  while ((load(kUart + 0x18, 4) & (1U << 4)) != 0) {
  }
  return (char)load(kUart, 1);
}

static unsigned exception_level(void) {
  uint64_t value;
  __asm__ volatile("mrs %0, CurrentEL" : "=r"(value));
  return (unsigned)(value >> 2) & 3;
}

// The card as a driver has it: BARs, MSI-X, one virtual function.
static void use(void) {
  set(&player, card.port + kBridgeControl, 2, 0);
  set(&player, card.port + 0x18, 4, kPortBus << 8 | kPortBus << 16);
  set(&player, card.port + kCommand, 2, 6);
  (void)place_bars(&player, card.at, kMmio32);
  set(&player, card.at + card.msix + 2, 2, kMsixEnable);
  (void)switch_vfs(&player, card.sriov, 1);
}

static void touch_vectors(void) {
  const uint64_t bar = get(&player, card.at + kFirstBar + 4 * 3, 4) & ~UINT64_C(15);
  for (unsigned at = 0; at < 160; at += 4) {
    (void)get(&player, bar + at, 4);
    set(&player, bar + at, 4, at % 16 == 12 ? 0 : kItsTranslation + 0x40);
  }
  for (unsigned i = 0; i < 3; ++i) {
    set(&player, card.at + card.msix + 2, 2, i % 2 == 0 ? kMsixEnable | 0x4000 : kMsixEnable);
  }
}

static void find_card(void) {
  for (unsigned device = 1; device < 32 && card.port == 0; ++device) {
    const uint64_t at = config_at(0, device, 0);
    if (is_there(&player, at) && get(&player, at + kClass, 2) == 0x0604) card.port = at;
  }
  if (card.port == 0) return;
  set(&player, card.port + 0x18, 4, kPortBus << 8 | kPortBus << 16);
  card.at = config_at(kPortBus, 0, 0);
  if (!is_there(&player, card.at)) return;
  card.express = find_capability(&player, card.at, kCapabilityExpress);
  card.msix = find_capability(&player, card.at, kCapabilityMsix);
  card.sriov = card.at + find_extended(&player, card.at, kExtendedSriov);
}

static void act(char what) {
  const uint64_t reset[8] = {0x84000009};
  switch (what) {
    case 'u': use(); break;
    case 'f': set(&player, card.at + card.express + kDeviceControl, 2, kFunctionReset); break;
    case 'b':
      set(&player, card.port + kBridgeControl, 2, kBusReset);
      set(&player, card.port + kBridgeControl, 2, 0);
      break;
    case 'o': set(&player, card.sriov + kSriovControl, 2, 0); break;
    case 'v': (void)switch_vfs(&player, card.sriov, 1); break;
    case 'm': touch_vectors(); break;
    case 'p': (void)place_bars(&player, card.at, kMmio32 + 0x1000000); break;
    case 's': sweep(&player, card.at, 256, 4, 1); break;
    case 'r': (void)smccc_hvc(reset); break;
    default: break;
  }
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  find_card();
  say_number("RESULT hostile aborts begins vfs=",
             card.sriov == 0 ? 0 : get(&player, card.sriov + kSriovTotal, 2));
  say("\n");
  for (;;) {
    const char what = key();
    char word[] = "x";
    word[0] = what;
    act(what);
    (void)get(&player, card.at, 4);
    say("RESULT hostile aborts did ");
    say(word);
    say_number(" el=", exception_level());
    say("\n");
    if (what == 'q') break;
  }
  say_result("aborts", player.attempts);
}
