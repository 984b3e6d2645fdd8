#include "hypervisor/arch/aarch64/id_registers.hpp"

#include "core/vm/id_registers.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {
namespace {

/// What the CPU has in the register of that CRm and op2, for those that guests may see a part of.
std::uint64_t physical_id_register(unsigned crm, unsigned op2) {
  switch (crm << 4 | op2) {
    case 0x10: return PENSTOCK_READ_SYSREG(id_pfr0_el1);
    case 0x11: return PENSTOCK_READ_SYSREG(id_pfr1_el1);
    case 0x12: return PENSTOCK_READ_SYSREG(id_dfr0_el1);
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
    case 0x36: return PENSTOCK_READ_SYSREG(S3_0_C0_C3_6);  // ID_MMFR5_EL1
    case 0x40: return PENSTOCK_READ_SYSREG(id_aa64pfr0_el1);
    case 0x41: return PENSTOCK_READ_SYSREG(id_aa64pfr1_el1);
    case 0x44: return PENSTOCK_READ_SYSREG(S3_0_C0_C4_4);  // ID_AA64ZFR0_EL1
    case 0x50: return PENSTOCK_READ_SYSREG(id_aa64dfr0_el1);
    case 0x60: return PENSTOCK_READ_SYSREG(id_aa64isar0_el1);
    case 0x61: return PENSTOCK_READ_SYSREG(id_aa64isar1_el1);
    case 0x62: return PENSTOCK_READ_SYSREG(S3_0_C0_C6_2);  // ID_AA64ISAR2_EL1
    case 0x70: return PENSTOCK_READ_SYSREG(id_aa64mmfr0_el1);
    case 0x71: return PENSTOCK_READ_SYSREG(id_aa64mmfr1_el1);
    case 0x72: return PENSTOCK_READ_SYSREG(S3_0_C0_C7_2);  // ID_AA64MMFR2_EL1
    default: return 0;
  }
}

}  // namespace

std::uint64_t guest_id_register(unsigned crm, unsigned op2) {
  return vm::visible_id_register(crm, op2, physical_id_register(crm, op2));
}

}  // namespace penstock::arch
