// PCI capabilities by name, as configurations write them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/manifest/manifest.hpp"

namespace penstock::tool {

struct KnownCapability {
  std::uint16_t id;
  bool extended;  // in the list that starts at 0x100
  bool built_in;  // a guest sees it without being told so (docs/vpci-policy.md)
  std::string_view name;
};
[[nodiscard]] std::span<const KnownCapability> known_capabilities();
[[nodiscard]] const KnownCapability* find_capability(std::uint16_t id, bool extended);

/// "msi-x", "0x11", or "ext 0x1" for one of the extended list.
[[nodiscard]] std::optional<manifest::DeniedCapability> parse_capability(std::string_view text);
/// The same words: the name where there is one.
[[nodiscard]] std::string format_capability(std::uint16_t id, bool extended);

}  // namespace penstock::tool
