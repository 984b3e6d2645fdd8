#include "core/iommu/smmuv3/command_queue.hpp"

#include <atomic>

#include "core/base/text.hpp"
#include "core/hw/smmuv3/registers.hpp"

namespace penstock::iommu::smmuv3 {

namespace hw = penstock::hw::smmuv3;
namespace cons = hw::cmdq_cons;

namespace {

constexpr unsigned kMaxSkips =
    4;  // a second illegal command in one batch is a bug, a fifth is a broken SMMU

}  // namespace

Status CommandQueue::init(port::Mmio& registers, port::PhysMem& memory, port::Clock& clock,
                          mem::PagePool& pool, port::Log& log, unsigned log2_limit,
                          std::uint64_t wait_ns) {
  log2_ = log2_limit < kLog2Entries ? log2_limit : kLog2Entries;
  entries_ = std::uint32_t{1} << log2_;
  const std::uint64_t bytes = std::uint64_t{hw::kCommandBytes} * entries_;
  base_ = TRY(pool.take(bytes, bytes));
  registers_ = &registers;
  memory_ = &memory;
  clock_ = &clock;
  log_ = &log;
  wait_ns_ = wait_ns;
  return {};
}

void CommandQueue::program() {
  std::uint64_t base =
      with<hw::queue_base::LOG2SIZE>(base_.value() & hw::queue_base::ADDR::kMask, log2_);
  registers_->write64(hw::kCmdqBase, with<hw::queue_base::HINT>(base, 1));
  registers_->write32(hw::kCmdqProd, 0);
  registers_->write32(hw::kCmdqCons, 0);
  produced_ = 0;
}

/// Indices count modulo twice the queue's size: the bit above the index is the wrap bit.
std::uint32_t CommandQueue::wrap(std::uint32_t index) const {
  return index & (2 * entries_ - 1);
}

/// Writes the batch and a CMD_SYNC behind it. The words are the SMMU's to read only once CMDQ_PROD
/// has been written.
void CommandQueue::put_with_sync(std::span<const hw::Command> batch) {
  const std::uint64_t bytes = std::uint64_t{hw::kCommandBytes} * entries_;
  auto* ring = reinterpret_cast<hw::Command*>(memory_->map(base_, bytes));
  const std::uint32_t last = entries_ - 1;
  std::uint32_t slot = produced_ & last;
  const auto put = [&](const hw::Command& command) {
    std::atomic_ref<std::uint64_t>(ring[slot][0]).store(command[0], std::memory_order_relaxed);
    std::atomic_ref<std::uint64_t>(ring[slot][1]).store(command[1], std::memory_order_relaxed);
    slot = (slot + 1) & last;
  };
  for (const hw::Command& command : batch) put(command);
  put(hw::sync());
  produced_ = wrap(produced_ + static_cast<std::uint32_t>(batch.size()) + 1);
}

/// The commands from index `from` up to produced_, which are at most one turn of the ring.
void CommandQueue::make_observable(std::uint32_t from) {
  const std::uint64_t first = from & (entries_ - 1);
  const std::uint64_t count = wrap(produced_ - from);
  const std::uint64_t before_end = count < entries_ - first ? count : entries_ - first;
  memory_->make_observable(base_ + first * hw::kCommandBytes, before_end * hw::kCommandBytes);
  if (before_end != count) {
    memory_->make_observable(base_, (count - before_end) * hw::kCommandBytes);
  }
}

Status CommandQueue::issue(std::span<const hw::Command> batch) {
  if (batch.size() > kMaxBatch) return fail(Code::kOutOfRange, batch.size());
  // Commands that an earlier call gave up on may not be overwritten: the queue is dead until the
  // SMMU has drained it.
  if (stuck_) {
    if (get<cons::RD>(registers_->read32(hw::kCmdqCons)) != produced_) {
      return fail(Code::kTimeout, hw::kCmdqCons);
    }
    stuck_ = false;
  }
  const std::uint32_t first = produced_;
  put_with_sync(batch);
  make_observable(first);
  registers_->write32(hw::kCmdqProd, produced_);
  skips_left_ = kMaxSkips;
  // CONS passes a CMD_SYNC only when it and everything before it has completed (IHI 0070, 4.7);
  // the clock is asked only where that takes a while.
  if (get<cons::RD>(registers_->read32(hw::kCmdqCons)) == produced_) return {};
  return wait();
}

/// For the SMMU to consume everything; gets over commands that it rejects.
Status CommandQueue::wait() {
  Status result;
  port::Deadline deadline(*clock_, wait_ns_);
  for (;;) {
    if (Status ok = recover(); !ok) result = ok;
    if (get<cons::RD>(registers_->read32(hw::kCmdqCons)) == produced_) return result;
    stuck_ = skips_left_ == 0 || deadline.expired();
    if (skips_left_ == 0) return result;
    if (stuck_) return fail(Code::kTimeout, hw::kCmdqCons);
  }
}

/// After an error the SMMU stands at the bad command until GERRORN says that we have seen it; what
/// stands there then is fetched again. CMD_SYNC in its place does nothing that was not asked for
/// (IHI 0070, 7.1).
Status CommandQueue::recover() {
  const std::uint32_t acknowledged = registers_->read32(hw::kGerrorN);
  const std::uint32_t active = registers_->read32(hw::kGerror) ^ acknowledged;
  if (get<hw::gerror::CMDQ_ERR>(active) == 0) return {};

  const std::uint32_t where = registers_->read32(hw::kCmdqCons);
  Text<96> message;
  message.text("smmu: command rejected, CMDQ_CONS ").hex(where, 8);
  log_->line(port::Severity::kError, message.view());

  // A failed fetch is tried again as it stands; anything else would be rejected again.
  if (get<cons::ERR>(where) != cons::kErrAbort) {
    const std::uint32_t resume = produced_;
    const auto bad = static_cast<std::uint32_t>(get<cons::RD>(where));
    produced_ = bad;
    put_with_sync({});
    make_observable(bad);
    produced_ = resume;
  }
  if (skips_left_ != 0) --skips_left_;
  registers_->write32(hw::kGerrorN,
                      acknowledged ^ static_cast<std::uint32_t>(hw::gerror::CMDQ_ERR::kMask));
  return fail(Code::kHardwareError, where);
}

}  // namespace penstock::iommu::smmuv3
