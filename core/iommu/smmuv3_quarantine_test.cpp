// Streams in quarantine with a scratch page.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "core/iommu/smmuv3.hpp"
#include "core/mem/stage2_table.hpp"
#include "sim/clock.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::iommu {
namespace {

constexpr Hpa kBase{0x8000'0000};
constexpr std::uint64_t kPoolBytes = 2 * kMiB;
constexpr Hpa kRam{kBase + kPoolBytes};
constexpr Gpa kGuest{0x4000'0000};
constexpr StreamId kNvme{0x100};
constexpr StreamId kNic{0x200};
constexpr std::uint64_t kSomewhere = 0x12'3456'7000;

struct NoLog final : port::Log {
  void line(port::Severity, std::string_view) override {}
};

struct Seen final : StreamVisitor {
  void stream(const StreamView& view) override { all.push_back(view); }
  std::vector<StreamView> all;
};

struct Quarantine : testing::Test {
  explicit Quarantine(sim::SmmuConfig config = {}) : hw(memory, memory, config) {}
  void SetUp() override {
    ASSERT_TRUE(pool.init(memory, kBase, kPoolBytes));
    ASSERT_TRUE(smmu.init(hw, memory, clock, pool, log));
    ASSERT_TRUE(table.init(pool, memory, tlb));
    ASSERT_TRUE(table.map(kGuest, kRam, 64 * kKiB, mem::Stage2Attributes::dma_ram()));
    // Level-2 tables of the stream table stay: they are not what these tests count.
    ASSERT_TRUE(smmu.block(kNvme));
    ASSERT_TRUE(smmu.block(kNic));
    before = pool.used_bytes();
  }
  bool write(StreamId stream, std::uint64_t at, std::uint8_t value) {
    return hw.write(stream.value(), at, std::span<const std::uint8_t>(&value, 1));
  }
  int read(StreamId stream, std::uint64_t at) {
    std::uint8_t value = 0xee;
    return hw.read(stream.value(), at, std::span(&value, 1)) ? value : -1;
  }
  std::vector<StreamView> streams() {
    Seen seen;
    smmu.audit(seen);
    return seen.all;
  }
  DmaContext context() const { return {Vmid(1), table.root()}; }

  sim::Memory memory{kBase, 4 * kMiB};
  sim::Clock clock;
  sim::Smmu hw;
  mem::PagePool pool;
  NoLog log;
  Smmu smmu;
  SmmuTlb tlb{smmu, Vmid(1)};
  mem::Stage2Table table;
  std::uint64_t before = 0;
};

struct NarrowQuarantine : Quarantine {
  NarrowQuarantine() : Quarantine(narrow()) {}
  static sim::SmmuConfig narrow() {
    sim::SmmuConfig config;
    config.idr0 &= ~(1u << 18 | 1u << 4);  // 8-bit VMIDs, memory that is not snooped
    return config;
  }
};

// Covers: H27 S3.22
TEST_F(Quarantine, EveryAddressIsOnePageOfItsOwn) {
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  EXPECT_EQ(read(kNvme, 0), 0);
  EXPECT_TRUE(write(kNvme, kSomewhere + 5, 0xaa));
  for (const std::uint64_t at : {std::uint64_t{0}, kGuest.value(), kRam.value(), kBase.value(),
                                 mem::kIpaLimit - kPageSize}) {
    EXPECT_EQ(read(kNvme, at + 5), 0xaa) << at;
  }
  EXPECT_EQ(read(kNvme, mem::kIpaLimit + 5), -1);
  EXPECT_FALSE(smmu.owner(kNvme).has_value());
  std::array<Fault, 4> faults;
  EXPECT_EQ(smmu.take_events(faults), 1U);  // the one beyond 40 bits
}

// Covers: H27 H37
TEST_F(Quarantine, NoDeviceReadsWhatAnotherWrote) {
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  ASSERT_TRUE(smmu.quarantine(kNic, QuarantineKind::kScratch));
  EXPECT_TRUE(write(kNvme, kSomewhere, 0xaa));
  EXPECT_EQ(read(kNic, kSomewhere), 0);
  const auto seen = streams();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_NE(seen[0].vmid, seen[1].vmid);
  EXPECT_NE(seen[0].root, seen[1].root);
}

// Covers: H27 H34
TEST_F(Quarantine, OwnerAndQuarantineSeeNothingOfEachOther) {
  ASSERT_TRUE(smmu.attach(kNvme, context()));
  EXPECT_TRUE(write(kNvme, kGuest.value(), 0x11));
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  EXPECT_EQ(read(kNvme, kGuest.value()), 0);
  EXPECT_TRUE(write(kNvme, kGuest.value(), 0x22));
  EXPECT_EQ(static_cast<int>(*memory.map(kRam, 1)), 0x11);
  ASSERT_TRUE(smmu.attach(kNvme, context()));
  EXPECT_EQ(read(kNvme, kGuest.value()), 0x11);
  EXPECT_EQ(read(kNvme, kSomewhere), -1);
  EXPECT_EQ(pool.used_bytes(), before);
}

// Covers: H27
TEST_F(Quarantine, TheNextQuarantineBeginsWithZeroes) {
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  EXPECT_TRUE(write(kNvme, 0x3000, 0xaa));
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  EXPECT_EQ(read(kNvme, 0x3000), 0);
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kAbort));
  EXPECT_EQ(read(kNvme, 0x3000), -1);
  EXPECT_EQ(pool.used_bytes(), before);
  EXPECT_EQ(pool.bad_returns(), 0U);
}

// Covers: H34 H37
TEST_F(Quarantine, TheAuditTellsScratchFromOwned) {
  ASSERT_TRUE(smmu.attach(kNic, context()));
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  auto seen = streams();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen[0].scratch);
  EXPECT_TRUE(seen[0].exact);
  EXPECT_FALSE(seen[1].scratch);

  // One entry of its table that leads elsewhere, and it is not one any more.
  const Hpa level3 = seen[0].root + 3 * kPageSize;
  *reinterpret_cast<std::uint64_t*>(memory.map(level3 + 8 * 77, 8)) ^= kPageSize;
  seen = streams();
  EXPECT_FALSE(seen[0].scratch);
}

// Covers: H21
TEST_F(Quarantine, WhatIsNotThereLeavesItBlocked) {
  for (std::uint32_t i = 0; i < Smmu::kMaxScratch; ++i) {
    ASSERT_TRUE(smmu.quarantine(StreamId(0x100 + i), QuarantineKind::kScratch));
  }
  EXPECT_EQ(smmu.quarantine(kNic, QuarantineKind::kScratch).error(),
            fail(Code::kTableFull, Smmu::kMaxScratch));
  EXPECT_EQ(read(kNic, 0), -1);
  ASSERT_TRUE(smmu.block(kNvme));
  const std::uint64_t taken = pool.used_bytes();
  while (pool.take(kPageSize)) {
  }
  EXPECT_EQ(smmu.quarantine(kNvme, QuarantineKind::kScratch).error().code, Code::kNoMemory);
  EXPECT_EQ(read(kNvme, 0), -1);
  EXPECT_GT(pool.used_bytes(), taken);
  EXPECT_EQ(streams().size(), Smmu::kMaxScratch - 1);
}

// Covers: H27
TEST_F(Quarantine, AScratchStreamBelongsToNobody) {
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  EXPECT_EQ(smmu.detach(kNvme).error().code, Code::kNotFound);
  EXPECT_FALSE(smmu.stage1(kNvme).has_value());
  EXPECT_EQ(smmu.configure(kNvme, {}).error().code, Code::kNotFound);
  const DmaContext taken{streams()[0].vmid, table.root()};
  EXPECT_EQ(smmu.attach(kNic, taken).error().code, Code::kOutOfRange);
  ASSERT_TRUE(smmu.stop());
  EXPECT_EQ(read(kNvme, 0), -1);
  EXPECT_EQ(smmu.quarantine(kNvme, QuarantineKind::kScratch).error().code, Code::kBadState);
}

constexpr std::uint8_t kCfgiSte = 0x03;
constexpr std::uint8_t kTlbiS12Vmall = 0x28;

// Covers: H21 H27
TEST_F(Quarantine, AScratchPageThatDidNotBeginAborts) {
  for (const std::uint8_t opcode : {kCfgiSte, kTlbiS12Vmall}) {
    hw.reject_next(opcode);
    EXPECT_EQ(smmu.quarantine(kNvme, QuarantineKind::kScratch).error().code, Code::kHardwareError);
    EXPECT_EQ(read(kNvme, 0), -1);
    EXPECT_TRUE(streams().empty());
  }
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  EXPECT_EQ(read(kNvme, 0), 0);
  ASSERT_TRUE(smmu.block(kNvme));
  EXPECT_EQ(pool.used_bytes(), before);
}

// Covers: H27 H34 H37
TEST_F(Quarantine, ItsTablesAreFreedOnlyWhenTheSmmuHasForgottenThem) {
  for (const std::uint8_t opcode : {kCfgiSte, kTlbiS12Vmall}) {
    ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
    const std::uint64_t used = pool.used_bytes();
    ASSERT_EQ(read(kNvme, 0), 0);
    hw.reject_next(opcode);
    EXPECT_EQ(smmu.attach(kNvme, context()).error().code, Code::kHardwareError);
    EXPECT_EQ(pool.used_bytes(), used);
    ASSERT_TRUE(smmu.attach(kNvme, context()));
    EXPECT_EQ(pool.used_bytes(), before);
    ASSERT_TRUE(smmu.detach(kNvme));
  }
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  ASSERT_EQ(read(kNvme, 0), 0);
  std::vector<bool> freed;
  hw.before_sync([&] { freed.push_back(pool.used_bytes() == before); });
  ASSERT_TRUE(smmu.block(kNvme));
  hw.before_sync({});
  EXPECT_EQ(freed, (std::vector<bool>{false, false}));
  EXPECT_EQ(pool.used_bytes(), before);
}

// Covers: H37
TEST_F(NarrowQuarantine, WithEightBitsAndMemoryThatIsNotSnooped) {
  ASSERT_TRUE(smmu.quarantine(kNvme, QuarantineKind::kScratch));
  EXPECT_TRUE(write(kNvme, kSomewhere, 0x55));
  EXPECT_EQ(read(kNvme, 0), 0x55);
  EXPECT_LE(streams()[0].vmid.value(), 0xff);
  EXPECT_GT(streams()[0].vmid.value(), 0xff - Smmu::kMaxScratch);
}

}  // namespace
}  // namespace penstock::iommu
