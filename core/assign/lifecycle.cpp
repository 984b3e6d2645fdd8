#include "core/assign/lifecycle.hpp"

#include "core/assign/messages.hpp"
#include "core/base/text.hpp"
#include "core/hw/pci/config.hpp"
#include "core/pci/reset.hpp"
#include "core/vpci/topology.hpp"

namespace penstock::assign {
namespace {

using Kind = vpci::Effect::Kind;

void say(const Hardware& hw, port::Severity severity, std::string_view whose, const Device& device,
         std::string_view what, Error why) {
  Text<200> line;
  line.text(whose).text(": ").bdf(device.info.bdf.value()).text(": ").text(what).text(": ");
  line.text(describe(why.code)).text(" (").hex(why.arg).ch(')');
  hw.log->line(severity, line.view());
}

/// What a guest can make happen as often as it likes is told a few times, and then rarely (H14).
void say_of_guest(const Hardware& hw, const Owner& owner, Device& device, std::string_view what,
                  Error why) {
  if (!device.limits.lines.take(1, hw.clock->now_ns())) return;
  say(hw, port::Severity::kWarning, owner.name, device, what, why);
}

void set_bus_master(Device& device, bool on) {
  std::uint64_t command = device.config->read(hw::pci::kCommand, 2);
  command = with<hw::pci::command::BusMaster>(command, on ? 1 : 0);
  device.config->write(hw::pci::kCommand, 2, static_cast<std::uint32_t>(command));
}

/// All of the BAR's pages, or none.
Status map_pages(const Owner& owner, Device& device, unsigned bar) {
  const vpci::BarView view = device.view.bar(bar);
  const vpci::PageRanges ranges = device.view.mappable(bar);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const Status mapped =
        owner.cpu_table->map(view.gpa + ranges[i].offset, view.host + ranges[i].offset,
                             ranges[i].size, mem::Stage2Attributes::device());
    if (mapped) continue;
    while (i != 0) {
      --i;
      (void)owner.cpu_table->unmap(view.gpa + ranges[i].offset, ranges[i].size);
    }
    return mapped;
  }
  device.bar_mapped[bar] = true;
  return {};
}

void map_bar(const Hardware& hw, const Owner& owner, Device& device, unsigned bar) {
  const Status mapped = map_pages(owner, device, bar);
  if (!mapped) say_of_guest(hw, owner, device, "a BAR is not mapped yet", mapped.error());
}

void unmap_bar(const Owner& owner, Device& device, unsigned bar, Gpa gpa) {
  if (!device.bar_mapped[bar]) return;
  for (const vpci::PageRange& range : device.view.mappable(bar)) {
    (void)owner.cpu_table->unmap(gpa + range.offset, range.size);
  }
  device.bar_mapped[bar] = false;
}

vpci::FunctionFacts facts_of(Device& device) {
  vpci::FunctionFacts facts;
  for (std::size_t i = 0; i < facts.bars.size(); ++i) {
    const pci::Bar& bar = device.info.bars[i];
    facts.bars[i] = {bar.host, bar.size, bar.io, bar.is64, bar.prefetchable, Gpa(0)};
  }
  facts.hw = device.config;
  facts.is_vf = device.info.is_vf;
  facts.vendor = device.info.vendor;
  facts.device = device.info.device;
  return facts;
}

Status reset(const Hardware& hw, Device& device, pci::ResetMethod only = pci::ResetMethod::kNone) {
  if (device.bus != nullptr) return device.bus->reset(device, *hw.clock, only);
  const auto done = pci::reset_function(
      {.info = &device.info, .config = device.config, .registers = device.bars[0], .only = only},
      *hw.clock);
  return done ? Status{} : Status{done.error()};
}

void enter_bus(const Device& device) {
  if (device.bus != nullptr) device.bus->enter(device);
}

void leave_bus(const Device& device) {
  if (device.bus != nullptr) device.bus->leave(device);
}

/// Another device of the owner sends under this ID, too, and is assigned: the stream is its as
/// much.
bool is_shared(const Owner& owner, const Device& device, StreamId stream) {
  if (owner.devices == nullptr) return false;
  for (const Device* other : *owner.devices) {
    if (other != &device && other->state == DeviceState::kAssigned && other->uses(stream)) {
      return true;
    }
  }
  return false;
}

/// What only this device of the owner uses aborts from here on. The first failure, after all were
/// tried.
Status block_streams(const Hardware& hw, const Owner& owner, const Device& device,
                     std::size_t count) {
  Status all;
  for (std::size_t i = 0; i < count; ++i) {
    if (is_shared(owner, device, device.stream_at(i))) continue;
    const Status blocked = hw.smmu->block(device.stream_at(i));
    if (all) all = blocked;
  }
  return all;
}

/// The streams of a device that nobody has. Those that a neighbour sends under as well, and that
/// are its owner's, stay.
Status block_unowned(const Hardware& hw, const Device& device) {
  Status all;
  for (std::size_t i = 0; i < device.stream_count(); ++i) {
    if (hw.smmu->owner(device.stream_at(i)).has_value()) continue;
    const Status blocked = hw.smmu->block(device.stream_at(i));
    if (all) all = blocked;
  }
  return all;
}

/// Where a device that is nobody's waits: aborts, or its own page where aborts would hang it. Where
/// no page can be had it aborts all the same.
void rest(const Hardware& hw, Device& device) {
  if (!device.placement.scratch || device.state != DeviceState::kQuarantined) return;
  if (hw.smmu->owner(device.stream).has_value()) return;  // a neighbour sends under this ID, too
  const Status resting = hw.smmu->quarantine(device.stream, iommu::QuarantineKind::kScratch);
  if (!resting) {
    say(hw, port::Severity::kWarning, "nobody", device, "no scratch page for its quarantine",
        resting.error());
  }
}

/// On an error `kept` says that the ITS did not let go of the device: it may still raise its LPIs.
Status map_messages(const Hardware& hw, const Owner& owner, Device& device, bool& kept) {
  const msi::DeviceEvents events{device.vectors, device.first_lpi, device.stray_lpi};
  const unsigned lost = hw.its->lost_devices();
  Status mapped = hw.its->map_device(device.device_id, events, owner.cpus[0]);
  if (!mapped) {
    kept = hw.its->lost_devices() != lost;
    return mapped;
  }
  mapped = hw.its->map_events(device.device_id, owner.cpus[0]);
  for (unsigned k = 0; mapped && k < device.vectors; ++k) {
    mapped = hw.its->configure(HostLpi(device.first_lpi.value() + k), true);
    device.vector_cpu[k] = owner.cpus[0];
  }
  if (!mapped) kept = !hw.its->unmap_device(device.device_id);
  return mapped;
}

/// LPIs and their events: one per vector and one for everything that the device was not given.
Status give_messages(const Hardware& hw, const Owner& owner, Device& device) {
  const unsigned vectors = device.view.max_vectors();
  if (vectors == 0) return {};
  const HostLpi first = TRY(hw.lpis->take(owner.id, vectors + 1));
  device.vectors = vectors;
  device.first_lpi = first;
  device.stray_lpi = HostLpi(first.value() + vectors);
  close_routes(hw, device);
  hw.routes->set(device.stray_lpi,
                 Route{Route::Kind::kStray, owner.id, VcpuIndex(0), device.index, GuestIntId(0)});
  bool kept = false;
  const Status mapped = map_messages(hw, owner, device, kept);
  if (!mapped) {
    hw.routes->set(device.stray_lpi, Route{});
    if (!kept) (void)hw.lpis->give_back(owner.id, first, vectors + 1);
    device.vectors = 0;
    return mapped;
  }
  program_messages(owner, device);
  return {};
}

void take_messages(const Hardware& hw, const Owner& owner, Device& device) {
  if (device.vectors == 0) return;
  close_routes(hw, device);
  hw.routes->set(device.stray_lpi, Route{});
  // LPIs of a device that the ITS could not unmap are lost: the hardware may still raise them.
  if (hw.its->unmap_device(device.device_id)) {
    (void)hw.lpis->give_back(owner.id, device.first_lpi, device.vectors + 1);
  }
  device.vectors = 0;
}

/// From the table without the doorbell to the one with it, through an aborting entry: a device
/// whose interrupts have never been switched on cannot send one, nor forge one by DMA. It stays
/// open until the device is taken back, so that a driver that changes its vectors does not lose DMA
/// in flight.
void open_doorbell(const Hardware& hw, const Owner& owner, Device& device) {
  if (device.doorbell_open || device.view.kind() == vpci::MsiKind::kNone) return;
  Status moved = hw.smmu->detach(device.stream);
  if (moved) moved = hw.smmu->attach(device.stream, owner.dma_with_doorbell);
  if (!moved) say_of_guest(hw, owner, device, "cannot reach the ITS", moved.error());
  device.doorbell_open = moved.has_value();
}

/// All requester IDs of the function into the owner's stage 2, or none (H38). Where others may send
/// under them, too, the doorbell is open from the start: opening it later would abort their DMA.
Status attach_streams(const Hardware& hw, const Owner& owner, Device& device) {
  const bool open = owner.iommu != nullptr || device.shares_streams;
  for (std::size_t i = 0; i < device.stream_count(); ++i) {
    if (is_shared(owner, device, device.stream_at(i))) continue;
    const iommu::DmaContext& context = open ? owner.dma_with_doorbell : owner.dma;
    const Status attached = owner.iommu != nullptr
                                ? hw.smmu->attach_aborting(device.stream_at(i), context)
                                : hw.smmu->attach(device.stream_at(i), context);
    if (attached) continue;
    (void)block_streams(hw, owner, device, i);
    return attached;
  }
  device.doorbell_open = open;
  return {};
}

/// Into the owner's stage 2, and under its stage 1 where it has one: there the stream aborts until
/// the guest's IOMMU has said what it is to do. The device works by itself from here on, whatever
/// its bus mastering bit says.
Status attach_device(const Hardware& hw, const Owner& owner, Device& device) {
  // A guest's own IOMMU has one stream for each device, and what it says must hold for all requests
  // of that device and for nobody else's.
  if (owner.iommu != nullptr && device.shares_streams) {
    return fail(Code::kUnsupported, device.info.bdf.value());
  }
  TRY(attach_streams(hw, owner, device));
  if (owner.iommu == nullptr) return {};
  const Status known = owner.iommu->attach(device.guest_stream(), device.stream);
  if (known) return known;
  device.doorbell_open = false;
  (void)block_streams(hw, owner, device, device.stream_count());
  return known;
}

}  // namespace

Status quarantine(const Hardware& hw, Device& device) {
  pci::quiesce(*device.config, device.info);
  device.state = DeviceState::kQuarantined;
  const Status blocked = block_unowned(hw, device);
  if (!blocked) device.state = DeviceState::kBroken;
  return blocked;
}

namespace {

/// A reset that there is and that fails is told once of each device: its owner could make it fail
/// as often as it likes (H14).
void tell_accepted(const Hardware& hw, Device& device, Error why) {
  if (why.code == Code::kNoReset || device.failed_reset_told) return;
  device.failed_reset_told = true;
  say(hw, port::Severity::kWarning, "nobody", device, "goes on without a reset, as accepted", why);
}

}  // namespace

Status prepare(const Hardware& hw, Device& device) {
  if (device.clean) return {};
  const Status was_reset = reset(hw, device);
  device.clean = was_reset.has_value();
  if (was_reset) return {};
  if (!device.placement.accept_no_reset) return was_reset;
  tell_accepted(hw, device, was_reset.error());
  pci::quiesce(*device.config, device.info);
  return {};
}

namespace {

/// The steps of hand_over(); after an error the device may be left without its place of rest.
Status give(const Hardware& hw, const Owner& owner, Device& device) {
  TRY(prepare(hw, device));
  device.clean = false;
  vpci::PolicyOptions policy;
  policy.windows = owner.bar_windows;
  policy.multi_function = device.placement.multi_function;
  policy.extra = device.placement.extra;
  policy.deny = device.placement.denied;
  policy.full_access = owner.full_access;
  policy.integrated_endpoint = !vpci::slot_of(device.placement.guest);
  if (hw.sriov != nullptr && !policy.integrated_endpoint) policy.sriov = device.sriov;
  device.work = {};
  TRY(device.view.init(facts_of(device), policy));
  TRY(give_messages(hw, owner, device));
  // Its stream aborts without events, and did so before its reset: all that is in the queue by now
  // is of an earlier owner, or of its owner's earlier life.
  device.first_event.store(hw.smmu->next_event(), std::memory_order_release);
  const Status attached = attach_device(hw, owner, device);
  if (!attached) {
    take_messages(hw, owner, device);
    rest(hw, device);
    return attached;
  }
  device.state = DeviceState::kAssigned;
  return {};
}

}  // namespace

Status hand_over(const Hardware& hw, const Owner& owner, Device& device) {
  if (device.state != DeviceState::kQuarantined) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(device.state));
  }
  enter_bus(device);
  const Status given = give(hw, owner, device);
  if (!given) leave_bus(device);
  return given;
}

Status cut_off(const Hardware& hw, const Owner& owner, Device& device) {
  if (device.state != DeviceState::kAssigned) return {};
  close_routes(hw, device);
  set_bus_master(device, false);
  apply(hw, owner, device, device.view.reset());
  if (owner.iommu != nullptr) owner.iommu->detach(device.guest_stream());
  const Status blocked = block_streams(hw, owner, device, device.stream_count());
  pci::quiesce(*device.config, device.info);
  device.state = DeviceState::kLeaving;
  device.doorbell_open = false;
  leave_bus(device);
  if (!blocked) {
    say(hw, port::Severity::kError, owner.name, device, "its DMA could not be cut off",
        blocked.error());
  }
  return blocked;
}

Status settle(const Hardware& hw, const Owner& owner, Device& device, const Status& cut) {
  if (device.state != DeviceState::kLeaving) return cut;
  const Status was_reset = device.clean ? Status{} : reset(hw, device);
  take_messages(hw, owner, device);
  device.state = cut ? DeviceState::kQuarantined : DeviceState::kBroken;
  device.clean = was_reset.has_value() && cut.has_value();
  if (!cut) {
    // Once more: until the SMMU confirms it, nothing that the device may reach changes owner (H59).
    (void)block_streams(hw, owner, device, device.stream_count());
    return cut;
  }
  if (!was_reset && !device.placement.accept_no_reset) {
    device.state = DeviceState::kBroken;
    say(hw, port::Severity::kError, owner.name, device, "stays in quarantine", was_reset.error());
    return was_reset;
  }
  rest(hw, device);
  return {};
}

Status take_back(const Hardware& hw, const Owner& owner, Device& device) {
  return settle(hw, owner, device, cut_off(hw, owner, device));
}

Status reset_quarantined(const Hardware& hw, Device& device, pci::ResetMethod only) {
  if (device.state == DeviceState::kAssigned) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(device.state));
  }
  TRY(block_unowned(hw, device));
  const Status done = reset(hw, device, only);
  if (done || done.error().code != Code::kNoReset) {
    device.state = done ? DeviceState::kQuarantined : DeviceState::kBroken;
    // A method that somebody chose may forget less than the device's own, which is still to come.
    device.clean = done.has_value() && (only == pci::ResetMethod::kNone || device.clean);
  }
  rest(hw, device);
  return done;
}

Status reset_in_place(const Hardware& hw, const Owner& owner, Device& device) {
  close_routes(hw, device);
  const Status was_reset = reset(hw, device);
  program_messages(owner, device);
  if (!was_reset) say_of_guest(hw, owner, device, "reset failed", was_reset.error());
  return was_reset;
}

void reset_or_note(const Hardware& hw, const Owner& owner, Device& device) {
  SriovWork& work = device.work;
  if (work.kind == SriovWork::Kind::kDisable || work.busy) {
    work.kind = SriovWork::Kind::kDisable;
    work.then_reset = true;
  } else {
    (void)reset_in_place(hw, owner, device);
  }
}

unsigned interrupts_of(const Device& device) {
  const unsigned vectors = device.info.vectors;
  if (vectors == 0) return 0;
  return (vectors < vpci::kMaxVectors ? vectors : vpci::kMaxVectors) + 1;
}

void map_waiting_bars(const Owner& owner) {
  if (owner.devices == nullptr) return;
  for (Device* device : *owner.devices) {
    if (device->state != DeviceState::kAssigned) continue;
    for (unsigned bar = 0; bar < hw::pci::kBarCount; ++bar) {
      const bool waits = device->view.bar(bar).mapped && !device->bar_mapped[bar];
      if (waits) (void)map_pages(owner, *device, bar);  // on an error it goes on waiting
    }
  }
}

void apply(const Hardware& hw, const Owner& owner, Device& device, const vpci::Effects& effects) {
  for (const vpci::Effect& effect : effects) {
    switch (effect.kind) {
      case Kind::kUnmapBar: unmap_bar(owner, device, effect.bar, effect.gpa); break;
      case Kind::kMapBar: map_bar(hw, owner, device, effect.bar); break;
      case Kind::kMsiEnable:
      case Kind::kMsixEnable:
        open_doorbell(hw, owner, device);
        follow_enable(hw, owner, device);
        break;
      case Kind::kVectorChanged:
        if (device.view.kind() == vpci::MsiKind::kMsi && effect.message) {
          follow_enable(hw, owner, device);  // MSI may go on or off with its address
        } else {
          (void)follow_vectors(hw, owner, device, effect.first, effect.count);
        }
        break;
      case Kind::kBusMaster: set_bus_master(device, effect.enable); break;
      case Kind::kHardwareWrite:
        device.config->write(effect.offset, effect.size, effect.value);
        break;
      case Kind::kFunctionReset: reset_or_note(hw, owner, device); break;
      case Kind::kSriovEnable:
        if (hw.sriov == nullptr || device.work.frozen) {
          device.view.vfs_lost();
        } else {
          device.work.kind = SriovWork::Kind::kEnable;
          device.work.count = effect.count;
        }
        break;
      case Kind::kSriovDisable: device.work.kind = SriovWork::Kind::kDisable; break;
    }
  }
}

}  // namespace penstock::assign
