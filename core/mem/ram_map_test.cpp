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

}  // namespace
}  // namespace penstock::mem
