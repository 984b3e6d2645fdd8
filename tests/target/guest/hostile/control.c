// Plays with the control interface (core/control/abi.hpp): its config space, its registers, its
// window, and requests that are malformed, meant for nobody, or rewritten by a second CPU while
// they are served. What a control domain may do to others it leaves alone: it names no domain but
// itself, and no device but its own and nobody's.
#include "pci.h"

enum {
  kSeed = 0xc0117401,
  kVendor = 0x00015053,
  kWindowBar = 0x18,  // 64-bit, behind the registers' BAR
  kMagic = 0x54534e50,
  kDoorbell = 0x08,
  kFinished = 0x0c,
  kWindowBytes = 2 * 1024 * 1024,
  kArguments = 16,
  kResponse = 0x10000,
  kResponseBytes = 0x10000,
  kData = 0x20000,
  kOpcodes = 23,
  kResults = 10,
  kUnknownOpcode = 1,
  kNoBdf = 0xffff,
  kMaxDevices = 64,
  kSmallBundle = 8 * 1024 * 1024,
  kMmio32End = 0x3eff0000,
};

enum Opcode {
  kHello = 0,
  kListDevices = 2,
  kCounters = 3,
  kBundleBegin = 4,
  kBundleDrop = 6,
  kCreate = 7,
  kDestroy = 12,
  kAttach = 13,
  kDetach = 14,
  kReset = 15,
  kHide = 16,
  kUnhide = 17,
  kConsoleRead = 18,
  kConsoleWrite = 19,
  kLog = 20,
};

static const uint64_t kFunction = 0x4010000000 + (0x1f << 15);
static const uint64_t kRegisters = 0x10000000;
static const uint64_t kWindow = 0x8000000000;

static struct Player first = {kSeed, 0};
static struct Player second = {kSeed + 1, 0};

static uint64_t answered[kResults];
static uint64_t unanswered;
static uint64_t wrong;
static uint32_t self;
static uint32_t bundle;

static void decode(void) {
  set(&first, kFunction + kCommand, 2, 0);
  set(&first, kFunction + kFirstBar, 4, kRegisters);
  set(&first, kFunction + kWindowBar, 4, kWindow);
  set(&first, kFunction + kWindowBar + 4, 4, kWindow >> 32);
  set(&first, kFunction + kCommand, 2, 6);
}

static void argument(unsigned offset, unsigned bytes, uint64_t value) {
  set(&first, kWindow + kArguments + offset, bytes, value);
}

// A handle of no domain: generations do not get that far.
static uint32_t nobody(struct Player* player) {
  return (uint32_t)roll(player) | 0x80000000;
}

// With patience for a request that the second CPU serves, behind long work of its own.
static bool is_finished(uint32_t sequence, unsigned patience) {
  for (unsigned i = 0; i < patience; ++i) {
    if (get(&first, kRegisters + kFinished, 4) == sequence) return true;
  }
  return false;
}

static uint32_t next_sequence(void) {
  static uint32_t sequence;
  return ++sequence;
}

static void write_header(uint32_t sequence, uint64_t opcode, uint64_t bytes, uint64_t reserved) {
  set(&first, kWindow, 8, sequence | opcode << 32);
  set(&first, kWindow + 8, 8, bytes | reserved << 32);
  __asm__ volatile("dsb sy" ::: "memory");
}

// The answer to what the window holds, kResults when none came.
static unsigned ring(uint32_t sequence) {
  set(&first, kRegisters + kDoorbell, 4, sequence);
  if (!is_finished(sequence, 1000000)) {
    ++unanswered;
    return kResults;
  }
  const uint64_t response = kWindow + kResponse;
  const uint64_t result = get(&first, response + 4, 4);
  const uint64_t bytes = get(&first, response + 8, 4);
  if (get(&first, response, 4) != sequence || result >= kResults || bytes < kArguments ||
      bytes > kResponseBytes) {
    ++wrong;
    return kResults;
  }
  ++answered[result];
  return (unsigned)result;
}

static unsigned request(uint64_t opcode, uint64_t bytes) {
  const uint32_t sequence = next_sequence();
  write_header(sequence, opcode, bytes, 0);
  return ring(sequence);
}

static uint64_t result_word(unsigned offset, unsigned bytes) {
  return get(&first, kWindow + kResponse + kArguments + offset, bytes);
}

struct Memory {
  uint64_t free;
  uint64_t pool;
};

static struct Memory hello(void) {
  struct Memory memory = {0, 0};
  if (request(kHello, kArguments) != 0) return memory;
  self = (uint32_t)result_word(48, 4);
  memory.free = result_word(16, 8);
  memory.pool = result_word(32, 8);
  return memory;
}

// The BARs where nothing of theirs can be: RAM, ITS, config space, each other, the windows' ends.
static void wrong_places(void) {
  static const uint64_t kPlaces[] = {
      0x40000000,   0x40200000, 0x08000000,   0x4010000000, 0x10000000, 0x3ee00000,  0x3f000000,
      0xffffe00000, 0x10000000, 0x8000100000, UINT64_MAX,   0,          0x8000000000};
  for (unsigned i = 0; i < sizeof kPlaces / sizeof kPlaces[0]; ++i) {
    const uint64_t place = kPlaces[i];
    set(&first, kFunction + kCommand, 2, 2 * (i & 1));  // moved while it decodes, and while not
    set(&first, kFunction + kFirstBar, 4, place);
    set(&first, kFunction + kWindowBar, 8, place);
    set(&first, kFunction + kCommand, 2, 6);
    const bool own =
        (place >= kMmio32 && place < kMmio32End) || (place >= kMmio64 && place < 2 * kMmio64);
    if (own) sweep(&first, place, 32, 1, 1);
    if (own) (void)get(&first, place + 0x1e0ffc, 8);
  }
}

static void sweep_everything(void) {
  say("hostile control: every register\n");
  sweep(&first, kFunction, kConfigBytes, 1, 1);
  decode();
  sweep(&first, kRegisters, 4096, 1, 1);
}

static void random_arguments(unsigned bytes) {
  for (unsigned offset = 0; offset < bytes; offset += 8) argument(offset, 8, roll(&first));
  argument(0, 4, nobody(&first));
}

static void every_opcode(void) {
  static const uint32_t kLengths[] = {0,  1,  15, 16,  17,  24,   31,   32,      33,
                                      40, 64, 80, 288, 289, 4096, 4097, 0x10000, 0xffffffff};
  say("hostile control: every opcode\n");
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    for (unsigned i = 0; i < sizeof kLengths / sizeof kLengths[0]; ++i) {
      random_arguments(64);
      const unsigned result =
          request(opcode | (opcode == 255 ? roll(&first) << 8 & UINT32_MAX : 0), kLengths[i]);
      const bool fits = kLengths[i] >= 16 && kLengths[i] <= 4096;
      if (opcode >= kOpcodes && fits && result != kUnknownOpcode) ++wrong;
      if (!fits && result == 0) ++wrong;
    }
  }
}

// Rung twice, with another number, with none, with a reserved field; answered or not, no more.
static void wrong_rings(void) {
  for (unsigned i = 0; i < 64; ++i) {
    const uint32_t sequence = next_sequence();
    write_header(sequence, roll_below(&first, 4), 16, i % 4 == 0 ? roll(&first) & UINT32_MAX : 0);
    set(&first, kRegisters + kDoorbell, 4, sequence);
    set(&first, kRegisters + kDoorbell, 4, i % 2 == 0 ? sequence : 0);
    set(&first, kRegisters + kDoorbell, 1U << (i & 3), roll(&first));
    set(&first, kRegisters + kFinished, 4, roll(&first));
    write_header(sequence, kOpcodes, UINT32_MAX, 0);
    (void)is_finished(sequence, 4);
  }
}

static uint64_t odd_bytes(void) {
  static const uint64_t kSizes[] = {0,
                                    4095,
                                    4096,
                                    4097,
                                    kSmallBundle,
                                    kWindowBytes - kData,
                                    kWindowBytes - kData + 1,
                                    (UINT64_C(1) << 30) + 1,
                                    UINT64_C(1) << 40,
                                    UINT64_MAX - 4095,
                                    UINT64_MAX};
  return kSizes[roll_below(&first, sizeof kSizes / sizeof kSizes[0])];
}

static uint32_t odd_domain(void) {
  const uint32_t ways[] = {nobody(&first), UINT32_MAX, self, self ^ 0x80, self + 0x100};
  return ways[roll_below(&first, 5)];
}

static unsigned ask_domain(uint64_t opcode) {
  argument(0, 4, odd_domain());
  argument(4, 4, roll_below(&first, 4) == 0 ? roll(&first) : 0);
  return request(opcode, kArguments + 8);
}

static unsigned ask_bundle(uint64_t opcode) {
  const uint32_t handles[] = {bundle, bundle, bundle + 1, 0, (uint32_t)roll(&first)};
  argument(0, 4, handles[roll_below(&first, 5)]);
  argument(4, 4, roll_below(&first, 8) == 0 ? roll(&first) : 0);
  argument(8, 8, odd_bytes());
  argument(16, 8, odd_bytes());
  // Something that begins as a bundle does ("PENSTOCK"), and goes on as nothing does.
  set(&first, kWindow + kData, 8, 0x4b434f54534e4550);
  for (unsigned i = 0; i < 64; ++i) set(&first, kWindow + kData + 8 + 8 * i, 8, roll(&first));
  const unsigned result = request(opcode, kArguments + 24);
  if (opcode == kBundleBegin && result == 0) bundle = (uint32_t)result_word(0, 4);
  return result;
}

static unsigned ask_console(uint64_t opcode) {
  const unsigned text = opcode == kConsoleWrite ? roll_below(&first, 258) : 0;
  argument(0, 4, opcode == kConsoleWrite ? nobody(&first) : odd_domain());
  argument(4, 4, roll_below(&first, 4) == 0 ? roll(&first) : text);
  argument(8, 8, odd_bytes());
  return request(opcode, kArguments + 16 + text);
}

static unsigned ask_device(uint64_t opcode, uint64_t bdf, uint64_t guest, uint64_t flags) {
  argument(0, 4, opcode == kAttach ? self : 0);
  argument(4, 2, bdf);
  argument(6, 2, guest);
  argument(8, 4, flags);
  argument(12, 4, 0);
  return request(opcode, kArguments + 16);
}

// Well-formed requests whose contents are not; nothing that its domain may not do to itself.
static void shaped_requests(void) {
  say("hostile control: well-formed requests\n");
  for (unsigned i = 0; i < 1500; ++i) {
    const uint64_t opcode = roll_below(&first, kOpcodes);
    if (opcode < kCounters || opcode > kLog) {
      (void)request(opcode, kArguments);
    } else if (opcode == kCounters || (opcode > kCreate && opcode <= kDestroy)) {
      (void)ask_domain(opcode);
    } else if (opcode <= kCreate) {
      (void)ask_bundle(opcode);
    } else if (opcode >= kConsoleRead) {
      (void)ask_console(opcode);
    } else {  // no device of this board has a number like this
      (void)ask_device(opcode, roll(&first) | 0x8000, roll(&first), roll(&first) & 15);
    }
  }
}

// What the second CPU does.
enum Mode { kIdle, kRewrite, kMove, kDevices };
static volatile uint64_t mode;

static uint64_t moves;  // requests about devices that were done
static uint64_t uses;   // cards that were found in a slot
static uint64_t device_count;
static uint64_t most_devices;

struct Chosen {
  uint64_t bdf;  // kNoBdf: not this domain's to play with
  bool free;
};

static struct Chosen one_device(void) {
  struct Chosen chosen = {kNoBdf, false};
  if (request(kListDevices, kArguments) != 0) return chosen;
  device_count = result_word(0, 4);
  if (device_count == 0 || device_count > kMaxDevices) return chosen;
  if (device_count > most_devices) most_devices = device_count;
  const unsigned at = 8 + 72 * roll_below(&first, (unsigned)device_count);
  const uint64_t owner = result_word(at + 8, 4);
  if (owner != self && owner != UINT32_MAX) return chosen;
  chosen.bdf = result_word(at, 2);
  chosen.free = owner == UINT32_MAX;
  return chosen;
}

// A slot's port as an honest guest has it; or with the indicator off, so that the card may go.
static void open_port(struct Player* player, unsigned slot, bool lets_go) {
  const uint64_t port = config_at(0, 16 + slot, 0);
  if (!is_there(player, port)) return;
  const unsigned express = find_capability(player, port, kCapabilityExpress);
  set(player, port + 0x18, 4, (slot + 1) << 8 | (slot + 1) << 16);
  set(player, port + 0x3e, 2, 0);
  set(player, port + express + 0x18, 2, lets_go ? 0x301 : 0x101);
}

// One thing that a card's owner does to it: virtual functions on or off, a reset of either kind.
static void disturb_card(struct Player* player, unsigned slot) {
  open_port(player, slot, false);
  const uint64_t card = config_at(slot + 1, 0, 0);
  if (!is_there(player, card)) return;
  const unsigned sriov = find_extended(player, card, kExtendedSriov);
  const unsigned express = find_capability(player, card, kCapabilityExpress);
  const unsigned way = roll_below(player, 8);
  if (sriov != 0 && way < 5) (void)switch_vfs(player, card + sriov, 1 + roll_below(player, 4));
  if (sriov != 0 && way == 5) set(player, card + sriov + kSriovControl, 2, 0);
  if (way == 6) set(player, card + express + kDeviceControl, 2, kFunctionReset);
  if (way == 7) set(player, config_at(0, 16 + slot, 0) + 0x3e, 2, 0x40);
  set(player, card + kCommand, 2, 6);
}

// What a driver would do with the card in a slot: BARs in its own part of the window, MSI-X with
// one vector to nowhere, some reads.
static void use_card(unsigned slot) {
  const uint64_t card = config_at(slot + 1, 0, 0);
  open_port(&first, slot, false);
  if (!is_there(&first, card)) return;
  const uint64_t place = kMmio32 + 0x1000000 * (uint64_t)(slot + 1);
  (void)place_bars(&first, card, place);
  const unsigned msix = find_capability(&first, card, kCapabilityMsix);
  if (msix != 0) {
    const uint64_t table = get(&first, card + msix + 4, 4);
    const uint64_t base = get(&first, card + kFirstBar + 4 * (table & 7), 4) & ~UINT64_C(15);
    const uint64_t entry = base + (table & ~UINT64_C(7));
    set(&first, card + msix + 2, 2, 0x8000);
    if (base >= place && entry < kMmio32End) {
      set(&first, entry, 8, kItsTranslation + 0x40);
      set(&first, entry + 8, 8, roll_below(&first, 4));
      set(&first, entry + 12, 1U << roll_below(&first, 4), 0);
    }
  }
  for (unsigned i = 0; i < 8; ++i) (void)get(&first, place + 0x1000 * i, 4);
  ++uses;
}

static void move_device(unsigned i, const struct Chosen* chosen) {
  const uint64_t guest = i % 5 == 0 ? (1 + roll_below(&first, 6)) << 8 : kNoBdf;
  uint64_t opcode = chosen->free ? kAttach : kDetach;
  if (i % 8 == 7) opcode = kAttach + roll_below(&first, 5);
  const uint64_t flags = opcode == kDetach ? roll_below(&first, 4) != 0 : 6;
  if (ask_device(opcode, chosen->bdf, guest, flags) == 0) ++moves;
  if (opcode == kHide) (void)ask_device(kUnhide, chosen->bdf, kNoBdf, 0);
}

static volatile uint64_t round_number;

// Devices come and go on this CPU, their virtual functions and their resets on the other one.
static void play_with_devices(void) {
  (void)one_device();
  if (device_count == 0) return;
  say("hostile control: devices\n");
  disturb_card(&first, 0);
  disturb_card(&first, 1);
  mode = kDevices;
  for (unsigned i = 0; i < 240; ++i) {
    ++round_number;
    if (i % 10 == 9) open_port(&first, roll_below(&first, 6), i % 20 == 19);
    const struct Chosen chosen = one_device();
    if (chosen.bdf != kNoBdf) move_device(i, &chosen);
    use_card(i % 6);
  }
  mode = kIdle;
}

// While a request is served it is rewritten, rung again, and in the end its window is moved away.
// Domains and devices that it names do not exist.
static void interfere(void) {
  const uint64_t opcode = roll_below(&second, kOpcodes + 2);
  set(&second, kWindow + 4, 4, opcode);
  set(&second, kWindow + 8, 4, roll_below(&second, 2) == 0 ? roll(&second) & 0x1fff : 40);
  set(&second, kWindow + kArguments, 4, nobody(&second));
  set(&second, kWindow + kArguments + 4, 2, roll(&second) | 0x8000);
  set(&second, kWindow + kArguments + 8, 8, roll(&second) >> (roll(&second) & 63));
  if (roll_below(&second, 4) == 0) set(&second, kRegisters + kDoorbell, 4, roll(&second));
  if (mode != kMove || roll_below(&second, 16) != 0) return;
  set(&second, kFunction + kWindowBar, 4, roll(&second) & 0x600000);
  set(&second, kFunction + kCommand, 2, roll(&second) & 6);
}

void second_main(void) {
  map_everything_as_memory();
  uint64_t seen = 0;
  for (;;) {
    if (mode == kRewrite || mode == kMove) interfere();
    if (mode != kDevices || seen == round_number) continue;
    seen = round_number;  // not without end: what this does takes the hypervisor time
    disturb_card(&second, roll_below(&second, 3));
  }
}

static void race(void) {
  say("hostile control: two at once\n");
  for (unsigned i = 0; i < 600; ++i) {
    mode = i < 400 ? kRewrite : kMove;
    const uint32_t sequence = next_sequence();
    argument(0, 4, nobody(&first));
    argument(4, 4, 0x8000);
    write_header(sequence, roll_below(&first, kOpcodes), 16 + 8 * roll_below(&first, 4), 0);
    set(&first, kRegisters + kDoorbell, 4, sequence);
    if (mode == kMove && i % 8 == 0) decode();
  }
  mode = kIdle;
}

// What is left when everything has been given back.
static void compare(struct Memory before) {
  argument(0, 8, bundle);
  argument(8, 8, 0);
  argument(16, 8, 0);
  (void)request(kBundleDrop, kArguments + 24);
  const struct Memory after = hello();
  say_number("RESULT hostile control lost=", before.free - after.free);
  say_number(" pool=", before.pool - after.pool);
  say("\n");
}

static void say_found(bool found, bool two) {
  say_number("RESULT hostile control seed=", kSeed);
  say_number(" functions=", found);
  say_number(" cpus=", two ? 2 : 1);
  say("\n");
}

static void say_done(void) {
  say_number("RESULT hostile control wrong=", wrong);
  say_number(" unanswered=", unanswered);
  say_number(" devices=", most_devices);
  say_number(" moves=", moves);
  say_number(" uses=", uses);
  say_number(" second=", second.attempts);
  for (unsigned i = 0; i < kResults; ++i) {
    say_number(" r", i);
    say_number("=", answered[i]);
  }
  say("\n");
}

static void play(void) {
  wrong_places();
  sweep_everything();
  if (get(&first, kRegisters, 4) != kMagic) ++wrong;
  const struct Memory before = hello();
  every_opcode();
  wrong_rings();
  shaped_requests();
  race();
  decode();
  compare(before);
  play_with_devices();
  (void)ask_bundle(kBundleBegin);  // left behind
  say_done();
  mode = kMove;
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  say("hostile control\n");
  map_everything_as_memory();
  const bool found = get(&first, kFunction, 4) == kVendor;
  say_found(found, start_second());
  if (found) play();
  say_result("control", first.attempts + second.attempts);
}
