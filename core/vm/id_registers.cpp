#include "core/vm/id_registers.hpp"

#include <span>

namespace penstock::vm {
namespace {

enum class Rule : std::uint8_t {
  kUpTo,    // as it is, at most `limit`
  kSigned,  // the same; 8..15 mean "not implemented" and read as 15
  kOrNone,  // the same as kUpTo; 15 means "of the maker's own kind" and reads as 0, not implemented
};
using enum Rule;

/// One field of four bits.
struct Visible {
  unsigned low;
  Rule rule;
  unsigned limit;
};

// Fields that are not listed read as zero. What is left out for a reason is named in a comment at
// its place.
// clang-format off

//   low bit  rule    limit
// AArch64 (DDI 0487 D23.2.59 and after)
constexpr Visible kAa64Pfr0[] = {
    {  0, kUpTo,   2 },  // EL0: AArch64 and AArch32
    {  4, kUpTo,   1 },  // EL1: AArch64 only, HCR_EL2.RW is set; EL2, EL3: a guest finds nothing above
    { 16, kSigned, 1 },  // FP
    { 20, kSigned, 1 },  // AdvSIMD
    { 24, kUpTo,   1 },  // GIC: system registers of version 3; RAS: TERR traps the error records
    { 32, kUpTo,   1 },  // SVE: at the CPU's full length
    { 48, kUpTo,   1 },  // DIT; SEL2, MPAM and AMU trap, or are of another world; RME is EL3's
    { 56, kUpTo,   1 },  // CSV2: from 2 on it promises SCXTNUM_ELx, which trap (HCR_EL2.EnSCXT)
    { 60, kUpTo,   1 },  // CSV3
};
constexpr Visible kAa64Pfr1[] = {
    {  0, kUpTo,   1 },  // BT
    {  4, kUpTo,   2 },  // SSBS; MTE needs HCR_EL2.ATA; RAS_frac, MPAM_frac: as their features; SME traps
    { 32, kUpTo,   1 },  // CSV2_frac: from 2 on it promises SCXTNUM_ELx; NMI, GCS, THE need HCRX_EL2
};
constexpr Visible kAa64Zfr0[] = {
    {  0, kUpTo,   2 },  // SVEver: SVE2p1
    {  4, kUpTo,   2 },  // AES
    { 16, kUpTo,   1 },  // BitPerm
    { 20, kUpTo,   2 },  // BF16
    { 24, kUpTo,   1 },  // B16B16
    { 32, kUpTo,   1 },  // SHA3
    { 40, kUpTo,   1 },  // SM4
    { 44, kUpTo,   1 },  // I8MM
    { 52, kUpTo,   1 },  // F32MM
    { 56, kUpTo,   1 },  // F64MM
};
constexpr Visible kAa64Dfr0[] = {
    {  0, kUpTo,   9 },  // DebugVer: Armv8.4; TraceVer: CPTR_EL2.TTA traps
    {  8, kOrNone, 6 },  // PMUVer: PMUv3p5
    { 12, kUpTo,  15 },  // BRPs: how many, less one
    { 20, kUpTo,  15 },  // WRPs: the same
    { 28, kUpTo,  15 },  // CTX_CMPs: the same; PMSVer, TraceFilt, TraceBuffer, BRBE trap (MDCR_EL2)
    { 36, kSigned, 0 },  // DoubleLock
};
constexpr Visible kAa64Isar0[] = {
    {  4, kUpTo,   2 },  // AES
    {  8, kUpTo,   1 },  // SHA1
    { 12, kUpTo,   2 },  // SHA2
    { 16, kUpTo,   1 },  // CRC32
    { 20, kUpTo,   2 },  // Atomic; TME is not looked at
    { 28, kUpTo,   1 },  // RDM
    { 32, kUpTo,   1 },  // SHA3
    { 36, kUpTo,   1 },  // SM3
    { 40, kUpTo,   1 },  // SM4
    { 44, kUpTo,   1 },  // DP
    { 48, kUpTo,   1 },  // FHM
    { 52, kUpTo,   2 },  // TS
    { 56, kUpTo,   2 },  // TLB
    { 60, kUpTo,   1 },  // RNDR
};
constexpr Visible kAa64Isar1[] = {
    {  0, kUpTo,   2 },  // DPB
    {  4, kUpTo,   5 },  // APA: HCR_EL2.API, APK
    {  8, kUpTo,   5 },  // API
    { 12, kUpTo,   1 },  // JSCVT
    { 16, kUpTo,   1 },  // FCMA
    { 20, kUpTo,   2 },  // LRCPC
    { 24, kUpTo,   1 },  // GPA
    { 28, kUpTo,   1 },  // GPI
    { 32, kUpTo,   1 },  // FRINTTS
    { 36, kUpTo,   1 },  // SB
    { 40, kUpTo,   1 },  // SPECRES
    { 44, kUpTo,   2 },  // BF16
    { 48, kUpTo,   1 },  // DGH
    { 52, kUpTo,   1 },  // I8MM
    { 56, kUpTo,   1 },  // XS; LS64 needs HCRX_EL2
};
constexpr Visible kAa64Isar2[] = {
    {  0, kUpTo,   2 },  // WFxT
    {  4, kUpTo,   1 },  // RPRES
    {  8, kUpTo,   1 },  // GPA3
    { 12, kUpTo,   5 },  // APA3; MOPS needs HCRX_EL2
    { 20, kUpTo,   1 },  // BC
    { 24, kUpTo,   1 },  // PAC_frac
    { 28, kUpTo,   1 },  // CLRBHB
    { 48, kUpTo,   1 },  // RPRFM
    { 52, kUpTo,   1 },  // CSSC
};
static_assert(kIpaBits == 40);
constexpr Visible kAa64Mmfr0[] = {
    {  0, kUpTo,   2 },  // PARange: 40 bits, kIpaBits
    {  4, kUpTo,   2 },  // ASIDBits
    {  8, kUpTo,   1 },  // BigEnd
    { 12, kUpTo,   1 },  // SNSMem
    { 16, kUpTo,   1 },  // BigEndEL0
    { 20, kUpTo,   1 },  // TGran16: without LPA2, as there are 40 bits
    { 24, kSigned, 0 },  // TGran64
    { 28, kSigned, 0 },  // TGran4: the same
    { 44, kUpTo,   1 },  // ExS; TGran*_2, FGT are EL2's
    { 60, kUpTo,   1 },  // ECV: from 2 on it promises CNTPOFF_EL2
};
constexpr Visible kAa64Mmfr1[] = {
    {  0, kUpTo,   2 },  // HAFDBS; VMIDBits, VH are EL2's
    { 12, kUpTo,   2 },  // HPDS; LO: HCR_EL2.TLOR traps
    { 20, kUpTo,   3 },  // PAN
    { 24, kUpTo,   1 },  // SpecSEI; XNX, TWED are EL2's
    { 36, kUpTo,   3 },  // ETS; HCX is EL2's
    { 44, kUpTo,   1 },  // AFP
    { 48, kUpTo,   1 },  // nTLBPA
    { 52, kUpTo,   1 },  // TIDCP1; CMOW needs HCRX_EL2
    { 60, kUpTo,   1 },  // ECBHB
};
constexpr Visible kAa64Mmfr2[] = {
    {  0, kUpTo,   1 },  // CnP: a VMID of each domain's own
    {  4, kUpTo,   1 },  // UAO
    {  8, kUpTo,   1 },  // LSM; IESB goes with RAS
    { 16, kUpTo,   1 },  // VARange
    { 20, kUpTo,   1 },  // CCIDX; NV is EL2's
    { 28, kUpTo,   1 },  // ST
    { 32, kUpTo,   1 },  // AT
    { 36, kUpTo,   1 },  // IDS; FWB is EL2's
    { 48, kUpTo,   1 },  // TTL; BBM: a conflict may be told to EL2, which does not expect it; EVT is EL2's
    { 60, kUpTo,   1 },  // E0PD
};

// AArch32 (DDI 0487 G8.2), of which EL0 alone is left: for programs that ask through their kernel.
constexpr Visible kPfr0[] = {
    {  0, kUpTo,   1 },  // State0: A32
    {  4, kUpTo,   3 },  // State1: T32
    {  8, kUpTo,   2 },  // State2: Jazelle
    { 16, kUpTo,   1 },  // CSV2
    { 24, kUpTo,   1 },  // DIT; AMU and RAS: as in ID_AA64PFR0_EL1
};
constexpr Visible kPfr1[] = {
    {  0, kUpTo,   1 },  // ProgMod; Security, Virtualization and their _frac: nothing above EL1
    { 16, kUpTo,   1 },  // GenTimer
    { 28, kUpTo,   1 },  // GIC
};
constexpr Visible kPfr2[] = {
    {  0, kUpTo,   1 },  // CSV3
    {  4, kUpTo,   1 },  // SSBS
};
constexpr Visible kDfr0[] = {
    {  0, kUpTo,   9 },  // CopDbg: as DebugVer
    { 24, kOrNone, 6 },  // PerfMon: as PMUVer
};
constexpr Visible kMmfr0[] = {
    {  0, kUpTo,   5 },  // VMSA
    { 12, kUpTo,  15 },  // OuterShr
    { 16, kUpTo,   1 },  // ShareLvl; AuxReg: ACTLR traps
    { 28, kUpTo,  15 },  // InnerShr
};
constexpr Visible kMmfr1[] = {
    { 28, kUpTo,   4 },  // BPred
};
constexpr Visible kMmfr2[] = {
    { 16, kUpTo,   6 },  // UniTLB
    { 20, kUpTo,   2 },  // MemBarr
    { 24, kUpTo,   1 },  // WFIStall
    { 28, kUpTo,   1 },  // HWAccFlg
};
constexpr Visible kMmfr3[] = {
    {  0, kUpTo,   1 },  // CMaintVA
    {  4, kUpTo,   1 },  // CMaintSW
    {  8, kUpTo,   2 },  // BPMaint
    { 12, kUpTo,   2 },  // MaintBcst
    { 16, kUpTo,   2 },  // PAN
    { 20, kUpTo,   1 },  // CohWalk
    { 24, kUpTo,   2 },  // CMemSz
    { 28, kSigned, 0 },  // Supersec
};
constexpr Visible kMmfr4[] = {
    {  0, kUpTo,   1 },  // SpecSEI; AC2: HCR_EL2.TACR traps; XNX is EL2's
    { 12, kUpTo,   1 },  // CnP
    { 16, kUpTo,   2 },  // HPDS
    { 20, kUpTo,   1 },  // LSM
    { 24, kUpTo,   1 },  // CCIDX; EVT is EL2's
};
constexpr Visible kMmfr5[] = {
    {  0, kUpTo,   3 },  // ETS
    {  4, kUpTo,   1 },  // nTLBPA
};
constexpr Visible kIsar0[] = {
    {  4, kUpTo,   1 },  // BitCount
    {  8, kUpTo,   1 },  // BitField
    { 12, kUpTo,   1 },  // CmpBranch
    { 20, kUpTo,   1 },  // Debug
    { 24, kUpTo,   2 },  // Divide
};
constexpr Visible kIsar1[] = {
    {  0, kUpTo,   1 },  // Endian
    {  4, kUpTo,   1 },  // Except
    {  8, kUpTo,   1 },  // Except_AR
    { 12, kUpTo,   2 },  // Extend
    { 16, kUpTo,   1 },  // IfThen
    { 20, kUpTo,   1 },  // Immediate
    { 24, kUpTo,   3 },  // Interwork
    { 28, kUpTo,   1 },  // Jazelle
};
constexpr Visible kIsar2[] = {
    {  0, kUpTo,   2 },  // LoadStore
    {  4, kUpTo,   4 },  // MemHint
    { 12, kUpTo,   2 },  // Mult
    { 16, kUpTo,   3 },  // MultS
    { 20, kUpTo,   2 },  // MultU
    { 24, kUpTo,   1 },  // PSR_AR
    { 28, kUpTo,   2 },  // Reversal
};
constexpr Visible kIsar3[] = {
    {  0, kUpTo,   1 },  // Saturate
    {  4, kUpTo,   3 },  // SIMD
    {  8, kUpTo,   1 },  // SVC
    { 12, kUpTo,   2 },  // SynchPrim
    { 16, kUpTo,   1 },  // TabBranch
    { 20, kUpTo,   1 },  // T32Copy
    { 24, kUpTo,   1 },  // TrueNOP
};
constexpr Visible kIsar4[] = {
    {  0, kUpTo,   2 },  // Unpriv
    {  4, kUpTo,   4 },  // WithShifts
    {  8, kUpTo,   1 },  // Writeback; SMC: EL0 has none
    { 16, kUpTo,   1 },  // Barrier
    { 20, kUpTo,   3 },  // SynchPrim_frac
};
constexpr Visible kIsar5[] = {
    {  0, kUpTo,   1 },  // SEVL
    {  4, kUpTo,   2 },  // AES
    {  8, kUpTo,   1 },  // SHA1
    { 12, kUpTo,   1 },  // SHA2
    { 16, kUpTo,   1 },  // CRC32
    { 24, kUpTo,   1 },  // RDM
    { 28, kUpTo,   1 },  // VCMA
};
constexpr Visible kIsar6[] = {
    {  0, kUpTo,   1 },  // JSCVT
    {  4, kUpTo,   1 },  // DP
    {  8, kUpTo,   1 },  // FHM
    { 12, kUpTo,   1 },  // SB
    { 16, kUpTo,   1 },  // SPECRES
    { 20, kUpTo,   1 },  // BF16
    { 24, kUpTo,   1 },  // I8MM
    { 28, kUpTo,   1 },  // CLRBHB
};
constexpr Visible kMvfr0[] = {
    {  0, kUpTo,   2 },  // SIMDReg
    {  4, kUpTo,   2 },  // FPSP
    {  8, kUpTo,   2 },  // FPDP
    { 12, kUpTo,   1 },  // FPTrap
    { 16, kUpTo,   1 },  // FPDivide
    { 20, kUpTo,   1 },  // FPSqrt
    { 24, kUpTo,   1 },  // FPShVec
    { 28, kUpTo,   1 },  // FPRound
};
constexpr Visible kMvfr1[] = {
    {  0, kUpTo,   1 },  // FPFtZ
    {  4, kUpTo,   1 },  // FPDNaN
    {  8, kUpTo,   1 },  // SIMDLS
    { 12, kUpTo,   1 },  // SIMDInt
    { 16, kUpTo,   1 },  // SIMDSP
    { 20, kUpTo,   2 },  // SIMDHP
    { 24, kUpTo,   3 },  // FPHP
    { 28, kUpTo,   1 },  // SIMDFMAC
};
constexpr Visible kMvfr2[] = {
    {  0, kUpTo,   3 },  // SIMDMisc
    {  4, kUpTo,   4 },  // FPMisc
};
// clang-format on

/// `name` is CRm and op2, a hexadecimal digit each.
std::span<const Visible> fields_of(unsigned name) {
  switch (name) {
    case 0x10: return kPfr0;
    case 0x11: return kPfr1;
    case 0x12: return kDfr0;
    case 0x14: return kMmfr0;
    case 0x15: return kMmfr1;
    case 0x16: return kMmfr2;
    case 0x17: return kMmfr3;
    case 0x20: return kIsar0;
    case 0x21: return kIsar1;
    case 0x22: return kIsar2;
    case 0x23: return kIsar3;
    case 0x24: return kIsar4;
    case 0x25: return kIsar5;
    case 0x26: return kMmfr4;
    case 0x27: return kIsar6;
    case 0x30: return kMvfr0;
    case 0x31: return kMvfr1;
    case 0x32: return kMvfr2;
    case 0x34: return kPfr2;
    case 0x36: return kMmfr5;
    case 0x40: return kAa64Pfr0;
    case 0x41: return kAa64Pfr1;
    case 0x44: return kAa64Zfr0;
    case 0x50: return kAa64Dfr0;
    case 0x60: return kAa64Isar0;
    case 0x61: return kAa64Isar1;
    case 0x62: return kAa64Isar2;
    case 0x70: return kAa64Mmfr0;
    case 0x71: return kAa64Mmfr1;
    case 0x72: return kAa64Mmfr2;
    default: return {};
  }
}

std::uint64_t seen_as(const Visible& field, std::uint64_t value) {
  constexpr std::uint64_t kOfItsOwnKind = 15;
  constexpr std::uint64_t kNotImplementedSigned = 15;
  if (field.rule == kSigned && value >= 8) return kNotImplementedSigned;
  if (field.rule == kOrNone && value == kOfItsOwnKind) return 0;
  return value > field.limit ? field.limit : value;
}

}  // namespace

std::uint64_t visible_id_register(unsigned crm, unsigned op2, std::uint64_t physical) {
  std::uint64_t seen = 0;
  for (const Visible& field : fields_of(crm << 4 | op2)) {
    seen |= seen_as(field, physical >> field.low & 0xf) << field.low;
  }
  return seen;
}

}  // namespace penstock::vm
