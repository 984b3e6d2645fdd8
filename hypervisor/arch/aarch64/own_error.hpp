// SErrors that accesses of the hypervisor's to devices cause. They are masked at EL2, and one that
// stayed pending would be taken when a guest runs again on this CPU, whichever that is: so whoever
// lets EL2 touch a device looks for one before it leaves.
#pragma once

#include <string_view>

#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {

/// ISR_EL1.A: at EL2, a physical SError.
[[nodiscard]] inline bool error_is_pending() {
  return (PENSTOCK_READ_SYSREG(isr_el1) >> 8 & 1) != 0;
}

/// Takes the SError that is pending, so that nobody else does, and tells about it, rarely. `whose`:
/// for whom the hypervisor worked.
void take_own_error(std::string_view whose);

/// Every access so far is complete, and an SError that came of one is taken.
[[gnu::always_inline]] inline void settle_errors(std::string_view whose) {
  complete_all();
  context_sync();
  if (error_is_pending()) [[unlikely]]
    take_own_error(whose);
}

/// For the exception that take_own_error() brings about: true when it was that one.
bool is_awaited_error();

}  // namespace penstock::arch
