// How one CPU makes another look at its mail.
#pragma once

#include "core/base/ids.hpp"

namespace penstock::port {

class VcpuKick {
 public:
  /// Makes the CPU that owns `vcpu` enter the hypervisor soon, where it calls deliver() before its
  /// guest runs again; a CPU that waits for an interrupt is woken. All that the caller wrote before
  /// is visible there by then (on hardware: a barrier, then a software-generated interrupt).
  /// Nothing needs to happen for the CPU that executes the call, which is in the hypervisor
  /// already, nor for a virtual CPU that is off. Any CPU; may be called with emulation locks held,
  /// takes none and does not call back. Kicks may merge.
  virtual void kick(VcpuIndex vcpu) = 0;

  /// What SEV does: CPUs that wait in WFE go on. Same context.
  virtual void send_event() = 0;

 protected:
  ~VcpuKick() = default;
};

}  // namespace penstock::port
