// The tables of devices that do not keep to themselves.
#include <gtest/gtest.h>

#include "core/pci/alias_quirks.hpp"
#include "core/pci/mirror_quirks.hpp"

namespace penstock::pci {
namespace {

FunctionInfo device(std::uint16_t vendor, std::uint16_t id, std::uint32_t class_code) {
  FunctionInfo info;
  info.bdf = HostBdf(1, 0, 0);
  info.vendor = vendor;
  info.device = id;
  info.class_code = class_code;
  info.bars[0].size = 0x100'0000;
  info.bars[2].size = 0x1'0000;
  return info;
}

// Covers: S3.37 H16
TEST(Mirrors, KnownDevicesAreNamed) {
  EXPECT_TRUE(mirrors_config(device(0x10de, 0x1db4, 0x03'0000)));
  EXPECT_TRUE(mirrors_config(device(0x1002, 0x67df, 0x03'0000)));
  EXPECT_TRUE(mirrors_config(device(0x8086, 0x46a6, 0x03'0000)));
  EXPECT_TRUE(mirrors_config(device(0x10ec, 0x8168, 0x02'0000)));
  EXPECT_TRUE(mirrors_config(device(0x14e4, 0x1657, 0x02'0000)));
}

// Covers: S3.37
TEST(Mirrors, OthersOfTheSameMakerAreNot) {
  EXPECT_FALSE(mirrors_config(device(0x10de, 0x10f0, 0x04'0300)));  // a display card's sound
  EXPECT_FALSE(mirrors_config(device(0x8086, 0x10c9, 0x02'0000)));
  EXPECT_FALSE(mirrors_config(device(0x14e4, 0x5f69, 0x02'8000)));
  EXPECT_FALSE(mirrors_config(device(0x1b36, 0x0010, 0x01'0802)));
}

// Covers: S3.37
TEST(Mirrors, OnlyAMemoryBarOfThatSizeHasThem) {
  FunctionInfo info = device(0x10ec, 0x8168, 0x02'0000);
  info.bars[2].io = true;
  EXPECT_FALSE(mirrors_config(info));
  info.bars[2] = Bar{};
  info.bars[2].size = 0x40;
  EXPECT_FALSE(mirrors_config(info));
}

// Covers: S3.37
TEST(Mirrors, EveryRowHasAPlaceAndASource) {
  for (const MirrorQuirk& quirk : mirror_quirks()) {
    EXPECT_LT(quirk.bar, 6);
    EXPECT_GT(quirk.bytes, 0U);
    EXPECT_EQ(quirk.device & quirk.device_mask, quirk.device);
    EXPECT_GT(quirk.source.size(), 10U);
  }
}

// Covers: H38
TEST(Aliases, AFunctionIsNotItsOwnAlias) {
  FunctionInfo sata = device(0x1b4b, 0x9230, 0x01'0601);
  EXPECT_EQ(alias_of(sata), HostBdf(1, 0, 1).value());
  sata.bdf = HostBdf(1, 0, 1);
  EXPECT_FALSE(alias_of(sata));
  FunctionInfo card = device(0x1180, 0xe832, 0x08'0500);
  EXPECT_FALSE(alias_of(card));
  card.bdf = HostBdf(1, 0, 4);
  EXPECT_EQ(alias_of(card), HostBdf(1, 0, 0).value());
  EXPECT_EQ(alias_of(device(0x9005, 0x0285, 0x01'0400)), HostBdf(1, 1, 0).value());
  EXPECT_FALSE(alias_of(device(0x8086, 0x10c9, 0x02'0000)));
  for (const AliasQuirk& quirk : alias_quirks()) EXPECT_GT(quirk.source.size(), 10U);
}

}  // namespace
}  // namespace penstock::pci
