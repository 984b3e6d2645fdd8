#include "hypervisor/device_table.hpp"

#include <new>

namespace penstock {
namespace {

bool is_assignable(const pci::FunctionInfo& info) {
  return !info.bridge && info.class_code >> 8 != 0x0600;  // nor host bridges
}

/// Memory for as many devices as there are, and virtual functions as there can be.
Status take_home(Machine& m) {
  std::uint64_t count = 0;
  for (const pci::FunctionInfo& info : m.inventory.functions) count += is_assignable(info) ? 1 : 0;
  for (const pci::SriovInfo& info : m.inventory.sriov) count += info.usable;
  if (count > kMaxDevices) count = kMaxDevices;
  if (count == 0) return {};
  const std::uint64_t bytes = align_up(count * sizeof(DeviceObjects), kPageSize);
  m.device_home = TRY(m.free_ram.take_highest(bytes, kPageSize));
  m.device_bytes = bytes;
  m.ram_bytes = m.free_ram.free_bytes();
  return {};
}

Result<DeviceObjects*> new_objects(Machine& m) {
  if (m.device_count == m.devices.size()) return fail(Code::kTableFull, m.devices.size());
  const std::uint64_t at = m.device_count * sizeof(DeviceObjects);
  if (!fits(at, sizeof(DeviceObjects), m.device_bytes)) return fail(Code::kNoMemory);
  auto* objects = new (m.memory.map(m.device_home + at, sizeof(DeviceObjects))) DeviceObjects();
  objects->device.state = assign::DeviceState::kAbsent;
  objects->device.domain = kNobody;
  objects->device.index = static_cast<std::uint8_t>(m.device_count);
  m.device_objects[m.device_count] = objects;
  m.devices[m.device_count++] = &objects->device;
  return objects;
}

/// The security statement, for people and for reports.
void tell(Machine& m, const pci::Statement& statement) {
  Text<pci::kMaxStatementLine> line;
  pci::write_line(line, statement);
  m.console.line(port::Severity::kInfo, line.view());
  Text<pci::kMaxStatementJson> json;
  pci::write_json(json, statement);
  m.console.event("statement", json.view());
}

bool serves_firmware(const Machine& m, const pci::FunctionInfo& info) {
  const unsigned devfn = pci::root_function(m.inventory, info).value() & 0xff;
  for (const manifest::FirmwareMemory& each : m.board.firmware_memory) {
    if (each.devfn.value_or(devfn) == devfn) return true;
  }
  return false;
}

/// The bus of this function, if it is the first one of a bus that can be reset: all functions there
/// are in the table.
void connect_bus(Machine& m, DeviceObjects& first) {
  const pci::FunctionInfo& info = first.device.info;
  const pci::FunctionInfo* bridge = pci::resettable_bus(m.inventory, info);
  if (bridge == nullptr || first.device.bus != nullptr) return;
  StaticVector<assign::Device*, pci::kMaxResetTogether> together;
  for (const pci::FunctionInfo& other : m.inventory.functions) {
    if (other.bdf.bus() != info.bdf.bus()) continue;
    assign::Device* device = find_device(m, other.bdf);
    if (device == nullptr || !together.push_back(device)) return;
  }
  first.bridge = m.ecam.function(bridge->bdf);
  first.bus.init(first.bridge);
  for (assign::Device* device : together) (void)first.bus.add(*device);  // as many as fit
}

/// Every requester ID that its requests may carry has a stream, or it is not assigned (H38).
Status find_streams(Machine& m, assign::Device& device) {
  const HostBdf bdf = device.info.bdf;
  device.stream = StreamId(TRY(m.iommu_map.translate(bdf.value())));
  device.aliases.clear();
  for (const std::uint16_t id : pci::requester_ids(m.inventory, bdf)) {
    const StreamId stream(TRY(m.iommu_map.translate(id)));
    if (!device.uses(stream)) TRY(device.aliases.push_back(stream));
  }
  const std::uint16_t sender = pci::message_requester(m.inventory, bdf);
  device.device_id = DeviceId(TRY(m.msi_map.translate(sender)));
  return {};
}

/// Whether one of its requester IDs may be somebody else's, too: all functions there are in the
/// table.
void find_sharing(Machine& m, assign::Device& device) {
  device.shares_streams = !device.aliases.empty();
  for (unsigned i = 0; i < m.device_count; ++i) {
    device.shares_streams |= m.devices[i] != &device && m.devices[i]->uses(device.stream);
  }
}

/// Makes it this function, in quarantine; not stated yet.
Status fill(Machine& m, DeviceObjects& objects, const pci::FunctionInfo& info) {
  assign::Device& device = objects.device;
  device.info = info;  // first: whoever dismisses it goes by this
  TRY(find_streams(m, device));
  objects.config = m.ecam.function(info.bdf);
  device.config = &objects.config;
  for (std::size_t i = 0; i < device.bars.size(); ++i) {
    device.bars[i] = nullptr;
    if (info.bars[i].size == 0 || info.bars[i].io) continue;
    objects.bars[i] = ports::HwMmio(info.bars[i].host.value());
    device.bars[i] = &objects.bars[i];
  }
  device.clean = false;
  return assign::quarantine(m.hardware(), device);
}

/// Makes the security statement of a function, for people and for reports.
void state(Machine& m, DeviceObjects& objects) {
  const assign::Device& device = objects.device;
  if (device.state == assign::DeviceState::kAbsent) return;
  objects.statement = pci::statement_of(m.inventory, device.info, objects.config,
                                        {.iommu = m.has_smmu,
                                         .checked_messages = m.has_its,
                                         .bus = device.bus != nullptr,
                                         .firmware_memory = serves_firmware(m, device.info)});
  // Once: a guest can make virtual functions come and go as often as it likes (H14).
  if (!objects.told) tell(m, objects.statement);
  objects.told = true;
}

/// True where one of the two would need a reset of their bus that the other one stands in the way
/// of, and was not accepted without.
bool hinders(Machine& m, const assign::Device& device, bool accept_no_reset,
             const assign::Device& other) {
  const auto needs_bus = [&m](const assign::Device& d, bool accepted) {
    return !accepted &&
           m.device_objects[d.index]->statement.reset == pci::ResetMethod::kSecondaryBus;
  };
  return device.bus != nullptr && device.bus == other.bus &&
         (needs_bus(device, accept_no_reset) || needs_bus(other, other.placement.accept_no_reset));
}

/// Functions that only a reset of their bus can reset have one owner, or none (S3.21).
Status check_bus(Machine& m, DomainId domain, const Claim& claim, const assign::Device& device,
                 TextWriter& why) {
  for (unsigned i = 0; i < m.device_count; ++i) {
    const assign::Device& other = *m.devices[i];
    if (other.domain == kNobody || other.domain == domain.value()) continue;
    if (!hinders(m, device, claim.accept_no_reset, other)) continue;
    why.text("another domain has ").bdf(other.info.bdf.value());
    why.text(" on its bus, which would have to be reset; accept = [\"no-reset\"] goes without");
    return fail(Code::kNoReset, device.info.bdf.value());
  }
  return {};
}

bool sends_messages(const assign::Device& device) {
  return device.info.msi != 0 || device.info.msix != 0;
}

bool shares_stream(const assign::Device& a, const assign::Device& b) {
  for (std::size_t i = 0; i < a.stream_count(); ++i) {
    if (b.uses(a.stream_at(i))) return true;
  }
  return false;
}

/// Functions that cannot be told apart, or can reach each other past the IOMMU, go to one domain or
/// to none (S3.26, H2).
Status check_isolation(Machine& m, DomainId domain, const Claim& claim,
                       const assign::Device& device, TextWriter& why) {
  const pci::FunctionInfo& info = device.info;
  if (info.aliased && !claim.accept_insecure) {
    why.text("its requests carry a bridge's requester ID; accept = [\"no-isolation\"] allows it");
    return fail(Code::kNoIsolation, info.bdf.value());
  }
  for (unsigned i = 0; i < m.device_count; ++i) {
    const assign::Device& other = *m.devices[i];
    if (other.domain == kNobody || &other == &device) continue;
    if (other.domain == domain.value()) {
      // Both would raise each other's interrupts: an ITS knows them by this ID alone.
      if (!sends_messages(other) || !sends_messages(device)) continue;
      if (other.device_id != device.device_id) continue;
      why.bdf(other.info.bdf.value()).text(" of its domain sends interrupts under the same ID");
      return fail(Code::kNoIsolation, info.bdf.value());
    }
    if (shares_stream(device, other)) {
      why.text("another domain has ").bdf(other.info.bdf.value());
      why.text(", which sends under the same requester ID");
      return fail(Code::kNoIsolation, info.bdf.value());
    }
    const bool both_accept = claim.accept_insecure && other.placement.accept_insecure;
    if (other.info.group != info.group || both_accept) continue;
    why.text("another domain has ").bdf(other.info.bdf.value()).text(" of its isolation group");
    return fail(Code::kNoIsolation, info.bdf.value());
  }
  return {};
}

}  // namespace

void quarantine_devices(Machine& m) {
  if (!m.has_smmu || !m.has_its) return;  // nothing can be assigned
  const Status home = take_home(m);
  if (!home) m.console.line(port::Severity::kError, "no memory for the board's devices");
  for (const pci::FunctionInfo& info : m.inventory.functions) {
    if (!is_assignable(info)) continue;
    const auto objects = new_objects(m);
    const Status added = objects ? fill(m, **objects, info) : objects.error();
    if (added) continue;
    Text<160> text;
    text.text("pci ").bdf(info.bdf.value()).text(" cannot be assigned: ");
    text.text(describe(added.error().code)).text(" (").hex(added.error().arg).ch(')');
    m.console.line(port::Severity::kWarning, text.view());
  }
  for (unsigned i = 0; i < m.device_count; ++i) find_sharing(m, *m.devices[i]);
  for (unsigned i = 0; i < m.device_count; ++i) connect_bus(m, *m.device_objects[i]);
  for (unsigned i = 0; i < m.device_count; ++i) state(m, *m.device_objects[i]);
}

bool add_absent_device(Machine& m) {
  return new_objects(m).has_value();
}

Status fill_device(Machine& m, unsigned index, const pci::FunctionInfo& info) {
  TRY(fill(m, *m.device_objects[index], info));
  state(m, *m.device_objects[index]);
  return {};
}

assign::Device* find_device(Machine& m, HostBdf bdf) {
  for (unsigned i = 0; i < m.device_count; ++i) {
    const bool there = m.devices[i]->state != assign::DeviceState::kAbsent;
    if (there && m.devices[i]->info.bdf == bdf) return m.devices[i];
  }
  return nullptr;
}

Result<assign::Device*> claim_device(Machine& m, DomainId domain, const Claim& claim,
                                     TextWriter& why) {
  assign::Device* device = find_device(m, claim.host);
  if (device == nullptr) {
    why.text("there is no such function on this board");
    return fail(Code::kNotFound, claim.host.value());
  }
  const unsigned has = device->domain.load();
  if (has != kNobody) {
    const Partition* owner = has < m.partitions.size() ? m.partitions[has] : nullptr;
    why.text("domain ").text(owner != nullptr ? owner->name() : "?").text(" has it");
    return fail(Code::kNotOwner, claim.host.value());
  }
  if (device->hidden) {
    why.text("it is hidden");
    return fail(Code::kNotOwner, claim.host.value());
  }
  if (device->state != assign::DeviceState::kQuarantined) {
    why.text("it did not come back from its reset and stays in quarantine");
    return fail(Code::kBadState, claim.host.value());
  }
  TRY(check_isolation(m, domain, claim, *device, why));
  if (claim.behind_stage1 && device->shares_streams) {
    why.text("its requests carry other IDs, too, which its guest's iommu could not show");
    return fail(Code::kUnsupported, claim.host.value());
  }
  TRY(check_bus(m, domain, claim, *device, why));
  const pci::Accepted accepted{claim.accept_no_reset, claim.accept_insecure, true};
  const auto refusal = pci::refusal_of(m.device_objects[device->index]->statement.risks, accepted);
  if (refusal) {
    why.text(pci::name_of(*refusal)).text(": ").text(pci::meaning_of(*refusal));
    return fail(Code::kNoIsolation, claim.host.value());
  }
  device->placement = {
      claim.guest, claim.accept_no_reset, claim.accept_insecure, claim.multi_function, {}};
  const LockGuard guard(m.life);  // faults are counted under it
  device->interrupts = 0;
  device->strays = 0;
  device->faults = {};
  device->domain = domain.value();
  return device;
}

void release_device(assign::Device& device) {
  device.domain = kNobody;
}

}  // namespace penstock
