#include "core/manifest/boot_options.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock::manifest {
namespace {

// Covers: S2.13
TEST(BootOptions, ViommuIsOnUnlessSwitchedOff) {
  EXPECT_TRUE(boot_options("").viommu);
  EXPECT_TRUE(boot_options("viommu=on").viommu);
  EXPECT_FALSE(boot_options("viommu=off").viommu);
  EXPECT_FALSE(boot_options("  viommu=no  ").viommu);
  EXPECT_TRUE(boot_options("viommu=0 viommu=1").viommu);
  EXPECT_TRUE(boot_options("viommu=off viommu=true").unknown.empty());
}

TEST(BootOptions, BranchHistoryIsClearedUnlessSwitchedOff) {
  EXPECT_TRUE(boot_options("").spectre_bhb);
  EXPECT_TRUE(boot_options("spectre-bhb=maybe").spectre_bhb);
  EXPECT_FALSE(boot_options("viommu=on spectre-bhb=off").spectre_bhb);
}

// Covers: S2.13
TEST(BootOptions, FirstWordThatIsNoneIsNamed) {
  EXPECT_EQ(boot_options("viommu=maybe quiet").unknown, "viommu=maybe");
  EXPECT_TRUE(boot_options("viommu=maybe").viommu);
  EXPECT_EQ(boot_options("console=ttyAMA0 viommu=off").unknown, "console=ttyAMA0");
  EXPECT_FALSE(boot_options("console=ttyAMA0 viommu=off").viommu);
  EXPECT_EQ(boot_options("viommu").unknown, "viommu");
}

// Covers: S2.28
TEST(BootOptions, EachOneOfTheTableIsKnown) {
  for (const BootOption& option : kBootOptions) {
    for (const char* value : {"=on", "=off", "=1", "=0", "=true", "=false", "=yes", "=no"}) {
      const std::string word = std::string(option.name) + value;
      EXPECT_TRUE(boot_options(word).unknown.empty()) << word;
    }
  }
}

}  // namespace
}  // namespace penstock::manifest
