#include "core/mem/ram_map.hpp"

#include <gtest/gtest.h>

namespace penstock::mem {
namespace {

TEST(RamMap, ReservationsSplitAndTrim) {
  RamMap map;
  ASSERT_TRUE(map.add({Hpa(0x4000'0000), 64 * kMiB}));
  ASSERT_TRUE(map.reserve({Hpa(0x4100'0010), 0x20}));  // grown to its page
  EXPECT_EQ(map.free_bytes(), 64 * kMiB - kPageSize);
  ASSERT_TRUE(map.reserve({Hpa(0x4000'0000), kMiB}));
  ASSERT_TRUE(map.reserve({Hpa(0x43f0'0000), 16 * kMiB}));
  EXPECT_EQ(map.free_bytes(), 62 * kMiB - kPageSize);
  EXPECT_EQ(map.take_lowest(kPageSize, kPageSize).value(), Hpa(0x4010'0000));
}

TEST(RamMap, HighestAndLowestKeepAlignment) {
  RamMap map;
  ASSERT_TRUE(map.add({Hpa(0x4000'1000), 64 * kMiB}));
  EXPECT_EQ(map.take_lowest(2 * kMiB, 2 * kMiB).value(), Hpa(0x4020'0000));
  EXPECT_EQ(map.take_highest(2 * kMiB, 2 * kMiB).value(), Hpa(0x43e0'0000));
  EXPECT_EQ(map.take_lowest(128 * kMiB, kPageSize).error(), fail(Code::kNoMemory, 128 * kMiB));
}

TEST(RamMap, FixedPlacesMustBeFree) {
  RamMap map;
  ASSERT_TRUE(map.add({Hpa(0x4000'0000), 4 * kMiB}));
  EXPECT_FALSE(map.add({Hpa(0x4020'0000), 4 * kMiB}));
  EXPECT_TRUE(map.take_at({Hpa(0x4010'0000), kMiB}));
  EXPECT_EQ(map.take_at({Hpa(0x4010'0000), kPageSize}).error().code, Code::kOverlap);
  EXPECT_EQ(map.take_at({Hpa(0x4030'0000), 2 * kMiB}).error().code, Code::kOverlap);
}

// Covers: H70
TEST(RamMap, AReservationThatWouldWrapTakesAllThatIsBehindItsStart) {
  constexpr Hpa kBase{0x4000'0000};
  constexpr std::uint64_t kSize = 64 * kMiB;
  for (const RamMap::Range range : {RamMap::Range{kBase, ~0ULL},
                                    {kBase, ~0ULL - kBase.value() + 1},
                                    {kBase, ~kPageSize},
                                    {kBase - 8, ~0ULL - 0xfff}}) {
    RamMap map;
    ASSERT_TRUE(map.add({kBase, kSize}));
    ASSERT_TRUE(map.reserve(range));
    EXPECT_EQ(map.free_bytes(), 0U) << range.size;
  }
  RamMap map;
  ASSERT_TRUE(map.add({kBase, kSize}));
  ASSERT_TRUE(map.reserve({kBase + kMiB, ~0ULL}));
  EXPECT_EQ(map.free_bytes(), kMiB);
  ASSERT_TRUE(map.reserve({Hpa(~0ULL), 1}));
  EXPECT_EQ(map.free_bytes(), kMiB);
}

// Covers: H70
TEST(RamMap, MemoryThatWouldWrapIsRefused) {
  RamMap map;
  for (const RamMap::Range range :
       {RamMap::Range{Hpa(~0ULL - 100), 50}, {Hpa(~0ULL - 100), 200}, {Hpa(0x4000'0000), ~0ULL}}) {
    EXPECT_EQ(map.add(range).error().code, Code::kOutOfRange);
    EXPECT_EQ(map.free_bytes(), 0U);
  }
}

// Covers: H70
TEST(RamMap, OnlyWholePagesAreTakenAndGivenBack) {
  RamMap map;
  ASSERT_TRUE(map.add({Hpa(0x4000'0000), kMiB}));
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, kPageSize + 8}) {
    EXPECT_EQ(map.take_highest(size, kPageSize).error(), fail(Code::kMisaligned, size));
    EXPECT_EQ(map.take_lowest(size, kPageSize).error(), fail(Code::kMisaligned, size));
    EXPECT_EQ(map.take_at({Hpa(0x4000'0000), size}).error(), fail(Code::kMisaligned, size));
    EXPECT_EQ(map.give_back({Hpa(0x5000'0000), size}).error(), fail(Code::kMisaligned, size));
  }
  EXPECT_EQ(map.take_at({Hpa(0x4000'0008), kPageSize}).error().code, Code::kMisaligned);
  EXPECT_EQ(map.give_back({Hpa(~0ULL - 0xfff), 2 * kPageSize}).error().code, Code::kMisaligned);
  EXPECT_EQ(map.free_bytes(), kMiB);
}

}  // namespace
}  // namespace penstock::mem
