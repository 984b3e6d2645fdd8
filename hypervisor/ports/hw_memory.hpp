// port::PhysMem and port::Clock on real hardware.
#pragma once

#include "core/port/clock.hpp"
#include "core/port/phys_mem.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::ports {

class HwPhysMem final : public port::PhysMem {
 public:
  std::byte* map(Hpa pa, std::uint64_t /*size*/) override {
    return reinterpret_cast<std::byte*>(pa.value());  // VA = PA (stage1.hpp)
  }
  void make_observable(Hpa pa, std::uint64_t size) override {
    for (std::uint64_t a = align_down(pa.value(), 64); a < pa.value() + size; a += 64) {
      asm volatile("dc civac, %0" ::"r"(a) : "memory");
    }
    arch::complete_all();
  }
  /// Zeroes RAM, for everybody to see. `pa` and `size`: multiples of 4 KiB. With the MMU on, which
  /// makes it Normal memory.
  void scrub(Hpa pa, std::uint64_t size) {
    // DCZID_EL0 (DDI 0487): log2 of a block in words; bit 4: DC ZVA is prohibited.
    const std::uint64_t id = PENSTOCK_READ_SYSREG(dczid_el0);
    const std::uint64_t block = std::uint64_t{4} << (id & 0xf);
    if ((id & 0x10) == 0 && block <= kPageSize) {
      const std::uint64_t end = pa.value() + size;
      for (std::uint64_t a = pa.value(); a < end; a += block) {
        asm volatile("dc zva, %0" ::"r"(a) : "memory");
      }
    } else {
      __builtin_memset(map(pa, size), 0, size);
    }
    make_observable(pa, size);
  }
};

/// The generic timer's physical counter.
class HwClock final : public port::Clock {
 public:
  std::uint64_t now_ns() override {
    const std::uint64_t hz = PENSTOCK_READ_SYSREG(cntfrq_el0);
    const std::uint64_t ticks = PENSTOCK_READ_SYSREG(cntpct_el0);
    return ticks / hz * 1'000'000'000 + ticks % hz * 1'000'000'000 / hz;
  }
  /// EL2's timer interrupts this CPU `ns` later, or before.
  static void wake_after(std::uint64_t ns) {
    const std::uint64_t hz = PENSTOCK_READ_SYSREG(cntfrq_el0);
    const std::uint64_t ticks = ns / 1'000'000'000 * hz + ns % 1'000'000'000 * hz / 1'000'000'000;
    PENSTOCK_WRITE_SYSREG(cnthp_cval_el2, PENSTOCK_READ_SYSREG(cntpct_el0) + ticks + 1);
    PENSTOCK_WRITE_SYSREG(cnthp_ctl_el2, 1);
  }
  /// Sleeps until EL2's timer (PPI 26, enabled before the first wait) wakes this CPU; pending
  /// interrupts stay pending.
  void wait(std::uint64_t ns) override {
    const std::uint64_t end = now_ns() + ns;
    const std::uint64_t ticks_per_ms = PENSTOCK_READ_SYSREG(cntfrq_el0) / 1000;
    const std::uint64_t ticks = ns / 1'000'000 * ticks_per_ms + ticks_per_ms;
    const std::uint64_t armed_for = PENSTOCK_READ_SYSREG(cnthp_cval_el2);
    const std::uint64_t armed = PENSTOCK_READ_SYSREG(cnthp_ctl_el2) & 1;
    PENSTOCK_WRITE_SYSREG(cnthp_cval_el2, PENSTOCK_READ_SYSREG(cntpct_el0) + ticks);
    PENSTOCK_WRITE_SYSREG(cnthp_ctl_el2, 1);
    while (now_ns() < end) arch::wait_for_interrupt();
    PENSTOCK_WRITE_SYSREG(cnthp_cval_el2,
                          armed_for);  // the console (platform/console.cpp) shares the timer
    PENSTOCK_WRITE_SYSREG(cnthp_ctl_el2, armed);
  }
};

}  // namespace penstock::ports
