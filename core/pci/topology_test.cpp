// Isolation groups of topologies that Linux documents (drivers/iommu/iommu.c, drivers/pci/pci.c:
// pci_acs_enabled), built as inventories: a row for each function.
#include <gtest/gtest.h>

#include <array>

#include <vector>

#include "core/hw/pci/express.hpp"
#include "core/pci/isolation.hpp"

namespace penstock::pci {
namespace {

using PortType = hw::pci::express::PortType;

struct Topology {
  FunctionInfo& add(HostBdf bdf, PortType type, bool acs = false) {
    FunctionInfo info;
    info.bdf = bdf;
    info.express = true;
    info.port_type = static_cast<std::uint8_t>(type);
    info.acs = acs;
    EXPECT_TRUE(inventory.functions.push_back(info));
    return inventory.functions.back();
  }
  FunctionInfo& bridge(HostBdf bdf, PortType type, bool acs, unsigned secondary,
                       unsigned subordinate) {
    FunctionInfo& info = add(bdf, type, acs);
    info.bridge = true;
    info.secondary = static_cast<std::uint8_t>(secondary);
    info.subordinate = static_cast<std::uint8_t>(subordinate);
    return info;
  }
  FunctionInfo& endpoint(HostBdf bdf, bool acs = false) {
    return add(bdf, PortType::kEndpoint, acs);
  }
  bool together(HostBdf a, HostBdf b) {
    return group_of(inventory, a).value() == group_of(inventory, b).value();
  }
  Inventory inventory;
};

constexpr HostBdf kPort(0, 1, 0);

// Covers: S3.26
TEST(Topology, EachRootPortWithoutAcsIsAGroupWithWhatIsBehindIt) {
  Topology t;
  t.bridge(kPort, PortType::kRootPort, false, 1, 1);
  t.endpoint({1, 0, 0});
  t.bridge({0, 2, 0}, PortType::kRootPort, false, 2, 2);
  t.endpoint({2, 0, 0});
  find_groups(t.inventory);
  EXPECT_TRUE(t.together(kPort, {1, 0, 0}));
  EXPECT_FALSE(t.together({1, 0, 0}, {2, 0, 0}));
  const GroupMembers members = group_members(t.inventory, kPort.value());
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[0], kPort);
  EXPECT_EQ(members[1], HostBdf(1, 0, 0));
}

// Covers: H62 S3.26
TEST(Topology, FunctionsWithOneStreamIdOrOneDeviceIdAreOneGroup) {
  Topology t;
  for (const unsigned device : {1U, 2U, 3U, 4U}) t.endpoint({0, device, 0});
  IdMap streams;
  streams.set_mask(0xff'fff7);  // device 1 is seen as device 0, 3 as 2
  ASSERT_TRUE(streams.add(0, 0x100, 0x100));
  IdMap messages;
  ASSERT_TRUE(messages.add(0x18, 5, 8));
  ASSERT_TRUE(messages.add(0x20, 5, 8));
  ASSERT_TRUE(messages.add(0, 0, 0x18));
  find_groups(t.inventory, std::array<const IdMap*, 1>{&messages});
  EXPECT_TRUE(t.together({0, 3, 0}, {0, 4, 0}));
  EXPECT_FALSE(t.together({0, 1, 0}, {0, 2, 0}));
  find_groups(t.inventory, std::array<const IdMap*, 1>{&streams});
  EXPECT_TRUE(t.together({0, 2, 0}, {0, 3, 0}));
  EXPECT_FALSE(t.together({0, 3, 0}, {0, 4, 0}));
  EXPECT_FALSE(t.together({0, 1, 0}, {0, 2, 0}));
  find_groups(t.inventory);
  EXPECT_FALSE(t.together({0, 2, 0}, {0, 3, 0}));
}

/// A root port with ACS, above a switch with two downstream ports that have it or not.
Topology with_switch(bool first, bool second) {
  Topology t;
  t.bridge(kPort, PortType::kRootPort, true, 1, 4);
  t.bridge({1, 0, 0}, PortType::kUpstreamPort, false, 2, 4);
  t.bridge({2, 0, 0}, PortType::kDownstreamPort, first, 3, 3);
  t.bridge({2, 1, 0}, PortType::kDownstreamPort, second, 4, 4);
  t.endpoint({3, 0, 0});
  t.endpoint({4, 0, 0});
  find_groups(t.inventory);
  return t;
}

// Covers: S3.26
TEST(Topology, DownstreamPortsWithAcsKeepTheirDevicesApart) {
  Topology t = with_switch(true, true);
  EXPECT_FALSE(t.together({3, 0, 0}, {4, 0, 0}));
  EXPECT_FALSE(t.together({3, 0, 0}, {2, 0, 0}));
  EXPECT_FALSE(t.together({3, 0, 0}, kPort));
}

// Covers: S3.26
TEST(Topology, OneDownstreamPortWithoutAcsOpensTheWholeSwitch) {
  for (const bool second : {false, true}) {
    Topology t = with_switch(false, second);
    EXPECT_TRUE(t.together({3, 0, 0}, {4, 0, 0}));
    EXPECT_TRUE(t.together({3, 0, 0}, {2, 1, 0}));
    EXPECT_FALSE(t.together({3, 0, 0}, kPort));
  }
}

// Covers: S3.26
TEST(Topology, NoAcsAboveASwitchCountsMoreThanAcsInIt) {
  Topology t;
  t.bridge(kPort, PortType::kRootPort, false, 1, 4);
  t.bridge({1, 0, 0}, PortType::kUpstreamPort, false, 2, 4);
  t.bridge({2, 0, 0}, PortType::kDownstreamPort, true, 3, 3);
  t.bridge({2, 1, 0}, PortType::kDownstreamPort, true, 4, 4);
  t.endpoint({3, 0, 0});
  t.endpoint({4, 0, 0});
  find_groups(t.inventory);
  EXPECT_TRUE(t.together({3, 0, 0}, {4, 0, 0}));
  EXPECT_EQ(group_members(t.inventory, kPort.value()).size(), 6U);
}

// Covers: S3.26
TEST(Topology, AnUpstreamPortBesideAnotherFunctionNeedsAcs) {
  for (const bool acs : {false, true}) {
    Topology t;
    t.bridge(kPort, PortType::kRootPort, true, 1, 3);
    t.bridge({1, 0, 0}, PortType::kUpstreamPort, acs, 2, 3);
    t.endpoint({1, 0, 1}, acs);  // the switch's own DMA engine
    t.bridge({2, 0, 0}, PortType::kDownstreamPort, true, 3, 3);
    t.endpoint({3, 0, 0});
    find_groups(t.inventory);
    EXPECT_EQ(t.together({3, 0, 0}, {1, 0, 1}), !acs);
  }
}

// Covers: S3.26
TEST(Topology, ABridgeOfAKindThatIsNotKnownKeepsNothingApart) {
  for (const PortType type : {PortType::kEndpoint, static_cast<PortType>(15)}) {
    Topology t;
    t.bridge(kPort, type, true, 1, 1);
    t.endpoint({1, 0, 0});
    t.endpoint({1, 1, 0});
    find_groups(t.inventory);
    EXPECT_TRUE(t.together({1, 0, 0}, {1, 1, 0}));
  }
}

// Covers: H2 H38
TEST(Topology, BehindABridgeToConventionalPciAllAreOneGroupWithTheBridge) {
  Topology t;
  t.bridge(kPort, PortType::kRootPort, true, 1, 2);
  t.bridge({1, 0, 0}, PortType::kPcieToPciBridge, false, 2, 2);
  t.endpoint({2, 3, 0}).express = false;
  t.endpoint({2, 4, 0}).express = false;
  find_groups(t.inventory);
  EXPECT_TRUE(t.together({2, 3, 0}, {2, 4, 0}));
  EXPECT_TRUE(t.together({2, 3, 0}, {1, 0, 0}));
  EXPECT_FALSE(t.together({2, 3, 0}, kPort));
  EXPECT_TRUE(find(t.inventory, {2, 3, 0})->aliased);
  const RequesterIds ids = requester_ids(t.inventory, {2, 3, 0});
  ASSERT_EQ(ids.size(), 2U);
  EXPECT_EQ(ids[1], HostBdf(2, 0, 0).value());
}

// Covers: H2 H38
TEST(Topology, AnOldBridgeMaySendUnderEitherOfItsNumbers) {
  Topology t;
  FunctionInfo& old = t.bridge({0, 4, 0}, PortType::kEndpoint, false, 1, 2);
  old.express = false;
  t.bridge({1, 3, 0}, PortType::kPciToPcieBridge, false, 2, 2);
  t.endpoint({2, 0, 0});
  find_groups(t.inventory);
  const RequesterIds ids = requester_ids(t.inventory, {2, 0, 0});
  ASSERT_EQ(ids.size(), 4U);
  EXPECT_EQ(ids[1], HostBdf(1, 3, 0).value());
  EXPECT_EQ(ids[2], HostBdf(0, 4, 0).value());
  EXPECT_EQ(ids[3], HostBdf(1, 0, 0).value());
}

// Covers: S3.26
TEST(Topology, IntegratedEndpoints) {
  Topology t;
  t.add({0, 5, 0}, PortType::kRootComplexEndpoint);
  t.add({0, 6, 0}, PortType::kRootComplexEndpoint);
  t.add({0, 6, 1}, PortType::kRootComplexEndpoint);
  t.add({0, 7, 0}, PortType::kRootComplexEndpoint, true);
  t.add({0, 7, 1}, PortType::kRootComplexEndpoint, true);
  find_groups(t.inventory);
  EXPECT_FALSE(t.together({0, 5, 0}, {0, 6, 0}));
  EXPECT_TRUE(t.together({0, 6, 0}, {0, 6, 1}));
  EXPECT_FALSE(t.together({0, 7, 0}, {0, 7, 1}));
}

// Covers: S3.26
TEST(Topology, WithAriDeviceNumbersAreFunctionNumbers) {
  Topology t;
  t.bridge(kPort, PortType::kRootPort, true, 1, 1);
  t.endpoint({1, 0, 0});
  t.endpoint({1, 1, 0});  // function 8
  find_groups(t.inventory);
  EXPECT_TRUE(t.together({1, 0, 0}, {1, 1, 0}));
}

// Covers: S3.26 S3.28
TEST(Topology, VirtualFunctionsStandForThemselvesWhereTheWayUpIsIsolated) {
  for (const bool acs : {false, true}) {
    Topology t;
    t.bridge(kPort, PortType::kRootPort, acs, 1, 1);
    t.endpoint({1, 0, 0});
    for (const unsigned function : {1U, 2U}) {
      FunctionInfo& vf = t.endpoint({1, 16, function});
      vf.is_vf = true;
      vf.pf = HostBdf(1, 0, 0);
    }
    find_groups(t.inventory);
    EXPECT_EQ(t.together({1, 16, 1}, {1, 16, 2}), !acs);
    EXPECT_EQ(t.together({1, 0, 0}, {1, 16, 2}), !acs);
  }
}

// Covers: H38
TEST(Topology, AFunctionThatUsesAnothersNumberIsInItsGroup) {
  Topology t;
  t.bridge(kPort, PortType::kRootPort, true, 1, 1);
  FunctionInfo& first = t.endpoint({1, 0, 0}, true);
  first.vendor = 0x1b4b;
  first.device = 0x9230;
  t.endpoint({1, 0, 1}, true);
  find_groups(t.inventory);
  EXPECT_TRUE(t.together({1, 0, 0}, {1, 0, 1}));
  const RequesterIds ids = requester_ids(t.inventory, {1, 0, 0});
  ASSERT_EQ(ids.size(), 2U);
  EXPECT_EQ(ids[1], HostBdf(1, 0, 1).value());
}

// Covers: H31
TEST(Topology, BusNumbersInALoopEndTheClimb) {
  Topology t;
  t.bridge({1, 0, 0}, PortType::kPcieToPciBridge, false, 2, 2);
  t.bridge({2, 0, 0}, PortType::kPciToPcieBridge, false, 1, 1);
  t.endpoint({2, 1, 0});
  find_groups(t.inventory);
  EXPECT_LE(requester_ids(t.inventory, {2, 1, 0}).size(), RequesterIds::capacity());
}

}  // namespace
}  // namespace penstock::pci
