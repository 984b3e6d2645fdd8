// The command queue of one SMMUv3 (IHI 0070, 3.5 and chapter 4).
//
// One batch at a time: whoever issues waits for the batch's CMD_SYNC, so the queue is empty between
// calls and cannot be found full. Not thread-safe: the Smmu's lock_ is held around every call.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/hw/smmuv3/commands.hpp"
#include "core/mem/page_pool.hpp"
#include "core/port/clock.hpp"
#include "core/port/log.hpp"
#include "core/port/mmio.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::iommu::smmuv3 {

class CommandQueue {
 public:
  static constexpr unsigned kLog2Entries = 8;   // one page; a batch is far smaller
  static constexpr std::size_t kMaxBatch = 64;  // commands in one issue(), its CMD_SYNC not counted

  /// Takes the memory. kNoMemory. `log2_limit` is IDR1.CMDQS, at least 7.
  Status init(port::Mmio& registers, port::PhysMem& memory, port::Clock& clock, mem::PagePool& pool,
              port::Log& log, unsigned log2_limit, std::uint64_t wait_ns);

  /// Writes base, PROD and CONS. The queue is disabled (CR0.CMDQEN = 0).
  void program();

  /// Gives the batch (at most kMaxBatch) and one CMD_SYNC to the SMMU and waits until all have
  /// completed. kTimeout (arg: register offset); kHardwareError (arg: CMDQ_CONS) when the SMMU
  /// rejected a command: it was logged, skipped, and the rest was consumed. kOutOfRange: batch too
  /// long.
  Status issue(std::span<const hw::smmuv3::Command> batch);

  /// Acknowledges an active command error, if there is one, so that the queue goes on.
  Status recover();

 private:
  void put_with_sync(std::span<const hw::smmuv3::Command> batch);
  void make_observable(std::uint32_t from);
  Status wait();
  [[nodiscard]] std::uint32_t wrap(std::uint32_t index) const;

  port::Mmio* registers_ = nullptr;
  port::PhysMem* memory_ = nullptr;
  port::Clock* clock_ = nullptr;
  port::Log* log_ = nullptr;
  Hpa base_;
  unsigned log2_ = 0;
  std::uint32_t entries_ = 1;
  bool stuck_ = false;  // an earlier call has given up on commands that may still be in the queue
  std::uint64_t wait_ns_ = 0;
  std::uint32_t produced_ = 0;  // index with wrap bit, as CMDQ_PROD holds it
  unsigned skips_left_ = 0;     // rejected commands that one issue() gets over
};

}  // namespace penstock::iommu::smmuv3
