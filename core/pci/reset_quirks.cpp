#include "core/pci/reset_quirks.hpp"

namespace penstock::pci {
namespace {

using enum ResetMethod;

constexpr std::uint8_t kAnyClass = 0xff;
constexpr ResetOrder kNoFlr = {kPower, kSecondaryBus, kNone, kNone};
constexpr ResetOrder kNoBus = {kExpressFlr, kAdvancedFlr, kPower, kNone};
constexpr ResetOrder kNoPower = {kExpressFlr, kAdvancedFlr, kSecondaryBus, kNone};

constexpr std::string_view kFlrHangs = "hangs after a function-level reset";
constexpr std::string_view kBusHangs = "does not come back from a secondary bus reset";
constexpr std::string_view kFlrSource = "Linux drivers/pci/quirks.c, quirk_no_flr";
constexpr std::string_view kBusSource = "Linux drivers/pci/quirks.c, quirk_no_bus_reset";

// clang-format off
//  vendor  device      class      order     reason  source
constexpr std::array kQuirks = {
  ResetQuirk{0x1022, 0x1487,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // AMD Starship/Matisse HD audio
  ResetQuirk{0x1022, 0x148c,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // AMD Starship USB 3.0
  ResetQuirk{0x1022, 0x149c,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // AMD Matisse USB 3.0
  ResetQuirk{0x8086, 0x1502,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // Intel 82579LM
  ResetQuirk{0x8086, 0x1503,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // Intel 82579V
  ResetQuirk{0x168c, 0x0030,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR93xx
  ResetQuirk{0x168c, 0x0032,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR9485
  ResetQuirk{0x168c, 0x003c,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Qualcomm Atheros QCA986x
  ResetQuirk{0x168c, 0x0033,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR9580
  ResetQuirk{0x168c, 0x0034,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR9462
  ResetQuirk{0x177d, 0xa100,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Cavium CN8xxx root port
  ResetQuirk{0x104c, 0xb005,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // TI KeyStone C667x
  ResetQuirk{0x1002, kAnyDevice, 0x03,      kNoPower, "D3hot to D0 resets nothing, though it says so",
             "Linux drivers/pci/quirks.c, quirk_no_pm_reset"},                 // ATI/AMD graphics
};
// clang-format on

}  // namespace

std::string_view name_of(ResetMethod method) {
  switch (method) {
    case kNone: return "none";
    case kExpressFlr: return "function-level reset";
    case kAdvancedFlr: return "function-level reset (conventional PCI)";
    case kPower: return "power-management reset (D3hot to D0)";
    case kSecondaryBus: return "secondary bus reset";
  }
  return "none";
}

std::span<const ResetQuirk> reset_quirks() {
  return kQuirks;
}

const ResetQuirk* quirk_of(const FunctionInfo& info) {
  for (const ResetQuirk& quirk : kQuirks) {
    const bool device = quirk.device == kAnyDevice || quirk.device == info.device;
    const bool kind = quirk.base_class == kAnyClass || quirk.base_class == info.class_code >> 16;
    if (quirk.vendor == info.vendor && device && kind) return &quirk;
  }
  return nullptr;
}

const ResetOrder& reset_order(const FunctionInfo& info) {
  const ResetQuirk* quirk = quirk_of(info);
  return quirk != nullptr ? quirk->order : kDefaultResetOrder;
}

}  // namespace penstock::pci
