// A spin lock that clang's thread-safety analysis understands. Ranks and who may hold what:
// docs/locking.md.
//
// The hypervisor never takes interrupts while it runs (DAIF stays masked at EL2), so a plain spin
// lock cannot deadlock with an interrupt handler of its own CPU. Hold times are bounded: no loop
// whose length a guest chooses runs under one. Locks are granted in the order of asking, so that a
// CPU that takes one again and again cannot keep another waiting for more than one turn of each.
#pragma once

#include <atomic>
#include <cstdint>

#define PENSTOCK_CAPABILITY(name) __attribute__((capability(name)))
#define PENSTOCK_SCOPED __attribute__((scoped_lockable))
#define GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRE(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))

namespace penstock {

class PENSTOCK_CAPABILITY("lock") SpinLock {
 public:
  void lock() ACQUIRE() {
    const std::uint32_t turn = next_.fetch_add(1, std::memory_order_relaxed);
    while (serving_.load(std::memory_order_acquire) != turn) {  // pairs with unlock()
    }
  }
  /// Takes the lock if nobody holds it or waits for it.
  [[nodiscard]] bool try_lock() TRY_ACQUIRE(true) {
    std::uint32_t turn = serving_.load(std::memory_order_acquire);
    return next_.compare_exchange_strong(turn, turn + 1, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  void unlock() RELEASE() {
    // Only the holder writes it.
    serving_.store(serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  std::atomic<std::uint32_t> next_{0};     // the turn that the next one to ask gets
  std::atomic<std::uint32_t> serving_{0};  // whose turn it is
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
