// Memory that the hypervisor owns and shares with hardware: translation tables, stream tables,
// queues.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/address.hpp"

namespace penstock::port {

class PhysMem {
 public:
  /// A pointer through which [pa, pa + size) can be read and written. The range is memory given to
  /// the hypervisor (a page pool's, or a domain's RAM); anything else is a bug of the caller and
  /// panics on hardware, aborts in sim.
  virtual std::byte* map(Hpa pa, std::uint64_t size) = 0;

  /// Makes what was written to [pa, pa + size) visible to observers that do not snoop our caches
  /// and orders it before every later Mmio write and make_observable(): clean to the point of
  /// coherency where needed, then a full barrier.
  virtual void make_observable(Hpa pa, std::uint64_t size) = 0;

 protected:
  ~PhysMem() = default;
};

}  // namespace penstock::port
