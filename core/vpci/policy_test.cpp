#include "core/vpci/policy.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "core/base/address.hpp"

namespace penstock::vpci {
namespace {

// The document in docs/ is what the code does. To renew it after a change of the table, run this
// test with PENSTOCK_UPDATE_GOLDEN=1 in the environment and review the difference. Covers: S3.38
TEST(Policy, TheDocumentIsTheTable) {
  static char buffer[32 * kKiB];
  TextWriter out(buffer, sizeof(buffer));
  render_policy(out);
  const std::string text(out.view());
  ASSERT_LT(text.size(), 16 * kKiB);
  const std::string path = PENSTOCK_SOURCE_DIR "/docs/vpci-policy.md";
  if (std::getenv("PENSTOCK_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(text, golden.str()) << "docs/vpci-policy.md is not what the table says";
}

// Covers: S3.33 S3.38
TEST(Policy, RowsOfAnOwnerDoNotOverlapUnderOneCondition) {
  for (const Row& a : policy()) {
    EXPECT_TRUE(a.masks.valid(a.width)) << a.name;
    for (const Row& b : policy()) {
      if (&a == &b || a.owner != b.owner || a.condition != b.condition) continue;
      EXPECT_FALSE(overlaps(a.offset, a.width, b.offset, b.width)) << a.name << ", " << b.name;
    }
  }
}

// What a reviewer of the security statement looks for first: the complete list of writable
// hardware. Covers: S0.13 H15 H18
TEST(Policy, TheseRegistersAndNoOthersReachHardware) {
  unsigned n = 0;
  for (const Row& row : policy()) {
    if (row.masks.to_hw() == 0) continue;
    ++n;
    EXPECT_TRUE(row.name == "Status" || row.name == "Device Control" || row.name == "Device Status")
        << row.name;
  }
  EXPECT_EQ(n, 3u);
}

TEST(Policy, NothingIsBothBuiltInAndNeverShown) {
  for (const Denied& denied : never_shown()) {
    Owner owner{};
    EXPECT_FALSE(built_in(denied.id, denied.extended, owner)) << denied.name;
  }
}

TEST(Policy, MasksKnowTheirWidth) {
  EXPECT_TRUE((Masks{.ro = 0xf0, .rw = 0x0f}.valid(1)));
  EXPECT_FALSE((Masks{.ro = 0x1f, .rw = 0x10}.valid(1)));
  EXPECT_FALSE((Masks{.ro = 0x100}.valid(1)));
  EXPECT_TRUE((Masks{.ro = 0xffffffff}.valid(4)));
}

}  // namespace
}  // namespace penstock::vpci
