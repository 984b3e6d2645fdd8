#include "core/iommu/smmuv3/event_queue.hpp"

#include <atomic>

#include "core/hw/smmuv3/registers.hpp"

namespace penstock::iommu::smmuv3 {

namespace hw = penstock::hw::smmuv3;

Status EventQueue::init(port::Mmio& registers, port::PhysMem& memory, mem::PagePool& pool,
                        bool coherent, unsigned log2_limit) {
  log2_ = log2_limit < kLog2Entries ? log2_limit : kLog2Entries;
  const std::uint64_t bytes = std::uint64_t{hw::kEventBytes} << log2_;
  base_ = TRY(pool.take(bytes, bytes));
  registers_ = &registers;
  memory_ = &memory;
  coherent_ = coherent;
  return {};
}

void EventQueue::program() {
  std::uint64_t base =
      with<hw::queue_base::LOG2SIZE>(base_.value() & hw::queue_base::ADDR::kMask, log2_);
  registers_->write64(hw::kEventqBase, with<hw::queue_base::HINT>(base, 1));
  registers_->write32(hw::kEventqProd, 0);
  registers_->write32(hw::kEventqCons, 0);
  consumed_ = 0;
  overflow_seen_ = 0;
}

hw::EventRecord EventQueue::read(std::uint32_t index) {
  const Hpa at = base_ + (index & low_mask(log2_)) * hw::kEventBytes;
  // Where the SMMU does not snoop, our cache may hold the slot's previous contents. We never write
  // a slot, so the port's clean-and-invalidate only drops the stale line.
  if (!coherent_) memory_->make_observable(at, hw::kEventBytes);
  auto* words = reinterpret_cast<std::uint64_t*>(memory_->map(at, hw::kEventBytes));
  hw::EventRecord record;
  for (std::size_t i = 0; i < record.size(); ++i) {
    // Ordered after the read of PROD that announced the record, and before the write of CONS that
    // gives it up.
    record[i] = std::atomic_ref<std::uint64_t>(words[i]).load(std::memory_order_acquire);
  }
  return record;
}

std::uint64_t EventQueue::next_number() {
  if (registers_ == nullptr) return 0;
  const std::uint32_t prod = registers_->read32(hw::kEventqProd);
  return taken_ + ((prod - consumed_) & low_mask(log2_ + 1));
}

/// The records between consumed_ and `produced`, as many as fit behind the first `taken` of `out`;
/// returns how many there are then.
unsigned EventQueue::copy(std::span<Fault> out, unsigned taken, std::uint32_t produced) {
  while (taken < out.size() && consumed_ != produced) {
    out[taken] = decode(read(consumed_));
    out[taken++].number = taken_++;
    consumed_ = static_cast<std::uint32_t>((consumed_ + 1) & low_mask(log2_ + 1));
  }
  return taken;
}

// The SMMU interrupts when the queue stops being empty (IHI 0070, 3.5.4 and 3.18). A record that
// it writes before our CONS has arrived finds the queue not empty and interrupts nobody: PROD is
// read again after every write of CONS, until there is nothing (H57).
unsigned EventQueue::take(std::span<Fault> out) {
  if (registers_ == nullptr) return 0;
  unsigned taken = 0;
  for (;;) {
    const std::uint32_t prod = registers_->read32(hw::kEventqProd);
    const auto produced = static_cast<std::uint32_t>(prod & low_mask(log2_ + 1));
    std::atomic_thread_fence(
        std::memory_order_acquire);  // pairs with the SMMU's update of PROD after the record
    const auto overflow = static_cast<std::uint32_t>(prod & hw::eventq_index::Overflow::kMask);
    const bool nothing = consumed_ == produced;
    if (nothing && overflow == overflow_seen_) return taken;
    if (overflow != overflow_seen_) ++overflows_;
    overflow_seen_ = overflow;
    taken = copy(out, taken, produced);
    registers_->write32(hw::kEventqCons, consumed_ | overflow_seen_);
    if (nothing || taken == out.size()) return taken;
  }
}

}  // namespace penstock::iommu::smmuv3
