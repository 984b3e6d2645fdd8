#include "core/vm/id_registers.hpp"

#include <gtest/gtest.h>

#include <array>

namespace penstock::vm {
namespace {

constexpr std::uint64_t kAllOnes = ~0ULL;

std::uint64_t field(std::uint64_t value, unsigned low) {
  return value >> low & 0xf;
}

/// The field at `low` of the register CRm, op2 as a guest sees it when the CPU has `value` there.
std::uint64_t seen(unsigned crm, unsigned op2, unsigned low, std::uint64_t value) {
  return field(visible_id_register(crm, op2, value << low), low);
}

// Features whose registers or instructions a guest cannot use: they trap, need a control of EL2
// that is not set, or are of EL2 and EL3.
struct Hidden {
  const char* name;
  unsigned crm, op2, low;
};
constexpr std::array kHidden = {
    Hidden{"EL2", 4, 0, 8},
    Hidden{"EL3", 4, 0, 12},
    Hidden{"RAS", 4, 0, 28},
    Hidden{"SEL2", 4, 0, 36},
    Hidden{"MPAM", 4, 0, 40},
    Hidden{"AMU", 4, 0, 44},
    Hidden{"RME", 4, 0, 52},
    Hidden{"MTE", 4, 1, 8},
    Hidden{"RAS_frac", 4, 1, 12},
    Hidden{"MPAM_frac", 4, 1, 16},
    Hidden{"SME", 4, 1, 24},
    Hidden{"RNDR_trap", 4, 1, 28},
    Hidden{"NMI", 4, 1, 36},
    Hidden{"MTE_frac", 4, 1, 40},
    Hidden{"GCS", 4, 1, 44},
    Hidden{"THE", 4, 1, 48},
    Hidden{"MTEX", 4, 1, 52},
    Hidden{"DF2", 4, 1, 56},
    Hidden{"PFAR", 4, 1, 60},
    Hidden{"SME (ID_AA64SMFR0)", 4, 5, 32},
    Hidden{"TraceVer", 5, 0, 4},
    Hidden{"PMSVer", 5, 0, 32},
    Hidden{"TraceFilt", 5, 0, 40},
    Hidden{"TraceBuffer", 5, 0, 44},
    Hidden{"MTPMU", 5, 0, 48},
    Hidden{"BRBE", 5, 0, 52},
    Hidden{"TME", 6, 0, 24},
    Hidden{"LS64", 6, 1, 60},
    Hidden{"MOPS", 6, 2, 16},
    Hidden{"FGT", 7, 0, 56},
    Hidden{"VMIDBits", 7, 1, 4},
    Hidden{"VH", 7, 1, 8},
    Hidden{"LO", 7, 1, 16},
    Hidden{"XNX", 7, 1, 28},
    Hidden{"TWED", 7, 1, 32},
    Hidden{"HCX", 7, 1, 40},
    Hidden{"CMOW", 7, 1, 56},
    Hidden{"IESB", 7, 2, 12},
    Hidden{"NV", 7, 2, 24},
    Hidden{"FWB", 7, 2, 40},
    Hidden{"BBM", 7, 2, 52},
    Hidden{"EVT", 7, 2, 56},
    Hidden{"TCRX", 7, 3, 0},
    Hidden{"SCTLRX", 7, 3, 4},
    Hidden{"S1PIE", 7, 3, 8},
    Hidden{"S1POE", 7, 3, 16},
    Hidden{"D128", 7, 3, 32},
    Hidden{"AArch32 AMU", 1, 0, 20},
    Hidden{"AArch32 RAS", 1, 0, 28},
    Hidden{"AArch32 Security", 1, 1, 4},
    Hidden{"AArch32 EL2", 1, 1, 12},
    Hidden{"AArch32 RAS_frac", 3, 4, 8},
    Hidden{"AArch32 trace", 1, 2, 12},
    Hidden{"AArch32 TraceFilt", 1, 2, 28},
    Hidden{"ACTLR2", 2, 6, 4},
    Hidden{"AArch32 EVT", 2, 6, 28},
};

TEST(IdRegisters, FeaturesThatTrapAreHiddenWhateverTheCpuHas) {
  for (const Hidden& each : kHidden) {
    for (std::uint64_t value = 0; value < 16; ++value) {
      EXPECT_EQ(seen(each.crm, each.op2, each.low, value), 0u) << each.name << " " << value;
    }
  }
}

// Registers that a later architecture has filled, or will fill.
TEST(IdRegisters, RegistersThatNobodyHasLookedAtReadAsZero) {
  constexpr std::array kKnown = {0x10U, 0x11U, 0x12U, 0x14U, 0x15U, 0x16U, 0x17U, 0x20U,
                                 0x21U, 0x22U, 0x23U, 0x24U, 0x25U, 0x26U, 0x27U, 0x30U,
                                 0x31U, 0x32U, 0x34U, 0x36U, 0x40U, 0x41U, 0x44U, 0x50U,
                                 0x60U, 0x61U, 0x62U, 0x70U, 0x71U, 0x72U};
  unsigned shown = 0;
  for (unsigned crm = 0; crm < 16; ++crm) {
    for (unsigned op2 = 0; op2 < 8; ++op2) {
      bool known = false;
      for (const unsigned each : kKnown) known = known || each == (crm << 4 | op2);
      const std::uint64_t value = visible_id_register(crm, op2, kAllOnes);
      EXPECT_EQ(value != 0, known) << crm << " " << op2;
      shown += value != 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(shown, kKnown.size());
}

// A field never shows more than the CPU has: every version includes those below it, and of a signed
// field 8 to 15 are all less than nothing.
TEST(IdRegisters, NoFieldShowsMoreThanTheCpuHas) {
  for (unsigned crm = 1; crm < 8; ++crm) {
    for (unsigned op2 = 0; op2 < 8; ++op2) {
      for (unsigned low = 0; low < 64; low += 4) {
        for (std::uint64_t value = 0; value < 16; ++value) {
          const std::uint64_t guest = seen(crm, op2, low, value);
          const bool not_implemented = guest == 15 && value >= 8;
          EXPECT_TRUE(guest <= value || not_implemented) << crm << " " << op2 << " " << low;
        }
      }
    }
  }
}

TEST(IdRegisters, AddressRangeIsThatOfStage2) {
  constexpr std::uint64_t k36Bits = 1;
  constexpr std::uint64_t k40Bits = 2;
  constexpr std::uint64_t k52Bits = 6;
  EXPECT_EQ(seen(7, 0, 0, k36Bits), k36Bits);
  EXPECT_EQ(seen(7, 0, 0, k40Bits), k40Bits);
  EXPECT_EQ(seen(7, 0, 0, k52Bits), k40Bits);
}

TEST(IdRegisters, Csv2PromisesNoScxtnum) {
  for (std::uint64_t value : {1ULL, 2ULL, 3ULL}) {
    EXPECT_EQ(seen(4, 0, 56, value), 1u);
    EXPECT_EQ(seen(1, 0, 16, value), 1u);
    EXPECT_EQ(seen(4, 1, 32, value), 1u);
  }
  EXPECT_EQ(seen(4, 0, 56, 0), 0u);
}

TEST(IdRegisters, El1IsAArch64OnlyAndEl0WhatItIs) {
  EXPECT_EQ(visible_id_register(4, 0, 0x22), 0x12u);
  EXPECT_EQ(visible_id_register(4, 0, 0x11), 0x11u);
}

TEST(IdRegisters, GicVersion4IsSeenAsItsVersion3) {
  EXPECT_EQ(seen(4, 0, 24, 3), 1u);
  EXPECT_EQ(seen(4, 0, 24, 1), 1u);
  EXPECT_EQ(seen(1, 1, 28, 3), 1u);
}

TEST(IdRegisters, SignedFieldsKeepNotImplemented) {
  constexpr std::uint64_t kAbsent = 15;
  EXPECT_EQ(seen(4, 0, 16, kAbsent), kAbsent);  // FP
  EXPECT_EQ(seen(4, 0, 20, kAbsent), kAbsent);  // AdvSIMD
  EXPECT_EQ(seen(7, 0, 28, kAbsent), kAbsent);  // TGran4
  EXPECT_EQ(seen(7, 0, 24, kAbsent), kAbsent);  // TGran64
  EXPECT_EQ(seen(5, 0, 36, kAbsent), kAbsent);  // DoubleLock
  EXPECT_EQ(seen(7, 0, 28, 1), 0u);             // a larger page range than the addresses
  EXPECT_EQ(seen(4, 0, 16, 1), 1u);
}

TEST(IdRegisters, PerformanceMonitorsOfTheMakersOwnKindAreHidden) {
  EXPECT_EQ(seen(5, 0, 8, 15), 0u);
  EXPECT_EQ(seen(1, 2, 24, 15), 0u);
  EXPECT_EQ(seen(5, 0, 8, 9), 6u);
  EXPECT_EQ(seen(5, 0, 8, 4), 4u);
}

TEST(IdRegisters, SveIsShownWithItsOwnRegister) {
  EXPECT_EQ(seen(4, 0, 32, 1), 1u);
  EXPECT_EQ(visible_id_register(4, 4, 0x0110'1101'0021'0021), 0x0110'1101'0021'0021u);
  EXPECT_EQ(visible_id_register(4, 4, 0), 0u);
}

// Cortex-A76 r3p0 as its reference manual lists it, less RAS, LO, SpecSEI's neighbours and EL2's.
TEST(IdRegisters, OfACortexA76) {
  EXPECT_EQ(visible_id_register(4, 0, 0x1100'0000'1011'1112), 0x1100'0000'0011'0012u);
  EXPECT_EQ(visible_id_register(4, 1, 0x10), 0x10u);
  EXPECT_EQ(visible_id_register(5, 0, 0x0000'0000'1030'5408), 0x0000'0000'1030'5408u);
  EXPECT_EQ(visible_id_register(6, 0, 0x0000'1000'1021'1120), 0x0000'1000'1021'1120u);
  EXPECT_EQ(visible_id_register(6, 1, 0x0000'0000'0010'0001), 0x0000'0000'0010'0001u);
  EXPECT_EQ(visible_id_register(7, 0, 0x0000'0000'0010'1122), 0x0000'0000'0010'1122u);
  EXPECT_EQ(visible_id_register(7, 1, 0x0000'0000'1021'2122), 0x0000'0000'0020'2002u);
  EXPECT_EQ(visible_id_register(7, 2, 0x0000'0000'0000'1011), 0x0000'0000'0000'0011u);
}

}  // namespace
}  // namespace penstock::vm
