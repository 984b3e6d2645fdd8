// LPIs that are cleared, discarded, disabled or moved while they are pending, on their way into a
// list register, or in one.
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "core/vmsi/its_fake.hpp"

namespace penstock::vmsi {
namespace {

using fake::ItsGuest;
using fake::vcpu;

class Lpi : public testing::Test {
 protected:
  Lpi() {
    g.enable_all();
    g.command(ItsGuest::mapd(1, 5));
    g.command(ItsGuest::mapti(1, 0, 8192, 1));
    g.run();
  }
  void disable() {
    g.ram.bytes()[0x1'0000] = 0xa0;
    g.command(ItsGuest::inv(1, 0));
  }
  ItsGuest g;
};

TEST_F(Lpi, MovesAwayFromAVcpuThatIsOff) {
  for (const bool all : {false, true}) {
    g.command(ItsGuest::interrupt(1, 0));
    g.gic.park(vcpu(1), g.cpus[1]);
    if (all) {
      g.command(ItsGuest::movall(1, 0));
    } else {
      g.command(ItsGuest::movi(1, 0, 0));
    }
    g.command(ItsGuest::sync(0));
    g.run(0);
    EXPECT_TRUE(g.cpus[0].is_pending(8192)) << (all ? "MOVALL" : "MOVI");
    EXPECT_EQ(g.take(0), 8192u);
    g.gic.start_vcpu(vcpu(1), g.cpus[1]);
    EXPECT_EQ(g.take(1), std::nullopt);
    g.command(ItsGuest::movi(1, 0, 1));
  }
}

TEST_F(Lpi, AMessageOnItsOldWayFollowsAlsoFromAVcpuThatIsOff) {
  g.gic.park(vcpu(1), g.cpus[1]);
  g.command(ItsGuest::movi(1, 0, 0));
  g.gic.pend_lpi(vcpu(1), GuestIntId(8192));
  g.run(0);
  EXPECT_TRUE(g.cpus[0].is_pending(8192));
}

TEST_F(Lpi, IsGoneAfterClearWhereverItMoved) {
  for (const bool in_register : {false, true}) {
    g.command(ItsGuest::movi(1, 0, 1));
    g.command(ItsGuest::interrupt(1, 0));
    if (in_register) g.run(1);
    g.command(ItsGuest::movi(1, 0, 0));
    g.command(ItsGuest::clear(1, 0));
    g.command(ItsGuest::sync(0));
    g.run();
    EXPECT_EQ(g.take(0), std::nullopt) << in_register;
    EXPECT_EQ(g.take(1), std::nullopt) << in_register;
  }
}

// Covers: H49
TEST_F(Lpi, IsNotTheNextDevicesAfterADiscard) {
  g.command(ItsGuest::mapd(2, 5));
  for (const bool in_register : {false, true}) {
    g.command(ItsGuest::mapti(1, 0, 8192, 1));
    g.command(ItsGuest::interrupt(1, 0));
    if (in_register) g.run(1);
    g.command(ItsGuest::movi(1, 0, 0));
    g.command(ItsGuest::discard(1, 0));
    g.command(ItsGuest::sync(0));
    g.command(ItsGuest::mapti(2, 0, 8192, 0));
    g.run();
    EXPECT_EQ(g.take(0), std::nullopt) << in_register;
    EXPECT_EQ(g.take(1), std::nullopt) << in_register;
    g.command(ItsGuest::discard(2, 0));
  }
}

TEST_F(Lpi, ANewMessageAfterClearIsNotClearedWithTheOldOne) {
  g.command(ItsGuest::interrupt(1, 0));
  g.run(1);
  g.command(ItsGuest::clear(1, 0));
  g.command(ItsGuest::interrupt(1, 0));
  EXPECT_EQ(g.take(1), 8192u);
  EXPECT_EQ(g.take(1), std::nullopt);
}

/// Another CPU's command falls between the write of the list register and what follows it.
struct HookedCpu final : port::ListRegisters {
  [[nodiscard]] unsigned count() const override { return real.count(); }
  [[nodiscard]] std::uint64_t read(unsigned i) const override { return real.read(i); }
  void write(unsigned i, std::uint64_t value) override {
    if (before && value != 0) std::exchange(before, nullptr)();
    real.write(i, value);
    if (after && value != 0) std::exchange(after, nullptr)();
  }
  [[nodiscard]] std::uint32_t empty_mask() const override { return real.empty_mask(); }
  void set_maintenance(bool no_pending, bool unlisted_end) override {
    real.set_maintenance(no_pending, unlisted_end);
  }
  unsigned take_unlisted_ends() override { return real.take_unlisted_ends(); }
  [[nodiscard]] bool deactivates_apart() const override { return real.deactivates_apart(); }
  [[nodiscard]] bool line_is_high(unsigned intid) const override {
    return real.line_is_high(intid);
  }
  void deactivate_physical(unsigned intid) override { real.deactivate_physical(intid); }

  fake::Cpu real{4};
  std::function<void()> before;
  std::function<void()> after;
};

struct Command {
  const char* name;
  void (*run)(ItsGuest&);
  bool follows;  // it is pending at vCPU 0 afterwards
};

class InFlight : public Lpi, public testing::WithParamInterface<Command> {};

// Covers: H49
TEST_P(InFlight, IsNotTakenOnceTheCommandIsServed) {
  for (const bool after : {false, true}) {
    HookedCpu own;
    g.gic.pend_lpi(vcpu(1), GuestIntId(8192));
    (after ? own.after : own.before) = [&] {
      GetParam().run(g);
      g.command(ItsGuest::sync(1));
    };
    g.gic.deliver(vcpu(1), own);
    EXPECT_TRUE(g.gic.needs_delivery(vcpu(1))) << "nobody looks again";
    g.gic.deliver(vcpu(1), own);
    EXPECT_FALSE(own.real.is_pending(8192));
    g.run(0);
    EXPECT_EQ(g.cpus[0].is_pending(8192), GetParam().follows);
    // As before, for the other turn.
    g.command(ItsGuest::clear(1, 0));
    g.run();
    g.command(ItsGuest::mapti(1, 0, 8192, 1));
    g.command(ItsGuest::movi(1, 0, 1));
    g.ram.bytes()[0x1'0000] = 0xa1;
    g.command(ItsGuest::inv(1, 0));
    g.run();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Commands, InFlight,
    testing::Values(Command{"discard", [](ItsGuest& g) { g.command(ItsGuest::discard(1, 0)); },
                            false},
                    Command{"clear", [](ItsGuest& g) { g.command(ItsGuest::clear(1, 0)); }, false},
                    Command{"inv",
                            [](ItsGuest& g) {
                              g.ram.bytes()[0x1'0000] = 0xa0;
                              g.command(ItsGuest::inv(1, 0));
                            },
                            false},
                    Command{"movi", [](ItsGuest& g) { g.command(ItsGuest::movi(1, 0, 0)); }, true}),
    [](const auto& param) { return param.param.name; });

// IHI 0069 H 12.11.27: GICR_PENDBASER.PTZ is about one enabling.
TEST_F(Lpi, ThatIsPendingSurvivesASecondEnableWithoutAnotherPtz) {
  constexpr std::uint64_t kRedistributor = 0x2'0000;
  g.gicr_write(1, kRedistributor, 4, 0);
  g.gicr_write(1, kRedistributor + 0x78, 8, 1ULL << 62 | fake::Ram::kBase);
  g.gicr_write(1, kRedistributor, 4, 1);
  disable();
  g.command(ItsGuest::interrupt(1, 0));
  g.gicr_write(1, kRedistributor, 4, 0);
  g.gicr_write(1, kRedistributor, 4, 1);
  g.ram.bytes()[0x1'0000] = 0xa1;
  g.command(ItsGuest::inv(1, 0));
  EXPECT_EQ(g.take(1), 8192u);
}

}  // namespace
}  // namespace penstock::vmsi
