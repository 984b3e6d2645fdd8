// What the operator and `penstock run` learn: `@ event {json}` lines on the console.
//
// A guest can cause faults and forged messages as fast as its device works. Faults that follow one
// another in one page are one event; of those and of forged messages the first of each device are
// reported one by one, after that only every time the count has doubled, so that a flood costs a
// handful of lines (H14, invariant 7).
#include "core/assign/fault_limit.hpp"
#include "core/assign/stage1.hpp"
#include "core/base/text.hpp"
#include "core/base/worth_a_line.hpp"
#include "hypervisor/machine.hpp"

extern "C" const char _image_start[];
extern "C" const char _bss_start[];

namespace penstock {
namespace {

constexpr unsigned kFaultsPerInterrupt = 32;

/// Whose fault it is. Of several devices that send under one ID, one that somebody has: the others
/// are silent.
assign::Device* device_of(Machine& m, StreamId stream) {
  assign::Device* found = nullptr;
  for (unsigned i = 0; i < m.device_count; ++i) {
    if (!m.devices[i]->uses(stream)) continue;
    if (m.devices[i]->state == assign::DeviceState::kAssigned) return m.devices[i];
    if (found == nullptr) found = m.devices[i];
  }
  return found;
}

/// All of the device's streams abort without events.
Status block(Machine& m, const assign::Device& device) {
  Status all;
  for (std::size_t i = 0; i < device.stream_count(); ++i) {
    const Status blocked = m.smmu.block(device.stream_at(i));
    if (all) all = blocked;
  }
  return all;
}

/// Name of the domain that the device was placed in; "none" for a device that no domain has.
std::string_view owner_name(Machine& m, const assign::Device* device) REQUIRES(m.life) {
  if (device == nullptr || device->domain >= m.partitions.size()) return "none";
  const Partition* owner = m.partitions[device->domain];
  return owner != nullptr ? owner->name() : "none";
}

/// What an event stands for that came with an overflow of the queue.
constexpr std::uint64_t kFaultsPerEventOfAnOverflow = 32;

/// Null: nobody has it.
Partition* owner_of(Machine& m, const assign::Device& device) REQUIRES(m.life) {
  const unsigned domain = device.domain;
  return domain < m.partitions.size() ? m.partitions[domain] : nullptr;
}

/// `weight`: how many faults this one stands for. What an earlier owner's device did counts against
/// the device alone.
void cut_off_if_flooding(Machine& m, assign::Device& device, std::uint64_t weight, bool old)
    REQUIRES(m.life) {
  Partition* owner = old ? nullptr : owner_of(m, device);
  Allowance* shared = owner != nullptr ? &owner->domain().devices().fault_allowance() : nullptr;
  const std::uint64_t now = m.clock.now_ns();
  if (assign::within_limit(device, shared, weight, now) || old) return;
  if (!m.smmu.owner(device.stream)) return;  // it is, and this event was still in the queue
  const Status blocked = block(m, device);
  if (blocked && !device.limits.cut_off_lines.take(1, now)) return;
  Text<200> line;
  line.bdf(device.info.bdf.value()).text(" of ").text(owner_name(m, &device));
  line.text(" is cut off: more than its share of blocked accesses");
  if (!blocked) line.text("; the SMMU does not confirm");
  m.console.line(port::Severity::kError, line.view());
}

/// A stream that no device has: there is nobody to charge, but the CPU that takes its events may be
/// anybody's.
void silence_if_flooding(Machine& m, StreamId stream, std::uint64_t weight) {
  const std::uint64_t now = m.clock.now_ns();
  if (m.unowned_limits.faults.take(weight, now)) return;
  const Status silent = m.smmu.silence(stream);
  if (!m.unowned_limits.cut_off_lines.take(1, now)) return;
  Text<200> line;
  line.text("stream ").hex(stream.value()).text(", which no device has, is ");
  line.text(silent ? "not told of any more" : "not to be silenced: ");
  if (!silent) line.text(describe(silent.error().code));
  m.console.line(port::Severity::kError, line.view());
}

/// Where the access would have gone: behind a guest's own stage 1, what that made of the address.
std::uint64_t target_of(const iommu::Fault& fault) {
  if (!fault.stage2) return fault.address.value();
  return fault.ipa.value() | (fault.address.value() & (kPageSize - 1));
}

/// True when this fault is not one more in the page of the one before it.
bool count_fault(assign::FaultCounts& counts, const iommu::Fault& fault) {
  const std::uint64_t page = align_down(target_of(fault), kPageSize);
  const bool same = counts.total != 0 && counts.last_page == page;
  ++counts.total;
  counts.last_page = page;
  return !same;
}

/// What a guest's own stage 1 stops is the guest's business.
bool told_to_guest(Machine& m, const assign::Device& device, const iommu::Fault& fault)
    REQUIRES(m.life) {
  Partition* owner = owner_of(m, device);
  if (owner == nullptr) return false;
  viommu::VirtualIommu* iommu = owner->domain().iommu();
  return iommu != nullptr && assign::tell_guest(*iommu, device, fault);
}

void report_fault(Machine& m, const iommu::Fault& fault, std::uint64_t weight) REQUIRES(m.life) {
  assign::Device* device = device_of(m, fault.stream);
  const bool old = device != nullptr && assign::is_old(*device, fault);
  if (device != nullptr) {
    cut_off_if_flooding(m, *device, weight, old);
    if (told_to_guest(m, *device, fault)) return;
  } else {
    silence_if_flooding(m, fault.stream, weight);
  }
  assign::FaultCounts& faults = device != nullptr ? device->faults : m.unowned_faults;
  std::uint64_t& told =
      device != nullptr ? device->limits.told_faults : m.unowned_limits.told_faults;
  if (!count_fault(faults, fault) || !worth_a_line(++told)) return;
  Text<240> json;
  json.text("{\"device\":\"");
  if (device != nullptr) {
    json.bdf(device->info.bdf.value());
  } else {
    json.text("stream ").hex(fault.stream.value());
  }
  json.text("\",\"domain\":\"").text(old ? "an earlier owner" : owner_name(m, device));
  json.text("\",\"target\":\"");
  json.hex(target_of(fault)).text("\",\"evidence\":\"SMMU ").text(iommu::name(fault.kind));
  json.text(fault.write ? " on a write" : " on a read").text(fault.stage2 ? ", stage 2" : "");
  if (target_of(fault) != fault.address.value()) {
    json.text(", device address ").hex(fault.address.value());
  }
  json.text("\",\"count\":").dec(faults.total).text("}");
  m.console.event("blocked", json.view());
}

void report_device(Machine& m, const Partition& partition, const assign::Device& device) {
  Text<240> json;
  json.text("{\"domain\":\"").text(partition.name()).text("\",\"bdf\":\"");
  json.bdf(device.info.bdf.value()).text("\",\"vendor\":\"").hex(device.info.vendor, 4);
  json.text("\",\"device\":\"").hex(device.info.device, 4).text("\",\"interrupts\":");
  json.dec(device.interrupts.load(std::memory_order_relaxed))
      .text(",\"faults\":")
      .dec(device.faults.total);
  json.text(",\"forged_messages\":").dec(device.strays).text("}");
  m.console.event("device", json.view());
}

}  // namespace

void Machine::report_memory() {
  Text<240> json;
  json.text("{\"image\":").dec(static_cast<std::uint64_t>(_bss_start - _image_start));
  json.text(",\"image_memory\":")
      .dec(image.image_bytes)
      .text(",\"pool\":")
      .dec(pool_bytes(board.cpus.size()));
  json.text(",\"pool_base\":\"").hex(pool_base.value()).text("\"");
  json.text(",\"used\":").dec(image.image_bytes + pool.used_bytes() + device_bytes);
  json.text(",\"payloads\":").dec(image.bundle_bytes).text("}");
  console.event("memory", json.view());
}

void Machine::report_not_run(std::string_view domain, std::string_view state,
                             std::string_view reason) {
  Text<400> json;
  json.text("{\"name\":\"").text(domain).text("\",\"state\":\"").text(state);
  json.text("\",\"reason\":\"");
  for (const char c : reason) {
    if (c == '"' || c == '\\') json.ch('\\');
    json.ch(c);
  }
  console.event("domain", json.text("\"}").view());
}

void Machine::report_domain(Partition& partition, std::string_view state) {
  Text<200> head;
  head.text("{\"name\":\"").text(partition.name()).text("\",\"state\":\"").text(state);
  head.text("\",\"restarts\":").dec(partition.restarts()).text("}");
  console.event("domain", head.view());
  Text<640> exits;
  exits.text("{\"domain\":\"").text(partition.name()).ch('"');
  for (std::size_t reason = 0; reason < vm::kExitNames.size(); ++reason) {
    exits.text(",\"").text(vm::kExitNames[reason]).text("\":").dec(partition.exits_of(reason));
  }
  console.event("exits", exits.ch('}').view());
  for (const assign::Device* device : partition.domain().devices().members()) {
    report_device(*this, partition, *device);
  }
}

void Machine::report_faults() {
  std::array<iommu::Fault, kFaultsPerInterrupt> faults{};
  const LockGuard guard(life);
  const unsigned count = smmu.take_events(faults);
  const std::uint64_t losses = smmu.event_overflows() + event_queue_aborts.load();
  std::optional<StreamId> to_blame;
  if (losses != event_losses) to_blame = assign::loudest({faults.data(), count});
  event_losses = losses;
  for (const iommu::Fault& fault : std::span(faults).first(count)) {
    report_fault(*this, fault, fault.stream == to_blame ? kFaultsPerEventOfAnOverflow : 1);
  }
  // The SMMU interrupts when its queue stops being empty, not per event.
  if (count == faults.size()) come_again(board.smmu->event_intid);
}

void Machine::report_smmu_errors() {
  const std::uint32_t errors = smmu.handle_gerror();
  if (errors == 0) return;
  if (get<hw::smmuv3::gerror::EVENTQ_ABT_ERR>(errors) != 0) ++event_queue_aborts;
  // Until there are none: an error that came during the look may have made no edge.
  const manifest::SmmuBoard& lines = *board.smmu;
  come_again(lines.gerror_intid != 0 ? lines.gerror_intid : lines.event_intid);
}

void Machine::report_stray(HostLpi lpi, const assign::Route& route) {
  const LockGuard guard(life);
  assign::Device& device = *devices[route.device];
  ++device.strays;
  if (!worth_a_line(++device.limits.told_strays)) return;
  Text<240> json;
  json.text("{\"device\":\"").bdf(device.info.bdf.value()).text("\",\"domain\":\"");
  json.text(owner_name(*this, &device)).text("\",\"target\":\"ITS doorbell\",\"evidence\":\"");
  json.text("message with an event that the device was not given (LPI ").dec(lpi.value());
  json.text(")\",\"count\":").dec(device.strays).text("}");
  console.event("blocked", json.view());
}

}  // namespace penstock
