// What assembly and C++ agree on about a CPU's registers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::arch {

/// What an exception interrupted, as saved by vectors.S: x0..x30 and where the return goes to. The
/// return loads elr and spsr from here. ELR_EL2 and SPSR_EL2 themselves hold them no longer once a
/// device has aborted an access of the hypervisor's. x31 in an instruction means the zero register
/// for loads and stores. Of an interrupt from AArch64, only elr and spsr are where this says.
struct GuestFrame {
  std::array<std::uint64_t, 31> x;
  std::uint64_t elr;
  std::uint64_t spsr;
  std::uint64_t padding;

  [[nodiscard]] std::uint64_t read(unsigned reg) const { return reg < 31 ? x[reg] : 0; }
  void write(unsigned reg, std::uint64_t value) {
    if (reg < 31) x[reg] = value;
  }
};
static_assert(sizeof(GuestFrame) == 272 && offsetof(GuestFrame, elr) == 248);

extern "C" {
[[noreturn]] void enter_guest(const GuestFrame* registers, void* stack_top);
[[noreturn]] void restart_on_stack(void* stack_top, void (*function)(void*), void* argument);
std::uint64_t read_translation_of_el1(std::uint64_t va);
std::uint64_t read_translation_of_el0(std::uint64_t va);
extern const char walk_of_el1[];
extern const char walk_of_el0[];
void reset_scalable_vectors();
void secondary_cpu_entry();
extern const char exception_vectors[];
extern const char exception_vectors_after_branches[];
extern const char exception_vectors_after_instruction[];
extern const char exception_vectors_after_firmware[];
}

}  // namespace penstock::arch
