// The commands of the virtual ITS: one short function each, with the section of IHI 0069 H that it
// follows. What the architecture lists as a command error is refused: nothing changes, the queue
// goes on.
#include "core/base/bits.hpp"
#include "core/hw/gic/its_frame.hpp"
#include "core/vmsi/virtual_its.hpp"

namespace penstock::vmsi {

namespace {

namespace its_command = hw::gic::its_command;
using its_command::Opcode;
namespace word0 = its_command::word0;
namespace word1 = its_command::word1;
namespace word2 = its_command::word2;
namespace word3 = its_command::word3;

using Command = std::array<std::uint64_t, 4>;

GuestDeviceId device_of(const Command& c) {
  return GuestDeviceId(static_cast<std::uint32_t>(get<word0::DeviceId>(c[0])));
}
GuestEventId event_of(const Command& c) {
  return GuestEventId(static_cast<std::uint32_t>(get<word1::EventId>(c[1])));
}
/// The collection that a command names, if it is within GITS_TYPER.CIDbits.
std::optional<std::uint8_t> collection_of(const Command& c) {
  const std::uint64_t id = get<word2::CollectionId>(c[2]);
  if (id >> kCollectionIdBits != 0) return std::nullopt;
  return static_cast<std::uint8_t>(id);
}
bool is_valid(const Command& c) {
  return get<word2::Valid>(c[2]) != 0;
}

}  // namespace

unsigned VirtualIts::cost_of(const Command& command) {
  switch (static_cast<Opcode>(get<word0::Code>(command[0]))) {
    case Opcode::kMapd:
    case Opcode::kMapc:
    case Opcode::kMovall:
    case Opcode::kInvall: return kHeavy;
    case Opcode::kMovi:
    case Opcode::kInt:
    case Opcode::kClear:
    case Opcode::kSync:
    case Opcode::kMapti:
    case Opcode::kMapi:
    case Opcode::kInv:
    case Opcode::kDiscard: return 1;
  }
  return 1;  // unknown ones are refused
}

VirtualIts::Outcome VirtualIts::execute(const Command& command) {
  switch (static_cast<Opcode>(get<word0::Code>(command[0]))) {
    case Opcode::kMovi: return move_event(command);
    case Opcode::kInt: return interrupt(command);
    case Opcode::kClear: return clear(command);
    case Opcode::kSync: return synchronize(command);
    case Opcode::kMapd: return map_device(command);
    case Opcode::kMapc: return map_collection(command);
    case Opcode::kMapti:
      return map_event(command, static_cast<std::uint32_t>(get<word1::PIntId>(command[1])));
    case Opcode::kMapi:  // 5.3.9: the EventID is the INTID
      return map_event(command, static_cast<std::uint32_t>(get<word1::EventId>(command[1])));
    case Opcode::kInv: return invalidate(command);
    case Opcode::kInvall: return invalidate_all(command);
    case Opcode::kMovall: return move_all(command);
    case Opcode::kDiscard: return discard(command);
  }
  return {Verdict::kRefused};
}

std::optional<VcpuIndex> VirtualIts::vcpu_of(std::uint64_t processor_number) const {
  if (processor_number >= gic_->vcpus()) return std::nullopt;
  return VcpuIndex(static_cast<std::uint8_t>(processor_number));
}

/// Drops a device with its events; what was pending for them goes too (H49).
void VirtualIts::forget(GuestDeviceId device) {
  maps_.for_each_event(device, [this](GuestEventId, ItsTables::Event e) {
    gic_->clear_lpi(GuestIntId(e.lpi));
    gic_->route_lpi(GuestIntId(e.lpi), std::nullopt);
  });
  maps_.remove_device(device);
}

/// MAPD, 5.3.11: a device and how many events it has. Mapping a mapped one replaces it: its events
/// are gone. The ITT address is not ours to use.
VirtualIts::Outcome VirtualIts::map_device(const Command& command) {
  const GuestDeviceId device = device_of(command);
  if (device.value() >> kDeviceIdBits != 0) return {Verdict::kRefused};
  const ItsChange change{ItsChange::Kind::kDevice, device, {}};
  if (!is_valid(command)) {
    forget(device);
    return {Verdict::kDone, change};
  }
  const std::uint64_t event_bits = get<word1::Size>(command[1]) + 1;
  if (event_bits > kEventIdBits) return {Verdict::kRefused};
  forget(device);
  if (!maps_.add_device(device, static_cast<unsigned>(event_bits))) {
    return {Verdict::kExhausted, change};
  }
  return {Verdict::kDone, change};
}

/// MAPC, 5.3.10: the redistributor of a collection. Its events follow.
VirtualIts::Outcome VirtualIts::map_collection(const Command& command) {
  const std::optional<std::uint8_t> collection = collection_of(command);
  if (!collection) return {Verdict::kRefused};
  std::optional<VcpuIndex> target;
  if (is_valid(command)) {
    target = vcpu_of(get<word2::RdBase>(command[2]));
    if (!target) return {Verdict::kRefused};
  }
  maps_.collections[*collection] = target;
  maps_.for_each([this, collection, target](ItsTables::Event e) {
    if (e.collection != *collection) return;
    gic_->route_lpi(GuestIntId(e.lpi), target);
  });
  if (target) gic_->load_lpi_configs(*target);
  return {Verdict::kDone, {ItsChange::Kind::kAll, {}, {}}};
}

/// MAPTI and MAPI, 5.3.12 and 5.3.9: an event becomes an LPI. A mapped event keeps its mapping
/// (UNPREDICTABLE there).
VirtualIts::Outcome VirtualIts::map_event(const Command& command, std::uint32_t lpi) {
  const GuestDeviceId device = device_of(command);
  const GuestEventId event = event_of(command);
  const std::optional<std::uint8_t> collection = collection_of(command);
  if (!collection || !VirtualGic::is_lpi(GuestIntId(lpi))) return {Verdict::kRefused};
  const Status added =
      maps_.add_event(device, event, {static_cast<std::uint16_t>(lpi), *collection});
  if (!added) {
    const bool full = added.error().code == Code::kTableFull;
    return {full ? Verdict::kExhausted : Verdict::kRefused};
  }
  gic_->route_lpi(GuestIntId(lpi), maps_.collections[*collection]);
  gic_->load_lpi_config(GuestIntId(lpi));
  return {Verdict::kDone, {ItsChange::Kind::kEvent, device, event}};
}

/// MOVI, 5.3.13: another collection for an event; its pending state moves along.
VirtualIts::Outcome VirtualIts::move_event(const Command& command) {
  const GuestDeviceId device = device_of(command);
  const GuestEventId event = event_of(command);
  const std::optional<std::uint8_t> collection = collection_of(command);
  const std::optional<ItsTables::Event> mapped = maps_.event(device, event);
  if (!collection || !mapped || !maps_.collections[*collection]) return {Verdict::kRefused};
  maps_.move_event(device, event, *collection);
  gic_->route_lpi(GuestIntId(mapped->lpi), maps_.collections[*collection]);
  return {Verdict::kDone, {ItsChange::Kind::kEvent, device, event}};
}

/// MOVALL, 5.3.14: everything of one redistributor goes to another.
VirtualIts::Outcome VirtualIts::move_all(const Command& command) {
  const std::optional<VcpuIndex> from = vcpu_of(get<word2::RdBase>(command[2]));
  const std::optional<VcpuIndex> to = vcpu_of(get<word3::RdBase>(command[3]));
  if (!from || !to) return {Verdict::kRefused};
  gic_->move_lpis(*from, *to);
  return {Verdict::kDone, {ItsChange::Kind::kAll, {}, {}}};
}

/// DISCARD, 5.3.4: the mapping and its pending state go (H49).
VirtualIts::Outcome VirtualIts::discard(const Command& command) {
  const GuestDeviceId device = device_of(command);
  const GuestEventId event = event_of(command);
  const std::optional<ItsTables::Event> mapped = maps_.event(device, event);
  if (!mapped) return {Verdict::kRefused};
  gic_->clear_lpi(GuestIntId(mapped->lpi));
  gic_->route_lpi(GuestIntId(mapped->lpi), std::nullopt);
  maps_.remove_event(device, event);
  return {Verdict::kDone, {ItsChange::Kind::kEvent, device, event}};
}

/// CLEAR, 5.3.3.
VirtualIts::Outcome VirtualIts::clear(const Command& command) {
  const Result<Target> target = target_of(device_of(command), event_of(command));
  if (!target) return {Verdict::kRefused};
  gic_->clear_lpi(target->lpi);
  return {};
}

/// INT, 5.3.5: like a message from the device.
VirtualIts::Outcome VirtualIts::interrupt(const Command& command) {
  const Result<Target> target = target_of(device_of(command), event_of(command));
  if (!target) return {Verdict::kRefused};
  gic_->pend_lpi(target->vcpu, target->lpi);
  return {};
}

/// INV, 5.3.6: the LPI's configuration is read again.
VirtualIts::Outcome VirtualIts::invalidate(const Command& command) {
  const std::optional<ItsTables::Event> mapped = maps_.event(device_of(command), event_of(command));
  if (!mapped) return {Verdict::kRefused};
  gic_->load_lpi_config(GuestIntId(mapped->lpi));
  return {};
}

/// INVALL, 5.3.7: the same for every LPI that goes where the collection goes.
VirtualIts::Outcome VirtualIts::invalidate_all(const Command& command) {
  const std::optional<std::uint8_t> collection = collection_of(command);
  if (!collection || !maps_.collections[*collection]) return {Verdict::kRefused};
  gic_->load_lpi_configs(*maps_.collections[*collection]);
  return {};
}

/// SYNC, 5.3.15: commands are complete when the next one starts, so there is nothing to wait for.
VirtualIts::Outcome VirtualIts::synchronize(const Command& command) {
  if (!vcpu_of(get<word2::RdBase>(command[2]))) return {Verdict::kRefused};
  return {};
}

}  // namespace penstock::vmsi
