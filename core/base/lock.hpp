// A spin lock that clang's thread-safety analysis understands. Ranks and who may hold what:
// docs/locking.md.
//
// The hypervisor never takes interrupts while it runs (DAIF stays masked at EL2), so a plain spin
// lock cannot deadlock with an interrupt handler of its own CPU. Hold times are bounded: no loop
// whose length a guest chooses runs under one.
#pragma once

#include <atomic>

#define PENSTOCK_CAPABILITY(name) __attribute__((capability(name)))
#define PENSTOCK_SCOPED __attribute__((scoped_lockable))
#define GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))

namespace penstock {

class PENSTOCK_CAPABILITY("lock") SpinLock {
 public:
  void lock() ACQUIRE() {
    while (held_.exchange(true, std::memory_order_acquire)) {  // pairs with unlock()
      while (held_.load(std::memory_order_relaxed)) {
      }
    }
  }
  void unlock() RELEASE() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

class PENSTOCK_SCOPED LockGuard {
 public:
  explicit LockGuard(SpinLock& lock) ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~LockGuard() RELEASE() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  SpinLock& lock_;
};

}  // namespace penstock
