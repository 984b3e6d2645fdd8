// An SMMUv3 that nobody drives: no device that is given out is behind it, but others may be.
#pragma once

#include "core/base/result.hpp"
#include "core/port/clock.hpp"
#include "core/port/mmio.hpp"

namespace penstock::iommu {

/// Leaves the unit with every access of what is behind it aborted, and with none of its tables and
/// queues in use: firmware may have left them in memory that is about to be somebody's. `registers`
/// is the window of Smmu::kWindowBytes. kNotFound: nobody answers there (switched off, or something
/// else); kTimeout (arg: register offset): it goes on as it was.
Status stop_idle_smmu(port::Mmio& registers, port::Clock& clock);

}  // namespace penstock::iommu
