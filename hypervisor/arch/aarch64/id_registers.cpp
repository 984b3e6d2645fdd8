#include "hypervisor/arch/aarch64/id_registers.hpp"

#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {
namespace {

constexpr std::uint64_t nibble(unsigned low) {
  return 0xfULL << low;
}

// Fields hidden from guests (DDI 0487 D19.2).
// clang-format off
constexpr std::uint64_t kHidePfr0 = nibble(8)    // EL2: a guest starts at EL1 and finds nothing above
                                  | nibble(12)   // EL3
                                  | nibble(28)   // RAS: error records trap
                                  | nibble(32)   // SVE: its registers are not kept for guests
                                  | nibble(40)   // MPAM
                                  | nibble(44)   // AMU
                                  | nibble(52);  // RME
constexpr std::uint64_t kHidePfr1 = nibble(8)    // MTE
                                  | nibble(16)   // MPAM_frac
                                  | nibble(24)   // SME
                                  | nibble(36);  // NMI
constexpr std::uint64_t kHideDfr0 = nibble(4)    // TraceVer
                                  | nibble(32)   // PMSVer (SPE)
                                  | nibble(40)   // TraceFilt
                                  | nibble(44)   // TraceBuffer
                                  | nibble(48)   // MTPMU
                                  | nibble(52);  // BRBE
constexpr std::uint64_t kHideIsar0 = nibble(24); // TME
constexpr std::uint64_t kHideIsar1 = nibble(60); // LS64
constexpr std::uint64_t kHideIsar2 = nibble(16); // MOPS needs HCRX_EL2
constexpr std::uint64_t kHideMmfr1 = nibble(8);  // VH
constexpr std::uint64_t kHideMmfr2 = nibble(24); // NV
// clang-format on

}  // namespace

std::uint64_t guest_id_register(unsigned crm, unsigned op2) {
  switch (crm << 4 | op2) {
    case 0x10: return PENSTOCK_READ_SYSREG(id_pfr0_el1);
    case 0x11: return PENSTOCK_READ_SYSREG(id_pfr1_el1);
    case 0x12: return PENSTOCK_READ_SYSREG(id_dfr0_el1);
    case 0x13: return PENSTOCK_READ_SYSREG(id_afr0_el1);
    case 0x14: return PENSTOCK_READ_SYSREG(id_mmfr0_el1);
    case 0x15: return PENSTOCK_READ_SYSREG(id_mmfr1_el1);
    case 0x16: return PENSTOCK_READ_SYSREG(id_mmfr2_el1);
    case 0x17: return PENSTOCK_READ_SYSREG(id_mmfr3_el1);
    case 0x20: return PENSTOCK_READ_SYSREG(id_isar0_el1);
    case 0x21: return PENSTOCK_READ_SYSREG(id_isar1_el1);
    case 0x22: return PENSTOCK_READ_SYSREG(id_isar2_el1);
    case 0x23: return PENSTOCK_READ_SYSREG(id_isar3_el1);
    case 0x24: return PENSTOCK_READ_SYSREG(id_isar4_el1);
    case 0x25: return PENSTOCK_READ_SYSREG(id_isar5_el1);
    case 0x26: return PENSTOCK_READ_SYSREG(id_mmfr4_el1);
    case 0x27: return PENSTOCK_READ_SYSREG(S3_0_C0_C2_7);  // ID_ISAR6_EL1
    case 0x30: return PENSTOCK_READ_SYSREG(mvfr0_el1);
    case 0x31: return PENSTOCK_READ_SYSREG(mvfr1_el1);
    case 0x32: return PENSTOCK_READ_SYSREG(mvfr2_el1);
    case 0x34: return PENSTOCK_READ_SYSREG(S3_0_C0_C3_4);  // ID_PFR2_EL1
    case 0x40: return PENSTOCK_READ_SYSREG(id_aa64pfr0_el1) & ~kHidePfr0;
    case 0x41: return PENSTOCK_READ_SYSREG(id_aa64pfr1_el1) & ~kHidePfr1;
    case 0x50: return PENSTOCK_READ_SYSREG(id_aa64dfr0_el1) & ~kHideDfr0;
    case 0x51: return PENSTOCK_READ_SYSREG(id_aa64dfr1_el1);
    case 0x60: return PENSTOCK_READ_SYSREG(id_aa64isar0_el1) & ~kHideIsar0;
    case 0x61: return PENSTOCK_READ_SYSREG(id_aa64isar1_el1) & ~kHideIsar1;
    case 0x62: return PENSTOCK_READ_SYSREG(S3_0_C0_C6_2) & ~kHideIsar2;  // ID_AA64ISAR2_EL1
    case 0x70: return PENSTOCK_READ_SYSREG(id_aa64mmfr0_el1);
    case 0x71: return PENSTOCK_READ_SYSREG(id_aa64mmfr1_el1) & ~kHideMmfr1;
    case 0x72: return PENSTOCK_READ_SYSREG(S3_0_C0_C7_2) & ~kHideMmfr2;  // ID_AA64MMFR2_EL1
    default: return 0;
  }
}

}  // namespace penstock::arch
