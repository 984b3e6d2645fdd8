// A bus behind a bridge, whose reset hits every function there: who uses which of them, and one
// reset at a time.
//
// A secondary bus reset is the last resort of functions without a reset of their own. It is used
// where nobody else has any of the functions, so that it can hit no one: they are all their last
// owner's, who lets go of all of them at once, or nobody's.
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
  /// one that is under way.
  void enter(const Device& device, port::Clock& clock) EXCLUDES(lock_);
  /// It is silent, and nobody's.
  void leave(const Device& device) EXCLUDES(lock_);

  /// Resets a device of this bus, with the bus where that has to be and may be; then the others of
  /// the bus are clean, too. What pci::reset_function() answers. Waits for another reset under way.
  Status reset(Device& device, port::Clock& clock) EXCLUDES(lock_);

 private:
  struct Member {
    Device* device = nullptr;
    bool used = false;
  };
  using Members = StaticVector<Member, pci::Reset::kMaxFunctions>;

  /// True once, for one who waits for his turn. `alone`: nobody has any other function.
  [[nodiscard]] bool begin(const Device& device, bool& alone) EXCLUDES(lock_);
  void end() EXCLUDES(lock_);
  void set_used(const Device& device, bool used) REQUIRES(lock_);

  port::ConfigSpace* bridge_ = nullptr;
  Members members_;  // their number is fixed at boot
  SpinLock lock_;    // each member's `used`
  bool resetting_ GUARDED_BY(lock_) = false;
};

}  // namespace penstock::assign
