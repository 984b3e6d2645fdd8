#include "hypervisor/arch/aarch64/panic.hpp"

#include <atomic>

#include "core/base/text.hpp"
#include "core/iommu/smmuv3/last_resort.hpp"
#include "core/vm/own_abort.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/cpu.hpp"
#include "hypervisor/arch/aarch64/gic_cpu.hpp"
#include "hypervisor/arch/aarch64/own_error.hpp"
#include "hypervisor/machine.hpp"

extern "C" const char _image_start[];
extern "C" const char _image_end[];

namespace penstock::arch {
namespace {

constexpr unsigned kMaxFrames = 16;

/// The CPU that panics: its affinity and kTaken; 0 while none does.
std::atomic<std::uint64_t> panicking{0};
constexpr std::uint64_t kTaken = 1ULL << 63;

bool is_in_image(std::uint64_t address) {
  return address >= reinterpret_cast<std::uintptr_t>(_image_start) &&
         address < reinterpret_cast<std::uintptr_t>(_image_end);
}

/// TPIDR_EL2 is a register, and believed where it names one of the CPUs. What a CPU's vCPU and
/// domain are made of may be what broke: nothing here follows pointers to them.
const Cpu* this_cpu() {
  const std::uint64_t at = PENSTOCK_READ_SYSREG(tpidr_el2);
  for (const Cpu& each : machine().cpus) {
    if (reinterpret_cast<std::uintptr_t>(&each) == at) return &each;
  }
  return nullptr;
}

/// The first CPU to come here goes on, when all DMA aborts and the others have been told to stop.
/// Any other one stops; so does the first when it comes again because the panic itself has failed.
void take_over() {
  std::uint64_t nobody = 0;
  const std::uint64_t self = own_affinity() | kTaken;
  if (!panicking.compare_exchange_strong(nobody, self)) {
    if (nobody == self) machine().psci.system_off();
    stop_this_cpu();
  }
  if (machine().has_smmu) iommu::abort_all_dma(machine().smmu_window);
  const Cpu* cpu = this_cpu();
  if (cpu != nullptr && cpu->online.load()) send_sgi_to_others(kStopSgi);
}

void say(TextWriter& text) {
  machine().console.raw("\r\npenstock| panic: ");
  machine().console.raw(text.view());
}

void say_address(std::string_view label, std::uint64_t address) {
  Text<96> text;
  text.text(label).hex(address, 16);
  if (is_in_image(address)) {
    text.text("  image+").hex(address - reinterpret_cast<std::uintptr_t>(_image_start));
  }
  say(text);
}

/// Frame records of AAPCS64: [x29] is the caller's x29, [x29 + 8] the return address. Only this
/// CPU's stack is believed.
void say_back_trace(std::uint64_t frame_pointer) {
  const Cpu* cpu = this_cpu();
  const std::uint64_t top = cpu != nullptr ? cpu->stack_top : 0;
  for (unsigned i = 0; i < kMaxFrames; ++i) {
    if (top == 0 || frame_pointer % 16 != 0 || frame_pointer >= top ||
        frame_pointer < top - kStackBytes) {
      return;
    }
    const auto* record = reinterpret_cast<const std::uint64_t*>(frame_pointer);
    say_address("called from ", record[1]);
    frame_pointer = record[0];
  }
}

/// The domain is the one whose stage 2 this CPU has (VTTBR_EL2.VMID, domain_build.cpp).
void say_where() {
  const Cpu* cpu = this_cpu();
  if (cpu == nullptr) return;
  const std::uint64_t vmid = PENSTOCK_READ_SYSREG(vttbr_el2) >> 48;
  Text<96> text;
  text.text("on cpu ").dec(cpu->index.value());
  if (vmid != 0) {
    text.text(", which was entered last for domain ").dec(vmid - 1);
  } else {
    text.text(", no domain");
  }
  say(text);
}

[[noreturn]] void stop_here() {
  machine().console.raw("\r\npenstock| panic: stopped\r\n");
  machine().psci.system_off();
  stop_this_cpu();
}

}  // namespace

void stop_this_cpu() {
  for (;;) wait_for_interrupt();
}

void panic(std::string_view reason) {
  take_over();
  Text<200> text;
  text.text(reason);
  say(text);
  say_where();
  say_back_trace(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
  stop_here();
}

extern "C" [[noreturn]] void penstock_panic(const char* reason) {
  panic(reason);
}

/// A device that aborts an access which is forwarded for its guest (a size that it does not take,
/// or a device that is gone) reads as all-ones, as an absent one does; it must not end the machine
/// (H6, H45). The return goes on after the access, by what this exception's own frame says; a
/// guest's return state lies in the frame of the guest's exception (H54).
bool forgive_device_abort(GuestFrame& frame) {
  if (!vm::is_own_external_abort(PENSTOCK_READ_SYSREG(esr_el2))) return false;
  if (!vm::is_own_state(frame.spsr) || !is_in_image(frame.elr)) return false;
  if (!machine().may_abort(Hpa(PENSTOCK_READ_SYSREG(far_el2)))) return false;
  const auto forgiven = vm::forgive_access(*reinterpret_cast<const std::uint32_t*>(frame.elr));
  if (!forgiven) return false;
  if (forgiven->load) frame.write(forgiven->reg, forgiven->value);
  frame.elr += 4;
  return true;
}

/// A device, or nobody, aborted the walk of a guest's own tables, which the guest may put anywhere
/// (vectors.S). PAR_EL1 says what it would of any walk that fails.
bool forgive_walk_abort(GuestFrame& frame) {
  constexpr std::uint64_t kDataAbortSameEl = 0x25;
  const auto is_at = [&frame](const char* place) {
    return frame.elr == reinterpret_cast<std::uintptr_t>(place);
  };
  if (PENSTOCK_READ_SYSREG(esr_el2) >> 26 != kDataAbortSameEl) return false;
  if (!is_at(walk_of_el1) && !is_at(walk_of_el0)) return false;
  PENSTOCK_WRITE_SYSREG(par_el1, 1);  // F
  frame.elr += 4;
  return true;
}

extern "C" void handle_own_exception(std::uint64_t kind, GuestFrame* frame) {
  constexpr std::uint64_t kSynchronousSpEl2 = 4;
  constexpr std::uint64_t kErrorSpEl2 = 7;
  if (kind == kSynchronousSpEl2 && (forgive_device_abort(*frame) || forgive_walk_abort(*frame))) {
    return;
  }
  if (kind == kErrorSpEl2 && this_cpu() != nullptr && is_awaited_error()) return;
  take_over();
  Text<200> text;
  text.text("exception ")
      .dec(kind)
      .text(" in the hypervisor, esr ")
      .hex(PENSTOCK_READ_SYSREG(esr_el2));
  say(text);
  say_where();
  say_address("pc  ", frame->elr);
  say_address("far ", PENSTOCK_READ_SYSREG(far_el2));
  for (unsigned i = 0; i < 31; ++i) {
    Text<8> label;
    label.ch('x').dec(i).text(i < 10 ? "  " : " ");
    say_address(label.view(), frame->x[i]);
  }
  say_back_trace(frame->x[29]);
  stop_here();
}

/// On a stack of its own (vectors.S): the one that was in use is full.
extern "C" [[noreturn]] void handle_stack_overflow() {
  take_over();
  Text<200> text;
  text.text("a stack of the hypervisor's is full, esr ").hex(PENSTOCK_READ_SYSREG(esr_el2));
  say(text);
  say_where();
  say_address("pc  ", PENSTOCK_READ_SYSREG(elr_el2));
  say_address("far ", PENSTOCK_READ_SYSREG(far_el2));
  stop_here();
}

}  // namespace penstock::arch
