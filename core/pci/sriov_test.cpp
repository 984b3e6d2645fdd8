#include "core/pci/sriov.hpp"

#include <gtest/gtest.h>

#include "core/base/address.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/test_board.hpp"
#include "sim/pci/sriov.hpp"

namespace penstock::pci {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

struct Sriov : ::testing::Test {
  /// A PF behind a port of its own, enumerated.
  sim::SriovPf& behind_port(std::unique_ptr<sim::SriovPf> what) {
    port = &board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
    sim::SriovPf& device = board.plug(port->secondary_bus(), 0, 0, std::move(what));
    start_board();
    return device;
  }
  void start_board() {
    EXPECT_TRUE(board.enumerate());
    ASSERT_FALSE(board.inventory.sriov.empty());
    ASSERT_TRUE(pf.init(board.inventory, board.inventory.sriov[0].pf, board.ecam));
  }
  /// All VFs up, or the error; the time that it took is in `now`.
  Status switch_on(unsigned count) {
    TRY(pf.start(count, now));
    return run();
  }
  Status run() {
    for (unsigned i = 0; i < 1000; ++i) {
      const Result<std::uint64_t> until = pf.step(now);
      if (!until) return until.error();
      if (*until == 0) return {};
      now = *until;
    }
    ADD_FAILURE() << "it does not end";
    return {};
  }
  const SriovInfo& info() { return board.inventory.sriov[0]; }

  TestBoard board;
  sim::PciBridge* port = nullptr;
  SriovPf pf;
  std::uint64_t now = 5;
};

// Covers: S3.11
TEST_F(Sriov, BootMeasuresAndPlacesVfsThatAreOff) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  EXPECT_EQ(info().pf, HostBdf(1, 0, 0));
  EXPECT_EQ(info().total, 7);
  EXPECT_EQ(info().usable, 7);
  EXPECT_EQ(info().limit, VfLimit::kNone);
  EXPECT_EQ(describe(info().limit), "");
  EXPECT_EQ(info().device, 0x10ca);
  EXPECT_EQ(vf_bdf(info(), 2), HostBdf(1, 0x10, 4));
  EXPECT_EQ(info().bars[0].size, 0x4000U);
  EXPECT_EQ(vf_window(info(), 0), 0x4000U * 7);
  EXPECT_TRUE(info().bars[0].is64);
  EXPECT_LT(info().bars[0].bus, 4 * kGiB);  // there is plenty of room
  EXPECT_TRUE(port->ari_forwarding());
  EXPECT_EQ(igb.vfs_on(), 0U);
  EXPECT_EQ(igb.peek(igb.sriov_at() + 0x10, 2), 0U);
  EXPECT_EQ(igb.misuses(), 0U);
  // Apart from all other BARs, and behind the port's windows.
  for (const Bar& vf : info().bars) {
    if (vf.size == 0) continue;
    EXPECT_TRUE(port->forwards(vf.bus) && port->forwards(vf.bus + 7 * vf.size - 1));
    for (const Bar& bar : find(board.inventory, HostBdf(1, 0, 0))->bars) {
      EXPECT_FALSE(overlaps(vf.bus, 7 * vf.size, bar.bus, bar.size));
    }
  }
}

// Covers: S3.11
TEST_F(Sriov, VfsAnswerAfterTheTimeThatTheyMayTake) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  const std::uint64_t before = now;
  ASSERT_TRUE(switch_on(3));
  EXPECT_GE(now - before, 100 * kMs);
  EXPECT_EQ(pf.state(), SriovPf::State::kOn);
  EXPECT_EQ(pf.count(), 3U);
  EXPECT_EQ(igb.vfs_on(), 3U);
  EXPECT_EQ(igb.misuses(), 0U);
  const auto vf = pf.vf(1);
  ASSERT_TRUE(vf.has_value());
  EXPECT_EQ(vf->bdf, HostBdf(1, 0x10, 2));
  EXPECT_TRUE(vf->is_vf);
  EXPECT_EQ(vf->pf, HostBdf(1, 0, 0));
  EXPECT_EQ(vf->vendor, 0x8086);
  EXPECT_EQ(vf->device, 0x10ca);
  EXPECT_EQ(vf->class_code, 0x02'0000U);
  EXPECT_EQ(vf->subsystem_vendor, 0x8086);
  EXPECT_TRUE(vf->flr_express);
  EXPECT_NE(vf->msix, 0);
  EXPECT_FALSE(vf->sriov);
  EXPECT_EQ(vf->group, vf->bdf.value());  // the port has ACS
  EXPECT_EQ(vf->bars[0].bus, info().bars[0].bus + 0x4000);
  EXPECT_EQ(vf->bars[0].host.value(), vf->bars[0].bus);
  EXPECT_EQ(vf->bars[0].bus, igb.vf(1).bar_address(0));
  for (unsigned i = 0; i < info().bars.size(); ++i) {
    if (info().bars[i].size == 0) continue;
    EXPECT_EQ(igb.peek(igb.sriov_at() + 0x24 + 4 * i, 4) & ~0xfU, info().bars[i].bus) << i;
  }
  // They decode, each in its place, and master nothing.
  board.host.memory_write(vf->bars[0].bus, 4, 0xabcd);
  EXPECT_EQ(igb.vf(1).bar_memory(0)[0], 0xcd);
  EXPECT_EQ(board.host.unclaimed(), 0U);
  EXPECT_FALSE(igb.vf(1).bus_master());
  EXPECT_FALSE(pf.vf(3).has_value());
}

TEST_F(Sriov, WithoutAcsAboveVfsShareThePathsGroup) {
  port = &board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host, 0));
  board.plug(port->secondary_bus(), 0, 0, sim::igb_with_vfs());
  start_board();
  ASSERT_TRUE(switch_on(1));
  EXPECT_EQ(pf.vf(0)->group, HostBdf(0, 1, 0).value());
}

// Covers: S3.11
TEST_F(Sriov, AVfThatDoesNotAnswerEndsItForAll) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  igb.vf(2).hold_in_reset(true);
  const Status up = switch_on(4);
  ASSERT_FALSE(up);
  EXPECT_EQ(up.error().code, Code::kTimeout);
  EXPECT_EQ(up.error().arg, HostBdf(1, 0x10, 4).value());
  EXPECT_GE(now, 1000 * kMs);
  EXPECT_EQ(pf.count(), 0U);
  EXPECT_EQ(igb.vfs_on(), 0U);
  igb.vf(2).hold_in_reset(false);
  ASSERT_TRUE(switch_on(4));
  EXPECT_EQ(pf.count(), 4U);
}

TEST_F(Sriov, ALateVfIsWaitedFor) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  ASSERT_TRUE(pf.start(2, now));
  igb.vf(1).ready_after(3);
  igb.vf(1).hold_in_reset(true);
  igb.vf(1).hold_in_reset(false);
  ASSERT_TRUE(run());
  EXPECT_EQ(pf.count(), 2U);
}

// Covers: S3.11
TEST_F(Sriov, AfterSwitchingOffTheCapabilityRestsForASecond) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  ASSERT_TRUE(switch_on(2));
  pf.stop(now);
  EXPECT_EQ(igb.vfs_on(), 0U);
  EXPECT_EQ(pf.state(), SriovPf::State::kSettling);
  EXPECT_FALSE(pf.vf(0).has_value());
  const unsigned accesses = board.host.config_accesses();
  const std::uint64_t off_at = now;
  ASSERT_TRUE(pf.start(5, now));
  EXPECT_EQ(pf.start(5, now).error().code, Code::kBadState);
  ASSERT_TRUE(pf.step(now + 500 * kMs));
  EXPECT_EQ(board.host.config_accesses(), accesses);
  ASSERT_TRUE(run());
  EXPECT_GE(now - off_at, 1100 * kMs);
  EXPECT_EQ(pf.count(), 5U);
  EXPECT_EQ(igb.misuses(), 0U);
}

TEST_F(Sriov, StoppingWhatWasOnlyNotedForgetsIt) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  ASSERT_TRUE(switch_on(2));
  pf.stop(now);
  ASSERT_TRUE(pf.start(5, now));
  pf.stop(now);
  ASSERT_TRUE(run());
  EXPECT_EQ(pf.state(), SriovPf::State::kOff);
  EXPECT_EQ(igb.vfs_on(), 0U);
}

TEST_F(Sriov, WhereNothingWasBegunThereIsNoNextPart) {
  behind_port(sim::igb_with_vfs());
  EXPECT_EQ(pf.step(now).value_or(1), 0U);
  EXPECT_EQ(pf.state(), SriovPf::State::kOff);
  ASSERT_TRUE(switch_on(2));
  EXPECT_EQ(pf.step(now).value_or(1), 0U);
  EXPECT_EQ(pf.count(), 2U);
}

TEST_F(Sriov, CountsThatCannotBeAreRefused) {
  behind_port(sim::igb_with_vfs());
  EXPECT_EQ(pf.start(0, now).error().code, Code::kOutOfRange);
  EXPECT_EQ(pf.start(8, now).error().code, Code::kOutOfRange);
  EXPECT_EQ(pf.start(8, now).error().arg, 7U);
  ASSERT_TRUE(pf.start(1, now));
  EXPECT_EQ(pf.start(1, now).error().code, Code::kBadState);
  EXPECT_EQ(pf.init(board.inventory, HostBdf(0, 1, 0), board.ecam).error().code, Code::kNotFound);
}

TEST_F(Sriov, APfThatIsGoneRefusesAndStaysOff) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  igb.hold_in_reset(true);
  EXPECT_EQ(pf.start(1, now).error().code, Code::kHardwareError);
  EXPECT_EQ(pf.state(), SriovPf::State::kOff);
}

// Covers: S3.11
TEST_F(Sriov, AResetOfThePfTakesItsVfsAndLeavesRoomForNewOnes) {
  sim::SriovPf& igb = behind_port(sim::igb_with_vfs());
  ASSERT_TRUE(switch_on(2));
  igb.config_write(igb.express_at() + 8, 2, 0x8000);
  EXPECT_EQ(igb.vfs_on(), 0U);
  pf.after_reset();
  EXPECT_EQ(pf.count(), 0U);
  ASSERT_TRUE(switch_on(3));
  EXPECT_EQ(igb.vf(2).bar_address(0), info().bars[0].bus + 0x8000);
}

TEST_F(Sriov, WithoutAriOnlyTheFirstEightNumbersAreReached) {
  auto ethernet = sim::igb_with_vfs();
  port = &board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  port->poke(port->express_at() + 0x24, 4, 0);
  board.plug(port->secondary_bus(), 0, 0, std::move(ethernet));
  auto& port2 = board.plug(board.host.root(), 2, 0, sim::pcie_root_port(board.host));
  port2.poke(port2.express_at() + 0x24, 4, 0);
  board.plug(port2.secondary_bus(), 0, 0, sim::nvme_with_vfs(12));
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.sriov[0].usable, 0);
  EXPECT_EQ(board.inventory.sriov[0].limit, VfLimit::kNoAri);
  EXPECT_NE(describe(VfLimit::kNoAri), "");
  EXPECT_EQ(board.inventory.sriov[1].usable, 7);
  EXPECT_EQ(board.inventory.sriov[1].limit, VfLimit::kNoAri);
  ASSERT_TRUE(pf.init(board.inventory, HostBdf(2, 0, 0), board.ecam));
  ASSERT_TRUE(switch_on(7));
  EXPECT_EQ(pf.vf(6)->bdf, HostBdf(2, 0, 7));
}

TEST_F(Sriov, VfsOnTheNextBusReserveItAndOnTheRootBusAreRefused) {
  auto far = sim::nvme_with_vfs(4);
  far->poke(far->sriov_at() + 0x14, 2, 0xff);
  port = &board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  board.plug(port->secondary_bus(), 0, 0, std::move(far));
  auto& port2 = board.plug(board.host.root(), 2, 0, sim::pcie_root_port(board.host));
  board.plug(port2.secondary_bus(), 0, 0, sim::nvme_like());
  auto local = sim::nvme_with_vfs(4);
  local->poke(local->sriov_at() + 0x14, 2, 0xff);
  board.plug(board.host.root(), 3, 0, std::move(local));
  ASSERT_TRUE(board.enumerate());
  const SriovInfo* behind = find_sriov(board.inventory, HostBdf(1, 0, 0));
  EXPECT_EQ(behind->usable, 4);
  EXPECT_EQ(vf_bdf(*behind, 1), HostBdf(2, 0, 0));
  EXPECT_EQ(port->subordinate(), 2U);
  EXPECT_EQ(port2.secondary(), 3U);
  const SriovInfo* on_root = find_sriov(board.inventory, HostBdf(0, 3, 0));
  EXPECT_EQ(on_root->usable, 0);
  EXPECT_EQ(on_root->limit, VfLimit::kBusRange);
}

TEST_F(Sriov, VfsInAnothersPlaceAreRefused) {
  board.plug(board.host.root(), 1, 0, sim::nvme_with_vfs(8));  // VF 7 would be 00:02.0
  board.plug(board.host.root(), 2, 0, sim::nvme_like());
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.sriov[0].usable, 0);
  EXPECT_EQ(board.inventory.sriov[0].limit, VfLimit::kBroken);
}

TEST_F(Sriov, CapabilitiesThatMakeNoSenseGiveNoVfs) {
  struct Case {
    const char* what;
    unsigned offset, size;
    std::uint32_t value;
  };
  for (const Case& c : {Case{"no first offset", 0x14, 2, 0}, Case{"no stride", 0x16, 2, 0},
                        Case{"fewer at first", 0x0c, 2, 3}, Case{"no 4 KiB pages", 0x1c, 4, 0x550},
                        Case{"left on", 0x08, 2, 1}, Case{"I/O BAR", 0x24, 4, 1}}) {
    TestBoard other;
    auto& above = other.plug(other.host.root(), 1, 0, sim::pcie_root_port(other.host));
    auto& device = other.plug(above.secondary_bus(), 0, 0, sim::igb_with_vfs());
    device.poke(device.sriov_at() + c.offset, c.size, c.value);
    ASSERT_TRUE(other.enumerate());
    EXPECT_EQ(other.inventory.sriov[0].usable, 0) << c.what;
    EXPECT_EQ(other.inventory.sriov[0].limit, VfLimit::kBroken) << c.what;
  }
}

TEST_F(Sriov, BarsThatWouldTakeTheWindowFromOthersAreNotPlaced) {
  auto greedy = std::make_unique<sim::SriovPf>(sim::PciIdentity{0x1234, 0x5678, 0x02'0000});
  greedy->add_express(sim::PciPortType::kEndpoint, true);
  greedy->add_sriov({.vfs = 64, .offset = 1, .stride = 1, .device = 0x1});
  greedy->add_vf_bar(0, 16 * kMiB, {});
  port = &board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  greedy->add_extended(0x000e, 8);
  board.plug(port->secondary_bus(), 0, 0, std::move(greedy));
  auto& port2 = board.plug(board.host.root(), 2, 0, sim::pcie_root_port(board.host));
  board.plug(port2.secondary_bus(), 0, 0, sim::igb_like());
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.sriov[0].limit, VfLimit::kNoRoom);
  EXPECT_TRUE(find(board.inventory, HostBdf(2, 0, 0))->placed);
}

TEST_F(Sriov, AriDevicesShowFunctionsBeyondTheEighth) {
  port = &board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  const auto function = [&](unsigned number, unsigned next) {
    auto f = sim::nvme_like();
    const unsigned at = f->add_extended(0x000e, 8);
    f->poke(at + 4, 2, next << 8);
    board.plug(port->secondary_bus(), number >> 3, number & 7, std::move(f));
  };
  function(0, 3);
  function(3, 0x21);
  function(0x21, 0x10);  // a chain that goes back ends
  ASSERT_TRUE(board.enumerate());
  EXPECT_NE(find(board.inventory, HostBdf(1, 0, 0)), nullptr);
  EXPECT_NE(find(board.inventory, HostBdf(1, 0, 3)), nullptr);
  EXPECT_NE(find(board.inventory, HostBdf(1, 4, 1)), nullptr);
  EXPECT_EQ(board.inventory.functions.size(), 4U);
}

// Their numbers and addresses are given to others.
TEST_F(Sriov, VfsThatFirmwareLeftOnAreSwitchedOffWhereThePfGetsNone) {
  auto fixed = sim::igb_with_vfs();
  fixed->add_capability(0x14, 4);  // Enhanced Allocation
  board.plug(board.host.root(), 1, 0, std::move(fixed));
  EXPECT_TRUE(board.enumerate());
  auto config = board.ecam.function({0, 1, 0});
  const unsigned control = find(board.inventory, {0, 1, 0})->sriov_at + 8U;
  config.write(control, 2, 0x9);  // VF Enable, VF Memory Space Enable
  EXPECT_EQ(config.read(control, 2) & 0x9U, 0x9U);
  EXPECT_TRUE(board.enumerate());
  EXPECT_TRUE(board.inventory.sriov.empty());
  EXPECT_EQ(config.read(control, 2) & 0x9U, 0U);
}

}  // namespace
}  // namespace penstock::pci
