#include "core/base/visible_text.hpp"

namespace penstock {
namespace {

struct Lead {
  std::uint8_t first;
  std::uint8_t last;
  std::uint8_t more;  // bytes that follow
  std::uint8_t low;   // of the second byte
  std::uint8_t high;
};

// RFC 3629, section 4, but for U+0080 to U+009F: these are the C1 controls.
constexpr std::array<Lead, 9> kLeads = {{{0xc2, 0xc2, 1, 0xa0, 0xbf},
                                         {0xc3, 0xdf, 1, 0x80, 0xbf},
                                         {0xe0, 0xe0, 2, 0xa0, 0xbf},
                                         {0xe1, 0xec, 2, 0x80, 0xbf},
                                         {0xed, 0xed, 2, 0x80, 0x9f},
                                         {0xee, 0xef, 2, 0x80, 0xbf},
                                         {0xf0, 0xf0, 3, 0x90, 0xbf},
                                         {0xf1, 0xf3, 3, 0x80, 0xbf},
                                         {0xf4, 0xf4, 3, 0x80, 0x8f}}};

}  // namespace

void VisibleText::show_code(std::uint8_t byte) {
  for (const char c : {'\\', 'x', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 0xf]}) {
    show(c);
  }
}

void VisibleText::give_up() {
  for (std::uint8_t i = 0; i < have_; ++i) show_code(character_[i]);
  have_ = 0;
  missing_ = 0;
}

void VisibleText::begin(std::uint8_t byte) {
  for (const Lead& lead : kLeads) {
    if (byte < lead.first || byte > lead.last) continue;
    character_[have_++] = byte;
    missing_ = lead.more;
    low_ = lead.low;
    high_ = lead.high;
    return;
  }
  show_code(byte);
}

std::string_view VisibleText::put(char c) {
  constexpr std::uint8_t kDelete = 0x7f;
  out_size_ = 0;
  const auto byte = static_cast<std::uint8_t>(c);
  if (missing_ != 0 && byte >= low_ && byte <= high_) {
    character_[have_++] = byte;
    low_ = 0x80;
    high_ = 0xbf;
    if (--missing_ != 0) return {};
    for (std::uint8_t i = 0; i < have_; ++i) show(static_cast<char>(character_[i]));
    have_ = 0;
    return {out_.data(), out_size_};
  }
  give_up();
  if (byte > kDelete) {
    begin(byte);
  } else if ((byte >= ' ' && byte < kDelete) || c == '\t' || c == '\n') {
    show(c);
  } else {
    show('^');
    show(static_cast<char>(byte ^ 0x40));  // ESC is ^[, DEL is ^?
  }
  return {out_.data(), out_size_};
}

std::string_view VisibleText::rest() {
  out_size_ = 0;
  give_up();
  return {out_.data(), out_size_};
}

}  // namespace penstock
