// Devices that send some of their requests under the routing ID of another function, announced by
// nothing: phantom functions in the sense of H38. Data with sources.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/pci/function_info.hpp"

namespace penstock::pci {

/// Where the requests seem to come from, on the function's own bus.
enum class AliasRule : std::uint8_t {
  kFunction0,  // function 0 of the same device
  kFunction1,
  kDevice1,  // 01.0
};

struct AliasQuirk {
  std::uint16_t vendor;
  std::uint16_t device;
  AliasRule rule;
  std::string_view source;
};

/// All of them, for documentation and tests.
[[nodiscard]] std::span<const AliasQuirk> alias_quirks();
/// The other requester ID that the function uses besides its own; nothing when it uses none.
[[nodiscard]] std::optional<std::uint16_t> alias_of(const FunctionInfo& info);

}  // namespace penstock::pci
