// Making a function harmless and forgetful between owners.
#pragma once

#include "core/base/result.hpp"
#include "core/pci/function_info.hpp"
#include "core/port/clock.hpp"
#include "core/port/config_space.hpp"

namespace penstock::pci {

/// Bus mastering, MSI, MSI-X, no-snoop and phantom functions off. Nothing that the function does reaches anybody afterwards.
void quiesce(port::ConfigSpace& config, const FunctionInfo& info);

/// Resets the function by the first method that it has: function-level reset (PCI Express, then Advanced Features), else
/// D3hot to D0 where that resets. BARs and the command register are as before afterwards, but what quiesce() turns off is
/// off. kNoReset (arg: BDF): it has no such method; kTimeout (arg: BDF): it does not answer any more.
Status reset_function(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock);

/// True when reset_function() has a method to try.
[[nodiscard]] bool can_reset(const FunctionInfo& info, port::ConfigSpace& config);

}  // namespace penstock::pci
