#include "core/base/allowance.hpp"

#include <gtest/gtest.h>

namespace penstock {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// Covers: H58
TEST(Allowance, ThatIsUsedUp_ComesBackSlowlyUntilAllOfItIsBack) {
  Allowance allowance(10, kSecond / 10, kSecond);
  std::uint64_t now = 5 * kSecond;
  EXPECT_TRUE(allowance.take(10, now));
  EXPECT_FALSE(allowance.take(1, now));
  now += kSecond;
  EXPECT_TRUE(allowance.take(1, now)) << "one a second";
  EXPECT_FALSE(allowance.take(1, now));
  now += 9 * kSecond;
  EXPECT_FALSE(allowance.take(10, now)) << "nine are back";
  EXPECT_FALSE(allowance.take(1, now)) << "who asked for more than there was gets none";
  now += 10 * kSecond;
  EXPECT_TRUE(allowance.take(10, now));
  now += kSecond;
  EXPECT_TRUE(allowance.take(10, now)) << "ten a second, as in the beginning";
}

TEST(Allowance, ThatIsNeverUsedUp_ComesBackFast) {
  Allowance allowance(10, kSecond / 10, 60 * kSecond);
  for (std::uint64_t now = 0; now < 100 * kSecond; now += kSecond) {
    EXPECT_TRUE(allowance.take(9, now));
  }
}

TEST(Allowance, SaysHowLongTheNextOneTakes) {
  Allowance allowance(2, 3 * kSecond);
  EXPECT_EQ(allowance.wait_ns(kSecond), 0u);
  EXPECT_TRUE(allowance.take(2, kSecond));
  EXPECT_EQ(allowance.wait_ns(kSecond), 3 * kSecond);
  EXPECT_EQ(allowance.wait_ns(2 * kSecond), 2 * kSecond);
  // Taken for a moment that is still to come: the one after it waits a period more.
  EXPECT_TRUE(allowance.take(1, 4 * kSecond));
  EXPECT_EQ(allowance.wait_ns(2 * kSecond), 5 * kSecond);
}

TEST(Allowance, SurvivesAClockThatStartsLateAndSumsThatWrap) {
  Allowance allowance(4, kSecond);
  EXPECT_FALSE(allowance.take(~0ULL, ~0ULL - kSecond));
  EXPECT_FALSE(allowance.take(~0ULL, ~0ULL - kSecond));
  EXPECT_TRUE(allowance.take(1, ~0ULL));
}

}  // namespace
}  // namespace penstock
