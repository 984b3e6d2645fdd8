#include "core/vm/emulated_instruction.hpp"

namespace penstock::vm {
namespace {

/// PSTATE.IT, where in a block of conditional Thumb instructions this one is (DDI 0487 E1.2.3):
/// bits 7..5 the condition without its low bit, 4..0 the low bit of this instruction and of those
/// that follow, ended by a one. Zero: not in a block.
std::uint64_t it_state(std::uint64_t pstate) {
  return get<spsr::ItHigh>(pstate) << 2 | get<spsr::ItLow>(pstate);
}

std::uint64_t with_it_state(std::uint64_t pstate, std::uint64_t it) {
  return with<spsr::ItLow>(with<spsr::ItHigh>(pstate, it >> 2), it & 3);
}

/// AArch32.ITAdvance().
std::uint64_t advanced(std::uint64_t it) {
  constexpr std::uint64_t kMoreFollow = 0x07;
  if ((it & kMoreFollow) == 0) return 0;
  return (it & 0xe0) | (it << 1 & 0x1f);
}

/// ConditionHolds() of the architecture's pseudocode.
bool holds(std::uint64_t condition, std::uint64_t pstate) {
  const std::uint64_t nzcv = get<spsr::Nzcv>(pstate);
  const bool n = (nzcv & 8) != 0;
  const bool z = (nzcv & 4) != 0;
  const bool c = (nzcv & 2) != 0;
  const bool v = (nzcv & 1) != 0;
  bool result = true;
  switch (condition >> 1) {
    case 0: result = z; break;             // EQ, NE
    case 1: result = c; break;             // CS, CC
    case 2: result = n; break;             // MI, PL
    case 3: result = v; break;             // VS, VC
    case 4: result = c && !z; break;       // HI, LS
    case 5: result = n == v; break;        // GE, LT
    case 6: result = n == v && !z; break;  // GT, LE
    default: return true;                  // AL
  }
  return result == ((condition & 1) == 0);
}

}  // namespace

InstructionState after_aarch32_instruction(InstructionState at, bool is_32_bit) {
  const std::uint64_t pstate = with_it_state(at.pstate, advanced(it_state(at.pstate)));
  const bool is_short = get<spsr::Thumb>(at.pstate) != 0 && !is_32_bit;
  return {(at.pc + (is_short ? 2 : 4)) & 0xffff'ffff, pstate};
}

bool condition_holds(std::uint64_t esr, std::uint64_t pstate) {
  using ConditionValid = Field<24, 24>;
  using Condition = Field<23, 20>;
  if (get<ConditionValid>(esr) != 0) return holds(get<Condition>(esr), pstate);
  // A Thumb instruction: the condition is that of its IT block, if it is in one.
  const std::uint64_t it = it_state(pstate);
  return it == 0 || holds(it >> 4, pstate);
}

}  // namespace penstock::vm
