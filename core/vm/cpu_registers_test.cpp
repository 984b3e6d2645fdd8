#include "core/vm/cpu_registers.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::vm {
namespace {

struct Listed {
  std::string_view name;
  SystemRegister reg;
};
const std::vector<Listed> kArchitecture = {
#define SYSTEM_REGISTER(name, op0, op1, crn, crm, op2) {#name, {op0, op1, crn, crm, op2}},
#include "core/hw/arm/system_registers.def"
#undef SYSTEM_REGISTER
};

/// Registers that the table need not write, by the beginning of their names, and why not.
struct Elsewhere {
  std::string_view prefix;
  std::string_view why;
};
const std::vector<Elsewhere> kElsewhere = {
    {"SPSel", "PSTATE"},
    {"PAN", "PSTATE"},
    {"UAO", "PSTATE"},
    {"ALLINT", "PSTATE"},
    {"PM", "PSTATE"},
    {"NZCV", "PSTATE"},
    {"DAIF", "PSTATE"},
    {"DIT", "PSTATE"},
    {"SSBS", "PSTATE"},
    {"TCO", "PSTATE"},
    {"ICC_", "the virtual interface, ICH_*"},
    {"ACTLR_EL1", "HCR_EL2.TACR"},
    {"ERR", "HCR_EL2.TERR"},
    {"ERX", "HCR_EL2.TERR"},
    {"LOR", "HCR_EL2.TLOR"},
    {"RGSR_EL1", "HCR_EL2.ATA = 0"},
    {"GCR_EL1", "HCR_EL2.ATA = 0"},
    {"TFSR", "HCR_EL2.ATA = 0"},
    {"SCXTNUM_", "HCR_EL2.EnSCXT = 0"},
    {"SCTLR2_EL1", "HCRX_EL2.SCTLR2En = 0"},
    {"TCR2_EL1", "HCRX_EL2.TCR2En = 0"},
    {"FPMR", "HCRX_EL2.EnFPM = 0"},
    {"ZCR_EL1", "written where there is SVE, world.cpp"},
    {"SMCR_EL1", "CPTR_EL2.TSM"},
    {"SVCR", "CPTR_EL2.TSM"},
    {"SMPRI_EL1", "HFGRTR_EL2.nSMPRI_EL1"},
    {"TPIDR2_EL0", "HFGRTR_EL2.nTPIDR2_EL0"},
    {"GCS", "HFGRTR_EL2.nGCS_*"},
    {"MAIR2_EL1", "HFGRTR_EL2.nMAIR2_EL1"},
    {"AMAIR2_EL1", "HFGRTR_EL2.nAMAIR2_EL1"},
    {"PIR_EL1", "HFGRTR_EL2.nPIR_EL1"},
    {"PIRE0_EL1", "HFGRTR_EL2.nPIRE0_EL1"},
    {"POR_EL", "HFGRTR_EL2.nPOR_*"},
    {"S2POR_EL1", "HFGRTR_EL2.nS2POR_EL1"},
    {"RCWMASK_EL1", "HFGRTR_EL2.nRCWMASK_EL1"},
    {"ACCDATA_EL1", "HFGRTR_EL2.nACCDATA_EL1"},
    {"RCWSMASK_EL1", "HFGRTR2_EL2.nRCWSMASK_EL1"},
    {"PFAR_EL1", "HFGRTR2_EL2.nPFAR_EL1"},
    {"BRB", "HDFGRTR_EL2.nBRB*"},
    {"MDSELR_EL1", "HDFGRTR2_EL2.nMDSELR_EL1"},
    {"MDSTEPOP_EL1", "HDFGRTR2_EL2.nMDSTEPOP_EL1"},
    {"SPM", "HDFGRTR2_EL2.nSPM*"},
    {"PMUACR_EL1", "HDFGRTR2_EL2.nPMUACR_EL1"},
    {"PMECR_EL1", "HDFGRTR2_EL2.nPMECR_EL1"},
    {"PMIAR_EL1", "HDFGRTR2_EL2.nPMIAR_EL1"},
    {"PMICNTR_EL0", "HDFGRTR2_EL2.nPMICNTR_EL0"},
    {"PMICFILTR_EL0", "HDFGRTR2_EL2.nPMICFILTR_EL0"},
    {"PMSSCR_EL1", "HDFGRTR2_EL2.nPMSSCR_EL1"},
    {"PMZR_EL0", "writes zeroes to counters"},
    {"MPAMSM_EL1", "MPAM2_EL2.EnMPAMSM = 0"},
    {"PMS", "MDCR_EL2.TPMS"},
    {"PMB", "MDCR_EL2.E2PB = 0"},
    {"TRB", "MDCR_EL2.E2TB = 0"},
    {"TRC", "CPTR_EL2.TTA"},
    {"AM", "CPTR_EL2.TAM"},
    {"RMR_EL1", "there is an EL2"},
    {"CNTFRQ_EL0", "there is an EL2"},
    {"DSPSR_EL0", "Debug state only"},
    {"DLR_EL0", "Debug state only"},
    {"DBGPRCR_EL1",
     "one bit, a wish of the debugger's for the power controller; QEMU has no such register"},
    {"DBGCLAIMSET_EL1", "DBGCLAIMCLR_EL1"},
    {"DBGDTR", "OSDTRRX_EL1, OSDTRTX_EL1"},
    {"PMCNTENSET_EL0", "PMCNTENCLR_EL0"},
    {"PMINTENSET_EL1", "PMINTENCLR_EL1"},
    {"PMOVSSET_EL0", "PMOVSCLR_EL0"},
    {"PMSWINC_EL0", "PMEVCNTR<n>_EL0"},
    {"PMXEV", "PMEVCNTR<n>_EL0, PMEVTYPER<n>_EL0"},
    {"CNTP_TVAL_EL0", "CNTP_CVAL_EL0"},
    {"CNTV_TVAL_EL0", "CNTV_CVAL_EL0"},
};

bool is_elsewhere(const Elsewhere& row, std::string_view name) {
  return row.why == "PSTATE" ? name == row.prefix : name.starts_with(row.prefix);
}

std::vector<RegisterReset> table() {
  std::vector<RegisterReset> all(kLockResets.begin(), kLockResets.end());
  all.insert(all.end(), kHypervisorResets.begin(), kHypervisorResets.end());
  all.insert(all.end(), kGuestResets.begin(), kGuestResets.end());
  all.insert(all.end(), kNumberedResets.begin(), kNumberedResets.end());
  return all;
}

bool is_written(const SystemRegister& reg) {
  for (const RegisterReset& each : table()) {
    if (each.reg == reg) return true;
  }
  return false;
}

// Covers: H55
TEST(CpuRegisters, EveryOneThatAGuestCanWriteIsResetOrOutOfItsReach) {
  for (const Listed& each : kArchitecture) {
    if (is_written(each.reg)) continue;
    bool known = false;
    for (const Elsewhere& row : kElsewhere) known = known || is_elsewhere(row, each.name);
    EXPECT_TRUE(known) << each.name << " is left to the next owner of the CPU";
  }
}

TEST(CpuRegisters, EveryReasonForNotWritingOneNamesARegister) {
  for (const Elsewhere& row : kElsewhere) {
    bool used = false;
    for (const Listed& each : kArchitecture) {
      used = used || (is_elsewhere(row, each.name) && !is_written(each.reg));
    }
    EXPECT_TRUE(used) << row.prefix;
  }
}

TEST(CpuRegisters, TheTableNamesEachOnceAndNoneThatDoesNotExist) {
  const auto all = table();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const SystemRegister& reg = all[i].reg;
    for (std::size_t k = 0; k < i; ++k) EXPECT_FALSE(all[k].reg == reg) << i << " and " << k;
    if (reg.op1 == 4) continue;  // EL2's own are not in the list
    bool listed = false;
    for (const Listed& each : kArchitecture) listed = listed || each.reg == reg;
    EXPECT_TRUE(listed) << "entry " << i;
  }
}

// Covers: H55
TEST(CpuRegisters, WhatIsNotResetIsTrappedByWhatIsWritten) {
  EXPECT_NE(kCptr & 1ULL << 12, 0U);  // TSM
  EXPECT_NE(kCptr & 1ULL << 20, 0U);  // TTA
  EXPECT_NE(kCptr & 1ULL << 30, 0U);  // TAM
  EXPECT_NE(kMdcr & 1ULL << 14, 0U);  // TPMS
  EXPECT_NE(kMdcr & 1ULL << 19, 0U);  // TTRF
  EXPECT_EQ(kMdcr & 3ULL << 12, 0U);  // E2PB
  EXPECT_EQ(kMdcr & 3ULL << 24, 0U);  // E2TB
  for (const RegisterReset& each : kHypervisorResets) {
    const bool traps_partitions = each.reg == SystemRegister{3, 4, 10, 5, 0};
    EXPECT_EQ(each.value, traps_partitions ? kMpam2Traps : 0);
  }
}

/// Identification registers as a Cortex-A53 has them: Armv8.0, 6 breakpoints, 4 watchpoints, 6
/// event counters.
CpuIdentity armv8_0() {
  CpuIdentity id;
  id.aa64dfr0 = 0x1030'5106;
  id.aa64mmfr0 = 0x1122;
  id.aa64pfr0 = 0x2222;
  id.pmcr = 6U << 11;
  return id;
}

TEST(CpuRegisters, OfAnArmv80CpuNoneOfALaterExtensionIsWritten) {
  std::map<CpuFeature, unsigned> counts;
  for (const RegisterReset& each : table()) {
    const bool written = has(armv8_0(), each.feature, each.n);
    if (written && each.feature != CpuFeature::kAlways) ++counts[each.feature];
  }
  const std::map<CpuFeature, unsigned> expected = {{CpuFeature::kBreakpoint, 2U * 6},
                                                   {CpuFeature::kWatchpoint, 2U * 4},
                                                   {CpuFeature::kCounters, 8U},
                                                   {CpuFeature::kCounter, 2U * 6}};
  EXPECT_EQ(counts, expected);
}

TEST(CpuRegisters, OfACpuWithoutCountersNoneOfTheirsIsWritten) {
  for (const std::uint64_t version : {0ULL, 0xfULL}) {
    CpuIdentity id = armv8_0();
    id.aa64dfr0 = (id.aa64dfr0 & ~0xf00ULL) | version << 8;
    EXPECT_FALSE(has(id, CpuFeature::kCounters));
    EXPECT_FALSE(has(id, CpuFeature::kCounter, 0));
  }
}

TEST(CpuRegisters, EachExtensionIsKnownByEveryFieldThatSaysSo) {
  using Field = std::uint64_t CpuIdentity::*;
  struct Case {
    CpuFeature feature;
    Field reg;
    unsigned low;
    std::uint64_t value;
  };
  const Case cases[] = {
      {CpuFeature::kPointerKeys, &CpuIdentity::aa64isar1, 4, 1},
      {CpuFeature::kPointerKeys, &CpuIdentity::aa64isar1, 8, 1},
      {CpuFeature::kPointerKeys, &CpuIdentity::aa64isar1, 24, 1},
      {CpuFeature::kPointerKeys, &CpuIdentity::aa64isar1, 28, 1},
      {CpuFeature::kPointerKeys, &CpuIdentity::aa64isar2, 8, 1},
      {CpuFeature::kPointerKeys, &CpuIdentity::aa64isar2, 12, 1},
      {CpuFeature::kErrors, &CpuIdentity::aa64pfr0, 28, 1},
      {CpuFeature::kPartitions, &CpuIdentity::aa64pfr0, 40, 1},
      {CpuFeature::kPartitions, &CpuIdentity::aa64pfr1, 16, 1},
      {CpuFeature::kTraceFilter, &CpuIdentity::aa64dfr0, 40, 1},
      {CpuFeature::kTraceBuffer, &CpuIdentity::aa64dfr0, 44, 1},
      {CpuFeature::kProfiling, &CpuIdentity::aa64dfr0, 32, 1},
      {CpuFeature::kBranchRecords, &CpuIdentity::aa64dfr0, 52, 1},
      {CpuFeature::kFineTraps, &CpuIdentity::aa64mmfr0, 56, 1},
      {CpuFeature::kFineTraps2, &CpuIdentity::aa64mmfr0, 56, 2},
      {CpuFeature::kMoreControls, &CpuIdentity::aa64mmfr1, 40, 1},
  };
  for (const Case& each : cases) {
    CpuIdentity id = armv8_0();
    EXPECT_FALSE(has(id, each.feature)) << each.low;
    id.*each.reg |= each.value << each.low;
    EXPECT_TRUE(has(id, each.feature)) << each.low;
  }
  CpuIdentity id = armv8_0();
  id.aa64mmfr0 |= 1ULL << 56;
  EXPECT_FALSE(has(id, CpuFeature::kFineTraps2));
  EXPECT_FALSE(has(id, CpuFeature::kFineTrapsOfMonitors));
  id.aa64pfr0 |= 1ULL << 44;
  EXPECT_TRUE(has(id, CpuFeature::kFineTrapsOfMonitors));
  id.aa64pfr0 |= 1ULL << 40;
  EXPECT_FALSE(has(id, CpuFeature::kVirtualPartitions));
  id.mpamidr = 1ULL << 17;
  EXPECT_TRUE(has(id, CpuFeature::kVirtualPartitions));
}

}  // namespace
}  // namespace penstock::vm
