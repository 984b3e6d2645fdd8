#include "core/pci/isolation.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/pci/test_board.hpp"

namespace penstock::pci {
namespace {

std::uint16_t group(const TestBoard& board, unsigned bus, unsigned device, unsigned function) {
  return group_of(board.inventory, HostBdf(bus, device, function)).value();
}

// Covers: S3.26
TEST(Isolation, PortsWithAccessControlKeepFunctionsApart) {
  TestBoard board;
  for (unsigned i = 1; i <= 2; ++i) {
    auto& port = board.plug(board.host.root(), i, 0, sim::pcie_root_port(board.host));
    board.plug(port.secondary_bus(), 0, 0, sim::nvme_like());
  }
  ASSERT_TRUE(board.enumerate());
  EXPECT_NE(group(board, 1, 0, 0), group(board, 2, 0, 0));
  EXPECT_EQ(group(board, 1, 0, 0), HostBdf(1, 0, 0).value());
}

// Covers: S3.26
TEST(Isolation, PortsOfOneDeviceWithoutAccessControlAreOneGroupWithAllBehindThem) {
  TestBoard board;
  for (unsigned i = 0; i < 2; ++i) {
    auto& port = board.plug(board.host.root(), 1, i, sim::pcie_root_port(board.host, 0));
    port.set_multi_function();
    board.plug(port.secondary_bus(), 0, 0, sim::nvme_like());
  }
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(group(board, 1, 0, 0), group(board, 2, 0, 0));
  unsigned neighbours = 0;
  for_each_neighbour(board.inventory, *find(board.inventory, HostBdf(1, 0, 0)),
                     [&](const FunctionInfo& other) {
                       ++neighbours;
                       EXPECT_EQ(other.bdf, HostBdf(2, 0, 0));
                     });
  EXPECT_EQ(neighbours, 1U);
}

TEST(Isolation, HalfAnAccessControlIsNone) {
  TestBoard board;
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host, 0x01));
  board.plug(port.secondary_bus(), 0, 0, sim::nvme_like());
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(group(board, 1, 0, 0), HostBdf(0, 1, 0).value());
}

TEST(Isolation, FunctionsOfOneDevice) {
  TestBoard board;
  for (unsigned i = 0; i < 3; ++i) {
    auto plain = sim::nvme_like();
    auto careful = sim::nvme_like();
    careful->add_acs(0x0c);
    if (i == 0) plain->set_multi_function();
    if (i == 0) careful->set_multi_function();
    board.plug(board.host.root(), 1, i, std::move(plain));
    board.plug(board.host.root(), 2, i, std::move(careful));
  }
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(group(board, 0, 1, 0), group(board, 0, 1, 2));
  EXPECT_NE(group(board, 0, 2, 0), group(board, 0, 2, 1));
  EXPECT_EQ(group_of(board.inventory, HostBdf(0, 9, 0)).error().code, Code::kNotFound);
}

// Covers: H2 H38
TEST(Isolation, BehindABridgeToConventionalPciAllAreSeenAsTheBridge) {
  TestBoard board;
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  auto& bridge = board.plug(port.secondary_bus(), 0, 0, sim::pcie_pci_bridge(board.host));
  auto& edu = board.plug(bridge.secondary_bus(), 4, 0, std::make_unique<sim::EduLike>());
  board.plug(bridge.secondary_bus(), 5, 0, std::make_unique<sim::EduLike>());
  ASSERT_TRUE(board.enumerate());
  const HostBdf bdf(2, 4, 0);
  EXPECT_TRUE(find(board.inventory, bdf)->aliased);
  EXPECT_EQ(group(board, 2, 4, 0), group(board, 2, 5, 0));
  const RequesterIds ids = requester_ids(board.inventory, bdf);
  ASSERT_EQ(ids.size(), 2U);
  EXPECT_EQ(ids[0], bdf.value());
  EXPECT_EQ(ids[1], HostBdf(2, 0, 0).value());

  // The model's own idea of what the root complex sees.
  struct Spy final : sim::DmaBus {
    bool read(std::uint32_t, std::uint64_t, std::span<std::uint8_t>) override { return true; }
    bool write(std::uint32_t requester, std::uint64_t, std::span<const std::uint8_t>) override {
      seen = requester;
      return true;
    }
    std::uint32_t seen = 0;
  } spy;
  (void)edu;
  sim::PciHost other(spy);
  auto port2 = sim::pcie_root_port(other);
  auto bridge2 = sim::pcie_pci_bridge(other);
  sim::EduLike edu2;
  other.root().plug(1, 0, *port2);
  port2->secondary_bus().plug(0, 0, *bridge2);
  bridge2->secondary_bus().plug(4, 0, edu2);
  Ecam ecam;
  ecam.init(other, sim::PciHost::kEcamBytes, 0, 255);
  Inventory inventory;
  enumerate(ecam, TestBoard::kWindows, inventory);
  edu2.config_write(4, 2, 6);
  const std::array<std::uint8_t, 4> bytes{};
  ASSERT_TRUE(edu2.dma_write(0x4000'0000, bytes));
  EXPECT_EQ(spy.seen, ids[1]);
}

// Covers: S3.23
TEST(Isolation, WhereAFunctionLeavesTheRootBus) {
  TestBoard board;
  board.plug(board.host.root(), 1, 0, sim::nvme_like());
  auto& port = board.plug(board.host.root(), 2, 0, sim::pcie_root_port(board.host));
  auto& bridge = board.plug(port.secondary_bus(), 0, 0, sim::pcie_pci_bridge(board.host));
  board.plug(bridge.secondary_bus(), 3, 0, std::make_unique<sim::EduLike>());
  ASSERT_TRUE(board.enumerate());
  const auto root = [&](HostBdf bdf) {
    return root_function(board.inventory, *find(board.inventory, bdf));
  };
  EXPECT_EQ(root(HostBdf(0, 1, 0)), HostBdf(0, 1, 0));
  EXPECT_EQ(root(HostBdf(1, 0, 0)), HostBdf(0, 2, 0));
  EXPECT_EQ(root(HostBdf(2, 3, 0)), HostBdf(0, 2, 0));
  FunctionInfo vf = *find(board.inventory, HostBdf(0, 1, 0));
  vf.is_vf = true;
  vf.pf = vf.bdf;
  vf.bdf = HostBdf(9, 0, 0);
  EXPECT_EQ(root_function(board.inventory, vf), HostBdf(0, 1, 0));
}

// Covers: S3.21
TEST(Isolation, ABusThatCanBeReset) {
  TestBoard board;
  auto& port1 = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  auto& port2 = board.plug(board.host.root(), 2, 0, sim::pcie_root_port(board.host));
  board.plug(port1.secondary_bus(), 0, 0, sim::nvme_like());
  auto first = sim::nvme_like();
  first->set_multi_function();
  board.plug(port2.secondary_bus(), 0, 0, std::move(first));
  board.plug(port2.secondary_bus(), 0, 1, sim::nvme_like());
  board.plug(board.host.root(), 3, 0, sim::nvme_like());
  ASSERT_TRUE(board.enumerate());
  const auto bridge = [&](HostBdf bdf) {
    return resettable_bus(board.inventory, *find(board.inventory, bdf));
  };
  ASSERT_NE(bridge(HostBdf(1, 0, 0)), nullptr);
  EXPECT_EQ(bridge(HostBdf(1, 0, 0))->bdf, HostBdf(0, 1, 0));
  ASSERT_NE(bridge(HostBdf(2, 0, 1)), nullptr);
  EXPECT_EQ(bridge(HostBdf(2, 0, 1))->bdf, HostBdf(0, 2, 0));
  EXPECT_EQ(bridge(HostBdf(0, 3, 0)), nullptr);
  // A virtual function is never reset with the bus, and does not count.
  FunctionInfo vf = *find(board.inventory, HostBdf(1, 0, 0));
  vf.bdf = HostBdf(1, 1, 0);
  vf.is_vf = true;
  ASSERT_TRUE(board.inventory.functions.push_back(vf));
  EXPECT_EQ(resettable_bus(board.inventory, vf), nullptr);
  EXPECT_NE(bridge(HostBdf(1, 0, 0)), nullptr);
  // A bus with somebody on it who does not come back from that is left alone.
  FunctionInfo& neighbour =
      *std::find_if(board.inventory.functions.begin(), board.inventory.functions.end(),
                    [](const FunctionInfo& each) { return each.bdf == HostBdf(2, 0, 0); });
  neighbour.vendor = 0x104c;
  neighbour.device = 0xb005;
  EXPECT_EQ(bridge(HostBdf(2, 0, 1)), nullptr);
  // Nor is a bus with a bridge on it, nor one with more than are reset together.
  FunctionInfo other = vf;
  other.is_vf = false;
  other.bridge = true;
  board.inventory.functions.back() = other;
  EXPECT_EQ(bridge(HostBdf(1, 0, 0)), nullptr);
  board.inventory.functions.back().bridge = false;
  EXPECT_NE(bridge(HostBdf(1, 0, 0)), nullptr);
  for (unsigned i = 2; i <= kMaxResetTogether; ++i) {
    other.bridge = false;
    other.bdf = HostBdf(1, i, 0);
    ASSERT_TRUE(board.inventory.functions.push_back(other));
  }
  EXPECT_EQ(bridge(HostBdf(1, 0, 0)), nullptr);
}

}  // namespace
}  // namespace penstock::pci
