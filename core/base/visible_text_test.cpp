#include "core/base/visible_text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock {
namespace {

std::string shown(std::string_view text) {
  VisibleText visible;
  std::string result;
  for (const char c : text) result += visible.put(c);
  return result + std::string(visible.rest());
}

TEST(VisibleText, PrintableAsciiTabsAndLineFeedsPass) {
  EXPECT_EQ(shown("a ~\tb\n"), "a ~\tb\n");
}

TEST(VisibleText, ControlCharactersAreNamed) {
  EXPECT_EQ(shown(std::string_view("\x1b[2J\r\b\x7f\0", 8)), "^[[2J^M^H^?^@");
}

TEST(VisibleText, EightBitControlsAreNamedAsByteAndAsCodePoint) {
  EXPECT_EQ(shown("\x9b"
                  "2J"),
            "\\x9b2J");
  EXPECT_EQ(shown("\xc2\x9b"
                  "2J"),
            "\\xc2\\x9b2J");
}

TEST(VisibleText, Utf8Passes) {
  const std::string_view text = "\xc2\xa0 \xc3\xa4 \xe2\x80\xa6 \xed\x9f\xbf \xf0\x9f\x98\x80";
  EXPECT_EQ(shown(text), text);
}

TEST(VisibleText, MalformedUtf8IsNamedByteByByte) {
  EXPECT_EQ(shown("\xe2\x80z"), "\\xe2\\x80z");         // cut short
  EXPECT_EQ(shown("\xc0\x9b"), "\\xc0\\x9b");           // overlong
  EXPECT_EQ(shown("\xe0\x82\x9b"), "\\xe0\\x82\\x9b");  // overlong
  EXPECT_EQ(shown("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(shown("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(shown("\xe2\x1b"), "\\xe2^[");
  EXPECT_EQ(shown("\xf0\x9f\x98"), "\\xf0\\x9f\\x98");  // at the end
  EXPECT_EQ(shown("\xf0\x9f\x98\xff"), "\\xf0\\x9f\\x98\\xff");
}

// Covers: H14
TEST(VisibleText, NoTwoBytesMakeAControlCharacter) {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second)};
      const std::string result = shown(text);
      for (std::size_t i = 0; i < result.size(); ++i) {
        const auto byte = static_cast<unsigned char>(result[i]);
        const bool plain = (byte >= 0x20 && byte < 0x7f) || byte == '\t' || byte == '\n';
        const bool utf8 = result == text && byte >= 0x80 && first >= 0xc2 && second >= 0x80;
        const bool c1 = first == 0xc2 && second < 0xa0;
        EXPECT_TRUE(plain || (utf8 && !c1)) << first << " " << second;
      }
    }
  }
}

}  // namespace
}  // namespace penstock
