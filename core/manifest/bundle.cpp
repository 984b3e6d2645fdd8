#include "core/manifest/bundle.hpp"

namespace penstock::manifest {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb8'8320U : 0U);
    table[i] = crc;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

}  // namespace

bool is_arm64_image(std::span<const std::uint8_t> image) {
  if (image.size() < arm64_image::kHeaderBytes) return false;
  for (std::size_t i = 0; i < arm64_image::kMagic.size(); ++i) {
    if (image[arm64_image::kMagicOffset + i] != static_cast<std::uint8_t>(arm64_image::kMagic[i])) {
      return false;
    }
  }
  return true;
}

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const std::uint8_t byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ byte) & 0xff];
  return ~crc;
}

std::uint32_t crc32_first_page(std::span<const std::uint8_t> bytes) {
  return crc32(bytes.size() <= kPageSize ? bytes : bytes.first(kPageSize));
}

std::uint32_t crc32_last_page(std::span<const std::uint8_t> bytes) {
  return crc32(bytes.size() <= kPageSize ? bytes : bytes.last(kPageSize));
}

}  // namespace penstock::manifest
