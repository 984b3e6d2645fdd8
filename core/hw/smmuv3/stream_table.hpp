// Arm SMMUv3 stream table: level-1 descriptors and stream table entries (IHI 0070, 5.1 and 5.2), as
// 64-bit words. Fields that only exist for Secure state, MPAM, or stage 1 with PASIDs beyond the
// context pointer are reserved here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::smmuv3 {

inline constexpr std::size_t kSteWords = 8;
inline constexpr std::size_t kSteBytes = 64;
inline constexpr std::size_t kL1DescriptorBytes = 8;

enum class SteConfig : std::uint8_t {
  kAbort = 0b000,   // abort, no event
  kBypass = 0b100,  // no translation
  kStage1 = 0b101,
  kStage2 = 0b110,
  kNested = 0b111,  // stage 1, then stage 2
};

/// What the owner of stage 1 wants of a stream, whoever has stage 2.
enum class Stage1Mode : std::uint8_t {
  kBypass,     // stage 2 alone
  kAbort,      // aborts silently
  kInvalid,    // no valid entry: aborts, and the event says so
  kTranslate,  // through its own context descriptors
};

/// The share of an entry that belongs to the owner of stage 1.
struct Stage1 {
  Stage1Mode mode = Stage1Mode::kBypass;
  std::uint64_t word0 = 0;  // within kStage1Word0; 0 unless kTranslate
  std::uint64_t word1 = 0;  // within kStage1Word1; 0 unless kTranslate
  friend constexpr bool operator==(const Stage1&, const Stage1&) = default;
};

// clang-format off
namespace l1std {
using Span  = Field< 4,  0>;  // 0: no streams here; n: the level-2 table has 2^(n-1) entries
using Res5  = Field< 5,  5>;
using L2Ptr = Field<55,  6>;  // address bits; aligned to the level-2 table's size
using Res56 = Field<63, 56>;
static_assert(covers_exactly<64, Span, Res5, L2Ptr, Res56>());
}  // namespace l1std

namespace ste0 {
using V            = Field< 0,  0>;
using Config       = Field< 3,  1, SteConfig>;
using S1Fmt        = Field< 5,  4>;
using S1ContextPtr = Field<55,  6>;
using Res56        = Field<58, 56>;
using S1CDMax      = Field<63, 59>;
static_assert(covers_exactly<64, V, Config, S1Fmt, S1ContextPtr, Res56, S1CDMax>());
}  // namespace ste0

namespace ste1 {
using S1DSS    = Field< 1,  0>;
using S1CIR    = Field< 3,  2>;
using S1COR    = Field< 5,  4>;
using S1CSH    = Field< 7,  6>;
using S2HWU    = Field<11,  8>;
using DRE      = Field<12, 12>;
using CONT     = Field<16, 13>;
using DCP      = Field<17, 17>;
using PPAR     = Field<18, 18>;
using MEV      = Field<19, 19>;  // similar events may be merged
using SwRes    = Field<23, 20>;
using Res24    = Field<24, 24>;
using S2FWB    = Field<25, 25>;
using S1MPAM   = Field<26, 26>;
using S1STALLD = Field<27, 27>;
using EATS     = Field<29, 28>;
using STRW     = Field<31, 30>;
using MemAttr  = Field<35, 32>;
using MTCFG    = Field<36, 36>;
using ALLOCCFG = Field<40, 37>;
using Res41    = Field<43, 41>;
using SHCFG    = Field<45, 44>;  // 1: as incoming
using NSCFG    = Field<47, 46>;
using PRIVCFG  = Field<49, 48>;
using INSTCFG  = Field<51, 50>;
using Res52    = Field<63, 52>;
static_assert(covers_exactly<64, S1DSS, S1CIR, S1COR, S1CSH, S2HWU, DRE, CONT, DCP, PPAR, MEV, SwRes, Res24, S2FWB,
                             S1MPAM, S1STALLD, EATS, STRW, MemAttr, MTCFG, ALLOCCFG, Res41, SHCFG, NSCFG, PRIVCFG,
                             INSTCFG, Res52>());
inline constexpr std::uint64_t kShareIncoming = 1;
}  // namespace ste1

namespace ste2 {
using S2VMID = Field<15,  0>;
using ImpDef = Field<31, 16>;
using S2T0SZ = Field<37, 32>;
using S2SL0  = Field<39, 38>;
using S2IR0  = Field<41, 40>;
using S2OR0  = Field<43, 42>;
using S2SH0  = Field<45, 44>;
using S2TG   = Field<47, 46>;
using S2PS   = Field<50, 48>;
using S2AA64 = Field<51, 51>;
using S2ENDI = Field<52, 52>;
using S2AFFD = Field<53, 53>;  // Access flag faults disabled
using S2PTW  = Field<54, 54>;  // stage 1 walks through Device memory fault
using S2HD   = Field<55, 55>;
using S2HA   = Field<56, 56>;
using S2S    = Field<57, 57>;  // stall on fault
using S2R    = Field<58, 58>;  // record faults
using Res59  = Field<63, 59>;
static_assert(covers_exactly<64, S2VMID, ImpDef, S2T0SZ, S2SL0, S2IR0, S2OR0, S2SH0, S2TG, S2PS, S2AA64, S2ENDI,
                             S2AFFD, S2PTW, S2HD, S2HA, S2S, S2R, Res59>());
}  // namespace ste2

namespace ste3 {
using Res0  = Field< 3,  0>;
using S2TTB = Field<55,  4>;
using Res56 = Field<63, 56>;
static_assert(covers_exactly<64, Res0, S2TTB, Res56>());
}  // namespace ste3
// clang-format on

/// Fields of a stage 1 without ATS and stalls: where its context descriptors are and how they are
/// fetched.
inline constexpr std::uint64_t kStage1Word0 =
    ste0::S1Fmt::kMask | ste0::S1ContextPtr::kMask | ste0::S1CDMax::kMask;
inline constexpr std::uint64_t kStage1Word1 =
    ste1::S1DSS::kMask | ste1::S1CIR::kMask | ste1::S1COR::kMask | ste1::S1CSH::kMask;

}  // namespace penstock::hw::smmuv3
