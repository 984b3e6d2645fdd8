#include "core/vm/branch_history.hpp"

#include <array>

#include "core/base/bits.hpp"

namespace penstock::vm {
namespace {

// MIDR_EL1 (DDI 0487 D23.2).
using Implementer = Field<31, 24>;
using PartNumber = Field<15, 4>;

struct Loop {
  unsigned implementer;
  unsigned part;
  unsigned branches;
};

// clang-format off
constexpr unsigned kArm = 0x41;
constexpr unsigned kQualcomm = 0x51;
constexpr unsigned kAmpere = 0xc0;
constexpr std::array kLoops = {
    Loop{kArm,      0xd07,   8},  // Cortex-A57
    Loop{kArm,      0xd08,   8},  // Cortex-A72
    Loop{kArm,      0xd0b,  24},  // Cortex-A76
    Loop{kArm,      0xd0c,  24},  // Neoverse N1
    Loop{kArm,      0xd0d,  24},  // Cortex-A77
    Loop{kArm,      0xd0e,  24},  // Cortex-A76AE
    Loop{kArm,      0xd40,  32},  // Neoverse V1
    Loop{kArm,      0xd41,  32},  // Cortex-A78
    Loop{kArm,      0xd42,  32},  // Cortex-A78AE
    Loop{kArm,      0xd44,  32},  // Cortex-X1
    Loop{kArm,      0xd47,  32},  // Cortex-A710
    Loop{kArm,      0xd48,  32},  // Cortex-X2
    Loop{kArm,      0xd49,  32},  // Neoverse N2
    Loop{kArm,      0xd4b,  32},  // Cortex-A78C
    Loop{kArm,      0xd4c,  32},  // Cortex-X1C
    Loop{kArm,      0xd4d,  38},  // Cortex-A715
    Loop{kArm,      0xd4e, 132},  // Cortex-X3
    Loop{kArm,      0xd4f, 132},  // Neoverse V2
    Loop{kArm,      0xd81,  38},  // Cortex-A720
    Loop{kQualcomm, 0x804,  24},  // Kryo 4xx Gold
    Loop{kAmpere,   0xac3,  11},  // AmpereOne
};
// clang-format on

unsigned branches_of(std::uint64_t midr) {
  for (const Loop& each : kLoops) {
    if (get<Implementer>(midr) == each.implementer && get<PartNumber>(midr) == each.part) {
      return each.branches;
    }
  }
  return 0;
}

/// The CPU keeps the history of one exception level from predicting branches of another.
bool keeps_levels_apart(const CpuIdentity& cpu) {
  using Ecbhb = Field<63, 60>;  // of ID_AA64MMFR1_EL1
  using Csv2 = Field<59, 56>;   // of ID_AA64PFR0_EL1
  constexpr std::uint64_t kCsv2AndHistory = 3;
  return get<Ecbhb>(cpu.mmfr1) != 0 || get<Csv2>(cpu.pfr0) >= kCsv2AndHistory;
}

}  // namespace

BranchHistory branch_history(const CpuIdentity& cpu, bool firmware_needs_it) {
  using ClrBhb = Field<31, 28>;  // of ID_AA64ISAR2_EL1
  if (keeps_levels_apart(cpu)) return {BranchHistoryClear::kNothing, 0};
  if (get<ClrBhb>(cpu.isar2) != 0) return {BranchHistoryClear::kInstruction, 0};
  if (const unsigned branches = branches_of(cpu.midr); branches != 0) {
    return {BranchHistoryClear::kLoop, branches};
  }
  if (firmware_needs_it) return {BranchHistoryClear::kFirmware, 0};
  return {BranchHistoryClear::kNothing, 0};
}

}  // namespace penstock::vm
