// A spin lock without turns, for what the CPUs of one domain share: who finds it free has it. Where
// the board's CPUs are threads of a simulator, one that waits can stand still for long; here it
// holds up nobody behind it, as it would in a SpinLock (H66). Whoever asks again and again can keep
// the others waiting, which is their domain's own affair. Ranks: docs/locking.md.
#pragma once

#include <atomic>

#include "core/base/lock.hpp"

namespace penstock {

class PENSTOCK_CAPABILITY("lock") UnfairLock {
 public:
  void lock() ACQUIRE() {
    while (taken_.exchange(true, std::memory_order_acquire)) {  // pairs with unlock()
      while (taken_.load(std::memory_order_relaxed)) {
      }
    }
  }
  void unlock() RELEASE() { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

class PENSTOCK_SCOPED UnfairGuard {
 public:
  explicit UnfairGuard(UnfairLock& lock) ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~UnfairGuard() RELEASE() { lock_.unlock(); }
  UnfairGuard(const UnfairGuard&) = delete;
  UnfairGuard& operator=(const UnfairGuard&) = delete;

 private:
  UnfairLock& lock_;
};

}  // namespace penstock
