// Time for deadlines: every wait on hardware has one.
#pragma once

#include <cstdint>

namespace penstock::port {

class Clock {
 public:
  /// Monotonic nanoseconds from an arbitrary start. In sim every call advances time, so a wait
  /// always ends.
  virtual std::uint64_t now_ns() = 0;
  /// Returns at least `ns` later. Where the machine can sleep, it does.
  virtual void wait(std::uint64_t ns) {
    const std::uint64_t end = now_ns() + ns;
    while (now_ns() < end) {
    }
  }

 protected:
  ~Clock() = default;
};

class Deadline {
 public:
  Deadline(Clock& clock, std::uint64_t in_ns) : clock_(clock), end_(clock.now_ns() + in_ns) {}
  [[nodiscard]] bool expired() { return clock_.now_ns() >= end_; }

 private:
  Clock& clock_;
  std::uint64_t end_;
};

}  // namespace penstock::port
