// What the syndrome registers say about a trap from a guest (DDI 0487 D19.2.37 ESR_EL2).
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/address.hpp"

namespace penstock::arch {

enum class ExceptionClass : std::uint8_t {
  kHvc64 = 0x16,
  kSmc64 = 0x17,
  kSystemRegister = 0x18,
  kInstructionAbort = 0x20,
  kDataAbort = 0x24,
};

/// A load or store that the syndrome describes fully (ESR_EL2.ISV).
struct Access {
  unsigned size;  // bytes: 1, 2, 4, 8
  unsigned reg;   // 31: zero register
  bool write;
  bool sign_extend;
  bool wide;  // the register is 64 bits
};

[[nodiscard]] constexpr unsigned exception_class(std::uint64_t esr) {
  return static_cast<unsigned>(esr >> 26) & 0x3f;
}

/// ESR_EL2.IL: not one of Thumb's short instructions. Where an abort's syndrome does not describe
/// the access (ISV), it is set whatever the length.
[[nodiscard]] constexpr bool is_32_bit_instruction(std::uint64_t esr) {
  return (esr >> 25 & 1) != 0;
}

/// Traps of AArch32 that have CV and COND: WFx, MCR and the like to CP14 and CP15, floating point,
/// to an absent coprocessor (ISS encodings of DDI 0487 D24.2.40).
[[nodiscard]] constexpr bool has_condition(std::uint64_t esr) {
  const unsigned ec = exception_class(esr);
  return ec == 0x01 || (ec >= 0x03 && ec <= 0x08) || ec == 0x0c;
}

[[nodiscard]] constexpr std::optional<Access> decode_access(std::uint64_t esr) {
  if ((esr >> 24 & 1) == 0) return std::nullopt;
  return Access{1U << (esr >> 22 & 3), static_cast<unsigned>(esr >> 16 & 0x1f), (esr >> 6 & 1) != 0,
                (esr >> 21 & 1) != 0, (esr >> 15 & 1) != 0};
}

/// The value as the load instruction leaves it in its register.
[[nodiscard]] constexpr std::uint64_t extend(const Access& access, std::uint64_t value) {
  if (!access.sign_extend || access.size == 8) return value;
  const unsigned shift = 64 - 8 * access.size;
  const auto extended =
      static_cast<std::uint64_t>(static_cast<std::int64_t>(value << shift) >> shift);
  return access.wide ? extended : extended & 0xffff'ffff;
}

/// True for translation and access-flag faults of any level, for which HPFAR_EL2 holds the address.
/// What is left is a mapped address used in a way that it does not allow: making the access again
/// would fault for ever.
[[nodiscard]] constexpr bool is_missing_translation(std::uint64_t esr) {
  const std::uint64_t kind = esr & 0x3c;
  return kind == 0x04 || kind == 0x08;
}

/// The access was the guest's page-table walk: no instruction's, and not at its address.
[[nodiscard]] constexpr bool is_table_walk(std::uint64_t esr) {
  return (esr >> 7 & 1) != 0;  // S1PTW
}

/// The access was a cache maintenance by address.
[[nodiscard]] constexpr bool is_cache_maintenance(std::uint64_t esr) {
  return (esr >> 8 & 1) != 0;  // CM
}

struct SystemRegisterAccess {
  unsigned op0, op1, crn, crm, op2, reg;
  bool read;
};

[[nodiscard]] constexpr SystemRegisterAccess decode_system_register(std::uint64_t esr) {
  const auto bits = [esr](unsigned low, unsigned mask) {
    return static_cast<unsigned>(esr >> low) & mask;
  };
  return {bits(20, 3), bits(14, 7), bits(10, 15),  bits(1, 15),
          bits(17, 7), bits(5, 31), (esr & 1) != 0};
}

/// A write of the register with this name, without taking the syndrome apart.
[[nodiscard]] constexpr bool is_write_of(std::uint64_t esr, unsigned op0, unsigned op1,
                                         unsigned crn, unsigned crm, unsigned op2) {
  constexpr std::uint64_t kAllButRegister = 0x3f'fc1f;
  return (esr & kAllButRegister) == (op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1);
}

/// IPA of a stage-2 fault: HPFAR_EL2 has the page, FAR_EL2 the offset.
[[nodiscard]] constexpr Gpa fault_address(std::uint64_t hpfar, std::uint64_t far) {
  return Gpa((hpfar & 0x0000'0fff'ffff'fff0) << 8 | (far & 0xfff));
}

}  // namespace penstock::arch
