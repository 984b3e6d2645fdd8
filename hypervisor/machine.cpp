#include "hypervisor/machine.hpp"

#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/traps.hpp"

namespace penstock {
namespace {

// Ctrl-T, then a domain's digit: who gets what is typed; or a command of the operator's.
constexpr char kEscape = 0x14;
constexpr char kAuditCommand = 'a';

[[noreturn]] void idle_loop(void* argument) {
  auto& cpu = *static_cast<arch::Cpu*>(argument);
  for (;;) {
    arch::take_pending_interrupts();
    cpu.vcpu = cpu.owner.adopt();
    if (cpu.vcpu != nullptr) cpu.vcpu->partition->poll_idle(*cpu.vcpu);
    arch::wait_for_interrupt();
  }
}

void console_input(Machine& machine) {
  for (int c = machine.console.receive(); c >= 0; c = machine.console.receive()) {
    if (machine.input_command) {
      machine.input_command = false;
      if (c == kAuditCommand) machine.report_audit();
      const auto index = static_cast<unsigned>(c - '0');
      if (index < machine.partitions.size()) machine.input_focus = index;
    } else if (c == kEscape) {
      machine.input_command = true;
    } else {
      const LockGuard guard(machine.life);
      Partition* partition = machine.partitions[machine.input_focus];
      if (partition != nullptr) partition->domain().type(static_cast<char>(c));
    }
  }
}

/// EL2's own timer, armed while something on the console is unsent (platform/console.hpp).
void stop_hypervisor_timer() {
  PENSTOCK_WRITE_SYSREG(cnthp_ctl_el2, 0);
}

}  // namespace

void Machine::idle(arch::Cpu& cpu) {
  arch::restart_on_stack(reinterpret_cast<void*>(cpu.stack_top), idle_loop, &cpu);
}

void Machine::message(arch::Cpu& cpu, HostLpi lpi) {
  const assign::Route route = routes.get(lpi);
  switch (route.kind) {
    case assign::Route::Kind::kGuest: {
      devices[route.device]->interrupts.fetch_add(1, std::memory_order_relaxed);
      Partition& partition = *partitions[route.domain.value()];
      vmsi::VirtualGic& virtual_gic = partition.domain().gic();
      const bool here =
          cpu.vcpu != nullptr && cpu.vcpu->partition == &partition && cpu.vcpu->index == route.vcpu;
      if (here) {
        virtual_gic.pend_lpi_here(route.vcpu, route.lpi);
      } else {
        virtual_gic.pend_lpi(route.vcpu, route.lpi);
      }
      return;
    }
    case assign::Route::Kind::kStray: report_stray(lpi, route); return;
    case assign::Route::Kind::kUnwanted:
    case assign::Route::Kind::kNone: return;
  }
}

void Machine::board_interrupt(arch::Cpu& cpu, std::uint32_t intid) {
  if (board.uart && intid == board.uart->intid) return console_input(*this);
  if (has_smmu && intid == board.smmu->event_intid) {
    report_faults();
    if (board.smmu->gerror_intid == 0) report_smmu_errors();  // one line for both
    return;
  }
  if (has_smmu && intid == board.smmu->gerror_intid) return report_smmu_errors();
  if (intid == kHypervisorTimerIntId) {
    stop_hypervisor_timer();
    if (cpu.vcpu != nullptr) {
      Partition& partition = *cpu.vcpu->partition;
      console.look_again(partition.source());
      partition.domain().look_for_console_room();
    } else {
      console.look_again(0);
    }
  }
}

void Machine::come_again(std::uint32_t intid) {
  distributor.write32(0x200 + intid / 32 * 4, 1U << intid % 32);  // GICD_ISPENDR<n>
}

void Machine::drop_private_interrupts(arch::Cpu& cpu) {
  // GICR_ICPENDR0, GICR_ICACTIVER0 of the SGI frame (IHI 0069 12.11), the two timers only.
  constexpr std::uint64_t kSgiFrame = 0x1'0000;
  constexpr std::uint32_t kTimers = 1U << kVirtualTimerIntId | 1U << kPhysicalTimerIntId;
  ports::HwMmio frame(cpu.redistributor);
  frame.write32(kSgiFrame + 0x280, kTimers);
  frame.write32(kSgiFrame + 0x380, kTimers);
}

assign::Hardware Machine::hardware() {
  return {&smmu, &its, &lpis, &routes, &clock, &console, &virtual_functions};
}

bool Machine::may_abort(Hpa address) const {
  if (probing) return true;
  if (!board.bridge) return false;
  const auto inside = [address](Hpa base, std::uint64_t size) {
    return address >= base && address - base < size;
  };
  bool any = inside(board.bridge->ecam.base, board.bridge->ecam.size);
  for (const manifest::BridgeWindow& window : board.bridge->windows) {
    any = any || inside(window.host, window.size);
  }
  return any;
}

void Machine::stop(std::string_view why) {
  console.line(port::Severity::kError, why);
  report_audit();
  console.event("end", "{\"ok\":false}");
  console.send_all();
  psci.system_off();
  for (;;) arch::wait_for_interrupt();
}

void Machine::domain_ended() {
  if (domains_alive.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  report_memory();
  report_audit();
  console.event("end", "{}");
  console.send_all();
  psci.system_off();
  console.line(port::Severity::kWarning,
               "every domain is off; firmware cannot switch the board off");
}

}  // namespace penstock
