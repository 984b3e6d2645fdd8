#include "core/msi/lpi_allocator.hpp"

#include <gtest/gtest.h>

namespace penstock::msi {
namespace {

constexpr DomainId kStore{0};
constexpr DomainId kNet{1};

struct LpiAllocatorTest : testing::Test {
  LpiAllocatorTest() {
    EXPECT_TRUE(lpis.set_quota(kStore, 100));
    EXPECT_TRUE(lpis.set_quota(kNet, kLpiCount));
  }
  LpiAllocator lpis;
};

// Covers: S0.14 H3
TEST_F(LpiAllocatorTest, BlocksOfTwoDomainsNeverOverlap) {
  const HostLpi a = lpis.take(kStore, 10).value();
  const HostLpi b = lpis.take(kNet, 10).value();
  EXPECT_EQ(a, HostLpi(8192));
  EXPECT_EQ(b, HostLpi(8202));
  EXPECT_EQ(lpis.owner_of(HostLpi(8201)), kStore);
  EXPECT_EQ(lpis.owner_of(HostLpi(8202)), kNet);
  EXPECT_EQ(lpis.owner_of(HostLpi(8212)), std::nullopt);
  EXPECT_EQ(lpis.owner_of(HostLpi(0)), std::nullopt);
  EXPECT_EQ(lpis.owner_of(HostLpi(~0U)), std::nullopt);
}

// Covers: H4 H32
TEST_F(LpiAllocatorTest, NobodyGivesBackWhatIsAnothers) {
  const HostLpi a = lpis.take(kStore, 4).value();
  const HostLpi b = lpis.take(kNet, 4).value();
  EXPECT_EQ(lpis.give_back(kStore, b, 4).error(), (Error{Code::kNotOwner, b.value()}));
  // A block that runs over into the neighbour's: refused as a whole.
  EXPECT_EQ(lpis.give_back(kStore, a, 5).error(), (Error{Code::kNotOwner, b.value()}));
  EXPECT_EQ(lpis.held_by(kStore), 4U);
  ASSERT_TRUE(lpis.give_back(kStore, a, 4));
  EXPECT_EQ(lpis.give_back(kStore, a, 4).error().code, Code::kNotOwner);  // twice
  EXPECT_EQ(lpis.held_by(kStore), 0U);
  EXPECT_EQ(lpis.held_by(kNet), 4U);
  EXPECT_EQ(lpis.owner_of(b), kNet);
}

TEST_F(LpiAllocatorTest, AQuotaIsADomainsOwn) {
  ASSERT_TRUE(lpis.take(kStore, 60));
  EXPECT_EQ(lpis.take(kStore, 41).error(), (Error{Code::kTableFull, 100}));
  EXPECT_TRUE(lpis.take(kNet, 41));
  EXPECT_TRUE(lpis.take(kStore, 40));
  EXPECT_EQ(lpis.take(kStore, 1).error().code, Code::kTableFull);
  ASSERT_TRUE(lpis.set_quota(kStore, 10));  // below what is held
  EXPECT_EQ(lpis.take(kStore, 1).error().code, Code::kTableFull);
  EXPECT_EQ(lpis.held_by(kStore), 100U);
}

TEST_F(LpiAllocatorTest, FillsHolesAndSaysWhenThereIsNone) {
  const HostLpi a = lpis.take(kNet, 4000).value();
  ASSERT_TRUE(lpis.take(kNet, 4000));
  EXPECT_EQ(lpis.take(kNet, 193).error().code, Code::kTableFull);  // beyond the quota
  ASSERT_TRUE(lpis.take(kNet, 192));
  ASSERT_TRUE(lpis.give_back(kNet, a, 2000));
  EXPECT_EQ(lpis.take(kStore, 100).value(), a);
  EXPECT_EQ(lpis.take(kNet, 1901).error().code, Code::kNoMemory);  // 1900 in one piece
  EXPECT_EQ(lpis.take(kNet, 1900).value(), HostLpi(a.value() + 100));
}

// Covers: H1
TEST_F(LpiAllocatorTest, NumbersOutOfRangeAreRefused) {
  EXPECT_EQ(lpis.take(kNet, 0).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.take(kNet, kLpiCount + 1).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.take(DomainId(255), 1).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.set_quota(DomainId(255), 1).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.give_back(kNet, HostLpi(8191), 1).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.give_back(kNet, HostLpi(16383), 2).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.give_back(kNet, HostLpi(8192), ~0U).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.give_back(kNet, HostLpi(8192), 0).error().code, Code::kOutOfRange);
  EXPECT_EQ(lpis.held_by(DomainId(255)), 0U);
}

}  // namespace
}  // namespace penstock::msi
