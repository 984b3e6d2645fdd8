// Functions whose advertised resets do not do what they promise. Data with reasons and sources;
// nothing else in core/pci knows a device by name.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/pci/function_info.hpp"

namespace penstock::pci {

enum class ResetMethod : std::uint8_t {
  kNone,
  kExpressFlr,    // PCI Express function-level reset (PCIe 6.6.2)
  kAdvancedFlr,   // the same for conventional PCI (Advanced Capabilities ECN)
  kPower,         // D3hot to D0 (PCI Bus Power Management 1.2, 5.4.1)
  kSecondaryBus,  // reset of everything behind a bridge (PCIe 7.5.1.3.13)
};
[[nodiscard]] std::string_view name_of(ResetMethod method);

/// Methods in the order in which they are tried; kNone ends the list.
using ResetOrder = std::array<ResetMethod, 4>;
inline constexpr ResetOrder kDefaultResetOrder = {ResetMethod::kExpressFlr,
                                                  ResetMethod::kAdvancedFlr, ResetMethod::kPower,
                                                  ResetMethod::kSecondaryBus};

inline constexpr std::uint16_t kAnyDevice = 0xffff;

struct ResetQuirk {
  std::uint16_t vendor;
  std::uint16_t device;     // kAnyDevice: all of the vendor's
  std::uint8_t base_class;  // 0xff: any
  ResetOrder order;
  std::string_view reason;
  std::string_view source;
};

/// All of them, for documentation and tests.
[[nodiscard]] std::span<const ResetQuirk> reset_quirks();
/// The first entry that names the function, or null.
[[nodiscard]] const ResetQuirk* quirk_of(const FunctionInfo& info);
[[nodiscard]] const ResetOrder& reset_order(const FunctionInfo& info);

}  // namespace penstock::pci
