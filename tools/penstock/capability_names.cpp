#include "tools/penstock/capability_names.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace penstock::tool {
namespace {

// PCI Code and ID Assignment 2 and 3. The names are this program's own.
// clang-format off
constexpr std::array kKnown = std::to_array<KnownCapability>({
    {0x01, false, true,  "power-management"},
    {0x03, false, false, "vital-product-data"},
    {0x04, false, false, "slot-identification"},
    {0x05, false, true,  "msi"},
    {0x07, false, false, "pci-x"},
    {0x09, false, false, "vendor-specific"},
    {0x0a, false, false, "debug-port"},
    {0x0d, false, false, "subsystem-id"},
    {0x10, false, true,  "express"},
    {0x11, false, true,  "msi-x"},
    {0x12, false, false, "sata"},
    {0x13, false, true,  "advanced-features"},
    {0x01, true,  false, "error-reporting"},
    {0x02, true,  false, "virtual-channel"},
    {0x03, true,  true,  "serial-number"},
    {0x04, true,  false, "power-budgeting"},
    {0x0b, true,  false, "extended-vendor-specific"},
    {0x10, true,  false, "sr-iov"},
    {0x16, true,  false, "dynamic-power-allocation"},
    {0x17, true,  false, "processing-hints"},
    {0x18, true,  false, "latency-tolerance"},
    {0x19, true,  false, "secondary-express"},
    {0x1e, true,  false, "l1-substates"},
    {0x1f, true,  false, "precision-time"},
});
// clang-format on

}  // namespace

std::span<const KnownCapability> known_capabilities() {
  return kKnown;
}

const KnownCapability* find_capability(std::uint16_t id, bool extended) {
  for (const KnownCapability& known : kKnown) {
    if (known.id == id && known.extended == extended) return &known;
  }
  return nullptr;
}

std::optional<manifest::DeniedCapability> parse_capability(std::string_view text) {
  for (const KnownCapability& known : kKnown) {
    if (known.name == text) return manifest::DeniedCapability{known.id, known.extended};
  }
  manifest::DeniedCapability capability;
  capability.extended = text.starts_with("ext ");
  if (capability.extended) text.remove_prefix(4);
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  const char* const end = text.data() + text.size();
  const auto [rest, error] =
      std::from_chars(text.data(), end, capability.id, hexadecimal ? 16 : 10);
  const unsigned limit = capability.extended ? 0xffff : 0xff;
  if (error != std::errc() || rest != end || capability.id == 0 || capability.id > limit) return {};
  return capability;
}

std::string format_capability(std::uint16_t id, bool extended) {
  if (const KnownCapability* known = find_capability(id, extended)) return std::string(known->name);
  return fmt::format("{}{:#x}", extended ? "ext " : "", id);
}

}  // namespace penstock::tool
