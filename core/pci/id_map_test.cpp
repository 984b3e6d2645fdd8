#include "core/pci/id_map.hpp"

#include <gtest/gtest.h>

namespace penstock::pci {
namespace {

// Covers: S2.9
TEST(IdMap, TranslatesInsideItsRangesOnly) {
  IdMap map;
  ASSERT_TRUE(map.add(0x0000, 0x1'0000, 0x100));
  ASSERT_TRUE(map.add(0x0200, 0x0000, 0x100));
  EXPECT_EQ(map.translate(0x0000).value(), 0x1'0000U);
  EXPECT_EQ(map.translate(0x00ff).value(), 0x1'00ffU);
  EXPECT_EQ(map.translate(0x0208).value(), 0x0008U);
  for (const std::uint32_t outside : {0x100U, 0x1ffU, 0x300U, ~0U}) {
    EXPECT_EQ(map.translate(outside).error(), fail(Code::kNotFound, outside));
  }
}

TEST(IdMap, FullIsAnAnswer) {
  IdMap map;
  for (unsigned i = 0; i < IdMap::kMaxEntries; ++i) ASSERT_TRUE(map.add(i, i, 1));
  EXPECT_EQ(map.add(99, 99, 1).error().code, Code::kTableFull);
}

// Covers: S2.9 H62
TEST(IdMap, IdentifiersThatDifferOutsideTheMaskAreOne) {
  IdMap map;
  map.set_mask(0xfff8);
  ASSERT_TRUE(map.add(0x0100, 0x40, 0x100));
  EXPECT_EQ(map.translate(0x0100).value(), 0x40U);
  EXPECT_EQ(map.translate(0x0107).value(), 0x40U);
  EXPECT_EQ(map.translate(0x0109).value(), 0x48U);
}

// Covers: S2.9 H62
TEST(IdMap, IdentifierThatIsAnotherUnitsHasNoTranslationWhateverFollows) {
  IdMap map;
  ASSERT_TRUE(map.add_elsewhere(0x0100, 0x10));
  ASSERT_TRUE(map.add(0, 0, 0x1'0000));
  EXPECT_EQ(map.translate(0x0108).error(), fail(Code::kNotFound, 0x0108));
  EXPECT_EQ(map.translate(0x0110).value(), 0x0110U);
}

TEST(IdMap, TheWholeRangeOfNumbersIsOneEntry) {
  IdMap map;
  ASSERT_TRUE(map.add(0, 0, ~0U));
  EXPECT_EQ(map.translate(0xffff'fffe).value(), 0xffff'fffeU);
}

}  // namespace
}  // namespace penstock::pci
