#include "hypervisor/arch/aarch64/branch_history.hpp"

#include <cstddef>

#include "core/vm/branch_history.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {
namespace {

static_assert(offsetof(Cpu, history_branches) == 4, "vectors.S: CPU_HISTORY_BRANCHES");

void install(const char* vectors) {
  PENSTOCK_WRITE_SYSREG(vbar_el2, reinterpret_cast<std::uintptr_t>(vectors));
  context_sync();
}

}  // namespace

void install_clearing_vectors(Cpu& cpu, bool firmware_needs_it) {
  const vm::CpuIdentity identity{
      .midr = PENSTOCK_READ_SYSREG(midr_el1),
      .pfr0 = PENSTOCK_READ_SYSREG(id_aa64pfr0_el1),
      .isar2 = PENSTOCK_READ_SYSREG(S3_0_C0_C6_2),
      .mmfr1 = PENSTOCK_READ_SYSREG(id_aa64mmfr1_el1),
  };
  const vm::BranchHistory needed = vm::branch_history(identity, firmware_needs_it);
  cpu.history_branches = needed.branches;
  switch (needed.clear) {
    case vm::BranchHistoryClear::kNothing: return;
    case vm::BranchHistoryClear::kLoop: return install(exception_vectors_after_branches);
    case vm::BranchHistoryClear::kInstruction: return install(exception_vectors_after_instruction);
    case vm::BranchHistoryClear::kFirmware: return install(exception_vectors_after_firmware);
  }
}

}  // namespace penstock::arch
