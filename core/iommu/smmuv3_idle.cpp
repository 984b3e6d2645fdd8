#include "core/iommu/smmuv3_idle.hpp"

#include "core/hw/smmuv3/registers.hpp"
#include "core/iommu/smmuv3.hpp"

namespace penstock::iommu {
namespace {

namespace hw = penstock::hw::smmuv3;

Status wait_for(port::Mmio& registers, port::Clock& clock, std::uint64_t offset,
                std::uint32_t mask) {
  port::Deadline deadline(clock, Smmu::kWaitNs);
  while ((registers.read32(offset) & mask) != 0) {
    if (deadline.expired()) return fail(Code::kTimeout, offset);
  }
  return {};
}

/// Some translation table format and some output size are there in every SMMUv3 (IHI 0070 6.3.1),
/// and no register is all ones.
bool answers(port::Mmio& registers) {
  const std::uint32_t features = registers.read32(hw::kIdr0);
  return features != ~0U && get<hw::idr0::TTF>(features) != 0 && registers.read32(hw::kGbpa) != ~0U;
}

}  // namespace

/// GBPA first: from the moment that SMMUEN reads 0, it decides what happens to traffic (IHI 0070
/// 3.11).
Status stop_idle_smmu(port::Mmio& registers, port::Clock& clock) {
  constexpr auto kUpdate = static_cast<std::uint32_t>(hw::gbpa::UPDATE::kMask);
  constexpr std::uint32_t kEverything = ~0U;
  if (!answers(registers)) return fail(Code::kNotFound);
  TRY(wait_for(registers, clock, hw::kGbpa, kUpdate));
  const std::uint64_t gbpa = registers.read32(hw::kGbpa);
  registers.write32(hw::kGbpa, static_cast<std::uint32_t>(
                                   with<hw::gbpa::UPDATE>(with<hw::gbpa::ABORT>(gbpa, 1), 1)));
  TRY(wait_for(registers, clock, hw::kGbpa, kUpdate));
  registers.write32(hw::kCr0, 0);
  TRY(wait_for(registers, clock, hw::kCr0Ack, kEverything));
  registers.write32(hw::kIrqCtrl, 0);
  return wait_for(registers, clock, hw::kIrqCtrlAck, kEverything);
}

}  // namespace penstock::iommu
