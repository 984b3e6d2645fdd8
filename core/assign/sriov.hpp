// Who makes a physical function's virtual functions, and takes them away.
#pragma once

#include "core/base/result.hpp"

namespace penstock::assign {

struct Device;

/// Called without any lock: taking VFs away takes locks of the domains that have them. Waits as
/// long as the hardware does, a second or two at most.
class SriovHost {
 public:
  /// Switches `count` VFs on, in place of those that are: a guest may have switched them off and on
  /// again before it was served. They are then devices in quarantine, nobody's. On an error none is
  /// on.
  virtual Status enable(Device& pf, unsigned count) = 0;
  /// Takes each VF from whoever has it, then switches all off. Nothing where none is on.
  virtual void disable(Device& pf) = 0;
  /// The PF was reset, with its VFs off.
  virtual void after_reset(Device& pf) = 0;

 protected:
  ~SriovHost() = default;
};

}  // namespace penstock::assign
