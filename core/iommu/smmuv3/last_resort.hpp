// What is left to do with an SMMU when the hypervisor itself can no longer be believed.
#pragma once

#include "core/port/mmio.hpp"

namespace penstock::iommu {

/// Every DMA behind this SMMU aborts from now on (IHI 0070 6.3.12 SMMU_GBPA, 6.3.9.6 SMMUEN). Only
/// its registers are used: no lock, no clock, no memory, in whatever state its driver is. Waits for
/// the hardware a bounded number of times; what it does not confirm is asked for all the same.
void abort_all_dma(port::Mmio& registers);

}  // namespace penstock::iommu
