// Registers and commands of an Interrupt Translation Service: Arm GIC Architecture Specification,
// IHI 0069 H, 5.3 and 12.19. Offsets in bytes from the control frame; the translation frame follows
// at 64 KiB.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::gic {

// clang-format off
namespace gits {
inline constexpr std::uint64_t kCtlr       = 0x0000;
inline constexpr std::uint64_t kIidr       = 0x0004;
inline constexpr std::uint64_t kTyper      = 0x0008;  // 64 bits
inline constexpr std::uint64_t kCbaser     = 0x0080;  // 64 bits
inline constexpr std::uint64_t kCwriter    = 0x0088;  // 64 bits
inline constexpr std::uint64_t kCreadr     = 0x0090;  // 64 bits
inline constexpr std::uint64_t kBaser      = 0x0100;  // 8 registers of 64 bits
inline constexpr std::uint64_t kTranslater = 0x1'0040;

// GITS_CTLR (12.19.4)
using Enabled     = Field< 0,  0>;
using ImDe        = Field< 1,  1>;
using CtlrRes0A   = Field< 3,  2>;
using ItsNumber   = Field< 7,  4>;
using Umsi        = Field< 8,  8>;
using CtlrRes0B   = Field<30,  9>;
using Quiescent   = Field<31, 31>;
static_assert(covers_exactly<32, Enabled, ImDe, CtlrRes0A, ItsNumber, Umsi, CtlrRes0B, Quiescent>());

// GITS_TYPER (12.19.13)
using Physical     = Field< 0,  0>;
using Virtual      = Field< 1,  1>;
using Cct          = Field< 2,  2>;
using TyperImpl    = Field< 3,  3>;
using IttEntrySize = Field< 7,  4>;  // bytes - 1
using IdBits       = Field<12,  8>;  // EventID bits - 1
using DevBits      = Field<17, 13>;  // DeviceID bits - 1
using Seis         = Field<18, 18>;
using Pta          = Field<19, 19>;  // 0: RDbase is GICR_TYPER.Processor_Number
using TyperRes0A   = Field<23, 20>;
using Hcc          = Field<31, 24>;
using CidBits      = Field<35, 32>;  // collection ID bits - 1, if CIL
using Cil          = Field<36, 36>;
using TyperGicv4   = Field<42, 37>;  // VMOVP, MPAM, VSGI, VMAPP, SVPET
using Nid          = Field<43, 43>;
using UmsiReports  = Field<44, 44>;
using UmsiIrq      = Field<45, 45>;
using Inv          = Field<46, 46>;
using TyperRes0B   = Field<63, 47>;
static_assert(covers_exactly<64, Physical, Virtual, Cct, TyperImpl, IttEntrySize, IdBits, DevBits, Seis, Pta,
                             TyperRes0A, Hcc, CidBits, Cil, TyperGicv4, Nid, UmsiReports, UmsiIrq, Inv, TyperRes0B>());

// GITS_CBASER (12.19.2)
using CbSize         = Field< 7,  0>;  // 4 KiB pages - 1
using CbRes0A        = Field< 9,  8>;
using CbShareability = Field<11, 10>;
using CbAddress      = Field<51, 12>;  // bits 51:12
using CbRes0B        = Field<52, 52>;
using CbOuterCache   = Field<55, 53>;
using CbRes0C        = Field<58, 56>;
using CbInnerCache   = Field<61, 59>;
using CbRes0D        = Field<62, 62>;
using CbValid        = Field<63, 63>;
static_assert(covers_exactly<64, CbSize, CbRes0A, CbShareability, CbAddress, CbRes0B, CbOuterCache, CbRes0C,
                             CbInnerCache, CbRes0D, CbValid>());

// GITS_CWRITER and GITS_CREADR (12.19.3, 12.19.5): bit 0 is Retry or Stalled
using QueueOffset = Field<19,  5>;     // in commands

// GITS_BASER<n> (12.19.1)
using BaSize         = Field< 7,  0>;  // pages - 1
using BaPageSize     = Field< 9,  8>;  // 0 4 KiB, 1 16 KiB, 2 64 KiB
using BaShareability = Field<11, 10>;
using BaAddress      = Field<47, 12>;
using BaEntrySize    = Field<52, 48>;  // bytes - 1
using BaOuterCache   = Field<55, 53>;
using BaType         = Field<58, 56>;
using BaInnerCache   = Field<61, 59>;
using BaIndirect     = Field<62, 62>;
using BaValid        = Field<63, 63>;
static_assert(covers_exactly<64, BaSize, BaPageSize, BaShareability, BaAddress, BaEntrySize, BaOuterCache, BaType,
                             BaInnerCache, BaIndirect, BaValid>());
inline constexpr std::uint64_t kTypeDevices = 1;
inline constexpr std::uint64_t kTypeCollections = 4;
}  // namespace gits

// Commands are four 64-bit words (5.3); words and bits below are of the fields that the physical commands use.
namespace its_command {
inline constexpr std::uint64_t kBytes = 32;

enum class Opcode : std::uint8_t {
  kMovi    = 0x01,
  kInt     = 0x03,
  kClear   = 0x04,
  kSync    = 0x05,
  kMapd    = 0x08,
  kMapc    = 0x09,
  kMapti   = 0x0a,
  kMapi    = 0x0b,
  kInv     = 0x0c,
  kInvall  = 0x0d,
  kMovall  = 0x0e,
  kDiscard = 0x0f,
};

namespace word0 { using Code = Field<7, 0>;  using DeviceId = Field<63, 32>; }
namespace word1 { using EventId = Field<31, 0>;  using PIntId = Field<63, 32>;  using Size = Field<4, 0>; }
namespace word2 {
using CollectionId = Field<15, 0>;
using RdBase = Field<51, 16>;      // PTA = 0: the processor number
using IttAddress = Field<51, 8>;   // bits 51:8
using Valid = Field<63, 63>;
}  // namespace word2
namespace word3 { using RdBase = Field<51, 16>; }
}  // namespace its_command
// clang-format on

}  // namespace penstock::hw::gic
