#include "core/msi/its.hpp"

#include "core/base/bits.hpp"
#include "core/base/text.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/hw/gic/its_frame.hpp"
#include "core/hw/gic/its_tables.hpp"

namespace penstock::msi {
namespace {

namespace gits = hw::gic::gits;
namespace cmd = its_commands;

constexpr std::uint64_t bit(unsigned n) {
  return std::uint64_t{1} << n;
}

/// EventID bits of a device's table: at least kMinEvents, and always one event that is no vector.
constexpr unsigned event_bits(unsigned vectors) {
  unsigned bits = 1;
  while ((1U << bits) < kMinEvents || (1U << bits) <= vectors) ++bits;
  return bits;
}

}  // namespace

// ---- start ----

Status Its::init(port::Mmio& gits, Hpa base, port::PhysMem& memory, mem::PagePool& pool,
                 port::Clock& clock, port::Log& log, LpiTables& lpis) {
  const LockGuard guard(lock_);
  if (gits_ != nullptr) return fail(Code::kBadState);
  typer_ = gits.read64(gits::kTyper);
  if (get<gits::Physical>(typer_) == 0) return fail(Code::kUnsupported, typer_);
  if (get<gits::Cil>(typer_) != 0 && (2U << get<gits::CidBits>(typer_)) < kMaxCpus) {
    return fail(Code::kUnsupported, typer_);
  }
  TRY(rest(gits, clock));
  const unsigned device_bits = static_cast<unsigned>(get<gits::DevBits>(typer_)) + 1;
  const auto held = static_cast<unsigned>(get<gits::Hcc>(typer_));
  TRY(tables_.init(gits, memory, pool, device_bits, kMaxCpus, held));
  TRY(queue_.init(gits, memory, pool, clock));
  gits.write32(gits::kCtlr, static_cast<std::uint32_t>(gits::Enabled::kMask));

  for (std::uint8_t& cpu : cpu_) cpu = kUnmapped;
  doorbell_ = base + gits::kTranslater;
  pool_ = &pool;
  log_ = &log;
  lpis_ = &lpis;
  gits_ = &gits;
  return {};
}

/// Disables the ITS and waits until nothing is in flight: its registers may change only then
/// (12.19.4).
Status Its::rest(port::Mmio& gits, port::Clock& clock) {
  gits.write32(gits::kCtlr, 0);
  port::Deadline deadline(clock, kWaitNs);
  for (;;) {
    const bool late = deadline.expired();  // before the look: one more look after the deadline
    if (get<gits::Quiescent>(gits.read32(gits::kCtlr)) != 0) return {};
    if (late) return fail(Code::kTimeout, gits::kCtlr);
  }
}

Status Its::stop_idle(port::Mmio& gits, port::Clock& clock) {
  const unsigned revision = (gits.read32(hw::gic::kPidr2) >> 4) & 0xf;
  if (revision != 3 && revision != 4) return fail(Code::kNotFound);
  return rest(gits, clock);
}

Status Its::map_collection(CpuIndex cpu, std::uint16_t processor_number, Hpa rd_base) {
  const LockGuard guard(lock_);
  TRY(ready());
  if (cpu.value() >= kMaxCpus) return fail(Code::kOutOfRange, cpu.value());
  Target& target = targets_[cpu.value()];
  if (target.mapped) return fail(Code::kAlreadyExists, cpu.value());
  target.rd_base = get<gits::Pta>(typer_) != 0 ? rd_base.value() >> 16 : processor_number;
  queue_.set_filler(cmd::sync(target.rd_base));
  TRY(queue_.push(cmd::map_collection(cpu.value(), target.rd_base)));
  TRY(queue_.push(cmd::invalidate_all(cpu.value())));
  TRY(queue_.push(cmd::sync(target.rd_base)));
  TRY(queue_.flush());
  target.mapped = true;
  return {};
}

// ---- look-ups and checks ----

Status Its::ready() const {
  if (gits_ == nullptr) return fail(Code::kBadState);
  if (queue_.dead()) return fail(Code::kTimeout, gits::kCreadr);
  return {};
}

Result<unsigned> Its::find(DeviceId device) const {
  for (unsigned slot = 0; slot < kMaxDevices; ++slot) {
    const Device& d = devices_[slot];
    if (d.state == Device::State::kMapped && d.id == device) return slot;
  }
  return fail(Code::kNotFound, device.value());
}

Result<unsigned> Its::find_vector(DeviceId device, EventId event) const {
  const unsigned slot = TRY(find(device));
  if (event.value() >= devices_[slot].events.vectors) {
    return fail(Code::kOutOfRange, event.value());
  }
  return slot;
}

Result<unsigned> Its::find_mapped(DeviceId device, EventId event) const {
  const unsigned slot = TRY(find(device));
  const DeviceEvents& events = devices_[slot].events;
  if (event.value() >= events.vectors || cpu_[index(events.first) + event.value()] == kUnmapped) {
    return fail(Code::kNotFound, event.value());
  }
  return slot;
}

Result<unsigned> Its::free_slot() const {
  for (unsigned slot = 0; slot < kMaxDevices; ++slot) {
    if (devices_[slot].state == Device::State::kFree) return slot;
  }
  return fail(Code::kTableFull, kMaxDevices);
}

Status Its::check_target(CpuIndex cpu) const {
  if (cpu.value() >= kMaxCpus || !targets_[cpu.value()].mapped) {
    return fail(Code::kNotFound, cpu.value());
  }
  return {};
}

Status Its::check_lpis(const DeviceEvents& events) const {
  if (events.vectors == 0 || events.vectors > kMaxVectors) {
    return fail(Code::kOutOfRange, events.vectors);
  }
  const std::uint32_t first = events.first.value();
  const std::uint32_t stray = events.stray.value();
  if (first < kFirstLpi || !fits(first - kFirstLpi, events.vectors, kLpiCount)) {
    return fail(Code::kOutOfRange, first);
  }
  if (!LpiTables::contains(events.stray) || (stray >= first && stray - first < events.vectors)) {
    return fail(Code::kOutOfRange, stray);
  }
  // No LPI ever serves two devices: one would be able to raise the other's interrupt (H3, H4).
  if (owner_[index(events.stray)] != 0) return fail(Code::kAlreadyExists, stray);
  for (unsigned i = 0; i < events.vectors; ++i) {
    if (owner_[index(events.first) + i] != 0) return fail(Code::kAlreadyExists, first + i);
  }
  return {};
}

std::uint8_t& Its::cpu_of(const Device& device, EventId event) {
  return cpu_[index(device.events.first) + event.value()];
}

// ---- batches ----

Status Its::push_device(const Device& device, bool valid) {
  return queue_.push(valid ? cmd::map_device(device.id, device.itt, device.event_bits)
                           : cmd::unmap_device(device.id));
}

Status Its::push_strays(const Device& device) {
  for (unsigned event = device.events.vectors; event < (1U << device.event_bits); ++event) {
    TRY(queue_.push(
        cmd::map_event(device.id, EventId(event), device.events.stray, device.stray_cpu)));
  }
  return queue_.push(cmd::invalidate(device.id, EventId(device.events.vectors)));
}

Status Its::push_sync(CpuSet cpus) {
  for (unsigned cpu = 0; cpu < kMaxCpus; ++cpu) {
    if ((cpus & bit(cpu)) != 0) TRY(queue_.push(cmd::sync(targets_[cpu].rd_base)));
  }
  return {};
}

Status Its::commit(CpuSet cpus) {
  TRY(push_sync(cpus));
  return queue_.flush();
}

// ---- devices ----

Status Its::map_device(DeviceId device, const DeviceEvents& events, CpuIndex cpu) {
  const LockGuard guard(lock_);
  TRY(ready());
  for (const Device& d : devices_) {
    // A lost device's table is still with the ITS: it never comes back.
    if (d.state != Device::State::kFree && d.id == device) {
      return fail(Code::kAlreadyExists, device.value());
    }
  }
  TRY(check_target(cpu));
  TRY(check_lpis(events));
  const unsigned bits = event_bits(events.vectors);
  if (bits > get<gits::IdBits>(typer_) + 1) return fail(Code::kOutOfRange, events.vectors);
  const unsigned slot = TRY(free_slot());
  TRY(tables_.reserve(device));

  Device& d = devices_[slot];
  const std::uint64_t itt_bytes = (get<gits::IttEntrySize>(typer_) + 1) << bits;
  const Hpa itt = TRY(pool_->take(itt_bytes, hw::gic::its_tables::kIttAlignment));
  d = Device{.state = Device::State::kMapped,
             .id = device,
             .event_bits = static_cast<std::uint8_t>(bits),
             .stray_cpu = cpu.value(),
             .events = events,
             .itt = itt,
             .itt_bytes = itt_bytes};
  claim(slot);
  const Status sent = send_map_device(d);
  if (sent) return {};
  // Undone as a whole. Discarding what was never mapped may be refused: what counts is that the
  // table is gone.
  const Status discarded = send_discards(d);
  const Status taken = queue_.dead() ? discarded : send_take_table(d);
  if (taken) {
    release(slot);
  } else {
    lose(slot);
  }
  return sent;
}

Status Its::send_map_device(const Device& device) {
  lpis_->configure(device.events.stray, true, kPriority);
  TRY(push_device(device, true));
  TRY(push_strays(device));
  return commit(bit(device.stray_cpu));
}

Status Its::unmap_device(DeviceId device) {
  const LockGuard guard(lock_);
  TRY(ready());
  const unsigned slot = TRY(find(device));
  const Device& d = devices_[slot];
  // Even when a discard was refused the table goes, so that no further message arrives.
  const Status discarded = send_discards(d);
  const Status taken = send_take_table(d);
  if (discarded && taken) {
    release(slot);
    return {};
  }
  lose(slot);
  return discarded ? taken : discarded;
}

/// Discards the device's events, which also forgets what is pending. Its LPIs' configuration goes
/// back to disabled for whoever gets them next; mapping them makes the redistributors read it.
Status Its::send_discards(const Device& device) {
  const DeviceEvents& events = device.events;
  CpuSet cpus = bit(device.stray_cpu);
  lpis_->configure(events.stray, false, kPriority);
  for (unsigned n = 0; n < events.vectors; ++n) {
    lpis_->configure(HostLpi(events.first.value() + n), false, kPriority);
    const std::uint8_t cpu = cpu_of(device, EventId(n));
    if (cpu != kUnmapped) cpus |= bit(cpu);
  }
  Status refused;
  for (unsigned n = 0; n < (1U << device.event_bits); ++n) {
    if (n < events.vectors && cpu_of(device, EventId(n)) == kUnmapped) continue;
    const Status pushed = queue_.push(cmd::discard(device.id, EventId(n)));
    if (!pushed) refused = pushed;  // of an earlier one: the ring was full and was flushed
  }
  const Status committed = commit(cpus);
  return refused ? committed : refused;
}

/// The ITS lets go of the device's table: complete before the table's memory may be somebody
/// else's.
Status Its::send_take_table(const Device& device) {
  TRY(push_device(device, false));
  return commit(bit(device.stray_cpu));
}

void Its::claim(unsigned slot) {
  const DeviceEvents& events = devices_[slot].events;
  const auto owner = static_cast<std::uint8_t>(slot + 1);
  owner_[index(events.stray)] = owner;
  for (unsigned n = 0; n < events.vectors; ++n) {
    owner_[index(events.first) + n] = owner;
    cpu_[index(events.first) + n] = kUnmapped;
    lpis_->configure(HostLpi(events.first.value() + n), false, kPriority);
  }
}

void Its::release(unsigned slot) {
  Device& d = devices_[slot];
  owner_[index(d.events.stray)] = 0;
  for (unsigned n = 0; n < d.events.vectors; ++n) {
    owner_[index(d.events.first) + n] = 0;
    cpu_[index(d.events.first) + n] = kUnmapped;
  }
  pool_->give_back(d.itt, align_up(d.itt_bytes, kPageSize));
  d = Device{};
}

void Its::lose(unsigned slot) {
  devices_[slot].state = Device::State::kLost;
  Text<96> text;
  text.text("ITS: lost the interrupts of DeviceID ").hex(devices_[slot].id.value(), 4);
  text.text(queue_.dead() ? ": it stopped answering" : ": it refused a command");
  log_->line(port::Severity::kError, text.view());
}

// ---- events ----

Status Its::map_event(DeviceId device, EventId event, CpuIndex cpu) {
  const LockGuard guard(lock_);
  TRY(ready());
  const unsigned slot = TRY(find_vector(device, event));
  TRY(check_target(cpu));
  const Device& d = devices_[slot];
  if (cpu_of(d, event) != kUnmapped) return fail(Code::kAlreadyExists, event.value());
  cpu_of(d, event) = kMapping;
  return settle(d, send_map_events(d, cpu), cpu);
}

Status Its::map_events(DeviceId device, CpuIndex cpu) {
  const LockGuard guard(lock_);
  TRY(ready());
  const unsigned slot = TRY(find(device));
  TRY(check_target(cpu));
  const Device& d = devices_[slot];
  for (unsigned n = 0; n < d.events.vectors; ++n) {
    std::uint8_t& where = cpu_of(d, EventId(n));
    if (where == kUnmapped) where = kMapping;
  }
  return settle(d, send_map_events(d, cpu), cpu);
}

/// Maps what is marked kMapping. The redistributor may know those LPIs' configuration from an
/// earlier life: INV.
Status Its::send_map_events(const Device& device, CpuIndex cpu) {
  for (unsigned n = 0; n < device.events.vectors; ++n) {
    if (cpu_of(device, EventId(n)) != kMapping) continue;
    const HostLpi lpi(device.events.first.value() + n);
    TRY(queue_.push(cmd::map_event(device.id, EventId(n), lpi, cpu.value())));
    TRY(queue_.push(cmd::invalidate(device.id, EventId(n))));
  }
  return commit(bit(cpu.value()));
}

/// Ends a batch of send_map_events(): what is marked kMapping is mapped to `cpu`, or, after an
/// error, unmapped again.
Status Its::settle(const Device& device, Status sent, CpuIndex cpu) {
  for (unsigned n = 0; n < device.events.vectors; ++n) {
    std::uint8_t& where = cpu_of(device, EventId(n));
    if (where != kMapping) continue;
    where = sent ? cpu.value() : kUnmapped;
    if (sent) continue;
    // Refused for those that were not mapped yet, and on a dead queue: nothing more can be done
    // either way.
    static_cast<void>(queue_.push(cmd::discard(device.id, EventId(n))));
  }
  if (!sent) static_cast<void>(commit(bit(cpu.value())));
  return sent;
}

Status Its::move_event(DeviceId device, EventId event, CpuIndex cpu) {
  const LockGuard guard(lock_);
  TRY(ready());
  const unsigned slot = TRY(find_mapped(device, event));
  TRY(check_target(cpu));
  std::uint8_t& where = cpu_of(devices_[slot], event);
  if (where == cpu.value()) return {};
  TRY(queue_.push(cmd::move_event(device, event, cpu.value())));
  // Both ends: the old one has let go of the pending state, the new one has it.
  TRY(commit(bit(where) | bit(cpu.value())));
  where = cpu.value();
  return {};
}

Status Its::discard_event(DeviceId device, EventId event) {
  const LockGuard guard(lock_);
  TRY(ready());
  const unsigned slot = TRY(find_mapped(device, event));
  std::uint8_t& where = cpu_of(devices_[slot], event);
  TRY(queue_.push(cmd::discard(device, event)));
  TRY(commit(bit(where)));
  where = kUnmapped;
  return {};
}

Status Its::clear_event(DeviceId device, EventId event) {
  const LockGuard guard(lock_);
  TRY(ready());
  const unsigned slot = TRY(find_mapped(device, event));
  TRY(queue_.push(cmd::clear(device, event)));
  return commit(bit(cpu_of(devices_[slot], event)));
}

Status Its::configure(HostLpi lpi, bool enabled, std::uint8_t priority) {
  const LockGuard guard(lock_);
  TRY(ready());
  if (!LpiTables::contains(lpi) || owner_[index(lpi)] == 0) {
    return fail(Code::kNotFound, lpi.value());
  }
  const Device& d = devices_[owner_[index(lpi)] - 1U];
  if (d.state != Device::State::kMapped) return fail(Code::kNotFound, lpi.value());
  lpis_->configure(lpi, enabled, priority);
  // INV names an event; any stray one stands for the stray LPI.
  const bool stray = lpi == d.events.stray;
  const EventId event(stray ? d.events.vectors : lpi.value() - d.events.first.value());
  const std::uint8_t cpu = stray ? d.stray_cpu : cpu_of(d, event);
  if (cpu == kUnmapped) return {};  // map_event() makes the hardware read it
  TRY(queue_.push(cmd::invalidate(d.id, event)));
  return commit(bit(cpu));
}

// ---- reports ----

bool Its::dead() {
  const LockGuard guard(lock_);
  return queue_.dead();
}

unsigned Its::count(Device::State state) const {
  unsigned n = 0;
  for (const Device& d : devices_) n += d.state == state ? 1 : 0;
  return n;
}

unsigned Its::devices() {
  const LockGuard guard(lock_);
  return count(Device::State::kMapped);
}

unsigned Its::lost_devices() {
  const LockGuard guard(lock_);
  return count(Device::State::kLost);
}

void Its::audit(ItsVisitor& visitor) {
  const LockGuard guard(lock_);
  if (gits_ == nullptr) return;
  const auto view_of = [](const Device& d) {
    return ItsDeviceView{d.id, d.events, d.state == Device::State::kLost};
  };
  for (const Device& d : devices_) {
    if (d.state != Device::State::kFree) visitor.device(view_of(d));
  }
  for (std::uint32_t i = 0; i < kLpiCount; ++i) {
    const HostLpi lpi(kFirstLpi + i);
    LpiView view{lpi, lpis_->enabled(lpi), lpis_->priority(lpi), std::nullopt};
    if (owner_[i] != 0) view.device = view_of(devices_[owner_[i] - 1U]);
    if (owner_[i] != 0 || view.enabled || view.priority != kPriority) visitor.lpi(view);
  }
}

bool Its::intact() {
  const LockGuard guard(lock_);
  if (gits_ == nullptr) return true;
  return get<gits::Enabled>(gits_->read32(gits::kCtlr)) != 0 && tables_.intact() && queue_.intact();
}

}  // namespace penstock::msi
