// Plays with root ports that have a hot-plug slot, with the cards in them and with the SR-IOV
// capability of those cards: bus numbers that cannot be, resets in the middle, virtual functions
// switched on and off while they come, at last with a second CPU that does the same at once.
//
// Switching virtual functions on takes the hypervisor between 0.1 and 1.1 seconds, a reset 0.1:
// loops that do either are short.
#include "pci.h"

enum {
  kMaxPorts = 16,
  kSeed = 0x70105e,
  kPrimaryBus = 0x18,
  kSecondaryBus = 0x19,
  kBridgeControl = 0x3e,
  kBusReset = 0x40,
  kLinkControl = 0x10,  // in the PCI Express capability
  kLinkDisable = 0x10,
  kSlotControl = 0x18,
  kSlotStatus = 0x1a,
  kRaceRounds = 16,
};

struct Port {
  uint64_t at;
  unsigned bus;  // with which it forwards
  unsigned express;
  unsigned msi;
};

struct Card {
  uint64_t at;
  struct Port* port;
  unsigned express;
  uint64_t sriov;  // address of the capability, 0: none
  unsigned total;
};

static struct Port ports[kMaxPorts];
static unsigned port_count;
static struct Card cards[kMaxPorts];
static unsigned card_count;

static struct Player first = {kSeed, 0};
static struct Player second = {kSeed + 1, 0};

// What was seen to happen; the test expects most of it.
static uint64_t switched_on;
static uint64_t refused;
static uint64_t seen_below;
static uint64_t resets;
static uint64_t wrong;

static void find_ports(void) {
  for (unsigned device = 0; device < 32 && port_count < kMaxPorts; ++device) {
    const uint64_t at = config_at(0, device, 0);
    if (!is_there(&first, at) || get(&first, at + kClass, 2) != 0x0604) continue;
    struct Port* port = &ports[port_count++];
    port->at = at;
    port->bus = port_count;
    port->express = find_capability(&first, at, kCapabilityExpress);
    port->msi = find_capability(&first, at, kCapabilityMsi);
  }
}

// Everything as an honest guest has it, so that the card can be reached.
static void restore(struct Player* player, const struct Port* port) {
  set(player, port->at + kBridgeControl, 2, 0);
  set(player, port->at + port->express + kLinkControl, 2, 0);
  set(player, port->at + kPrimaryBus, 4, port->bus << 8 | port->bus << 16);
  set(player, port->at + kCommand, 2, 7);
}

static void find_cards(void) {
  for (unsigned i = 0; i < port_count; ++i) {
    restore(&first, &ports[i]);
    const uint64_t at = config_at(ports[i].bus, 0, 0);
    if (!is_there(&first, at)) continue;
    struct Card* card = &cards[card_count++];
    card->at = at;
    card->port = &ports[i];
    card->express = find_capability(&first, at, kCapabilityExpress);
    const unsigned sriov = find_extended(&first, at, kExtendedSriov);
    if (sriov == 0) continue;
    card->sriov = at + sriov;
    card->total = (unsigned)get(&first, card->sriov + kSriovTotal, 2);
  }
}

static unsigned physical_functions(void) {
  unsigned count = 0;
  for (unsigned i = 0; i < card_count; ++i) count += cards[i].sriov != 0;
  return count;
}

static void place_cards(void) {
  uint64_t place = kMmio32;
  for (unsigned i = 0; i < card_count; ++i) {
    restore(&first, cards[i].port);
    place = place_bars(&first, cards[i].at, place);
  }
}

// Some functions of every bus, with reads and writes in every width.
static void touch_buses(struct Player* player) {
  static const unsigned kOffsets[] = {0, 0x04, 0x0a, 0x10, 0x3d, 0x100, 0xffd};
  for (unsigned bus = 1; bus < 256; ++bus) {
    const uint64_t at = config_at(bus, roll_below(player, 3) * 16 % 32, roll_below(player, 2));
    const unsigned offset = kOffsets[bus % (sizeof kOffsets / sizeof kOffsets[0])];
    (void)get(player, at + offset, 1U << (bus & 3));
    set(player, at + offset, 1U << (bus >> 2 & 3), 0);
  }
}

static void wrong_buses(void) {
  for (unsigned way = 0; way < 8; ++way) {
    for (unsigned i = 0; i < port_count; ++i) {
      // Primary, secondary, subordinate: nothing, everything, the port's own bus, one for all, each
      // other's, from the last to the first, beyond the slots, and anything.
      const uint64_t others = ports[(i + 1) % port_count].bus;
      const uint64_t ways[] = {
          0,        0xffffff, 0x000100 * way,         0x020200, others * 0x010101,
          0x0001ff, 0x808000, roll(&first) & 0xffffff};
      set(&first, ports[i].at + kPrimaryBus, 4, ways[way]);
      set(&first, ports[i].at + kSecondaryBus, 1, ways[way] >> 8);
    }
    touch_buses(&first);
  }
  for (unsigned i = 0; i < port_count; ++i) restore(&first, &ports[i]);
}

static uint64_t odd_address(struct Player* player) {
  static const uint64_t kPlaces[] = {0x40000000,   0x08090040,    0x08080000, 0x09000000,
                                     0x10000000,   0x3efff000,    0x3effffff, 0x4010000000,
                                     0x7ffffff000, 0x8000000000U, UINT64_MAX, 0};
  return kPlaces[roll_below(player, sizeof kPlaces / sizeof kPlaces[0])];
}

// Interrupts to anywhere: each change of the link is an event, and the guest makes it.
static void play_with_slot(struct Player* player, const struct Port* port) {
  const uint64_t express = port->at + port->express;
  const uint64_t message = port->at + port->msi;
  set(player, message + 4, 8, odd_address(player));
  set(player, message + 0xc, 4, roll(player));
  set(player, message + 2, 2, roll_below(player, 8) == 0 ? roll(player) : 1);
  // Every enable, every state of both indicators, the power controller and the interlock.
  set(player, express + kSlotControl, 2, (roll(player) & 0x1fc0) | 0x103f);
  set(player, express + kLinkControl, 2, roll_below(player, 2) * kLinkDisable);
  set(player, express + kLinkControl, 2, 0);
  (void)get(player, express + kSlotStatus, 2);
  set(player, express + kSlotStatus, 2, roll(player));
  set(player, express + kSlotControl, 8, roll(player));
}

// The card's reset by way of its bus; what is below is touched while the bus is down.
static void reset_bus(struct Player* player, const struct Port* port) {
  set(player, port->at + kBridgeControl, 2, kBusReset);
  (void)get(player, config_at(port->bus, 0, 0), 4);
  set(player, config_at(port->bus, 0, 0) + kCommand, 2, 6);
  set(player, port->at + kBridgeControl, 2, 0);
  ++resets;
}

static void reset_function(struct Player* player, const struct Card* card) {
  set(player, card->at + card->express + kDeviceControl, 2, kFunctionReset);
  (void)get(player, card->at, 4);
  ++resets;
}

// Where virtual functions can be: this bus and the next ones.
static void touch_below(struct Player* player, const struct Card* card) {
  for (unsigned number = 1; number < 256; ++number) {
    const uint64_t at = config_at(card->port->bus, number >> 3, number & 7);
    if (get(player, at + 8, 4) == 0xff000000) ++seen_below;  // a class that no driver wants
    set(player, at + kCommand, 2, 6);
    set(player, at + kFirstBar, 1U << (number & 3), roll(player));
    (void)get(player, at + 0xffd, 8);
  }
  sweep(player, config_at(card->port->bus, 0, 1), 64, 1, 1);
}

struct Fixed {
  uint64_t total, offset, stride, device;
};

static struct Fixed fixed_of(const struct Card* card) {
  const struct Fixed fixed = {
      get(&first, card->sriov + kSriovTotal, 2), get(&first, card->sriov + kSriovOffset, 2),
      get(&first, card->sriov + kSriovStride, 2), get(&first, card->sriov + kSriovDevice, 2)};
  return fixed;
}

// All of the capability but VF Enable, which stays as it is.
static void scribble(const struct Card* card) {
  const struct Fixed before = fixed_of(card);
  for (unsigned offset = kSriovControl + 4; offset < kSriovBytes; ++offset) {
    for (unsigned width = 1; width <= 8; width *= 2) {
      for (unsigned which = 0; which < 3; ++which) {
        set(&first, card->sriov + offset, width, odd_value(&first, which));
      }
    }
  }
  const struct Fixed after = fixed_of(card);
  if (before.total != after.total || before.offset != after.offset ||
      before.stride != after.stride || before.device != after.device) {
    ++wrong;
  }
}

// Numbers that can be are taken, the others are not.
static void every_count(const struct Card* card) {
  const uint64_t counts[] = {0, 1, card->total, card->total + 1, 0xffff, 0x8000};
  for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; ++i) {
    const bool possible = counts[i] != 0 && counts[i] <= card->total;
    const bool on = switch_vfs(&first, card->sriov, counts[i]);
    if (on != possible) ++wrong;
    if (!on) ++refused;
    if (!on) continue;
    ++switched_on;
    scribble(card);
    touch_below(&first, card);
    if (get(&first, card->sriov + kSriovCount, 2) != counts[i]) ++wrong;
    set(&first, card->sriov + kSriovControl, 2, kVfEnable);
    set(&first, card->sriov + kSriovControl, 2, UINT16_MAX);
    set(&first, card->sriov + kSriovControl, 2, 0);
    if (get(&first, card->sriov + kSriovControl, 2) & kVfEnable) ++wrong;
  }
  scribble(card);
  set(&first, card->sriov + kSriovControl, 2, 0);
}

// On, off and on again with nothing in between, by writes of every width.
static void quick_succession(const struct Card* card) {
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned width = 1U << i;
    set(&first, card->sriov + kSriovCount, 2, 1 + i % card->total);
    set(&first, card->sriov + kSriovControl, width, kVfEnable);
    set(&first, card->sriov + kSriovControl, 1, 0);
    if (i % 2 == 0) {
      set(&first, card->sriov + kSriovControl, 1, kVfEnable | kVfMemory);
      set(&first, card->sriov + kSriovControl, width, 0);
    }
  }
}

// VF BARs on top of RAM, of the PF's own BARs and of what is no window at all.
static void wrong_places(const struct Card* card) {
  for (unsigned i = 0; i < 3; ++i) {
    set(&first, card->sriov + kSriovPages, 4, odd_value(&first, i));
    const uint64_t place = odd_address(&first);
    for (unsigned bar = 0; bar < kBars; ++bar) {
      set(&first, card->sriov + kSriovBars + 4 * bar, 4, i == 0 ? UINT32_MAX : place + bar);
    }
    if (!switch_vfs(&first, card->sriov, card->total)) continue;
    ++switched_on;
    (void)get(&first, kMmio32, 8);
    (void)get(&first, kMmio64, 8);
    (void)get(&first, kItsTranslation, 4);
    set(&first, card->sriov + kSriovControl, 2, 0);
  }
}

// Resets of every kind while virtual functions are there or on their way.
static void reset_with_functions(const struct Card* card) {
  for (unsigned way = 0; way < 4; ++way) {
    restore(&first, card->port);
    if (switch_vfs(&first, card->sriov, card->total)) ++switched_on;
    if (way % 2 == 0) reset_function(&first, card);
    if (way % 2 != 0) reset_bus(&first, card->port);
    if (way >= 2) set(&first, card->sriov + kSriovControl, 2, kVfEnable);
    touch_below(&first, card);
  }
  restore(&first, card->port);
  (void)switch_vfs(&first, card->sriov, 1);
  play_with_slot(&first, card->port);
  restore(&first, card->port);
}

static volatile uint64_t race_round;

// One thing that comes in between. `slow`: it may cost the hypervisor time.
static void interfere(struct Player* player, bool slow) {
  const struct Card* card = &cards[roll_below(player, card_count)];
  const struct Port* port = card->port;
  switch (roll_below(player, slow ? 10 : 6)) {
    case 0: set(player, port->at + kSecondaryBus, 1, roll_below(player, 4)); break;
    case 1: restore(player, port); break;
    case 2: play_with_slot(player, port); break;
    case 3: set(player, card->at + kCommand, 2, roll(player)); break;
    case 4: (void)get(player, kMmio32 + roll_below(player, 0x100000), 4); break;
    case 5: touch_below(player, card); break;
    case 6: reset_bus(player, port); break;
    case 7: reset_function(player, card); break;
    case 8: set(player, card->at + kFirstBar, 4, odd_address(player)); break;
    default:
      if (card->sriov == 0) break;
      (void)switch_vfs(player, card->sriov, roll_below(player, card->total + 2));
      set(player, card->sriov + kSriovControl, 2, 0);
  }
}

void second_main(void) {
  map_everything_as_memory();
  uint64_t seen = 0;
  unsigned budget = 0;
  for (;;) {
    if (seen != race_round) budget = race_round % 2 == 0 ? 4 : 0;
    seen = race_round;
    if (seen == 0) continue;
    const bool slow = budget != 0 && roll_below(&second, 4) == 0;
    if (slow) --budget;
    interfere(&second, slow);
  }
}

// Virtual functions stay for a while, so that others can be given them; then both CPUs play. The
// second CPU goes on until the machine ends, and the last of what it does meets its end.
static void race(void) {
  for (unsigned i = 0; i < kRaceRounds; ++i) {
    race_round = i + 1;
    const struct Card* card = &cards[i / 2 % card_count];
    restore(&first, card->port);
    if (card->sriov == 0) continue;
    if (i % 2 != 0) interfere(&first, true);
    if (switch_vfs(&first, card->sriov, card->total)) ++switched_on;
    for (unsigned k = 0; i % 2 == 0 && k < 24; ++k) touch_below(&first, card);
    if (i % 4 == 3) set(&first, card->sriov + kSriovControl, 2, 0);
  }
}

static void play_with_cards(void) {
  for (unsigned i = 0; i < card_count; ++i) {
    restore(&first, cards[i].port);
    if (cards[i].sriov == 0) continue;
    say_number("hostile plug: virtual functions of card ", i);
    say("\n");
    every_count(&cards[i]);
    quick_succession(&cards[i]);
    wrong_places(&cards[i]);
    reset_with_functions(&cards[i]);
  }
}

static void sweep_everything(void) {
  say("hostile plug: every register\n");
  for (unsigned i = 0; i < card_count; ++i) {
    restore(&first, cards[i].port);
    sweep(&first, cards[i].at, kConfigBytes, 1, 1);
  }
  for (unsigned i = 0; i < port_count; ++i) {
    sweep(&first, ports[i].at, 256, 1, 3);
    sweep(&first, ports[i].at + 256, kConfigBytes - 256, 7, 1);
    restore(&first, &ports[i]);
  }
}

static void say_found(bool two) {
  say_number("RESULT hostile plug seed=", kSeed);
  say_number(" ports=", port_count);
  say_number(" cards=", card_count);
  say_number(" physical=", physical_functions());
  say_number(" cpus=", two ? 2 : 1);
  say("\n");
}

static void say_done(void) {
  say_number("RESULT hostile plug on=", switched_on);
  say_number(" refused=", refused);
  say_number(" below=", seen_below);
  say_number(" resets=", resets);
  say_number(" wrong=", wrong);
  say_number(" second=", second.attempts);
  say("\n");
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  say("hostile plug\n");
  map_everything_as_memory();
  find_ports();
  find_cards();
  const bool two = start_second();
  say_found(two);
  place_cards();
  for (unsigned i = 0; i < 64 * port_count; ++i) {
    play_with_slot(&first, &ports[i % port_count]);
  }
  wrong_buses();
  play_with_cards();
  sweep_everything();
  if (card_count != 0) race();
  say_done();
  say_result("plug", first.attempts + second.attempts);
}
