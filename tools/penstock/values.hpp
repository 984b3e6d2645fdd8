// Texts that mean numbers: sizes and PCI addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/ids.hpp"

namespace penstock::tool {

/// "512M", "2G", "4096", "64 KiB": bytes. Nothing when it is no size or needs more than 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
/// "512 MiB": the largest unit that divides it.
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// "0000:01:00.0" or "01:00.0". Nothing for another segment than 0.
[[nodiscard]] std::optional<HostBdf> parse_host_bdf(std::string_view text);
/// The same syntax.
[[nodiscard]] std::optional<GuestBdf> parse_guest_bdf(std::string_view text);
[[nodiscard]] std::string format_bdf(HostBdf bdf);   // 0000:01:00.0
[[nodiscard]] std::string format_bdf(GuestBdf bdf);  // 00:01.0

}  // namespace penstock::tool
