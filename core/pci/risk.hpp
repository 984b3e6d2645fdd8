// What a function is able to do that the hardware around it does not prevent: the facts of the
// security statement, one row each.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/pci/function_info.hpp"
#include "core/port/config_space.hpp"

namespace penstock::pci {

/// Most severe first; the order is that of the table, of reports, and of the bits in Risks.
enum class Risk : std::uint8_t {
  kBridge,              // forwards what others send
  kNoIommu,             // nothing bounds its DMA
  kNoStream,            // an IOMMU that does not know its requests
  kFirmwareMemory,      // firmware uses memory through it, whoever has it
  kUncheckedMessages,   // nothing checks who sent an interrupt
  kNoReset,             // its next owner finds what the last one left
  kSharedGroup,         // reaches its neighbours without passing the IOMMU
  kAliasedRequester,    // the IOMMU sees a bridge, not the function
  kCxl,                 // has caches or memory besides what PCI Express has
  kConfigMirror,        // its config space can be written through a BAR (H16)
  kIoBarNeeded,         // its usual driver needs registers in I/O space
  kWeakReset,           // power management only: registers that survive D3hot keep their contents
  kVirtualFunction,     // shares engines, memory and firmware with the physical one
  kSharedPort,          // shares a network port: pause frames, bandwidth
  kConventional,        // no ACS, no FLR by specification, one bus for all
  kForeignId,           // uses another routing ID besides its own (H38)
  kNoMessages,          // neither MSI nor MSI-X: its wired interrupts are not offered
  kNotPlaced,           // its BARs are nowhere: no room in the windows, or fixed by itself
  kIoBarHidden,         // has registers in I/O space, which some driver may need
  kErrorReports,        // an access that it does not support becomes a platform error
  kAddressTranslation,  // ATS: can send addresses that it claims to be translated
  kPhantomFunctions,    // can use the routing IDs of functions that it does not have
  kSriov,               // can make more functions, with requester IDs of their own
  kOptionRom,           // carries code for the boot of some machine
  kSharedInterrupt,     // has a wired interrupt, on a line that others may use
  kFirmware,            // runs code that outlives a reset
};
inline constexpr unsigned kRiskCount = 26;

/// What an owner has to write in the configuration for a device with the risk.
enum class Acceptance : std::uint8_t {
  kNone,
  kNoReset,      // accept = ["no-reset"]
  kNoIsolation,  // accept = ["no-isolation"]
  kNever,        // no word helps
};

/// What Penstock claims, best first (docs/SUPPORT.md).
enum class Support : std::uint8_t { kSupported, kCaveats, kTestedOnly, kUntested, kNotSupported };
inline constexpr unsigned kSupportCount = 5;

struct RiskRow {
  Risk risk;
  Acceptance acceptance;
  Support at_most;           // no claim for a device with the risk is better
  std::string_view name;     // short and stable, as reports print it ("no-reset")
  std::string_view meaning;  // for whoever shares the board, one clause without a final period
  std::string_view guard;    // what Penstock does about it, the same way
};

using RiskTable = std::array<RiskRow, kRiskCount>;
[[nodiscard]] const RiskTable& risk_table();

[[nodiscard]] std::string_view name_of(Risk risk);
[[nodiscard]] std::string_view meaning_of(Risk risk);
/// True where the risk breaks what isolation promises: assignment needs the configuration's word
/// for it.
[[nodiscard]] bool needs_acceptance(Risk risk);

/// "supported", "supported-with-caveats", "tested-only", "untested", "not-supported": stable.
[[nodiscard]] std::string_view name_of(Support level);
/// "no-reset", "no-isolation"; empty for the two others.
[[nodiscard]] std::string_view name_of(Acceptance acceptance);

/// A set of risks.
class Risks {
 public:
  constexpr void add(Risk risk, bool present = true) {
    bits_ |= std::uint32_t{present} << static_cast<unsigned>(risk);
  }
  [[nodiscard]] constexpr bool has(Risk risk) const {
    return (bits_ >> static_cast<unsigned>(risk) & 1) != 0;
  }
  /// Bit n is the n-th risk.
  [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }
  /// Calls `visit(const RiskRow&)` for each, most severe first.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const RiskRow& row : risk_table()) {
      if (has(row.risk)) visit(row);
    }
  }

 private:
  static_assert(kRiskCount <= 32);
  std::uint32_t bits_ = 0;
};

/// What the board around the function does, which its inventory does not say.
struct Surroundings {
  bool iommu = true;             // DMA is translated
  bool stream = true;            // the IOMMU has a stream ID for the function (S3.26)
  bool checked_messages = true;  // the interrupt controller checks the sender
  bool bus = true;               // its bus can be reset if the inventory says so
  bool firmware_memory = false;  // firmware uses memory through the function (S3.23)
};

/// Whether the class is a bridge's, which is never assigned whatever its header is (H61).
[[nodiscard]] bool is_bridge_class(std::uint32_t class_code);

/// The function's risks. Reads its config space: power management, command, device control; boot or
/// a quarantined function only.
[[nodiscard]] Risks risks_of(const Inventory& inventory, const FunctionInfo& info,
                             port::ConfigSpace& config, const Surroundings& around = {});

}  // namespace penstock::pci
