// Where BARs go when a host bridge has several windows, and windows that not every BAR may use.
#include <gtest/gtest.h>

#include <array>

#include "core/pci/isolation.hpp"
#include "core/pci/test_board.hpp"
#include "sim/pci/sriov.hpp"

namespace penstock::pci {
namespace {

constexpr std::uint64_t k4GiB = 4 * kGiB;

std::unique_ptr<sim::PciFunction> card(std::uint64_t size, bool wide, bool prefetchable) {
  auto function = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 0x0001, 0x02'0000});
  function->add_express(sim::PciPortType::kEndpoint, true);
  function->add_bar(0, size, {.is64 = wide, .prefetchable = prefetchable});
  return function;
}

struct Windows : testing::Test {
  const Bar& bar(HostBdf bdf) { return find(board.inventory, bdf)->bars[0]; }
  bool placed(HostBdf bdf) { return find(board.inventory, bdf)->placed; }
  void enumerate(std::span<const HostWindow> windows) {
    pci::enumerate(board.ecam, windows, board.inventory);
  }
  TestBoard board;
};

// Covers: H70
TEST_F(Windows, PrefetchableOneBeyond4GiBTakesNoBarThatMayNotGoThere) {
  board.plug(board.host.root(), 1, 0, card(1 * kMiB, false, false));
  board.plug(board.host.root(), 2, 0, card(1 * kMiB, true, false));
  board.plug(board.host.root(), 3, 0, card(1 * kMiB, true, true));
  enumerate(std::array{HostWindow{0x80'0000'0000, Hpa(0x80'0000'0000), kGiB, true},
                       HostWindow{0x1000'0000, Hpa(0x1000'0000), 16 * kMiB, false}});
  EXPECT_LT(bar({0, 1, 0}).bus, k4GiB);
  EXPECT_LT(bar({0, 2, 0}).bus, k4GiB) << "64 bits, but it may not be prefetched";
  EXPECT_GE(bar({0, 3, 0}).bus, 0x80'0000'0000U);
  board.inventory = {};
  enumerate(std::array{HostWindow{0x80'0000'0000, Hpa(0x80'0000'0000), kGiB, true}});
  EXPECT_FALSE(placed({0, 1, 0}));
  EXPECT_FALSE(placed({0, 2, 0}));
  EXPECT_TRUE(placed({0, 3, 0}));
}

// Covers: H70
TEST_F(Windows, AllOfOneKindAreUsed) {
  for (unsigned device = 1; device <= 3; ++device) {
    board.plug(board.host.root(), device, 0, card(8 * kMiB, false, false));
  }
  const std::array windows = {HostWindow{0x1000'0000, Hpa(0x5000'0000), 8 * kMiB, false},
                              HostWindow{0x2000'0000, Hpa(0x6000'0000), 16 * kMiB, false}};
  enumerate(windows);
  EXPECT_EQ(bar({0, 1, 0}).bus, 0x1000'0000U);
  EXPECT_EQ(bar({0, 1, 0}).host, Hpa(0x5000'0000));
  EXPECT_EQ(bar({0, 2, 0}).bus, 0x2000'0000U);
  EXPECT_EQ(bar({0, 3, 0}).host, Hpa(0x6080'0000));
}

// Covers: H70
TEST_F(Windows, WhatIsBehindABridgeComesFromOneThatHasRoomForAllOfIt) {
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  auto& bridge = board.plug(port.secondary_bus(), 0, 0, sim::pcie_pci_bridge(board.host));
  board.plug(bridge.secondary_bus(), 1, 0, card(4 * kMiB, false, false));
  board.plug(bridge.secondary_bus(), 2, 0, card(4 * kMiB, false, false));
  enumerate(std::array{HostWindow{0x1000'0000, Hpa(0x1000'0000), 6 * kMiB, false},
                       HostWindow{0x2000'0000, Hpa(0x2000'0000), 32 * kMiB, false}});
  // Between the two windows may lie anything: the bridge must not forward what is there.
  EXPECT_GE(bar({2, 1, 0}).bus, 0x2000'0000U);
  EXPECT_GE(bar({2, 2, 0}).bus, 0x2000'0000U);
  const std::uint32_t base = board.ecam.function({0, 1, 0}).read(0x20, 2);
  EXPECT_EQ(base & 0xfff0, 0x2000U);
}

// Covers: H70
TEST_F(Windows, VirtualFunctionsBehindABridgeCountAmongWhatNeedsRoom) {
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  board.plug(port.secondary_bus(), 0, 0, sim::igb_with_vfs());
  enumerate(std::array{HostWindow{0x1000'0000, Hpa(0x1000'0000), 320 * kKiB, false},
                       HostWindow{0x2000'0000, Hpa(0x2000'0000), 256 * kMiB, false}});
  EXPECT_GE(bar({1, 0, 0}).bus, 0x2000'0000U) << "the first has room for the device alone";
  ASSERT_EQ(board.inventory.sriov.size(), 1U);
  EXPECT_EQ(board.inventory.sriov[0].limit, VfLimit::kNone);
}

// Covers: H70
TEST_F(Windows, OneThatCrosses4GiBGivesEachBarThePartThatItReaches) {
  board.plug(board.host.root(), 1, 0, card(256 * kMiB, false, false));
  board.plug(board.host.root(), 2, 0, card(256 * kMiB, true, false));
  enumerate(std::array{HostWindow{0xe000'0000, Hpa(0x10'e000'0000), 2 * kGiB, false}});
  EXPECT_EQ(bar({0, 1, 0}).bus, 0xe000'0000U);
  EXPECT_EQ(bar({0, 2, 0}).bus, k4GiB);
  EXPECT_EQ(bar({0, 2, 0}).host, Hpa(0x11'0000'0000));
}

// Its next MiB, where a bridge's begins, is not an address any more.
// Covers: H70
TEST_F(Windows, OneThatEndsInTheLastMebibyteOf64BitsHasNoRoomBehindABridge) {
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  board.plug(port.secondary_bus(), 0, 0, card(kPageSize, true, true));
  board.plug(board.host.root(), 2, 0, card(kPageSize, true, true));
  constexpr std::uint64_t kStart = 0xffff'ffff'fff0'1000;
  enumerate(std::array{HostWindow{kStart, Hpa(0x80'0000'0000), 16 * kPageSize, true}});
  EXPECT_FALSE(placed({1, 0, 0}));
  EXPECT_EQ(bar({1, 0, 0}).host, Hpa());
}

// It decodes no memory, or its own registers would be wherever firmware had them.
// Covers: H70
TEST_F(Windows, ABridgeWithFixedAddressesForwardsNothingAndWhatIsBehindItIsNotPlaced) {
  auto fixed = sim::pcie_root_port(board.host);
  fixed->add_capability(0x14, 4);  // Enhanced Allocation
  auto& port = board.plug(board.host.root(), 1, 0, std::move(fixed));
  board.plug(port.secondary_bus(), 0, 0, card(kPageSize, false, false));
  enumerate(std::array{HostWindow{0x1000'0000, Hpa(0x1000'0000), 64 * kMiB, false}});
  EXPECT_EQ(board.ecam.function({0, 1, 0}).read(0x04, 2) & 0x2U, 0U);
  EXPECT_EQ(board.ecam.function({1, 0, 0}).read(0x04, 2) & 0x2U, 0U);
  EXPECT_FALSE(find(board.inventory, {1, 0, 0})->placed);
}

}  // namespace
}  // namespace penstock::pci
