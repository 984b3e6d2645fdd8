// VMSAv8-64 stage-2 descriptors and VTCR_EL2 (Arm ARM DDI 0487, D8.3 "Translation table descriptor
// formats", D17.2.158). Without FEAT_S2FWB, FEAT_LPA2 and hardware dirty state.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::mem::stage2 {

// clang-format off
// Leaf: a block at level 1 (1 GiB) or 2 (2 MiB), a page at level 3.
using Valid     = Field< 0,  0>;
using NotBlock  = Field< 1,  1>;  // 1: table (levels 1, 2) or page (level 3)
using MemAttr   = Field< 5,  2>;
using CanRead   = Field< 6,  6>;  // S2AP[0]
using CanWrite  = Field< 7,  7>;  // S2AP[1]
using Sh        = Field< 9,  8>;
using AccessFlag= Field<10, 10>;
using LeafRes11 = Field<11, 11>;
using Output    = Field<47, 12>;
using LeafRes48 = Field<50, 48>;
using Dirty     = Field<51, 51>;
using Contiguous= Field<52, 52>;
using XnPriv    = Field<53, 53>;  // XN[0], FEAT_XNX
using NoExec    = Field<54, 54>;  // XN[1]
using Software  = Field<58, 55>;
using Ignored   = Field<63, 59>;
static_assert(covers_exactly<64, Valid, NotBlock, MemAttr, CanRead, CanWrite, Sh, AccessFlag, LeafRes11, Output,
                             LeafRes48, Dirty, Contiguous, XnPriv, NoExec, Software, Ignored>());

inline constexpr std::uint64_t kMemAttrNormalWriteBack = 0b1111;
inline constexpr std::uint64_t kMemAttrDeviceNGnRE     = 0b0001;
inline constexpr std::uint64_t kInnerShareable         = 0b11;

// VTCR_EL2
namespace vtcr {
using T0SZ  = Field< 5,  0>;
using SL0   = Field< 7,  6>;
using IRGN0 = Field< 9,  8>;
using ORGN0 = Field<11, 10>;
using SH0   = Field<13, 12>;
using TG0   = Field<15, 14>;
using PS    = Field<18, 16>;
using VS    = Field<19, 19>;
using Res20 = Field<20, 20>;
using HA    = Field<21, 21>;
using HD    = Field<22, 22>;
using Res23 = Field<24, 23>;
using HWU   = Field<28, 25>;
using NSW   = Field<30, 29>;
using Res1  = Field<31, 31>;
using High  = Field<63, 32>;
static_assert(covers_exactly<64, T0SZ, SL0, IRGN0, ORGN0, SH0, TG0, PS, VS, Res20, HA, HD, Res23, HWU, NSW, Res1,
                             High>());
}  // namespace vtcr
// clang-format on

inline constexpr unsigned kT0Sz = 64 - 40;  // 40-bit input addresses
inline constexpr unsigned kSl0 =
    1;  // start at level 1, which with 40 bits means two concatenated tables
inline constexpr unsigned kLevels = 3;  // levels 1, 2, 3
inline constexpr std::uint64_t kEntries = 512;
inline constexpr std::uint64_t kRootEntries = 2 * kEntries;

/// log2 of the bytes that one entry of `level` (1..3) covers.
[[nodiscard]] constexpr unsigned shift(unsigned level) {
  return 39 - 9 * level;
}
[[nodiscard]] constexpr std::uint64_t span(unsigned level) {
  return std::uint64_t{1} << shift(level);
}

[[nodiscard]] constexpr bool is_valid(std::uint64_t descriptor) {
  return get<Valid>(descriptor) != 0;
}
[[nodiscard]] constexpr bool is_table(std::uint64_t descriptor, unsigned level) {
  return level < kLevels && is_valid(descriptor) && get<NotBlock>(descriptor) != 0;
}

/// VTCR_EL2 for a table of this layout. `pa_range` is ID_AA64MMFR0_EL1.PARange (2 is 40 bits, at
/// least that is needed); `vmid16` where ID_AA64MMFR1_EL1.VMIDBits says so.
[[nodiscard]] constexpr std::uint64_t vtcr_el2(unsigned pa_range, bool vmid16) {
  std::uint64_t value = with<vtcr::Res1>(0, 1);
  value = with<vtcr::T0SZ>(value, kT0Sz);
  value = with<vtcr::SL0>(value, kSl0);
  value = with<vtcr::IRGN0>(value, 0b01);  // walks are write-back, read- and write-allocate
  value = with<vtcr::ORGN0>(value, 0b01);
  value = with<vtcr::SH0>(value, kInnerShareable);
  value = with<vtcr::TG0>(value, 0b00);  // 4 KiB
  value =
      with<vtcr::PS>(value, pa_range > 5 ? 5 : pa_range);  // 48 bits are the most that we output
  return with<vtcr::VS>(value, vmid16 ? 1 : 0);
}

}  // namespace penstock::mem::stage2
