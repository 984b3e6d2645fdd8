#include "core/base/text.hpp"

namespace penstock {

TextWriter& TextWriter::ch(char c) {
  if (size_ < capacity_) buffer_[size_++] = c;
  return *this;
}

TextWriter& TextWriter::text(std::string_view s) {
  for (const char c : s) ch(c);
  return *this;
}

TextWriter& TextWriter::dec(std::uint64_t value) {
  std::array<char, 20> digits{};
  std::size_t n = 0;
  do {
    digits[n++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (n != 0) ch(digits[--n]);
  return *this;
}

TextWriter& TextWriter::hex_digits(std::uint64_t value, unsigned digits) {
  constexpr unsigned kMost = 16;  // that a value has
  unsigned width = 1;
  while (width < kMost && (value >> (4 * width)) != 0) ++width;
  if (width < digits) width = digits < kMost ? digits : kMost;
  while (width != 0) ch("0123456789abcdef"[(value >> (4 * --width)) & 0xf]);
  return *this;
}

TextWriter& TextWriter::hex(std::uint64_t value, unsigned digits) {
  return text("0x").hex_digits(value, digits);
}

TextWriter& TextWriter::bdf(std::uint16_t routing_id) {
  text("0000:").hex_digits(routing_id >> 8, 2).ch(':').hex_digits((routing_id >> 3) & 0x1f, 2);
  return ch('.').hex_digits(routing_id & 7, 1);
}

}  // namespace penstock
