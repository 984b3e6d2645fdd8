#include "tools/penstock/capability_names.hpp"

#include <gtest/gtest.h>

#include "core/vpci/policy.hpp"

namespace penstock::tool {
namespace {

std::string read_and_written(std::string_view text) {
  const auto capability = parse_capability(text);
  return capability ? format_capability(capability->id, capability->extended) : "nothing";
}

// Covers: S3.17 S3.33
TEST(CapabilityNames, AreNamesOrIds) {
  EXPECT_EQ(read_and_written("msi-x"), "msi-x");
  EXPECT_EQ(read_and_written("0x11"), "msi-x");
  EXPECT_EQ(read_and_written("17"), "msi-x");
  EXPECT_EQ(read_and_written("0x77"), "0x77");
  EXPECT_EQ(read_and_written("ext 0x1"), "error-reporting");
  EXPECT_EQ(read_and_written("ext 0xffff"), "ext 0xffff");
  EXPECT_EQ(read_and_written("sr-iov"), "sr-iov");
  for (const char* wrong : {"", "0", "0x", "0x100", "256", "ext", "ext ", "ext 0", "ext 0x10000",
                            "0x11 ", " 0x11", "-1", "0x-1", "11h", "MSI-X", "ext msi-x"}) {
    EXPECT_FALSE(parse_capability(wrong)) << wrong;
  }
}

TEST(CapabilityNames, AreUnique) {
  for (const KnownCapability& known : known_capabilities()) {
    const auto found = parse_capability(known.name);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->id, known.id) << known.name;
    EXPECT_EQ(found->extended, known.extended) << known.name;
    EXPECT_EQ(find_capability(known.id, known.extended), &known) << known.name;
  }
}

/// SR-IOV has rows in the policy, but for the hardware domain alone.
TEST(CapabilityNames, TheBuiltInOnesAreThePolicys) {
  for (const bool extended : {false, true}) {
    for (std::uint16_t id = 1; id < 0x100; ++id) {
      vpci::Owner owner{};
      const bool in_policy = vpci::built_in(id, extended, owner) && owner != vpci::Owner::kSriov;
      const KnownCapability* known = find_capability(id, extended);
      EXPECT_EQ(known != nullptr && known->built_in, in_policy) << extended << " " << id;
    }
  }
}

}  // namespace
}  // namespace penstock::tool
