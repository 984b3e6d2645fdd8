#include "core/vpci/policy.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/config.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"

namespace penstock::vpci {
namespace {

using namespace hw::pci;

constexpr std::uint32_t kAll = 0xffffffff;

template <typename... Fields>
constexpr std::uint32_t bits() {
  return static_cast<std::uint32_t>((Fields::kMask | ... | std::uint64_t{0}));
}

constexpr std::uint32_t kVirtualCommand =
    bits<command::MemorySpace, command::BusMaster, command::ParityErrorResponse,
         command::SerrEnable, command::InterruptDisable>();
constexpr std::uint32_t kStatusErrors =
    bits<status::MasterDataParityError, status::SignaledTargetAbort, status::ReceivedTargetAbort,
         status::ReceivedMasterAbort, status::SignaledSystemError, status::DetectedParityError>();
constexpr std::uint32_t kPmc =
    bits<power::capabilities::Version, power::capabilities::DeviceSpecificInit>();
constexpr std::uint32_t kMsiShape =
    bits<msi::control::MultipleCapable, msi::control::Address64, msi::control::PerVectorMask>();
constexpr std::uint32_t kMsiSwitch = bits<msi::control::Enable, msi::control::MultipleEnable>();
constexpr std::uint32_t kMsixSwitch = bits<msix::control::FunctionMask, msix::control::Enable>();
constexpr std::uint32_t kExpressType =
    bits<express::capabilities::Version, express::capabilities::Type>();
namespace devcap = express::device_capabilities;
constexpr std::uint32_t kDeviceCaps =
    bits<devcap::MaxPayloadSupported, devcap::ExtendedTag, devcap::L0sLatency, devcap::L1Latency,
         devcap::RoleBasedErrors, devcap::FunctionLevelReset>();
namespace devctl = express::device_control;
constexpr std::uint32_t kDevctlFixed =
    bits<devctl::MaxPayload, devctl::ExtendedTag, devctl::AuxPower, devctl::MaxReadRequest>();
constexpr std::uint32_t kDevctlOwn =
    bits<devctl::CorrectableEnable, devctl::NonFatalEnable, devctl::FatalEnable,
         devctl::UnsupportedEnable, devctl::NoSnoop>();
namespace devsta = express::device_status;
constexpr std::uint32_t kDevstaLive = bits<devsta::AuxPowerDetected, devsta::TransactionsPending>();
constexpr std::uint32_t kDevstaErrors = bits<devsta::CorrectableDetected, devsta::NonFatalDetected,
                                             devsta::FatalDetected, devsta::UnsupportedDetected>();
namespace af = advanced_features;

// clang-format off
using O = Owner;
using C = Condition;
using H = Handler;

constexpr std::array kPolicy = {
    // owner, offset, bytes, condition, handler, masks; then name, reason
    Row{O::kHeader, kVendorId, 2, C::kAlways, H::kPlain, {.ro = 0xffff},
        "Vendor ID", "the native driver must find its device"},
    Row{O::kHeader, kDeviceId, 2, C::kAlways, H::kPlain, {.ro = 0xffff},
        "Device ID", ""},
    Row{O::kHeader, kCommand, 2, C::kAlways, H::kCommand, {.rw = kVirtualCommand},
        "Command",
        "decode switches the mapping only, never the device's own decode, so that no access "
        "can meet a device that does not answer; bus mastering is passed on as an effect; INTx "
        "is not offered"},
    Row{O::kHeader, kStatus, 2, C::kAlways, H::kStatus,
        {.ro = bits<status::CapabilityList>(), .hw_w1c = kStatusErrors},
        "Status",
        "error bits of the device's own transactions; the rest describes conventional buses"},
    Row{O::kHeader, kRevisionId, 1, C::kAlways, H::kPlain, {.ro = 0xff},
        "Revision ID", ""},
    Row{O::kHeader, kClassCode, 1, C::kAlways, H::kPlain, {.ro = 0xff},
        "Programming interface", ""},
    Row{O::kHeader, kClassCode + 1, 2, C::kAlways, H::kPlain, {.ro = 0xffff},
        "Class", ""},
    Row{O::kHeader, kCacheLineSize, 1, C::kAlways, H::kPlain, {.rw = 0xff},
        "Cache Line Size", "without effect in PCIe; software writes it"},
    Row{O::kHeader, kHeaderType, 1, C::kAlways, H::kHeaderType, {.ro = 0xff},
        "Header Type", "layout 0; the multi-function bit is the virtual topology's"},
    Row{O::kHeader, kBar0 + 0x00, 4, C::kAlways, H::kBar, {},
        "BAR 0",
        "address bits above the size are the guest's; the physical BAR is never written; I/O "
        "BARs read 0"},
    Row{O::kHeader, kBar0 + 0x04, 4, C::kAlways, H::kBar, {},
        "BAR 1", ""},
    Row{O::kHeader, kBar0 + 0x08, 4, C::kAlways, H::kBar, {},
        "BAR 2", ""},
    Row{O::kHeader, kBar0 + 0x0c, 4, C::kAlways, H::kBar, {},
        "BAR 3", ""},
    Row{O::kHeader, kBar0 + 0x10, 4, C::kAlways, H::kBar, {},
        "BAR 4", ""},
    Row{O::kHeader, kBar0 + 0x14, 4, C::kAlways, H::kBar, {},
        "BAR 5", ""},
    Row{O::kHeader, kSubsystemVendor, 2, C::kAlways, H::kPlain, {.ro = 0xffff},
        "Subsystem Vendor ID", ""},
    Row{O::kHeader, kSubsystemId, 2, C::kAlways, H::kPlain, {.ro = 0xffff},
        "Subsystem ID", ""},
    Row{O::kHeader, kRomBar, 4, C::kAlways, H::kRom, {},
        "Expansion ROM",
        "absent unless asked for: ROM code is the device vendor's, for another machine; then "
        "like a BAR"},
    Row{O::kHeader, kCapabilities, 1, C::kAlways, H::kFirstCapability, {.ro = 0xff},
        "Capabilities Pointer", "first capability shown"},
    Row{O::kHeader, kInterruptLine, 1, C::kAlways, H::kPlain, {.rw = 0xff},
        "Interrupt Line", "a note from software to itself"},
    Row{O::kHeader, kInterruptPin, 1, C::kAlways, H::kPlain, {},
        "Interrupt Pin", "0: INTx is shared between functions and cannot be given to one guest"},

    Row{O::kPower, power::kCapabilities, 2, C::kAlways, H::kPlain, {.ro = kPmc},
        "PMC", "D1, D2 and PME are not offered: wake-up is the board's"},
    Row{O::kPower, power::kControlStatus, 2, C::kAlways, H::kPower,
        {.one = bits<power::control_status::NoSoftReset>(),
         .rw = bits<power::control_status::PowerState>()},
        "PMCSR",
        "the power state is the guest's belief: a real D3hot would reset BARs and interrupts "
        "that are the hypervisor's; so nothing is lost on the way to D0, and No_Soft_Reset "
        "says it"},

    Row{O::kMsi, msi::kControl, 2, C::kAlways, H::kMsiControl, {.ro = kMsiShape, .rw = kMsiSwitch},
        "MSI Message Control",
        "messages capable are cut to what a function may use; extended data is not offered"},
    Row{O::kMsi, msi::kAddressLow, 4, C::kAlways, H::kMsi, {.rw = 0xfffffffc},
        "MSI Address",
        "the guest reads back what it wrote; the device is given the hypervisor's event"},
    Row{O::kMsi, msi::kAddressHigh, 4, C::kMsi64, H::kMsi, {.rw = kAll},
        "MSI Upper Address", ""},
    Row{O::kMsi, 0x08, 2, C::kMsi32, H::kMsi, {.rw = 0xffff},
        "MSI Data", ""},
    Row{O::kMsi, 0x0c, 2, C::kMsi64, H::kMsi, {.rw = 0xffff},
        "MSI Data", ""},
    Row{O::kMsi, 0x0c, 4, C::kMsiMasks32, H::kMsiVectors, {.rw = kAll},
        "MSI Mask Bits", "the device's own mask is set by the hypervisor after this one"},
    Row{O::kMsi, 0x10, 4, C::kMsiMasks64, H::kMsiVectors, {.rw = kAll},
        "MSI Mask Bits", ""},
    Row{O::kMsi, 0x10, 4, C::kMsiMasks32, H::kMsiVectors, {.live = kAll},
        "MSI Pending Bits", ""},
    Row{O::kMsi, 0x14, 4, C::kMsiMasks64, H::kMsiVectors, {.live = kAll},
        "MSI Pending Bits", ""},

    Row{O::kExpress, express::kCapabilities, 2, C::kAlways, H::kExpressType, {.ro = kExpressType},
        "PCIe Capabilities",
        "an endpoint on the guest's root bus is shown as integrated, without a link"},
    Row{O::kExpress, express::kDeviceCapabilities, 4, C::kAlways, H::kPlain, {.ro = kDeviceCaps},
        "Device Capabilities",
        "phantom functions are hidden: they would send under other functions' requester IDs"},
    Row{O::kExpress, express::kDeviceControl, 2, C::kAlways, H::kDeviceControl,
        {.ro = kDevctlFixed, .rw = kDevctlOwn, .hw_rw = bits<devctl::RelaxedOrdering>(),
         .rsvdz = bits<devctl::InitiateFlr>()},
        "Device Control",
        "payload, read request and tag sizes must fit the physical path; error messages go to "
        "the hypervisor's root port; no-snoop reads could see stale bytes of a page's former "
        "owner; relaxed ordering touches the function's own traffic only; function-level reset "
        "is an effect"},
    Row{O::kExpress, express::kDeviceStatus, 2, C::kAlways, H::kPlain,
        {.live = kDevstaLive, .hw_w1c = kDevstaErrors,
         .rsvdz = bits<devsta::EmergencyPowerReduction>()},
        "Device Status", "what the function itself detected"},
    Row{O::kExpress, express::kLinkCapabilities, 4, C::kExpressLink, H::kPlain, {.ro = 0xff0003ff},
        "Link Capabilities", "speed, width, port; link power states are the hypervisor's"},
    Row{O::kExpress, express::kLinkControl, 2, C::kExpressLink, H::kPlain, {.ro = 0x0048},
        "Link Control", "the link is shared with the port above"},
    Row{O::kExpress, express::kLinkStatus, 2, C::kExpressLink, H::kPlain,
        {.live = 0x33ff, .rsvdz = 0xc000},
        "Link Status", "speed and width may change"},
    Row{O::kExpress, express::kDeviceCapabilities2, 4, C::kExpress2, H::kPlain, {.ro = 0x1f},
        "Device Capabilities 2",
        "completion time-outs; atomics, 10-bit tags, hints, prefixes and LTR need the whole "
        "path and are hidden"},
    Row{O::kExpress, express::kDeviceControl2, 2, C::kExpress2, H::kPlain, {.ro = 0x1f},
        "Device Control 2", "a time-out that never comes could hold up a reset"},
    Row{O::kExpress, express::kLinkCapabilities2, 4, C::kExpress2Link, H::kPlain, {.ro = 0xfe},
        "Link Capabilities 2", "speeds"},
    Row{O::kExpress, express::kLinkControl2, 2, C::kExpress2Link, H::kPlain, {.ro = 0x0f},
        "Link Control 2", ""},

    Row{O::kMsix, msix::kControl, 2, C::kAlways, H::kMsixControl,
        {.ro = bits<msix::control::TableSize>(), .rw = kMsixSwitch},
        "MSI-X Message Control", "the table is cut to what a function may use"},
    Row{O::kMsix, msix::kTable, 4, C::kAlways, H::kPlain, {.ro = kAll},
        "MSI-X Table", "trapped: the guest reads back what it wrote"},
    Row{O::kMsix, msix::kPba, 4, C::kAlways, H::kPlain, {.ro = kAll},
        "MSI-X PBA", "trapped: bits of vectors shown, live"},

    Row{O::kAdvancedFeatures, af::kLength, 1, C::kAlways, H::kPlain, {.one = af::kSize},
        "AF Length", ""},
    Row{O::kAdvancedFeatures, af::kCaps, 1, C::kAlways, H::kPlain,
        {.ro = bits<af::TransactionsPendingCapable, af::FlrCapable>()},
        "AF Capabilities", ""},
    Row{O::kAdvancedFeatures, af::kControl, 1, C::kAlways, H::kFlrControl,
        {.rsvdz = bits<af::InitiateFlr>()},
        "AF Control", "function-level reset is an effect"},
    Row{O::kAdvancedFeatures, af::kStatus, 1, C::kAlways, H::kPlain,
        {.live = bits<af::TransactionsPending>()},
        "AF Status", ""},

    Row{O::kSerial, serial_number::kLow, 4, C::kAlways, H::kPlain, {.ro = kAll},
        "Serial Number, low", "names the device, changes nothing"},
    Row{O::kSerial, serial_number::kHigh, 4, C::kAlways, H::kPlain, {.ro = kAll},
        "Serial Number, high", ""},

};
// clang-format on

// A framework that accepts a contradicting register hides it until a guest finds it: refuse to
// compile it.
consteval bool well_formed() {
  for (const Row& row : kPolicy) {
    if (row.width != 1 && row.width != 2 && row.width != 4) return false;
    if (row.offset % row.width != 0 || !row.masks.valid(row.width)) return false;
  }
  return true;
}
static_assert(well_formed());

struct BuiltIn {
  std::uint16_t id;
  bool extended;
  Owner owner;
};
constexpr std::array kBuiltIn = {
    BuiltIn{static_cast<std::uint16_t>(CapabilityId::kPowerManagement), false, Owner::kPower},
    BuiltIn{static_cast<std::uint16_t>(CapabilityId::kMsi), false, Owner::kMsi},
    BuiltIn{static_cast<std::uint16_t>(CapabilityId::kExpress), false, Owner::kExpress},
    BuiltIn{static_cast<std::uint16_t>(CapabilityId::kMsix), false, Owner::kMsix},
    BuiltIn{static_cast<std::uint16_t>(CapabilityId::kAdvancedFeatures), false,
            Owner::kAdvancedFeatures},
    BuiltIn{static_cast<std::uint16_t>(ExtendedId::kDeviceSerialNumber), true, Owner::kSerial},
};

// clang-format off
constexpr std::array kNeverShown = {
    Denied{0x02,   false, "AGP",                     "programs a translation aperture"},
    Denied{0x08,   false, "HyperTransport",          "maps interrupts to addresses of its own"},
    Denied{0x0c,   false, "PCI Hot-Plug",            "controls a slot of the board"},
    Denied{0x0e,   false, "AGP 8x",                  "programs a translation aperture"},
    Denied{0x14,   false, "Enhanced Allocation",     "shows physical addresses in place of BARs"},
    Denied{0x000d, true,  "Access Control Services", "is the isolation between functions"},
    Denied{0x000e, true,  "Alternative Routing-ID", "counts the board's functions"},
    Denied{0x000f, true,  "Address Translation",     "translated requests pass unchecked"},
    Denied{0x0010, true,  "Single Root I/O Virt.",   "creates functions and places their BARs"},
    Denied{0x0011, true,  "Multi-Root I/O Virt.",    "creates functions and places their BARs"},
    Denied{0x0012, true,  "Multicast",               "redirects memory writes by address"},
    Denied{0x0013, true,  "Page Request",            "needs a page-request queue for the guest"},
    Denied{0x0015, true,  "Resizable BAR",           "grows the real BAR over its neighbours"},
    Denied{0x001b, true,  "Process Address Space ID", "needs substreams for the guest"},
    Denied{0x001d, true,  "Downstream Containment",  "takes the link down"},
    Denied{0x0024, true,  "VF Resizable BAR",        "grows real BARs over their neighbours"},
};
// clang-format on

std::string_view title(Owner owner) {
  switch (owner) {
    case Owner::kHeader: return "Header (type 0; types 1 and 2 are refused)";
    case Owner::kPower: return "Power Management, 01";
    case Owner::kMsi: return "MSI, 05";
    case Owner::kExpress: return "PCI Express, 10";
    case Owner::kMsix: return "MSI-X, 11";
    case Owner::kAdvancedFeatures: return "Advanced Features, 13";
    case Owner::kSerial: return "Device Serial Number, extended 0003";
  }
  return "";
}

std::string_view phrase(Condition condition) {
  switch (condition) {
    case Condition::kAlways: return "";
    case Condition::kMsi64: return " (64-bit address)";
    case Condition::kMsi32: return " (32-bit address)";
    case Condition::kMsiMasks64: return " (64-bit address, per-vector masks)";
    case Condition::kMsiMasks32: return " (32-bit address, per-vector masks)";
    case Condition::kExpressLink: return " (behind a virtual root port)";
    case Condition::kExpress2: return " (version 2)";
    case Condition::kExpress2Link: return " (version 2, behind a virtual root port)";
  }
  return "";
}

void render_mask(TextWriter& out, std::uint32_t mask, unsigned width) {
  out.text(" | ");
  if (mask != 0) out.hex(mask, 2 * width);
}

void render_row(TextWriter& out, const Row& row) {
  out.text("| +").hex(row.offset, 2).text(" | ").dec(row.width).text(" | ").text(row.name);
  out.text(phrase(row.condition));
  const Masks& m = row.masks;
  for (const std::uint32_t mask : {m.ro, m.one, m.rw, m.live, m.hw_rw, m.hw_w1c, m.rsvdz}) {
    render_mask(out, mask, row.width);
  }
  out.text(" | ").text(row.reason).text(" |\n");
}

constexpr std::string_view kIntroduction =
    "# What a guest may see and write in a passed-through function's config space\n"
    "\n"
    "This text is rendered from the table that the code uses (`core/vpci/policy.cpp`); a test "
    "keeps "
    "both equal.\n"
    "\n"
    "Whatever is not listed is hidden: it reads zero, or all-ones where the configuration says so, "
    "and "
    "drops writes.\n"
    "The masks say which bits of a register are what:\n"
    "\n"
    "- **ro**: as it was when the device was assigned\n"
    "- **one**: always reads 1\n"
    "- **rw**: the guest's own; kept by the hypervisor and never written to the device\n"
    "- **live**: read from the device each time\n"
    "- **hw rw**: live, and the guest's writes reach the device\n"
    "- **hw w1c**: live, and the guest may clear it in the device by writing 1\n"
    "- **rsvdz**: reads 0 and is always written 0 to the device\n"
    "- a bit in no mask reads 0 and keeps in the device what it has there\n";

}  // namespace

std::span<const Row> policy() {
  return kPolicy;
}

std::span<const Denied> never_shown() {
  return kNeverShown;
}

bool built_in(std::uint16_t id, bool extended, Owner& owner) {
  for (const BuiltIn& entry : kBuiltIn) {
    if (entry.id == id && entry.extended == extended) {
      owner = entry.owner;
      return true;
    }
  }
  return false;
}

void render_policy(TextWriter& out) {
  out.text(kIntroduction);
  const Row* before = nullptr;
  for (const Row& row : kPolicy) {
    if (before == nullptr || before->owner != row.owner) {
      out.text("\n## ").text(title(row.owner)).text("\n\n");
      out.text(
          "| offset | bytes | register | ro | one | rw | live | hw rw | hw w1c | rsvdz | why |\n");
      out.text("|---|---|---|---|---|---|---|---|---|---|---|\n");
    }
    render_row(out, row);
    before = &row;
  }
  out.text("\n## Never shown, not even when a device's configuration asks for it\n\n");
  out.text("| capability | name | why |\n|---|---|---|\n");
  for (const Denied& entry : kNeverShown) {
    out.text(entry.extended ? "| extended " : "| ").hex(entry.id, entry.extended ? 4 : 2);
    out.text(" | ").text(entry.name).text(" | ").text(entry.reason).text(" |\n");
  }
}

}  // namespace penstock::vpci
