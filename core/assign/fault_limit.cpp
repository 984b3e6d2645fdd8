#include "core/assign/fault_limit.hpp"

namespace penstock::assign {

/// A majority outlives any pairing of it with the rest; whether the survivor is one is counted.
std::optional<StreamId> loudest(std::span<const iommu::Fault> faults) {
  StreamId candidate;
  std::size_t lead = 0;
  for (const iommu::Fault& fault : faults) {
    if (lead == 0) candidate = fault.stream;
    lead = fault.stream == candidate ? lead + 1 : lead - 1;
  }
  std::size_t count = 0;
  for (const iommu::Fault& fault : faults) count += fault.stream == candidate ? 1 : 0;
  if (count * 2 <= faults.size()) return std::nullopt;
  return candidate;
}

bool within_limit(Device& device, Allowance* domain, std::uint64_t weight, std::uint64_t now_ns) {
  if (!device.limits.faults.take(weight, now_ns)) return false;
  return domain == nullptr || domain->take(weight, now_ns);
}

}  // namespace penstock::assign
