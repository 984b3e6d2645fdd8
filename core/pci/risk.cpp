#include "core/pci/risk.hpp"

#include "core/hw/pci/config.hpp"
#include "core/hw/pci/express.hpp"
#include "core/pci/alias_quirks.hpp"
#include "core/pci/io_quirks.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/mirror_quirks.hpp"
#include "core/pci/reset.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;

constexpr std::uint32_t kNetworkClass = 0x02;
constexpr std::uint32_t kBridgeClass = 0x06;
constexpr std::uint32_t kTeachingClass =
    0x00ff;  // "does not fit anywhere": nothing that has firmware

// clang-format off
constexpr RiskTable kRows = {{
  {Risk::kBridge, Acceptance::kNever, Support::kNotSupported, "bridge",
   "it forwards what others send, from behind it or from another machine",
   "it is assigned to nobody"},
  {Risk::kNoIommu, Acceptance::kNoIsolation, Support::kNotSupported, "no-iommu",
   "it can read and write all memory, the hypervisor's too: no IOMMU",
   "nothing"},
  {Risk::kNoStream, Acceptance::kNever, Support::kNotSupported, "no-stream",
   "the board's description gives its requests no stream ID: the IOMMU does not see them",
   "it is assigned to nobody"},
  {Risk::kFirmwareMemory, Acceptance::kNever, Support::kNotSupported, "firmware-memory",
   "the board's firmware uses memory through it, which an owner's map would take away",
   "it is assigned to nobody; the memory is nobody's"},
  {Risk::kUncheckedMessages, Acceptance::kNoIsolation, Support::kNotSupported, "unchecked-messages",
   "it can raise every other device's interrupts: nothing checks their sender",
   "nothing"},
  {Risk::kNoReset, Acceptance::kNoReset, Support::kNotSupported, "no-reset",
   "its next owner finds it as the last one left it: it has no reset",
   "its DMA and interrupts are cut between owners"},
  {Risk::kSharedGroup, Acceptance::kNoIsolation, Support::kNotSupported, "shared-group",
   "its neighbours and it can reach each other without passing the IOMMU",
   "the group goes to one owner"},
  {Risk::kAliasedRequester, Acceptance::kNoIsolation, Support::kNotSupported, "aliased-requester",
   "its requests carry a bridge's requester ID: it cannot be told from its neighbours",
   "all or none behind the bridge go to one owner, and the bridge's ID with them"},
  {Risk::kCxl, Acceptance::kNoIsolation, Support::kNotSupported, "cxl",
   "it has a cache or memory of Compute Express Link, which no reset of PCI Express reaches",
   "the capability is hidden from its owner"},
  {Risk::kConfigMirror, Acceptance::kNoIsolation, Support::kNotSupported, "config-mirror",
   "its configuration space can be written through a BAR, past all checks",
   "its DMA and messages stay bounded; its BARs can be moved over its neighbours'"},
  {Risk::kIoBarNeeded, Acceptance::kNone, Support::kNotSupported, "io-bar-needed",
   "it has registers in I/O space that its usual driver cannot do without",
   "they are not shown: that driver fails"},
  {Risk::kWeakReset, Acceptance::kNone, Support::kCaveats, "weak-reset",
   "it is reset by its power state alone, which may leave registers as they were",
   "the reset is checked by its registers alone"},
  {Risk::kVirtualFunction, Acceptance::kNone, Support::kCaveats, "virtual-function",
   "it shares engines, queues and firmware with its physical function, whose owner can stop it",
   "its own requester ID, tables, interrupts and reset"},
  {Risk::kSharedPort, Acceptance::kNone, Support::kCaveats, "shared-port",
   "it shares a network port: who floods it, or answers with pause frames, slows all of them down",
   "nothing; limit rates and switch pause frames off in the physical function"},
  {Risk::kConventional, Acceptance::kNone, Support::kCaveats, "conventional-pci",
   "it is conventional PCI: no access control and no function-level reset by PCI Express",
   "its own requester ID, where no bridge is above it"},
  {Risk::kForeignId, Acceptance::kNone, Support::kCaveats, "foreign-id",
   "it uses the requester ID of another function besides its own",
   "both IDs lead to its owner; a function that has the other one is in the same group"},
  {Risk::kNoMessages, Acceptance::kNone, Support::kUntested, "no-messages",
   "it has neither MSI nor MSI-X: its interrupts do not reach its owner",
   "wired interrupts stay disabled"},
  {Risk::kNotPlaced, Acceptance::kNone, Support::kNotSupported, "not-placed",
   "no window of the host bridge has room for it, or it fixes its addresses itself: no memory access",
   "it decodes nothing"},
  {Risk::kIoBarHidden, Acceptance::kNone, Support::kCaveats, "io-bar-hidden",
   "it has registers in I/O space, and nobody knows whether its driver needs them",
   "they are not shown"},
  {Risk::kErrorReports, Acceptance::kNone, Support::kSupported, "error-reports",
   "it may report an access that it does not support as an error of the whole platform",
   "its owner reaches no address that its BARs do not decode"},
  {Risk::kAddressTranslation, Acceptance::kNone, Support::kSupported, "ats",
   "it can claim that an address is translated already",
   "ATS stays off and the SMMU refuses translated requests"},
  {Risk::kPhantomFunctions, Acceptance::kNone, Support::kSupported, "phantom-functions",
   "it can send under the requester IDs of functions that it does not have",
   "they stay off, are hidden from its owner, and their streams abort"},
  {Risk::kSriov, Acceptance::kNone, Support::kSupported, "sr-iov",
   "it can make virtual functions with requester IDs of their own",
   "its owner makes them; each is in quarantine until it is given to somebody"},
  {Risk::kOptionRom, Acceptance::kNone, Support::kSupported, "option-rom",
   "it carries an option ROM that nobody measures",
   "its window stays closed"},
  {Risk::kSharedInterrupt, Acceptance::kNone, Support::kSupported, "shared-interrupt",
   "it has a wired interrupt, whose line others may share",
   "it stays disabled; interrupts are messages"},
  {Risk::kFirmware, Acceptance::kNone, Support::kSupported, "firmware",
   "it may run firmware that its owner can replace, that nobody measures, and that outlives a reset",
   "whatever runs in it stays behind the IOMMU"},
}};
// clang-format on

constexpr bool in_order() {
  for (unsigned i = 0; i < kRiskCount; ++i) {
    if (static_cast<unsigned>(kRows[i].risk) != i) return false;
  }
  return true;
}
static_assert(in_order());

bool has_neighbours(const Inventory& inventory, const FunctionInfo& info) {
  bool any = false;
  for_each_neighbour(inventory, info, [&](const FunctionInfo&) { any = true; });
  return any;
}

/// Errors that it detects go further than its own status registers (PCIe 6.2.5).
bool reports_errors(const FunctionInfo& info, port::ConfigSpace& config) {
  if (get<hp::command::SerrEnable>(config.read(hp::kCommand, 2)) != 0) return true;
  if (!info.express) return false;
  namespace control = hp::express::device_control;
  const std::uint32_t on = config.read(info.express_at + hp::express::kDeviceControl, 2);
  return (on & (control::NonFatalEnable::kMask | control::FatalEnable::kMask |
                control::UnsupportedEnable::kMask)) != 0;
}

}  // namespace

const RiskTable& risk_table() {
  return kRows;
}

std::string_view name_of(Risk risk) {
  return kRows[static_cast<unsigned>(risk)].name;
}

std::string_view meaning_of(Risk risk) {
  return kRows[static_cast<unsigned>(risk)].meaning;
}

bool needs_acceptance(Risk risk) {
  return kRows[static_cast<unsigned>(risk)].acceptance != Acceptance::kNone;
}

std::string_view name_of(Support level) {
  constexpr std::array<std::string_view, kSupportCount> kNames = {
      "supported", "supported-with-caveats", "tested-only", "untested", "not-supported"};
  return kNames[static_cast<unsigned>(level)];
}

std::string_view name_of(Acceptance acceptance) {
  switch (acceptance) {
    case Acceptance::kNoReset: return "no-reset";
    case Acceptance::kNoIsolation: return "no-isolation";
    case Acceptance::kNone:
    case Acceptance::kNever: break;
  }
  return "";
}

bool is_bridge_class(std::uint32_t class_code) {
  return class_code >> 16 == kBridgeClass;
}

Risks risks_of(const Inventory& inventory, const FunctionInfo& info, port::ConfigSpace& config,
               const Surroundings& around) {
  const ResetMethod method =
      reset_method(info, config, around.bus && resettable_bus(inventory, info) != nullptr);
  const IoQuirk* const io = io_quirk_of(info.vendor, info.device);
  Risks risks;
  // A non-transparent bridge has the header of an endpoint.
  risks.add(Risk::kBridge, info.bridge || is_bridge_class(info.class_code));
  risks.add(Risk::kNoIommu, !around.iommu);
  risks.add(Risk::kNoStream, around.iommu && !around.stream);
  risks.add(Risk::kFirmwareMemory, around.firmware_memory);
  risks.add(Risk::kUncheckedMessages, !around.checked_messages);
  risks.add(Risk::kNoReset, method == ResetMethod::kNone);
  risks.add(Risk::kSharedGroup, has_neighbours(inventory, info));
  risks.add(Risk::kAliasedRequester, info.aliased);
  risks.add(Risk::kCxl, info.cxl);
  risks.add(Risk::kConfigMirror, mirrors_config(info));
  risks.add(Risk::kIoBarNeeded, has_io_bar(info) && io != nullptr && io->needed);
  risks.add(Risk::kWeakReset, method == ResetMethod::kPower);
  risks.add(Risk::kVirtualFunction, info.is_vf);
  risks.add(Risk::kSharedPort, info.is_vf && info.class_code >> 16 == kNetworkClass);
  risks.add(Risk::kConventional, !info.express);
  risks.add(Risk::kForeignId, alias_of(info).has_value());
  risks.add(Risk::kNoMessages, info.msi == 0 && info.msix == 0);
  risks.add(Risk::kNotPlaced, !info.placed);
  risks.add(Risk::kIoBarHidden, has_io_bar(info) && io == nullptr);
  risks.add(Risk::kErrorReports, reports_errors(info, config));
  risks.add(Risk::kAddressTranslation, info.ats);
  risks.add(Risk::kPhantomFunctions, info.phantom != 0);
  risks.add(Risk::kSriov, info.sriov);
  risks.add(Risk::kOptionRom, info.rom_bytes != 0);
  risks.add(Risk::kSharedInterrupt, !info.is_vf && config.read(hp::kInterruptPin, 1) != 0);
  risks.add(Risk::kFirmware, info.class_code >> 8 != kTeachingClass);
  return risks;
}

}  // namespace penstock::pci
