// What a device may cost in faults, over its life: no restart and no other owner renews it.
#include "core/assign/fault_limit.hpp"

#include <gtest/gtest.h>

#include "core/assign/test_board.hpp"

namespace penstock::assign {
namespace {

constexpr GuestBdf kFirst{0, 1, 0};
constexpr GuestBdf kSecond{0, 2, 0};
constexpr std::uint64_t kSecondNs = 1'000'000'000;

struct FaultLimit : testing::Test {
  FaultLimit() {
    EXPECT_TRUE(board.start());
    for (unsigned i = 0; i < 2; ++i) models[i] = &board.plug(i + 1, sim::nvme_like());
    EXPECT_TRUE(board.enumerate());
    first = &board.device_of(0, 1, {.guest = kFirst});
    second = &board.device_of(0, 2, {.guest = kSecond});
    EXPECT_TRUE(board.ok);
    EXPECT_TRUE(red().devices.assign_all());
  }
  TestDomain& red() { return *board.domains[0]; }
  /// As many faults of the device as are within the limits, at one moment.
  unsigned faults_until_cut_off(Device& device, DeviceSet& set, std::uint64_t now,
                                std::uint64_t weight = 1) {
    unsigned n = 0;
    while (within_limit(device, &set.fault_allowance(), weight, now) && n < 1'000'000) ++n;
    return n;
  }

  TestBoard board;
  std::array<sim::PciFunction*, 2> models{};
  Device* first = nullptr;
  Device* second = nullptr;
};

// Covers: H58 S1.15
TEST_F(FaultLimit, OfADeviceThatWasCutOff_IsNotRenewedByARestartOfItsDomain) {
  std::uint64_t now = kSecondNs;
  EXPECT_EQ(faults_until_cut_off(*first, red().devices, now), DeviceLimits::kFaults);
  unsigned more = 0;
  for (unsigned restart = 0; restart < 40; ++restart) {
    red().devices.take_all_back();
    ASSERT_TRUE(red().devices.assign_all());
    now += kSecondNs / 8;
    more += faults_until_cut_off(*first, red().devices, now);
  }
  EXPECT_LE(more, 5 * 64u);
  EXPECT_GE(more, 4 * 64u) << "it comes back, slowly";
  now += 64 * kSecondNs;
  EXPECT_EQ(faults_until_cut_off(*first, red().devices, now), DeviceLimits::kFaults);
}

// Covers: H58
TEST_F(FaultLimit, OfADeviceThatWasCutOff_GoesWithItToItsNextOwner) {
  EXPECT_EQ(faults_until_cut_off(*first, red().devices, kSecondNs), DeviceLimits::kFaults);
  DeviceSet& blue = board.domains[1]->devices;
  ASSERT_TRUE(blue.assign_all());
  ASSERT_TRUE(red().devices.detach(*first, true));
  first->domain = 1;
  ASSERT_TRUE(blue.attach(*first));
  EXPECT_EQ(faults_until_cut_off(*first, blue, kSecondNs), 0u);
}

// Covers: H58
TEST_F(FaultLimit, OfADomain_IsSharedByItsDevices) {
  unsigned total = 0;
  for (unsigned round = 0; round < 100; ++round) {
    // A new device each time, as one that comes and goes by hot-plug.
    first->limits = {};
    total += faults_until_cut_off(*first, red().devices, kSecondNs);
  }
  EXPECT_EQ(total, 4 * DeviceLimits::kFaults);
  EXPECT_EQ(faults_until_cut_off(*second, red().devices, kSecondNs), 0u);
}

// As many as the board took before there was a limit over a device's life.
TEST_F(FaultLimit, OfADeviceThatFaultsAThousandTimesASecond_IsNotReached) {
  for (std::uint64_t now = kSecondNs; now < 600 * kSecondNs; now += kSecondNs / 1000) {
    ASSERT_TRUE(within_limit(*first, &red().devices.fault_allowance(), 1, now)) << now;
  }
}

// The guest's own doing is told a few times, whatever else it does in between.
// Covers: H58 H14
TEST_F(FaultLimit, OfLogLines_IsNotRenewedByARestart) {
  // Both BARs in one place: the second cannot be mapped.
  const std::size_t before = board.log.all.size();
  for (unsigned restart = 0; restart < 10; ++restart) {
    red().place_bar(kFirst, 0, 0x1000'0000);
    red().enable(kFirst);
    red().place_bar(kSecond, 0, 0x1000'0000);
    for (unsigned i = 0; i < 20; ++i) {
      red().set_config(kSecond, 4, 2, 2);
      red().set_config(kSecond, 4, 2, 0);
    }
    red().devices.take_all_back();
    ASSERT_TRUE(red().devices.assign_all());
  }
  EXPECT_GE(board.log.all.size() - before, 8u);
  EXPECT_LE(board.log.all.size() - before, 10u) << "200 without a limit, 80 with one for each life";
}

iommu::Fault fault_of(std::uint32_t stream) {
  iommu::Fault fault;
  fault.stream = StreamId(stream);
  return fault;
}

// Covers: H58 H14
TEST(Loudest, IsTheStreamOfMoreThanHalfOfTheEvents) {
  const auto a = fault_of(1);
  const auto b = fault_of(2);
  const auto c = fault_of(3);
  EXPECT_FALSE(loudest({}));
  EXPECT_EQ(loudest(std::array{a}), StreamId(1));
  EXPECT_FALSE(loudest(std::array{a, b})) << "one each: nobody knows";
  EXPECT_EQ(loudest(std::array{b, a, b, c, b}), StreamId(2));
  EXPECT_EQ(loudest(std::array{a, c, b, b, b}), StreamId(2));
  EXPECT_EQ(loudest(std::array{b, b, b, a, c}), StreamId(2)) << "the last event is not of it";
  EXPECT_FALSE(loudest(std::array{b, b, a, c}));
  EXPECT_FALSE(loudest(std::array{a, a, b, b, c}));
}

}  // namespace
}  // namespace penstock::assign
