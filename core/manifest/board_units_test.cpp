// Behind which SMMU and which ITS a bridge's devices are: what its maps name, or nothing.
#include <gtest/gtest.h>

#include "core/manifest/test_board_tree.hpp"

namespace penstock::manifest {
namespace {

using test::kItsHandle;
using test::kOtherSmmuHandle;
using test::kSmmuHandle;
using test::Numbers;
using test::Parsed;
using test::Parts;
using test::Tree;

constexpr Hpa kSmmu{0x0905'0000};
constexpr Hpa kOtherSmmu{0x0a10'0000};

// Covers: H62 S2.24
TEST(BoardUnits, UnitThatTheMapNamesIsDrivenAndTheOthersAreSwitchedOff) {
  Parts parts;
  parts.other_units = 1;
  const Parsed parsed(parts);
  const Board& board = parsed.board;
  ASSERT_TRUE(board.smmu && board.gic && board.gic->its && board.assigns) << parsed.said;
  EXPECT_EQ(board.smmu->registers.base, kSmmu) << "the second of the tree";
  EXPECT_EQ(board.gic->its->base, Hpa(0x0808'0000));
  ASSERT_EQ(board.idle_smmus.size(), 1U);
  EXPECT_EQ(board.idle_smmus[0].base, kOtherSmmu);
  ASSERT_EQ(board.gic->idle_its.size(), 1U);
  EXPECT_EQ(board.gic->idle_its[0].base, Hpa(0x0a00'0000));
  EXPECT_TRUE(parsed.says("/bus168820736/smmuv3: ")) << parsed.said;
}

// Covers: H62
TEST(BoardUnits, MapThatNamesNoUsableUnitLeavesTheDevicesToNobody) {
  const auto refused = [](std::uint32_t handle, std::string_view why) {
    Parts parts;
    parts.iommu_map = {0, handle, 0, 0x1'0000};
    parts.more = [](Tree& tree) {
      tree.begin("iommu@5000000");
      tree.text("compatible", "arm,mmu-500");
      tree.cells("#iommu-cells", {1});
      tree.cells("phandle", {50});
      tree.end();
    };
    const Parsed parsed(parts);
    EXPECT_TRUE(parsed.board.boots);
    EXPECT_FALSE(parsed.board.smmu || parsed.board.assigns);
    EXPECT_TRUE(parsed.says(why)) << parsed.said;
    return parsed.board.idle_smmus.size();
  };
  EXPECT_EQ(refused(50, "/iommu@5000000 (arm,mmu-500), which Penstock does not drive"), 1U);
  EXPECT_EQ(refused(51, "which is not in the tree"), 1U);
  EXPECT_EQ(refused(0, "which is not in the tree"), 1U);
  Parts parts;
  parts.bus_status = "disabled";
  EXPECT_FALSE(Parsed(parts).board.smmu) << "a bus that is switched off";
  EXPECT_TRUE(Parsed(parts).says("which is switched off (status)"));
  parts = {};
  parts.iommu_map = {};
  EXPECT_FALSE(Parsed(parts).board.smmu);
}

// Covers: H62
TEST(BoardUnits, RequesterIdsOfAnotherUnitStayInTheMapWithoutAnId) {
  Parts parts;
  parts.other_units = 1;
  parts.iommu_map = {0, kOtherSmmuHandle, 0, 0x100, 0x100, kSmmuHandle, 0x400, 0x100};
  const Parsed first(parts);
  ASSERT_TRUE(first.board.smmu);
  EXPECT_EQ(first.board.smmu->registers.base, kOtherSmmu) << "the first that can be used";
  ASSERT_EQ(first.board.bridge->iommu_map.entries.size(), 2U);
  EXPECT_FALSE(first.board.bridge->iommu_map.entries[0].elsewhere);
  EXPECT_TRUE(first.board.bridge->iommu_map.entries[1].elsewhere);
  EXPECT_TRUE(first.says("from requester ID 0x100 on, its iommu-map names")) << first.said;
  parts.iommu_map[1] = 99;
  const Parsed second(parts);
  EXPECT_EQ(second.board.smmu->registers.base, kSmmu);
  EXPECT_TRUE(second.board.bridge->iommu_map.entries[0].elsewhere);
  EXPECT_FALSE(second.board.bridge->iommu_map.entries[1].elsewhere);
}

// Covers: H62 H70
TEST(BoardUnits, MapOfManyEntriesIsReadWholeOrNotAtAll) {
  const auto entries = [](std::uint32_t count) {
    Parts parts;
    parts.iommu_map.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      parts.iommu_map.insert(parts.iommu_map.end(), {16 * i, kSmmuHandle, 0x1000 + 16 * i, 16});
    }
    const Parsed parsed(parts);
    EXPECT_EQ(parsed.board.assigns, !parsed.board.bridge->iommu_map.entries.empty()) << parsed.said;
    return parsed.board.bridge->iommu_map.entries.size();
  };
  EXPECT_EQ(entries(9), 9U);
  EXPECT_EQ(entries(64), 64U);
  EXPECT_EQ(entries(65), 0U) << "a part of it would be another map";
}

// Covers: H62
TEST(BoardUnits, MaskBelongsToTheMap) {
  Parts parts;
  parts.iommu_map_mask = {0xfff8};
  const Parsed parsed(parts);
  EXPECT_EQ(parsed.board.bridge->iommu_map.mask, 0xfff8U);
  EXPECT_EQ(parsed.board.bridge->msi_map.mask, ~0U);
  parts.iommu_map = {1, kSmmuHandle, 0, 0x100};
  const Parsed outside(parts);
  EXPECT_TRUE(outside.board.bridge->iommu_map.entries[0].elsewhere);
  EXPECT_TRUE(outside.says("outside its map's mask")) << outside.said;
}

// Covers: H62
TEST(BoardUnits, MessagesWithoutAMapGoToTheirParentUnderTheRequesterId) {
  Parts parts;
  parts.other_units = 1;
  parts.msi_map = {};
  parts.msi_parent = {kItsHandle, 0};
  const Parsed parsed(parts);
  ASSERT_TRUE(parsed.board.gic->its);
  EXPECT_EQ(parsed.board.gic->its->base, Hpa(0x0808'0000));
  ASSERT_EQ(parsed.board.bridge->msi_map.entries.size(), 1U);
  EXPECT_EQ(parsed.board.bridge->msi_map.entries[0].length, 0x1'0000U);
  parts.msi_parent = {};
  EXPECT_FALSE(Parsed(parts).board.gic->its || Parsed(parts).board.assigns);
  parts.msi_map = {0, kSmmuHandle, 0, 0x1'0000};
  EXPECT_FALSE(Parsed(parts).board.gic->its) << "an SMMU is no ITS";
}

// Covers: H70
TEST(BoardUnits, SmmuWhoseFaultsNobodyWouldHearIsNotDriven) {
  for (const Numbers& interrupts :
       {Numbers{0, 0xffff'fff0, 4}, Numbers{0, 988, 4}, Numbers{2, 5, 4}, Numbers{1, 16, 4}}) {
    Parts parts;
    parts.smmu_interrupts = interrupts;
    const Parsed parsed(parts);
    EXPECT_FALSE(parsed.board.smmu || parsed.board.assigns);
    EXPECT_TRUE(parsed.says("beyond those that a GICv3 has")) << parsed.said;
  }
}

// Covers: H70
TEST(BoardUnits, SmmuWhoseFaultsGoToOneCpuAloneIsNotDriven) {
  Parts parts;
  parts.smmu_interrupts = {1, 5, 4, 0, 75, 1, 0, 76, 1, 0, 77, 1};
  const Parsed parsed(parts);
  EXPECT_FALSE(parsed.board.smmu || parsed.board.assigns);
  EXPECT_EQ(parsed.heaviest, Weight::kNoDevices);
  EXPECT_TRUE(parsed.says("their interrupt is one CPU's own")) << parsed.said;
  parts.smmu_interrupts = {0, 74, 1, 0, 75, 1, 0, 76, 1, 1, 5, 4};
  const Parsed error(parts);
  ASSERT_TRUE(error.board.smmu);
  EXPECT_EQ(error.board.smmu->gerror_intid, 0U);
  EXPECT_TRUE(error.says("its error interrupt cannot be used")) << error.said;
}

// Covers: H62
TEST(BoardUnits, SmmuWithOneLineForFaultsAndErrorsHasNoneForErrorsAlone) {
  const auto one_line = [](const Numbers& interrupts, const std::string& names) {
    Parts parts;
    parts.smmu_interrupts = interrupts;
    parts.smmu_interrupt_names = names;
    const Parsed parsed(parts);
    EXPECT_TRUE(parsed.board.assigns) << parsed.said;
    EXPECT_EQ(parsed.said, "");
    ASSERT_TRUE(parsed.board.smmu);
    EXPECT_EQ(parsed.board.smmu->event_intid, 106U);
    EXPECT_EQ(parsed.board.smmu->gerror_intid, 0U) << "errors are looked for with the faults";
  };
  one_line({0, 74, 4}, "combined");
  one_line({0, 74, 4, 0, 74, 4}, std::string("eventq\0gerror", 13));
}

// Covers: H62
TEST(BoardUnits, ItsWithoutTheFrameForMessagesIsNotDrivenAndSwitchedOff) {
  Parts parts;
  parts.its_bytes = 0x1'0000;
  const Parsed parsed(parts);
  ASSERT_TRUE(parsed.board.gic);
  EXPECT_FALSE(parsed.board.gic->its || parsed.board.assigns);
  EXPECT_TRUE(
      parsed.says("/its@134742016: its registers at 0x8080000, 0x10000 bytes, are too "
                  "small"))
      << parsed.said;
  ASSERT_EQ(parsed.board.gic->idle_its.size(), 1U);
  EXPECT_EQ(parsed.board.gic->idle_its[0].size, 0x1'0000U);
}

// Covers: H62
TEST(BoardUnits, MapWithoutAUsableEntryNamesNoUnit) {
  for (const Numbers& map : {Numbers{0, kSmmuHandle, 0, 0},                      // no requester ID
                             Numbers{0, kSmmuHandle, 0xffff'ffff, 0x1'0000}}) {  // wraps
    Parts parts;
    parts.iommu_map = map;
    const Parsed parsed(parts);
    EXPECT_FALSE(parsed.board.smmu || parsed.board.assigns);
    EXPECT_EQ(parsed.heaviest, Weight::kNoDevices);
    EXPECT_TRUE(parsed.says("nothing isolates them")) << parsed.said;
    EXPECT_EQ(parsed.board.idle_smmus.size(), 1U);
  }
  Parts parts;
  parts.msi_map = {0, kItsHandle, 0xffff'ffff, 0x1'0000};
  EXPECT_FALSE(Parsed(parts).board.gic->its || Parsed(parts).board.assigns);
}

// Covers: S3.23
TEST(BoardUnits, FirmwareMemoryIsToldAndThroughAnyDeviceLeavesNone) {
  Parts parts;
  parts.firmware_memory_users = {test::kPortHandle, 0, 0, 0x4800'0000, 0, 0x4000};
  const Parsed port(parts);
  EXPECT_TRUE(port.board.assigns) << port.said;
  EXPECT_TRUE(
      port.says("/reserved-memory/log@48000000: firmware uses it through device 2, "
                "function 0"))
      << port.said;
  parts.firmware_memory_users = {99, 0, 0x4800'0000, 0, 0x4000};
  const Parsed any(parts);
  EXPECT_TRUE(any.board.boots);
  EXPECT_FALSE(any.board.assigns);
  EXPECT_EQ(any.heaviest, Weight::kNoDevices);
  EXPECT_TRUE(any.says("through any device")) << any.said;
}

}  // namespace
}  // namespace penstock::manifest
