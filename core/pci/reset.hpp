// Making a function harmless and forgetful between owners.
#pragma once

#include "core/base/result.hpp"
#include "core/pci/function_info.hpp"
#include "core/pci/reset_quirks.hpp"
#include "core/port/clock.hpp"
#include "core/port/config_space.hpp"

namespace penstock::pci {

/// Bus mastering, MSI, MSI-X, no-snoop and phantom functions off. Nothing that the function does
/// reaches anybody afterwards.
void quiesce(port::ConfigSpace& config, const FunctionInfo& info);

/// Resets the function by the first method that works, in the order of reset_quirks.hpp. BARs and
/// the command register are as before afterwards, but what quiesce() turns off is off. `port` is
/// the config space of the bridge that has this function alone behind it (isolation.hpp:
/// bridge_of_only), or null: then its secondary bus is not reset. Takes up to a second and a bit;
/// the caller has cut the function's DMA off. kNoReset (arg: BDF): it has no method; kTimeout (arg:
/// BDF): it does not answer any more; kHardwareError (arg: BDF): it answers, but does not look
/// reset, or does not take its BARs back.
Status reset_function(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock,
                      port::ConfigSpace* port = nullptr);

/// The method that reset_function() would use; kNone when there is none.
[[nodiscard]] ResetMethod reset_method(const FunctionInfo& info, port::ConfigSpace& config,
                                       bool has_port = false);

/// True when reset_function() has a method to try.
[[nodiscard]] inline bool can_reset(const FunctionInfo& info, port::ConfigSpace& config,
                                    bool has_port = false) {
  return reset_method(info, config, has_port) != ResetMethod::kNone;
}

}  // namespace penstock::pci
