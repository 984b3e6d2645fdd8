// A bus behind a bridge, whose reset hits every function there: who uses which of them, and whose
// turn it is.
//
// A secondary bus reset is the last resort of functions without a reset of their own. It is used
// where nobody else has any of the functions, so that it can hit no one: they are all their last
// owner's, who lets go of all of them at once, or nobody's.
//
// What somebody uses resets by its own methods as it likes. Whatever else is reset takes turns, in
// the order of asking, so that no reset of the bus meets another reset.
#pragma once

#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/pci/reset.hpp"
#include "core/port/clock.hpp"
#include "core/port/config_space.hpp"

namespace penstock::assign {

struct Device;

class SecondaryBus {
 public:
  /// The bridge outlives this. Boot.
  void init(port::ConfigSpace& bridge);
  /// One of the functions behind the bridge; the bus is only reset when all are known. kTableFull.
  /// Boot.
  Status add(Device& device) EXCLUDES(lock_);

  /// The device is being given to somebody: no reset but its own hits it from here on. Waits for
  /// the turns that others have or wait for.
  void enter(const Device& device) EXCLUDES(turn_, lock_);
  /// It is silent, and nobody's.
  void leave(const Device& device) EXCLUDES(lock_);

  /// Resets a device of this bus, with the bus where that has to be and may be; then the others of
  /// the bus are clean, too, or, when it failed, in an unknown state. What pci::reset_function()
  /// answers. May wait for a turn. `only`: pci::ResetTarget's.
  Status reset(Device& device, port::Clock& clock, pci::ResetMethod only = pci::ResetMethod::kNone)
      EXCLUDES(turn_, lock_);

 private:
  struct Member {
    Device* device = nullptr;
    bool used = false;
  };
  using Members = StaticVector<Member, pci::Reset::kMaxFunctions>;

  void set_used(const Device& device, bool used) EXCLUDES(lock_);
  [[nodiscard]] bool is_used(const Device& device) EXCLUDES(lock_);
  /// Nobody has any other function.
  [[nodiscard]] bool is_alone(const Device& device) EXCLUDES(lock_);
  [[nodiscard]] Result<pci::ResetMethod> reset_all(Device& device, port::Clock& clock,
                                                   pci::ResetMethod only) REQUIRES(turn_);

  port::ConfigSpace* bridge_ = nullptr;
  Members members_;  // their number is fixed at boot
  SpinLock turn_;    // held for a whole reset
  SpinLock lock_;    // each member's `used`
};

}  // namespace penstock::assign
