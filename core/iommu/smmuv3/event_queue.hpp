// The event queue of one SMMUv3 (IHI 0070, 3.5 and 7.2): filled by hardware, emptied by us, never
// waited on. A full queue loses events and says so. Not thread-safe: the Smmu's event_lock_ is held
// around every call.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/hw/smmuv3/events.hpp"
#include "core/iommu/fault.hpp"
#include "core/mem/page_pool.hpp"
#include "core/port/mmio.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::iommu::smmuv3 {

/// The record as a value. Total: any 32 bytes give a Fault.
[[nodiscard]] Fault decode(const hw::smmuv3::EventRecord& record);

class EventQueue {
 public:
  static constexpr unsigned kLog2Entries = 8;  // two pages

  /// Takes the memory. kNoMemory. `log2_limit` is IDR1.EVENTQS.
  Status init(port::Mmio& registers, port::PhysMem& memory, mem::PagePool& pool, bool coherent,
              unsigned log2_limit);
  /// Writes base, PROD and CONS. The queue is disabled (CR0.EVENTQEN = 0).
  void program();

  /// Oldest first, at most out.size(). Where it returns less, the queue was seen empty after CONS
  /// was written, so that the next record interrupts; where it returns out.size(), come again.
  unsigned take(std::span<Fault> out);
  /// The number that the next record will have.
  [[nodiscard]] std::uint64_t next_number();
  [[nodiscard]] std::uint64_t overflows() const { return overflows_; }

 private:
  [[nodiscard]] unsigned copy(std::span<Fault> out, unsigned taken, std::uint32_t produced);
  [[nodiscard]] hw::smmuv3::EventRecord read(std::uint32_t index);

  port::Mmio* registers_ = nullptr;
  port::PhysMem* memory_ = nullptr;
  Hpa base_;
  unsigned log2_ = 0;
  bool coherent_ = true;
  std::uint32_t consumed_ = 0;       // index with wrap bit
  std::uint64_t taken_ = 0;          // records so far: the number of the one at consumed_
  std::uint32_t overflow_seen_ = 0;  // OVFLG as last acknowledged, in place
  std::uint64_t overflows_ = 0;
};

}  // namespace penstock::iommu::smmuv3
