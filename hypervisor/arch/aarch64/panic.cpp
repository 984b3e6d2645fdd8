#include "hypervisor/arch/aarch64/panic.hpp"

#include "core/base/text.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/cpu.hpp"
#include "hypervisor/machine.hpp"

extern "C" const char _image_start[];
extern "C" const char _image_end[];

namespace penstock::arch {
namespace {

constexpr unsigned kMaxFrames = 16;

void say(TextWriter& text) {
  machine().console.raw("\r\npenstock| panic: ");
  machine().console.raw(text.view());
}

void say_address(std::string_view label, std::uint64_t address) {
  Text<96> text;
  text.text(label).hex(address, 16);
  const auto start = reinterpret_cast<std::uintptr_t>(_image_start);
  const auto end = reinterpret_cast<std::uintptr_t>(_image_end);
  if (address >= start && address < end) text.text("  image+").hex(address - start);
  say(text);
}

/// Frame records of AAPCS64: [x29] is the caller's x29, [x29 + 8] the return address. Only this
/// CPU's stack is believed.
void say_back_trace(std::uint64_t frame_pointer) {
  const std::uint64_t top = PENSTOCK_READ_SYSREG(tpidr_el2) != 0 ? own_cpu().stack_top : 0;
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

void say_where() {
  if (PENSTOCK_READ_SYSREG(tpidr_el2) == 0) return;
  const Cpu& cpu = own_cpu();
  Text<96> text;
  text.text("on cpu ").dec(cpu.index.value());
  if (cpu.vcpu != nullptr) {
    text.text(", domain ")
        .text(cpu.vcpu->partition->name())
        .text(", vcpu ")
        .dec(cpu.vcpu->index.value());
  } else {
    text.text(", no domain");
  }
  say(text);
}

[[noreturn]] void stop_here() {
  machine().console.raw("\r\npenstock| panic: stopped\r\n");
  machine().psci.system_off();
  for (;;) wait_for_interrupt();
}

}  // namespace

void panic(std::string_view reason) {
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

/// A plain load or store without write-back (DDI 0487 C4.1, loads and stores): what a register
/// access compiles to.
bool is_plain_access(std::uint32_t instruction) {
  if ((instruction & 0x3c00'0000) != 0x3800'0000) return false;  // integer, single register
  const bool scaled_offset = (instruction >> 24 & 1) != 0;
  const bool register_offset = (instruction & 0x0120'0c00) == 0x0020'0800;
  const bool unscaled_offset = (instruction & 0x0120'0c00) == 0;
  return scaled_offset || register_offset || unscaled_offset;
}

/// A device that aborts an access which is forwarded for its guest (a size that it does not take,
/// or a device that is gone) reads as all-ones, as an absent one does; it must not end the machine
/// (H6, H45). The return goes on after the access, by what this exception's own frame says; a
/// guest's return state lies in the frame of the guest's exception (H54).
bool forgive_device_abort(GuestFrame& frame) {
  constexpr std::uint64_t kDataAbortSameEl = 0x25;
  constexpr std::uint64_t kSynchronousExternal = 0x10;
  const std::uint64_t esr = PENSTOCK_READ_SYSREG(esr_el2);
  if (esr >> 26 != kDataAbortSameEl || (esr & 0x3f) != kSynchronousExternal) return false;
  const auto& bridge = machine().board.bridge;
  const std::uint64_t far = PENSTOCK_READ_SYSREG(far_el2);
  const auto inside = [far](Hpa base, std::uint64_t size) {
    return far >= base.value() && far - base.value() < size;
  };
  if (!bridge || !(inside(bridge->mem32.host, bridge->mem32.size) ||
                   inside(bridge->mem64.host, bridge->mem64.size) ||
                   inside(bridge->ecam.base, bridge->ecam.size))) {
    return false;
  }
  const auto instruction = *reinterpret_cast<const std::uint32_t*>(frame.elr);
  if (!is_plain_access(instruction)) return false;
  const bool load = (instruction >> 22 & 3) != 0;
  const unsigned size = 1U << (instruction >> 30);
  if (load) frame.write(instruction & 31, size == 8 ? ~0ULL : (1ULL << (8 * size)) - 1);
  frame.elr += 4;
  return true;
}

extern "C" void handle_own_exception(std::uint64_t kind, GuestFrame* frame) {
  constexpr std::uint64_t kSynchronousSpEl2 = 4;
  if (kind == kSynchronousSpEl2 && forgive_device_abort(*frame)) return;
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

}  // namespace penstock::arch
