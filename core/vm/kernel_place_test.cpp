#include "core/vm/kernel_place.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "core/base/bytes.hpp"

namespace penstock::vm {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes image(std::uint64_t text_offset, std::uint64_t image_size) {
  Bytes bytes(4096);
  store_le(bytes, 8, 8, text_offset);
  store_le(bytes, 16, 8, image_size);
  return bytes;
}

TEST(KernelPlace, ImageLiesWhereItsHeaderSays) {
  const auto place = place_kernel(image(0x8'0000, 0x10'0000), {}, 64 * kMiB);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->offset, 0x28'0000U);
  EXPECT_EQ(place->bytes, 0x10'0000U);
}

TEST(KernelPlace, RawImageLiesAtItsOffsetWhateverItsBytesSay) {
  const auto place = place_kernel(image(0x8'0000, 0x10'0000), 0x8'0000, 64 * kMiB);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->offset, 0x8'0000U);
  EXPECT_EQ(place->bytes, 4096U);
  EXPECT_TRUE(place_kernel(Bytes(1), kTreeBytes, 64 * kMiB)) << "shorter than a header";
}

TEST(KernelPlace, RawImageNeitherCoversTheTreeNorLeavesRam) {
  EXPECT_EQ(place_kernel(Bytes(4096), kTreeBytes - kPageSize, 64 * kMiB).error().code,
            Code::kOutOfRange);
  EXPECT_EQ(place_kernel(Bytes(4096), 0, 64 * kMiB).error().code, Code::kOutOfRange);
  EXPECT_TRUE(place_kernel(Bytes(4096), 64 * kMiB - 4096, 64 * kMiB));
  EXPECT_EQ(place_kernel(Bytes(4097), 64 * kMiB - 4096, 64 * kMiB).error().code, Code::kNoMemory);
  EXPECT_EQ(place_kernel(Bytes(4096), ~std::uint64_t{0xfff}, 64 * kMiB).error().code,
            Code::kNoMemory);
}

TEST(KernelPlace, ImageThatNeedsMoreThanThereIsIsRefused) {
  EXPECT_EQ(place_kernel(image(0, 63 * kMiB), {}, 64 * kMiB).error().code, Code::kNoMemory);
  EXPECT_EQ(place_kernel(image(0, ~std::uint64_t{0}), {}, 64 * kMiB).error().code, Code::kNoMemory);
}

}  // namespace
}  // namespace penstock::vm
