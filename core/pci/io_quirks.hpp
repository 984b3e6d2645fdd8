// Registers in I/O space, which no guest is shown: whose usual drivers cannot do without them. Data
// with sources.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/pci/function_info.hpp"

namespace penstock::pci {

struct IoQuirk {
  std::uint16_t vendor;
  std::uint16_t device;
  std::uint16_t last;  // device: the range ends here
  bool needed;         // false: the driver works without it
  std::string_view driver;
  std::string_view source;
};

/// All of them, for documentation and tests.
[[nodiscard]] std::span<const IoQuirk> io_quirks();
[[nodiscard]] bool has_io_bar(const FunctionInfo& info);
/// What is known of a device with an I/O BAR; null: nothing.
[[nodiscard]] const IoQuirk* io_quirk_of(std::uint16_t vendor, std::uint16_t device);

}  // namespace penstock::pci
