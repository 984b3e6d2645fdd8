#include "core/assign/device_set.hpp"

#include "core/assign/lifecycle.hpp"
#include "core/assign/messages.hpp"
#include "core/base/bytes.hpp"

namespace penstock::assign {

void DeviceSet::init(const Hardware& hw, const Owner& owner) {
  hw_ = hw;
  owner_ = owner;
}

Status DeviceSet::add(Device& device) {
  const LockGuard guard(lock_);
  TRY(devices_.push_back(&device));
  return {};
}

Status DeviceSet::assign_all() {
  const LockGuard guard(lock_);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    Device& device = *devices_[i];
    Status given = hand_over(hw_, owner_, device);
    if (given) {
      given = bus_.add(device.placement.guest, &device.view);
      if (!given) (void)take_back(hw_, owner_, device);
    }
    // What was not given is not ours to take back: another domain may have it.
    if (!given) {
      take_back_first(i);
      return fail(given.error().code, device.info.bdf.value());
    }
  }
  return {};
}

void DeviceSet::take_back_first(std::size_t count) {
  while (count != 0) {
    Device& device = *devices_[--count];
    (void)bus_.remove(device.placement.guest);
    (void)take_back(hw_, owner_, device);
  }
}

void DeviceSet::take_all_back() {
  const LockGuard guard(lock_);
  take_back_first(devices_.size());
}

Device* DeviceSet::by_guest(GuestBdf bdf) {
  for (Device* device : devices_) {
    if (device->placement.guest == bdf) return device;
  }
  return nullptr;
}

std::uint64_t DeviceSet::config_read(std::uint64_t offset, unsigned size) {
  const LockGuard guard(lock_);
  return bus_.config_read(offset, size);
}

void DeviceSet::config_write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const LockGuard guard(lock_);
  const vpci::Effects effects = bus_.config_write(offset, size, value);
  if (effects.empty()) return;
  Device* device = by_guest(GuestBdf(static_cast<std::uint16_t>(offset >> 12)));
  if (device != nullptr) apply(hw_, owner_, *device, effects);
}

std::optional<DeviceSet::Hit> DeviceSet::find_bar(Gpa at) {
  const auto hit = bus_.find_bar(at);
  if (!hit) return std::nullopt;
  Device* device = by_guest(hit->bdf);
  if (device == nullptr || hit->bar >= device->bars.size() || device->bars[hit->bar] == nullptr) {
    return std::nullopt;
  }
  return Hit{device, hit->bar, hit->offset};
}

std::optional<std::uint64_t> DeviceSet::bar_read(Gpa at, unsigned size) {
  const LockGuard guard(lock_);
  const auto hit = find_bar(at);
  if (!hit) return std::nullopt;
  // A page that could be mapped and is not (two BARs in one place) leads nowhere: only pages with
  // interrupt registers are worth an access on the guest's behalf.
  if (!hit->device->view.is_trapped(hit->bar, hit->offset)) return all_ones(size);
  return hit->device->view.bar_read(hit->bar, hit->offset, size, *hit->device->bars[hit->bar]);
}

bool DeviceSet::bar_write(Gpa at, unsigned size, std::uint64_t value) {
  const LockGuard guard(lock_);
  const auto hit = find_bar(at);
  if (!hit) return false;
  if (!hit->device->view.is_trapped(hit->bar, hit->offset)) return true;
  const vpci::Effects effects =
      hit->device->view.bar_write(hit->bar, hit->offset, size, value, *hit->device->bars[hit->bar]);
  apply(hw_, owner_, *hit->device, effects);
  return true;
}

void DeviceSet::visit(DevicesVisitor& visitor) {
  const LockGuard guard(lock_);
  visitor.devices({devices_.begin(), devices_.size()});
}

void DeviceSet::refresh(Device& device) {
  if (device.state == DeviceState::kAssigned && device.view.kind() != vpci::MsiKind::kNone) {
    follow_vectors(hw_, owner_, device, 0, device.view.vector_count());
  }
}

void DeviceSet::event_changed(GuestDeviceId id, GuestEventId event) {
  const LockGuard guard(lock_);
  Device* device = by_guest(GuestBdf(static_cast<std::uint16_t>(id.value())));
  if (device == nullptr || device->state != DeviceState::kAssigned) return;
  for (unsigned k = 0; k < device->view.vector_count(); ++k) {
    if (device->view.vector(k).data == event.value()) {
      follow_vectors(hw_, owner_, *device, k, 1);
    }
  }
}

void DeviceSet::device_changed(GuestDeviceId id) {
  const LockGuard guard(lock_);
  Device* device = by_guest(GuestBdf(static_cast<std::uint16_t>(id.value())));
  if (device != nullptr) refresh(*device);
}

void DeviceSet::collections_changed() {
  const LockGuard guard(lock_);
  for (Device* device : devices_) refresh(*device);
}

}  // namespace penstock::assign
