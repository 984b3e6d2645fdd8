#include "core/vm/abort_loop.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

constexpr std::uint64_t kVectors = 0xffff'8000'1000'0800, kEl1h = 0x3c5, kEl1t = 0x3c4, kEl0 = 0;

/// Of `times` aborts in a row, the number of the first that is found to be without end; 0: none.
unsigned first_endless(AbortLoop& loop, std::uint64_t pstate, std::uint64_t pc, unsigned times) {
  for (unsigned i = 1; i <= times; ++i) {
    if (loop.is_endless(pstate, pc, kVectors)) return i;
  }
  return 0;
}

// Covers: H64
TEST(AbortLoop, AbortsOfTheVectorThatTheyLeadToAreEndlessAtTheLimit) {
  for (const unsigned offset : {0x200U, 0x204U, 0x27cU}) {
    AbortLoop loop;
    EXPECT_EQ(first_endless(loop, kEl1h, kVectors + offset, 100), AbortLoop::kLimit) << offset;
  }
  AbortLoop wraps;  // a vector base at the end of the address space
  constexpr std::uint64_t kLast = ~std::uint64_t{0x7ff};
  for (unsigned i = 1; i < AbortLoop::kLimit; ++i) {
    EXPECT_FALSE(wraps.is_endless(kEl1h, kLast + 0x200, kLast));
  }
  EXPECT_TRUE(wraps.is_endless(kEl1h, kLast + 0x200, kLast));
}

// Covers: H64
TEST(AbortLoop, AbortsOfAnythingElseNeverAre) {
  AbortLoop loop;
  for (const unsigned offset : {0x0U, 0x1fcU, 0x280U, 0x400U, 0x600U, 0x1000U}) {
    EXPECT_EQ(first_endless(loop, kEl1h, kVectors + offset, 1000), 0u) << offset;
  }
  EXPECT_EQ(first_endless(loop, kEl0, kVectors + 0x200, 1000), 0u);
  EXPECT_EQ(first_endless(loop, kEl1t, kVectors + 0x200, 1000), 0u);
  EXPECT_EQ(first_endless(loop, 0x10, 0x200, 1000), 0u);
}

TEST(AbortLoop, OneAbortOfOtherCodeBeginsTheCountAnew) {
  AbortLoop loop;
  for (unsigned round = 0; round < 10; ++round) {
    EXPECT_EQ(first_endless(loop, kEl1h, kVectors + 0x200, AbortLoop::kLimit - 1), 0u);
    EXPECT_FALSE(loop.is_endless(kEl0, 0x400000, kVectors));
  }
}

}  // namespace
}  // namespace penstock::vm
