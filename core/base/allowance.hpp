// How often a thing may happen: so many times at once, and then as many as are given back over
// time. It belongs to whatever it limits for as long as that exists; no restart, no re-attachment
// and no new window of time renews it (H58).
//
//     spent  0 ------ take() ------> most: take() says no, "exhausted"
//            <-- one each fast_ns --
//            <-- one each slow_ns --  once it was exhausted, until all is given back
#pragma once

#include <cstdint>

namespace penstock {

class Allowance {
 public:
  /// `most` at once. Periods are in nanoseconds and not 0.
  constexpr Allowance(std::uint64_t most, std::uint64_t fast_ns, std::uint64_t slow_ns)
      : most_(most), fast_ns_(fast_ns), slow_ns_(slow_ns) {}
  constexpr Allowance(std::uint64_t most, std::uint64_t period_ns)
      : Allowance(most, period_ns, period_ns) {}

  /// False: there were fewer than `count` left, and now there are none.
  [[nodiscard]] constexpr bool take(std::uint64_t count, std::uint64_t now_ns) {
    recover(now_ns);
    exhausted_ = exhausted_ || count > most_ - spent_;
    const bool enough = count <= most_ - spent_;
    spent_ = enough ? spent_ + count : most_;
    return enough;
  }
  /// How long from `now_ns` until one can be taken.
  [[nodiscard]] constexpr std::uint64_t wait_ns(std::uint64_t now_ns) {
    recover(now_ns);
    if (spent_ < most_) return 0;
    const std::uint64_t next = since_ns_ + (exhausted_ ? slow_ns_ : fast_ns_);
    return next > now_ns ? next - now_ns : 0;
  }

 private:
  constexpr void recover(std::uint64_t now_ns) {
    if (now_ns < since_ns_) return;
    const std::uint64_t period = exhausted_ ? slow_ns_ : fast_ns_;
    const std::uint64_t back = (now_ns - since_ns_) / period;
    if (back >= spent_) {
      spent_ = 0;
      exhausted_ = false;
      since_ns_ = now_ns;
    } else {
      spent_ -= back;
      since_ns_ += back * period;
    }
  }

  std::uint64_t most_;
  std::uint64_t fast_ns_;
  std::uint64_t slow_ns_;
  std::uint64_t spent_ = 0;
  std::uint64_t since_ns_ = 0;  // what was given back until then is accounted for
  bool exhausted_ = false;
};

}  // namespace penstock
