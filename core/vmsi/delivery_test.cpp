#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "core/vmsi/guest_fake.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {
namespace {

using fake::Guest;
using fake::vcpu;

constexpr std::uint64_t kSgiFrame = 0x1'0000;

GuestIntId lpi(unsigned i) {
  return GuestIntId(kFirstLpi + i);
}

TEST(Delivery, RefusesImpossibleTopologies) {
  fake::Ram ram;
  fake::Kicks kicks;
  VirtualGic gic;
  const std::uint64_t same[] = {1, 1};
  EXPECT_EQ(gic.init(2, same, ram, kicks).error().code, Code::kAlreadyExists);
  EXPECT_EQ(gic.init(0, same, ram, kicks).error().code, Code::kOutOfRange);
  EXPECT_EQ(gic.init(3, same, ram, kicks).error().code, Code::kOutOfRange);
  EXPECT_EQ(gic.init(9, same, ram, kicks).error().code, Code::kOutOfRange);
}

// Covers: S0.7 S0.16
TEST(Delivery, AnLpiArrivesOnceAndAgainAfterItsEnd) {
  for (const bool active : {true, false}) {
    Guest g;
    g.cpus[1].lpis_become_active = active;
    g.enable_all();
    g.gic.route_lpi(lpi(5), vcpu(1));
    g.gic.configure_lpi(lpi(5), true, 0xa0);
    g.run();
    g.kicks.mask = 0;
    g.gic.pend_lpi(vcpu(1), lpi(5));
    EXPECT_EQ(g.kicks.mask, 2u);
    EXPECT_TRUE(g.gic.needs_delivery(vcpu(1)));
    EXPECT_FALSE(g.gic.needs_delivery(vcpu(0)));
    EXPECT_EQ(g.take(1), 8197u);
    EXPECT_EQ(g.take(1), std::nullopt);
    g.kicks.mask = 0;
    g.gic.pend_lpi_here(vcpu(1), lpi(5));
    EXPECT_EQ(g.kicks.mask, 0u);
    EXPECT_EQ(g.take(1), 8197u);
  }
}

// Covers: S0.16
TEST(Delivery, ASecondLpiDuringHandlingIsNotLost) {
  for (const bool active : {true, false}) {
    Guest g;
    g.cpus[0].lpis_become_active = active;
    g.enable_all();
    g.gic.route_lpi(lpi(0), vcpu(0));
    g.gic.configure_lpi(lpi(0), true, 0xa0);
    g.gic.pend_lpi(vcpu(0), lpi(0));
    g.run();
    EXPECT_EQ(g.cpus[0].acknowledge(), 8192u);
    g.gic.pend_lpi(vcpu(0), lpi(0));
    g.gic.pend_lpi(vcpu(0), lpi(0));  // merges: pending is one bit
    g.run();
    EXPECT_TRUE(g.cpus[0].sane());
    g.cpus[0].end(8192);
    EXPECT_EQ(g.take(0), 8192u);
    EXPECT_EQ(g.take(0), std::nullopt);
  }
}

TEST(Delivery, ADisabledLpiWaitsForItsEnable) {
  Guest g;
  g.enable_all();
  g.gic.route_lpi(lpi(9), vcpu(0));
  g.gic.pend_lpi(vcpu(0), lpi(9));
  EXPECT_EQ(g.take(0), std::nullopt);
  g.gic.configure_lpi(lpi(9), true, 0x80);
  EXPECT_EQ(g.take(0), 8201u);
  // Disabled while it waits in a list register: it comes back and waits.
  g.gic.pend_lpi(vcpu(0), lpi(9));
  g.run();
  EXPECT_TRUE(g.cpus[0].is_pending(8201));
  g.gic.configure_lpi(lpi(9), false, 0x80);
  g.run();
  EXPECT_FALSE(g.cpus[0].is_pending(8201));
  g.gic.configure_lpi(lpi(9), true, 0x80);
  EXPECT_EQ(g.take(0), 8201u);
}

// Covers: H49
TEST(Delivery, AMovedLpiFollowsAndADiscardedOneGoes) {
  Guest g;
  g.enable_all();
  g.gic.route_lpi(lpi(3), vcpu(0));
  g.gic.configure_lpi(lpi(3), true, 0xa0);
  g.gic.pend_lpi(vcpu(0), lpi(3));
  g.run(0);
  ASSERT_TRUE(g.cpus[0].is_pending(8195));
  g.gic.route_lpi(lpi(3), vcpu(1));  // pending in a list register
  g.run();
  EXPECT_FALSE(g.cpus[0].is_pending(8195));
  EXPECT_EQ(g.take(1), 8195u);
  g.gic.pend_lpi(vcpu(0), lpi(3));  // an old route's message
  EXPECT_EQ(g.take(1), 8195u);

  g.gic.pend_lpi(vcpu(1), lpi(3));
  g.run();
  ASSERT_TRUE(g.cpus[1].is_pending(8195));
  g.gic.clear_lpi(lpi(3));
  g.gic.route_lpi(lpi(3), std::nullopt);
  g.run();
  EXPECT_FALSE(g.cpus[1].is_pending(8195));
  g.gic.pend_lpi(vcpu(1), lpi(3));  // in flight while it was discarded
  EXPECT_EQ(g.take(1), std::nullopt);
  g.gic.route_lpi(lpi(3), vcpu(1));
  EXPECT_EQ(g.take(1), std::nullopt);
}

// Covers: H1
TEST(Delivery, NumbersWithoutAnInterruptAreIgnored) {
  Guest g;
  g.enable_all();
  for (const std::uint32_t id : {0u, 31u, 64u, 1023u, 8191u, 8192u + kLpiCount, ~0u}) {
    for (const unsigned v : {0u, 1u, 2u, 7u, 8u, 255u}) {
      g.gic.pend_lpi(vcpu(v), GuestIntId(id));
      g.gic.pend_lpi_here(vcpu(v), GuestIntId(id));
    }
    g.gic.route_lpi(GuestIntId(id), vcpu(0));
    g.gic.configure_lpi(GuestIntId(id), true, 0);
    g.gic.load_lpi_config(GuestIntId(id));
    g.gic.clear_lpi(GuestIntId(id));
    EXPECT_EQ(g.gic.lpi_target(GuestIntId(id)), std::nullopt);
  }
  for (const unsigned id : {0u, 15u, 32u, 64u, ~0u}) {
    g.gic.pend_private(vcpu(0), id);
    g.gic.pend_hardware_ppi(vcpu(0), id);
  }
  for (const unsigned id : {0u, 31u, 64u, ~0u}) g.gic.set_spi_level(id, true);
  g.gic.pend_private(vcpu(7), 20);
  g.gic.route_lpi(lpi(0), vcpu(7));
  EXPECT_EQ(g.gic.lpi_target(lpi(0)), std::nullopt);
  EXPECT_EQ(g.take(0), std::nullopt);
}

TEST(Delivery, TheMostUrgentGoFirstAndTheRestFollows) {
  Guest g(1, 4);
  g.enable_all();
  for (unsigned i = 0; i < 12; ++i) {
    g.gic.route_lpi(lpi(i), vcpu(0));
    g.gic.configure_lpi(lpi(i), true, static_cast<std::uint8_t>(0x80 - 8 * i));
    g.gic.pend_lpi(vcpu(0), lpi(i));
  }
  g.gicr_write(0, kSgiFrame + 0x400 + 20, 1, 0x10);
  g.gic.pend_private(vcpu(0), 20);
  g.run();
  EXPECT_TRUE(g.cpus[0].asks_for_more());
  std::vector<std::uint32_t> order;
  while (const auto id = g.take(0)) order.push_back(*id);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{20, 8203, 8202, 8201, 8200, 8199, 8198, 8197, 8196,
                                               8195, 8194, 8193, 8192}));
  EXPECT_FALSE(g.cpus[0].asks_for_more());
}

TEST(Delivery, AnUrgentOneTakesThePlaceOfAPendingOne) {
  Guest g(1, 2);
  g.enable_all();
  for (unsigned i = 0; i < 2; ++i) {
    g.gic.route_lpi(lpi(i), vcpu(0));
    g.gic.configure_lpi(lpi(i), true, 0xc0);
    g.gic.pend_lpi(vcpu(0), lpi(i));
  }
  g.run();
  g.gicr_write(0, kSgiFrame + 0x400 + 20, 1, 0x10);
  g.gic.pend_private(vcpu(0), 20);
  g.run();
  EXPECT_TRUE(g.cpus[0].is_pending(20));
  EXPECT_EQ(g.take(0), 20u);
  std::set<std::uint32_t> rest;
  while (const auto id = g.take(0)) rest.insert(*id);
  EXPECT_EQ(rest, (std::set<std::uint32_t>{8192, 8193}));
}

// Covers: H31
TEST(Delivery, AllRegistersActiveIsNoStormAndNoDeadEnd) {
  Guest g(1, 2);
  g.enable_all();
  for (const unsigned id : {20u, 21u, 22u}) g.gic.pend_private(vcpu(0), id);
  g.run();
  const auto a = g.cpus[0].acknowledge();
  const auto b = g.cpus[0].acknowledge();
  ASSERT_TRUE(a && b);
  g.gic.pend_private(vcpu(0), 23);
  g.run();
  EXPECT_FALSE(g.cpus[0].maintenance_asserted());  // nothing to do before something ends
  g.cpus[0].end(*b);
  g.run();
  const auto c = g.cpus[0].acknowledge();
  ASSERT_TRUE(c);
  g.run();
  EXPECT_FALSE(g.cpus[0].maintenance_asserted());
  g.cpus[0].end(*c);
  g.run();
  const auto d = g.cpus[0].acknowledge();
  ASSERT_TRUE(d);
  EXPECT_EQ((std::set<std::uint32_t>{*a, *b, *c, *d}), (std::set<std::uint32_t>{20, 21, 22, 23}));
}

TEST(Delivery, APendingOneHasARegisterWhereAllAreActive) {
  Guest g(1, 4);
  g.enable_all();
  for (const unsigned id : {20u, 21u, 22u, 23u}) g.gic.pend_private(vcpu(0), id);
  g.run();
  while (g.cpus[0].acknowledge()) {
  }
  g.gic.pend_private(vcpu(0), 24);
  g.run();
  EXPECT_TRUE(g.cpus[0].is_pending(24));
  EXPECT_EQ(g.gicr_read(0, kSgiFrame + 0x300), 0xf0'0000u);
}

TEST(Delivery, ALevelIsAskedAgainAtItsEnd) {
  Guest g;
  g.enable_all();
  g.gic.set_spi_level(33, true);
  EXPECT_EQ(g.take(0), 33u);  // still high:
  EXPECT_EQ(g.take(0), 33u);
  g.run();
  EXPECT_EQ(g.cpus[0].acknowledge(), 33u);
  g.gic.set_spi_level(33, false);
  g.cpus[0].end(33);
  EXPECT_EQ(g.take(0), std::nullopt);
  g.gic.set_spi_level(33, true);
  g.run();
  EXPECT_TRUE(g.cpus[0].is_pending(33));
  g.gic.set_spi_level(33, false);  // served by polling before it was taken
  EXPECT_EQ(g.take(0), std::nullopt);
}

TEST(Delivery, AnEdgeSpiIsLatched) {
  Guest g;
  g.enable_all();
  g.gicd_write(0, 0xc08, 4, 2U << 2);  // 33: edge
  g.gic.set_spi_level(33, true);
  g.gic.set_spi_level(33, false);
  EXPECT_EQ(g.take(0), 33u);
  EXPECT_EQ(g.take(0), std::nullopt);
  g.gic.set_spi_level(33, true);
  g.run();
  EXPECT_EQ(g.cpus[0].acknowledge(), 33u);
  g.gic.set_spi_level(33, false);
  g.gic.set_spi_level(33, true);
  g.run();
  EXPECT_TRUE(g.cpus[0].is_pending(33) && g.cpus[0].is_active(33));
  g.cpus[0].end(33);
  EXPECT_EQ(g.take(0), 33u);
}

TEST(Delivery, AnSpiGoesWhereItIsRouted) {
  Guest g;
  g.enable_all();
  g.gic.set_spi_level(40, true);
  g.run();
  EXPECT_TRUE(g.cpus[0].is_pending(40));
  g.gicd_write(1, 0x6000 + 8 * 40, 8, 1);  // by the other CPU
  g.run();
  EXPECT_FALSE(g.cpus[0].is_pending(40));
  EXPECT_TRUE(g.cpus[1].is_pending(40));
  g.gicd_write(1, 0x6000 + 8 * 40, 8, 0x77);  // nobody
  EXPECT_EQ(g.take(0), std::nullopt);
  EXPECT_EQ(g.take(1), std::nullopt);
  g.gicd_write(1, 0x6000 + 8 * 40, 4, 0);
  EXPECT_EQ(g.take(0), 40u);
  // Active on one CPU, routed to another: it stays single.
  g.run();
  EXPECT_EQ(g.cpus[0].acknowledge(), 40u);
  g.gicd_write(0, 0x6000 + 8 * 40, 8, 1);
  g.run();
  EXPECT_EQ(g.cpus[1].holders(40), 0u);
  g.cpus[0].end(40);
  g.run();
  EXPECT_EQ(g.cpus[1].holders(40), 1u);
}

TEST(Delivery, ThePhysicalTimerIsDeactivatedByTheGuest) {
  Guest g;
  g.enable_all();
  for (unsigned i = 0; i < 3; ++i) {
    g.cpus[0].physical_active |= 1U << 27;
    g.gic.pend_hardware_ppi(vcpu(0), 27);
    // The second time around the ended register was not seen yet by anyone.
    if (g.gic.needs_delivery(vcpu(0))) g.gic.deliver(vcpu(0), g.cpus[0]);
    EXPECT_EQ(g.cpus[0].acknowledge(), 27u);
    EXPECT_TRUE(g.cpus[0].physical_active & 1U << 27);
    g.cpus[0].end(27);
    EXPECT_EQ(g.cpus[0].physical_active, 0u);
  }
  EXPECT_EQ(g.cpus[0].deactivations, 0u);
}

TEST(Delivery, ATimerThatSoftwareMadePendingFirstIsStillDeactivated) {
  for (const bool acknowledged : {false, true}) {
    Guest g;
    g.enable_all();
    g.gicr_write(0, kSgiFrame + 0x200, 4, 1U << 27);
    g.run();
    if (acknowledged) EXPECT_EQ(g.cpus[0].acknowledge(), 27u);
    g.cpus[0].physical_active |= 1U << 27;
    g.gic.pend_hardware_ppi(vcpu(0), 27);
    g.run();
    EXPECT_TRUE(g.cpus[0].sane());
    if (acknowledged) g.cpus[0].end(27);
    EXPECT_EQ(g.take(0), 27u);
    EXPECT_EQ(g.cpus[0].physical_active, 0u);
    EXPECT_EQ(g.take(0), std::nullopt);
  }
}

TEST(Delivery, ATimerThatTheGuestNeverTakesIsDeactivatedByUs) {
  const auto pend = [](Guest& g) {
    g.cpus[0].physical_active |= 1U << 27;
    g.gic.pend_hardware_ppi(vcpu(0), 27);
  };
  {
    Guest g;  // disabled while it waits in a register, then made inactive
    g.enable_all();
    pend(g);
    g.run();
    g.gicr_write(0, kSgiFrame + 0x180, 4, 1U << 27);
    EXPECT_EQ(g.cpus[0].holders(27), 0u);
    EXPECT_NE(g.cpus[0].physical_active, 0u);
    g.gicr_write(0, kSgiFrame + 0x280, 4, 1U << 27);  // ICPENDR: the line is high
    EXPECT_TRUE(g.gicr_read(0, kSgiFrame + 0x200) & 1U << 27);
    g.gicr_write(0, kSgiFrame + 0x100, 4, 1U << 27);
    g.run();
    EXPECT_EQ(g.cpus[0].acknowledge(), 27u);
    g.gicr_write(0, kSgiFrame + 0x380, 4, 1U << 27);  // ICACTIVER
    EXPECT_EQ(g.cpus[0].physical_active, 0u);
    EXPECT_EQ(g.cpus[0].valid_count(), 0u);
  }
  for (const bool in_register : {false, true}) {
    Guest g;
    g.enable_all();
    if (!in_register) g.gicr_write(0, kSgiFrame + 0x180, 4, 1U << 27);
    pend(g);
    g.run();
    g.gic.park(vcpu(0), g.cpus[0]);
    EXPECT_EQ(g.cpus[0].physical_active, 0u);
    EXPECT_EQ(g.cpus[0].valid_count(), 0u);
    EXPECT_EQ(g.take(0), std::nullopt);
  }
}

TEST(Delivery, AParkedCpuKeepsItsInterrupts) {
  Guest g;
  g.enable_all();
  g.gic.route_lpi(lpi(1), vcpu(1));
  g.gic.configure_lpi(lpi(1), true, 0xa0);
  g.gicd_write(0, 0x6000 + 8 * 40, 8, 1);
  g.gic.pend_lpi(vcpu(1), lpi(1));
  g.gic.pend_private(vcpu(1), 20);
  g.gic.set_spi_level(40, true);
  g.run();
  EXPECT_EQ(g.cpus[1].valid_count(), 3u);
  g.gic.park(vcpu(1), g.cpus[1]);
  EXPECT_EQ(g.cpus[1].valid_count(), 0u);
  // What its CPU does not look at while it is off still follows software's wishes.
  g.gicd_write(0, 0x6000 + 8 * 40, 8, 0);
  g.run(0);
  EXPECT_EQ(g.cpus[0].acknowledge(), 40u);
  g.gic.start_vcpu(vcpu(1), g.cpus[1]);
  std::set<std::uint32_t> rest;
  while (const auto id = g.take(1)) rest.insert(*id);
  EXPECT_EQ(rest, (std::set<std::uint32_t>{20, 8193}));
}

TEST(Delivery, ResetForgetsEverything) {
  Guest g;
  g.enable_all();
  g.gic.route_lpi(lpi(1), vcpu(1));
  g.gic.configure_lpi(lpi(1), true, 0xa0);
  g.gic.pend_lpi(vcpu(1), lpi(1));
  g.gic.pend_private(vcpu(0), 20);
  g.gic.set_spi_level(40, true);
  g.run();
  for (unsigned i = 0; i < 2; ++i) g.gic.park(vcpu(i), g.cpus[i]);
  g.gic.reset();
  for (unsigned i = 0; i < 2; ++i) g.gic.start_vcpu(vcpu(i), g.cpus[i]);
  g.enable_all();
  EXPECT_EQ(g.take(0), std::nullopt);
  EXPECT_EQ(g.take(1), std::nullopt);
  EXPECT_EQ(g.gic.lpi_target(lpi(1)), std::nullopt);
}

// Covers: H14
TEST(Sgi, EveryModeReachesWhomItNames) {
  const std::uint64_t mpidrs[] = {0x0, 0x1, 0x10, 0x100, 0x1'0000, 0x1'0000'0000, 0x103, 0xf};
  fake::Ram ram;
  fake::Kicks kicks;
  VirtualGic gic;
  ASSERT_TRUE(gic.init(8, mpidrs, ram, kicks));
  fake::Cpu self;
  const auto reached = [&](unsigned from, std::uint64_t value) {
    unsigned mask = 0;
    for (unsigned v = 0; v < 8; ++v) {
      gic.redistributor_write(vcpu(v), self, v * 0x2'0000 + kSgiFrame + 0x280, 4, 0xffff);
    }
    gic.send_sgi(vcpu(from), value);
    for (unsigned v = 0; v < 8; ++v) {
      const auto pending =
          gic.redistributor_read(vcpu(v), self, v * 0x2'0000 + kSgiFrame + 0x200, 4);
      if (pending == 1U << (value >> 24 & 0xf)) mask |= 1U << v;
      EXPECT_EQ(pending & ~(1U << (value >> 24 & 0xf)), 0u);
    }
    return mask;
  };
  const std::uint64_t id5 = 5 << 24;
  EXPECT_EQ(reached(0, id5 | 0x1), 0x01u);                              // itself
  EXPECT_EQ(reached(0, id5 | 0x8003), 0x83u);                           // a list
  EXPECT_EQ(reached(0, id5 | 1ULL << 44 | 1), 0x04u);                   // RangeSelector: Aff0 16
  EXPECT_EQ(reached(0, id5 | 1ULL << 16 | 0x9), 0x48u);                 // Aff1
  EXPECT_EQ(reached(0, id5 | 1ULL << 32 | 1), 0x10u);                   // Aff2
  EXPECT_EQ(reached(0, id5 | 1ULL << 48 | 1), 0x20u);                   // Aff3
  EXPECT_EQ(reached(3, id5 | 1ULL << 40), 0xf7u);                       // all but itself
  EXPECT_EQ(reached(3, id5 | 1ULL << 40 | 0xff'0000'0000ffff), 0xf7u);  // the rest is ignored then
  EXPECT_EQ(reached(0, id5), 0u);                                       // an empty list
  EXPECT_EQ(reached(0, id5 | 0x70), 0u);                                // nobody there
  EXPECT_EQ(reached(0, id5 | 0xff'0000'00ffffffULL), 0u);
  EXPECT_EQ(reached(0, id5 | 0xf0ULL << 40 | 0xffff), 0u);
  for (unsigned id = 0; id < 16; ++id) EXPECT_EQ(reached(0, std::uint64_t{id} << 24 | 2), 2u);
}

// Covers: H14
TEST(Sgi, AGroup0SgiIsNotSentByTheGroup1Register) {
  Guest g;
  g.enable_all();
  g.gicd_write(0, 0, 4, 3);
  g.gicr_write(0, kSgiFrame + 0x80, 4, ~1U);
  g.gic.send_sgi(vcpu(1), 0x1);
  EXPECT_EQ(g.take(0), std::nullopt);
  g.gic.send_sgi(vcpu(1), 1U << 24 | 0x1);
  EXPECT_EQ(g.take(0), 1u);
}

TEST(Delivery, GroupsAreForwardedWhenTheirEnableIsOn) {
  Guest g;
  g.enable_all();
  g.gicr_write(0, kSgiFrame + 0x80, 4, ~(1U << 20));
  g.gic.pend_private(vcpu(0), 20);
  EXPECT_EQ(g.take(0), std::nullopt);
  g.gicd_write(0, 0, 4, 3);
  g.run();
  EXPECT_TRUE(g.cpus[0].is_pending(20));
  g.gicd_write(0, 0, 4, 0);  // taken back
  g.run();
  EXPECT_EQ(g.cpus[0].valid_count(), 0u);
}

}  // namespace
}  // namespace penstock::vmsi
