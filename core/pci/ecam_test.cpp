#include "core/pci/ecam.hpp"

#include <gtest/gtest.h>

#include "core/pci/test_board.hpp"

namespace penstock::pci {
namespace {

// Covers: S3.25
TEST(Ecam, ReachesEachByteOfEachFunctionAtItsPlace) {
  TestBoard board;
  auto& nvme = board.plug(board.host.root(), 3, 0, sim::nvme_like());
  EcamFunction config = board.ecam.function(HostBdf(0, 3, 0));
  EXPECT_EQ(config.read(0, 4), 0x0010'1b36U);
  EXPECT_EQ(config.read(2, 2), 0x0010U);
  EXPECT_EQ(config.read(0xb, 1), 0x01U);
  config.write(0x3c, 1, 0x42);
  EXPECT_EQ(nvme.peek(0x3c, 1), 0x42U);
  EXPECT_EQ(board.ecam.function(HostBdf(0, 3, 1)).read(0, 4), ~0U);
  EXPECT_TRUE(board.host.violations().empty());
}

// Covers: H13 H48
TEST(Ecam, EveryOffsetAndSizeHasAnAnswerAndNoneLeavesTheFunction) {
  TestBoard board;
  board.plug(board.host.root(), 31, 7, sim::nvme_like());
  EcamFunction config = board.ecam.function(HostBdf(0, 31, 7));
  for (unsigned offset = 0; offset < 5000; ++offset) {
    for (unsigned size = 0; size <= 9; ++size) {
      const unsigned before = board.host.config_accesses();
      const std::uint32_t value = config.read(offset, size);
      config.write(offset, size, 0);
      const bool proper =
          (size == 1 || size == 2 || size == 4) && offset % size == 0 && offset < 4096;
      EXPECT_EQ(board.host.config_accesses() - before, proper ? 2U : 0U);
      if (!proper && size == 4) EXPECT_EQ(value, ~0U);
    }
  }
  EXPECT_TRUE(board.host.violations().empty());
}

TEST(Ecam, AWindowMayBeginAtAnyBus) {
  TestBoard board;
  board.plug(board.host.root(), 3, 0, sim::nvme_like());
  Ecam late;
  late.init(board.host, std::uint64_t{2} << 20, 4, 255);
  EXPECT_EQ(late.function(HostBdf(4, 3, 0)).read(0, 4), 0x0010'1b36U);
  EXPECT_EQ(late.last_bus(), 5U);
  EXPECT_EQ(late.function(HostBdf(3, 3, 0)).read(0, 4), ~0U);
}

TEST(Ecam, BusesOutsideTheWindowDoNotExistAndAreNotTouched) {
  TestBoard board;
  Ecam small;
  small.init(board.host, std::uint64_t{2} << 20, 0, 255);
  EXPECT_EQ(small.last_bus(), 1U);
  EcamFunction outside = small.function(HostBdf(2, 0, 0));
  EXPECT_EQ(outside.read(0, 4), ~0U);
  outside.write(4, 2, 7);
  EXPECT_EQ(board.host.config_accesses(), 0U);
  Ecam never;
  EXPECT_EQ(never.function(HostBdf(0, 0, 0)).read(0, 4), ~0U);
}

}  // namespace
}  // namespace penstock::pci
