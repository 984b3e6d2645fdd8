// What a function is able to do that the hardware around it does not prevent: the facts of the
// security statement.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/static_vector.hpp"
#include "core/pci/function_info.hpp"
#include "core/port/config_space.hpp"

namespace penstock::pci {

enum class Risk : std::uint8_t {
  kNoReset,             // its next owner finds what the last one left
  kWeakReset,           // power management only: registers that survive D3hot keep their contents
  kSharedGroup,         // reaches its neighbours without passing the IOMMU
  kAliasedRequester,    // the IOMMU sees a bridge, not the function
  kConventional,        // no ACS, no FLR by specification, one bus for all
  kAddressTranslation,  // ATS: can send addresses that it claims to be translated
  kSriov,               // can make more functions, with requester IDs of their own
  kOptionRom,           // carries code for the boot of some machine
  kNoMessages,          // neither MSI nor MSI-X: its wired interrupts are not offered
  kNotPlaced,           // the bridge's windows have no room for its BARs
};
inline constexpr unsigned kRiskCount = 10;

/// A short name, stable, as reports print it ("no-reset").
[[nodiscard]] std::string_view name_of(Risk risk);
/// What it means for whoever shares the board, one sentence without a final period.
[[nodiscard]] std::string_view meaning_of(Risk risk);
/// True where the risk breaks what DESIGN calls isolation: assignment needs the configuration's
/// word for it.
[[nodiscard]] bool needs_acceptance(Risk risk);

using Risks = StaticVector<Risk, kRiskCount>;

/// The function's risks, most severe first. Reads its power-management register; boot or a
/// quarantined function only.
[[nodiscard]] Risks risks_of(const Inventory& inventory, const FunctionInfo& info,
                             port::ConfigSpace& config);

}  // namespace penstock::pci
