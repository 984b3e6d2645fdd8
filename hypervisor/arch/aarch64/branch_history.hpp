// Which exception vectors a CPU has: those that clear the branch history of a guest cost
// instructions on every trap, and are for CPUs that need them.
#pragma once

#include "hypervisor/arch/aarch64/cpu.hpp"

namespace penstock::arch {

/// Gives the CPU that runs this the vectors that it needs instead of the plain ones.
/// `firmware_needs_it`: see core/vm/branch_history.hpp.
void install_clearing_vectors(Cpu& cpu, bool firmware_needs_it);

}  // namespace penstock::arch
