// The positions of the set bits of a word, lowest first: for (unsigned i : BitPositions(mask)).
#pragma once

#include <bit>
#include <cstdint>

namespace penstock::vmsi {

/// A snapshot: later changes of the word do not matter. At most 64 rounds.
class BitPositions {
 public:
  explicit constexpr BitPositions(std::uint64_t bits) : bits_(bits) {}

  class Iterator {
   public:
    explicit constexpr Iterator(std::uint64_t rest) : rest_(rest) {}
    constexpr unsigned operator*() const { return static_cast<unsigned>(std::countr_zero(rest_)); }
    constexpr Iterator& operator++() {
      rest_ &= rest_ - 1;
      return *this;
    }
    friend constexpr bool operator==(const Iterator&, const Iterator&) = default;

   private:
    std::uint64_t rest_;
  };
  [[nodiscard]] constexpr Iterator begin() const { return Iterator(bits_); }
  [[nodiscard]] static constexpr Iterator end() { return Iterator(0); }

 private:
  std::uint64_t bits_;
};

}  // namespace penstock::vmsi
