#include "hypervisor/virtual_functions.hpp"

#include "core/pci/isolation.hpp"
#include "hypervisor/device_table.hpp"
#include "hypervisor/machine.hpp"

namespace penstock {

void VirtualFunctions::prepare(Machine& machine) {
  machine_ = &machine;
  for (const pci::SriovInfo& info : machine.inventory.sriov) {
    assign::Device* device = find_device(machine, info.pf);
    if (device == nullptr || info.usable == 0 || physical_.full()) continue;
    (void)physical_.push_back({});  // not full
    Physical& physical = physical_.back();
    physical.device = device;
    physical.first = machine.device_count;
    while (physical.room < info.usable && add_absent_device(machine)) ++physical.room;
    if (physical.room < info.usable) {
      Text<120> text;
      text.text("pci ").bdf(info.pf.value()).text(": ").dec(physical.room).text(" of its ");
      text.dec(info.usable).text(" virtual functions have a place in the table of devices");
      machine.console.line(port::Severity::kWarning, text.view());
    }
    if (physical.room == 0 || !physical.pf.init(machine.inventory, info.pf, machine.ecam)) continue;
    physical.facts.vfs = static_cast<std::uint16_t>(physical.room);
    device->sriov = &physical.facts;
  }
}

VirtualFunctions::Physical* VirtualFunctions::find(const assign::Device& pf) {
  for (Physical& physical : physical_) {
    if (physical.device == &pf) return &physical;
  }
  return nullptr;
}

Status VirtualFunctions::enable(assign::Device& pf, unsigned count) {
  const LockGuard guard(lock_);
  Physical* physical = find(pf);
  if (physical == nullptr || count > physical->room) return fail(Code::kOutOfRange, count);
  if (physical->on != 0) switch_off(*physical);
  const Status done = switch_on(*physical, count);
  if (!done) switch_off(*physical);
  return done;
}

Status VirtualFunctions::switch_on(Physical& physical, unsigned count) {
  TRY(physical.pf.start(count, machine_->clock.now_ns()));
  for (;;) {
    const std::uint64_t now = machine_->clock.now_ns();
    const std::uint64_t again = TRY(physical.pf.step(now));
    if (again == 0) break;
    machine_->clock.wait(again > now ? again - now : 0);
  }
  while (physical.on < count) TRY(admit(physical, physical.on));
  return {};
}

Status VirtualFunctions::admit(Physical& physical, unsigned i) {
  const auto info = physical.pf.vf(i);
  if (!info) return fail(Code::kHardwareError, physical.device->info.bdf.value());
  TRY(machine_->inventory.functions.push_back(*info));
  pci::find_groups(machine_->inventory, machine_->id_maps);
  ++physical.on;
  return fill_device(*machine_, physical.first + i, machine_->inventory.functions.back());
}

void VirtualFunctions::disable(assign::Device& pf) {
  const LockGuard guard(lock_);
  Physical* physical = find(pf);
  if (physical != nullptr && physical->on != 0) switch_off(*physical);
}

void VirtualFunctions::switch_off(Physical& physical) {
  for (unsigned i = 0; i < physical.on; ++i) dismiss(*machine_->devices[physical.first + i]);
  physical.on = 0;
  physical.pf.stop(machine_->clock.now_ns());
}

/// Whoever has it loses it, by surprise; then there is no such device. Who is in `partitions` stays
/// there, because domains come and go under lock_.
void VirtualFunctions::dismiss(assign::Device& vf) {
  const unsigned owner = vf.domain.load();
  if (owner < machine_->partitions.size() && machine_->partitions[owner] != nullptr) {
    (void)machine_->partitions[owner]->domain().devices().detach(vf, true);
  }
  vf.domain.store(kNobody);
  vf.state = assign::DeviceState::kAbsent;
  auto& functions = machine_->inventory.functions;
  for (std::size_t i = 0; i < functions.size(); ++i) {
    if (functions[i].bdf == vf.info.bdf) functions.erase(i);
  }
}

void VirtualFunctions::after_reset(assign::Device& pf) {
  const LockGuard guard(lock_);
  Physical* physical = find(pf);
  if (physical != nullptr) physical->pf.after_reset();
}

}  // namespace penstock
