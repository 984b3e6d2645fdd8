#include "core/pci/alias_quirks.hpp"

#include <array>

namespace penstock::pci {
namespace {

using enum AliasRule;

constexpr std::string_view kFunc0 = "Linux drivers/pci/quirks.c, quirk_dma_func0_alias";
constexpr std::string_view kFunc1 = "Linux drivers/pci/quirks.c, quirk_dma_func1_alias";
constexpr std::string_view kFixed = "Linux drivers/pci/quirks.c, quirk_fixed_dma_alias";

// clang-format off
constexpr std::array kQuirks = {
  AliasQuirk{0x1180, 0xe832, kFunction0, kFunc0},  // Ricoh SD host controller
  AliasQuirk{0x1180, 0xe476, kFunction0, kFunc0},  // Ricoh MMC and SD host controller
  AliasQuirk{0x1b4b, 0x9120, kFunction1, kFunc1},  // Marvell 88SE91xx and 92xx SATA, and boards with them
  AliasQuirk{0x1b4b, 0x9123, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9125, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9128, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9130, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9172, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x917a, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9182, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9183, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x91a0, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9215, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9220, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9230, kFunction1, kFunc1},
  AliasQuirk{0x1b4b, 0x9235, kFunction1, kFunc1},
  AliasQuirk{0x1103, 0x0642, kFunction1, kFunc1},  // HighPoint RocketRAID 642L
  AliasQuirk{0x1103, 0x0645, kFunction1, kFunc1},  // HighPoint RocketRAID 644L
  AliasQuirk{0x1c28, 0x0122, kFunction1, kFunc1},  // Plextor M6e
  AliasQuirk{0x9005, 0x0285, kDevice1,   kFixed},  // Adaptec 3405 and its family
};
// clang-format on

}  // namespace

std::span<const AliasQuirk> alias_quirks() {
  return kQuirks;
}

std::optional<std::uint16_t> alias_of(const FunctionInfo& info) {
  for (const AliasQuirk& quirk : kQuirks) {
    if (quirk.vendor != info.vendor || quirk.device != info.device) continue;
    const unsigned device = quirk.rule == kDevice1 ? 1 : info.bdf.device();
    const unsigned function = quirk.rule == kFunction1 ? 1 : 0;
    const std::uint16_t alias = HostBdf(info.bdf.bus(), device, function).value();
    if (alias != info.bdf.value()) return alias;
  }
  return std::nullopt;
}

}  // namespace penstock::pci
