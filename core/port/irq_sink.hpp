// How an emulated device gets the attention of its guest's CPUs.
#pragma once

#include "core/base/ids.hpp"

namespace penstock::port {

class IrqSink {
 public:
  /// One rising edge on the wired interrupt `intid` (an SPI). Any CPU; may be called with emulation
  /// locks held.
  virtual void pulse(GuestIntId intid) = 0;
  /// What SEV does: CPUs that wait in WFE go on. CPUs of others may go on too, as the architecture
  /// allows (DDI 0487, D1.6.1). Same context.
  virtual void send_event() = 0;

 protected:
  ~IrqSink() = default;
};

}  // namespace penstock::port
