#include "core/pci/reset_quirks.hpp"

namespace penstock::pci {
namespace {

using enum ResetMethod;
using Op = ResetOp;
using K = ResetOp::Kind;

constexpr std::uint8_t kAnyClass = 0xff;
constexpr std::uint8_t kDisplay = 0x03;
constexpr ResetOrder kNoFlr = {kPower, kSecondaryBus};
constexpr ResetOrder kNoBus = {kExpressFlr, kAdvancedFlr, kPower};
constexpr ResetOrder kNoPower = {kExpressFlr, kAdvancedFlr, kSecondaryBus};
// Not a plain function-level reset: it is what the device's own method mends.
constexpr ResetOrder kOwn = {kSpecific, kSecondaryBus};
constexpr ResetOrder kOwnFirst = {kSpecific, kExpressFlr, kSecondaryBus};

constexpr std::string_view kFlrHangs = "hangs after a function-level reset";
constexpr std::string_view kBusHangs = "does not come back from a secondary bus reset";
constexpr std::string_view kSlow = "fails when it is used soon after a function-level reset";
constexpr std::string_view kStuckNvme =
    "does not come back from a function-level reset while its controller is enabled";
constexpr std::string_view kFlrSource = "Linux drivers/pci/quirks.c, quirk_no_flr";
constexpr std::string_view kBusSource = "Linux drivers/pci/quirks.c, quirk_no_bus_reset";
constexpr std::string_view kSlowSource = "Linux drivers/pci/quirks.c, delay_250ms_after_flr";
constexpr std::string_view kNvmeSource = "Linux drivers/pci/quirks.c, nvme_disable_and_flr";

// clang-format off

// The capability is missing; the reset works (Intel 82599 datasheet, 9.5).
constexpr std::array kPlainFlr = {Op{K::kFlr}};

// NVMe: CC.EN and CC.SHN = 0 at 14h, then CSTS.RDY = 0 at 1ch (NVM Express Base, 3.1.4). No
// shutdown notification: it would complete commands into memory that is gone.
// Operations: kind, ms, offset, mask, value.
constexpr std::array kDisableNvme = {
  Op{K::kMemoryOn},
  Op{K::kWrite, 0, 0x14, 0xc001, 0},
  Op{K::kWaitFor, 30'000, 0x1c, 0x1, 0},
  Op{K::kFlr},
};

// A T4 hangs when DMA of its is under way that it may not finish, and wants MSI-X to be on.
constexpr std::array kChelsioT4 = {Op{K::kMasterOn}, Op{K::kMsixHeld}, Op{K::kFlr}};

// Big-endian registers: 1000h bit 30 says that the firmware knows of this, e80h bit 18 is set by
// us and cleared by the firmware when it is done.
constexpr std::array kHinicVf = {
  Op{K::kRequire, 0, 0x1000, 0x40, 0x40},
  Op{K::kWrite, 0, 0xe80, 0x400, 0x400},
  Op{K::kFlr},
  Op{K::kNoteRoute},
  Op{K::kWaitFor, 15'000, 0xe80, 0x400, 0},
};

//  vendor  device      class      order     reason  source; then bits of device, delay, script
constexpr std::array kQuirks = {
  ResetQuirk{0x1022, 0x1487,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // AMD Starship/Matisse HD audio
  ResetQuirk{0x1022, 0x148c,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // AMD Starship USB 3.0
  ResetQuirk{0x1022, 0x149c,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // AMD Matisse USB 3.0
  ResetQuirk{0x1022, 0x7901,     kAnyClass, kNoFlr,   "its disks are gone after a function-level reset",
             kFlrSource},                                                      // AMD FCH AHCI
  ResetQuirk{0x8086, 0x1502,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // Intel 82579LM
  ResetQuirk{0x8086, 0x1503,     kAnyClass, kNoFlr,   kFlrHangs, kFlrSource},  // Intel 82579V
  ResetQuirk{0x168c, 0x0030,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR93xx
  ResetQuirk{0x168c, 0x0032,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR9485
  ResetQuirk{0x168c, 0x003c,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Qualcomm Atheros QCA986x
  ResetQuirk{0x168c, 0x0033,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR9580
  ResetQuirk{0x168c, 0x0034,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Atheros AR9462
  ResetQuirk{0x177d, 0xa100,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // Cavium CN8xxx root port
  ResetQuirk{0x104c, 0xb005,     kAnyClass, kNoBus,   kBusHangs, kBusSource},  // TI KeyStone C667x
  ResetQuirk{0x1002, kAnyDevice, kDisplay,  kNoPower, "D3hot to D0 resets nothing, though it says so",
             "Linux drivers/pci/quirks.c, quirk_no_pm_reset"},                 // ATI/AMD graphics
  ResetQuirk{0x8086, 0x0953,     kAnyClass, kDefaultResetOrder, kSlow, kSlowSource,
             0xffff, 250},                                                     // Intel DC P3700
  ResetQuirk{0x8086, 0x0a54,     kAnyClass, kDefaultResetOrder, kSlow, kSlowSource,
             0xffff, 250},                                                     // Intel DC P4510
  ResetQuirk{0x8086, 0x10ed,     kAnyClass, kOwn,     "has a function-level reset that it does not advertise",
             "Linux drivers/pci/quirks.c, reset_intel_82599_sfp_virtfn",
             0xffff, 0, kPlainFlr},                                            // Intel 82599 VF
  ResetQuirk{0x144d, 0xa802,     kAnyClass, kOwn,     kStuckNvme, kNvmeSource,
             0xffff, 0, kDisableNvme},                                         // Samsung SM951/PM951
  ResetQuirk{0x144d, 0xa804,     kAnyClass, kOwn,     kStuckNvme, kNvmeSource,
             0xffff, 0, kDisableNvme},                                         // Samsung SM961/PM961
  ResetQuirk{0x1425, 0x4000,     kAnyClass, kOwn,     "hangs when it is reset with DMA under way",
             "Linux drivers/pci/quirks.c, reset_chelsio_generic_dev",
             0xf000, 0, kChelsioT4},                                           // Chelsio T4
  ResetQuirk{0x19e5, 0x375e,     kAnyClass, kOwnFirst, "its firmware takes part in a function-level reset",
             "Linux drivers/pci/quirks.c, reset_hinic_vf_dev",
             0xffff, 0, kHinicVf},                                             // Huawei Intelligent NIC VF
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
    case kSpecific: return "device-specific reset";
  }
  return "none";
}

std::span<const ResetQuirk> reset_quirks() {
  return kQuirks;
}

const ResetQuirk* quirk_of(const FunctionInfo& info) {
  for (const ResetQuirk& quirk : kQuirks) {
    const bool device =
        quirk.device == kAnyDevice || quirk.device == (info.device & quirk.device_mask);
    const bool kind = quirk.base_class == kAnyClass || quirk.base_class == info.class_code >> 16;
    if (quirk.vendor == info.vendor && device && kind) return &quirk;
  }
  return nullptr;
}

const ResetOrder& reset_order(const FunctionInfo& info) {
  const ResetQuirk* quirk = quirk_of(info);
  return quirk != nullptr ? quirk->order : kDefaultResetOrder;
}

bool needs_registers(ResetScript script) {
  for (const ResetOp& op : script) {
    if (op.kind >= K::kRequire) return true;
  }
  return false;
}

}  // namespace penstock::pci
