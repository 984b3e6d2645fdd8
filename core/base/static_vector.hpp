// A vector with a fixed capacity and no heap. Being full is a normal outcome: push_back says so.
#pragma once

#include <array>
#include <cstddef>

#include "core/base/result.hpp"

namespace penstock {

template <typename T, std::size_t N>
class StaticVector {
 public:
  [[nodiscard]] constexpr Status push_back(T value) {
    if (full()) return fail(Code::kTableFull, N);
    items_[size_++] = std::move(value);
    return {};
  }
  /// Removes item `index`, if there is one; the items after it move down by one.
  constexpr void erase(std::size_t index) {
    if (index >= size_) return;
    for (std::size_t i = index + 1; i < size_; ++i) items_[i - 1] = std::move(items_[i]);
    items_[--size_] = T{};
  }
  constexpr void clear() {
    while (size_ != 0) items_[--size_] = T{};
  }
  [[nodiscard]] constexpr bool full() const { return size_ == N; }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
  [[nodiscard]] constexpr std::size_t size() const { return size_; }
  [[nodiscard]] static constexpr std::size_t capacity() { return N; }
  [[nodiscard]] constexpr T& operator[](std::size_t i) { return items_[i]; }
  [[nodiscard]] constexpr const T& operator[](std::size_t i) const { return items_[i]; }
  [[nodiscard]] constexpr T& back() { return items_[size_ - 1]; }
  [[nodiscard]] constexpr T* begin() { return items_.data(); }
  [[nodiscard]] constexpr T* end() { return items_.data() + size_; }
  [[nodiscard]] constexpr const T* begin() const { return items_.data(); }
  [[nodiscard]] constexpr const T* end() const { return items_.data() + size_; }

 private:
  std::array<T, N> items_{};
  std::size_t size_ = 0;
};

}  // namespace penstock
