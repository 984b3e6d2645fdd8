#include "core/vm/exception_entry.hpp"

#include "core/base/bits.hpp"

namespace penstock::vm {
namespace {

// SPSR_ELx, exception taken from AArch64 state (DDI 0487 C5.2.18); the fields that are used here of
// an exception taken from AArch32 state are in the same places.
// clang-format off
using Nzcv    = Field<31, 28>;
using Tco     = Field<25, 25>;
using Dit     = Field<24, 24>;
using Pan     = Field<22, 22>;
using AllInt  = Field<13, 13>;
using Ssbs    = Field<12, 12>;
using Daif    = Field< 9,  6>;
using Aarch32 = Field< 4,  4>;
using El      = Field< 3,  2>;  // AArch64 state only
using SpSel   = Field< 0,  0>;  // AArch64 state only
using Mode    = Field< 4,  0>;

// SCTLR_EL1 (DDI 0487 D19.2.122).
using SpIntMask = Field<62, 62>;
using Dssbs     = Field<44, 44>;
using Span      = Field<23, 23>;

// ESR_ELx of an abort (DDI 0487 D19.2.37).
using Class      = Field<31, 26>;
using Long       = Field<25, 25>;  // IL: a 32-bit instruction
using CacheOp    = Field< 8,  8>;  // CM, data aborts only
using Write      = Field< 6,  6>;  // WnR, data aborts only
using StatusCode = Field< 5,  0>;
// clang-format on

constexpr std::uint64_t kEl1h = 0x5;
constexpr std::uint64_t kAllMasked = 0xf;
constexpr std::uint64_t kDataAbort = 0x24;  // from a lower EL; one more: from the same
constexpr std::uint64_t kExternalAbort = 0x10;
constexpr std::uint64_t kAlignmentFault = 0x21;

bool is_from_el1(std::uint64_t pstate) {
  return get<Aarch32>(pstate) == 0 && get<El>(pstate) == 1;
}

std::uint64_t vector_offset(std::uint64_t pstate) {
  if (is_from_el1(pstate)) return get<SpSel>(pstate) == 0 ? 0x000 : 0x200;
  return get<Aarch32>(pstate) == 0 ? 0x400 : 0x600;
}

}  // namespace

ExceptionEntry take_to_el1(std::uint64_t pstate, std::uint64_t sctlr,
                           const PstateFeatures& features) {
  // SS, IL, UAO and BTYPE become 0; flags and DIT stay; PAN stays unless SPAN asks for it.
  std::uint64_t taken = pstate & (Nzcv::kMask | Dit::kMask | Pan::kMask);
  taken = with<Mode>(taken, kEl1h);
  taken = with<Daif>(taken, kAllMasked);
  if (features.pan && get<Span>(sctlr) == 0) taken = with<Pan>(taken, 1);
  if (features.ssbs) taken = with<Ssbs>(taken, get<Dssbs>(sctlr));
  if (features.mte) taken = with<Tco>(taken, 1);
  if (features.nmi) taken = with<AllInt>(taken, 1 - get<SpIntMask>(sctlr));
  return {taken, vector_offset(pstate)};
}

std::uint64_t abort_syndrome(std::uint64_t esr, std::uint64_t pstate) {
  const bool alignment = get<StatusCode>(esr) == kAlignmentFault;
  std::uint64_t syndrome = esr & Long::kMask;
  syndrome = with<Class>(syndrome, get<Class>(esr) | (is_from_el1(pstate) ? 1 : 0));
  if (get<Class>(esr) == kDataAbort) syndrome |= esr & (CacheOp::kMask | Write::kMask);
  return with<StatusCode>(syndrome, alignment ? kAlignmentFault : kExternalAbort);
}

}  // namespace penstock::vm
