#include "core/pci/statement.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/pci/io_quirks.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/test_board.hpp"

namespace penstock::pci {
namespace {

struct Statements : ::testing::Test {
  Statement of(HostBdf bdf, const Surroundings& around = {}) {
    EcamFunction config = board.ecam.function(bdf);
    return statement_of(board.inventory, *find(board.inventory, bdf), config, around);
  }
  static std::string line(const Statement& s) {
    Text<kMaxStatementLine> text;
    write_line(text, s);
    return std::string(text.view());
  }
  static std::string json(const Statement& s) {
    Text<kMaxStatementJson> text;
    write_json(text, s);
    return std::string(text.view());
  }
  TestBoard board;
};

// Covers: S3.27 S3.28 S3.29
TEST_F(Statements, SayWhatADeviceIsAndWhatIsClaimedForIt) {
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  board.plug(port.secondary_bus(), 0, 0, sim::igb_like());
  ASSERT_TRUE(board.enumerate());
  const Statement s = of(HostBdf(1, 0, 0));
  EXPECT_EQ(s.level, Support::kSupported);
  EXPECT_EQ(line(s),
            "0000:01:00.0 Ethernet controller: supported; reset: function-level reset; sr-iov, "
            "option-rom, firmware");
  EXPECT_EQ(json(s), R"({"device":"0000:01:00.0","vendor":"8086","id":"10c9","class":"020000",)"
                     R"("kind":"Ethernet controller","group":"0000:01:00.0",)"
                     R"("reset":"function-level reset","support":"supported","accept":[],)"
                     R"("risks":["sr-iov","option-rom","firmware"]})");
}

// Covers: S3.27 S3.28
TEST_F(Statements, AVirtualFunctionIsSupportedWithCaveats) {
  board.plug(board.host.root(), 1, 0, sim::nvme_like());
  board.plug(board.host.root(), 2, 0, sim::igb_like());
  ASSERT_TRUE(board.enumerate());
  for (FunctionInfo& info : board.inventory.functions) {
    info.is_vf = true;
    info.pf = HostBdf(0, 9, 0);
  }
  EXPECT_EQ(of(HostBdf(0, 1, 0)).level, Support::kCaveats);
  EXPECT_FALSE(of(HostBdf(0, 1, 0)).risks.has(Risk::kSharedPort));
  EXPECT_NE(json(of(HostBdf(0, 1, 0))).find(R"("vf":"0000:00:09.0")"), std::string::npos);
  // Covers what papers on self-virtualising network cards found: pause frames stop the neighbours.
  EXPECT_TRUE(of(HostBdf(0, 2, 0)).risks.has(Risk::kSharedPort));
  EXPECT_NE(line(of(HostBdf(0, 2, 0))).find(", VF of 0000:00:09.0"), std::string::npos);
}

// Covers: S3.23 S3.26 S3.27
TEST_F(Statements, WhatTheBoardCannotDoIsSaidFirst) {
  board.plug(board.host.root(), 1, 0, sim::nvme_like());
  ASSERT_TRUE(board.enumerate());
  const Statement s = of(HostBdf(0, 1, 0), {.iommu = false, .checked_messages = false});
  EXPECT_EQ(s.level, Support::kNotSupported);
  EXPECT_EQ(s.risks.bits() & 0x1fU, 0x12U);
  EXPECT_NE(json(s).find(R"("accept":["no-isolation"])"), std::string::npos);
  const Statement lost = of(HostBdf(0, 1, 0), {.stream = false});
  EXPECT_EQ(refusal_of(lost.risks, {true, true, true}), Risk::kNoStream);
  const Statement firmwares = of(HostBdf(0, 1, 0), {.firmware_memory = true});
  EXPECT_EQ(refusal_of(firmwares.risks, {true, true, true}), Risk::kFirmwareMemory);
}

// Covers: S3.27 S3.28
TEST_F(Statements, ADeviceWhoseDriverNeedsWhatIsNotShownIsNeverSupported) {
  auto card = [&](unsigned slot, std::uint16_t vendor, std::uint16_t device) {
    auto part = std::make_unique<sim::PciFunction>(sim::PciIdentity{vendor, device, 0x02'0000});
    part->add_bar(0, 0x2'0000, {});
    part->add_bar(1, 0x40, {.io = true});
    part->add_express(sim::PciPortType::kEndpoint, true);
    part->add_msi(0, true, false);
    board.plug(board.host.root(), slot, 0, std::move(part));
  };
  card(1, 0x8086, 0x100e);
  card(2, 0x8086, 0x10d3);
  card(3, 0x1234, 0x0001);
  ASSERT_TRUE(board.enumerate());
  const Statement e1000 = of(HostBdf(0, 1, 0));
  EXPECT_EQ(e1000.level, Support::kNotSupported);
  EXPECT_EQ(refusal_of(e1000.risks, {}), std::nullopt);  // it can be had, and harms nobody
  EXPECT_EQ(line(e1000),
            "0000:00:01.0 Ethernet controller: not-supported; reset: function-level reset; "
            "io-bar-needed, firmware; I/O BAR not shown: e1000 needs it");
  EXPECT_NE(json(e1000).find(R"("unmet":"I/O BAR not shown: e1000 needs it"})"), std::string::npos);
  const Statement e1000e = of(HostBdf(0, 2, 0));
  EXPECT_EQ(e1000e.level, Support::kSupported);
  EXPECT_EQ(json(e1000e).find("unmet"), std::string::npos);
  const Statement unknown = of(HostBdf(0, 3, 0));
  EXPECT_EQ(unknown.level, Support::kCaveats);
  EXPECT_TRUE(unknown.risks.has(Risk::kIoBarHidden));
}

// Covers: S3.26 S3.29
TEST_F(Statements, ARiskIsRefusedUntilItsOwnWordIsSaid) {
  board.plug(board.host.root(), 3, 0, std::make_unique<sim::EduLike>());
  ASSERT_TRUE(board.enumerate());
  const Statement s = of(HostBdf(0, 3, 0));
  EXPECT_EQ(s.level, Support::kNotSupported);
  EXPECT_EQ(refusal_of(s.risks, {}), Risk::kNoReset);
  EXPECT_EQ(refusal_of(s.risks, {.no_isolation = true}), Risk::kNoReset);
  EXPECT_EQ(refusal_of(s.risks, {.no_reset = true}), std::nullopt);
  Risks shared;
  shared.add(Risk::kSharedGroup);
  EXPECT_EQ(refusal_of(shared, {}), Risk::kSharedGroup);
  EXPECT_EQ(refusal_of(shared, {.whole_group = true}), std::nullopt);
  EXPECT_EQ(refusal_of(shared, {.no_isolation = true}), std::nullopt);
}

// Covers: S3.27
TEST(Kinds, TheFirstThatFitsCounts) {
  EXPECT_EQ(kind_of(0x01'0802).name, "NVMe controller");
  EXPECT_EQ(kind_of(0x01'0801).name, "storage controller");
  EXPECT_EQ(kind_of(0x02'0000).at_most, Support::kSupported);
  EXPECT_EQ(kind_of(0x02'8000).at_most, Support::kUntested);
  EXPECT_EQ(kind_of(0x06'0400).at_most, Support::kNotSupported);
  EXPECT_EQ(kind_of(0x00'ff00).at_most, Support::kTestedOnly);
  EXPECT_EQ(kind_of(0xff'ffff).name, "other device");
}

// Covers: S3.27 S3.29
TEST(Kinds, NoTextIsCutOrNeedsQuoting) {
  Statement s;
  s.is_vf = true;
  for (unsigned i = 0; i < kRiskCount; ++i) s.risks.add(static_cast<Risk>(i));
  s.reset = ResetMethod::kAdvancedFlr;
  for (const IoQuirk& quirk : io_quirks()) {
    if (quirk.driver.size() > s.io_driver.size()) s.io_driver = quirk.driver;
  }
  for (const Kind& kind : kinds()) {
    s.class_code = kind.class_code;
    Text<kMaxStatementJson> json;
    write_json(json, s);
    EXPECT_EQ(json.view().back(), '}');
    EXPECT_LT(json.view().size(), kMaxStatementJson);
    Text<kMaxStatementLine> line;
    write_line(line, s);
    EXPECT_LT(line.view().size(), kMaxStatementLine);
  }
  Text<kMaxLegendJson> legend;
  write_legend_json(legend);
  EXPECT_LT(legend.view().size(), kMaxLegendJson);
  EXPECT_EQ(legend.view().back(), ']');
  for (const RiskRow& row : risk_table()) {
    for (const std::string_view text : {row.name, row.meaning, row.guard}) {
      EXPECT_EQ(text.find_first_of("\"\\\n|"), std::string_view::npos) << text;
    }
  }
}

}  // namespace
}  // namespace penstock::pci
