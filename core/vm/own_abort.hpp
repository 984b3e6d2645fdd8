// An access of the hypervisor's to a device that the device aborts: which of EL2's own exceptions
// that is, and what the access leaves. Decided without touching anything.
#pragma once

#include <cstdint>
#include <optional>

namespace penstock::vm {

/// What the load or store leaves behind that is given up.
struct ForgivenAccess {
  bool load = false;
  unsigned reg = 31;  // of a load; 31: the zero register
  std::uint64_t value = 0;
};

/// True for a synchronous external abort, not of a table walk, by a data access at the exception
/// level that it is taken to (DDI 0487 D19.2.37 ESR_EL2, EC 0x25, DFSC 0x10). Above the class lies
/// ISS2, which says other things.
[[nodiscard]] bool is_own_external_abort(std::uint64_t esr);

/// True when the exception interrupted EL2 with SP_EL2 and nothing else (SPSR_EL2.M, D19.2.142).
[[nodiscard]] bool is_own_state(std::uint64_t spsr);

/// For a plain load or store without write-back (C4.1), which is what a register access compiles
/// to: a load gets all ones, as from a device that is absent. Nothing for any other instruction.
[[nodiscard]] std::optional<ForgivenAccess> forgive_access(std::uint32_t instruction);

/// Of an SError that was taken to be looked at: true unless it says that this CPU's own state may
/// be wrong (ESR_EL2.AET uncontainable or unrecoverable). Without the RAS extension it says
/// nothing.
[[nodiscard]] bool is_survivable_error(std::uint64_t esr);

}  // namespace penstock::vm
