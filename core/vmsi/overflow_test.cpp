// More interrupts pending and active than there are list registers: on hardware there is no such
// limit, so a guest must not notice it.
#include <gtest/gtest.h>

#include <vector>

#include "core/vmsi/guest_fake.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {
namespace {

using fake::Guest;
using fake::vcpu;

constexpr std::uint64_t kSgiFrame = 0x1'0000;

class Overflow : public testing::Test {
 protected:
  Overflow() {
    g.enable_all();
    g.gicd_write(0, 0xc08, 4, 0xaaaa'aaaa);  // all SPIs are edges
    g.gicd_write(0, 0xc0c, 4, 0xaaaa'aaaa);
  }
  void pend(unsigned spi, unsigned priority = 0xa0) {
    g.gicd_write(0, 0x400 + spi, 1, priority);
    g.gicd_write(0, 0x204, 4, 1U << (spi - 32));
    g.run();
  }
  void take(unsigned spi) {
    EXPECT_EQ(g.cpus[0].acknowledge(), spi);
    g.run();
  }
  void end(unsigned spi) {
    g.cpus[0].end(spi);
    g.run();
  }
  [[nodiscard]] std::uint64_t active(unsigned reader = 0) { return g.gicd_read(reader, 0x304); }

  Guest g{2, 4};
};

// Covers: H31
TEST_F(Overflow, AnUrgentInterruptHasTheRegisterThatAnotherOneFreed) {
  unsigned priority = 0xc0;
  for (const unsigned spi : {40U, 41U, 42U}) {  // each preempts the one before
    pend(spi, priority);
    take(spi);
    priority -= 0x20;
  }
  pend(43, 0x20);
  pend(44, 0x20);
  EXPECT_EQ(g.cpus[0].acknowledge(), 43u);
  end(43);
  EXPECT_TRUE(g.cpus[0].is_pending(44));
}

// Covers: H31
TEST_F(Overflow, NestedInterruptsEndInTurnHoweverManyThereAre) {
  for (unsigned i = 0; i < 12; ++i) {
    pend(40 + i, 0xe0 - 0x10 * i);
    take(40 + i);
  }
  EXPECT_EQ(active(), 0x000f'ff00U);
  for (unsigned i = 12; i-- > 0;) {
    end(40 + i);
    EXPECT_EQ(active(), 0x000f'ff00U & ((1U << (8 + i)) - 1)) << i;
  }
  for (unsigned i = 0; i < 12; ++i) {  // and each can come again
    pend(40 + i);
    EXPECT_EQ(g.take(0), 40 + i);
  }
}

// Covers: H31
TEST_F(Overflow, AnyNumberIsActiveWhereTheGuestDeactivatesApart) {
  g.cpus[0].apart = true;
  for (unsigned spi = 40; spi < 52; ++spi) {
    pend(spi);
    take(spi);
    end(spi);  // drops the priority
  }
  EXPECT_EQ(active(), 0x000f'ff00U);
  pend(45);
  EXPECT_EQ(g.cpus[0].acknowledge(), std::nullopt) << "it is active";
  for (const unsigned spi : {45U, 40U, 51U, 46U}) g.deactivate(0, spi);
  EXPECT_EQ(active(), 0x0007'9e00U);
  EXPECT_TRUE(g.cpus[0].is_pending(45)) << "what came while it was active";
}

TEST_F(Overflow, AnSpiIsDeactivatedByAnyCpu) {
  for (auto& cpu : g.cpus) cpu.apart = true;
  pend(40);
  take(40);
  end(40);
  g.deactivate(1, 40);
  EXPECT_EQ(active(0), 0u);
  EXPECT_EQ(active(1), 0u);
  pend(40);
  EXPECT_TRUE(g.cpus[0].is_pending(40));
}

TEST_F(Overflow, AnSgiIsDeactivatedByItsOwnCpuOnly) {
  for (auto& cpu : g.cpus) cpu.apart = true;
  g.gic.send_sgi(vcpu(1), 3U << 24 | 1);
  g.run();
  EXPECT_EQ(g.cpus[0].acknowledge(), 3u);
  g.deactivate(1, 3);
  EXPECT_EQ(g.gicr_read(0, kSgiFrame + 0x300), 8u);
  g.deactivate(0, 3);
  EXPECT_EQ(g.gicr_read(0, kSgiFrame + 0x300), 0u);
}

TEST_F(Overflow, ADeactivationMeansNothingWhereTheEndDeactivates) {
  pend(40);
  take(40);
  g.deactivate(0, 40);
  EXPECT_EQ(active(), 0x100u);
  g.cpus[0].apart = true;
  for (const std::uint32_t intid : {64U, 1019U, 1023U, 8192U, 0xff'ffffU}) g.deactivate(0, intid);
  EXPECT_EQ(active(), 0x100u);
}

TEST_F(Overflow, ATimerThatMadeRoomIsDeactivatedAtItsEnd) {
  g.gicr_write(0, kSgiFrame + 0x400 + 27, 1, 0xf0);
  g.cpus[0].physical_active |= 1U << 27;
  g.gic.pend_hardware_ppi(vcpu(0), 27);
  g.run();
  EXPECT_EQ(g.cpus[0].acknowledge(), 27u);
  for (unsigned i = 0; i < 6; ++i) {
    pend(40 + i, 0xe0 - 0x10 * i);
    take(40 + i);
  }
  EXPECT_EQ(g.cpus[0].holders(27), 0u);
  EXPECT_EQ(g.gicr_read(0, kSgiFrame + 0x300), 1U << 27);
  for (unsigned i = 6; i-- > 0;) end(40 + i);
  EXPECT_NE(g.cpus[0].physical_active, 0u);
  g.cpus[0].low_lines = 1U << 27;  // its handler has set the next one
  end(27);
  EXPECT_EQ(g.gicr_read(0, kSgiFrame + 0x300), 0u);
  EXPECT_EQ(g.cpus[0].physical_active, 0u);
  EXPECT_EQ(g.take(0), std::nullopt);
}

TEST_F(Overflow, AnLpiThatHardwareShowsAsActiveMakesRoom) {
  for (unsigned i = 0; i < 6; ++i) {
    const GuestIntId lpi(kFirstLpi + i);
    g.gic.route_lpi(lpi, vcpu(0));
    g.gic.configure_lpi(lpi, true, static_cast<std::uint8_t>(0xe0 - 0x10 * i));
    g.gic.pend_lpi(vcpu(0), lpi);
    g.run();
    EXPECT_EQ(g.cpus[0].acknowledge(), kFirstLpi + i);
  }
  g.gic.pend_lpi(vcpu(0), GuestIntId(kFirstLpi));  // of the one that had to go
  g.run();
  for (unsigned i = 6; i-- > 0;) end(kFirstLpi + i);
  EXPECT_EQ(g.take(0), kFirstLpi);
  EXPECT_EQ(g.take(0), std::nullopt);
}

// Covers: H31
TEST_F(Overflow, WhatWaitsRaisesNoInterruptUntilItCanBePlaced) {
  for (unsigned i = 0; i < 20; ++i) pend(40 + i, 0xa0);
  EXPECT_FALSE(g.cpus[0].maintenance_asserted());
  std::vector<std::uint32_t> taken;
  while (const auto intid = g.take(0)) taken.push_back(*intid);
  EXPECT_EQ(taken.size(), 20u);
  EXPECT_FALSE(g.cpus[0].asks_for_more());
}

}  // namespace
}  // namespace penstock::vmsi
