// SR-IOV on the board: virtual functions become devices of the table and cease to be.
#pragma once

#include <array>

#include "core/assign/sriov.hpp"
#include "core/base/lock.hpp"
#include "core/pci/sriov.hpp"
#include "core/vpci/facts.hpp"

namespace penstock {

struct Machine;

/// Lock: lock_ around switching, one PF at a time; under it the locks of the domains that have VFs.
/// Taken without any other.
class VirtualFunctions final : public assign::SriovHost {
 public:
  /// Sets aside a device, absent for now, for each virtual function that there can be. Boot, after
  /// the other devices were made.
  void prepare(Machine& machine);

  Status enable(assign::Device& pf, unsigned count) override EXCLUDES(lock_);
  void disable(assign::Device& pf) override EXCLUDES(lock_);
  void after_reset(assign::Device& pf) override EXCLUDES(lock_);

  /// Held by whatever must find the devices of the table where it left them: who builds a domain or
  /// takes one apart, lists or attaches devices, audits. Meanwhile no device becomes absent, and
  /// none comes.
  [[nodiscard]] SpinLock& lock() { return lock_; }

 private:
  struct Physical {
    pci::SriovPf pf;
    vpci::SriovFacts facts;
    const assign::Device* device = nullptr;
    unsigned first = 0;  // of its VFs in the machine's table of devices
    unsigned room = 0;   // how many
    unsigned on = 0;
  };
  [[nodiscard]] Physical* find(const assign::Device& pf);
  Status switch_on(Physical& physical, unsigned count) REQUIRES(lock_);
  Status admit(Physical& physical, unsigned i) REQUIRES(lock_);
  void switch_off(Physical& physical) REQUIRES(lock_);
  void dismiss(assign::Device& vf) REQUIRES(lock_);

  Machine* machine_ = nullptr;
  StaticVector<Physical, pci::kMaxPhysicalFunctions> physical_;  // fixed after boot, but for `on`
  SpinLock lock_;
};

}  // namespace penstock
