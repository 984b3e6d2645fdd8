// The physical timers' PPIs: pending for as long as their line is high (IHI 0069 H 4.1.2), although
// the hypervisor hears of the line only once.
#include <gtest/gtest.h>

#include "core/vmsi/guest_fake.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {
namespace {

using fake::Guest;
using fake::vcpu;

constexpr std::uint64_t kSgiFrame = 0x1'0000;
constexpr std::uint64_t kSetEnable = kSgiFrame + 0x100;
constexpr std::uint64_t kClearEnable = kSgiFrame + 0x180;
constexpr std::uint64_t kSetPending = kSgiFrame + 0x200;
constexpr std::uint64_t kClearPending = kSgiFrame + 0x280;

class Line : public testing::TestWithParam<unsigned> {
 protected:
  Line() { g.enable_all(); }
  [[nodiscard]] std::uint32_t bit() const { return 1U << GetParam(); }
  void fire() {
    g.cpus[0].low_lines &= ~bit();
    g.cpus[0].physical_active |= bit();
    g.gic.pend_hardware_ppi(vcpu(0), GetParam());
    g.run();
  }
  void fall() { g.cpus[0].low_lines |= bit(); }
  void write(std::uint64_t offset) {
    g.gicr_write(0, offset, 4, bit());
    g.run();
  }
  [[nodiscard]] bool shown_pending() { return (g.gicr_read(0, kSetPending) & bit()) != 0; }

  Guest g;
};

TEST_P(Line, OneThatFellWhileItsInterruptWasDisabledIsNotPendingWhenThatIsEnabled) {
  write(kClearEnable);
  fire();
  fall();
  write(kSetEnable);
  EXPECT_EQ(g.take(0), std::nullopt);
  EXPECT_EQ(g.cpus[0].physical_active, 0u) << "the next one would not be heard";
  fire();
  EXPECT_EQ(g.take(0), GetParam());
}

TEST_P(Line, OneThatIsStillHighIsPendingWhenItsInterruptIsEnabled) {
  write(kClearEnable);
  fire();
  EXPECT_TRUE(shown_pending());
  write(kSetEnable);
  EXPECT_EQ(g.take(0), GetParam());
}

TEST_P(Line, OneThatFallsIsSeenWhereverSoftwareLooks) {
  for (const bool enabled : {false, true}) {
    write(enabled ? kSetEnable : kClearEnable);
    fire();
    EXPECT_TRUE(shown_pending());
    fall();
    EXPECT_FALSE(shown_pending());
    EXPECT_EQ(g.cpus[0].physical_active, 0u);
    EXPECT_EQ(g.take(0), std::nullopt);
  }
}

TEST_P(Line, ClearingPendingDoesNothingWhileItIsHigh) {
  for (const bool enabled : {false, true}) {
    write(enabled ? kSetEnable : kClearEnable);
    fire();
    write(kClearPending);
    EXPECT_TRUE(shown_pending());
    fall();
    EXPECT_FALSE(shown_pending());
  }
}

TEST_P(Line, WhatSoftwareLatchedStaysWhenItFallsAndIsCleared) {
  for (const bool enabled : {false, true}) {
    write(enabled ? kSetEnable : kClearEnable);
    fire();
    write(kSetPending);
    fall();
    EXPECT_TRUE(shown_pending());
    write(kClearPending);
    EXPECT_FALSE(shown_pending());
    EXPECT_EQ(g.take(0), std::nullopt);
  }
}

TEST_P(Line, SoftwareMakesItPendingWhileItsInterruptIsActive) {
  fire();
  EXPECT_EQ(g.cpus[0].acknowledge(), GetParam());
  write(kSetPending);
  fall();
  g.cpus[0].end(GetParam());
  EXPECT_EQ(g.take(0), GetParam());
  EXPECT_EQ(g.take(0), std::nullopt);
  EXPECT_EQ(g.cpus[0].physical_active, 0u);
}

INSTANTIATE_TEST_SUITE_P(Timers, Line, testing::Values(27U, 30U));

}  // namespace
}  // namespace penstock::vmsi
