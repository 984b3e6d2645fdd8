// After a change of the tree, run this test with PENSTOCK_UPDATE_GOLDEN=1 in the environment and
// review the difference.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/viommu/fake_guest.hpp"
#include "core/vm/guest_tree.hpp"

namespace penstock::vm {
namespace {

/// What the device tree compiler makes of the tree, its warnings included.
std::string decompile(const std::vector<std::uint8_t>& tree, std::size_t bytes) {
  const std::string file = testing::TempDir() + "guest_tree_" + std::to_string(getpid()) + ".dtb";
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(tree.data()), static_cast<std::streamsize>(bytes));
  const std::string command = "dtc -I dtb -O dts " + file + " 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  if (pipe == nullptr) return text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  EXPECT_EQ(pclose(pipe), 0);
  std::remove(file.c_str());
  return text;
}

GuestTreeConfig two_cpus() {
  GuestTreeConfig config;
  EXPECT_TRUE(config.mpidrs.push_back(0));
  EXPECT_TRUE(config.mpidrs.push_back(1));
  config.memory_bytes = 512 * kMiB;
  config.bootargs = "console=ttyAMA0";
  config.initrd = Gpa(0x4800'0000);
  config.initrd_bytes = 0x1234;
  config.has_pci = true;
  return config;
}

void expect_golden(const GuestTreeConfig& config, const std::string& name) {
  std::vector<std::uint8_t> tree(64 * kKiB);
  const auto bytes = build_guest_tree(config, tree);
  ASSERT_TRUE(bytes);
  const std::string path = PENSTOCK_SOURCE_DIR "/core/vm/" + name;
  const std::string text = decompile(tree, *bytes);
  if (std::getenv("PENSTOCK_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream golden(path);
  const std::string expected{std::istreambuf_iterator<char>(golden), {}};
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(text, expected);
}

// Covers: S3.4 S2.24
TEST(GuestTreeGolden, TheDeviceTreeCompilerReadsWhatIsMeantAndHasNothingToSay) {
  expect_golden(two_cpus(), "guest_tree.golden.dts");
}

// Covers: S2.20 S2.21 S2.22 S2.24
TEST(GuestTreeGolden, WithAnIommuOfItsOwn) {
  const viommu::fake::Guest guest;
  GuestTreeConfig config = two_cpus();
  config.iommu = guest.smmu.description();
  expect_golden(config, "guest_tree_iommu.golden.dts");
}

}  // namespace
}  // namespace penstock::vm
