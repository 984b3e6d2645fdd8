// Distributor and redistributor registers of a GICv3 with affinity routing: Arm GIC Architecture
// Specification, IHI 0069 H, 12.9 and 12.11. Offsets in bytes from the start of a 64 KiB frame.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::gic {

inline constexpr std::uint64_t kFrameBytes = 0x1'0000;
/// One redistributor: RD_base frame, then SGI_base frame (12.10).
inline constexpr std::uint64_t kRedistributorBytes = 2 * kFrameBytes;

/// GICD_PIDR2 and the same register of every other frame: ArchRev in 7:4, 3 for GICv3 (12.9.31).
inline constexpr std::uint64_t kPidr2 = 0xffe8;
inline constexpr std::uint32_t kPidr2Gicv3 = 0x3b;
/// Implementer of Arm, everything else zero: no erratum of any product is keyed on it.
inline constexpr std::uint32_t kIidrArm = 0x43b;

// clang-format off
// Arrays at the same offsets in the distributor and in SGI_base. Bit arrays have one 32-bit register for 32 interrupts.
inline constexpr std::uint64_t kIgroupr    = 0x0080;
inline constexpr std::uint64_t kIsenabler  = 0x0100;
inline constexpr std::uint64_t kIcenabler  = 0x0180;
inline constexpr std::uint64_t kIspendr    = 0x0200;
inline constexpr std::uint64_t kIcpendr    = 0x0280;
inline constexpr std::uint64_t kIsactiver  = 0x0300;
inline constexpr std::uint64_t kIcactiver  = 0x0380;
inline constexpr std::uint64_t kIpriorityr = 0x0400;  // one byte for each interrupt
inline constexpr std::uint64_t kIcfgr      = 0x0c00;  // two bits for each interrupt
inline constexpr std::uint64_t kBitArrayBytes = 0x80;

namespace gicd {
inline constexpr std::uint64_t kCtlr    = 0x0000;
inline constexpr std::uint64_t kTyper   = 0x0004;
inline constexpr std::uint64_t kIidr    = 0x0008;
inline constexpr std::uint64_t kIrouter = 0x6000;  // 64 bits for each interrupt, from 32 on

// GICD_CTLR with one security state, DS = 1 (12.9.4)
using EnableGrp0 = Field< 0,  0>;
using EnableGrp1 = Field< 1,  1>;
using CtlrRes0A  = Field< 3,  2>;
using Are        = Field< 4,  4>;
using CtlrRes0B  = Field< 5,  5>;
using Ds         = Field< 6,  6>;
using E1nwf      = Field< 7,  7>;
using NassgiReq  = Field< 8,  8>;
using CtlrRes0C  = Field<30,  9>;
using Rwp        = Field<31, 31>;
static_assert(covers_exactly<32, EnableGrp0, EnableGrp1, CtlrRes0A, Are, CtlrRes0B, Ds, E1nwf, NassgiReq, CtlrRes0C,
                             Rwp>());

// GICD_TYPER (12.9.38)
using ItLinesNumber = Field< 4,  0>;
using CpuNumber     = Field< 7,  5>;
using Espi          = Field< 8,  8>;
using Nmi           = Field< 9,  9>;
using SecurityExtn  = Field<10, 10>;
using NumLpis       = Field<15, 11>;  // 2^(n + 1) LPIs; 0: as IDbits says
using Mbis          = Field<16, 16>;
using Lpis          = Field<17, 17>;
using Dvis          = Field<18, 18>;
using IdBits        = Field<23, 19>;  // INTID bits - 1
using A3v           = Field<24, 24>;
using No1n          = Field<25, 25>;
using Rss           = Field<26, 26>;
using EspiRange     = Field<31, 27>;
static_assert(covers_exactly<32, ItLinesNumber, CpuNumber, Espi, Nmi, SecurityExtn, NumLpis, Mbis, Lpis, Dvis, IdBits,
                             A3v, No1n, Rss, EspiRange>());

// GICD_IROUTER<n> (12.9.22)
using RouteAff012 = Field<23,  0>;
using RouteRes0A  = Field<30, 24>;
using RouteIrm    = Field<31, 31>;
using RouteAff3   = Field<39, 32>;
using RouteRes0B  = Field<63, 40>;
static_assert(covers_exactly<64, RouteAff012, RouteRes0A, RouteIrm, RouteAff3, RouteRes0B>());
}  // namespace gicd

namespace gicr {
// RD_base
inline constexpr std::uint64_t kCtlr      = 0x0000;
inline constexpr std::uint64_t kIidr      = 0x0004;
inline constexpr std::uint64_t kTyper     = 0x0008;  // 64 bits
inline constexpr std::uint64_t kWaker     = 0x0014;
inline constexpr std::uint64_t kPropbaser = 0x0070;  // 64 bits
inline constexpr std::uint64_t kPendbaser = 0x0078;  // 64 bits

// GICR_CTLR (12.11.2)
using EnableLpis = Field< 0,  0>;
using Ces        = Field< 1,  1>;  // EnableLPIs can be cleared again
using Ir         = Field< 2,  2>;
using Rwp        = Field< 3,  3>;
using CtlrRes0A  = Field<23,  4>;
using Dpg        = Field<26, 24>;
using CtlrRes0B  = Field<30, 27>;
using Uwp        = Field<31, 31>;
static_assert(covers_exactly<32, EnableLpis, Ces, Ir, Rwp, CtlrRes0A, Dpg, CtlrRes0B, Uwp>());

// GICR_TYPER (12.11.37)
using Plpis           = Field< 0,  0>;
using Vlpis           = Field< 1,  1>;
using Dirty           = Field< 2,  2>;
using DirectLpi       = Field< 3,  3>;
using Last            = Field< 4,  4>;
using Dpgs            = Field< 5,  5>;
using Mpam            = Field< 6,  6>;
using Rvpeid          = Field< 7,  7>;
using ProcessorNumber = Field<23,  8>;
using CommonLpiAff    = Field<25, 24>;
using Vsgi            = Field<26, 26>;
using PpiNum          = Field<31, 27>;
using Affinity        = Field<63, 32>;  // Aff3.Aff2.Aff1.Aff0
static_assert(covers_exactly<64, Plpis, Vlpis, Dirty, DirectLpi, Last, Dpgs, Mpam, Rvpeid, ProcessorNumber,
                             CommonLpiAff, Vsgi, PpiNum, Affinity>());

// GICR_WAKER (12.11.42)
using WakerImplA     = Field< 0,  0>;
using ProcessorSleep = Field< 1,  1>;
using ChildrenAsleep = Field< 2,  2>;
using WakerRes0      = Field<30,  3>;
using WakerImplB     = Field<31, 31>;
static_assert(covers_exactly<32, WakerImplA, ProcessorSleep, ChildrenAsleep, WakerRes0, WakerImplB>());

// GICR_PROPBASER (12.11.28)
using PropIdBits       = Field< 4,  0>;  // INTID bits - 1 that the table covers
using PropRes0A        = Field< 6,  5>;
using PropInnerCache   = Field< 9,  7>;
using PropShareability = Field<11, 10>;
using PropAddress      = Field<51, 12>;  // bits 51:12 of the table's address
using PropRes0B        = Field<55, 52>;
using PropOuterCache   = Field<58, 56>;
using PropRes0C        = Field<63, 59>;
static_assert(covers_exactly<64, PropIdBits, PropRes0A, PropInnerCache, PropShareability, PropAddress, PropRes0B,
                             PropOuterCache, PropRes0C>());

// GICR_PENDBASER (12.11.27)
using PendRes0A        = Field< 6,  0>;
using PendInnerCache   = Field< 9,  7>;
using PendShareability = Field<11, 10>;
using PendRes0B        = Field<15, 12>;
using PendAddress      = Field<51, 16>;  // bits 51:16 of the table's address
using PendRes0C        = Field<55, 52>;
using PendOuterCache   = Field<58, 56>;
using PendRes0D        = Field<61, 59>;
using PendZero         = Field<62, 62>;  // PTZ: the table holds zeros; reads 0
using PendRes0E        = Field<63, 63>;
static_assert(covers_exactly<64, PendRes0A, PendInnerCache, PendShareability, PendRes0B, PendAddress, PendRes0C,
                             PendOuterCache, PendRes0D, PendZero, PendRes0E>());
}  // namespace gicr

// One byte of the LPI configuration table (5.1.1)
namespace lpi_config {
using Enable   = Field<0, 0>;
using Res1     = Field<1, 1>;
using Priority = Field<7, 2>;  // bits 7:2 of the priority
static_assert(covers_exactly<8, Enable, Res1, Priority>());
}  // namespace lpi_config
// clang-format on

}  // namespace penstock::hw::gic
