// The SR-IOV capability that a physical function's owner is shown, and the view of a virtual
// function.
#include <gtest/gtest.h>

#include <vector>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/function.hpp"
#include "core/vpci/topology.hpp"

namespace penstock::vpci {
namespace {

using Kind = Effect::Kind;
using test::RichFunction;
constexpr unsigned kCap = 0x160;  // where RichFunction has it
constexpr unsigned kControl = kCap + 0x08;
constexpr unsigned kNumVfs = kCap + 0x10;

struct Sriov : ::testing::Test {
  Sriov() {
    facts.vfs = 4;
    facts.bars[0] = {.size = 16 * kKiB, .is64 = true, .prefetchable = true};
    facts.bars[3] = {.size = 16 * kKiB};
    rich.options.sriov = &facts;
    rich.options.integrated_endpoint = false;
    for (unsigned i = 4; i < 0x40; ++i) rich.config.put(kCap + i, 1, 0xee);
  }
  void init() { ASSERT_TRUE(f.init(rich.facts, rich.options)); }
  std::uint64_t read(unsigned at, unsigned size) { return f.config_read(at, size); }
  std::vector<Kind> write(unsigned at, unsigned size, std::uint64_t value) {
    std::vector<Kind> kinds;
    last = f.config_write(at, size, value);
    for (const Effect& effect : last) kinds.push_back(effect.kind);
    return kinds;
  }
  RichFunction rich;
  SriovFacts facts;
  VirtualFunction f;
  Effects last;
};

// Covers: S3.11 S3.12
TEST_F(Sriov, IsShownToItsOwnerAsAFreshOne) {
  init();
  EXPECT_EQ(read(kCap, 2), 0x0010U);
  EXPECT_EQ(read(kCap + 0x04, 4), 0U);
  EXPECT_EQ(read(kControl, 4), 0U);
  EXPECT_EQ(read(kCap + 0x0c, 4), 0x0004'0004U);
  EXPECT_EQ(read(kNumVfs, 4), 0U);
  EXPECT_EQ(read(kCap + 0x14, 4), 0x0001'0001U);
  EXPECT_EQ(read(kCap + 0x1a, 2), 0xffffU);
  EXPECT_EQ(read(kCap + 0x1c, 4), 1U);
  EXPECT_EQ(read(kCap + 0x20, 4), 1U);
  EXPECT_EQ(read(kCap + 0x24, 4), 0xcU);
  EXPECT_EQ(read(kCap + 0x3c, 4), 0U);
  EXPECT_EQ(rich.config.writes, 0U);
}

// Covers: S3.12
TEST_F(Sriov, IsHiddenFromAnybodyElse) {
  rich.options.sriov = nullptr;
  init();
  EXPECT_EQ(read(kCap, 4), 0U);
  EXPECT_TRUE(write(kNumVfs, 2, 2).empty());
  EXPECT_TRUE(write(kControl, 2, 1).empty());
  EXPECT_EQ(f.vfs(), 0U);
  // And where its VFs' routing IDs could be other functions'.
  rich.options.sriov = &facts;
  rich.options.integrated_endpoint = true;
  init();
  EXPECT_EQ(read(kCap, 4), 0U);
}

// Covers: S3.11
TEST_F(Sriov, EnablingAndDisablingAreEffects) {
  init();
  EXPECT_TRUE(write(kNumVfs, 2, 3).empty());
  EXPECT_EQ(write(kControl, 2, 0x19), std::vector{Kind::kSriovEnable});
  EXPECT_EQ(last[0].count, 3U);
  EXPECT_EQ(read(kControl, 2), 0x19U);
  EXPECT_EQ(f.vfs(), 3U);
  EXPECT_TRUE(write(kControl, 2, 0x19).empty());
  EXPECT_EQ(write(kControl, 1, 0x18), std::vector{Kind::kSriovDisable});
  EXPECT_EQ(f.vfs(), 0U);
  EXPECT_TRUE(write(kControl, 2, 0).empty());
}

TEST_F(Sriov, CountsThatCannotBeDoNotEnable) {
  init();
  EXPECT_TRUE(write(kControl, 2, 1).empty());
  EXPECT_EQ(read(kControl, 2), 0U);
  for (const unsigned count : {5U, 0xffffU}) {
    EXPECT_TRUE(write(kNumVfs, 2, count).empty());
    EXPECT_TRUE(write(kControl, 2, 9).empty());
    EXPECT_EQ(read(kControl, 2), 8U);
  }
}

// Covers: S3.11
TEST_F(Sriov, WhatVfsAreMadeOfStandsStillWhileTheyAreOn) {
  init();
  write(kNumVfs, 2, 3);
  write(kCap + 0x24, 4, 0x1234'0000);
  write(kControl, 2, 1);
  EXPECT_TRUE(write(kNumVfs, 2, 1).empty());
  EXPECT_TRUE(write(kCap + 0x24, 4, 0).empty());
  EXPECT_EQ(read(kNumVfs, 2), 3U);
  EXPECT_EQ(read(kCap + 0x24, 4), 0x1234'000cU);
}

// Covers: S3.11
TEST_F(Sriov, VfBarsSizeAsHardwaresDo) {
  init();
  EXPECT_TRUE(write(kCap + 0x24, 4, 0xffff'ffff).empty());
  EXPECT_TRUE(write(kCap + 0x28, 4, 0xffff'ffff).empty());
  EXPECT_EQ(read(kCap + 0x24, 8), 0xffff'ffff'ffff'c00cU);
  write(kCap + 0x30, 4, 0xffff'ffff);
  EXPECT_EQ(read(kCap + 0x30, 4), 0xffff'c000U);
  write(kCap + 0x2c, 4, 0xffff'ffff);
  EXPECT_EQ(read(kCap + 0x2c, 4), 0U);
  EXPECT_EQ(rich.config.writes, 0U);
}

TEST_F(Sriov, BarsThatContradictThemselvesHideIt) {
  facts.bars[5] = {.size = 16 * kKiB, .is64 = true};
  init();
  EXPECT_EQ(read(kCap, 4), 0U);
  EXPECT_EQ(f.report().malformed, 1U);
}

// Covers: S3.11
TEST_F(Sriov, AFunctionLevelResetTakesVfsFirst) {
  init();
  write(kNumVfs, 2, 2);
  write(kControl, 2, 9);
  write(0x04, 2, 6);
  const auto kinds = write(test::kExp + 0x08, 2, 0xa810);
  ASSERT_GE(kinds.size(), 3U);
  EXPECT_EQ(kinds.front(), Kind::kSriovDisable);
  EXPECT_EQ(kinds.back(), Kind::kFunctionReset);
  EXPECT_EQ(read(kControl, 2), 0U);
  EXPECT_EQ(read(kNumVfs, 2), 0U);
}

// Covers: S3.11
TEST_F(Sriov, WhatWasLostReadsAsOffAndCanBeAskedForAgain) {
  init();
  write(kNumVfs, 2, 2);
  write(kControl, 2, 9);
  f.vfs_lost();
  EXPECT_EQ(read(kControl, 2), 8U);
  EXPECT_EQ(f.vfs(), 0U);
  EXPECT_EQ(write(kControl, 2, 9), std::vector{Kind::kSriovEnable});
  EXPECT_FALSE(f.reset().empty());
  EXPECT_EQ(f.vfs(), 0U);
}

// What Linux's pci_setup_device() and pci_read_vf_config_common() look at.
TEST_F(Sriov, APlaceholderIsAVirtualFunctionThatNoDriverWants) {
  init();
  EXPECT_EQ(f.vf_placeholder_read(0, 4), 0xffff'ffffU);
  EXPECT_EQ(f.vf_placeholder_read(4, 4), 0U);
  EXPECT_EQ(f.vf_placeholder_read(8, 4), 0xff00'0000U);
  EXPECT_EQ(f.vf_placeholder_read(0x0b, 1), 0xffU);
  EXPECT_EQ(f.vf_placeholder_read(0x0e, 1), 0U);
  EXPECT_EQ(f.vf_placeholder_read(0x10, 8), 0U);
  EXPECT_EQ(f.vf_placeholder_read(0x2c, 4), 0xa03c'8086U);
  EXPECT_EQ(f.vf_placeholder_read(0x34, 1), 0U);
  EXPECT_EQ(f.vf_placeholder_read(0x100, 4), 0U);
  EXPECT_EQ(f.vf_placeholder_read(0xffe, 4), 0xffff'0000U);
  EXPECT_EQ(f.vf_placeholder_read(0x3, 2), 0x00ffU);
}

// Covers: S3.11
TEST_F(Sriov, PlaceholdersStandBehindTheirPfWhileTheyAreOn) {
  init();
  Topology bus;
  ASSERT_TRUE(bus.init_slots(2));
  ASSERT_TRUE(bus.plug(0, &f));
  const auto at = [](unsigned number) { return std::uint64_t{1} << 20 | number << 12; };
  const auto port = std::uint64_t{port_of(0).value()} << 12;
  (void)bus.config_write(port + 0x18, 4, 0x0001'0100);
  EXPECT_EQ(bus.config_read(at(1) + 8, 4), 0xffff'ffffU);
  (void)bus.config_write(at(0) + kNumVfs, 2, 3);
  EXPECT_EQ(bus.config_write(at(0) + kControl, 2, 9).size(), 1U);
  EXPECT_EQ(bus.config_read(at(1) + 8, 4), 0xff00'0000U);
  EXPECT_EQ(bus.config_read(at(3) + 8, 4), 0xff00'0000U);
  EXPECT_EQ(bus.config_read(at(4) + 8, 4), 0xffff'ffffU);
  EXPECT_EQ(bus.config_read((std::uint64_t{2} << 20) + 0x1008, 4), 0xffff'ffffU);
  EXPECT_TRUE(bus.config_write(at(1) + 4, 2, 6).empty());
  f.vfs_lost();
  EXPECT_EQ(bus.config_read(at(1) + 8, 4), 0xffff'ffffU);
}

// Covers: S3.11
TEST(VirtualFunctionOfAPf, ShowsTheIdsThatItsOwnConfigSpaceHides) {
  RichFunction rich;
  VirtualFunction f;
  rich.config.put(0, 4, 0xffff'ffff);
  rich.config.put(4, 2, 0);  // memory space cannot be switched on in a VF
  EXPECT_EQ(f.init(rich.facts, rich.options).error().code, Code::kNotFound);
  rich.facts.is_vf = true;
  rich.facts.vendor = 0x8086;
  rich.facts.device = 0x10ca;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  EXPECT_EQ(f.config_read(0, 4), 0x10ca'8086U);
  EXPECT_EQ(f.config_read(0x2c, 4), 0xa03c'8086U);
  (void)f.config_write(0x10, 8, test::kWindow64.value());
  bool mapped = false;
  for (const Effect& e : f.config_write(4, 2, 2)) mapped |= e.kind == Kind::kMapBar && e.bar == 0;
  EXPECT_TRUE(mapped);
  EXPECT_EQ(f.config_read(4, 2), 2U);
  (void)f.reset();
  EXPECT_EQ(f.config_read(0, 4), 0x10ca'8086U);
  rich.config.put(4, 4, 0xffff'ffff);
  EXPECT_EQ(f.init(rich.facts, rich.options).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace penstock::vpci
