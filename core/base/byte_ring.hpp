// The newest bytes of a stream that nobody has to read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

/// Bytes have positions from 0; the last N are kept. Not locked.
template <std::size_t N>
class ByteRing {
 public:
  void put(char c) { bytes_[end_++ % N] = c; }
  /// Position behind the newest byte.
  [[nodiscard]] std::uint64_t end() const { return end_; }
  /// Position of the oldest byte that is kept.
  [[nodiscard]] std::uint64_t begin() const { return end_ > N ? end_ - N : 0; }
  /// Copies from `position` on, which becomes begin() when its byte is gone and end() when it has
  /// not come yet; returns how many bytes.
  std::size_t read(std::uint64_t& position, std::span<char> out) const {
    if (position < begin()) position = begin();
    if (position > end_) position = end_;
    std::size_t count = 0;
    while (count < out.size() && position + count < end_) {
      out[count] = bytes_[(position + count) % N];
      ++count;
    }
    return count;
  }
  void clear() { end_ = 0; }

 private:
  std::array<char, N> bytes_{};
  std::uint64_t end_ = 0;
};

}  // namespace penstock
