#include "core/vpci/register_file.hpp"

#include <gtest/gtest.h>

#include "core/vpci/fake_function.hpp"

namespace penstock::vpci {
namespace {

Register plain(unsigned offset, unsigned width, Masks masks, std::uint32_t reset = 0) {
  return {.offset = static_cast<std::uint16_t>(offset),
          .width = static_cast<std::uint8_t>(width),
          .handler = Handler::kPlain,
          .reset = reset,
          .masks = masks};
}

// Covers: S3.34
TEST(RegisterFile, RefusesRulesThatContradict) {
  RegisterFile file;
  file.clear(0);
  EXPECT_EQ(file.add(plain(0x41, 2, {.rw = 1})).error(), fail(Code::kMisaligned, 0x41));
  EXPECT_EQ(file.add(plain(0x40, 3, {.rw = 1})).error(), fail(Code::kMisaligned, 0x40));
  EXPECT_EQ(file.add(plain(0x40, 8, {.rw = 1})).error(), fail(Code::kMisaligned, 0x40));
  EXPECT_EQ(file.add(plain(0x40, 2, {.rw = 0x10000})).error(), fail(Code::kOutOfRange, 0x40));
  EXPECT_EQ(file.add(plain(0x40, 2, {.ro = 3, .rw = 2})).error(), fail(Code::kOutOfRange, 0x40));
  EXPECT_EQ(file.add(plain(0x1000, 4, {.rw = 1})).error(), fail(Code::kOutOfRange, 0x1000));
  EXPECT_TRUE(file.add(plain(0x40, 2, {.rw = 1})));
  EXPECT_EQ(file.add(plain(0x40, 4, {.rw = 2})).error(), fail(Code::kOverlap, 0x40));
  EXPECT_EQ(file.add(plain(0x41, 1, {.rw = 2})).error(), fail(Code::kOverlap, 0x41));
  EXPECT_TRUE(file.add(plain(0x42, 2, {.rw = 2})));
}

TEST(RegisterFile, BeingFullIsAnAnswer) {
  RegisterFile file;
  file.clear(0);
  for (unsigned i = 0; i < RegisterFile::kMaxRegisters; ++i) {
    ASSERT_TRUE(file.add(plain(0x100 + i, 1, {.rw = 0xff})));
  }
  EXPECT_EQ(file.add(plain(0x800, 1, {.rw = 1})).error().code, Code::kTableFull);
}

TEST(RegisterFile, ClaimsDoNotOverlapOrLeaveTheSpace) {
  RegisterFile file;
  file.clear(0xffffffff);
  EXPECT_FALSE(file.claim(0x3c, 8, 256));
  EXPECT_FALSE(file.claim(0xfc, 5, 256));
  EXPECT_TRUE(file.claim(0x50, 7, 256));  // odd length: the whole dword is taken
  EXPECT_FALSE(file.claim(0x54, 4, 256));
  EXPECT_TRUE(file.claim(0x58, 4, 256));
  EXPECT_FALSE(file.claim(0x48, 12, 256));
  EXPECT_EQ(file.read(0x4e, 4, nullptr), 0x0000ffffu);
}

// Covers: S3.36
TEST(RegisterFile, LiveBitsComeFromHardwareEachTimeAndOnlyWhenAsked) {
  test::FakeConfig hw;
  RegisterFile file;
  file.clear(0);
  ASSERT_TRUE(file.add(plain(0x60, 1, {.live = 0x0f}, 0x50)));
  ASSERT_TRUE(file.add(plain(0x62, 2, {.rw = 0xffff}, 0x1234)));
  hw.put(0x60, 1, 0xf7);
  EXPECT_EQ(file.read(0x60, 1, &hw), 0x57u);
  hw.put(0x60, 1, 0xf8);
  EXPECT_EQ(file.read(0x60, 4, &hw), 0x12340058u);
  EXPECT_EQ(hw.reads, 2u);
  EXPECT_EQ(file.read(0x62, 2, &hw), 0x1234u);
  EXPECT_EQ(hw.reads, 2u);  // its neighbour is live, it is not
}

TEST(RegisterFile, WritesAreSplitByRegister) {
  RegisterFile file;
  file.clear(0);
  ASSERT_TRUE(file.add(plain(0x43, 1, {.rw = 0xff})));
  ASSERT_TRUE(file.add(plain(0x44, 4, {.rw = 0xffffffff})));
  ASSERT_TRUE(file.add(plain(0x48, 2, {.rw = 0xffff})));
  const Changes changes = file.decode(0x42, 8, 0x8877665544332211);
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].mask, 0xffu);
  EXPECT_EQ(changes[0].bits, 0x22u);
  EXPECT_EQ(changes[1].bits, 0x66554433u);
  EXPECT_EQ(changes[2].mask, 0xffffu);
  EXPECT_EQ(changes[2].bits, 0x8877u);
  EXPECT_TRUE(file.decode(0x4a, 8, ~0ULL).empty());
  EXPECT_TRUE(file.decode(0x1000, 4, 0).empty());
  EXPECT_TRUE(file.decode(0x40, 0, 0).empty());
  const Changes part = file.decode(0x45, 1, 0xab);
  ASSERT_EQ(part.size(), 1u);
  EXPECT_EQ(part[0].mask, 0xff00u);
  EXPECT_EQ(part[0].bits, 0xab00u);
}

TEST(RegisterFile, EveryWidthAtTheEndIsDefined) {
  RegisterFile file;
  file.clear(0);
  for (const unsigned size : {1U, 2U, 4U, 8U}) {
    EXPECT_EQ(file.read(4095, size, nullptr), all_ones(size) & ~0xffULL);
    EXPECT_EQ(file.read(4096, size, nullptr), all_ones(size));
    EXPECT_EQ(file.read(0xffffffff - 3, size, nullptr), all_ones(size));
  }
}

}  // namespace
}  // namespace penstock::vpci
