// What the faults of a device may cost: the CPU that takes the IOMMU's events may be another
// domain's (invariant 7).
//
// A device that faults more often does nothing useful any more: its stream then aborts without
// events until it is handed over again. That renews nothing, nor does a restart of its domain: what
// it has used up comes back slowly, wherever it is meanwhile (H58). All devices of a domain
// together have an allowance as well, so that its limit is not a matter of how many they are.
#pragma once

#include <optional>
#include <span>

#include "core/assign/device.hpp"
#include "core/base/allowance.hpp"
#include "core/iommu/fault.hpp"

namespace penstock::assign {

/// Of one batch of events that came with an overflow of the queue: the stream of more than half of
/// them, which the events that were lost are put down to. Nobody knows whose those were; who has
/// one event among many is not to blame for the many.
[[nodiscard]] std::optional<StreamId> loudest(std::span<const iommu::Fault> faults);

/// Charges the device, and the domain that has it (null: nobody), for one event that stands for
/// `weight` faults. False: the limit is passed, the device is to be cut off.
[[nodiscard]] bool within_limit(Device& device, Allowance* domain, std::uint64_t weight,
                                std::uint64_t now_ns);

}  // namespace penstock::assign
