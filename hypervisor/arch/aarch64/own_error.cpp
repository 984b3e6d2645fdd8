#include "hypervisor/arch/aarch64/own_error.hpp"

#include "core/base/text.hpp"
#include "core/base/worth_a_line.hpp"
#include "core/vm/own_abort.hpp"
#include "hypervisor/machine.hpp"

namespace penstock::arch {

void take_own_error(std::string_view whose) {
  Cpu& cpu = own_cpu();
  cpu.awaits_error = true;
  asm volatile("msr daifclr, #4\n\tisb\n\tmsr daifset, #4\n\tisb" ::: "memory");
  cpu.awaits_error = false;
  if (!worth_a_line(++cpu.errors)) return;
  Text<160> text;
  text.text("an access of the hypervisor's to a device ended in an SError, on cpu ");
  text.dec(cpu.index.value()).text(", in work for ").text(whose).text(", syndrome ");
  text.hex(cpu.error_syndrome);
  machine().console.line(port::Severity::kWarning, text.view());
}

bool is_awaited_error() {
  Cpu& cpu = own_cpu();
  if (!cpu.awaits_error) return false;
  cpu.error_syndrome = PENSTOCK_READ_SYSREG(esr_el2);
  return vm::is_survivable_error(cpu.error_syndrome);
}

}  // namespace penstock::arch
