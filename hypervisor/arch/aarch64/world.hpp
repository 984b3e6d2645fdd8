// The registers that make a CPU a guest's: reset state, traps, stage 2.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "hypervisor/arch/aarch64/context.hpp"

namespace penstock::arch {

struct WorldConfig {
  Hpa stage2_root;
  Vmid vmid;
  std::uint64_t virtual_affinity = 0;
};

/// SPSR_EL2 of a guest that starts: EL1 with SP_EL1, DAIF set.
inline constexpr std::uint64_t kSpsrEl1hMasked = 0x3c5;

/// Puts EL1 of this CPU into its architectural reset state and sets the traps and stage 2 of a
/// domain. The caller enters with enter_guest().
void prepare_world(const WorldConfig& world);

/// Stops the guest's timers, so that no interrupt of a world that is gone arrives.
void quiet_timers();

/// True when this CPU has what guests need: 40-bit addresses (PARange), 4 KiB stage-2 granule,
/// GICv3 system registers.
[[nodiscard]] bool cpu_is_suitable();

/// Makes the guest take a synchronous exception to EL1 at the instruction that trapped, as the CPU
/// would; `syndrome`: its ESR_EL1.
void take_exception(GuestFrame& frame, std::uint64_t syndrome);

/// Makes the guest take an abort at the instruction that trapped; `syndrome`, `address`: ESR_EL2
/// and FAR_EL2 of the data or instruction abort.
void inject_abort(GuestFrame& frame, std::uint64_t syndrome, std::uint64_t address);

/// Makes the guest take an Undefined Instruction exception at the instruction that trapped (DDI
/// 0487 D1.3.5).
void inject_undefined(GuestFrame& frame);

/// Invalidates this VMID's translations of [start, start + size) on every CPU. VMID is the one
/// loaded in VTTBR_EL2 of the caller; called for another domain, VTTBR_EL2 is switched for the
/// operation.
void invalidate_stage2(Hpa root, Vmid vmid, Gpa start, std::uint64_t size);

}  // namespace penstock::arch
