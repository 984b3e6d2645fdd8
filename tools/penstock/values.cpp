#include "tools/penstock/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/address.hpp"

namespace penstock::tool {
namespace {

struct Unit {
  std::string_view suffix;
  std::uint64_t bytes;
};
constexpr std::array<Unit, 4> kUnits = {
    {{"T", 1024 * kGiB}, {"G", kGiB}, {"M", kMiB}, {"K", kKiB}}};

/// Takes `digits` hexadecimal digits (at least one, at most that many) from the front.
std::optional<unsigned> take_hex(std::string_view& text, std::size_t digits) {
  unsigned value = 0;
  const char* begin = text.begin();
  const char* end = begin + std::min(text.size(), digits);
  const auto [rest, error] = std::from_chars(begin, end, value, 16);
  if (error != std::errc{} || rest == begin) return {};
  text.remove_prefix(static_cast<std::size_t>(rest - text.begin()));
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::uint16_t> parse_routing_id(std::string_view text) {
  if (text.size() > 5 && text[4] == ':') {
    if (!text.starts_with("0000:")) return {};
    text.remove_prefix(5);
  }
  const auto bus = take_hex(text, 2);
  if (!bus || !take(text, ':')) return {};
  const auto device = take_hex(text, 2);
  if (!device || !take(text, '.')) return {};
  const auto function = take_hex(text, 1);
  if (!function || !text.empty() || *device > 31 || *function > 7) return {};
  return static_cast<std::uint16_t>(*bus << 8 | *device << 3 | *function);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{}) return {};
  text.remove_prefix(static_cast<std::size_t>(rest - text.begin()));
  (void)take(text, ' ');
  if (text.empty()) return value;
  for (const Unit& unit : kUnits) {
    if (!text.starts_with(unit.suffix)) continue;
    const std::string_view tail = text.substr(1);
    if (!tail.empty() && tail != "iB" && tail != "B") return {};
    if (value > ~std::uint64_t{0} / unit.bytes) return {};
    return value * unit.bytes;
  }
  return {};
}

std::string format_size(std::uint64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0) {
      return fmt::format("{} {}iB", bytes / unit.bytes, unit.suffix);
    }
  }
  return fmt::format("{} bytes", bytes);
}

std::optional<HostBdf> parse_host_bdf(std::string_view text) {
  const auto id = parse_routing_id(text);
  return id ? std::optional(HostBdf(*id)) : std::nullopt;
}

std::optional<GuestBdf> parse_guest_bdf(std::string_view text) {
  const auto id = parse_routing_id(text);
  return id ? std::optional(GuestBdf(*id)) : std::nullopt;
}

std::string format_bdf(HostBdf bdf) {
  return fmt::format("0000:{:02x}:{:02x}.{}", bdf.bus(), bdf.device(), bdf.function());
}

std::string format_bdf(GuestBdf bdf) {
  return fmt::format("{:02x}:{:02x}.{}", bdf.bus(), bdf.device(), bdf.function());
}

}  // namespace penstock::tool
