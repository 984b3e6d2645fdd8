// VirtualSmmu: registers and life. The order of the checks is the table's (smmu_registers.cpp).
#include "core/viommu/virtual_smmu.hpp"

#include "core/base/bits.hpp"
#include "core/base/bytes.hpp"
#include "core/hw/smmuv3/commands.hpp"

namespace penstock::viommu {

namespace hw = penstock::hw::smmuv3;

namespace {

constexpr unsigned kErrorWire = 2;

GuestIntId wire_of(const Surroundings& around, unsigned wire) {
  return GuestIntId(around.first_intid.value() + wire);
}

}  // namespace

VirtualSmmu::VirtualSmmu(const hw::IdRegisters& physical, Stage1Host& host)
    : ids_(virtual_ids(physical)),
      asid_mask_(get<hw::idr0::ASID16>(ids_.idr0) != 0 ? hw::tlbi::ASID::kMask
                                                       : hw::tlbi::Asid8::kMask),
      host_(host) {
  const LockGuard guard(registers_);
  reset_registers();
}

void VirtualSmmu::connect(const Surroundings& surroundings) {
  around_ = surroundings;
}

Description VirtualSmmu::description() const {
  Description out;
  out.node = "smmuv3";
  out.compatible = "arm,smmu-v3";
  out.base = around_.base;
  out.size = kSmmuWindowBytes;
  out.coherent = true;
  constexpr std::array<std::string_view, kInterrupts> kNames = {"eventq", "cmdq-sync", "gerror"};
  for (unsigned i = 0; i < kInterrupts; ++i) {
    (void)out.interrupts.push_back({kNames[i], wire_of(around_, i)});
  }
  return out;
}

// ---- reading ----

std::uint64_t VirtualSmmu::stored(Reg reg) const {
  if (reg == Reg::kCmdqProd) return cmdq_prod_.load(std::memory_order_relaxed);
  if (reg == Reg::kCmdqCons) return cmdq_cons_.load(std::memory_order_acquire);
  return value(reg);
}

std::uint64_t VirtualSmmu::read(std::uint64_t offset, unsigned size) {
  const auto hit = find_register(offset, size);
  if (!hit) return 0;
  // A guest that waits for its commands or enables looks here again and again: each look does the
  // next slice of them.
  if (has_work()) run();
  const LockGuard guard(registers_);
  return (stored(hit->row->id) >> hit->shift) & all_ones(size);
}

// ---- writing ----

bool VirtualSmmu::is_open(Gate gate, std::uint64_t written) const {
  const std::uint64_t enables = value(Reg::kCr0) | value(Reg::kCr0Ack);
  const std::uint64_t irqs = value(Reg::kIrqCtrl);
  switch (gate) {
    case Gate::kReadOnly: return false;
    case Gate::kAlways:
    case Gate::kActive: return true;
    case Gate::kSmmuOff: return get<hw::cr0::SMMUEN>(enables) == 0;
    case Gate::kCommandsOff: return get<hw::cr0::CMDQEN>(enables) == 0;
    case Gate::kEventsOff: return get<hw::cr0::EVENTQEN>(enables) == 0;
    case Gate::kAllOff: return enables == 0;
    case Gate::kGerrorIrqOff: return get<hw::irq_ctrl::GERROR_IRQEN>(irqs) == 0;
    case Gate::kEventqIrqOff: return get<hw::irq_ctrl::EVENTQ_IRQEN>(irqs) == 0;
    case Gate::kUpdate:
      return get<hw::gbpa::UPDATE>(written) != 0 && get<hw::gbpa::UPDATE>(value(Reg::kGbpa)) == 0;
  }
  return false;
}

void VirtualSmmu::write_errors_seen(std::uint64_t written) {
  const std::uint64_t active = value(Reg::kGerror) ^ value(Reg::kGerrorN);
  const std::uint64_t seen = (written ^ value(Reg::kGerrorN)) & active;
  value(Reg::kGerrorN) ^= seen;
  if (get<hw::gerror::CMDQ_ERR>(seen) == 0) return;
  // What stands at CMDQ_CONS now is fetched again (7.1).
  command_error_.store(false, std::memory_order_release);
  add_work();
}

void VirtualSmmu::write_register(const RegisterRow& row, std::uint64_t written) {
  if (!is_open(row.gate, written)) return;
  const std::uint64_t kept = written & row.writable;
  if (row.id == Reg::kGerrorN) return write_errors_seen(kept);
  if (row.id == Reg::kCmdqProd) return produce(static_cast<std::uint32_t>(kept));
  if (row.id == Reg::kCmdqCons) {
    return cmdq_cons_.store(static_cast<std::uint32_t>(kept), std::memory_order_release);
  }
  value(row.id) = kept;
  if (row.id == Reg::kIrqCtrl) value(Reg::kIrqCtrlAck) = kept;
  if (row.id == Reg::kGbpa) {
    value(Reg::kGbpa) = with<hw::gbpa::UPDATE>(kept, 1);
    gbpa_wanted_.store(true, std::memory_order_release);
    add_work();
  }
  if (row.id == Reg::kCr0) {
    cr0_wanted_.store(static_cast<std::uint32_t>(kept), std::memory_order_release);
    add_work();
  }
}

/// The one register that is written all the time: no lock, no table.
void VirtualSmmu::produce(std::uint32_t index) {
  cmdq_prod_.store(static_cast<std::uint32_t>(index & hw::cmdq_cons::RD::kMask),
                   std::memory_order_release);
  add_work();
}

void VirtualSmmu::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (offset == hw::kCmdqProd && size == 4) {
    produce(static_cast<std::uint32_t>(value));
    return run();
  }
  const auto hit = find_register(offset, size);
  if (!hit) return;
  {
    const LockGuard guard(registers_);
    const std::uint64_t part = all_ones(size) << hit->shift;
    const std::uint64_t rest = stored(hit->row->id) & ~part;
    write_register(*hit->row, rest | ((value << hit->shift) & part));
  }
  if (has_work()) run();
}

// ---- what the guest is told ----

bool VirtualSmmu::signal(std::uint64_t address, std::uint32_t data, unsigned wire) {
  if (address == 0) {
    around_.irqs->pulse(wire_of(around_, wire));
    return true;
  }
  return around_.memory->store32(Gpa(address), data).has_value();
}

/// An error that is active already stays as it is; the guest is told of changes only (7.5).
void VirtualSmmu::raise_error(std::uint64_t bit) {
  const std::uint64_t active = value(Reg::kGerror) ^ value(Reg::kGerrorN);
  if ((active & bit) != 0) return;
  value(Reg::kGerror) ^= bit;
  if (get<hw::irq_ctrl::GERROR_IRQEN>(value(Reg::kIrqCtrl)) == 0) return;
  const bool sent = signal(value(Reg::kGerrorIrqCfg0),
                           static_cast<std::uint32_t>(value(Reg::kGerrorIrqCfg1)), kErrorWire);
  constexpr std::uint64_t kOwn = hw::gerror::MSI_GERROR_ABT_ERR::kMask;
  if (!sent && (active & kOwn) == 0) value(Reg::kGerror) ^= kOwn;  // and nobody can be told
}

// ---- life ----

void VirtualSmmu::reset_registers() {
  for (const RegisterRow& row : register_table()) value(row.id) = row.reset;
  value(Reg::kIdr0) = ids_.idr0;
  value(Reg::kIdr1) = ids_.idr1;
  value(Reg::kIdr3) = ids_.idr3;
  value(Reg::kIdr5) = ids_.idr5;
  value(Reg::kAidr) = ids_.aidr;
}

void VirtualSmmu::reset() {
  const LockGuard engine(engine_);
  const LockGuard guard(registers_);
  reset_registers();
  for (Reason& reason : reasons_) reason = {reason.guest, 0, {}};
  cmdq_prod_.store(0, std::memory_order_relaxed);
  cmdq_cons_.store(0, std::memory_order_relaxed);
  command_error_.store(false, std::memory_order_relaxed);
  cr0_wanted_.store(0, std::memory_order_relaxed);
  gbpa_wanted_.store(false, std::memory_order_relaxed);
  transition_ = Transition::kNone;
  cr0_ = 0;
  gbpa_abort_ = false;
  // Devices that stay attached have their traffic go through stage 2 alone again.
  make_stale(0, 32);
  take_work();
  if (stale_ != 0) add_work();
}

}  // namespace penstock::viommu
