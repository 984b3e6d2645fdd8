// What a board can and cannot keep a device from, said plainly (invariant "insecure is spelled
// out"): the hypervisor's own tables, asked with what the board's description says.
#include <fmt/format.h>

#include "core/pci/statement.hpp"
#include "tools/penstock/check.hpp"

namespace penstock::tool {
namespace {

using pci::Acceptance;
using pci::Risk;
using pci::RiskRow;
using pci::Risks;

constexpr std::uint32_t kTeachingClass = 0x00ff;

const RiskRow* named(const std::string& name) {
  for (const RiskRow& row : pci::risk_table()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

Risks risks_of(const BoardDescription& board, const BoardDevice& device) {
  Risks risks;
  risks.add(Risk::kBridge, device.class_code && pci::is_bridge_class(*device.class_code));
  risks.add(Risk::kNoIommu, board.iommu == "none");
  risks.add(Risk::kUncheckedMessages, board.msi != "its");
  risks.add(Risk::kNoReset, device.reset == Reset::kNone);
  risks.add(Risk::kWeakReset, device.reset == Reset::kPowerManagement);
  risks.add(Risk::kSharedGroup, device.isolation == Isolation::kShared);
  risks.add(Risk::kFirmware, device.class_code && *device.class_code >> 8 != kTeachingClass);
  for (const std::string& name : device.risks) {
    if (const RiskRow* row = named(name)) risks.add(row->risk);
  }
  return risks;
}

std::string words_of(std::string_view text) {
  return std::string(text);
}

std::string reset_words(Reset reset) {
  switch (reset) {
    case Reset::kFunctionLevel: return "function level reset";
    case Reset::kPowerManagement: return "power-management reset (D3hot to D0)";
    case Reset::kBus: return "secondary bus reset";
    case Reset::kNone: break;
  }
  return "INSECURE: none";
}

std::string isolation_words(Isolation isolation) {
  switch (isolation) {
    case Isolation::kAcs: return "alone behind a port with ACS";
    case Isolation::kIntegrated: return "root complex function, alone";
    case Isolation::kShared: break;
  }
  return "INSECURE: shares its group";
}

void claim(const BoardDevice& device, Risks risks, SecurityStatement& s) {
  const pci::Kind& kind = pci::kind_of(device.class_code.value_or(0));
  const pci::Support level = pci::level_of(kind, risks);
  s.support = pci::name_of(level);
  s.because = fmt::format("{}: {}", kind.name, kind.why);
  std::string at_fault;
  risks.for_each([&](const RiskRow& row) {
    if (row.at_most == level && level != kind.at_most) {
      at_fault += fmt::format("{}{}", at_fault.empty() ? "" : ", ", row.name);
    }
  });
  if (!at_fault.empty()) s.because = fmt::format("{}: {}", kind.name, at_fault);
}

}  // namespace

std::string_view refused_anyway(const BoardDescription& board, const BoardDevice& device) {
  // PCI-to-PCI bridges of either decoding, and host bridges: the hypervisor drives them.
  const std::uint32_t kind = device.class_code.value_or(0) >> 8;
  if (kind == 0x0600 || kind == 0x0604) return "it is a bridge, which the hypervisor keeps";
  const auto risk = pci::refusal_of(risks_of(board, device), {true, true, true});
  return risk ? pci::meaning_of(*risk) : std::string_view();
}

std::string_view isolation_lacks(const BoardDescription& board) {
  if (board.iommu != "smmuv3") return "SMMUv3";
  return board.msi == "its" ? "" : "ITS";
}

bool needs_no_reset(const BoardDevice& device) {
  return risks_of({}, device).has(Risk::kNoReset);
}

bool needs_no_isolation(const BoardDescription& board, const BoardDevice& device) {
  return pci::refusal_of(risks_of(board, device), {.no_reset = true}).has_value();
}

std::string PlannedDomain::isolation() const {
  if (iommu == "none") return {};
  return "its guest's own SMMUv3 (stage 1) keeps its devices from each other, as far as the guest "
         "uses it; the board's (stage 2) keeps them in the guest's memory, whatever the guest does";
}

SecurityStatement state_security(const BoardDescription& board, const BoardDevice& device,
                                 const std::string& guest_iommu) {
  const bool nested = board.iommu == "smmuv3" && guest_iommu == "smmuv3";
  SecurityStatement s;
  if (nested) {
    s.dma = "the guest's stage 1, then stage 2 of the SMMUv3: only its domain's memory";
  } else if (board.iommu == "smmuv3") {
    s.dma = "stage 2 of the SMMUv3: only its domain's memory";
  } else {
    s.dma = "INSECURE: no IOMMU";
  }
  if (board.msi == "its") {
    s.messages = nested ? "the ITS checks the DeviceID; the address is the guest's IOVA, bounded "
                          "by stage 2; the event is ours"
                        : "the ITS checks the DeviceID";
  } else if (board.msi == "gicv2m") {
    s.messages = "INSECURE: the doorbell checks no sender";
  } else {
    s.messages = "INSECURE: no message interrupts that are checked";
  }
  s.reset = reset_words(device.reset);
  s.isolation = isolation_words(device.isolation);
  const Risks risks = risks_of(board, device);
  risks.for_each([&](const RiskRow& row) {
    s.named_risks.push_back(words_of(row.name));
    if (row.acceptance == Acceptance::kNone) {
      s.risks.push_back(fmt::format("{}; {}", row.meaning, row.guard));
    } else {
      s.exposed.push_back(words_of(row.meaning));
    }
  });
  for (const std::string& risk : device.risks) {
    if (named(risk) == nullptr) s.risks.push_back(risk);
  }
  claim(device, risks, s);
  return s;
}

std::string security_lines(const SecurityStatement& security, const std::string& whose) {
  std::string text =
      fmt::format("support {}: {} ({})\n", whose, security.support, security.because);
  for (const std::string& e : security.exposed) {
    text += fmt::format("INSECURE {}: {}; accepted by the configuration\n", whose, e);
  }
  for (const std::string& risk : security.risks) text += fmt::format("note {}: {}\n", whose, risk);
  return text;
}

}  // namespace penstock::tool
