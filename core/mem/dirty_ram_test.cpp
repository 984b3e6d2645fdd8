#include "core/mem/dirty_ram.hpp"

#include <gtest/gtest.h>

namespace penstock::mem {
namespace {

// Covers: H60
TEST(DirtyRam, LargeRangeComesInSlicesThatCoverItOnce) {
  DirtyRam dirty;
  ASSERT_TRUE(dirty.add({Hpa(0x8000'0000), kGiB}));
  ASSERT_TRUE(dirty.add({Hpa(0x4000'0000), 4096}));
  ASSERT_TRUE(dirty.add({Hpa(0x5000'0000), 0}));
  Hpa next(0x8000'0000);
  for (unsigned i = 0; i < kGiB / DirtyRam::kSlice; ++i) {
    const auto slice = dirty.take_slice();
    ASSERT_TRUE(slice);
    EXPECT_EQ(slice->base, next);
    EXPECT_EQ(slice->size, DirtyRam::kSlice);
    next = next + slice->size;
  }
  EXPECT_FALSE(dirty.empty());
  EXPECT_EQ(dirty.take_slice()->size, 4096U);
  EXPECT_TRUE(dirty.empty());
  EXPECT_FALSE(dirty.take_slice());
}

TEST(DirtyRam, SlicesGivenBackOneByOneAreOneFreeRange) {
  RamMap ram;
  ASSERT_TRUE(ram.add({Hpa(0x4000'0000), kGiB}));
  const Hpa base = *ram.take_highest(512 * kMiB, 2 * kMiB);
  DirtyRam dirty;
  ASSERT_TRUE(dirty.add({base, 512 * kMiB}));
  while (const auto slice = dirty.take_slice()) ASSERT_TRUE(ram.give_back(*slice));
  EXPECT_TRUE(ram.take_at({Hpa(0x4000'0000), kGiB}));
}

TEST(DirtyRam, RangeTooManyIsRefused) {
  DirtyRam dirty;
  for (std::size_t i = 0; i < DirtyRam::kMaxRanges; ++i) {
    ASSERT_TRUE(dirty.add({Hpa(0x4000'0000 + i * kMiB), 4096}));
  }
  EXPECT_EQ(dirty.add({Hpa(0x8000'0000), 4096}).error().code, Code::kTableFull);
}

}  // namespace
}  // namespace penstock::mem
