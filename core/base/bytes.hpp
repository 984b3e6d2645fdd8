// Little-endian loads and stores on plain byte buffers of any alignment (for copies of guest data
// and for config space; never for MMIO, whose width and order of accesses are port/mmio.hpp's).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

/// The `size` (1..8) bytes at `offset` as a little-endian number. Requires offset + size <=
/// bytes.size().
[[nodiscard]] constexpr std::uint64_t load_le(std::span<const std::uint8_t> bytes,
                                              std::size_t offset, unsigned size) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= static_cast<std::uint64_t>(bytes[offset + i]) << (8 * i);
  }
  return value;
}

/// Stores the low `size` (1..8) bytes of `value` at `offset`. Requires offset + size <=
/// bytes.size().
constexpr void store_le(std::span<std::uint8_t> bytes, std::size_t offset, unsigned size,
                        std::uint64_t value) {
  for (unsigned i = 0; i < size; ++i) {
    bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

/// All-ones of an access of `size` bytes: what an absent PCI function and an unhandled register
/// read as.
[[nodiscard]] constexpr std::uint64_t all_ones(unsigned size) {
  return size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
}

}  // namespace penstock
