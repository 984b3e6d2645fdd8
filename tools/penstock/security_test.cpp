// The security statement of a device, from what the board's description says of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/pci/statement.hpp"
#include "tools/penstock/check.hpp"
#include "tools/penstock/test_files.hpp"

namespace penstock::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

BoardDescription board() {
  BoardDescription b;
  b.iommu = "smmuv3";
  b.msi = "its";
  return b;
}

BoardDevice network() {
  BoardDevice d;
  d.class_code = 0x02'0000;
  d.reset = Reset::kFunctionLevel;
  d.isolation = Isolation::kAcs;
  d.risks = {"sr-iov", "its light blinks"};
  return d;
}

// Covers: S3.27 S3.28 S3.29
TEST(Security, SpeaksFromTheHypervisorsTable) {
  const SecurityStatement s = state_security(board(), network());
  EXPECT_EQ(s.support, "supported");
  EXPECT_EQ(s.because, "Ethernet controller: " + std::string(pci::kind_of(0x02'0000).why));
  EXPECT_THAT(s.exposed, ElementsAre());
  EXPECT_THAT(s.named_risks, ElementsAre("sr-iov", "firmware"));
  ASSERT_EQ(s.risks.size(), 3U);
  EXPECT_THAT(s.risks[0], HasSubstr(std::string(pci::meaning_of(pci::Risk::kSriov))));
  EXPECT_EQ(s.risks[2], "its light blinks");
  EXPECT_FALSE(needs_no_isolation(board(), network()));
}

// Covers: S3.27 S3.28
TEST(Security, AVirtualFunctionGetsACaveatAndThePauseFramesAreNamed) {
  BoardDevice vf = network();
  vf.risks = {"virtual-function", "shared-port"};
  const SecurityStatement s = state_security(board(), vf);
  EXPECT_EQ(s.support, "supported-with-caveats");
  EXPECT_EQ(s.because, "Ethernet controller: virtual-function, shared-port");
  EXPECT_THAT(security_lines(s, "X"), HasSubstr("pause frames"));
}

// Covers: S3.37 H16
TEST(Security, AConfigMirrorIsRefusedUnlessAccepted) {
  BoardDevice card = network();
  card.risks = {"config-mirror"};
  EXPECT_TRUE(needs_no_isolation(board(), card));
  const SecurityStatement s = state_security(board(), card);
  EXPECT_EQ(s.support, "not-supported");
  EXPECT_THAT(s.exposed, ElementsAre(pci::meaning_of(pci::Risk::kConfigMirror)));
}

// Covers: S3.26 H7
TEST(Security, WhatTheBoardLacksIsSaidFirst) {
  BoardDescription bare = board();
  bare.iommu = "none";
  bare.msi = "none";
  BoardDevice old = network();
  old.reset = Reset::kNone;
  old.isolation = Isolation::kShared;
  const SecurityStatement s = state_security(bare, old);
  EXPECT_EQ(s.exposed.size(), 4U);
  EXPECT_THAT(s.named_risks, ElementsAre("no-iommu", "unchecked-messages", "no-reset",
                                         "shared-group", "sr-iov", "firmware"));
  EXPECT_THAT(security_lines(s, "X"),
              HasSubstr("INSECURE X: it can read and write all memory, the hypervisor's too"));
}

TEST(Security, AClassCodeHasSixDigits) {
  const test::Folder folder;
  for (const std::string bad : {"10802", "0108021", "0x0108", "01080g", ""}) {
    std::string text = test::kBoard;
    const std::string driver = "driver = \"nvme\"\n";
    text.insert(text.find(driver) + driver.size(), "class = \"" + bad + "\"\n");
    Diagnostics out;
    (void)read_board(folder.write("b.toml", text), out);
    EXPECT_THAT(to_text(out), HasSubstr("\"" + bad + "\" is no class code")) << bad;
  }
}

// Covers: S3.29
TEST(Security, TheBoardsSpeakInTheTablesWords) {
  for (const std::string& name : known_boards({std::string(PENSTOCK_SOURCE_DIR) + "/boards"})) {
    Diagnostics out;
    const auto b = read_board(std::string(PENSTOCK_SOURCE_DIR) + "/boards/" + name + ".toml", out);
    ASSERT_TRUE(b) << to_text(out);
    for (const BoardDevice& device : b->devices) EXPECT_TRUE(device.class_code) << device.name;
  }
}

}  // namespace
}  // namespace penstock::tool
