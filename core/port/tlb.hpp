// Whoever caches translations of one stage-2 table: the CPUs, or an SMMU.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"

namespace penstock::port {

class Stage2Tlb {
 public:
  /// Forgets everything cached for [start, start + size), table pointers included, and returns only
  /// when it is complete: every later access of every CPU or device sees the table as it is now,
  /// and no walk that began before still uses what it read. Both values are multiples of 4 KiB.
  /// Called with the table's lock held; must not call back into the table. An implementation that
  /// cannot complete must stop the accesses themselves before it returns.
  virtual void invalidate(Gpa start, std::uint64_t size) = 0;

 protected:
  ~Stage2Tlb() = default;
};

}  // namespace penstock::port
