// The devices of one domain, as its traps meet them.
//
// Lock: lock_ covers the views, the hardware registers behind them and the routes of all devices of
// the domain. It is held for one access or one change of owner. Under it: the virtual ITS
// (resolve), stage-2 tables, SMMU and ITS queues. The virtual ITS calls back without its own lock.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/assign/device.hpp"
#include "core/base/lock.hpp"
#include "core/base/static_vector.hpp"
#include "core/vpci/topology.hpp"

namespace penstock::assign {

inline constexpr std::size_t kMaxDevicesPerDomain = 32;

class DevicesVisitor {
 public:
  /// Called under the set's lock; must not call back into the set.
  virtual void devices(std::span<const Device* const> devices) = 0;

 protected:
  ~DevicesVisitor() = default;
};

class DeviceSet final : public vmsi::ItsListener {
 public:
  /// Both outlive the set. Boot.
  void init(const Hardware& hw, const Owner& owner);
  /// Adds a quarantined device; assign_all() hands it over. kTableFull. Boot.
  Status add(Device& device) EXCLUDES(lock_);

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

  void event_changed(GuestDeviceId device, GuestEventId event) override EXCLUDES(lock_);
  void device_changed(GuestDeviceId device) override EXCLUDES(lock_);
  void collections_changed() override EXCLUDES(lock_);

  /// Shows the devices while nothing about them can change: no access of the guest, no change of
  /// owner. Whoever looks at the hardware meanwhile sees what belongs to what is shown.
  void visit(DevicesVisitor& visitor) EXCLUDES(lock_);

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
  [[nodiscard]] Device* by_guest(GuestBdf bdf) REQUIRES(lock_);
  void take_back_first(std::size_t count) REQUIRES(lock_);
  void refresh(Device& device) REQUIRES(lock_);

  Hardware hw_{};
  Owner owner_{};
  StaticVector<Device*, kMaxDevicesPerDomain> devices_;  // fixed after boot
  SpinLock lock_;
  vpci::Topology bus_ GUARDED_BY(lock_);
};

}  // namespace penstock::assign
