// The devices of one domain, as its traps meet them.
//
// Lock: lock_ covers the views, the hardware registers behind them and the routes of all devices of
// the domain. It is held for one access or one change of owner. Under it: the virtual ITS
// (resolve), stage-2 tables, SMMU and ITS queues. The virtual ITS calls back without its own lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "core/assign/built_in.hpp"
#include "core/assign/device.hpp"
#include "core/base/lock.hpp"
#include "core/base/static_vector.hpp"
#include "core/vpci/topology.hpp"

namespace penstock::assign {

class DevicesVisitor {
 public:
  /// Called under the set's lock; must not call back into the set.
  virtual void devices(std::span<const Device* const> devices) = 0;

 protected:
  ~DevicesVisitor() = default;
};

class DeviceSet final : public vmsi::ItsListener {
 public:
  /// Both outlive the set. `slots`: how many root ports the guest is shown, for devices that come
  /// and go. kOutOfRange. Boot.
  Status init(const Hardware& hw, const Owner& owner, unsigned slots);
  /// Adds a quarantined device; assign_all() hands it over. kTableFull. Boot.
  Status add(Device& device) EXCLUDES(lock_);

  /// Puts a function of ours on the guest's bus, one at most. kAlreadyExists; what Topology::add
  /// answers. Both outlive the set. Boot.
  Status add_built_in(GuestBdf at, BuiltIn& built_in) EXCLUDES(lock_);
  /// Null: none. What it shows is read under the lock (visit()).
  [[nodiscard]] const BuiltIn* built_in() const { return built_in_; }

  /// Hands every device over. On an error those before it are taken back: all or none (H38).
  Status assign_all() EXCLUDES(lock_);
  /// Takes every device back; failures are logged and leave that device broken.
  void take_all_back() EXCLUDES(lock_);

  /// Guest accesses to its ECAM window: offset in bytes, size 1..8.
  [[nodiscard]] std::uint64_t config_read(std::uint64_t offset, unsigned size) EXCLUDES(lock_);
  void config_write(std::uint64_t offset, unsigned size, std::uint64_t value) EXCLUDES(lock_);
  /// Guest accesses to BAR pages that trap. No value, false: no BAR is mapped there.
  std::optional<std::uint64_t> bar_read(Gpa at, unsigned size) EXCLUDES(lock_);
  bool bar_write(Gpa at, unsigned size, std::uint64_t value) EXCLUDES(lock_);

  /// A vector whose route is worked out anew costs 1, one that the board's ITS moves kMoveUnits
  /// besides; a device's others cost 1 for each kVectorsPerUnit that are looked at.
  vmsi::ItsProgress follow(const vmsi::ItsChange& change, bool first, unsigned budget) override
      EXCLUDES(lock_);
  static constexpr unsigned kMoveUnits = 4;
  static constexpr unsigned kVectorsPerUnit = 32;

  /// Shows the devices while nothing about them can change: no access of the guest, no change of
  /// owner. Whoever looks at the hardware meanwhile sees what belongs to what is shown.
  void visit(DevicesVisitor& visitor) EXCLUDES(lock_);

  /// A place for one more device that can come while the guest runs; nothing: there is none.
  [[nodiscard]] std::optional<GuestBdf> free_slot() EXCLUDES(lock_);
  /// A device number of bus 0 below `end` where no device of this set is meant to be.
  [[nodiscard]] std::optional<GuestBdf> free_place(unsigned end) EXCLUDES(lock_);
  /// Adds a device that is reserved for this domain; hands it over and shows it to the guest where
  /// the domain runs, else when it starts. kAlreadyExists: it, or its place, is here already; what
  /// hand_over() and Topology answer. Nothing is left then.
  Status attach(Device& device) EXCLUDES(lock_);
  /// Asks the guest to let go of the device, or with `force` takes it away at once, as where the
  /// guest could not be asked. When it is gone it is nobody's. kNotFound: it is not here.
  /// kUnsupported: it stands in no slot, so that its guest cannot be asked. Nothing has changed
  /// then.
  Status detach(Device& device, bool force) EXCLUDES(lock_);

  /// A guest waits for virtual functions to come or go: do_work() on one of its CPUs, soon.
  [[nodiscard]] bool has_work() const { return work_.load(std::memory_order_acquire); }
  /// One turn of it: what one physical function is asked for, however often its guest asks anew.
  void do_work() EXCLUDES(lock_);
  /// Every virtual function of these devices goes, whoever has it; no more come until a device is
  /// handed over anew. Before take_all_back().
  void stop_virtual_functions() EXCLUDES(lock_);

  /// Calls `action(Device&)` for each and forgets them all. They have been taken back.
  template <typename Action>
  void release_all(Action&& action) EXCLUDES(lock_) {
    const LockGuard guard(lock_);
    while (!devices_.empty()) {
      action(*devices_[devices_.size() - 1]);
      devices_.erase(devices_.size() - 1);
    }
  }

  /// The devices of this moment. Devices outlive every set.
  [[nodiscard]] StaticVector<const Device*, kMaxDevicesPerDomain> members() EXCLUDES(lock_);

  /// What all these devices together may cost in events of the IOMMU, for as long as their domain
  /// lives: four times what one of them may. Guarded by whoever takes the events.
  [[nodiscard]] Allowance& fault_allowance() { return fault_allowance_; }

  /// As init() got it.
  [[nodiscard]] const Owner& owner() const { return owner_; }
  [[nodiscard]] bool empty() const { return devices_.empty(); }
  [[nodiscard]] std::size_t size() const { return devices_.size(); }
  [[nodiscard]] const Device& device(std::size_t i) const { return *devices_[i]; }

 private:
  struct Hit {
    Device* device;
    unsigned bar;
    std::uint64_t offset;
  };
  [[nodiscard]] std::optional<Hit> find_bar(Gpa at) REQUIRES(lock_);
  [[nodiscard]] bool is_built_in(GuestBdf at) const {
    return built_in_ != nullptr && at == built_in_at_;
  }
  [[nodiscard]] std::optional<vpci::BarHit> find_built_in(Gpa at) REQUIRES(lock_);
  [[nodiscard]] bool has(const Device& device) REQUIRES(lock_);
  [[nodiscard]] Status check_detach(const Device& device, bool force) REQUIRES(lock_);
  [[nodiscard]] Device* by_guest(GuestBdf bdf) REQUIRES(lock_);
  Status prepare_all() REQUIRES(lock_);
  void take_back_first(std::size_t count) REQUIRES(lock_);
  Status give(Device& device) REQUIRES(lock_);
  void take(Device& device) REQUIRES(lock_);
  void fill_gaps() REQUIRES(lock_);
  void forget(Device& device) REQUIRES(lock_);
  Status show(Device& device) REQUIRES(lock_);
  void conceal(Device& device) REQUIRES(lock_);
  void settle_ports() REQUIRES(lock_);
  void serve(const vpci::PortEvent& event) REQUIRES(lock_);
  void send(const vpci::PortEvent& event) REQUIRES(lock_);
  void note_work(const Device& device) REQUIRES(lock_);
  [[nodiscard]] Device* next_with_work(SriovWork& work) EXCLUDES(lock_);
  /// What only works without the lock, which SriovHost is never called under.
  enum class Afterwards : std::uint8_t { kNothing, kDisable, kWasReset };
  Afterwards finish_work(Device& device, const SriovWork& work, bool done) EXCLUDES(lock_);
  void mark_stale(const vmsi::ItsChange& change) REQUIRES(lock_);
  [[nodiscard]] unsigned follow_next(const vmsi::ItsChange& change, Device& device) REQUIRES(lock_);

  Hardware hw_{};
  Owner owner_{};
  static constexpr std::uint64_t kMostFaults = 4 * DeviceLimits::kFaults;
  Allowance fault_allowance_{kMostFaults, 1'000'000'000 / kMostFaults, 1'000'000'000 / 256};
  DeviceList devices_;                      // changed under lock_
  std::atomic<bool> work_{false};           // some device's SriovWork is to be done
  std::size_t turn_ GUARDED_BY(lock_) = 0;  // whose work is looked at first
  bool live_ = false;                       // between assign_all() and take_all_back()
  BuiltIn* built_in_ = nullptr;             // fixed when the domain was built
  GuestBdf built_in_at_;
  SpinLock lock_;
  vpci::Topology bus_ GUARDED_BY(lock_);
};

}  // namespace penstock::assign
