#include "core/pci/risk.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string_view>
#include <vector>

#include "core/pci/isolation.hpp"
#include "core/pci/statement.hpp"
#include "core/pci/test_board.hpp"

namespace penstock::pci {
namespace {

std::vector<std::string_view> names(TestBoard& board, HostBdf bdf) {
  std::vector<std::string_view> out;
  EcamFunction config = board.ecam.function(bdf);
  risks_of(board.inventory, *find(board.inventory, bdf), config).for_each([&](const RiskRow& row) {
    out.push_back(row.name);
  });
  return out;
}

// Covers: S3.26 S3.29
TEST(Risk, EachFunctionIsSpokenOfByItsOwnFacts) {
  TestBoard board;
  board.plug(board.host.root(), 1, 0, sim::nvme_like());
  board.plug(board.host.root(), 2, 0, sim::igb_like());
  board.plug(board.host.root(), 3, 0, std::make_unique<sim::EduLike>());
  auto& port = board.plug(board.host.root(), 4, 0, sim::pcie_root_port(board.host));
  auto& bridge = board.plug(port.secondary_bus(), 0, 0, sim::pcie_pci_bridge(board.host));
  board.plug(bridge.secondary_bus(), 0, 0, std::make_unique<sim::EduLike>());
  board.plug(bridge.secondary_bus(), 1, 0, std::make_unique<sim::EduLike>());
  ASSERT_TRUE(board.enumerate());
  using List = std::vector<std::string_view>;
  EXPECT_EQ(names(board, HostBdf(0, 1, 0)), List{"firmware"});
  EXPECT_EQ(names(board, HostBdf(0, 2, 0)), (List{"sr-iov", "option-rom", "firmware"}));
  EXPECT_EQ(names(board, HostBdf(0, 3, 0)), (List{"no-reset", "conventional-pci"}));
  EXPECT_EQ(names(board, HostBdf(2, 1, 0)),
            (List{"shared-group", "aliased-requester", "conventional-pci"}))
      << "its bus can be reset";
}

// Covers: H61
TEST(Risk, WhatTheHeaderHidesIsSaidAndRefused) {
  TestBoard board;
  // A non-transparent bridge has the header of an endpoint, and the class of a bridge.
  auto ntb = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x8086, 0x37a3, 0x06'8000});
  ntb->add_express(sim::PciPortType::kEndpoint, true);
  board.plug(board.host.root(), 1, 0, std::move(ntb));
  auto accelerator = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x8086, 0x1, 0x12'0000});
  accelerator->add_bar(0, 0x1000, {});
  accelerator->add_express(sim::PciPortType::kEndpoint, true);
  const unsigned at = accelerator->add_extended(0x0023, 0x10);
  accelerator->poke(at + 4, 4, 0x0381'1e98);
  board.plug(board.host.root(), 2, 0, std::move(accelerator));
  auto fixed = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x177d, 0xa01e, 0x02'0000});
  fixed->add_express(sim::PciPortType::kEndpoint, true);
  fixed->add_capability(0x14, 4);
  board.plug(board.host.root(), 3, 0, std::move(fixed));
  ASSERT_TRUE(board.enumerate());
  using List = std::vector<std::string_view>;
  EXPECT_EQ(names(board, HostBdf(0, 1, 0)), (List{"bridge", "no-messages", "firmware"}));
  EXPECT_EQ(names(board, HostBdf(0, 2, 0)), (List{"cxl", "no-messages", "firmware"}));
  EXPECT_EQ(names(board, HostBdf(0, 3, 0)), (List{"no-messages", "not-placed", "firmware"}));
  Risks bridge;
  bridge.add(Risk::kBridge);
  EXPECT_EQ(refusal_of(bridge, {true, true, true}), Risk::kBridge) << "no word helps";
  Risks cxl;
  cxl.add(Risk::kCxl);
  EXPECT_EQ(refusal_of(cxl, {true, false, true}), Risk::kCxl);
  EXPECT_FALSE(refusal_of(cxl, {true, true, true}));
  EXPECT_EQ(board.inventory.functions[2].bars[0].size, 0U);
}

// Covers: S3.29
TEST(Risk, WhatTheRegistersSay) {
  TestBoard board;
  auto& nvme = board.plug(board.host.root(), 1, 0, sim::nvme_like());
  auto gpu = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x10de, 0x1db4, 0x03'0000});
  gpu->add_bar(0, 0x100'0000, {});
  gpu->add_power(false);
  gpu->add_express(sim::PciPortType::kEndpoint, false);
  gpu->add_extended(0x000f, 8);
  board.plug(board.host.root(), 2, 0, std::move(gpu));
  ASSERT_TRUE(board.enumerate());
  using List = std::vector<std::string_view>;
  EXPECT_EQ(names(board, HostBdf(0, 2, 0)),
            (List{"config-mirror", "weak-reset", "no-messages", "ats", "firmware"}));
  nvme.poke(0x04, 2, nvme.peek(0x04, 2) | 0x100);  // SERR Enable
  nvme.poke(0x3d, 1, 1);
  board.inventory.functions[0].phantom = 2;
  EXPECT_EQ(names(board, HostBdf(0, 1, 0)),
            (List{"error-reports", "phantom-functions", "shared-interrupt", "firmware"}));
  nvme.poke(0x04, 2, nvme.peek(0x04, 2) & ~0x100U);
  const List others{"phantom-functions", "shared-interrupt", "firmware"};
  EXPECT_EQ(names(board, HostBdf(0, 1, 0)), others);
  const unsigned control = board.inventory.functions[0].express_at + 8U;
  nvme.poke(control, 2, nvme.peek(control, 2) | 0x4);  // Fatal Error Reporting Enable
  EXPECT_EQ(names(board, HostBdf(0, 1, 0))[0], "error-reports");
}

// Covers: S3.29
TEST(Risk, EveryRiskHasANameAMeaningAndAGuard) {
  std::set<std::string_view> seen;
  for (unsigned i = 0; i < kRiskCount; ++i) {
    const auto risk = static_cast<Risk>(i);
    EXPECT_TRUE(seen.insert(name_of(risk)).second);
    EXPECT_GT(meaning_of(risk).size(), 20U);
    EXPECT_GE(risk_table()[i].guard.size(), 7U);
    // What has to be accepted is never supported; of the rest, what nobody can use is not either.
    if (needs_acceptance(risk)) EXPECT_EQ(risk_table()[i].at_most, Support::kNotSupported);
  }
  EXPECT_TRUE(needs_acceptance(Risk::kNoReset));
  EXPECT_FALSE(needs_acceptance(Risk::kOptionRom));
}

}  // namespace
}  // namespace penstock::pci
