// Where an INTID stands: its bit in a bank or in a word of pending LPIs.
#pragma once

#include <cstdint>

#include "core/vmsi/limits.hpp"

namespace penstock::vmsi {

constexpr std::uint32_t wired_bit(std::uint32_t intid) {
  return 1U << (intid & 31);
}
constexpr bool is_spi(std::uint32_t intid) {
  return intid >= kFirstSpi && intid < kFirstLpi;
}
/// Of the LPI kFirstLpi + `index`, in word index / 64.
constexpr std::uint64_t lpi_bit(std::uint32_t index) {
  return std::uint64_t{1} << (index & 63);
}

}  // namespace penstock::vmsi
