// What EL2 has to do on every entry from a guest, so that the guest's branches do not choose among
// EL2's own when the CPU predicts (Spectre-BHB, CVE-2022-23960). A table of CPUs, after Arm's paper
// "Spectre-BHB" and the CPUs' errata notices. Pure; the caller reads the CPU.
#pragma once

#include <cstdint>

namespace penstock::vm {

enum class BranchHistoryClear : std::uint8_t {
  kNothing,      // the CPU is not affected, keeps the levels apart itself, or nothing is known
  kLoop,         // `branches` taken branches displace the history
  kInstruction,  // CLRBHB
  kFirmware,     // SMCCC_ARCH_WORKAROUND_3
};

struct BranchHistory {
  BranchHistoryClear clear;
  unsigned branches;  // of a loop; else 0
};

struct CpuIdentity {
  std::uint64_t midr = 0;
  std::uint64_t pfr0 = 0;   // ID_AA64PFR0_EL1
  std::uint64_t isar2 = 0;  // ID_AA64ISAR2_EL1
  std::uint64_t mmfr1 = 0;  // ID_AA64MMFR1_EL1
};

/// `firmware_needs_it`: firmware's answer to SMCCC_ARCH_FEATURES of WORKAROUND_3 on this CPU was 0.
[[nodiscard]] BranchHistory branch_history(const CpuIdentity& cpu, bool firmware_needs_it);

}  // namespace penstock::vm
