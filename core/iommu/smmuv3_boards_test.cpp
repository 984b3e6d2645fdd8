// The same driver on SMMUs that differ from QEMU's: memory that is not snooped, no range
// invalidation, linear stream tables, 8-bit VMIDs, one that firmware left running; and the hardware
// errors that end in silence elsewhere.
#include <gtest/gtest.h>

#include <array>
#include <string>
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
constexpr std::uint64_t kRamBytes = 512 * kKiB;
constexpr StreamId kNvme{0x18};
constexpr StreamId kNic{0x28};

struct Lines final : port::Log {
  void line(port::Severity, std::string_view text) override { all += std::string(text) + "\n"; }
  std::string all;
};

sim::SmmuConfig qemu() {
  return {};
}
sim::SmmuConfig without_ranges() {
  sim::SmmuConfig config;
  config.idr3 &= ~(1u << 10);
  return config;
}
sim::SmmuConfig linear() {
  sim::SmmuConfig config;
  config.idr0 &= ~(3u << 27);
  return config;
}
sim::SmmuConfig few_streams() {
  sim::SmmuConfig config;
  config.idr1 = (config.idr1 & ~0x3fu) | 6;
  return config;
}
sim::SmmuConfig small_vmids() {
  sim::SmmuConfig config;
  config.idr0 &= ~(1u << 18);
  return config;
}
sim::SmmuConfig not_coherent() {
  sim::SmmuConfig config;
  config.idr0 &= ~(1u << 4);
  return config;
}
sim::SmmuConfig short_queues() {
  sim::SmmuConfig config;
  config.idr1 = (config.idr1 & ~(0x3ffu << 16)) | 7u << 21 | 3u << 16;
  return config;
}

/// Two tables of 512 KiB each, in pages, at the same guest address.
struct Machine {
  explicit Machine(sim::SmmuConfig config)
      : memory(kBase, 4 * kMiB,
               (config.idr0 & (1u << 4)) != 0 ? sim::Memory::Coherency::kCoherent
                                              : sim::Memory::Coherency::kNonCoherent),
        hw(memory, memory, config) {
    EXPECT_TRUE(pool.init(memory, kBase, kPoolBytes));
    EXPECT_TRUE(pool.take(kPageSize));  // so that nothing is aligned by chance
  }
  void start() {
    ASSERT_TRUE(smmu.init(hw, memory, clock, pool, log));
    for (unsigned i = 0; i < 2; ++i) {
      ASSERT_TRUE(tables[i].init(pool, memory, tlbs[i]));
      ASSERT_TRUE(
          tables[i].map(kGuest, kRam + i * kRamBytes, kRamBytes, mem::Stage2Attributes::dma_ram()));
    }
  }
  DmaContext context(unsigned i) const {
    return {Vmid(static_cast<std::uint16_t>(i + 1)), tables[i].root()};
  }
  sim::Smmu::Outcome access(StreamId stream, Gpa at) {
    return hw.translate(stream.value(), at.value(), true);
  }
  std::string misuses() const {
    std::string all;
    for (const std::string& one : hw.misuses()) all += one + "\n";
    return all;
  }

  sim::Memory memory;
  sim::Clock clock;
  sim::Smmu hw;
  mem::PagePool pool;
  Lines log;
  Smmu smmu;
  std::array<SmmuTlb, 2> tlbs{SmmuTlb{smmu, Vmid(1)}, SmmuTlb{smmu, Vmid(2)}};
  std::array<mem::Stage2Table, 2> tables;
};

struct Named {
  const char* name;
  sim::SmmuConfig (*config)();
};

struct EveryBoard : testing::TestWithParam<Named>, Machine {
  EveryBoard() : Machine(GetParam().config()) {}
};

// Covers: S2.1 S1.9 H8 H27 H28 H34 H37
TEST_P(EveryBoard, ADevicesWholeLife) {
  start();
  // Tried before anybody owns it: the SMMU has cached that there is no entry.
  EXPECT_FALSE(access(kNvme, kGuest).ok);
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(smmu.attach(kNic, context(1)));
  for (std::uint64_t at = 0; at < kRamBytes; at += kPageSize) {
    ASSERT_EQ(access(kNvme, kGuest + at).pa, (kRam + at).value());
    ASSERT_EQ(access(kNic, kGuest + at).pa, (kRam + kRamBytes + at).value());
  }
  // Sizes below and above what one batch holds; everything was in the TLB.
  ASSERT_TRUE(tables[0].unmap(kGuest, kPageSize));
  ASSERT_TRUE(tables[0].unmap(kGuest + 3 * kPageSize, 37 * kPageSize));
  ASSERT_TRUE(tables[0].unmap(kGuest + 40 * kPageSize, 70 * kPageSize));
  for (std::uint64_t page = 0; page < kRamBytes / kPageSize; ++page) {
    const bool gone = page == 0 || (page >= 3 && page < 110);
    EXPECT_EQ(access(kNvme, kGuest + page * kPageSize).ok, !gone) << page;
    EXPECT_TRUE(access(kNic, kGuest + page * kPageSize).ok) << page;
  }
  ASSERT_TRUE(smmu.detach(kNvme));
  EXPECT_FALSE(access(kNvme, kGuest + kPageSize).ok);
  EXPECT_TRUE(access(kNic, kGuest).ok);
  ASSERT_TRUE(smmu.attach(kNvme, context(1)));
  EXPECT_EQ(access(kNvme, kGuest).pa, (kRam + kRamBytes).value());
  ASSERT_TRUE(smmu.block(kNvme));
  ASSERT_TRUE(smmu.block(kNvme));
  EXPECT_FALSE(access(kNvme, kGuest).ok);
  EXPECT_EQ(misuses(), "");
  EXPECT_EQ(pool.bad_returns(), 0u);
}

TEST_P(EveryBoard, QueuesWrapManyTimes) {
  start();
  for (int round = 0; round < 150; ++round) {
    ASSERT_TRUE(smmu.attach(kNvme, context(0)));
    ASSERT_FALSE(access(kNvme, kGuest - kPageSize).ok);
    std::array<Fault, 4> faults;
    ASSERT_EQ(smmu.take_events(faults), 1u);
    ASSERT_EQ(faults[0].kind, FaultKind::kTranslation);
    ASSERT_EQ(faults[0].ipa, kGuest - kPageSize);
    ASSERT_TRUE(smmu.detach(kNvme));
  }
  EXPECT_EQ(smmu.event_overflows(), 0u);
  EXPECT_EQ(misuses(), "");
}

// IHI 0070, 5.2: S2IR0, S2OR0 and S2SH0, bits 45:40 of the entry's third word.
TEST_P(EveryBoard, TablesAreWalkedAsCoherentlyAsTheSmmuCan) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  const auto load = [&](std::uint64_t at) {
    return *reinterpret_cast<const std::uint64_t*>(memory.map(Hpa(at), 8));
  };
  std::uint64_t table = hw.read64(0x80) & 0x000f'ffff'ffff'ffc0;
  std::uint64_t index = kNvme.value();
  const std::uint32_t shape = hw.read32(0x88);
  if ((shape >> 16 & 3) == 1) {  // two levels
    const unsigned split = shape >> 6 & 0x1f;
    table = load(table + (index >> split) * 8) & 0x000f'ffff'ffff'ffc0;
    index &= (1u << split) - 1;
  }
  const bool coherent = (GetParam().config().idr0 & (1u << 4)) != 0;
  const std::uint64_t walk = load(table + index * 64 + 16) >> 40 & 0x3f;
  EXPECT_EQ(walk, coherent ? 0b11'01'01u : 0b10'00'00u) << "write-back inner, or not cached outer";
}

INSTANTIATE_TEST_SUITE_P(Smmu, EveryBoard,
                         testing::Values(Named{"qemu", qemu},
                                         Named{"WithoutRanges", without_ranges},
                                         Named{"Linear", linear}, Named{"FewStreams", few_streams},
                                         Named{"SmallVmids", small_vmids},
                                         Named{"NotCoherent", not_coherent},
                                         Named{"ShortQueues", short_queues}),
                         [](const auto& test) { return std::string(test.param.name); });

struct Qemu : testing::Test, Machine {
  Qemu() : Machine(qemu()) {}
};

TEST_F(Qemu, FirmwareThatLeftItRunningGetsNoWindow) {
  // A running SMMU whose one entry bypasses: linear table of 64 streams in the last pages of RAM.
  const Hpa table = kBase + 3 * kMiB;
  std::byte* entry = memory.map(table + kNvme.value() * 64, 8);
  entry[0] = std::byte{0x09};  // V = 1, Config = bypass
  hw.write64(0x80, table.value());
  hw.write32(0x88, 6);
  hw.write32(0x20, 1);
  while (hw.read32(0x24) != 1) {
  }
  ASSERT_TRUE(access(kNvme, Gpa(kRam.value())).ok);
  // From the moment that SMMUEN goes, every look at the clock or at a register is a moment in which
  // DMA is tried.
  bool gone = false;
  memory.on_observable([&](Hpa, std::uint64_t) {
    gone = true;
    EXPECT_FALSE(access(kNvme, Gpa(kRam.value())).ok);
  });
  hw.before_sync([&] { EXPECT_FALSE(access(kNvme, Gpa(kRam.value())).ok); });
  start();
  EXPECT_TRUE(gone);
  EXPECT_FALSE(access(kNvme, Gpa(kRam.value())).ok);
  EXPECT_EQ(misuses(), "");
}

TEST_F(Qemu, AnSmmuThatNeverAcknowledgesIsATimeoutNotAHang) {
  hw.stop_acknowledging(true);
  EXPECT_EQ(smmu.init(hw, memory, clock, pool, log).error().code, Code::kTimeout);
  EXPECT_EQ(smmu.attach(kNvme, {Vmid(1), kBase}).error().code, Code::kBadState);
}

// Covers: H36
TEST_F(Qemu, OneVmidIsNeverTheTagOfTwoTables) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  EXPECT_EQ(smmu.attach(kNic, {Vmid(1), tables[1].root()}).error(), fail(Code::kNotOwner, 1));
  // Freed, the VMID may come back for another table, and nothing of the first is served from a
  // cache.
  ASSERT_EQ(access(kNvme, kGuest).pa, kRam.value());
  ASSERT_TRUE(smmu.detach(kNvme));
  ASSERT_TRUE(smmu.attach(kNic, {Vmid(1), tables[1].root()}));
  EXPECT_EQ(access(kNic, kGuest).pa, (kRam + kRamBytes).value());
}

// Covers: H9 H36
TEST_F(Qemu, AVmidWhoseInvalidationFailedIsCleanWhenItIsUsedAgain) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(access(kNvme, kGuest).ok);
  hw.reject_next(0x28);  // TLBI_S12_VMALL
  EXPECT_EQ(smmu.detach(kNvme).error().code, Code::kHardwareError);
  EXPECT_FALSE(access(kNvme, kGuest).ok);
  ASSERT_GT(hw.cached_translations(), 0u);
  ASSERT_TRUE(smmu.attach(kNic, {Vmid(1), tables[1].root()}));
  EXPECT_EQ(access(kNic, kGuest).pa, (kRam + kRamBytes).value());
}

// Covers: H37
TEST_F(Qemu, TheLastStreamOfAVmidTakesItsTranslationsWithIt) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(smmu.attach(kNic, context(0)));
  ASSERT_TRUE(access(kNic, kGuest).ok);
  ASSERT_TRUE(smmu.detach(kNvme));
  EXPECT_TRUE(access(kNic, kGuest).ok);
  ASSERT_TRUE(smmu.detach(kNic));
  EXPECT_EQ(hw.cached_translations(), 0u);
}

// Covers: H30
TEST_F(Qemu, DetachShutsTheDoorBeforeItForgetsWhatWasBehind) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(access(kNvme, kGuest).ok);
  std::vector<bool> passed;
  hw.before_sync([&] { passed.push_back(access(kNvme, kGuest).ok); });
  ASSERT_TRUE(smmu.detach(kNvme));
  hw.before_sync({});
  // DMA in flight may still pass before the first sync, and not before the second, which drops the
  // translations.
  ASSERT_EQ(passed.size(), 2u);
  EXPECT_FALSE(passed[1]);
  EXPECT_EQ(hw.cached_translations(), 0u);
}

TEST_F(Qemu, AFetchThatFailsIsTriedAgainAndTold) {
  start();
  hw.abort_fetches(1);
  EXPECT_EQ(smmu.attach(kNvme, context(0)).error().code, Code::kHardwareError);
  EXPECT_FALSE(access(kNvme, kGuest).ok);
  EXPECT_NE(log.all.find("command rejected"), std::string::npos);
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  EXPECT_TRUE(access(kNvme, kGuest).ok);
  EXPECT_EQ(misuses(), "");
}

// Covers: H31 H33
TEST_F(Qemu, AQueueThatFailsForeverIsGivenUp) {
  start();
  hw.abort_fetches(1'000'000);
  EXPECT_FALSE(smmu.attach(kNvme, context(0)));
  EXPECT_FALSE(access(kNvme, kGuest).ok);
}

TEST_F(Qemu, StreamsAreLimitedAndTheLimitIsAnAnswer) {
  start();
  for (std::uint32_t id = 0; id < Smmu::kMaxStreams; ++id) ASSERT_TRUE(smmu.block(StreamId(id)));
  EXPECT_EQ(smmu.attach(StreamId(0x500), context(0)).error().code, Code::kTableFull);
  EXPECT_TRUE(smmu.attach(StreamId(7), context(0)));
  EXPECT_TRUE(access(StreamId(7), kGuest).ok);
}

TEST_F(Qemu, InvalidationOfAnyRangeHasAnAnswer) {
  start();
  EXPECT_TRUE(smmu.invalidate(Vmid(1), Gpa(0), mem::kIpaLimit));
  EXPECT_TRUE(smmu.invalidate(Vmid(1), Gpa(0), 0));
  EXPECT_TRUE(smmu.invalidate(Vmid(1), Gpa(1), 1));
  EXPECT_EQ(smmu.invalidate(Vmid(0), Gpa(0), kPageSize).error().code, Code::kOutOfRange);
  EXPECT_EQ(smmu.invalidate(Vmid(1), Gpa(mem::kIpaLimit), kPageSize).error().code,
            Code::kOutOfRange);
  EXPECT_EQ(smmu.invalidate(Vmid(1), Gpa(~0ULL), 2).error().code, Code::kOutOfRange);
  for (std::uint64_t pages : {1ULL, 2ULL, 31ULL, 32ULL, 33ULL, 63ULL, 511ULL, 512ULL, 262'143ULL}) {
    EXPECT_TRUE(smmu.invalidate(Vmid(1), kGuest, pages * kPageSize)) << pages;
  }
  EXPECT_EQ(misuses(), "");
}

}  // namespace
}  // namespace penstock::iommu
