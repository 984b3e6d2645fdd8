#include "core/manifest/bundle.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace penstock::manifest {
namespace {

std::vector<std::uint8_t> bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

TEST(Crc32, HasTheCheckValueOfTheStandard) {
  EXPECT_EQ(crc32(bytes_of("123456789")), 0xcbf4'3926U);
  EXPECT_EQ(crc32({}), 0U);
}

TEST(Crc32, OfPagesLooksAtTheEndsOnly) {
  std::vector<std::uint8_t> bytes(3 * 4096);
  const std::uint32_t first = crc32_first_page(bytes);
  const std::uint32_t last = crc32_last_page(bytes);
  bytes[5000] = 1;
  EXPECT_EQ(crc32_first_page(bytes), first);
  EXPECT_EQ(crc32_last_page(bytes), last);
  bytes[4095] = 1;
  EXPECT_NE(crc32_first_page(bytes), first);
  bytes[8192] = 1;
  EXPECT_NE(crc32_last_page(bytes), last);
}

TEST(Crc32, OfAShortPayloadIsTheWhole) {
  const auto bytes = bytes_of("short");
  EXPECT_EQ(crc32_first_page(bytes), crc32(bytes));
  EXPECT_EQ(crc32_last_page(bytes), crc32(bytes));
}

TEST(Arm64Image, IsKnownByItsMagic) {
  std::vector<std::uint8_t> image(64);
  EXPECT_FALSE(is_arm64_image(image));
  image[56] = 'A';
  image[57] = 'R';
  image[58] = 'M';
  image[59] = 0x64;
  EXPECT_TRUE(is_arm64_image(image));
  image.resize(63);
  EXPECT_FALSE(is_arm64_image(image));
}

}  // namespace
}  // namespace penstock::manifest
