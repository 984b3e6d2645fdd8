// Register and descriptor layouts as data that the compiler checks.
//
//     using V      = Field<0, 0>;
//     using Config = Field<3, 1, SteConfig>;
//     using Res0   = Field<63, 4>;
//     static_assert(covers_exactly<64, V, Config, Res0>());
//     auto word = with<Config>(with<V>(0, 1), SteConfig::kAbort);
//
// Fields are written high bit first, low bit second, as in the manuals; reserved ranges are written
// out too, so that a wrong bit overlaps something and does not compile. Words are immutable values:
// read, change the copy, write.
#pragma once

#include <concepts>
#include <cstdint>

namespace penstock {

template <unsigned Hi, unsigned Lo, typename T = std::uint64_t>
struct Field {
  static_assert(Hi >= Lo && Hi < 64);
  using Value = T;
  static constexpr unsigned kLow = Lo;
  static constexpr unsigned kWidth = Hi - Lo + 1;
  static constexpr std::uint64_t kMask =
      (kWidth == 64 ? ~std::uint64_t{0} : ((std::uint64_t{1} << kWidth) - 1)) << Lo;
};

template <typename F>
[[nodiscard]] constexpr typename F::Value get(std::uint64_t word) {
  return static_cast<typename F::Value>((word & F::kMask) >> F::kLow);
}

/// The word with field F replaced by `value`; bits of `value` beyond the field are dropped.
template <typename F>
[[nodiscard]] constexpr std::uint64_t with(std::uint64_t word, typename F::Value value) {
  return (word & ~F::kMask) | ((static_cast<std::uint64_t>(value) << F::kLow) & F::kMask);
}

/// True when the fields tile a word of `Width` bits: no gap, no overlap.
template <unsigned Width, typename... Fields>
  requires(Width >= 1 && Width <= 64)
[[nodiscard]] consteval bool covers_exactly() {
  constexpr std::uint64_t full = ~std::uint64_t{0} >> (64 - Width);
  const unsigned bits = (Fields::kWidth + ... + 0U);
  const std::uint64_t all = (Fields::kMask | ... | std::uint64_t{0});
  return bits == Width && all == full;
}

/// A mask of `count` low bits (count 0..64).
[[nodiscard]] constexpr std::uint64_t low_mask(unsigned count) {
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

}  // namespace penstock
