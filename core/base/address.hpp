// Addresses of the three spaces that must never be mixed up, and nothing but affine arithmetic on
// them: address + offset = address, address - address = offset.
//
//   Hpa   machine-physical                     (MFN << 12; PA)
//   Gpa   what a domain believes is physical   (GFN << 12; IPA, the input of stage 2)
//   Iova  what a device puts on the bus        (BFN << 12); without a vIOMMU its value equals the
//   Gpa
#pragma once

#include <compare>
#include <cstdint>

namespace penstock {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;
inline constexpr std::uint64_t kPageSize = 4 * kKiB;

template <typename Space>
class Addr {
 public:
  constexpr Addr() = default;
  constexpr explicit Addr(std::uint64_t value) : value_(value) {}
  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  [[nodiscard]] constexpr bool is_aligned(std::uint64_t power_of_two) const {
    return (value_ & (power_of_two - 1)) == 0;
  }
  [[nodiscard]] constexpr Addr align_down(std::uint64_t power_of_two) const {
    return Addr(value_ & ~(power_of_two - 1));
  }
  [[nodiscard]] constexpr Addr align_up(std::uint64_t power_of_two) const {
    return Addr((value_ + power_of_two - 1) & ~(power_of_two - 1));
  }
  friend constexpr Addr operator+(Addr a, std::uint64_t offset) { return Addr(a.value_ + offset); }
  friend constexpr Addr operator-(Addr a, std::uint64_t offset) { return Addr(a.value_ - offset); }
  friend constexpr std::uint64_t operator-(Addr a, Addr b) { return a.value_ - b.value_; }
  constexpr Addr& operator+=(std::uint64_t offset) {
    value_ += offset;
    return *this;
  }
  friend constexpr auto operator<=>(const Addr&, const Addr&) = default;

 private:
  std::uint64_t value_ = 0;
};

using Hpa = Addr<struct MachineSpace>;
using Gpa = Addr<struct GuestSpace>;
using Iova = Addr<struct BusSpace>;

/// True when [start, start + size) lies within [0, limit) without wrapping. size 0 is within when
/// start <= limit.
[[nodiscard]] constexpr bool fits(std::uint64_t start, std::uint64_t size, std::uint64_t limit) {
  return start <= limit && size <= limit - start;
}

/// True when the two half-open ranges share at least one byte. A range that would wrap ends where
/// the numbers do.
[[nodiscard]] constexpr bool overlaps(std::uint64_t a, std::uint64_t a_size, std::uint64_t b,
                                      std::uint64_t b_size) {
  return a_size != 0 && b_size != 0 && (a < b ? b - a < a_size : a - b < b_size);
}

[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t power_of_two) {
  return (value + power_of_two - 1) & ~(power_of_two - 1);
}
[[nodiscard]] constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t power_of_two) {
  return value & ~(power_of_two - 1);
}
[[nodiscard]] constexpr bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

}  // namespace penstock
