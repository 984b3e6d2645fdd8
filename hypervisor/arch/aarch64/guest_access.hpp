// A guest's access to what is not memory, carried out for it: one that the syndrome describes, or
// one that only its instruction does. False: nothing answers, or it is of a kind that is not
// emulated. The step to the next instruction is the caller's.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/vm/emulated_instruction.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"
#include "hypervisor/arch/aarch64/trap.hpp"
#include "hypervisor/partition.hpp"

namespace penstock::arch {

/// What the abort says of the access that trapped.
struct TrappedAccess {
  std::uint64_t syndrome;  // ESR_EL2
  std::uint64_t address;   // FAR_EL2, virtual
  Gpa at;
};

/// What an access of a big-endian guest moves, between its register and a device, which is
/// little-endian.
[[nodiscard, gnu::always_inline]] inline std::uint64_t on_the_bus(const GuestFrame& frame,
                                                                  const Access& access,
                                                                  std::uint64_t value) {
  if (!vm::is_big_endian(frame.spsr, PENSTOCK_READ_SYSREG(sctlr_el1))) [[likely]]
    return value;
  return vm::swap_bytes(value, access.size);
}

/// One element at `at`. Part of every access that traps, and therefore not a call.
[[nodiscard, gnu::always_inline]] inline bool carry_out(Vcpu& vcpu, GuestFrame& frame, Gpa at,
                                                        const Access& access, vm::Exit& reason) {
  vm::Domain& domain = vcpu.partition->domain();
  if (access.write) {
    const std::uint64_t value =
        on_the_bus(frame, access, frame.read(access.reg)) & all_ones(access.size);
    return domain.write(vcpu.index, at, access.size, value, vcpu.list_registers, reason);
  }
  const auto value = domain.read(vcpu.index, at, access.size, vcpu.list_registers, reason);
  if (!value) return false;
  frame.write(access.reg, extend(access, on_the_bus(frame, access, *value)));
  return true;
}

/// What the instruction says: pairs and write-back. When it is refused no register has changed, but
/// of a pair the first element's access may have been made, as on a bus.
[[nodiscard]] bool carry_out_instruction(Vcpu& vcpu, GuestFrame& frame,
                                         const TrappedAccess& trapped, vm::Exit& reason);

}  // namespace penstock::arch
