// A virtual CPU on the physical CPU that it owns.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/base/ids.hpp"
#include "core/vm/abort_loop.hpp"
#include "core/vm/domain.hpp"
#include "core/vm/exits.hpp"
#include "hypervisor/arch/aarch64/cpu.hpp"
#include "hypervisor/arch/aarch64/gic_cpu.hpp"

namespace penstock {

class Partition;

struct Vcpu {
  // PSCI's AFFINITY_INFO states (DEN0022 5.1.5).
  enum class Power : std::uint8_t { kOn = 0, kOff = 1, kOnPending = 2 };

  VcpuIndex index;
  Partition* partition = nullptr;
  arch::Cpu* cpu = nullptr;
  // What every trap looks at: the domain, and whether its interrupt controller has something.
  vm::Domain* domain = nullptr;
  const std::atomic<std::uint64_t>* mail = nullptr;
  std::atomic<Power> power{Power::kOff};
  std::atomic<bool> claimed{false};  // one CPU_ON at a time may look at `power`
  std::uint64_t entry = 0;           // Gpa, valid while power is kOnPending
  std::uint64_t context = 0;         // x0 at entry
  arch::HwListRegisters list_registers;
  vm::ExitCounts exits;
  vm::AbortLoop aborts;

  /// Virtual MPIDR affinity: Aff0 is the index within the domain.
  [[nodiscard]] std::uint64_t affinity() const { return index.value(); }
};

}  // namespace penstock
