// MSI and MSI-X: the guest reads back what it wrote, the hardware never has it.
#include <gtest/gtest.h>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

using Kind = Effect::Kind;
using test::kMsiCap;
using test::kMsixCap;
using test::kPbaOffset;
using test::kTableOffset;
using test::RichFunction;

class Interrupts : public ::testing::Test {
 protected:
  void SetUp() override { init(); }
  void init() { ASSERT_TRUE(f.init(rich.facts, rich.options)); }
  Effects write(unsigned offset, unsigned size, std::uint64_t value) {
    return f.config_write(offset, size, value);
  }
  std::uint64_t entry_read(unsigned k, unsigned field, unsigned size) {
    return f.bar_read(0, kTableOffset + 16 * k + field, size, bar);
  }
  Effects entry_write(unsigned k, unsigned field, unsigned size, std::uint64_t value) {
    return f.bar_write(0, kTableOffset + 16 * k + field, size, value, bar);
  }

  RichFunction rich;
  VirtualFunction f;
  test::FakeBar bar;
};

// Covers: S0.13 S0.15
TEST_F(Interrupts, MsiIsReadBackAsWritten) {
  EXPECT_EQ(f.config_read(kMsiCap + 2, 2), 0x0186u);  // 8 capable, 64-bit, masks
  EXPECT_TRUE(write(kMsiCap + 4, 8, 0x1234'5678'0809'0047).empty());
  EXPECT_TRUE(write(kMsiCap + 0xc, 2, 0xbeef).empty());
  EXPECT_TRUE(write(kMsiCap + 0x10, 4, 0xffffff02).empty());
  EXPECT_EQ(f.config_read(kMsiCap + 4, 8), 0x1234'5678'0809'0044ULL);
  EXPECT_EQ(f.config_read(kMsiCap + 0xc, 4), 0xbeefu);
  EXPECT_EQ(f.config_read(kMsiCap + 0x10, 4), 0x02u);
  EXPECT_EQ(f.config_read(kMsiCap + 0x14, 4), 0x21u);  // pending, live, of the 8 messages

  const Effects effects = write(kMsiCap + 2, 2, 0x0021);  // 4 messages
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kMsiEnable);
  EXPECT_TRUE(effects[0].enable);
  EXPECT_EQ(effects[0].count, 4);
  EXPECT_EQ(f.kind(), MsiKind::kMsi);
  ASSERT_EQ(f.vector_count(), 4u);
  EXPECT_EQ(f.vector(1).address, 0x1234'5678'0809'0044ULL);
  EXPECT_EQ(f.vector(1).data, 0xbeedu);
  EXPECT_TRUE(f.vector(1).masked);
  EXPECT_FALSE(f.vector(3).masked);
  EXPECT_FALSE(f.vector(4).in_use);
  for (unsigned i = 4; i < 0x14; ++i) EXPECT_EQ(rich.config.bytes[kMsiCap + i], 0x5a);
}

// Covers: H18 H19
TEST_F(Interrupts, MsiTellsDifferencesOnly) {
  EXPECT_TRUE(write(kMsiCap + 2, 2, 0).empty());  // off while off
  EXPECT_EQ(write(kMsiCap + 2, 2, 1).size(), 1u);
  EXPECT_TRUE(write(kMsiCap + 2, 2, 1).empty());  // on while on
  Effects effects = write(kMsiCap + 0x10, 4, 1);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kVectorChanged);
  EXPECT_FALSE(effects[0].message);
  EXPECT_TRUE(write(kMsiCap + 0x10, 4, 0x81).empty());  // vector 7 was not granted
  effects = write(kMsiCap + 4, 4, 0x1000);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_TRUE(effects[0].message);
  effects = write(kMsiCap + 2, 2, 0x71);  // more than capable: cut
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].count, 8);
  EXPECT_EQ(f.config_read(kMsiCap + 2, 2), 0x01b7u);
  effects = write(kMsiCap + 2, 2, 0);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_FALSE(effects[0].enable);
}

TEST_F(Interrupts, MsiWithA32BitAddress) {
  rich.config.put(kMsiCap + 2, 2, 0x0000);
  init();
  write(kMsiCap + 4, 8, 0xffff'4321'1000'0000);
  EXPECT_EQ(f.config_read(kMsiCap + 4, 8), 0x4321'1000'0000ULL);  // 16 bits of data at +8
  write(kMsiCap + 2, 2, 1);
  EXPECT_EQ(f.vector(0).address, 0x1000'0000u);
  EXPECT_EQ(f.vector(0).data, 0x4321u);
  EXPECT_FALSE(f.vector(0).masked);
  EXPECT_EQ(f.config_read(kMsiCap + 0xc, 8), 0u);

  rich.config.put(kMsiCap + 2, 2, 0x0100);
  init();
  write(kMsiCap + 0xc, 4, 1);
  write(kMsiCap + 2, 2, 1);
  EXPECT_TRUE(f.vector(0).masked);
}

TEST_F(Interrupts, OnlyOneKindAtATime) {
  write(kMsiCap + 2, 2, 1);
  EXPECT_TRUE(write(kMsixCap + 2, 2, 0x8000).empty());
  EXPECT_EQ(f.config_read(kMsixCap + 2, 2), 0x003fu);
  write(kMsiCap + 2, 2, 0);
  EXPECT_EQ(write(kMsixCap + 2, 2, 0x8000).size(), 1u);
  EXPECT_TRUE(write(kMsiCap + 2, 2, 1).empty());
  EXPECT_EQ(f.kind(), MsiKind::kMsix);
}

// Covers: S0.13 S0.15
TEST_F(Interrupts, MsixTableIsReadBackAsWrittenAndResets) {
  EXPECT_EQ(f.config_read(kMsixCap + 2, 2), 0x003fu);  // 64 of the 80
  EXPECT_EQ(f.max_vectors(), 64u);
  EXPECT_EQ(entry_read(63, 12, 4), 1u);
  entry_write(63, 0, 8, 0xfeed'0000'0809'0043);
  entry_write(63, 8, 8, 0xffff'fffe'0000'0015);
  EXPECT_EQ(entry_read(63, 0, 4), 0x0809'0040u);
  EXPECT_EQ(entry_read(63, 4, 4), 0xfeed'0000u);
  EXPECT_EQ(entry_read(63, 0, 8), 0xfeed'0000'0809'0040ULL);
  EXPECT_EQ(entry_read(63, 8, 8), 0x15u);
  EXPECT_EQ(entry_read(63, 6, 4), 0x0015'feedu);  // misaligned
  static_cast<void>(f.config_write(test::kExp + 9, 1, 0x80));
  EXPECT_EQ(entry_read(63, 0, 8), 0u);
  EXPECT_EQ(entry_read(63, 8, 8), 0x1'0000'0000ULL);
  EXPECT_TRUE(bar.writes.empty());
  EXPECT_TRUE(bar.reads.empty());
}

// Covers: H18 H19
TEST_F(Interrupts, MsixTellsWhatChanged) {
  EXPECT_TRUE(entry_write(3, 0, 4, 0x1000).empty());  // off: nobody cares yet
  Effects effects = write(kMsixCap + 2, 2, 0xc000);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kMsixEnable);
  EXPECT_TRUE(effects[0].enable);
  EXPECT_TRUE(effects[0].masked);
  EXPECT_EQ(effects[0].count, 64);
  effects = entry_write(3, 12, 4, 0);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kVectorChanged);
  EXPECT_EQ(effects[0].first, 3);
  EXPECT_FALSE(effects[0].message);
  EXPECT_TRUE(f.vector(3).masked);  // the function's mask
  EXPECT_EQ(write(kMsixCap + 2, 2, 0x8000).size(), 1u);
  EXPECT_FALSE(f.vector(3).masked);
  EXPECT_EQ(f.vector(3).address, 0x1000u);
  EXPECT_TRUE(f.vector(3).in_use);
  EXPECT_TRUE(entry_write(3, 12, 4, 0).empty());
  EXPECT_TRUE(write(kMsixCap + 2, 2, 0x8000).empty());
  effects = entry_write(3, 8, 4, 7);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_TRUE(effects[0].message);
  EXPECT_TRUE(write(kMsixCap + 3, 1, 0x00).size() == 1);
  EXPECT_TRUE(write(kMsixCap + 2, 2, 0x4000).empty());  // function mask of what is off
}

// The table ends at entry 64 for the guest, at 80 for the device; the page holds other registers
// and the PBA. Covers: H20 H48
TEST_F(Interrupts, BeyondTheLastEntry) {
  write(kMsixCap + 2, 2, 0x8000);
  EXPECT_TRUE(
      entry_write(64, 0, 8, ~0ULL).empty());  // physical entries that the guest does not see
  EXPECT_TRUE(entry_write(79, 8, 8, ~0ULL).empty());
  EXPECT_EQ(entry_read(64, 0, 8), 0u);
  EXPECT_TRUE(bar.writes.empty());
  EXPECT_TRUE(bar.reads.empty());
  EXPECT_TRUE(f.bar_write(0, kPbaOffset, 8, ~0ULL, bar).empty());
  EXPECT_TRUE(f.bar_write(0, kPbaOffset + 8, 8, ~0ULL, bar).empty());
  EXPECT_TRUE(bar.writes.empty());
  EXPECT_TRUE(entry_write(80, 0, 4, 0x1234).empty());  // just behind: a register of the device
  ASSERT_EQ(bar.writes.size(), 1u);
  EXPECT_EQ(bar.writes[0], (test::FakeBar::Access{kTableOffset + 80 * 16, 4, 0x1234}));
  // Across the end: the last 4 bytes of entry 79 are dropped, the register behind gets its 4.
  bar.forget();
  EXPECT_TRUE(f.bar_write(0, kTableOffset + 80 * 16 - 4, 8, 0x5555'6666'7777'8888, bar).empty());
  ASSERT_EQ(bar.writes.size(), 1u);
  EXPECT_EQ(bar.writes[0], (test::FakeBar::Access{kTableOffset + 80 * 16, 4, 0x5555'6666}));
  EXPECT_FALSE(bar.misused);
}

TEST_F(Interrupts, PendingBitsAreLiveAndOfShownVectorsOnly) {
  bar.bytes[kPbaOffset] = 0x81;
  bar.bytes[kPbaOffset + 7] = 0x80;
  bar.bytes[kPbaOffset + 8] = 0xff;  // vectors 64..71: not shown
  EXPECT_EQ(f.bar_read(0, kPbaOffset, 8, bar), 0x8000'0000'0000'0081ULL);
  EXPECT_EQ(f.bar_read(0, kPbaOffset, 1, bar), 0x81u);
  EXPECT_EQ(f.bar_read(0, kPbaOffset + 6, 2, bar), 0x8000u);
  EXPECT_EQ(f.bar_read(0, kPbaOffset + 8, 8, bar), 0u);
  for (const auto& access : bar.reads) EXPECT_EQ(access.size, 4u);  // as the specification wants
  bar.bytes[kPbaOffset] = 0;
  EXPECT_EQ(f.bar_read(0, kPbaOffset, 1, bar), 0u);
}

// Covers: H29
TEST_F(Interrupts, WhereTheTableIsDoesNotChangeLater) {
  rich.config.put(kMsixCap + 4, 4, 0x8000);
  rich.config.put(kMsixCap + 8, 4, 0x9000);
  EXPECT_EQ(f.config_read(kMsixCap + 4, 4), kTableOffset);
  EXPECT_TRUE(f.is_trapped(0, kTableOffset));
  entry_write(0, 8, 4, 9);
  EXPECT_EQ(entry_read(0, 8, 4), 9u);
}

TEST_F(Interrupts, WhatMayBeMappedIsTheRest) {
  EXPECT_TRUE(f.is_trapped(0, 0x2000));
  EXPECT_TRUE(f.is_trapped(0, 0x2fff));
  EXPECT_FALSE(f.is_trapped(0, 0x1fff));
  EXPECT_FALSE(f.is_trapped(0, 0x3000));
  EXPECT_TRUE(f.is_trapped(0, 0x10000));  // beyond the end
  const PageRanges ranges = f.mappable(0);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].offset, 0u);
  EXPECT_EQ(ranges[0].size, 0x2000u);
  EXPECT_EQ(ranges[1].offset, 0x3000u);
  EXPECT_EQ(ranges[1].size, 0xd000u);
  ASSERT_EQ(f.mappable(2).size(), 1u);
  EXPECT_EQ(f.mappable(2)[0].size, kMiB);
  EXPECT_TRUE(f.is_trapped(3, 0));  // smaller than a page
  EXPECT_TRUE(f.mappable(3).empty());
  EXPECT_TRUE(f.is_trapped(1, 0));
  EXPECT_TRUE(f.is_trapped(99, 0));
}

TEST_F(Interrupts, ASmallBarIsForwardedInsideItsSize) {
  test::FakeBar small(256);
  small.bytes[255] = 0x77;
  EXPECT_EQ(f.bar_read(3, 255, 8, small), 0xffff'ffff'ffff'ff77ULL);
  static_cast<void>(f.bar_write(3, 252, 8, 0x1111'2222'3333'4444, small));
  ASSERT_EQ(small.writes.size(), 1u);
  EXPECT_EQ(small.writes[0], (test::FakeBar::Access{252, 4, 0x3333'4444}));
  EXPECT_EQ(f.bar_read(3, 256, 4, small), 0xffffffffu);
  EXPECT_EQ(f.bar_read(3, ~0ULL, 8, small), ~0ULL);
  static_cast<void>(f.bar_write(3, ~0ULL - 1, 8, 0, small));
  EXPECT_EQ(f.bar_read(9, 0, 4, small), 0xffffffffu);
  EXPECT_FALSE(small.misused);
}

/// Every offset around table and PBA, every size: wide reads are their bytes, the device's table is
/// never touched.
// Covers: H20 H48 S0.13
TEST_F(Interrupts, EverySizeAtEveryOffsetOfTheSharedPage) {
  write(kMsixCap + 2, 2, 0x8000);
  for (unsigned i = 0; i < bar.bytes.size(); ++i) bar.bytes[i] = static_cast<std::uint8_t>(i * 7);
  const auto before = bar.bytes;
  constexpr std::uint64_t kTableEnd = kTableOffset + 16 * test::kHwVectors;
  for (std::uint64_t at = kTableOffset - 8; at < kTableOffset + 0x1008; ++at) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) {
      bar.forget();
      ASSERT_FALSE(f.bar_write(0, at, size, 0xc3c3c3c3c3c3c3c3, bar).full());
      for (const auto& access : bar.writes) {
        ASSERT_FALSE(overlaps(access.offset, access.size, kTableOffset, 16 * test::kHwVectors));
        ASSERT_FALSE(overlaps(access.offset, access.size, kPbaOffset, 16));
      }
      std::uint64_t expected = 0;
      for (unsigned i = 0; i < size; ++i) expected |= f.bar_read(0, at + i, 1, bar) << (8 * i);
      ASSERT_EQ(f.bar_read(0, at, size, bar), expected) << std::hex << at << " " << size;
    }
  }
  for (std::uint64_t at = kTableOffset; at < kTableEnd; ++at) ASSERT_EQ(bar.bytes[at], before[at]);
  EXPECT_FALSE(bar.misused);
}

TEST_F(Interrupts, AnImpossibleTableIsHidden) {
  for (const std::uint32_t table : {0x0000fb10U, 0x00002004U, 0x00002005U, 0x00002006U, 0x00000003U,
                                    0xfffffff8U, 0x00002780U}) {
    RichFunction r;
    r.config.put(kMsixCap + 4, 4, table);
    ASSERT_TRUE(f.init(r.facts, r.options));
    EXPECT_EQ(f.msix_offset(), 0u) << std::hex << table;
    EXPECT_EQ(f.report().malformed, 1);
    EXPECT_TRUE(f.config_write(kMsixCap + 2, 2, 0x8000).empty());
    EXPECT_EQ(f.max_vectors(), 8u);
    EXPECT_FALSE(f.is_trapped(0, 0x2000));
  }
}

TEST_F(Interrupts, FewerVectorsByPolicy) {
  rich.options.max_vectors = 5;
  init();
  EXPECT_EQ(f.config_read(kMsixCap + 2, 2), 4u);
  EXPECT_EQ(f.config_read(kMsiCap + 2, 2) & 0xe, 4u);  // 4 messages
  rich.options.max_vectors = 0;
  init();
  EXPECT_EQ(f.max_vectors(), 0u);
  rich.options.max_vectors = kMaxVectors + 1;
  EXPECT_EQ(f.init(rich.facts, rich.options).error().code, Code::kOutOfRange);
}

// Covers: H65
TEST(Vectors, ADriverThatNeedsAHundredAndTwentyEightFindsThem) {
  RichFunction rich;
  rich.options.max_vectors = kMaxVectors;
  rich.config.put(kMsixCap + 2, 2, 0x7ff);  // 2048, in a BAR that has room for them
  rich.config.put(kMsixCap + 4, 4, 0);
  rich.config.put(kMsixCap + 8, 4, 0x9000);
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  EXPECT_EQ(f.config_read(kMsixCap + 2, 2), 127U);
  EXPECT_EQ(f.max_vectors(), 128U);
}

}  // namespace
}  // namespace penstock::vpci
