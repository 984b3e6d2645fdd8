// Every function of the board that can be given to a domain.
#pragma once

#include "core/base/text.hpp"
#include "hypervisor/machine.hpp"

namespace penstock {

using assign::kNobody;

/// Makes a device of each endpoint that enumeration has found and puts it into quarantine. Boot.
void quarantine_devices(Machine& m);

/// Sets aside room for one more device, absent for now; false: there is none. Boot.
bool add_absent_device(Machine& m);
/// Makes the device at `index` of the table the function that `info` tells of, in quarantine. What
/// assign::quarantine() answers; kNotFound: it has no stream or device ID. Boot, or whoever
/// switches virtual functions.
Status fill_device(Machine& m, unsigned index, const pci::FunctionInfo& info);

/// A device of the board, unless it is absent; or null.
[[nodiscard]] assign::Device* find_device(Machine& m, HostBdf bdf);

/// Where a device is to appear and what is accepted about it.
struct Claim {
  HostBdf host;
  GuestBdf guest;
  bool accept_no_reset = false;
  bool accept_insecure = false;
  bool multi_function = false;
  bool behind_stage1 = false;  // the domain's guest has an IOMMU of its own
};

/// Reserves a device that is nobody's for a domain; its counters begin anew. kNotFound, kNotOwner
/// (another domain has it, or it is hidden), kBadState (broken), kNoIsolation: `why` says more.
/// Boot, or a request under way.
Result<assign::Device*> claim_device(Machine& m, DomainId domain, const Claim& claim,
                                     TextWriter& why);
/// It is nobody's again; it has been taken back, or was never handed over.
void release_device(assign::Device& device);

}  // namespace penstock
