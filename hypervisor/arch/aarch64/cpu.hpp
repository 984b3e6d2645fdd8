// One physical CPU: its identity, its stack, and the virtual CPU that owns it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/base/handover.hpp"
#include "core/base/ids.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock {
struct Vcpu;
}

namespace penstock::arch {

inline constexpr unsigned kMaxCpus = 64;
inline constexpr std::uint64_t kStackBytes = 16 * 1024;
/// Below each stack as much address space where nothing is mapped, so that a stack pointer that is
/// good has this bit set, which the vectors look at (vectors.S).
inline constexpr std::uint64_t kStackBit = kStackBytes;

/// Read by secondary_cpu_entry (boot.S) with the MMU off: the order of the fields is its.
struct CpuStart {
  std::uint64_t ttbr0;
  std::uint64_t tcr;
  std::uint64_t mair;
  std::uint64_t sctlr;
  std::uint64_t stack_top;
  struct Cpu* cpu;
};

struct Cpu {
  CpuIndex index;
  unsigned history_branches = 0;  // for vectors.S, where it finds its number of branches
  std::uint64_t affinity = 0;     // MPIDR_EL1 & kMpidrAffinityMask
  std::uint64_t sgi_target = 0;   // the same for ICC_SGI1R_EL1 (gic_cpu.hpp)
  std::uint64_t stack_top = 0;
  std::uint64_t redistributor = 0;  // physical base of this CPU's RD_base frame
  // Who owns it: decided by whoever builds or ends a domain, taken over by the CPU itself when it
  // is idle. `vcpu` is what it has taken over, for this CPU alone.
  Handover<Vcpu> owner;
  Vcpu* vcpu = nullptr;
  // Of SErrors that the hypervisor's own accesses cause (own_error.hpp); this CPU's alone.
  bool awaits_error = false;
  std::uint64_t errors = 0;
  std::uint64_t error_syndrome = 0;
  std::atomic<bool> online{false};
  std::atomic<bool> start_requested{false};  // its vCPU shall run (PSCI CPU_ON, start of a domain)
  CpuStart start{};
};

/// The CPU that runs this. Valid once set_own_cpu() ran on it.
inline Cpu& own_cpu() {
  return *reinterpret_cast<Cpu*>(PENSTOCK_READ_SYSREG(tpidr_el2));
}
inline void set_own_cpu(Cpu& cpu) {
  PENSTOCK_WRITE_SYSREG(tpidr_el2, reinterpret_cast<std::uintptr_t>(&cpu));
}

}  // namespace penstock::arch
