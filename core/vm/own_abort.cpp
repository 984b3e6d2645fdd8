#include "core/vm/own_abort.hpp"

namespace penstock::vm {
namespace {

bool is_plain_access(std::uint32_t instruction) {
  if ((instruction & 0x3c00'0000) != 0x3800'0000) return false;  // integer, single register
  const bool scaled_offset = (instruction >> 24 & 1) != 0;
  const bool register_offset = (instruction & 0x0120'0c00) == 0x0020'0800;
  const bool unscaled_offset = (instruction & 0x0120'0c00) == 0;
  return scaled_offset || register_offset || unscaled_offset;
}

}  // namespace

bool is_own_external_abort(std::uint64_t esr) {
  constexpr unsigned kDataAbortSameEl = 0x25;
  constexpr unsigned kSynchronousExternal = 0x10;
  return (esr >> 26 & 0x3f) == kDataAbortSameEl && (esr & 0x3f) == kSynchronousExternal;
}

bool is_own_state(std::uint64_t spsr) {
  constexpr unsigned kEl2WithSpEl2 = 9;
  return (spsr & 0x1f) == kEl2WithSpEl2;
}

bool is_survivable_error(std::uint64_t esr) {
  const bool implementation_defined = (esr >> 24 & 1) != 0;  // IDS
  const bool has_severity = !implementation_defined && (esr & 0x3f) == 0x11;
  constexpr unsigned kUnrecoverable = 1;  // and 0: uncontainable
  return !has_severity || (esr >> 10 & 7) > kUnrecoverable;
}

std::optional<ForgivenAccess> forgive_access(std::uint32_t instruction) {
  if (!is_plain_access(instruction)) return std::nullopt;
  const unsigned size = 1U << (instruction >> 30);
  const unsigned kind = instruction >> 22 & 3;
  if (kind == 0) return ForgivenAccess{};
  if (size == 8 && kind != 1) return std::nullopt;  // a prefetch, or nothing
  if (size == 4 && kind == 3) return std::nullopt;
  const bool sign_extended_64 = kind == 2;
  const bool sign_extended_32 = kind == 3;
  const unsigned bits = sign_extended_64 ? 64 : sign_extended_32 ? 32 : 8 * size;
  return ForgivenAccess{true, instruction & 31, bits == 64 ? ~0ULL : (1ULL << bits) - 1};
}

}  // namespace penstock::vm
