// An exception that the hypervisor gives to EL1 of a guest, as the CPU would take it (DDI 0487
// J1.1.3, AArch64.TakeException with target EL1). Pure: the caller reads and writes the registers.
#pragma once

#include <cstdint>

namespace penstock::vm {

/// What the CPU has of the PSTATE fields that taking an exception sets.
struct PstateFeatures {
  bool pan = false;   // FEAT_PAN
  bool ssbs = false;  // FEAT_SSBS
  bool mte = false;   // FEAT_MTE
  bool nmi = false;   // FEAT_NMI
};

struct ExceptionEntry {
  std::uint64_t pstate;         // the handler's, in the layout of SPSR_ELx
  std::uint64_t vector_offset;  // from VBAR_EL1, of a synchronous exception
};

/// A synchronous exception to EL1. `pstate`: of the interrupted code, EL1 or EL0 in either state,
/// as SPSR_EL2 holds it, which SPSR_EL1 receives unchanged. `sctlr`: SCTLR_EL1.
[[nodiscard]] ExceptionEntry take_to_el1(std::uint64_t pstate, std::uint64_t sctlr,
                                         const PstateFeatures& features);

/// ESR_EL1 of an abort in which an access ended that the hypervisor does not carry out. `esr`: the
/// syndrome of the stage-2 fault, of a data or instruction abort; `pstate`: as above. An external
/// abort, as from a bus where nothing answers; an alignment fault stays what it is. Nothing of it
/// tells of stage 2.
[[nodiscard]] std::uint64_t abort_syndrome(std::uint64_t esr, std::uint64_t pstate);

}  // namespace penstock::vm
