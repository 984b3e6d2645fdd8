// The control domain's requests about devices.
#include "core/base/text.hpp"
#include "core/pci/reset.hpp"
#include "hypervisor/device_table.hpp"
#include "hypervisor/domain_objects.hpp"
#include "hypervisor/toolstack.hpp"

namespace penstock {

using control::DeviceState;
using control::Opcode;
using control::Reply;
using Answer = control::Result;

namespace {

DeviceState state_of(const assign::Device& device) {
  if (device.detaching) return DeviceState::kDetaching;
  if (device.hidden) return DeviceState::kHidden;
  switch (device.state) {
    case assign::DeviceState::kAssigned:
    case assign::DeviceState::kLeaving: return DeviceState::kAssigned;  // its domain restarts
    case assign::DeviceState::kBroken:
    case assign::DeviceState::kAbsent: return DeviceState::kBroken;
    case assign::DeviceState::kQuarantined: return DeviceState::kFree;
  }
  return DeviceState::kBroken;
}

// The interface's numbers are the library's.
static_assert(static_cast<unsigned>(control::ResetMethod::kFlr) ==
              static_cast<unsigned>(pci::ResetMethod::kExpressFlr));
static_assert(static_cast<unsigned>(control::ResetMethod::kAdvanced) ==
              static_cast<unsigned>(pci::ResetMethod::kAdvancedFlr));
static_assert(static_cast<unsigned>(control::ResetMethod::kPower) ==
              static_cast<unsigned>(pci::ResetMethod::kPower));
static_assert(static_cast<unsigned>(control::ResetMethod::kBus) ==
              static_cast<unsigned>(pci::ResetMethod::kSecondaryBus));
static_assert(static_cast<unsigned>(control::ResetMethod::kSpecific) ==
              static_cast<unsigned>(pci::ResetMethod::kSpecific));

std::string_view short_name(pci::ResetMethod method) {
  switch (method) {
    case pci::ResetMethod::kNone: return "none";
    case pci::ResetMethod::kExpressFlr: return "flr";
    case pci::ResetMethod::kAdvancedFlr: return "af-flr";
    case pci::ResetMethod::kPower: return "pm";
    case pci::ResetMethod::kSecondaryBus: return "bus";
    case pci::ResetMethod::kSpecific: return "specific";
  }
  return "none";
}

control::DeviceRecord record_of(Machine& m, assign::Device& device) {
  control::DeviceRecord record{};
  record.bdf = device.info.bdf.value();
  record.guest = control::kNoBdf;
  record.domain = control::kNoDomain;
  record.state = state_of(device);
  const unsigned owner = device.domain.load();
  if (owner < m.partitions.size() && m.partitions[owner] != nullptr) {
    record.domain = Toolstack::handle_of(*m.partitions[owner]);
    record.guest = device.placement.guest.value();
  }
  record.vendor = device.info.vendor;
  record.device = device.info.device;
  record.class_code = device.info.class_code;
  record.group = device.info.group;
  record.physical = device.info.is_vf ? device.info.pf.value() : control::kNoBdf;
  record.flags = (device.info.is_vf ? control::device_flag::kVirtualFunction : 0) |
                 (device.info.sriov ? control::device_flag::kPhysicalFunction : 0);
  record.risks = m.device_objects[device.index]->statement.risks.bits();
  record.interrupts = device.interrupts.load(std::memory_order_relaxed);
  record.faults = device.faults.total;
  record.strays = device.strays;
  const std::string_view reset = short_name(m.device_objects[device.index]->statement.reset);
  for (std::size_t i = 0; i < reset.size() && i + 1 < sizeof(record.reset); ++i) {
    record.reset[i] = reset[i];
  }
  return record;
}

Answer result_of(Code code) {
  struct Row {
    Code code;
    Answer answer;
  };
  constexpr std::array<Row, 7> kRows = {{{Code::kNotFound, Answer::kNotFound},
                                         {Code::kNotOwner, Answer::kNotOwner},
                                         {Code::kBadState, Answer::kBadState},
                                         {Code::kNoMemory, Answer::kNoMemory},
                                         {Code::kTableFull, Answer::kNoMemory},
                                         {Code::kTimeout, Answer::kFailed},
                                         {Code::kHardwareError, Answer::kFailed}}};
  for (const Row& row : kRows) {
    if (row.code == code) return row.answer;
  }
  return Answer::kRefused;
}

void refuse(Reply& reply, std::uint16_t bdf, Code code, std::string_view why) {
  Text<200> text;
  text.text("device ").bdf(bdf).text(": ").text(why.empty() ? describe(code) : why);
  reply.refuse(result_of(code), text.view());
}

}  // namespace

void Toolstack::list_devices(Reply& reply) {
  reap();
  const LockGuard still(machine_.virtual_functions.lock());
  control::ListResult head{0, sizeof(control::DeviceRecord)};
  (void)reply.put(head);
  for (unsigned i = 0; i < machine_.device_count; ++i) {
    assign::Device& device = *machine_.devices[i];
    if (device.state == assign::DeviceState::kAbsent) continue;
    head.count += reply.put(record_of(machine_, device)) ? 1 : 0;
  }
  reply.amend(0, head);
}

/// Reserves, resets and hands over; whatever fails, the device is as free as before.
void Toolstack::attach(const control::DeviceArgument& argument, Reply& reply) {
  Partition* partition = find(argument.domain, reply);
  if (partition == nullptr) return;
  assign::DeviceSet& devices = partition->domain().devices();
  Text<160> why;
  Claim claim{HostBdf(argument.bdf),
              GuestBdf(argument.guest),
              (argument.flags & control::device_argument::kAcceptNoReset) != 0,
              (argument.flags & control::device_argument::kAcceptInsecure) != 0,
              false,
              partition->domain().iommu() != nullptr};
  if (argument.guest == control::kNoBdf) {
    const auto slot = devices.free_slot();
    if (!slot) {
      why.text("domain ").text(partition->name()).text(" has no free slot");
      return refuse(reply, argument.bdf, Code::kTableFull, why.view());
    }
    claim.guest = *slot;
  }
  const LockGuard still(machine_.virtual_functions.lock());
  const auto device = claim_device(machine_, partition->domain().id(), claim, why);
  if (!device) return refuse(reply, argument.bdf, device.error().code, why.view());
  Status given = assign::prepare(machine_.hardware(), **device);
  if (given) given = devices.attach(**device);
  if (!given) {
    release_device(**device);
    if (given.error().code == Code::kTableFull) {
      why.text("domain ")
          .text(partition->name())
          .text(" may have no more interrupts, and it needs ");
      why.dec(assign::interrupts_of(**device));
    }
    return refuse(reply, argument.bdf, given.error().code, why.view());
  }
  (void)reply.put(control::AttachResult{claim.guest.value(), 0});
}

void Toolstack::detach(const control::DeviceArgument& argument, Reply& reply) {
  const auto find_still = [&] {
    const LockGuard still(machine_.virtual_functions.lock());
    return find_device(machine_, HostBdf(argument.bdf));
  };
  assign::Device* device = find_still();
  if (device == nullptr) return refuse(reply, argument.bdf, Code::kNotFound, {});
  // Looked at once: a PF's owner may be taking its VF back meanwhile.
  const unsigned owner = device->domain.load();
  Partition* partition = owner < machine_.partitions.size() ? machine_.partitions[owner] : nullptr;
  if (partition == nullptr) {
    return refuse(reply, argument.bdf, Code::kBadState, "no domain has it");
  }
  const bool force = (argument.flags & control::device_argument::kForce) != 0;
  const Status begun = partition->domain().devices().detach(*device, force);
  if (!begun) refuse(reply, argument.bdf, begun.error().code, {});
}

/// A device that nobody has and nobody is told of is as safe as one that nobody has.
void Toolstack::hide(const control::DeviceArgument& argument, bool hidden, Reply& reply) {
  const LockGuard still(machine_.virtual_functions.lock());
  assign::Device* device = find_device(machine_, HostBdf(argument.bdf));
  if (device == nullptr) return refuse(reply, argument.bdf, Code::kNotFound, {});
  if (device->domain != kNobody) {
    return refuse(reply, argument.bdf, Code::kNotOwner, "a domain has it: detach it first");
  }
  device->hidden = hidden;
}

void Toolstack::reset_device(const control::DeviceArgument& argument, Reply& reply) {
  const LockGuard still(machine_.virtual_functions.lock());
  assign::Device* device = find_device(machine_, HostBdf(argument.bdf));
  if (device == nullptr) return refuse(reply, argument.bdf, Code::kNotFound, {});
  if (device->domain != kNobody) {
    return refuse(reply, argument.bdf, Code::kNotOwner, "a domain has it: detach it first");
  }
  namespace flags = control::device_argument;
  const auto only =
      static_cast<pci::ResetMethod>((argument.flags & flags::kMethod) >> flags::kMethodShift);
  const Status done = assign::reset_quarantined(machine_.hardware(), *device, only);
  if (!done) refuse(reply, argument.bdf, done.error().code, {});
}

void Toolstack::change_device(Opcode what, const control::DeviceArgument& argument, Reply& reply) {
  reap();
  if (what == Opcode::kAttach) return attach(argument, reply);
  if (what == Opcode::kDetach) return detach(argument, reply);
  if (what == Opcode::kReset) return reset_device(argument, reply);
  hide(argument, what == Opcode::kHide, reply);
}

}  // namespace penstock
