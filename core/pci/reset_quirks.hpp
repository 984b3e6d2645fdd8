// Functions whose advertised resets do not do what they promise, or that need something more than
// a reset. Data with reasons and sources.
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
  kSpecific,      // what the table has for this device alone
};
[[nodiscard]] std::string_view name_of(ResetMethod method);

/// Methods in the order in which they are tried; kNone ends the list.
using ResetOrder = std::array<ResetMethod, 5>;
inline constexpr ResetOrder kDefaultResetOrder = {ResetMethod::kExpressFlr,
                                                  ResetMethod::kAdvancedFlr, ResetMethod::kPower,
                                                  ResetMethod::kSecondaryBus, ResetMethod::kNone};

/// One step of a device-specific method. Registers are those of BAR 0, 4 bytes, little-endian.
struct ResetOp {
  enum class Kind : std::uint8_t {
    kMemoryOn,   // memory decoding on, for the steps that follow
    kMasterOn,   // bus mastering on: the caller has cut the DMA, so nothing arrives anywhere
    kMsixHeld,   // MSI-X on with all vectors masked
    kFlr,        // InitiateFlr, whether or not the function says that it has it, and 100 ms
    kNoteRoute,  // a config write that changes nothing: the function learns its own routing ID
    kRequire,    // the method is for functions whose register has `value` under `mask`
    kWrite,      // register = (register & ~mask) | value
    kWaitFor,    // until the register has `value` under `mask`, `ms` at most; then on in any case
  };
  Kind kind;
  std::uint16_t ms = 0;
  std::uint32_t at = 0;
  std::uint32_t mask = 0;
  std::uint32_t value = 0;
};
using ResetScript = std::span<const ResetOp>;

inline constexpr std::uint16_t kAnyDevice = 0xffff;

struct ResetQuirk {
  std::uint16_t vendor;
  std::uint16_t device;     // kAnyDevice: all of the vendor's
  std::uint8_t base_class;  // 0xff: any
  ResetOrder order;
  std::string_view reason;
  std::string_view source;
  std::uint16_t device_mask = 0xffff;  // which bits of `device` count
  std::uint16_t after_ms = 0;          // left alone this long after it answers again
  ResetScript script{};                // for kSpecific
};

/// All of them, for documentation and tests.
[[nodiscard]] std::span<const ResetQuirk> reset_quirks();
/// The first entry that names the function, or null.
[[nodiscard]] const ResetQuirk* quirk_of(const FunctionInfo& info);
[[nodiscard]] const ResetOrder& reset_order(const FunctionInfo& info);
/// True when a step touches BAR 0.
[[nodiscard]] bool needs_registers(ResetScript script);

}  // namespace penstock::pci
