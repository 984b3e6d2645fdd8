// What assembly and C++ agree on about a CPU's registers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::arch {

/// x0..x30 of a guest as saved by vectors.S. x31 in an instruction means the zero register for
/// loads and stores.
struct GuestFrame {
  std::array<std::uint64_t, 31> x;
  std::uint64_t padding;

  [[nodiscard]] std::uint64_t read(unsigned reg) const { return reg < 31 ? x[reg] : 0; }
  void write(unsigned reg, std::uint64_t value) {
    if (reg < 31) x[reg] = value;
  }
};
static_assert(sizeof(GuestFrame) == 256);

extern "C" {
[[noreturn]] void enter_guest(const GuestFrame* registers, void* stack_top);
[[noreturn]] void restart_on_stack(void* stack_top, void (*function)(void*), void* argument);
void secondary_cpu_entry();
extern const char exception_vectors[];
}

}  // namespace penstock::arch
