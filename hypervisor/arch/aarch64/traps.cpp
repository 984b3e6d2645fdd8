// From a trap to the part of the hypervisor that answers it, and back. Nothing here decides what a
// guest may do.
#include "hypervisor/arch/aarch64/traps.hpp"

#include "core/vm/emulated_instruction.hpp"
#include "core/vm/psci.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/guest_access.hpp"
#include "hypervisor/arch/aarch64/id_registers.hpp"
#include "hypervisor/arch/aarch64/own_error.hpp"
#include "hypervisor/arch/aarch64/panic.hpp"
#include "hypervisor/arch/aarch64/trap.hpp"
#include "hypervisor/arch/aarch64/world.hpp"
#include "hypervisor/machine.hpp"

namespace penstock::arch {
namespace {

/// The instruction that trapped has been carried out. `esr`: the syndrome of its trap.
void skip_instruction(GuestFrame& frame, std::uint64_t esr) {
  const vm::InstructionState next =
      vm::after_instruction({frame.elr, frame.spsr}, is_32_bit_instruction(esr));
  frame.elr = next.pc;
  frame.spsr = next.pstate;
}

/// Nothing that the domain could be answered with: it is stopped, with the place and the reason.
void impossible(Vcpu& vcpu, const GuestFrame& frame, std::string_view what, std::uint64_t value) {
  vcpu.exits.add(vm::Exit::kImpossible);
  Text<160> why;
  why.text("stopped: ").text(what).ch(' ').hex(value).text(" at pc ").hex(frame.elr);
  why.text(" on vcpu ").dec(vcpu.index.value());
  vcpu.partition->request_stop(Partition::Stop::kCrash, why.view());
}

/// The access ends as on a bus where nothing answers: the guest takes an abort, its process a
/// signal (H64). The domain is stopped only when it has no handler that could take it.
void give_abort(Vcpu& vcpu, GuestFrame& frame, const TrappedAccess& access, std::string_view what,
                std::uint64_t where) {
  const std::uint64_t vectors = PENSTOCK_READ_SYSREG(vbar_el1);
  if (vcpu.aborts.is_endless(frame.spsr, frame.elr, vectors)) {
    return impossible(vcpu, frame, "its exception vectors take no abort:", vectors);
  }
  vcpu.exits.add(vm::Exit::kAbort);
  vcpu.partition->tell_of_abort(vcpu, what, where, frame.elr);
  inject_abort(frame, access.syndrome, access.address);
}

/// Syndrome and addresses are read once, before anything else is done: an access that a device
/// aborts overwrites them. `at` has a meaning only where a translation is missing.
TrappedAccess trapped_access(std::uint64_t esr) {
  const std::uint64_t far = PENSTOCK_READ_SYSREG(far_el2);
  return {esr, far, fault_address(PENSTOCK_READ_SYSREG(hpfar_el2), far)};
}

/// An access was carried out, and an error that a device made of it is taken before anything else.
[[gnu::always_inline]] inline void account_for(Vcpu& vcpu, vm::Exit reason) {
  vcpu.exits.add(reason);
  if (reason == vm::Exit::kConfigSpace || reason == vm::Exit::kBar) {
    settle_errors(vcpu.partition->name());
  }
}

/// A stage-2 translation was missing, and no syndrome describes the access.
void handle_other_access(Vcpu& vcpu, GuestFrame& frame, const TrappedAccess& trapped) {
  if (vcpu.domain->retry(trapped.at)) return;
  if (is_table_walk(trapped.syndrome)) {
    return give_abort(vcpu, frame, trapped, "tables where no memory is,", trapped.at.value());
  }
  // Of what is not memory nothing is cached.
  if (is_cache_maintenance(trapped.syndrome)) return skip_instruction(frame, trapped.syndrome);
  vm::Exit reason = vm::Exit::kAbort;
  if (carry_out_instruction(vcpu, frame, trapped, reason)) {
    account_for(vcpu, reason);
    return skip_instruction(frame, trapped.syndrome);
  }
  give_abort(vcpu, frame, trapped, "an access that cannot be emulated, address",
             trapped.at.value());
}

void handle_data_abort(Vcpu& vcpu, GuestFrame& frame, std::uint64_t esr) {
  const TrappedAccess trapped = trapped_access(esr);
  if (!is_missing_translation(esr)) [[unlikely]] {
    return give_abort(vcpu, frame, trapped, "an access that is not allowed, virtual address",
                      trapped.address);
  }
  const auto access = decode_access(esr);
  if (!access) [[unlikely]]
    return handle_other_access(vcpu, frame, trapped);
  vm::Exit reason = vm::Exit::kAbort;
  if (carry_out(vcpu, frame, trapped.at, *access, reason)) [[likely]] {
    account_for(vcpu, reason);
    return skip_instruction(frame, esr);
  }
  if (vcpu.domain->retry(trapped.at)) return;
  give_abort(vcpu, frame, trapped, "an access where nothing is, address", trapped.at.value());
}

void handle_instruction_abort(Vcpu& vcpu, GuestFrame& frame, std::uint64_t esr) {
  const TrappedAccess access = trapped_access(esr);
  if (is_missing_translation(esr) && vcpu.domain->retry(access.at)) return;
  give_abort(vcpu, frame, access, "an instruction fetched from outside RAM, virtual address",
             access.address);
}

bool has_pending_interrupt(const port::ListRegisters& registers) {
  constexpr unsigned kPending = 62;  // ICH_LR<n>_EL2.State, low bit
  for (unsigned i = 0; i < registers.count(); ++i) {
    if ((registers.read(i) >> kPending & 1) != 0) return true;
  }
  return false;
}

/// As WFI of the guest's own: sleeps until a physical interrupt is pending, unless a virtual one
/// waits already. What another CPU leaves for this one comes with an SGI. It may wake for nothing,
/// as WFI may.
void suspend(Vcpu& vcpu) {
  vmsi::VirtualGic& gic = vcpu.partition->domain().gic();
  if (gic.needs_delivery(vcpu.index)) gic.deliver(vcpu.index, vcpu.list_registers);
  if (!has_pending_interrupt(vcpu.list_registers)) wait_for_interrupt();
}

void handle_firmware_call(Vcpu& vcpu, GuestFrame& frame) {
  vcpu.exits.add(vm::Exit::kHypercall);
  const vm::ArchFeatures& firmware = machine().psci;
  const vm::PsciCall call =
      vm::decode_psci(frame.x[0], frame.x[1], frame.x[2], frame.x[3], firmware);
  Partition& partition = *vcpu.partition;
  using Kind = vm::PsciCall::Kind;
  switch (call.kind) {
    case Kind::kAnswer: frame.x[0] = static_cast<std::uint64_t>(call.answer); return;
    case Kind::kWorkaround: machine().psci.workaround(call.function); return;
    case Kind::kSuspend:
      suspend(vcpu);
      frame.x[0] = static_cast<std::uint64_t>(call.answer);
      return;
    case Kind::kCpuOn:
      frame.x[0] =
          static_cast<std::uint64_t>(partition.cpu_on(call.affinity, call.entry, call.context));
      return;
    case Kind::kCpuOff: partition.cpu_off(vcpu);
    case Kind::kAffinityInfo:
      frame.x[0] = static_cast<std::uint64_t>(partition.affinity_info(call.affinity));
      return;
    case Kind::kSystemOff: partition.request_stop(Partition::Stop::kPowerOff, "powers off"); return;
    case Kind::kSystemReset: partition.request_stop(Partition::Stop::kReset, "restarts"); return;
  }
}

/// ICC_SGI1R_EL1, the one of which there are many.
void handle_sgi(Vcpu& vcpu, GuestFrame& frame, std::uint64_t esr) {
  vcpu.exits.add(vm::Exit::kSgi);
  vcpu.domain->gic().send_sgi(vcpu.index, frame.read(decode_system_register(esr).reg));
  skip_instruction(frame, esr);
}

void handle_system_register(Vcpu& vcpu, GuestFrame& frame, std::uint64_t esr) {
  if (is_write_of(esr, 3, 0, 12, 11, 5)) return handle_sgi(vcpu, frame, esr);
  const SystemRegisterAccess access = decode_system_register(esr);
  const unsigned name =
      access.op0 << 14 | access.op1 << 11 | access.crn << 7 | access.crm << 3 | access.op2;
  constexpr auto encode = [](unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;
  };
  if (name == encode(3, 0, 12, 11, 1) && !access.read) {  // ICC_DIR_EL1
    vcpu.exits.add(vm::Exit::kSystemRegister);
    const auto intid = static_cast<std::uint32_t>(frame.read(access.reg) & 0xff'ffff);
    vcpu.partition->domain().gic().deactivate(vcpu.index, vcpu.list_registers, intid);
    return skip_instruction(frame, esr);
  }
  if (access.op0 == 3 && access.op1 == 0 && access.crn == 0 && access.read) {
    vcpu.exits.add(vm::Exit::kIdRegister);
    frame.write(access.reg, guest_id_register(access.crm, access.op2));
    return skip_instruction(frame, esr);
  }
  vcpu.exits.add(vm::Exit::kSystemRegister);
  const bool group0_sgi = name == encode(3, 0, 12, 11, 6) || name == encode(3, 0, 12, 11, 7);
  if (name == encode(3, 0, 1, 0, 1) ||
      group0_sgi) {  // ACTLR_EL1; ICC_ASGI1R, ICC_SGI0R: no other group exists
    if (access.read) frame.write(access.reg, 0);
    return skip_instruction(frame, esr);
  }
  inject_undefined(frame);
}

/// Nothing that a guest may do. One of AArch32 can have trapped although its condition fails: then
/// it does nothing (DDI 0487 D1.3.6).
void handle_other_instruction(GuestFrame& frame, std::uint64_t esr) {
  if (has_condition(esr) && !vm::condition_holds(esr, frame.spsr)) {
    return skip_instruction(frame, esr);
  }
  inject_undefined(frame);
}

// The three that follow are part of every trap, and therefore not calls.

[[gnu::always_inline]] inline void deliver_and_check(Vcpu& vcpu) {
  if (vcpu.mail->load(std::memory_order_relaxed) != 0) {
    vcpu.domain->gic().deliver(vcpu.index, vcpu.list_registers);
  }
  vcpu.partition->check(vcpu);
}

/// The rest of long work, a share for each stay here: other interrupts and requests to stop get
/// their turn in between.
[[gnu::always_inline]] inline void come_again_for_work(Vcpu& vcpu) {
  if (vcpu.domain->has_work()) [[unlikely]] {
    send_sgi(vcpu.cpu->sgi_target, kKickSgi);
  }
}

/// What a trap has left behind, on the vCPU's own time.
[[gnu::always_inline]] inline void before_return(Vcpu& vcpu) {
  deliver_and_check(vcpu);
  come_again_for_work(vcpu);
}

void forward_timer(Vcpu& vcpu, std::uint32_t intid) {
  // Stays active: the guest's own deactivation reaches the physical interrupt through the list
  // register's HW bit.
  vcpu.exits.add(vm::Exit::kTimer);
  vcpu.partition->domain().gic().pend_hardware_ppi(vcpu.index, intid);
  drop_priority(intid);
}

void take_interrupt(Machine& machine, Cpu& cpu, std::uint32_t intid) {
  Vcpu* vcpu = cpu.vcpu;
  if (intid >= assign::kFirstLpi) {
    drop_priority(intid);  // LPIs have no active state
    if (vcpu != nullptr) vcpu->exits.add(vm::Exit::kMsi);
    machine.message(cpu, HostLpi(intid));
    return;
  }
  if (vcpu != nullptr && (intid == kVirtualTimerIntId || intid == kPhysicalTimerIntId)) {
    return forward_timer(*vcpu, intid);
  }
  if (intid == kMaintenanceIntId && vcpu != nullptr) {
    vcpu->exits.add(vm::Exit::kMaintenance);
    vcpu->partition->domain().gic().maintenance(vcpu->index, vcpu->list_registers);
    drop_priority(
        intid);  // its cause is gone now, so the level-sensitive interrupt does not come twice
    deactivate(intid);
    return;
  }
  drop_priority(intid);
  deactivate(intid);
  if (intid == kStopSgi) stop_this_cpu();
  if (vcpu != nullptr) vcpu->exits.add(vm::Exit::kBoardInterrupt);
  const bool somebody_elses = error_is_pending();
  machine.board_interrupt(cpu, intid);
  if (!somebody_elses) settle_errors("the board");
}

/// before_return() or the idle loop looks at what it was for. As a rule it came alone.
[[gnu::always_inline]] inline void take_kick(Cpu& cpu) {
  drop_priority(kKickSgi);
  deactivate(kKickSgi);
  if (cpu.vcpu != nullptr) cpu.vcpu->exits.add(vm::Exit::kKick);
}

// A burst is taken in one trap; a storm gives the guest its turn in between (it is on its own CPU
// anyway).
constexpr unsigned kInterruptsPerTrap = 8;

/// From the first that was acknowledged on.
[[gnu::noinline]] void take_interrupts(Cpu& cpu, std::uint32_t intid) {
  for (unsigned i = 0; intid < kSpuriousIntId || intid >= assign::kFirstLpi;) {
    take_interrupt(machine(), cpu, intid);
    if (++i == kInterruptsPerTrap) return;
    intid = acknowledge_interrupt();
    if (intid == kKickSgi) return take_kick(cpu);
  }
}

[[gnu::always_inline]] inline void take_pending(Cpu& cpu) {
  const std::uint32_t intid = acknowledge_interrupt();
  if (intid == kKickSgi) return take_kick(cpu);
  take_interrupts(cpu, intid);
}

}  // namespace

void take_pending_interrupts() {
  take_pending(own_cpu());
}

extern "C" void handle_guest_irq() {
  take_pending(own_cpu());
  Vcpu& vcpu = *own_cpu().vcpu;
  deliver_and_check(vcpu);
  if (vcpu.domain->has_work()) [[unlikely]] {
    vcpu.domain->do_work();
    settle_errors(vcpu.partition->name());
    before_return(vcpu);
  }
}

extern "C" void handle_guest_sync(GuestFrame* frame) {
  Vcpu& vcpu = *own_cpu().vcpu;
  const std::uint64_t esr = PENSTOCK_READ_SYSREG(esr_el2);
  switch (static_cast<ExceptionClass>(exception_class(esr))) {
    case ExceptionClass::kDataAbort: handle_data_abort(vcpu, *frame, esr); break;
    case ExceptionClass::kSystemRegister: handle_system_register(vcpu, *frame, esr); break;
    case ExceptionClass::kHvc64: handle_firmware_call(vcpu, *frame); break;
    case ExceptionClass::kSmc64:
      skip_instruction(*frame, esr);  // a trapped SMC returns to itself (DDI 0487 D1.3.2)
      handle_firmware_call(vcpu, *frame);
      break;
    case ExceptionClass::kInstructionAbort: handle_instruction_abort(vcpu, *frame, esr); break;
    default: handle_other_instruction(*frame, esr); break;
  }
  before_return(vcpu);
}

extern "C" void handle_guest_unexpected(GuestFrame* frame, std::uint64_t kind) {
  // An SError taken from the guest is one that its device or memory access caused: it stays with
  // its owner.
  Vcpu& vcpu = *own_cpu().vcpu;
  impossible(vcpu, *frame, kind == 2 ? "an SError, syndrome" : "an FIQ that nobody sent, syndrome",
             PENSTOCK_READ_SYSREG(esr_el2));
  before_return(vcpu);
}

}  // namespace penstock::arch
