// The hypervisor's own frames: translation tables, stream tables, queues, interrupt tables. One
// contiguous range of machine memory, set aside at boot, handed out in 4 KiB pages by first fit.
//
// Locks: lock_ guards the bitmap and the counters; it is the lowest rank, nothing else is taken
// under it. Pages are zeroed outside the lock, after they are ours.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::mem {

class PagePool {
 public:
  static constexpr std::uint64_t kMaxBytes = 8 * kMiB;

  /// Takes over [base, base + bytes). kMisaligned: base or bytes is no multiple of 4 KiB.
  /// kOutOfRange: 0 bytes or more than kMaxBytes. kBadState: initialised before. Boot only.
  Status init(port::PhysMem& memory, Hpa base, std::uint64_t bytes) EXCLUDES(lock_);

  /// `bytes`, rounded up to pages, contiguous, aligned in machine-physical space to `align` (a
  /// power of two, at least 4 KiB is used), zeroed and observable to devices. kNoMemory (arg:
  /// bytes); kMisaligned (arg: align). Any context.
  Result<Hpa> take(std::uint64_t bytes, std::uint64_t align = kPageSize) EXCLUDES(lock_);

  /// Returns what take() gave, wholly or in whole pages. The caller has made sure that no CPU and
  /// no device can still reach the range. A range that is not wholly taken (a double free) is left
  /// alone and counted in bad_returns().
  void give_back(Hpa start, std::uint64_t bytes) EXCLUDES(lock_);

  [[nodiscard]] std::uint64_t capacity_bytes() const { return pages_ * kPageSize; }
  [[nodiscard]] std::uint64_t used_bytes() const EXCLUDES(lock_);
  /// The most that was ever in use at one time.
  [[nodiscard]] std::uint64_t high_water() const EXCLUDES(lock_);
  /// How many give_back() calls were refused; anything but 0 is a bug of ours.
  [[nodiscard]] std::uint64_t bad_returns() const EXCLUDES(lock_);
  /// True when `pa` lies in the pool, taken or not. Audits use it: no table may map such a frame.
  [[nodiscard]] bool contains(Hpa pa) const {
    return pa >= base_ && pa - base_ < pages_ * kPageSize;
  }

 private:
  static constexpr std::size_t kMaxPages = kMaxBytes / kPageSize;

  [[nodiscard]] bool taken(std::size_t page) const REQUIRES(lock_);
  void set(std::size_t page, bool value) REQUIRES(lock_);
  [[nodiscard]] bool all(std::size_t first, std::size_t count, bool value) const REQUIRES(lock_);
  [[nodiscard]] Result<std::size_t> reserve(std::size_t count, std::uint64_t align) EXCLUDES(lock_);

  port::PhysMem* memory_ = nullptr;  // set once by init()
  Hpa base_;
  std::size_t pages_ = 0;

  mutable SpinLock lock_;
  std::array<std::uint64_t, kMaxPages / 64> bitmap_ GUARDED_BY(lock_){};
  std::size_t used_ GUARDED_BY(lock_) = 0;
  std::size_t high_water_ GUARDED_BY(lock_) = 0;
  std::uint64_t bad_returns_ GUARDED_BY(lock_) = 0;
};

}  // namespace penstock::mem
