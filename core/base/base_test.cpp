#include <gtest/gtest.h>

#include "core/base/address.hpp"
#include "core/base/bits.hpp"
#include "core/base/bytes.hpp"
#include "core/base/chacha.hpp"
#include "core/base/ids.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/base/text.hpp"

namespace penstock {
namespace {

TEST(Text, NamesDevicesAndCutsWhatDoesNotFit) {
  Text<64> line;
  line.text("net: ").bdf(HostBdf(2, 3, 1).value()).ch(' ').hex(0xabc, 4).ch(' ').dec(1050);
  EXPECT_EQ(line.view(), "net: 0000:02:03.1 0x0abc 1050");
  Text<4> small;
  EXPECT_EQ(small.text("abcdef").view(), "abcd");
  Text<32> wide;
  EXPECT_EQ(wide.hex(~std::uint64_t{0}, 40).view(), "0xffffffffffffffff");
}

TEST(Text, MoreDigitsThanANumberHasAreNotWritten) {
  for (const unsigned digits : {16U, 17U, 64U, ~0U}) {
    Text<32> line;
    EXPECT_EQ(line.hex_digits(0x123, digits).view(), "0000000000000123") << digits;
  }
}

TEST(StaticVector, ErasingWhatIsNotThereChangesNothing) {
  StaticVector<int, 2> v;
  v.erase(0);
  EXPECT_TRUE(v.empty());
  EXPECT_TRUE(v.push_back(1));
  v.erase(1);
  EXPECT_EQ(v.size(), 1u);
}

TEST(StaticVector, FullIsAnAnswer) {
  StaticVector<int, 2> v;
  EXPECT_TRUE(v.push_back(1));
  EXPECT_TRUE(v.push_back(2));
  EXPECT_EQ(v.push_back(3).error(), fail(Code::kTableFull, 2));
  v.erase(0);
  EXPECT_EQ(v.size(), 1u);
  EXPECT_EQ(v[0], 2);
}

TEST(Address, RangesThatWrapDoNotFit) {
  EXPECT_TRUE(fits(4, 4, 8));
  EXPECT_FALSE(fits(4, 5, 8));
  EXPECT_FALSE(fits(~0ULL, 2, ~0ULL));
  EXPECT_TRUE(overlaps(0, 4096, 4095, 1));
  EXPECT_FALSE(overlaps(0, 4096, 4096, 1));
  EXPECT_FALSE(overlaps(0, 0, 0, 10));
  EXPECT_FALSE(overlaps(5, 10, 7, 0));
}

// Covers: H70
TEST(Address, ARangeThatWouldWrapOverlapsAllThatIsBehindItsStart) {
  EXPECT_TRUE(overlaps(0x4000'0000, ~0ULL, 0x5000'0000, 1));
  EXPECT_TRUE(overlaps(0x5000'0000, 1, 0x4000'0000, ~0ULL));
  EXPECT_TRUE(overlaps(~0ULL - 0xfff, 0x1000, ~0ULL, 1));
  EXPECT_FALSE(overlaps(0x4000'0000, ~0ULL, 0x3000'0000, 0x1000'0000));
}

TEST(Bits, FieldsReadWhatWasWritten) {
  using A = Field<3, 1>;
  using B = Field<63, 60>;
  static_assert(covers_exactly<64, Field<0, 0>, A, Field<59, 4>, B>());
  static_assert(!covers_exactly<64, Field<1, 0>, A, Field<59, 4>, B>());
  static_assert(!covers_exactly<64, A, Field<59, 4>, B>());
  EXPECT_EQ(with<A>(0, 0xff), 0xeu);
  EXPECT_EQ(get<B>(with<B>(1, 9)), 9u);
}

TEST(Bytes, AreLittleEndianAtAnyAlignment) {
  std::array<std::uint8_t, 9> b{};
  store_le(b, 1, 8, 0x1122334455667788);
  EXPECT_EQ(b[1], 0x88);
  EXPECT_EQ(load_le(b, 2, 2), 0x6677u);
  EXPECT_EQ(all_ones(2), 0xffffu);
  EXPECT_EQ(all_ones(8), ~0ULL);
}

Result<int> half(int v) {
  if (v % 2 != 0) return fail(Code::kOutOfRange, static_cast<std::uint64_t>(v));
  return v / 2;
}
Result<int> quarter(int v) {
  return half(TRY(half(v)));
}

TEST(Result, TryHandsErrorsUp) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).error(), fail(Code::kOutOfRange, 3));
  EXPECT_EQ(describe(Code::kNoReset), "device cannot be reset");
}

// RFC 8439 2.3.2, whose nonce 00:00:00:09:00:00:00:4a:00:00:00:00 is this stream.
TEST(ChaCha, GivesTheBlockOfTheStandard) {
  Seed key;
  for (unsigned i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  const auto block = chacha20_block(key, 0x4a00'0000'0900'0000, 1);
  EXPECT_EQ(load_le(block, 0, 8), 0x15593bd1e4e7f110u);
  EXPECT_EQ(load_le(block, 56, 8), 0x4e3c50a2e883d0cbu);
  EXPECT_NE(chacha20_block(key, 1, 1), block);
}

}  // namespace
}  // namespace penstock
