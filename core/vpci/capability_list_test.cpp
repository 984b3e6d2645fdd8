#include "core/vpci/capability_list.hpp"

#include <gtest/gtest.h>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

using test::RichFunction;

// Covers: S3.12
TEST(CapabilityList, IsReadInOrder) {
  RichFunction rich;
  const CapabilityLists lists = walk_capabilities(rich.config);
  ASSERT_EQ(lists.standard.size(), 7u);
  EXPECT_EQ(lists.standard[0].offset, test::kPm);
  EXPECT_EQ(lists.standard[3].id, 0x10);
  ASSERT_EQ(lists.extended.size(), 4u);
  EXPECT_EQ(lists.extended[1].id, 0x0003);
  EXPECT_EQ(lists.extended[1].version, 1);
  EXPECT_EQ(lists.malformed, 0);
}

// Covers: S3.12
TEST(CapabilityList, LoopsEnd) {
  RichFunction rich;
  rich.config.put(test::kVpd + 1, 1, test::kPm);
  rich.config.extended(test::kVsec, 0x000b, 1, 0x100);
  const CapabilityLists lists = walk_capabilities(rich.config);
  EXPECT_EQ(lists.standard.size(), 7u);
  EXPECT_EQ(lists.extended.size(), 4u);
  EXPECT_EQ(lists.malformed, 2);

  rich.config.put(test::kPm + 1, 1, test::kPm);
  EXPECT_EQ(walk_capabilities(rich.config).standard.size(), 1u);
}

TEST(CapabilityList, PointersIntoTheHeaderOrBeyondEndTheList) {
  RichFunction rich;
  rich.config.put(test::kPm + 1, 1, 0x10);
  CapabilityLists lists = walk_capabilities(rich.config);
  EXPECT_EQ(lists.standard.size(), 1u);
  EXPECT_EQ(lists.malformed, 1);  // and no PCI Express seen, so no extended list either
  EXPECT_TRUE(lists.extended.empty());

  RichFunction other;
  other.config.extended(test::kDsn, 0x0003, 1, 0x40);  // below 0x100
  lists = walk_capabilities(other.config);
  EXPECT_EQ(lists.extended.size(), 2u);
  EXPECT_EQ(lists.malformed, 1);
}

TEST(CapabilityList, ReservedPointerBitsAreIgnored) {
  RichFunction rich;
  rich.config.put(hw::pci::kCapabilities, 1, test::kPm | 3);
  rich.config.put(test::kPm + 1, 1, test::kMsiCap | 2);
  EXPECT_EQ(walk_capabilities(rich.config).standard.size(), 7u);
}

TEST(CapabilityList, NoListWithoutItsStatusBit) {
  RichFunction rich;
  rich.config.put(hw::pci::kStatus, 2, 0);
  EXPECT_TRUE(walk_capabilities(rich.config).standard.empty());
}

TEST(CapabilityList, ADeadDeviceEndsTheWalk) {
  RichFunction rich;
  rich.config.bytes.fill(0xff);
  const CapabilityLists lists = walk_capabilities(rich.config);
  EXPECT_TRUE(lists.standard.empty());
  EXPECT_EQ(lists.malformed, 1);
}

// The longest list there can be: every dword a capability. The rest beyond our capacity stays
// hidden.
TEST(CapabilityList, TheLongestListsAreBounded) {
  RichFunction rich;
  for (unsigned at = 0x40; at < 0x100; at += 4) {
    rich.config.capability(at, at == 0x40 ? 0x10 : 0x09, at + 4 < 0x100 ? at + 4 : 0);
  }
  for (unsigned at = 0x100; at < 0x1000; at += 4) {
    rich.config.extended(at, 0x000b, 1, at + 4 < 0x1000 ? at + 4 : 0);
  }
  const CapabilityLists lists = walk_capabilities(rich.config);
  EXPECT_EQ(lists.standard.size(), 48u);
  EXPECT_TRUE(lists.extended.full());
  EXPECT_EQ(lists.malformed, 1);
}

}  // namespace
}  // namespace penstock::vpci
