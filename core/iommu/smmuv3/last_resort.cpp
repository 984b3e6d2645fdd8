#include "core/iommu/smmuv3/last_resort.hpp"

#include <cstdint>

#include "core/hw/smmuv3/registers.hpp"

namespace penstock::iommu {
namespace {

namespace hw = penstock::hw::smmuv3;

constexpr unsigned kLooks = 100'000;

void wait_for_update(port::Mmio& registers) {
  for (unsigned i = 0; i < kLooks; ++i) {
    if (get<hw::gbpa::UPDATE>(registers.read32(hw::kGbpa)) == 0) return;
  }
}

}  // namespace

/// GBPA first: once SMMUEN reads 0, it decides what happens to traffic.
void abort_all_dma(port::Mmio& registers) {
  wait_for_update(registers);
  const std::uint64_t gbpa = registers.read32(hw::kGbpa);
  registers.write32(hw::kGbpa, static_cast<std::uint32_t>(
                                   with<hw::gbpa::UPDATE>(with<hw::gbpa::ABORT>(gbpa, 1), 1)));
  wait_for_update(registers);
  registers.write32(hw::kCr0, 0);
  for (unsigned i = 0; i < kLooks; ++i) {
    if (registers.read32(hw::kCr0Ack) == 0) return;
  }
}

}  // namespace penstock::iommu
