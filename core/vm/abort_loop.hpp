// A guest that cannot take an abort: its exception vectors are nowhere, or the first thing that its
// handler does aborts again. The abort that it is given then only brings the next one, for ever.
#pragma once

#include <cstdint>

namespace penstock::vm {

class AbortLoop {
 public:
  /// So many aborts in a row from the vector's own instructions are no accident.
  static constexpr unsigned kLimit = 8;

  /// An abort is about to be given for the instruction at `pc`, `pstate` as SPSR_EL2 holds it,
  /// `vectors`: VBAR_EL1. True: it is the limit's in a row whose instruction lies in the 32 of the
  /// vector that this abort leads to. Only EL1 runs there: a process cannot bring this about.
  bool is_endless(std::uint64_t pstate, std::uint64_t pc, std::uint64_t vectors) {
    constexpr std::uint64_t kModeMask = 0x1f;
    constexpr std::uint64_t kEl1h = 0x05;
    constexpr std::uint64_t kVectorOfEl1h = 0x200;
    constexpr std::uint64_t kVectorBytes = 0x80;
    const bool in_vector =
        (pstate & kModeMask) == kEl1h && pc - (vectors + kVectorOfEl1h) < kVectorBytes;
    in_a_row_ = in_vector ? in_a_row_ + 1 : 0;
    return in_a_row_ >= kLimit;
  }

 private:
  unsigned in_a_row_ = 0;
};

}  // namespace penstock::vm
