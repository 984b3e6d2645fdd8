// What can be made to happen without end costs a handful of log lines (H14).
#pragma once

#include <cstdint>

namespace penstock {

/// Of a thing that happened `count` times by now: is it told? The first 32 times, and then every
/// time the count has doubled.
[[nodiscard]] constexpr bool worth_a_line(std::uint64_t count) {
  constexpr std::uint64_t kToldSingly = 32;
  return count <= kToldSingly || (count & (count - 1)) == 0;
}

}  // namespace penstock
