// Access to system registers by name, and barriers.
#pragma once

#include <cstdint>

// Reads or writes a system register by its assembler name (DDI 0487 D19).
#define PENSTOCK_READ_SYSREG(name)                                  \
  __extension__({                                                   \
    std::uint64_t sysreg_value_;                                    \
    asm volatile("mrs %0, " #name : "=r"(sysreg_value_)::"memory"); \
    sysreg_value_;                                                  \
  })
#define PENSTOCK_WRITE_SYSREG(name, value) \
  asm volatile("msr " #name ", %0" ::"r"(static_cast<std::uint64_t>(value)) : "memory")

namespace penstock::arch {

/// Later instructions see the system-register writes before it.
inline void context_sync() {
  asm volatile("isb" ::: "memory");
}

/// Every access before it is complete before anything after it starts (other CPUs, DMA masters,
/// table walkers).
inline void complete_all() {
  asm volatile("dsb sy" ::: "memory");
}

/// Stores before it are visible to the other CPUs of the board before anything after it.
inline void complete_stores_for_cpus() {
  asm volatile("dsb ishst" ::: "memory");
}

/// CPUs that wait in WFE go on, and see what was stored before.
inline void send_event() {
  asm volatile("dsb ishst\n\tsev" ::: "memory");
}

/// Sleeps until an interrupt is pending, masked or not.
inline void wait_for_interrupt() {
  asm volatile("dsb sy\n\twfi" ::: "memory");
}

inline constexpr std::uint64_t kMpidrAffinityMask = 0xff'00ff'ffff;

/// Aff3.Aff2.Aff1.Aff0 of the CPU that runs this, in MPIDR_EL1's layout.
inline std::uint64_t own_affinity() {
  return PENSTOCK_READ_SYSREG(mpidr_el1) & kMpidrAffinityMask;
}

}  // namespace penstock::arch
