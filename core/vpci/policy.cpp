#include "core/vpci/policy.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/config.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"
#include "core/hw/pci/sriov.hpp"

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
constexpr std::uint32_t kSriovSwitch =
    bits<sriov::control::VfEnable, sriov::control::VfMemorySpace, sriov::control::AriHierarchy>();

// clang-format off
using O = Owner;
using C = Condition;
using H = Handler;

constexpr std::array kPolicy = {
    // owner, offset, bytes, condition, handler, masks; then name, reason
    Row{O::kHeader, kVendorId, 2, C::kAlways, H::kPlain, {.ro = 0xffff},
        "Vendor ID",
        "the native driver must find its device; a virtual function's own IDs read all-ones, so it "
        "is shown those that its physical function gives it"},
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

    Row{O::kSriov, sriov::kCapabilities, 4, C::kAlways, H::kPlain, {},
        "SR-IOV Capabilities", "no migration, no larger tags"},
    Row{O::kSriov, sriov::kControl, 2, C::kAlways, H::kSriovControl, {.rw = kSriovSwitch},
        "SR-IOV Control",
        "VF Enable is an effect: the hypervisor switches virtual functions on and off, and finds "
        "and resets them itself; it reads 0 where they did not come"},
    Row{O::kSriov, sriov::kStatus, 2, C::kAlways, H::kPlain, {},
        "SR-IOV Status", ""},
    Row{O::kSriov, sriov::kInitialVfs, 2, C::kAlways, H::kSriovTotal, {.ro = 0xffff},
        "InitialVFs", ""},
    Row{O::kSriov, sriov::kTotalVfs, 2, C::kAlways, H::kSriovTotal, {.ro = 0xffff},
        "TotalVFs", "cut to those that can be reached and placed"},
    Row{O::kSriov, sriov::kNumVfs, 2, C::kAlways, H::kSriovNumVfs, {.rw = 0xffff},
        "NumVFs", "still while VF Enable is set"},
    Row{O::kSriov, sriov::kFunctionDependency, 1, C::kAlways, H::kPlain, {},
        "Function Dependency Link", ""},
    Row{O::kSriov, sriov::kFirstVfOffset, 2, C::kAlways, H::kPlain, {.one = 1},
        "First VF Offset",
        "in the virtual topology the VFs follow their PF; what is there is a placeholder that "
        "answers and does nothing"},
    Row{O::kSriov, sriov::kVfStride, 2, C::kAlways, H::kPlain, {.one = 1},
        "VF Stride", ""},
    Row{O::kSriov, sriov::kVfDeviceId, 2, C::kAlways, H::kPlain, {.one = 0xffff},
        "VF Device ID", "no driver must take a placeholder for its device"},
    Row{O::kSriov, sriov::kSupportedPageSizes, 4, C::kAlways, H::kPlain, {.one = sriov::kPages4K},
        "Supported Page Sizes", "as the VF BARs have been placed"},
    Row{O::kSriov, sriov::kSystemPageSize, 4, C::kAlways, H::kPlain, {.one = sriov::kPages4K},
        "System Page Size", ""},
    Row{O::kSriov, sriov::kVfBar0 + 0x00, 4, C::kAlways, H::kSriovBar, {},
        "VF BAR 0",
        "size of one VF's, address the guest's, nothing mapped: who is given a VF has its BARs in "
        "the VF's own config space; the physical VF BARs are placed at boot"},
    Row{O::kSriov, sriov::kVfBar0 + 0x04, 4, C::kAlways, H::kSriovBar, {},
        "VF BAR 1", ""},
    Row{O::kSriov, sriov::kVfBar0 + 0x08, 4, C::kAlways, H::kSriovBar, {},
        "VF BAR 2", ""},
    Row{O::kSriov, sriov::kVfBar0 + 0x0c, 4, C::kAlways, H::kSriovBar, {},
        "VF BAR 3", ""},
    Row{O::kSriov, sriov::kVfBar0 + 0x10, 4, C::kAlways, H::kSriovBar, {},
        "VF BAR 4", ""},
    Row{O::kSriov, sriov::kVfBar0 + 0x14, 4, C::kAlways, H::kSriovBar, {},
        "VF BAR 5", ""},
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
    BuiltIn{static_cast<std::uint16_t>(ExtendedId::kSingleRootIov), true, Owner::kSriov},
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
    Denied{0x0011, true,  "Multi-Root I/O Virt.",    "creates functions and places their BARs"},
    Denied{0x0012, true,  "Multicast",               "redirects memory writes by address"},
    Denied{0x0013, true,  "Page Request",            "needs a page-request queue for the guest"},
    Denied{0x0015, true,  "Resizable BAR",           "grows the real BAR over its neighbours"},
    Denied{0x001b, true,  "Process Address Space ID", "needs substreams for the guest"},
    Denied{0x001d, true,  "Downstream Containment",  "takes the link down"},
    Denied{0x0024, true,  "VF Resizable BAR",        "grows real BARs over their neighbours"},
};

constexpr std::uint16_t kVirtio = 0x1af4;
constexpr std::uint16_t kFirstVirtio = 0x1000;
constexpr std::uint16_t kLastVirtio = 0x107f;
// VIRTIO 1.2, 4.1.2.1 and 4.1.4.
constexpr std::array kVendorCapabilities = {
    VendorCapability{kVirtio, kFirstVirtio, kLastVirtio, 1, true, 16, 16,
                     "virtio common configuration", "says in which BAR the registers are"},
    VendorCapability{kVirtio, kFirstVirtio, kLastVirtio, 2, true, 20, 20,
                     "virtio notifications", ""},
    VendorCapability{kVirtio, kFirstVirtio, kLastVirtio, 3, true, 16, 16,
                     "virtio ISR status", ""},
    VendorCapability{kVirtio, kFirstVirtio, kLastVirtio, 4, true, 16, 16,
                     "virtio device configuration", ""},
    VendorCapability{kVirtio, kFirstVirtio, kLastVirtio, 5, false, 20, 20,
                     "virtio PCI configuration access",
                     "reads and writes BARs past their mapping, the MSI-X table with them"},
    VendorCapability{kVirtio, kFirstVirtio, kLastVirtio, 8, true, 24, 24,
                     "virtio shared memory", ""},
};

constexpr std::array kKeptBack = {
    Denied{0x0023, true,  "Designated Vendor-Specific", "may place CXL's memory decoders"},
    Denied{0x002e, true,  "Data Object Exchange",    "may manage keys, links and what is behind"},
    Denied{0x0030, true,  "Integrity and Encryption", "chooses keys by requester ID and address"},
};
// clang-format on

}  // namespace

std::span<const Row> policy() {
  return kPolicy;
}

std::span<const VendorCapability> vendor_capabilities() {
  return kVendorCapabilities;
}

std::span<const Denied> never_shown() {
  return kNeverShown;
}

std::span<const Denied> kept_back() {
  return kKeptBack;
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

}  // namespace penstock::vpci
