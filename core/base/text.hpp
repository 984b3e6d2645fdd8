// Short texts without a heap: messages that name a domain, a device and a reason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock {

/// Appends to a caller's buffer; what does not fit is cut, never written beyond.
class TextWriter {
 public:
  constexpr TextWriter(char* buffer, std::size_t capacity) : buffer_(buffer), capacity_(capacity) {}
  TextWriter& text(std::string_view s);
  TextWriter& dec(std::uint64_t value);
  /// "0x" and at least `digits` lower-case hexadecimal digits, 16 at most.
  TextWriter& hex(std::uint64_t value, unsigned digits = 1);
  /// The same without "0x".
  TextWriter& hex_digits(std::uint64_t value, unsigned digits);
  /// "0000:bb:dd.f" for a routing ID on segment 0.
  TextWriter& bdf(std::uint16_t routing_id);
  TextWriter& ch(char c);
  [[nodiscard]] std::string_view view() const { return {buffer_, size_}; }

 private:
  char* buffer_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

/// A TextWriter with a buffer of its own.
template <std::size_t N>
class Text : private std::array<char, N>, public TextWriter {
 public:
  Text() : TextWriter(this->data(), N) {}
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
};

}  // namespace penstock
