// What takes effect when: enables, GBPA, stream-table commands, devices that come and go.
#include <gtest/gtest.h>

#include <set>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu {
namespace {

using fake::cfgi_range;
using fake::cfgi_ste;
using fake::Guest;
using fake::kCr0;
using fake::kCr0Ack;
using fake::kGbpa;
using fake::physical;
using fake::sync;
using hw::smmuv3::Stage1;
using hw::smmuv3::Stage1Mode;

constexpr Stage1 kAborts{Stage1Mode::kAbort, 0, 0};
constexpr Stage1 kBypasses{Stage1Mode::kBypass, 0, 0};
constexpr Stage1 kInvalid{Stage1Mode::kInvalid, 0, 0};
constexpr Stage1 translates(std::uint64_t context) {
  return {Stage1Mode::kTranslate, context, 0};
}

constexpr std::uint32_t kGbpaUpdate = 1U << 31;
constexpr std::uint32_t kGbpaAbort = 1U << 20;

const Stage1& now(Guest& guest, std::uint32_t stream) {
  return guest.host.now.at(physical(stream).value());
}

/// The physical streams that were configured, in order; forgets them.
std::multiset<std::uint32_t> taken(Guest& guest) {
  std::multiset<std::uint32_t> out;
  for (const auto& one : guest.host.configured) {
    out.insert(one.stream.value() - fake::kPhysical);
  }
  guest.host.configured.clear();
  return out;
}

// Until the guest switches its SMMU on, and after it has switched it off, devices see its memory
// as it lies.
// Covers: S1.11 S2.6
TEST(Engine, ADeviceIsInStageTwoAloneUntilTheGuestWantsMore) {
  Guest guest;
  guest.attach(8);
  EXPECT_EQ(now(guest, 8), kBypasses);
  guest.put_entry(8, Guest::translate(fake::kContexts));
  guest.start();
  EXPECT_EQ(now(guest, 8), translates(fake::kContexts));
  guest.set(kCr0, 0);
  guest.run();
  EXPECT_EQ(guest.get(kCr0Ack), 0u);
  EXPECT_EQ(now(guest, 8), kBypasses);
}

// Covers: S2.6 S2.17 S2.5
TEST(Engine, EnablesAreAcknowledgedWhenEveryStreamIsAsTheySay) {
  Guest guest;
  constexpr unsigned kDevices = 20;
  for (unsigned i = 0; i < kDevices; ++i) {
    guest.attach(i * 8);
    guest.put_entry(i * 8, Guest::translate(fake::kContexts + i * 64));
  }
  guest.prepare();
  guest.host.configured.clear();
  guest.host.busy = 1'000'000;
  guest.set(kCr0, fake::kAllEn);
  for (unsigned i = 0; i < 10; ++i) {
    guest.smmu.run();
    EXPECT_EQ(guest.get(kCr0Ack), 0u);
    EXPECT_TRUE(guest.smmu.has_work());
  }
  guest.host.busy = 0;
  unsigned slices = 0;
  while (guest.smmu.has_work()) {
    const bool all = guest.host.configured.size() == kDevices;
    guest.smmu.run();
    ++slices;
    if (!all) continue;
    break;
  }
  EXPECT_GE(slices, kDevices * VirtualSmmu::kRefreshUnits / VirtualSmmu::kUnitsPerSlice);
  guest.run();
  EXPECT_EQ(guest.get(kCr0Ack), fake::kAllEn);
  EXPECT_EQ(guest.host.configured.size(), kDevices);  // each once
  for (unsigned i = 0; i < kDevices; ++i) {
    EXPECT_EQ(now(guest, i * 8), translates(fake::kContexts + i * 64));
  }
}

// A guest that only polls gets there too.
// Covers: S2.5 S2.6
TEST(Engine, LookingAtTheAcknowledgementDoesTheWork) {
  Guest guest;
  for (unsigned i = 0; i < 32; ++i) guest.attach(i);
  guest.prepare();
  guest.set(kCr0, fake::kAllEn);
  unsigned looks = 0;
  while (guest.get(kCr0Ack) != fake::kAllEn) ASSERT_LT(++looks, 20u);
  EXPECT_FALSE(guest.smmu.has_work());
}

// Covers: S2.6
TEST(Engine, QueuesCanBeSwitchedWithoutTouchingStreams) {
  Guest guest;
  guest.attach(8);
  guest.start();
  guest.host.configured.clear();
  guest.set(kCr0, fake::kSmmuEn);
  guest.run();
  guest.set(kCr0, fake::kAllEn);
  guest.run();
  EXPECT_EQ(guest.get(kCr0Ack), fake::kAllEn);
  EXPECT_TRUE(guest.host.configured.empty());
}

// Covers: S2.6 S1.11
TEST(Engine, GbpaSaysWhatHappensWhileItIsOff) {
  Guest guest;
  guest.attach(8);
  guest.set(kGbpa, kGbpaAbort);  // without UPDATE: ignored
  guest.run();
  EXPECT_EQ(guest.get(kGbpa), 0x1000u);
  EXPECT_EQ(now(guest, 8), kBypasses);

  guest.host.busy = 1'000'000;
  guest.set(kGbpa, kGbpaUpdate | kGbpaAbort | 0x1000);
  EXPECT_EQ(guest.get(kGbpa) & kGbpaUpdate, kGbpaUpdate);
  guest.set(kGbpa, kGbpaUpdate | 0x1000);  // one is under way: ignored
  guest.host.busy = 0;
  guest.run();
  EXPECT_EQ(guest.get(kGbpa), kGbpaAbort | 0x1000);
  EXPECT_EQ(now(guest, 8), kAborts);

  // The same again changes nothing, attributes neither.
  guest.host.configured.clear();
  guest.set(kGbpa, kGbpaUpdate | kGbpaAbort | 0x2000);
  guest.run();
  EXPECT_EQ(guest.get(kGbpa), kGbpaAbort | 0x2000);
  EXPECT_TRUE(guest.host.configured.empty());

  // A device that comes meets it.
  guest.attach(16);
  EXPECT_EQ(now(guest, 16), kAborts);

  // Enabled, the stream table counts, whatever GBPA becomes.
  guest.put_entry(8, Guest::kBypass);
  guest.put_entry(16, Guest::kBypass);
  guest.start();
  EXPECT_EQ(now(guest, 8), kBypasses);
  guest.host.configured.clear();
  guest.set(kGbpa, kGbpaUpdate);
  guest.run();
  EXPECT_EQ(guest.get(kGbpa), 0u);
  EXPECT_TRUE(guest.host.configured.empty());
  guest.set(kCr0, 0);
  guest.run();
  EXPECT_EQ(now(guest, 8), kBypasses);
}

// Covers: S2.4 S2.6 S2.16
TEST(Engine, AnEntryCountsFromItsCommandOn) {
  Guest guest;
  guest.attach(8);
  guest.start();
  EXPECT_EQ(now(guest, 8), kInvalid);
  guest.put_entry(8, Guest::translate(fake::kContexts));
  guest.run();
  EXPECT_EQ(now(guest, 8), kInvalid);
  guest.issue({cfgi_ste(8), sync()});
  EXPECT_EQ(now(guest, 8), translates(fake::kContexts));
  guest.put_entry(8, Guest::kAbort);
  guest.issue({cfgi_ste(8), sync()});
  EXPECT_EQ(now(guest, 8), kAborts);
  guest.put_entry(8, Guest::kBypass);
  guest.issue({cfgi_ste(8), sync()});
  EXPECT_EQ(now(guest, 8), kBypasses);
  guest.put_entry(8, 0);
  guest.issue({cfgi_ste(8), sync()});
  EXPECT_EQ(now(guest, 8), kInvalid);
}

// Covers: S2.6 S2.16
TEST(Engine, ASyncCompletesAfterTheEntriesBeforeItAreInPlace) {
  Guest guest;
  guest.attach(8);
  guest.attach(16);
  guest.start();
  guest.put_entry(8, Guest::kBypass);
  guest.put_entry(16, Guest::kBypass);
  guest.host.busy = 3;
  for (const auto& command : {cfgi_ste(8), cfgi_ste(16), sync(1)}) guest.queue(command);
  guest.produce();
  while (guest.smmu.has_work()) {
    const bool done = guest.get(fake::kCmdqCons) == 3;  // a look is a slice
    EXPECT_EQ(done, guest.irqs.pulses[fake::kSyncIntid] == 1);
    EXPECT_TRUE(!done || now(guest, 16) == kBypasses);
  }
  EXPECT_EQ(guest.host.busy, 0u);
  EXPECT_EQ(now(guest, 8), kBypasses);
  EXPECT_EQ(now(guest, 16), kBypasses);
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 1u);
}

// Invalidations after an entry's command reach the board after the entry.
// Covers: S2.6 S2.8 H37
TEST(Engine, OrderIsKeptAcrossEntriesAndInvalidations) {
  Guest guest;
  guest.attach(8);
  guest.start();
  std::string order;
  std::size_t configured = guest.host.configured.size();
  guest.host.on_call = [&] {
    // Called before it is noted: told apart by what follows.
    order += guest.host.configured.size() == configured ? '.' : 'c';
    configured = guest.host.configured.size();
  };
  guest.put_entry(8, Guest::kBypass);
  guest.issue({fake::tlbi_asid(1), cfgi_ste(8), fake::tlbi_asid(2), sync()});
  EXPECT_EQ(order, "..c");  // forwarded, configured, forwarded
  EXPECT_EQ(guest.host.batches, 2u);
}

// Covers: S2.16 H52
TEST(Engine, RangesNameTheirStreamsAndUnknownOnesAreNobodys) {
  Guest guest;
  for (const std::uint32_t id : {0U, 1U, 7U, 8U, 15U, 16U, 0x80U, 0xffffU}) guest.attach(id);
  guest.start();
  (void)taken(guest);
  using Set = std::multiset<std::uint32_t>;
  guest.issue({cfgi_ste(8)});
  EXPECT_EQ(taken(guest), Set({8}));
  guest.issue({cfgi_ste(9), cfgi_ste(0x1'0008), cfgi_ste(0xffff'ffff), cfgi_range(0x4000, 7)});
  EXPECT_EQ(taken(guest), Set());
  guest.issue({cfgi_range(9, 2)});  // 2^3 streams
  EXPECT_EQ(taken(guest), Set({8, 15}));
  guest.issue({cfgi_range(0, 0)});
  EXPECT_EQ(taken(guest), Set({0, 1}));
  guest.issue({cfgi_range(0xff, 7)});
  EXPECT_EQ(taken(guest), Set({0, 1, 7, 8, 15, 16, 0x80}));
  for (const unsigned all : {15U, 30U, 31U}) {
    guest.issue({cfgi_range(0, all)});
    EXPECT_EQ(taken(guest).size(), 8u) << all;
  }
  guest.issue({cfgi_range(0xffff'ffff, 31)});
  EXPECT_EQ(taken(guest).size(), 8u);
  guest.issue({cfgi_range(0xffff'0000, 15)});  // beyond 16 bits, not cut to them
  EXPECT_EQ(taken(guest), Set());
  EXPECT_EQ(guest.command_error(), 0u);
}

// Covers: S2.6
TEST(Engine, WhileItIsOffEntriesAreNotRead) {
  Guest guest;
  guest.attach(8);
  guest.prepare();
  guest.put_entry(8, Guest::kAbort);
  guest.set(kCr0, fake::kCmdqEn);
  guest.run();
  guest.host.configured.clear();
  guest.issue({cfgi_ste(8), cfgi_range(0, 31), sync()});
  EXPECT_TRUE(guest.idle());
  EXPECT_TRUE(guest.host.configured.empty());
  guest.set(kCr0, fake::kAllEn);
  guest.run();
  EXPECT_EQ(now(guest, 8), kAborts);
}

// Covers: S2.9 S2.10
TEST(Engine, DevicesComeAndGo) {
  Guest guest;
  guest.start();
  guest.put_entry(8, Guest::translate(fake::kContexts));
  guest.attach(8);  // into an SMMU that is on
  EXPECT_EQ(now(guest, 8), translates(fake::kContexts));
  EXPECT_EQ(guest.smmu.attach(GuestStreamId(8), StreamId(1)).error(),
            fail(Code::kAlreadyExists, 8));
  guest.host.configured.clear();
  guest.smmu.detach(GuestStreamId(8));
  guest.smmu.detach(GuestStreamId(8));
  guest.issue({cfgi_ste(8), cfgi_range(0, 31), fake::cfgi_cd(8), sync()});
  EXPECT_TRUE(guest.host.configured.empty());
  EXPECT_TRUE(guest.host.forwarded.empty());
  EXPECT_TRUE(guest.idle());
  EXPECT_FALSE(guest.smmu.has_work());
  guest.attach(8);
  EXPECT_EQ(guest.host.configured.size(), 1u);
}

// Covers: S2.9
TEST(Engine, ADeviceLeavesWithItsWork) {
  Guest guest;
  guest.host.busy = 1'000'000;
  ASSERT_TRUE(guest.smmu.attach(GuestStreamId(8), physical(8)));
  ASSERT_TRUE(guest.smmu.attach(GuestStreamId(4), physical(4)));
  guest.smmu.run();
  guest.smmu.detach(GuestStreamId(8));
  guest.host.busy = 0;
  guest.run();
  EXPECT_EQ(taken(guest), std::multiset<std::uint32_t>({4}));
  EXPECT_FALSE(guest.smmu.has_work());
}

// Covers: S2.9
TEST(Engine, ThereIsRoomForSoManyDevicesAndNoMore) {
  Guest guest;
  for (std::uint32_t i = 0; i < kMaxStreams; ++i) {
    // Backwards: order does not matter.
    guest.attach(1000 - i * 8);
  }
  EXPECT_EQ(guest.smmu.attach(GuestStreamId(5), physical(5)).error().code, Code::kTableFull);
  EXPECT_EQ(guest.host.now.size(), kMaxStreams);
  guest.start();
  guest.host.configured.clear();
  guest.issue({cfgi_ste(1000), cfgi_ste(1000 - 31 * 8)});
  EXPECT_EQ(guest.host.configured.size(), 2u);
  for (std::uint32_t i = 0; i < kMaxStreams; ++i) guest.smmu.detach(GuestStreamId(1000 - i * 8));
  guest.attach(5);
  EXPECT_FALSE(guest.smmu.has_work());
}

// Covers: S2.17
TEST(Engine, AStreamThatTheHostRefusesDoesNotHoldUpTheOthers) {
  Guest guest;
  guest.attach(8);
  guest.attach(16);
  guest.prepare();
  guest.host.broken_with = fail(Code::kUnsupported);
  guest.set(kCr0, fake::kAllEn);
  guest.run(50);
  EXPECT_FALSE(guest.smmu.has_work());
  EXPECT_EQ(guest.get(kCr0Ack), fake::kAllEn);
}

// Covers: S1.11 S2.6
TEST(Engine, ResetIsPowerOn) {
  Guest guest;
  guest.put_entry(8, Guest::translate(fake::kContexts));
  guest.attach(8);
  guest.start();
  guest.set(kGbpa, kGbpaUpdate | kGbpaAbort);
  guest.run();
  guest.issue({{0xff, 0}});  // an error, unacknowledged
  guest.host.busy = 1'000'000;
  guest.set(kCr0, 0);
  guest.host.busy = 0;
  guest.smmu.reset();
  EXPECT_TRUE(guest.smmu.has_work());
  guest.run();
  EXPECT_EQ(now(guest, 8), kBypasses);
  for (const RegisterRow& row : register_table()) {
    if (row.offset < 0x20) continue;
    EXPECT_EQ(guest.get(row.offset, row.bytes), row.reset) << row.name;
  }
  guest.prod = 0;
  guest.start();  // and the next kernel starts from there
  EXPECT_EQ(now(guest, 8), translates(fake::kContexts));
  guest.issue({fake::tlbi_asid(1), sync(1)});
  EXPECT_TRUE(guest.idle());
}

// Enables that change again before they have taken effect.
// Covers: S2.6 H52
TEST(Engine, TheLastWordCounts) {
  Guest guest;
  guest.attach(8);
  guest.put_entry(8, Guest::kAbort);
  guest.prepare();
  guest.host.busy = 3;
  for (unsigned i = 0; i < 20; ++i) guest.set(kCr0, i % 2 == 0 ? fake::kAllEn : 0);
  guest.run();
  EXPECT_EQ(guest.get(kCr0Ack), 0u);
  EXPECT_EQ(now(guest, 8), kBypasses);
  guest.host.busy = 3;
  for (unsigned i = 0; i < 21; ++i) guest.set(kCr0, i % 2 == 0 ? fake::kAllEn : 0);
  guest.run();
  EXPECT_EQ(guest.get(kCr0Ack), fake::kAllEn);
  EXPECT_EQ(now(guest, 8), kAborts);
}

// Covers: S2.23
TEST(Engine, TheDescriptionIsWhatDriversLookFor) {
  Guest guest;
  const Description about = guest.smmu.description();
  EXPECT_EQ(about.compatible, "arm,smmu-v3");
  EXPECT_EQ(about.base, Gpa(0x0905'0000));
  EXPECT_EQ(about.size, 0x2'0000u);
  EXPECT_TRUE(about.coherent);
  EXPECT_EQ(about.iommu_cells, 1u);
  ASSERT_EQ(about.interrupts.size(), 3u);
  EXPECT_EQ(about.interrupts[0].name, "eventq");
  EXPECT_EQ(about.interrupts[1].name, "cmdq-sync");
  EXPECT_EQ(about.interrupts[2].name, "gerror");
  for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(about.interrupts[i].intid, GuestIntId(42 + i));
}

}  // namespace
}  // namespace penstock::viommu
