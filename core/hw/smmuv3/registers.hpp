// Arm SMMUv3 registers, Non-secure programming interface (IHI 0070, chapter 6 "Memory map and
// registers"). Page 0 lies at offset 0 of the window, page 1 at 0x10000. Registers are 32 bits wide
// unless their line says 64.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::smmuv3 {

// clang-format off
// Offset, access, meaning.
inline constexpr std::uint64_t kIdr0          = 0x0000;   // RO  what is implemented
inline constexpr std::uint64_t kIdr1          = 0x0004;   // RO  sizes
inline constexpr std::uint64_t kIdr2          = 0x0008;   // RO  virtual ATOS
inline constexpr std::uint64_t kIdr3          = 0x000c;   // RO  extensions
inline constexpr std::uint64_t kIdr4          = 0x0010;   // RO  implementation defined
inline constexpr std::uint64_t kIdr5          = 0x0014;   // RO  address sizes and granules
inline constexpr std::uint64_t kIidr          = 0x0018;   // RO  implementer
inline constexpr std::uint64_t kAidr          = 0x001c;   // RO  architecture version
inline constexpr std::uint64_t kCr0           = 0x0020;   // RW  enables
inline constexpr std::uint64_t kCr0Ack        = 0x0024;   // RO  enables that have taken effect
inline constexpr std::uint64_t kCr1           = 0x0028;   // RW  attributes of table and queue accesses
inline constexpr std::uint64_t kCr2           = 0x002c;   // RW  behaviour
inline constexpr std::uint64_t kStatusR       = 0x0040;   // RO  dormant state
inline constexpr std::uint64_t kGbpa          = 0x0044;   // RW  what happens to traffic while SMMUEN = 0
inline constexpr std::uint64_t kAgbpa         = 0x0048;   // RW  implementation defined
inline constexpr std::uint64_t kIrqCtrl       = 0x0050;   // RW  interrupt enables
inline constexpr std::uint64_t kIrqCtrlAck    = 0x0054;   // RO
inline constexpr std::uint64_t kGerror        = 0x0060;   // RO  global errors: active where it differs from GERRORN
inline constexpr std::uint64_t kGerrorN       = 0x0064;   // RW  acknowledgement
inline constexpr std::uint64_t kGerrorIrqCfg0 = 0x0068;   // RW  64  MSI address, 0: wired only
inline constexpr std::uint64_t kGerrorIrqCfg1 = 0x0070;   // RW  MSI data
inline constexpr std::uint64_t kGerrorIrqCfg2 = 0x0074;   // RW  MSI attributes
inline constexpr std::uint64_t kStrtabBase    = 0x0080;   // RW  64  stream table
inline constexpr std::uint64_t kStrtabBaseCfg = 0x0088;   // RW
inline constexpr std::uint64_t kCmdqBase      = 0x0090;   // RW  64  command queue
inline constexpr std::uint64_t kCmdqProd      = 0x0098;   // RW
inline constexpr std::uint64_t kCmdqCons      = 0x009c;   // RW
inline constexpr std::uint64_t kEventqBase    = 0x00a0;   // RW  64  event queue
inline constexpr std::uint64_t kEventqIrqCfg0 = 0x00b0;   // RW  64  MSI address, 0: wired only
inline constexpr std::uint64_t kEventqIrqCfg1 = 0x00b8;   // RW  MSI data
inline constexpr std::uint64_t kEventqIrqCfg2 = 0x00bc;   // RW  MSI attributes
inline constexpr std::uint64_t kEventqProd    = 0x100a8;  // RW  page 1
inline constexpr std::uint64_t kEventqCons    = 0x100ac;  // RW  page 1

namespace idr0 {
using S2P        = Field< 0,  0>;  // stage 2
using S1P        = Field< 1,  1>;  // stage 1
using TTF        = Field< 3,  2>;  // table formats: bit 0 AArch32, bit 1 AArch64
using COHACC     = Field< 4,  4>;  // table and queue accesses are coherent
using BTM        = Field< 5,  5>;  // broadcast TLB maintenance
using HTTU       = Field< 7,  6>;
using DORMHINT   = Field< 8,  8>;
using HYP        = Field< 9,  9>;  // EL2 contexts
using ATS        = Field<10, 10>;
using NS1ATS     = Field<11, 11>;
using ASID16     = Field<12, 12>;
using MSI        = Field<13, 13>;
using SEV        = Field<14, 14>;
using ATOS       = Field<15, 15>;
using PRI        = Field<16, 16>;
using VMW        = Field<17, 17>;
using VMID16     = Field<18, 18>;
using CD2L       = Field<19, 19>;
using VATOS      = Field<20, 20>;
using TTENDIAN   = Field<22, 21>;  // 0 mixed, 2 little, 3 big
using ATSRECERR  = Field<23, 23>;
using STALLMODEL = Field<25, 24>;
using TERMMODEL  = Field<26, 26>;
using STLEVEL    = Field<28, 27>;  // 0 linear stream table, 1 two-level as well
using Res29      = Field<31, 29>;
static_assert(covers_exactly<32, S2P, S1P, TTF, COHACC, BTM, HTTU, DORMHINT, HYP, ATS, NS1ATS, ASID16, MSI, SEV, ATOS,
                             PRI, VMW, VMID16, CD2L, VATOS, TTENDIAN, ATSRECERR, STALLMODEL, TERMMODEL, STLEVEL,
                             Res29>());
inline constexpr std::uint64_t kTtfAArch64 = 0b10;
inline constexpr std::uint64_t kStallChoice = 0;  // STALLMODEL: a context descriptor chooses
inline constexpr std::uint64_t kStallNever  = 1;
inline constexpr std::uint64_t kStallAlways = 2;
inline constexpr std::uint64_t kTwoLevel = 1;     // STLEVEL
}  // namespace idr0

namespace idr1 {
using SIDSIZE       = Field< 5,  0>;  // bits of a stream ID
using SSIDSIZE      = Field<10,  6>;
using PRIQS         = Field<15, 11>;
using EVENTQS       = Field<20, 16>;  // log2 of the most entries
using CMDQS         = Field<25, 21>;  // log2 of the most entries
using ATTRPERMSOVR  = Field<26, 26>;
using ATTRTYPESOVR  = Field<27, 27>;
using REL           = Field<28, 28>;
using QUEUESPRESET  = Field<29, 29>;
using TABLESPRESET  = Field<30, 30>;
using ECMDQ         = Field<31, 31>;
static_assert(covers_exactly<32, SIDSIZE, SSIDSIZE, PRIQS, EVENTQS, CMDQS, ATTRPERMSOVR, ATTRTYPESOVR, REL,
                             QUEUESPRESET, TABLESPRESET, ECMDQ>());
}  // namespace idr1

namespace idr3 {
using Res0  = Field< 1,  0>;
using HAD   = Field< 2,  2>;  // hierarchical attributes can be disabled
using Low   = Field< 9,  3>;
using RIL   = Field<10, 10>;  // range invalidation
using BBML  = Field<12, 11>;
using High  = Field<31, 13>;
static_assert(covers_exactly<32, Res0, HAD, Low, RIL, BBML, High>());
}  // namespace idr3

namespace idr5 {
using OAS      = Field< 2,  0>;  // output address size: 0..6 is 32, 36, 40, 42, 44, 48, 52 bits
using Res3     = Field< 3,  3>;
using GRAN4K   = Field< 4,  4>;
using GRAN16K  = Field< 5,  5>;
using GRAN64K  = Field< 6,  6>;
using Res7     = Field< 9,  7>;
using VAX      = Field<11, 10>;
using Res12    = Field<15, 12>;
using STALLMAX = Field<31, 16>;
static_assert(covers_exactly<32, OAS, Res3, GRAN4K, GRAN16K, GRAN64K, Res7, VAX, Res12, STALLMAX>());
inline constexpr std::uint64_t kOas40 = 2;
inline constexpr std::uint64_t kOas48 = 5;
}  // namespace idr5

namespace cr0 {
using SMMUEN   = Field< 0,  0>;
using PRIQEN   = Field< 1,  1>;
using EVENTQEN = Field< 2,  2>;
using CMDQEN   = Field< 3,  3>;
using ATSCHK   = Field< 4,  4>;
using Res5     = Field< 5,  5>;
using VMW      = Field< 8,  6>;
using Res9     = Field<31,  9>;
static_assert(covers_exactly<32, SMMUEN, PRIQEN, EVENTQEN, CMDQEN, ATSCHK, Res5, VMW, Res9>());
}  // namespace cr0

namespace cr1 {
using QUEUE_IC = Field< 1,  0>;  // inner cacheability: 0 non-cacheable, 1 write-back
using QUEUE_OC = Field< 3,  2>;
using QUEUE_SH = Field< 5,  4>;  // shareability: 2 outer, 3 inner
using TABLE_IC = Field< 7,  6>;
using TABLE_OC = Field< 9,  8>;
using TABLE_SH = Field<11, 10>;
using Res12    = Field<31, 12>;
static_assert(covers_exactly<32, QUEUE_IC, QUEUE_OC, QUEUE_SH, TABLE_IC, TABLE_OC, TABLE_SH, Res12>());
}  // namespace cr1

namespace irq_cfg0 {  // GERROR_IRQ_CFG0, EVENTQ_IRQ_CFG0
using Res0  = Field< 1,  0>;
using ADDR  = Field<51,  2>;  // 0: the wired interrupt
using Res52 = Field<63, 52>;
static_assert(covers_exactly<64, Res0, ADDR, Res52>());
}  // namespace irq_cfg0

namespace cr2 {
using E2H       = Field< 0,  0>;
using RECINVSID = Field< 1,  1>;  // record C_BAD_STREAMID
using PTM       = Field< 2,  2>;  // take no part in broadcast TLB maintenance
using Res3      = Field<31,  3>;
static_assert(covers_exactly<32, E2H, RECINVSID, PTM, Res3>());
}  // namespace cr2

namespace gbpa {
using MemAttr  = Field< 3,  0>;
using MTCFG    = Field< 4,  4>;
using Res5     = Field< 7,  5>;
using ALLOCCFG = Field<11,  8>;
using SHCFG    = Field<13, 12>;  // 1: as incoming
using Res14    = Field<15, 14>;
using PRIVCFG  = Field<17, 16>;
using INSTCFG  = Field<19, 18>;
using ABORT    = Field<20, 20>;
using Res21    = Field<30, 21>;
using UPDATE   = Field<31, 31>;  // set to write the rest; clears when it has taken effect
static_assert(covers_exactly<32, MemAttr, MTCFG, Res5, ALLOCCFG, SHCFG, Res14, PRIVCFG, INSTCFG, ABORT, Res21,
                             UPDATE>());
}  // namespace gbpa

namespace irq_ctrl {
using GERROR_IRQEN = Field< 0,  0>;
using PRIQ_IRQEN   = Field< 1,  1>;
using EVENTQ_IRQEN = Field< 2,  2>;
using Res3         = Field<31,  3>;
static_assert(covers_exactly<32, GERROR_IRQEN, PRIQ_IRQEN, EVENTQ_IRQEN, Res3>());
}  // namespace irq_ctrl

namespace gerror {
using CMDQ_ERR            = Field< 0,  0>;
using Res1                = Field< 1,  1>;
using EVENTQ_ABT_ERR      = Field< 2,  2>;
using PRIQ_ABT_ERR        = Field< 3,  3>;
using MSI_CMDQ_ABT_ERR    = Field< 4,  4>;
using MSI_EVENTQ_ABT_ERR  = Field< 5,  5>;
using MSI_PRIQ_ABT_ERR    = Field< 6,  6>;
using MSI_GERROR_ABT_ERR  = Field< 7,  7>;
using SFM_ERR             = Field< 8,  8>;  // service failure mode
using CMDQP_ERR           = Field< 9,  9>;
using Res10               = Field<31, 10>;
static_assert(covers_exactly<32, CMDQ_ERR, Res1, EVENTQ_ABT_ERR, PRIQ_ABT_ERR, MSI_CMDQ_ABT_ERR, MSI_EVENTQ_ABT_ERR,
                             MSI_PRIQ_ABT_ERR, MSI_GERROR_ABT_ERR, SFM_ERR, CMDQP_ERR, Res10>());
}  // namespace gerror

namespace strtab_base {
using Res0  = Field< 5,  0>;
using ADDR  = Field<55,  6>;  // aligned to the size of the (level-1) table
using Res56 = Field<61, 56>;
using RA    = Field<62, 62>;
using Res63 = Field<63, 63>;
static_assert(covers_exactly<64, Res0, ADDR, Res56, RA, Res63>());
}  // namespace strtab_base

namespace strtab_base_cfg {
using LOG2SIZE = Field< 5,  0>;  // log2 of the number of streams covered
using SPLIT    = Field<10,  6>;  // bits of a stream ID that index a level-2 table: 6, 8 or 10
using Res11    = Field<15, 11>;
using FMT      = Field<17, 16>;  // 0 linear, 1 two-level
using Res18    = Field<31, 18>;
static_assert(covers_exactly<32, LOG2SIZE, SPLIT, Res11, FMT, Res18>());
}  // namespace strtab_base_cfg

namespace queue_base {  // CMDQ_BASE, EVENTQ_BASE
using LOG2SIZE = Field< 4,  0>;
using ADDR     = Field<55,  5>;  // aligned to the size of the queue
using Res56    = Field<61, 56>;
using HINT     = Field<62, 62>;  // CMDQ: read-allocate; EVENTQ: write-allocate
using Res63    = Field<63, 63>;
static_assert(covers_exactly<64, LOG2SIZE, ADDR, Res56, HINT, Res63>());
}  // namespace queue_base

namespace cmdq_cons {
using RD    = Field<19,  0>;
using Res20 = Field<23, 20>;
using ERR   = Field<30, 24>;
using Res31 = Field<31, 31>;
static_assert(covers_exactly<32, RD, Res20, ERR, Res31>());
inline constexpr std::uint64_t kErrNone = 0;     // CERROR_NONE
inline constexpr std::uint64_t kErrIllegal = 1;  // CERROR_ILL: the command at RD is not valid
inline constexpr std::uint64_t kErrAbort = 2;    // CERROR_ABT: fetching it failed
inline constexpr std::uint64_t kErrAtcSync = 3;  // CERROR_ATC_INV_SYNC
}  // namespace cmdq_cons

namespace eventq_index {  // EVENTQ_PROD and EVENTQ_CONS
using Index    = Field<19,  0>;
using Res20    = Field<30, 20>;
using Overflow = Field<31, 31>;  // PROD: OVFLG, CONS: OVACKFLG; overflow pending where they differ
static_assert(covers_exactly<32, Index, Res20, Overflow>());
}  // namespace eventq_index
// clang-format on

/// The identification registers as one SMMU shows them.
struct IdRegisters {
  std::uint32_t idr0 = 0;
  std::uint32_t idr1 = 0;
  std::uint32_t idr3 = 0;
  std::uint32_t idr5 = 0;
  std::uint32_t aidr = 0;
};

}  // namespace penstock::hw::smmuv3
