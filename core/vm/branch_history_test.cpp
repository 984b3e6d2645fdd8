#include "core/vm/branch_history.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

using Clear = BranchHistoryClear;

constexpr std::uint64_t kCortexA53 = 0x410f'd034;
constexpr std::uint64_t kCortexA72 = 0x410f'd083;
constexpr std::uint64_t kCortexA73 = 0x411f'd090;
constexpr std::uint64_t kCortexA76 = 0x414f'd0b1;
constexpr std::uint64_t kNeoverseV2 = 0x410f'd4f0;
constexpr std::uint64_t kOfAnotherMaker = 0x424f'd0b1;

BranchHistory of(std::uint64_t midr, bool firmware = false) {
  return branch_history({.midr = midr}, firmware);
}

TEST(BranchHistory, AffectedCpuIsGivenItsOwnNumberOfBranches) {
  EXPECT_EQ(of(kCortexA72).clear, Clear::kLoop);
  EXPECT_EQ(of(kCortexA72).branches, 8u);
  EXPECT_EQ(of(kCortexA76).branches, 24u);
  EXPECT_EQ(of(kCortexA76, true).clear, Clear::kLoop);  // cheaper than firmware's
  EXPECT_EQ(of(kNeoverseV2).branches, 132u);
}

TEST(BranchHistory, CpuThatOnlyFirmwareCanHelpIsLeftToFirmware) {
  EXPECT_EQ(of(kCortexA73, true).clear, Clear::kFirmware);
  EXPECT_EQ(of(kCortexA73, false).clear, Clear::kNothing);
}

TEST(BranchHistory, CpuThatIsNotListedNeedsNothing) {
  EXPECT_EQ(of(kCortexA53).clear, Clear::kNothing);
  EXPECT_EQ(of(kOfAnotherMaker).clear, Clear::kNothing);
}

TEST(BranchHistory, CpuThatKeepsTheLevelsApartNeedsNothing) {
  CpuIdentity cpu{.midr = kCortexA76};
  cpu.mmfr1 = 1ULL << 60;
  EXPECT_EQ(branch_history(cpu, true).clear, Clear::kNothing);
  cpu.mmfr1 = 0;
  cpu.pfr0 = 3ULL << 56;
  EXPECT_EQ(branch_history(cpu, true).clear, Clear::kNothing);
  cpu.pfr0 = 2ULL << 56;
  EXPECT_EQ(branch_history(cpu, true).clear, Clear::kLoop);
}

TEST(BranchHistory, InstructionIsUsedWhereTheCpuHasIt) {
  EXPECT_EQ(branch_history({.midr = kCortexA76, .isar2 = 1ULL << 28}, false).clear,
            Clear::kInstruction);
}

}  // namespace
}  // namespace penstock::vm
