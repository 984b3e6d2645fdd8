// Somebody else's text, made fit for a terminal: control characters are shown and not obeyed, so
// that nobody moves the cursor into another's line, hides what was said, or makes the terminal
// type an answer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock {

/// One stream of bytes. Printable ASCII, tabs, line feeds and well-formed UTF-8 (RFC 3629) pass.
/// C0 controls and DEL become `^[` and the like; bytes that are not UTF-8, and C1 controls, whether
/// as one byte or as a code point of UTF-8, become `\x9b` and the like.
class VisibleText {
 public:
  static constexpr std::size_t kMost = 16;  // characters of one answer

  /// What to show for the next byte; nothing yet where it begins a longer character. Valid until
  /// the next call.
  [[nodiscard]] std::string_view put(char c);
  /// What to show for a character that never came to its end.
  [[nodiscard]] std::string_view rest();

 private:
  void show(char c) { out_[out_size_++] = c; }
  void show_code(std::uint8_t byte);
  void begin(std::uint8_t byte);
  void give_up();

  std::array<char, kMost> out_{};
  std::size_t out_size_ = 0;
  std::array<std::uint8_t, 4> character_{};  // that is not complete
  std::uint8_t have_ = 0;                    // bytes of it
  std::uint8_t missing_ = 0;
  std::uint8_t low_ = 0;  // range of its next byte
  std::uint8_t high_ = 0;
};

}  // namespace penstock
