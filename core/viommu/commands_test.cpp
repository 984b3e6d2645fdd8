// A guest's command queue (IHI 0070, chapter 4): what each command does, what the board's SMMU is
// asked for, and that no queue, however written, costs more than a slice at a time.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu {
namespace {

using fake::cfgi_cd;
using fake::cfgi_cd_all;
using fake::cfgi_range;
using fake::cfgi_ste;
using fake::Command;
using fake::Guest;
using fake::sync;
using fake::tlbi_asid;
using fake::tlbi_va;

constexpr std::uint32_t kDevice = 0x08;
constexpr std::uint32_t kOther = 0x10;

struct Commands : testing::Test {
  explicit Commands(const hw::smmuv3::IdRegisters& board = fake::kBoard) : guest(board) {
    guest.put_entry(kDevice, Guest::kBypass);
    guest.put_entry(kOther, Guest::kBypass);
    guest.attach(kDevice);
    guest.attach(kOther);
    guest.start();
    guest.host.configured.clear();
    guest.host.calls = 0;
  }
  /// The one command that the host got for it.
  Command forwarded(const Command& command) {
    guest.host.forwarded.clear();
    guest.issue({command});
    EXPECT_TRUE(guest.idle());
    EXPECT_EQ(guest.host.forwarded.size(), 1u);
    return guest.host.forwarded.empty() ? Command{} : guest.host.forwarded[0];
  }
  Guest guest;
};

// Covers: S2.15 H51
TEST_F(Commands, EveryOpcodeIsExecutedOrIsAnError) {
  const std::set<unsigned> legal = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
                                    0x10, 0x11, 0x12, 0x13, 0x30, 0x46};
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    for (const bool secure : {false, true}) {
      const std::uint32_t before = guest.prod;
      guest.issue({{opcode | (secure ? 1ULL << 10 : 0), 0}});
      const bool expected = legal.contains(opcode) && !secure;
      EXPECT_EQ(guest.idle(), expected) << opcode;
      EXPECT_EQ(guest.command_error(), expected ? 0u : 1u) << opcode;
      EXPECT_EQ(guest.errors(), expected ? 0u : fake::kCmdqErr) << opcode;
      if (expected) continue;
      // As a driver does: the culprit becomes a CMD_SYNC, and the queue goes on.
      EXPECT_EQ(guest.get(fake::kCmdqCons) & 0xf'ffff, before);
      guest.ram.put(fake::kQueue + (before & 0xff) * 16, 0x46);
      guest.acknowledge_errors();
      guest.run();
      EXPECT_TRUE(guest.idle());
    }
  }
  EXPECT_EQ(guest.smmu.counters().rejected, 512 - legal.size());
}

// Covers: S2.15 H52
TEST_F(Commands, ASignalThatDoesNotExistIsIllegal) {
  guest.issue({sync(3)});
  EXPECT_EQ(guest.command_error(), 1u);
  EXPECT_EQ(guest.irqs.pulses[fake::kErrorIntid], 1u);
}

// The guest's VMID, and bits that the command's form does not use, never reach the board's SMMU.
// Covers: S2.8 S2.15 H51 H52
TEST_F(Commands, InvalidationsKeepWhatTheyMeanAndNothingElse) {
  constexpr std::uint64_t kGarbage = 0x0000'ffff'ffff'f800;  // of word 0: neither opcode nor ASID
  EXPECT_EQ(forwarded({0x10 | kGarbage | 7ULL << 48, ~0ULL}), (Command{0x10, 0}));
  EXPECT_EQ(forwarded({0x11 | kGarbage | 7ULL << 48, ~0ULL}), (Command{0x11 | 7ULL << 48, 0}));
  EXPECT_EQ(forwarded({0x12 | kGarbage | 7ULL << 48, 0x1234'5000 | 0x3f0}),
            (Command{0x12 | 7ULL << 48, 0x1234'5000}));
  EXPECT_EQ(forwarded({0x13, 0xffff'ffff'ffff'f001}), (Command{0x13, 0xffff'ffff'ffff'f001}));
  EXPECT_EQ(forwarded({0x30, ~0ULL}), (Command{0x10, 0}));  // of all that it caches: ours
  EXPECT_TRUE(guest.host.configured.empty());
}

// Covers: S2.8 S2.15 H52
TEST_F(Commands, RangesAreCanonical) {
  constexpr std::uint64_t kRange = 5ULL << 12 | 3ULL << 20;
  constexpr std::uint64_t kAt = 0x1234'5000;
  // One address, NUM and SCALE without a granule: dropped.
  EXPECT_EQ(forwarded({0x12 | kRange, kAt}), (Command{0x12, kAt}));
  for (const std::uint64_t tg : {1ULL, 2ULL, 3ULL}) {
    // The hint of a level may be left out. The address is that of a granule.
    const std::uint64_t granule = kAt & ~low_mask(static_cast<unsigned>(10 + 2 * tg));
    EXPECT_EQ(forwarded({0x12 | kRange, kAt | tg << 10 | 3ULL << 8 | 1}),
              (Command{0x12 | kRange, granule | tg << 10 | 1}));
    // NUM = SCALE = TTL = 0 with a granule is reserved.
    EXPECT_EQ(forwarded({0x12, kAt | tg << 10}), (Command{0x12, kAt}));
    EXPECT_EQ(forwarded({0x12, kAt | tg << 10 | 3ULL << 8}), (Command{0x12, kAt}));
  }
  EXPECT_EQ(forwarded({0x13 | 31ULL << 12 | 31ULL << 20, kAt | 1 << 10}),
            (Command{0x13 | 31ULL << 12 | 31ULL << 20, kAt | 1 << 10}));
}

struct OldBoard : Commands {
  static constexpr hw::smmuv3::IdRegisters kIds{0x0d44'001b, 0x0273'0010, 0x1014, 0x54, 1};
  OldBoard() : Commands(kIds) {}  // 8-bit ASIDs, no ranges, no 16 KiB
};

// Covers: S2.15 H52
TEST_F(OldBoard, WhatTheBoardDoesNotHaveIsNotAskedFor) {
  EXPECT_EQ(forwarded(tlbi_asid(0x1234)), (Command{0x11 | 0x34ULL << 48, 0}));
  EXPECT_EQ(forwarded({0x12 | 5ULL << 12, 0x5000 | 1 << 10}), (Command{0x12, 0x5000}));
  EXPECT_EQ(forwarded({0x12 | 5ULL << 12, 0x5000 | 2 << 10}), (Command{0x12, 0x5000}));
}

struct NoSixteenK : Commands {
  static constexpr hw::smmuv3::IdRegisters kIds{0x0d44'101b, 0x0273'0010, 0x1414, 0x54, 1};
  NoSixteenK() : Commands(kIds) {}
};

// Covers: S2.15 H52
TEST_F(NoSixteenK, AGranuleThatDoesNotExistIsIllegal) {
  guest.issue({{0x12 | 5ULL << 12, 0x5000 | 2 << 10}});
  EXPECT_EQ(guest.command_error(), 1u);
  EXPECT_TRUE(guest.host.forwarded.empty());
}

// Covers: S2.8 S2.15 H51 H52 H53
TEST_F(Commands, StreamsAreTheBoardsAndStrangersAreNobodys) {
  const std::uint64_t ours = fake::physical(kDevice).value();
  EXPECT_EQ(forwarded({cfgi_cd(kDevice, 0xfffff)[0] | 0x300, ~0ULL}),
            (Command{0x05 | ours << 32, 1}));
  EXPECT_EQ(forwarded({cfgi_cd_all(kDevice)[0] | 0xffff'f000, ~0ULL}),
            (Command{0x06 | ours << 32, 0}));
  guest.host.forwarded.clear();
  for (const std::uint32_t stranger : {0U, 9U, static_cast<std::uint32_t>(ours), 0xffffU, ~0U}) {
    guest.issue({cfgi_cd(stranger), cfgi_cd_all(stranger), cfgi_ste(stranger)});
  }
  EXPECT_TRUE(guest.idle());
  EXPECT_EQ(guest.host.calls, 2u);  // the two above
}

struct Substreams : Commands {
  Substreams() : Commands(fake::kBoardWithSubstreams) {}
};

// Covers: S2.8 S2.15
TEST_F(Substreams, AreNamedWhereTheBoardHasThem) {
  const std::uint64_t ours = fake::physical(kDevice).value();
  EXPECT_EQ(forwarded(cfgi_cd(kDevice, 0x12345)),
            (Command{0x05 | 0x12345ULL << 12 | ours << 32, 1}));
}

// Covers: S2.15
TEST_F(Commands, TheQueueWraps) {
  for (unsigned i = 0; i < 5000; ++i) {
    guest.issue({tlbi_asid(i), tlbi_va(i, 0x1000), sync()});
    ASSERT_TRUE(guest.idle()) << i;
  }
  EXPECT_EQ(guest.host.forwarded.size(), 10'000u);
  EXPECT_EQ(guest.host.forwarded[9998], tlbi_asid(4999));
  EXPECT_EQ(guest.command_error(), 0u);
}

// Covers: S2.15
TEST_F(Commands, ABatchIsOneCallAndIsCompleteBeforeItsSync) {
  bool early = false;
  guest.host.on_call = [&] { early = early || guest.irqs.pulses[fake::kSyncIntid] != 0; };
  for (unsigned i = 0; i < 40; ++i) guest.queue(tlbi_va(1, i * 0x1000ULL));
  guest.issue({sync(1)});
  EXPECT_FALSE(early);
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 1u);
  EXPECT_EQ(guest.host.batches, 1u);
  EXPECT_EQ(guest.host.commands, 40u);
}

// Covers: S2.15 H51
TEST(CommandsBounded, AFullQueueOf2To19IsSlices) {
  constexpr unsigned kLog2 = 19;
  constexpr std::uint64_t kCount = 1ULL << kLog2;
  constexpr std::uint64_t kAt = fake::Ram::kBase + 16 * kMiB;
  Guest guest(fake::kBoard, 32 * kMiB);
  guest.host.remembers = false;
  guest.start();
  guest.set(fake::kCr0, 0);
  guest.run();
  guest.set(fake::kCmdqBase, kAt | kLog2, 8);
  guest.set(fake::kCr0, fake::kCmdqEn);
  guest.run();
  for (std::uint64_t i = 0; i < kCount; ++i) {
    guest.ram.put(kAt + i * 16, 0x12);
    guest.ram.put(kAt + i * 16 + 8, i << 12);
  }
  guest.host.calls = guest.host.commands = 0;
  guest.ram.reads = 0;
  const std::uint64_t slices_before = guest.smmu.counters().slices;
  guest.set(fake::kCmdqProd, kCount);  // full: the wrap bit alone differs
  std::uint64_t done = guest.host.commands;
  unsigned slices = 1;
  while (done < kCount) {
    ASSERT_TRUE(guest.smmu.has_work()) << done;
    const std::uint64_t calls = guest.host.calls;
    const std::uint64_t reads = guest.ram.reads;
    guest.smmu.run();
    ++slices;
    ASSERT_LE(guest.host.commands - done, VirtualSmmu::kUnitsPerSlice);
    ASSERT_GT(guest.host.commands, done);
    ASSERT_LE(guest.host.calls - calls, 2u);
    ASSERT_LE(guest.ram.reads - reads, VirtualSmmu::kUnitsPerSlice / 8 + 2);
    done = guest.host.commands;
  }
  EXPECT_EQ(done, kCount);
  EXPECT_LE(guest.host.largest, Stage1Host::kMaxBatch);
  EXPECT_LE(slices, kCount / 48);
  EXPECT_EQ(guest.smmu.counters().slices - slices_before, slices);
  EXPECT_EQ(guest.get(fake::kCmdqCons), kCount);
  guest.run();
  EXPECT_FALSE(guest.smmu.has_work());
}

// A CFGI_ALL or an address range is one command in one slice each, whatever it covers.
// Covers: S2.15 H51 H52
TEST_F(Commands, WhatCoversEverythingCostsWhatIsAttached) {
  guest.issue({cfgi_range(0, 31)});
  EXPECT_EQ(guest.host.configured.size(), 2u);
  guest.host.calls = 0;
  for (unsigned i = 0; i < 100; ++i) guest.queue(cfgi_range(0, 31));
  const std::uint64_t before = guest.smmu.counters().slices;
  guest.produce();
  while (guest.smmu.has_work()) {
    const std::uint64_t calls = guest.host.calls;
    guest.smmu.run();
    ASSERT_LE(guest.host.calls - calls,
              VirtualSmmu::kUnitsPerSlice / VirtualSmmu::kRefreshUnits + 1);
  }
  EXPECT_EQ(guest.host.calls, 200u);
  EXPECT_GE(guest.smmu.counters().slices - before, 50u);
}

// Covers: S2.15 H52
TEST_F(Commands, AnyProducerIndexIsBoundedWork) {
  // 0xf_ffff: far beyond the queue, 255 commands by the bits that count.
  guest.set(fake::kCmdqProd, 0xffff'ffff);
  EXPECT_EQ(guest.get(fake::kCmdqProd), 0xf'ffffu);
  EXPECT_LE(guest.run(), 600u);
  EXPECT_EQ(guest.command_error(), 1u);  // zeroes are no command
  for (unsigned i = 0; i < 256; ++i) guest.ram.put(fake::kQueue + i * 16, 0x46);
  guest.acknowledge_errors();
  EXPECT_LE(guest.run(), 600u);
  EXPECT_EQ(guest.get(fake::kCmdqCons) & 0x1ff, 0x1ffu);
  // Back by one: as if 511 were new.
  guest.set(fake::kCmdqProd, 0x1fe);
  EXPECT_LE(guest.run(), 600u);
  EXPECT_EQ(guest.get(fake::kCmdqCons) & 0x1ff, 0x1feu);
  EXPECT_FALSE(guest.smmu.has_work());
}

// Covers: S2.15 H51 H52
TEST(CommandsBounded, AQueueThatIsNotRamStopsAtOnce) {
  for (const std::uint64_t base : {0ULL, 0x0905'0000ULL, 0xff'ffff'fff0'0000ULL}) {
    Guest guest;
    guest.prepare();
    guest.set(fake::kCmdqBase, base | 8, 8);
    guest.set(fake::kIrqCtrl, 1);
    guest.set(fake::kCr0, fake::kCmdqEn);
    guest.run();
    guest.set(fake::kCmdqProd, 5);
    EXPECT_LE(guest.run(), 2u);
    EXPECT_EQ(guest.get(fake::kCmdqCons), 2u << 24);  // CERROR_ABT, at 0
    EXPECT_EQ(guest.errors(), fake::kCmdqErr);
    EXPECT_EQ(guest.irqs.pulses[fake::kErrorIntid], 1u);
    EXPECT_FALSE(guest.smmu.has_work());
    // Acknowledged, it is tried once more.
    guest.acknowledge_errors();
    EXPECT_LE(guest.run(), 2u);
    EXPECT_EQ(guest.errors(), fake::kCmdqErr);
    EXPECT_EQ(guest.irqs.pulses[fake::kErrorIntid], 2u);
  }
}

// What comes before the end of RAM is executed, whatever groups commands are copied in.
// Covers: S2.15 H51
TEST(CommandsBounded, TheRingRunsOutOfRam) {
  for (const std::uint32_t first : {0U, 1U, 7U}) {
    Guest guest(fake::kBoard, 0x10'1000);
    guest.prepare();
    const std::uint64_t base = fake::Ram::kBase + 0x10'0000;
    guest.set(fake::kCmdqBase, base | 9, 8);  // 8 KiB, of which 4 are RAM
    guest.set(fake::kCmdqCons, first);
    guest.set(fake::kCmdqProd, first);
    guest.set(fake::kCr0, fake::kCmdqEn);
    guest.run();
    for (unsigned i = 0; i < 256; ++i) guest.ram.put(base + i * 16ULL, 0x10);
    guest.set(fake::kCmdqProd, 300);
    guest.run();
    EXPECT_EQ(guest.host.commands, 256u - first);
    EXPECT_EQ(guest.get(fake::kCmdqCons), 256u | 2u << 24);
    EXPECT_EQ(guest.smmu.counters().commands, 256u - first);
  }
}

// Covers: S2.15 H51
TEST_F(Commands, AnErrorHoldsTheQueueUntilItIsAcknowledged) {
  guest.issue({tlbi_asid(1), {0xff, 0}, tlbi_asid(2)});
  EXPECT_EQ(guest.host.forwarded.size(), 1u);  // what comes before it is done
  EXPECT_EQ(guest.get(fake::kCmdqCons), 1u | 1u << 24);
  guest.issue({tlbi_asid(3)});
  EXPECT_EQ(guest.host.forwarded.size(), 1u);
  EXPECT_FALSE(guest.smmu.has_work());
  guest.set(fake::kGerrorN, 0);  // no change: not an acknowledgement
  guest.run();
  EXPECT_EQ(guest.host.forwarded.size(), 1u);
  // Not mended: the same again.
  guest.acknowledge_errors();
  guest.run();
  EXPECT_EQ(guest.errors(), fake::kCmdqErr);
  EXPECT_EQ(guest.get(fake::kCmdqCons), 1u | 1u << 24);
  guest.ram.put(fake::kQueue + 16, 0x46);
  guest.acknowledge_errors();
  guest.run();
  EXPECT_TRUE(guest.idle());
  ASSERT_EQ(guest.host.forwarded.size(), 3u);
  EXPECT_EQ(guest.host.forwarded[1], tlbi_asid(2));
  EXPECT_EQ(guest.host.forwarded[2], tlbi_asid(3));
}

// Covers: S2.15 H52
TEST_F(Commands, SwitchedOffTheQueueStands) {
  guest.set(fake::kCr0, fake::kSmmuEn);
  guest.run();
  guest.issue({tlbi_asid(1)});
  EXPECT_EQ(guest.host.calls, 0u);
  EXPECT_FALSE(guest.smmu.has_work());
  EXPECT_EQ(guest.get(fake::kCmdqCons), 0u);
  guest.set(fake::kCr0, fake::kSmmuEn | fake::kCmdqEn);
  guest.run();
  EXPECT_EQ(guest.host.forwarded.size(), 1u);
}

// ---- CMD_SYNC ----

// Covers: S2.15 S2.23
TEST_F(Commands, ASyncCompletesInTheWayItAsksFor) {
  guest.issue({sync(0)});
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 0u);
  guest.issue({sync(1)});  // address 0: the wire
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 1u);
  guest.issue({sync(2, fake::kMessages, 7)});
  EXPECT_EQ(guest.irqs.events, 1u);
  EXPECT_EQ(guest.ram.get(fake::kMessages, 4), 0u);
  guest.issue({sync(1, fake::kMessages, 0xdead'beef)});
  EXPECT_EQ(guest.ram.get(fake::kMessages), 0xdead'beefu);  // four bytes and no more
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 1u);
  EXPECT_TRUE(guest.idle());
  EXPECT_EQ(guest.errors(), 0u);
  EXPECT_EQ(guest.irqs.pulses.count(fake::kErrorIntid), 0u);
}

// Covers: S2.15 H52
TEST_F(Commands, AMessageToWhatIsNotRamIsAGlobalError) {
  for (const std::uint64_t at :
       {0x0905'0000ULL, 0x0809'0040ULL, 0x8000'0000ULL, 0xf'ffff'ffff'fffcULL, 0x4010'0000ULL}) {
    guest.issue({sync(1, at, 1)});
    EXPECT_TRUE(guest.idle());  // completed all the same
    EXPECT_EQ(guest.errors(), fake::kMsiCmdqAbt) << std::hex << at;
    guest.acknowledge_errors();
    EXPECT_EQ(guest.errors(), 0u);
  }
  EXPECT_EQ(guest.irqs.pulses[fake::kErrorIntid], 5u);
  // The address's low two bits and those above 52 do not count.
  guest.issue({sync(1, fake::kMessages | 3 | 0xfffULL << 52, 9)});
  EXPECT_EQ(guest.ram.get(fake::kMessages, 4), 9u);
  EXPECT_EQ(guest.errors(), 0u);
}

// ---- the host's answers ----

// Covers: S2.15 H51
TEST_F(Commands, ABusyHostLosesNothingAndKeepsTheOrder) {
  for (unsigned busy = 0; busy < 20; ++busy) {
    guest.host.forwarded.clear();
    guest.irqs.pulses.clear();
    guest.host.busy = busy;
    for (unsigned i = 0; i < 30; ++i) {
      guest.queue(tlbi_va(busy, i * 0x1000ULL));
      if (i % 10 == 9) guest.queue(sync(1));
    }
    guest.produce();
    if (busy > 1) {
      EXPECT_TRUE(guest.smmu.has_work());
      EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 0u);
    }
    guest.run();
    ASSERT_TRUE(guest.idle());
    ASSERT_EQ(guest.host.forwarded.size(), 30u);
    for (unsigned i = 0; i < 30; ++i) {
      EXPECT_EQ(guest.host.forwarded[i], tlbi_va(busy, i * 0x1000ULL));
    }
    EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 3u);
  }
}

// A slice that finds the host busy ends: nobody waits here.
// Covers: S2.15 H51
TEST_F(Commands, ABusyHostIsAskedAFewTimesInASliceAndNoMore) {
  guest.host.busy = 1'000'000;
  guest.issue({});
  for (unsigned i = 0; i < 60; ++i) guest.queue(tlbi_asid(i));
  guest.queue(sync());
  guest.produce();
  for (unsigned i = 0; i < 100; ++i) {
    const std::uint64_t calls = guest.host.calls;
    guest.smmu.run();
    EXPECT_LE(guest.host.calls - calls, 1u);
  }
  EXPECT_EQ(guest.get(fake::kCmdqCons), 0u);
  guest.host.busy = 0;
  guest.run();
  EXPECT_TRUE(guest.idle());
}

// Covers: S2.15 H33
TEST_F(Commands, AHostThatRefusesIsAnAbortedCommand) {
  guest.host.broken_with = fail(Code::kTimeout);
  guest.issue({tlbi_asid(1), sync(1)});
  EXPECT_EQ(guest.command_error(), 2u);
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 0u) << "completed without having been done";
  EXPECT_FALSE(guest.smmu.has_work());
  guest.host.broken_with = {};
  guest.acknowledge_errors();
  guest.run();
  EXPECT_TRUE(guest.idle());
  EXPECT_EQ(guest.host.forwarded.size(), 1u);
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 1u);
}

// The host has cut a stream off on its own. Its answer to one batch says so; the queue goes on.
// Covers: H56 S2.15
TEST_F(Commands, AStreamThatTheHostHasCutOff_IsLeftOutOfLaterBatches) {
  guest.host.cut_off = fake::physical(kDevice);
  guest.issue({tlbi_asid(1), cfgi_cd(kDevice), tlbi_asid(2), cfgi_cd(kOther), sync(1)});
  EXPECT_TRUE(guest.idle());
  EXPECT_EQ(guest.errors(), 0u);
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 1u);
  ASSERT_EQ(guest.host.forwarded.size(), 3u);
  EXPECT_EQ(guest.host.forwarded[0], tlbi_asid(1));
  EXPECT_EQ(guest.host.forwarded[1], tlbi_asid(2));
  EXPECT_EQ(guest.host.forwarded[2][0] >> 32, fake::physical(kOther).value());
  const std::uint64_t calls = guest.host.calls;
  guest.issue({cfgi_cd_all(kDevice), cfgi_ste(kDevice), sync()});
  EXPECT_EQ(guest.host.calls, calls) << "nothing of it is worth a call";
}

// Covers: H56
TEST_F(Commands, AStreamThatIsFoundToBeCutOffByItsEntry_IsLeftOutFromThenOn) {
  guest.host.cut_off = fake::physical(kDevice);
  guest.issue({cfgi_ste(kDevice), sync()});
  const std::uint64_t calls = guest.host.calls;
  guest.issue({cfgi_ste(kDevice), cfgi_cd_all(kDevice), sync()});
  EXPECT_EQ(guest.host.calls, calls) << "nothing of it is worth a call";
  EXPECT_EQ(guest.errors(), 0u);
}

// Covers: H56
TEST_F(Commands, AStreamOfNobodyThatTheHostNames_IsAnAbortedCommand) {
  guest.host.broken_with = fail(Code::kNotOwner, 0x999);
  guest.issue({tlbi_asid(1), sync()});
  EXPECT_EQ(guest.command_error(), 2u);
}

// ---- others at it ----

// Covers: S2.15 H51 H52
TEST_F(Commands, ARingThatChangesMeanwhileIsReadOnce) {
  guest.ram.changes_after_read = true;
  for (unsigned i = 0; i < 64; ++i) guest.queue({0x10, 0});
  guest.ram.reads = 0;
  guest.produce();
  guest.run();
  EXPECT_EQ(guest.ram.reads, 4u);
  EXPECT_TRUE(guest.idle());
  for (const Command& command : guest.host.forwarded) EXPECT_EQ(command, (Command{0x10, 0}));
}

// Covers: S2.15 H51
TEST_F(Commands, ACpuThatFindsTheEngineTakenLeavesTheWorkAnnounced) {
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  guest.host.on_call = [&] {
    inside = true;
    while (!leave) std::this_thread::yield();
  };
  guest.queue(tlbi_asid(1));
  const std::uint32_t first = guest.prod;
  guest.queue(tlbi_asid(2));
  guest.queue(sync(1));
  std::thread other([&] { guest.set(fake::kCmdqProd, first); });
  while (!inside) std::this_thread::yield();
  // The other CPU is in the middle of a slice; this one must come back at once.
  guest.produce();
  guest.smmu.run();
  EXPECT_TRUE(guest.smmu.has_work());
  EXPECT_EQ(guest.get(fake::kCmdqCons), 0u);  // looking does not wait either
  leave = true;
  other.join();
  guest.run();
  EXPECT_TRUE(guest.idle());
  EXPECT_EQ(guest.host.forwarded.size(), 2u);
  EXPECT_EQ(guest.irqs.pulses[fake::kSyncIntid], 1u);
}

// Covers: S2.15 H51
TEST_F(Commands, FourCpusAtOneQueueExecuteEachCommandOnce) {
  constexpr unsigned kCount = 250;
  for (unsigned i = 0; i < kCount; ++i) guest.queue(tlbi_asid(i));
  guest.produce();
  std::vector<std::thread> cpus;
  for (unsigned cpu = 0; cpu < 4; ++cpu) {
    cpus.emplace_back([&] {
      for (unsigned i = 0; i < 2000 && guest.smmu.has_work(); ++i) {
        guest.smmu.run();
        guest.set(fake::kCmdqProd, guest.prod);
      }
    });
  }
  for (std::thread& cpu : cpus) cpu.join();
  guest.run();
  EXPECT_TRUE(guest.idle());
  ASSERT_EQ(guest.host.forwarded.size(), kCount);
  for (unsigned i = 0; i < kCount; ++i) EXPECT_EQ(guest.host.forwarded[i], tlbi_asid(i));
}

}  // namespace
}  // namespace penstock::viommu
