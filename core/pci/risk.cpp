#include "core/pci/risk.hpp"

#include "core/pci/isolation.hpp"
#include "core/pci/reset.hpp"

namespace penstock::pci {
namespace {

struct Row {
  Risk risk;
  std::string_view name;
  bool needs_acceptance;
  std::string_view meaning;
};

// clang-format off
constexpr std::array<Row, kRiskCount> kRows = {{
  {Risk::kNoReset,            "no-reset",          true,  "its next owner finds it as the last one left it: it has no reset"},
  {Risk::kWeakReset,          "weak-reset",        false, "it is reset by its power state alone, which may leave registers as they were"},
  {Risk::kSharedGroup,        "shared-group",      true,  "its neighbours and it can reach each other without passing the IOMMU"},
  {Risk::kAliasedRequester,   "aliased-requester", true,  "its requests carry a bridge's requester ID: it cannot be told from its neighbours"},
  {Risk::kConventional,       "conventional-pci",  false, "it is conventional PCI: no access control and no function-level reset of its own"},
  {Risk::kAddressTranslation, "ats",               false, "it can claim that an address is translated already: ATS stays off and is refused by the SMMU"},
  {Risk::kSriov,              "sr-iov",            false, "it can make virtual functions with requester IDs of their own: they stay off and their streams abort"},
  {Risk::kOptionRom,          "option-rom",        false, "it carries an option ROM that nobody measures: its window stays closed"},
  {Risk::kNoMessages,         "no-messages",       false, "it has neither MSI nor MSI-X: its interrupts do not reach its owner"},
  {Risk::kNotPlaced,          "not-placed",        false, "the host bridge's windows have no room for it: it answers no memory access"},
}};
// clang-format on

const Row& row(Risk risk) {
  return kRows[static_cast<unsigned>(risk)];
}

bool has_neighbours(const Inventory& inventory, const FunctionInfo& info) {
  bool any = false;
  for_each_neighbour(inventory, info, [&](const FunctionInfo&) { any = true; });
  return any;
}

}  // namespace

std::string_view name_of(Risk risk) {
  return row(risk).name;
}

std::string_view meaning_of(Risk risk) {
  return row(risk).meaning;
}

bool needs_acceptance(Risk risk) {
  return row(risk).needs_acceptance;
}

Risks risks_of(const Inventory& inventory, const FunctionInfo& info, port::ConfigSpace& config) {
  const ResetMethod method =
      reset_method(info, config, bridge_of_only(inventory, info.bdf) != nullptr);
  const bool present[kRiskCount] = {
      method == ResetMethod::kNone,
      method == ResetMethod::kPower,
      has_neighbours(inventory, info),
      info.aliased,
      !info.express,
      info.ats,
      info.sriov,
      info.rom_bytes != 0,
      info.msi == 0 && info.msix == 0,
      !info.placed,
  };
  Risks risks;
  for (const Row& r : kRows) {
    if (present[static_cast<unsigned>(r.risk)]) (void)risks.push_back(r.risk);
  }
  return risks;
}

}  // namespace penstock::pci
