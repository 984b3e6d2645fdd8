#include "core/mem/page_pool.hpp"

#include <gtest/gtest.h>

#include "sim/memory.hpp"

namespace penstock::mem {
namespace {

constexpr Hpa kBase{0x8000'0000};

struct Pool : testing::Test {
  Pool() { EXPECT_TRUE(pool.init(memory, kBase, 64 * kKiB)); }
  sim::Memory memory{kBase, 64 * kKiB};
  PagePool pool;
};

TEST_F(Pool, GivesZeroedAlignedPages) {
  memory.map(kBase, 64 * kKiB)[5000] = std::byte{0xff};
  const Hpa first = pool.take(1).value();
  EXPECT_EQ(first, kBase);
  const Hpa aligned = pool.take(2 * kPageSize, 4 * kPageSize).value();
  EXPECT_EQ(aligned, kBase + 4 * kPageSize);
  EXPECT_EQ(pool.take(kPageSize).value(), kBase + kPageSize);
  for (std::uint64_t i = 0; i < kPageSize; ++i) {
    EXPECT_EQ(memory.map(kBase + kPageSize, kPageSize)[i], std::byte{0});
  }
  EXPECT_EQ(pool.used_bytes(), 4 * kPageSize);
}

TEST_F(Pool, EmptyIsAnAnswerAndGivenBackPagesServeAgain) {
  const Hpa all = pool.take(64 * kKiB).value();
  EXPECT_EQ(pool.take(1).error().code, Code::kNoMemory);
  pool.give_back(all + 8 * kPageSize, kPageSize);
  EXPECT_EQ(pool.take(1).value(), all + 8 * kPageSize);
  EXPECT_EQ(pool.high_water(), 64 * kKiB);
}

TEST_F(Pool, ADoubleFreeChangesNothingAndIsCounted) {
  const Hpa page = pool.take(kPageSize).value();
  pool.give_back(page, kPageSize);
  pool.give_back(page, kPageSize);
  pool.give_back(Hpa(0x1000), kPageSize);
  EXPECT_EQ(pool.bad_returns(), 2u);
  EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST(PagePool, RefusesWhatItCannotManage) {
  sim::Memory memory{kBase, 64 * kKiB};
  PagePool pool;
  EXPECT_EQ(pool.init(memory, kBase + 1, kPageSize).error().code, Code::kMisaligned);
  EXPECT_EQ(pool.init(memory, kBase, 0).error().code, Code::kOutOfRange);
  EXPECT_EQ(pool.init(memory, kBase, 16 * kMiB).error().code, Code::kOutOfRange);
}

}  // namespace
}  // namespace penstock::mem
