#include "core/assign/device_set.hpp"

#include "core/assign/lifecycle.hpp"
#include "core/assign/messages.hpp"
#include "core/base/bytes.hpp"

namespace penstock::assign {
namespace {

bool unmaps_a_bar(const vpci::Effects& effects) {
  for (const vpci::Effect& effect : effects) {
    if (effect.kind == vpci::Effect::Kind::kUnmapBar) return true;
  }
  return false;
}

}  // namespace

Status DeviceSet::init(const Hardware& hw, const Owner& owner, unsigned slots) {
  hw_ = hw;
  owner_ = owner;
  owner_.devices = &devices_;
  const LockGuard guard(lock_);
  return slots == 0 ? Status{} : bus_.init_slots(slots);
}

Status DeviceSet::add(Device& device) {
  const LockGuard guard(lock_);
  TRY(devices_.push_back(&device));
  return {};
}

Status DeviceSet::add_built_in(GuestBdf at, BuiltIn& built_in) {
  const LockGuard guard(lock_);
  if (built_in_ != nullptr) return fail(Code::kAlreadyExists, at.value());
  TRY(bus_.add(at, &built_in.view()));
  built_in_ = &built_in;
  built_in_at_ = at;
  return {};
}

Status DeviceSet::show(Device& device) {
  const auto slot = vpci::slot_of(device.placement.guest);
  if (slot) return bus_.plug(*slot, &device.view);
  return bus_.add(device.placement.guest, &device.view);
}

void DeviceSet::conceal(Device& device) {
  const auto slot = vpci::slot_of(device.placement.guest);
  if (slot) {
    (void)bus_.unplug(*slot);
  } else {
    (void)bus_.remove(device.placement.guest);
  }
}

Status DeviceSet::give(Device& device) {
  TRY(hand_over(hw_, owner_, device));
  const Status shown = show(device);
  if (!shown) (void)take_back(hw_, owner_, device);
  return shown;
}

void DeviceSet::take(Device& device) {
  conceal(device);
  (void)take_back(hw_, owner_, device);
  fill_gaps();
}

/// Where something has left the guest's address space, what waited for its place comes.
void DeviceSet::fill_gaps() {
  map_waiting_bars(owner_);
  if (built_in_ != nullptr) built_in_->fill_gap();
}

/// What the guest, or a change of ours, has made the ports say.
void DeviceSet::settle_ports() {
  while (const auto event = bus_.take_event()) serve(*event);
}

void DeviceSet::serve(const vpci::PortEvent& event) {
  Device* device = by_guest(vpci::card_of(event.slot));
  if (event.bus_reset && device != nullptr && device->state == DeviceState::kAssigned) {
    apply(hw_, owner_, *device, device->view.reset());
    fill_gaps();
    reset_or_note(hw_, owner_, *device);
    note_work(*device);
  }
  if (event.let_go && device != nullptr) {
    (void)take_back(hw_, owner_, *device);
    (void)bus_.unplug(event.slot);
    forget(*device);
    fill_gaps();
  }
  if (event.message) send(event);
}

/// A port's interrupt: its address is the guest's own business (behind its IOMMU it is an IOVA), so
/// its virtual ITS alone decides what becomes of the event.
void DeviceSet::send(const vpci::PortEvent& event) {
  const GuestDeviceId port(vpci::port_of(event.slot).value());
  const auto target = owner_.its->resolve(port, GuestEventId(event.data));
  if (target) owner_.gic->pend_lpi(target->vcpu, target->lpi);
}

void DeviceSet::forget(Device& device) {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (devices_[i] == &device) devices_.erase(i);
  }
  device.detaching = false;
  device.domain.store(kNobody, std::memory_order_release);
}

/// All are reset before the first one is handed over: some can only be reset together with others,
/// which nobody may use then, in whatever order they are listed.
Status DeviceSet::prepare_all() {
  for (Device* device : devices_) {
    if (device->state != DeviceState::kQuarantined) continue;  // hand_over() refuses it
    const Status prepared = prepare(hw_, *device);
    if (!prepared) return fail(prepared.error().code, device->info.bdf.value());
  }
  return {};
}

Status DeviceSet::assign_all() {
  const LockGuard guard(lock_);
  TRY(prepare_all());
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const Status given = give(*devices_[i]);
    if (given) continue;
    // What was not given is not ours to take back: another domain may have it.
    const std::uint16_t failed = devices_[i]->info.bdf.value();
    take_back_first(i);
    return fail(given.error().code, failed);
  }
  bus_.restart();
  live_ = true;
  return {};
}

/// All are silent before the first one is reset: some may only be reset together.
void DeviceSet::take_back_first(std::size_t count) {
  std::array<Status, kMaxDevicesPerDomain> cut{};
  for (std::size_t i = count; i != 0; --i) {
    conceal(*devices_[i - 1]);
    cut[i - 1] = cut_off(hw_, owner_, *devices_[i - 1]);
  }
  for (std::size_t i = count; i != 0; --i) {
    (void)settle(hw_, owner_, *devices_[i - 1], cut[i - 1]);
  }
}

void DeviceSet::take_all_back() {
  const LockGuard guard(lock_);
  take_back_first(devices_.size());
  live_ = false;
  // A guest that ends has let go of what it was asked for.
  for (std::size_t i = devices_.size(); i != 0; --i) {
    if (devices_[i - 1]->detaching) forget(*devices_[i - 1]);
  }
  if (built_in_ != nullptr) built_in_->reset();
}

std::optional<GuestBdf> DeviceSet::free_slot() {
  const LockGuard guard(lock_);
  for (unsigned slot = 0; slot < vpci::kMaxSlots; ++slot) {
    const GuestBdf card = vpci::card_of(slot);
    if (bus_.slot_state(slot) == vpci::SlotState::kEmpty && by_guest(card) == nullptr) return card;
  }
  return std::nullopt;
}

std::optional<GuestBdf> DeviceSet::free_place(unsigned end) {
  const LockGuard guard(lock_);
  for (unsigned number = 1; number < end; ++number) {
    bool taken = false;
    for (const Device* device : devices_) {
      const GuestBdf at = device->placement.guest;
      taken = taken || (at.bus() == 0 && at.device() == number);
    }
    if (!taken) return GuestBdf(0, number, 0);
  }
  return std::nullopt;
}

Status DeviceSet::attach(Device& device) {
  const LockGuard guard(lock_);
  if (has(device) || by_guest(device.placement.guest) != nullptr) {
    return fail(Code::kAlreadyExists, device.placement.guest.value());
  }
  // Not reserved for this domain, or gone since: a virtual function, or one that broke.
  if (device.domain != owner_.id.value()) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(device.state));
  }
  if (device.state != DeviceState::kQuarantined) {
    forget(device);
    return fail(Code::kBadState, static_cast<std::uint64_t>(device.state));
  }
  TRY(devices_.push_back(&device));
  if (!live_) return {};
  const Status given = give(device);
  if (!given) forget(device);
  settle_ports();
  return given;
}

/// What of a detach can be seen to be impossible before anything is done.
Status DeviceSet::check_detach(const Device& device, bool force) {
  if (!has(device)) return fail(Code::kNotFound, device.info.bdf.value());
  // A guest can only be asked for what stands in a slot.
  if (!force && live_ && !vpci::slot_of(device.placement.guest)) {
    return fail(Code::kUnsupported, device.info.bdf.value());
  }
  return {};
}

Status DeviceSet::detach(Device& device, bool force) {
  if (device.sriov != nullptr && hw_.sriov != nullptr) {
    {
      const LockGuard guard(lock_);
      TRY(check_detach(device, force));
      device.work.frozen = true;
    }
    hw_.sriov->disable(device);
  }
  const LockGuard guard(lock_);
  TRY(check_detach(device, force));
  if (device.state == DeviceState::kAssigned) device.view.vfs_lost();
  if (!force && live_) {
    TRY(bus_.request_removal(*vpci::slot_of(device.placement.guest)));
    device.detaching = true;
  } else {
    if (live_) take(device);
    forget(device);
  }
  settle_ports();
  return {};
}

bool DeviceSet::has(const Device& device) {
  for (const Device* each : devices_) {
    if (each == &device) return true;
  }
  return false;
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
  if (!effects.empty()) {
    const GuestBdf at(static_cast<std::uint16_t>(offset >> 12));
    Device* device = by_guest(at);
    if (is_built_in(at)) {
      built_in_->apply(effects);
    } else if (device != nullptr) {
      apply(hw_, owner_, *device, effects);
      note_work(*device);
    }
    if (unmaps_a_bar(effects)) fill_gaps();
  }
  settle_ports();
}

std::optional<vpci::BarHit> DeviceSet::find_built_in(Gpa at) {
  if (built_in_ == nullptr) return std::nullopt;
  auto hit = bus_.find_bar(at);
  if (hit && !is_built_in(hit->bdf)) hit.reset();
  return hit;
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
  if (const auto own = find_built_in(at)) return built_in_->bar_read(own->bar, own->offset, size);
  const auto hit = find_bar(at);
  if (!hit) return std::nullopt;
  // A page that could be mapped and is not (two BARs in one place) leads nowhere: only pages with
  // interrupt registers are worth an access on the guest's behalf.
  if (!hit->device->view.is_trapped(hit->bar, hit->offset)) return all_ones(size);
  return hit->device->view.bar_read(hit->bar, hit->offset, size, *hit->device->bars[hit->bar]);
}

bool DeviceSet::bar_write(Gpa at, unsigned size, std::uint64_t value) {
  const LockGuard guard(lock_);
  if (const auto own = find_built_in(at)) {
    built_in_->bar_write(own->bar, own->offset, size, value);
    return true;
  }
  const auto hit = find_bar(at);
  if (!hit) return false;
  if (!hit->device->view.is_trapped(hit->bar, hit->offset)) return true;
  const vpci::Effects effects =
      hit->device->view.bar_write(hit->bar, hit->offset, size, value, *hit->device->bars[hit->bar]);
  apply(hw_, owner_, *hit->device, effects);
  return true;
}

void DeviceSet::note_work(const Device& device) {
  // Whoever is at it now notes what is asked for meanwhile when it is done (finish_work()).
  const bool waits = device.work.kind != SriovWork::Kind::kNone && !device.work.busy;
  if (waits) work_.store(true, std::memory_order_release);
}

/// Each in its turn, so that none asks so often that another one never comes to it.
Device* DeviceSet::next_with_work(SriovWork& work) {
  const LockGuard guard(lock_);
  for (std::size_t n = 0; n < devices_.size(); ++n) {
    Device* device = devices_[(turn_ + n) % devices_.size()];
    if (device->work.kind == SriovWork::Kind::kNone || device->work.busy) continue;
    work = device->work;
    // A reset comes before what was asked for after it.
    if (work.then_reset) work.kind = SriovWork::Kind::kDisable;
    if (work.kind == device->work.kind) device->work.kind = SriovWork::Kind::kNone;
    device->work.then_reset = false;
    device->work.busy = work.kind != SriovWork::Kind::kEnable || !work.frozen;
    if (device->work.busy) {
      turn_ += n + 1;
      return device;
    }
    device->view.vfs_lost();
  }
  return nullptr;
}

DeviceSet::Afterwards DeviceSet::finish_work(Device& device, const SriovWork& work, bool done) {
  const LockGuard guard(lock_);
  device.work.busy = false;
  for (const Device* each : devices_) note_work(*each);  // what is left, or was noted meanwhile
  const bool ours = has(device) && device.state == DeviceState::kAssigned;
  // Meanwhile it went, or is about to: whoever took its VFs away did so before they came.
  const bool late = work.kind == SriovWork::Kind::kEnable && (!ours || device.work.frozen);
  if (ours && (late || !done)) device.view.vfs_lost();
  if (late) return done ? Afterwards::kDisable : Afterwards::kNothing;
  const bool resets = work.kind == SriovWork::Kind::kDisable && work.then_reset;
  if (!ours || !resets) return Afterwards::kNothing;
  (void)reset_in_place(hw_, owner_, device);
  return Afterwards::kWasReset;
}

void DeviceSet::do_work() {
  // One turn of one device in one stay, a second or two: the guest's other CPUs may ask for the
  // next as soon as this one is done. Whatever is left is has_work() again.
  if (!work_.exchange(false, std::memory_order_acq_rel)) return;
  SriovWork work;
  Device* device = next_with_work(work);
  if (device == nullptr) return;
  bool done = true;
  if (work.kind == SriovWork::Kind::kEnable) {
    done = hw_.sriov->enable(*device, work.count).has_value();
  } else {
    hw_.sriov->disable(*device);
  }
  switch (finish_work(*device, work, done)) {
    case Afterwards::kNothing: break;
    case Afterwards::kDisable: hw_.sriov->disable(*device); break;
    case Afterwards::kWasReset: hw_.sriov->after_reset(*device); break;
  }
}

void DeviceSet::stop_virtual_functions() {
  if (hw_.sriov == nullptr) return;
  StaticVector<Device*, kMaxDevicesPerDomain> physical;
  {
    const LockGuard guard(lock_);
    for (Device* device : devices_) {
      device->work.frozen = true;
      if (device->sriov != nullptr) (void)physical.push_back(device);  // as many as there are
    }
  }
  for (Device* device : physical) hw_.sriov->disable(*device);
}

StaticVector<const Device*, kMaxDevicesPerDomain> DeviceSet::members() {
  const LockGuard guard(lock_);
  StaticVector<const Device*, kMaxDevicesPerDomain> list;
  for (const Device* device : devices_) (void)list.push_back(device);  // as many as there can be
  return list;
}

void DeviceSet::visit(DevicesVisitor& visitor) {
  const LockGuard guard(lock_);
  visitor.devices({devices_.begin(), devices_.size()});
}

/// Which vectors a change of the virtual ITS may concern: from Device::stale_from on. A device that
/// comes or goes meanwhile has all its routes worked out then.
void DeviceSet::mark_stale(const vmsi::ItsChange& change) {
  for (Device* device : devices_) {
    const bool concerned =
        change.kind == vmsi::ItsChange::Kind::kAll || device->guest_device_id() == change.device;
    device->stale_from = concerned ? 0 : vpci::kMaxVectors;
  }
}

/// The next vectors of one device, at most one of them anew; what it cost.
unsigned DeviceSet::follow_next(const vmsi::ItsChange& change, Device& device) {
  for (unsigned looked_at = 0; looked_at < kVectorsPerUnit; ++looked_at) {
    const unsigned k = device.stale_from;
    if (k >= device.view.vector_count()) break;
    ++device.stale_from;
    if (change.kind == vmsi::ItsChange::Kind::kEvent &&
        device.view.vector(k).data != change.event.value()) {
      continue;
    }
    return 1 + kMoveUnits * follow_vectors(hw_, owner_, device, k, 1);
  }
  return 1;
}

vmsi::ItsProgress DeviceSet::follow(const vmsi::ItsChange& change, bool first, unsigned budget) {
  const LockGuard guard(lock_);
  if (first) mark_stale(change);
  unsigned spent = 0;
  for (Device* device : devices_) {
    const bool takes_part =
        device->state == DeviceState::kAssigned && device->view.kind() != vpci::MsiKind::kNone;
    while (takes_part && device->stale_from < device->view.vector_count()) {
      if (spent >= budget) return {.units = spent, .done = false};
      spent += follow_next(change, *device);
    }
  }
  return {.units = spent, .done = true};
}

}  // namespace penstock::assign
