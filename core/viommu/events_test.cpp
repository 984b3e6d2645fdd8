// What a guest is told of its devices' faults (IHI 0070, 7.2 to 7.5).
#include <gtest/gtest.h>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu {
namespace {

using fake::Guest;
using fake::kEventqCons;
using fake::kEventqProd;

constexpr std::uint32_t kDevice = 0x18;
constexpr std::uint64_t kStream = std::uint64_t{kDevice} << 32;
constexpr std::uint32_t kOverflow = 1U << 31;

/// Events on, SMMU on, one device with a stage 1 of its own.
struct Events : testing::Test {
  explicit Events(const hw::smmuv3::IdRegisters& board = fake::kBoard) : guest(board) {
    guest.put_entry(kDevice, Guest::translate(fake::kContexts));
    guest.attach(kDevice);
    guest.start();
  }
  static StreamFault translation(std::uint64_t address, bool write = true) {
    StreamFault fault;
    fault.stream = GuestStreamId(kDevice);
    fault.type = 0x10;
    fault.write = write;
    fault.cls = 2;
    fault.address = Iova(address);
    return fault;
  }
  static StreamFault of_type(std::uint8_t type) {
    StreamFault fault = translation(0xffff'f000);
    fault.type = type;
    return fault;
  }
  bool fault(const StreamFault& one) { return guest.smmu.fault(one); }
  std::uint32_t prod() { return static_cast<std::uint32_t>(guest.get(kEventqProd)); }
  void consume(std::uint32_t to) { guest.set(kEventqCons, to); }
  unsigned wired() { return guest.irqs.pulses[fake::kEventqIntid]; }
  /// Makes the entry of the device what `word0` says.
  void reconfigure(std::uint64_t word0) {
    guest.put_entry(kDevice, word0);
    guest.issue({fake::cfgi_ste(kDevice), fake::sync()});
  }
  Guest guest;
};

constexpr std::uint64_t kRead = 1ULL << 35;
constexpr std::uint64_t kInstruction = 1ULL << 34;
constexpr std::uint64_t kPrivileged = 1ULL << 33;
constexpr std::uint64_t kClassIn = 2ULL << 40;

// Covers: S2.7 S2.26
TEST_F(Events, StageOneFaultsArriveWithTheGuestsOwnStreamAndAddress) {
  unsigned n = 0;
  for (std::uint8_t type = 0x10; type <= 0x13; ++type) {
    for (const bool write : {false, true}) {
      StreamFault one = translation(0xffff'8000'1234'5678, write);
      one.type = type;
      ASSERT_TRUE(fault(one));
      const auto event = guest.event(n++);
      EXPECT_EQ(event[0], type | kStream);
      EXPECT_EQ(event[1], kClassIn | (write ? 0 : kRead));
      EXPECT_EQ(event[2], 0xffff'8000'1234'5678);
      EXPECT_EQ(event[3], 0u);
      EXPECT_EQ(prod(), n);
    }
  }
  StreamFault one = translation(0x1000, false);
  one.privileged = one.instruction = true;
  one.cls = 1;
  EXPECT_TRUE(fault(one));
  EXPECT_EQ(guest.event(n)[1], kRead | kInstruction | kPrivileged | 1ULL << 40);
  EXPECT_EQ(guest.smmu.counters().events, n + 1);
}

// Covers: S2.7 S2.26
TEST_F(Events, ConfigurationFaultsCarryNoAddress) {
  unsigned n = 0;
  for (std::uint8_t type = 6; type <= 10; type = static_cast<std::uint8_t>(type + 2)) {
    EXPECT_TRUE(fault(of_type(type)));
    EXPECT_EQ(guest.event(n++), (std::array<std::uint64_t, 4>{type | kStream, 0, 0, 0}));
  }
}

// Covers: S2.7 H53
TEST_F(Events, WhatIsOursStaysWithTheOperator) {
  StreamFault stage2 = translation(0x1000);
  stage2.stage2 = true;
  EXPECT_FALSE(fault(stage2));
  StreamFault stalled = translation(0x1000);
  stalled.stalled = true;
  EXPECT_FALSE(fault(stalled));
  // Every other type, those that only a broken board could report among them.
  for (unsigned type = 0; type < 256; ++type) {
    const bool guests = (type >= 0x10 && type <= 0x13) || type == 6 || type == 8 || type == 0xa;
    if (!guests) EXPECT_FALSE(fault(of_type(static_cast<std::uint8_t>(type)))) << type;
  }
  EXPECT_EQ(prod(), 0u);
  EXPECT_EQ(wired(), 0u);
}

// The board says "bad entry", because that is what the guest's became there; the guest hears why.
// Covers: S2.7 S2.26
TEST_F(Events, ABadEntryHasItsOwnReason) {
  EXPECT_FALSE(fault(of_type(4))) << "this entry is a good one";
  reconfigure(0);
  EXPECT_TRUE(fault(of_type(4)));
  EXPECT_EQ(guest.event(0), (std::array<std::uint64_t, 4>{0x04 | kStream, 0, 0, 0}));
  reconfigure(0xf);  // stage 2 does not exist
  EXPECT_TRUE(fault(of_type(4)));
  EXPECT_EQ(guest.event(1)[0], 0x04 | kStream);

  // The table is not RAM.
  guest.set(fake::kCr0, 0);
  guest.run();
  EXPECT_FALSE(fault(of_type(4)));
  guest.set(fake::kStrtabBase, 0x0905'0000, 8);
  guest.set(fake::kCr0, fake::kAllEn);
  guest.run();
  EXPECT_TRUE(fault(of_type(4)));
  const Gpa entry = Gpa(0x0905'0000).align_down(0x4000) + kDevice * 64;
  EXPECT_EQ(guest.event(2), (std::array<std::uint64_t, 4>{0x03 | kStream, 0, 0, entry.value()}));
}

// Covers: S2.7 S2.26 S2.9
TEST_F(Events, AnUnknownStreamIsToldOfWhereTheGuestAsksForIt) {
  for (const bool wanted : {false, true}) {
    guest.set(fake::kCr0, 0);
    guest.run();
    guest.set(fake::kStrtabCfg, 4);  // 16 streams
    guest.set(fake::kCr2, wanted ? 2 : 0);
    guest.set(fake::kCr0, fake::kAllEn);
    guest.run();
    EXPECT_TRUE(fault(of_type(4)));  // the guest's business in both cases
    EXPECT_EQ(prod(), wanted ? 1u : 0u);
  }
  EXPECT_EQ(guest.event(0), (std::array<std::uint64_t, 4>{0x02 | kStream, 0, 0, 0}));
}

// Covers: S2.7
TEST_F(Events, ADeviceThatHasLeftHasNoReason) {
  reconfigure(0);
  guest.smmu.detach(GuestStreamId(kDevice));
  EXPECT_FALSE(fault(of_type(4)));
  guest.attach(kDevice);
  EXPECT_TRUE(fault(of_type(4)));  // it was read again
}

struct SubstreamEvents : Events {
  SubstreamEvents() : Events(fake::kBoardWithSubstreams) {}
};

// Covers: S2.26
TEST_F(SubstreamEvents, SubstreamsAreNamed) {
  StreamFault one = translation(0x1000);
  one.substream = 0xabcde;
  EXPECT_TRUE(fault(one));
  EXPECT_EQ(guest.event(0)[0], 0x10 | 1ULL << 11 | 0xabcdeULL << 12 | kStream);
}

// Covers: S2.26
TEST_F(Events, ABoardWithoutSubstreamsNamesNone) {
  StreamFault one = translation(0x1000);
  one.substream = 0xabcde;
  EXPECT_TRUE(fault(one));
  EXPECT_EQ(guest.event(0)[0], 0x10 | kStream);
}

// Covers: S2.18 S2.26 H14 H51
TEST_F(Events, AFloodIsCutAtTheQueuesSizeAndSaysSo) {
  for (unsigned i = 0; i < 1000; ++i) EXPECT_TRUE(fault(translation(i * 0x1000ULL)));
  EXPECT_EQ(prod(), 16u | kOverflow);  // the wrap bit, and OVFLG
  EXPECT_EQ(wired(), 1u);
  EXPECT_EQ(guest.smmu.counters().events, 16u);
  EXPECT_EQ(guest.smmu.counters().lost_events, 984u);
  EXPECT_EQ(guest.event(15)[2], 15 * 0x1000u);
  const std::uint64_t writes = guest.ram.writes;
  EXPECT_EQ(writes, 16u);

  // The guest reads four, and does not acknowledge the overflow yet.
  consume(4);
  EXPECT_TRUE(fault(translation(0xaaaa'0000)));
  EXPECT_EQ(prod(), 17u | kOverflow);
  EXPECT_EQ(guest.event(16)[2], 0xaaaa'0000u);
  EXPECT_EQ(wired(), 1u) << "it was not empty";
  // Full once more, still unacknowledged: the flag stays.
  for (unsigned i = 0; i < 10; ++i) EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(prod() & kOverflow, kOverflow);
  // Acknowledged, all read; the next overflow toggles it again.
  consume((prod() & 0x1f) | kOverflow);
  for (unsigned i = 0; i < 17; ++i) EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(prod() & kOverflow, 0u);
  EXPECT_EQ(wired(), 2u);
}

// Covers: S2.18
TEST_F(Events, IndicesWrap) {
  for (unsigned i = 0; i < 200; ++i) {
    EXPECT_TRUE(fault(translation(i)));
    EXPECT_EQ(guest.event(i)[2], i);
    EXPECT_EQ(prod(), (i + 1) % 32);
    consume((i + 1) % 32);
  }
  EXPECT_EQ(wired(), 200u);
  EXPECT_EQ(guest.smmu.counters().lost_events, 0u);
}

// Covers: S2.18 H52
TEST_F(Events, AForgedConsumerIndexHarmsNobody) {
  for (const std::uint32_t forged : {0xffff'ffffU, 0x7fff'ffffU, 0x1fU, 0x11U, 0x5U}) {
    consume(forged);
    for (unsigned i = 0; i < 100; ++i) (void)fault(translation(i));
  }
  // Only ever the queue's own bytes.
  for (std::uint64_t at = fake::kEvents + 16 * 32; at < fake::kMessages; at += 8) {
    ASSERT_EQ(guest.ram.get(at), 0u);
  }
  ASSERT_EQ(guest.ram.get(fake::kEvents - 8), 0u);
}

// Covers: S2.18 H52
TEST(EventQueue, OutsideOfRamItIsAGlobalErrorAndNothingIsWritten) {
  for (const std::uint64_t base : {0x0905'0000ULL, 0x8000'0000ULL, 0x4010'0000ULL, 0ULL}) {
    Guest guest;
    guest.attach(kDevice);
    guest.prepare();
    guest.set(fake::kEventqBase, base | 4, 8);
    guest.set(fake::kIrqCtrl, 5);
    guest.set(fake::kCr0, fake::kAllEn);
    guest.run();
    EXPECT_TRUE(guest.smmu.fault(Events::translation(1)));
    EXPECT_EQ(guest.errors(), fake::kEventqAbt);
    EXPECT_EQ(guest.get(kEventqProd), 0u);
    EXPECT_TRUE(guest.smmu.fault(Events::translation(2)));
    EXPECT_EQ(guest.errors(), fake::kEventqAbt);  // active already
    EXPECT_EQ(guest.irqs.pulses[fake::kErrorIntid], 1u);
    EXPECT_EQ(guest.irqs.pulses[fake::kEventqIntid], 0u);
    guest.acknowledge_errors();
    EXPECT_EQ(guest.errors(), 0u);
    EXPECT_TRUE(guest.smmu.fault(Events::translation(3)));
    EXPECT_EQ(guest.irqs.pulses[fake::kErrorIntid], 2u);
  }
}

// Covers: S2.18 H52
TEST(EventQueue, ASizeThatDoesNotExistIsCut) {
  auto board = fake::kBoard;
  board.idr1 = 0x0042'0010;  // CMDQS and EVENTQS 2
  Guest guest(board);
  guest.attach(kDevice);
  guest.prepare();
  guest.set(fake::kEventqBase, fake::kEvents | 31, 8);
  guest.set(fake::kCmdqBase, fake::kQueue | 31, 8);
  guest.set(fake::kCr0, fake::kAllEn);
  guest.run();
  for (unsigned i = 0; i < 10; ++i) EXPECT_TRUE(guest.smmu.fault(Events::translation(i)));
  EXPECT_EQ(guest.smmu.counters().events, 4u);
  for (unsigned i = 0; i < 4; ++i) guest.ram.put(fake::kQueue + i * 16ULL, 0x46);
  guest.set(fake::kCmdqProd, 4);
  guest.run();
  EXPECT_EQ(guest.get(fake::kCmdqCons), 4u);
  EXPECT_EQ(guest.command_error(), 0u);
}

// Covers: S2.18
TEST_F(Events, SwitchedOffNothingIsWritten) {
  guest.set(fake::kCr0, fake::kSmmuEn);
  guest.run();
  EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(prod(), 0u);
  EXPECT_EQ(guest.ram.writes, 0u);
  EXPECT_EQ(wired(), 0u);
}

// Covers: S2.18 S2.23
TEST_F(Events, InterruptsAreForQueuesThatWereEmptyAndOnlyIfEnabled) {
  guest.set(fake::kIrqCtrl, 0);
  EXPECT_TRUE(fault(translation(1)));
  consume(1);
  EXPECT_EQ(wired(), 0u);
  guest.set(fake::kIrqCtrl, 4);
  EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(wired(), 1u);
  EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(wired(), 1u);
  consume(3);
  EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(wired(), 2u);
}

// Covers: S2.18
TEST_F(Events, MessagesInsteadOfWires) {
  guest.set(fake::kIrqCtrl, 0);
  guest.set(fake::kEventqMsi, fake::kMessages, 8);
  guest.set(fake::kEventqData, 0x1234);
  guest.set(fake::kGerrorMsi, fake::kMessages + 8, 8);
  guest.set(fake::kGerrorData, 0x5678);
  guest.set(fake::kIrqCtrl, 5);
  EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(guest.ram.get(fake::kMessages), 0x1234u);
  guest.issue({{0xff, 0}});
  EXPECT_EQ(guest.ram.get(fake::kMessages + 8), 0x5678u);
  EXPECT_TRUE(guest.irqs.pulses.empty());
}

// Covers: S2.18 H52
TEST_F(Events, AMessageThatAbortsIsAGlobalErrorAndNoLoop) {
  guest.set(fake::kIrqCtrl, 0);
  guest.set(fake::kEventqMsi, 0x0809'0040, 8);
  guest.set(fake::kGerrorMsi, 0x0905'0000, 8);
  guest.set(fake::kIrqCtrl, 5);
  EXPECT_TRUE(fault(translation(1)));
  EXPECT_EQ(guest.errors(), fake::kMsiEventqAbt | fake::kMsiGerrorAbt);
  EXPECT_EQ(prod(), 1u);  // the record is there all the same
  guest.acknowledge_errors();
  EXPECT_EQ(guest.errors(), 0u);
  EXPECT_TRUE(guest.irqs.pulses.empty());
}

}  // namespace
}  // namespace penstock::viommu
