#include "core/pci/risk.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string_view>
#include <vector>

#include "core/pci/isolation.hpp"
#include "core/pci/test_board.hpp"

namespace penstock::pci {
namespace {

std::vector<std::string_view> names(TestBoard& board, HostBdf bdf) {
  std::vector<std::string_view> out;
  EcamFunction config = board.ecam.function(bdf);
  for (const Risk risk : risks_of(board.inventory, *find(board.inventory, bdf), config)) {
    out.push_back(name_of(risk));
  }
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
  EXPECT_EQ(names(board, HostBdf(0, 1, 0)), List{});
  EXPECT_EQ(names(board, HostBdf(0, 2, 0)), (List{"sr-iov", "option-rom"}));
  EXPECT_EQ(names(board, HostBdf(0, 3, 0)), (List{"no-reset", "conventional-pci"}));
  EXPECT_EQ(names(board, HostBdf(2, 1, 0)),
            (List{"no-reset", "shared-group", "aliased-requester", "conventional-pci"}));
}

// Covers: S3.29
TEST(Risk, EveryRiskHasANameAndAMeaning) {
  std::set<std::string_view> seen;
  for (unsigned i = 0; i < kRiskCount; ++i) {
    const auto risk = static_cast<Risk>(i);
    EXPECT_TRUE(seen.insert(name_of(risk)).second);
    EXPECT_GT(meaning_of(risk).size(), 20U);
  }
  EXPECT_TRUE(needs_acceptance(Risk::kNoReset));
  EXPECT_FALSE(needs_acceptance(Risk::kOptionRom));
}

}  // namespace
}  // namespace penstock::pci
