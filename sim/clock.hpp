// Simulated time: every look at the clock advances it, so a wait with a deadline always ends.
#pragma once

#include <cstdint>

#include "core/port/clock.hpp"

namespace penstock::sim {

class Clock final : public port::Clock {
 public:
  /// Each now_ns() advances time by `step_ns`.
  explicit Clock(std::uint64_t step_ns = 1000) : step_ns_(step_ns) {}

  std::uint64_t now_ns() override { return now_ns_ += step_ns_; }

  /// Moves time forward without a look at the clock.
  void advance(std::uint64_t ns) { now_ns_ += ns; }
  [[nodiscard]] std::uint64_t peek_ns() const { return now_ns_; }

 private:
  std::uint64_t step_ns_;
  std::uint64_t now_ns_ = 0;
};

}  // namespace penstock::sim
