// What a board can and cannot keep a device from, said plainly (invariant "insecure is spelled
// out").
#include "tools/penstock/check.hpp"

namespace penstock::tool {

bool needs_no_reset(const BoardDevice& device) {
  return device.reset == Reset::kNone;
}

bool needs_no_isolation(const BoardDescription& board, const BoardDevice& device) {
  return board.iommu == "none" || board.msi != "its" || device.isolation == Isolation::kShared;
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
    s.exposed.emplace_back("it can read and write all memory, the hypervisor's too: no IOMMU");
  }
  if (board.msi == "its") {
    s.messages = nested ? "the ITS checks the DeviceID; the address is the guest's IOVA, bounded "
                          "by stage 2; the event is ours"
                        : "the ITS checks the DeviceID";
  } else if (board.msi == "gicv2m") {
    s.messages = "INSECURE: the doorbell checks no sender";
    s.exposed.emplace_back("it can raise every other device's interrupts: GICv2m checks no sender");
  } else {
    s.messages = "INSECURE: no message interrupts that are checked";
    s.exposed.emplace_back("its interrupts are checked by nobody: the board has no ITS");
  }
  switch (device.reset) {
    case Reset::kFunctionLevel: s.reset = "function level reset"; break;
    case Reset::kPowerManagement: s.reset = "power-management reset (D3hot to D0)"; break;
    case Reset::kBus: s.reset = "secondary bus reset"; break;
    case Reset::kNone:
      s.reset = "INSECURE: none";
      s.exposed.emplace_back("its next owner finds it as the last one left it: it has no reset");
      break;
  }
  switch (device.isolation) {
    case Isolation::kAcs: s.isolation = "alone behind a port with ACS"; break;
    case Isolation::kIntegrated: s.isolation = "root complex function, alone"; break;
    case Isolation::kShared:
      s.isolation = "INSECURE: shares its group";
      s.exposed.emplace_back(
          "its neighbours on the bus and it can reach each other without passing the IOMMU");
      break;
  }
  s.risks = device.risks;
  return s;
}

}  // namespace penstock::tool
