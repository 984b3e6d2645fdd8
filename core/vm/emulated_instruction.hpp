// What becomes of the interrupted state when the hypervisor has carried out an instruction for a
// guest, and what it has to know of that state before (DDI 0487). `pstate` is in the layout of
// SPSR_EL2 throughout. Pure, and short enough to be part of every trap.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::vm {

namespace spsr {

// clang-format off
using Nzcv      = Field<31, 28>;
using ItLow     = Field<26, 25>;  // AArch32: IT[1:0]
using Step      = Field<21, 21>;  // SS: the next instruction is one step
using ItHigh    = Field<15, 10>;  // AArch32: IT[7:2]
using BigEndian = Field< 9,  9>;  // AArch32: E
using Thumb     = Field< 5,  5>;  // AArch32: T
using Aarch32   = Field< 4,  4>;
using El        = Field< 3,  2>;  // AArch64
// clang-format on

}  // namespace spsr

struct InstructionState {
  std::uint64_t pc;
  std::uint64_t pstate;
};

/// The state after an instruction of AArch32, of which EL0 alone is there: Thumb has short ones,
/// and a block of conditional ones counts down.
[[nodiscard]] InstructionState after_aarch32_instruction(InstructionState at, bool is_32_bit);

/// The state after the instruction at `at` was carried out. `is_32_bit` is ESR_EL2.IL. With
/// software step active, the step is made: the guest takes its step exception before the next
/// instruction (D2.11).
[[nodiscard]] inline InstructionState after_instruction(InstructionState at, bool is_32_bit) {
  at.pstate &= ~spsr::Step::kMask;
  if (get<spsr::Aarch32>(at.pstate) != 0) [[unlikely]] {
    return after_aarch32_instruction(at, is_32_bit);
  }
  return {at.pc + 4, at.pstate};
}

/// Whether the interrupted code's data accesses are big-endian. `sctlr`: SCTLR_EL1.
[[nodiscard]] inline bool is_big_endian(std::uint64_t pstate, std::uint64_t sctlr) {
  using Ee = Field<25, 25>;   // of EL1
  using E0e = Field<24, 24>;  // of EL0 in AArch64
  if (get<spsr::Aarch32>(pstate) != 0) return get<spsr::BigEndian>(pstate) != 0;
  return (get<spsr::El>(pstate) == 0 ? get<E0e>(sctlr) : get<Ee>(sctlr)) != 0;
}

/// The `bytes` (1, 2, 4, 8) low bytes of `value` the other way round.
[[nodiscard]] inline std::uint64_t swap_bytes(std::uint64_t value, unsigned bytes) {
  return __builtin_bswap64(value) >> (64 - 8 * bytes);
}

/// Whether a conditional instruction of AArch32 that trapped would be executed: a CPU may trap it
/// before it looks at its condition. `esr`: of a trap that has CV and COND (E1.2.3, ESR_ELx).
[[nodiscard]] bool condition_holds(std::uint64_t esr, std::uint64_t pstate);

}  // namespace penstock::vm
