// What a CPU's system registers hold when a domain is entered on it: one table. The CPU is the
// domain's alone, but it was firmware's and perhaps another domain's before (H55). Every register
// that EL1 or EL0 can write is in the table, or is trapped by what the table writes into EL2's own,
// or is a part of PSTATE (SPSR_EL2) or of the virtual interrupt interface (gic_cpu.cpp);
// cpu_registers_test.cpp holds it against the list of the architecture
// (core/hw/arm/system_registers.def). Vector registers are not system registers: world.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::vm {

/// What has to be there for a register to exist.
enum class CpuFeature : std::uint8_t {
  kAlways,
  kBreakpoint,  // DBGBVR<n>, DBGBCR<n>
  kWatchpoint,  // DBGWVR<n>, DBGWCR<n>
  kCounters,    // PMUv3
  kCounter,     // PMEVCNTR<n>, PMEVTYPER<n>
  kPointerKeys,
  kErrors,      // FEAT_RAS
  kPartitions,  // FEAT_MPAM
  kVirtualPartitions,
  kTraceFilter,
  kTraceBuffer,
  kProfiling,
  kBranchRecords,
  kFineTraps,            // FEAT_FGT
  kFineTraps2,           // FEAT_FGT2
  kFineTrapsOfMonitors,  // FEAT_FGT and FEAT_AMUv1
  kMoreControls,         // FEAT_HCX
};

/// The identification registers that say so (DDI 0487 D19.2), as EL2 reads them.
struct CpuIdentity {
  std::uint64_t aa64dfr0 = 0;
  std::uint64_t aa64isar1 = 0;
  std::uint64_t aa64isar2 = 0;
  std::uint64_t aa64mmfr0 = 0;
  std::uint64_t aa64mmfr1 = 0;
  std::uint64_t aa64pfr0 = 0;
  std::uint64_t aa64pfr1 = 0;
  std::uint64_t mpamidr = 0;  // 0 without FEAT_MPAM
  std::uint64_t pmcr = 0;     // 0 without PMUv3
};

namespace detail {
constexpr unsigned id_field(std::uint64_t reg, unsigned low) {
  return static_cast<unsigned>(reg >> low) & 0xf;
}
constexpr bool has_counters(const CpuIdentity& id) {
  const unsigned version = id_field(id.aa64dfr0, 8);
  return version != 0 && version != 0xf;  // 0xf: counters, but not PMUv3's
}
constexpr bool has_partitions(const CpuIdentity& id) {
  return id_field(id.aa64pfr0, 40) != 0 || id_field(id.aa64pfr1, 16) != 0;
}
constexpr bool has_pointer_keys(const CpuIdentity& id) {
  return (id.aa64isar1 & 0xff00'0ff0) != 0 || (id.aa64isar2 & 0xff00) != 0;
}
}  // namespace detail

/// True when this CPU has the register number `n` of the kind.
[[nodiscard]] constexpr bool has(const CpuIdentity& id, CpuFeature feature, unsigned n = 0) {
  using detail::id_field;
  switch (feature) {
    case CpuFeature::kAlways: return true;
    case CpuFeature::kBreakpoint: return n <= id_field(id.aa64dfr0, 12);
    case CpuFeature::kWatchpoint: return n <= id_field(id.aa64dfr0, 20);
    case CpuFeature::kCounters: return detail::has_counters(id);
    case CpuFeature::kCounter: return detail::has_counters(id) && n < ((id.pmcr >> 11) & 0x1f);
    case CpuFeature::kPointerKeys: return detail::has_pointer_keys(id);
    case CpuFeature::kErrors: return id_field(id.aa64pfr0, 28) != 0;
    case CpuFeature::kPartitions: return detail::has_partitions(id);
    case CpuFeature::kVirtualPartitions:
      return detail::has_partitions(id) && (id.mpamidr >> 17 & 1) != 0;
    case CpuFeature::kTraceFilter: return id_field(id.aa64dfr0, 40) != 0;
    case CpuFeature::kTraceBuffer: return id_field(id.aa64dfr0, 44) != 0;
    case CpuFeature::kProfiling: return id_field(id.aa64dfr0, 32) != 0;
    case CpuFeature::kBranchRecords: return id_field(id.aa64dfr0, 52) != 0;
    case CpuFeature::kFineTraps: return id_field(id.aa64mmfr0, 56) != 0;
    case CpuFeature::kFineTraps2: return id_field(id.aa64mmfr0, 56) >= 2;
    case CpuFeature::kFineTrapsOfMonitors:
      return id_field(id.aa64mmfr0, 56) != 0 && id_field(id.aa64pfr0, 44) != 0;
    case CpuFeature::kMoreControls: return id_field(id.aa64mmfr1, 40) != 0;
  }
  return false;
}

/// A partition owns its CPU: its guest has SVE where the CPU has it.
[[nodiscard]] constexpr bool has_sve(const CpuIdentity& id) {
  return detail::id_field(id.aa64pfr0, 32) != 0;
}

/// A system register as MSR and MRS name it.
struct SystemRegister {
  std::uint8_t op0, op1, crn, crm, op2;
  constexpr bool operator==(const SystemRegister&) const = default;
};

struct RegisterReset {
  SystemRegister reg;
  std::uint64_t value = 0;
  CpuFeature feature = CpuFeature::kAlways;
  std::uint8_t n = 0;
};

inline constexpr std::uint64_t kSctlrEl1Reset = 0x30d0'0800;  // MMU and caches off, RES1 bits
/// MPAM2_EL2.TRAPMPAM0EL1, TRAPMPAM1EL1: a guest does not choose its partition.
inline constexpr std::uint64_t kMpam2Traps = 3ULL << 48;

// Sections are those of DDI 0487.
// clang-format off
/// Locks first, for what they lock; a context synchronization follows.
inline constexpr std::array kLockResets = {
    RegisterReset{{2, 0, 1, 0, 4}, 1},                    // OSLAR_EL1: locked, as after a cold reset (H6.3)
    RegisterReset{{2, 0, 1, 3, 4}},                       // OSDLR_EL1
    RegisterReset{{3, 3, 9, 12, 0}, 0, CpuFeature::kCounters},  // PMCR_EL0: nothing counts
    RegisterReset{{3, 3, 14, 3, 1}},                      // CNTV_CTL_EL0
    RegisterReset{{3, 3, 14, 2, 1}},                      // CNTP_CTL_EL0
};

/// EL2's own (D19.2): nothing traps, records or is tagged by what firmware left. The bits named n...
/// of the fine-grained traps mean "does trap" where they are 0: all that later extensions bring.
inline constexpr std::array kHypervisorResets = {
    RegisterReset{{3, 4, 1, 1, 3}},                                        // HSTR_EL2
    RegisterReset{{3, 4, 1, 1, 7}},                                        // HACR_EL2
    RegisterReset{{3, 4, 1, 2, 2}, 0, CpuFeature::kMoreControls},          // HCRX_EL2
    RegisterReset{{3, 4, 1, 1, 4}, 0, CpuFeature::kFineTraps},             // HFGRTR_EL2
    RegisterReset{{3, 4, 1, 1, 5}, 0, CpuFeature::kFineTraps},             // HFGWTR_EL2
    RegisterReset{{3, 4, 1, 1, 6}, 0, CpuFeature::kFineTraps},             // HFGITR_EL2
    RegisterReset{{3, 4, 3, 1, 4}, 0, CpuFeature::kFineTraps},             // HDFGRTR_EL2
    RegisterReset{{3, 4, 3, 1, 5}, 0, CpuFeature::kFineTraps},             // HDFGWTR_EL2
    RegisterReset{{3, 4, 3, 1, 6}, 0, CpuFeature::kFineTrapsOfMonitors},   // HAFGRTR_EL2
    RegisterReset{{3, 4, 3, 1, 0}, 0, CpuFeature::kFineTraps2},            // HDFGRTR2_EL2
    RegisterReset{{3, 4, 3, 1, 1}, 0, CpuFeature::kFineTraps2},            // HDFGWTR2_EL2
    RegisterReset{{3, 4, 3, 1, 2}, 0, CpuFeature::kFineTraps2},            // HFGRTR2_EL2
    RegisterReset{{3, 4, 3, 1, 3}, 0, CpuFeature::kFineTraps2},            // HFGWTR2_EL2
    RegisterReset{{3, 4, 3, 1, 7}, 0, CpuFeature::kFineTraps2},            // HFGITR2_EL2
    RegisterReset{{3, 4, 10, 5, 0}, kMpam2Traps, CpuFeature::kPartitions}, // MPAM2_EL2: EL2's own are the default
    RegisterReset{{3, 4, 10, 4, 0}, 0, CpuFeature::kVirtualPartitions},    // MPAMHCR_EL2
    RegisterReset{{3, 4, 1, 2, 1}, 0, CpuFeature::kTraceFilter},           // TRFCR_EL2: no trace of EL2
    RegisterReset{{3, 4, 9, 9, 0}, 0, CpuFeature::kProfiling},             // PMSCR_EL2
    RegisterReset{{2, 4, 9, 0, 0}, 0, CpuFeature::kBranchRecords},         // BRBCR_EL2
    RegisterReset{{3, 4, 5, 2, 3}, 0, CpuFeature::kErrors},                // VSESR_EL2
    RegisterReset{{3, 4, 12, 1, 1}, 0, CpuFeature::kErrors},               // VDISR_EL2: what EL1 knows as DISR_EL1
};

/// What EL1 and EL0 can write, and what works there though they cannot write it.
inline constexpr std::array kGuestResets = {
    RegisterReset{{3, 0, 1, 0, 0}, kSctlrEl1Reset},       // SCTLR_EL1
    RegisterReset{{3, 0, 1, 0, 2}},                       // CPACR_EL1
    RegisterReset{{3, 0, 2, 0, 0}},                       // TTBR0_EL1
    RegisterReset{{3, 0, 2, 0, 1}},                       // TTBR1_EL1
    RegisterReset{{3, 0, 2, 0, 2}},                       // TCR_EL1
    RegisterReset{{3, 0, 4, 0, 0}},                       // SPSR_EL1
    RegisterReset{{3, 0, 4, 0, 1}},                       // ELR_EL1
    RegisterReset{{3, 0, 4, 1, 0}},                       // SP_EL0
    RegisterReset{{3, 4, 4, 1, 0}},                       // SP_EL1
    RegisterReset{{3, 0, 5, 1, 0}},                       // AFSR0_EL1
    RegisterReset{{3, 0, 5, 1, 1}},                       // AFSR1_EL1
    RegisterReset{{3, 0, 5, 2, 0}},                       // ESR_EL1
    RegisterReset{{3, 0, 6, 0, 0}},                       // FAR_EL1
    RegisterReset{{3, 0, 7, 4, 0}},                       // PAR_EL1
    RegisterReset{{3, 0, 10, 2, 0}},                      // MAIR_EL1
    RegisterReset{{3, 0, 10, 3, 0}},                      // AMAIR_EL1
    RegisterReset{{3, 0, 12, 0, 0}},                      // VBAR_EL1
    RegisterReset{{3, 0, 12, 12, 5}, 7},                  // ICC_SRE_EL1: there is nothing but system registers
    RegisterReset{{3, 0, 13, 0, 1}},                      // CONTEXTIDR_EL1
    RegisterReset{{3, 0, 13, 0, 4}},                      // TPIDR_EL1
    RegisterReset{{3, 3, 13, 0, 2}},                      // TPIDR_EL0
    RegisterReset{{3, 3, 13, 0, 3}},                      // TPIDRRO_EL0
    RegisterReset{{3, 2, 0, 0, 0}},                       // CSSELR_EL1
    RegisterReset{{3, 3, 4, 4, 0}},                       // FPCR
    RegisterReset{{3, 3, 4, 4, 1}},                       // FPSR
    RegisterReset{{3, 0, 14, 1, 0}},                      // CNTKCTL_EL1
    RegisterReset{{3, 3, 14, 3, 2}},                      // CNTV_CVAL_EL0
    RegisterReset{{3, 3, 14, 2, 2}},                      // CNTP_CVAL_EL0
    RegisterReset{{3, 0, 12, 1, 1}, 0, CpuFeature::kErrors},       // DISR_EL1
    RegisterReset{{3, 0, 2, 1, 0}, 0, CpuFeature::kPointerKeys},   // APIAKeyLo_EL1
    RegisterReset{{3, 0, 2, 1, 1}, 0, CpuFeature::kPointerKeys},   // APIAKeyHi_EL1
    RegisterReset{{3, 0, 2, 1, 2}, 0, CpuFeature::kPointerKeys},   // APIBKeyLo_EL1
    RegisterReset{{3, 0, 2, 1, 3}, 0, CpuFeature::kPointerKeys},   // APIBKeyHi_EL1
    RegisterReset{{3, 0, 2, 2, 0}, 0, CpuFeature::kPointerKeys},   // APDAKeyLo_EL1
    RegisterReset{{3, 0, 2, 2, 1}, 0, CpuFeature::kPointerKeys},   // APDAKeyHi_EL1
    RegisterReset{{3, 0, 2, 2, 2}, 0, CpuFeature::kPointerKeys},   // APDBKeyLo_EL1
    RegisterReset{{3, 0, 2, 2, 3}, 0, CpuFeature::kPointerKeys},   // APDBKeyHi_EL1
    RegisterReset{{3, 0, 2, 3, 0}, 0, CpuFeature::kPointerKeys},   // APGAKeyLo_EL1
    RegisterReset{{3, 0, 2, 3, 1}, 0, CpuFeature::kPointerKeys},   // APGAKeyHi_EL1
    // Debug (D19.3). With the OS lock set, the channel's registers have no side effects (H6.3).
    RegisterReset{{2, 0, 0, 2, 2}},                       // MDSCR_EL1
    RegisterReset{{2, 0, 0, 2, 0}},                       // MDCCINT_EL1
    RegisterReset{{2, 0, 0, 0, 2}},                       // OSDTRRX_EL1
    RegisterReset{{2, 0, 0, 3, 2}},                       // OSDTRTX_EL1
    RegisterReset{{2, 0, 0, 6, 2}},                       // OSECCR_EL1
    RegisterReset{{2, 0, 7, 9, 6}, 0xff},                 // DBGCLAIMCLR_EL1
    // Counters (D19.5).
    RegisterReset{{3, 3, 9, 12, 2}, 0xffff'ffff, CpuFeature::kCounters},   // PMCNTENCLR_EL0
    RegisterReset{{3, 0, 9, 14, 2}, 0xffff'ffff, CpuFeature::kCounters},   // PMINTENCLR_EL1
    RegisterReset{{3, 3, 9, 12, 3}, 0xffff'ffff, CpuFeature::kCounters},   // PMOVSCLR_EL0
    RegisterReset{{3, 3, 9, 12, 5}, 0, CpuFeature::kCounters},             // PMSELR_EL0
    RegisterReset{{3, 3, 9, 13, 0}, 0, CpuFeature::kCounters},             // PMCCNTR_EL0
    RegisterReset{{3, 3, 9, 14, 0}, 0, CpuFeature::kCounters},             // PMUSERENR_EL0
    RegisterReset{{3, 3, 14, 15, 7}, 0, CpuFeature::kCounters},            // PMCCFILTR_EL0
    // Out of a guest's reach, and at work at EL1 all the same.
    RegisterReset{{3, 0, 1, 2, 1}, 0, CpuFeature::kTraceFilter},           // TRFCR_EL1
    RegisterReset{{3, 0, 9, 10, 0}, 0, CpuFeature::kProfiling},            // PMBLIMITR_EL1
    RegisterReset{{3, 0, 9, 9, 0}, 0, CpuFeature::kProfiling},             // PMSCR_EL1
    RegisterReset{{3, 0, 9, 11, 0}, 0, CpuFeature::kTraceBuffer},          // TRBLIMITR_EL1
    RegisterReset{{2, 1, 9, 0, 0}, 0, CpuFeature::kBranchRecords},         // BRBCR_EL1
    RegisterReset{{3, 0, 10, 5, 0}, 0, CpuFeature::kPartitions},           // MPAM1_EL1
    RegisterReset{{3, 0, 10, 5, 1}, 0, CpuFeature::kPartitions},           // MPAM0_EL1
};
// clang-format on

inline constexpr std::size_t kBreakpoints = 16;
inline constexpr std::size_t kEventCounters = 31;

/// Breakpoints and watchpoints (DBGB<n>, DBGW<n>: control before value) and event counters.
consteval auto numbered_resets() {
  std::array<RegisterReset, 4 * kBreakpoints + 2 * kEventCounters> all{};
  std::size_t at = 0;
  for (std::uint8_t n = 0; n < kBreakpoints; ++n) {
    all[at++] = {{2, 0, 0, n, 5}, 0, CpuFeature::kBreakpoint, n};
    all[at++] = {{2, 0, 0, n, 4}, 0, CpuFeature::kBreakpoint, n};
    all[at++] = {{2, 0, 0, n, 7}, 0, CpuFeature::kWatchpoint, n};
    all[at++] = {{2, 0, 0, n, 6}, 0, CpuFeature::kWatchpoint, n};
  }
  for (std::uint8_t n = 0; n < kEventCounters; ++n) {
    const auto low = static_cast<std::uint8_t>(n % 8);
    const auto high = static_cast<std::uint8_t>(n / 8);
    all[at++] = {{3, 3, 14, static_cast<std::uint8_t>(12 + high), low}, 0, CpuFeature::kCounter, n};
    all[at++] = {{3, 3, 14, static_cast<std::uint8_t>(8 + high), low}, 0, CpuFeature::kCounter, n};
  }
  return all;
}
inline constexpr auto kNumberedResets = numbered_resets();

// What of EL1's traps, by EL2's registers that are the same for every domain.
// clang-format off
inline constexpr std::uint64_t kHcrTid3 = 1ULL << 18, kHcrTsc = 1ULL << 19, kHcrTidcp = 1ULL << 20,
                               kHcrTacr = 1ULL << 21, kHcrTlor = 1ULL << 35, kHcrTerr = 1ULL << 36;
inline constexpr std::uint64_t kCptr = 0x32ff         // RES1
                                     | 1ULL << 12     // TSM: SME traps
                                     | 1ULL << 20     // TTA: trace registers trap
                                     | 1ULL << 30;    // TAM: activity monitors trap
inline constexpr std::uint64_t kCptrTz = 1ULL << 8;   // SVE traps: where there is none
/// MDCR_EL2 but HPMN. E2PB and E2TB are 0: the buffers of profiling and of trace trap.
inline constexpr std::uint64_t kMdcr = 1ULL << 14     // TPMS: profiling traps
                                     | 1ULL << 17     // HPMD: no event is counted at EL2
                                     | 1ULL << 19     // TTRF: trace filters trap
                                     | 1ULL << 23;    // HCCD: nor are cycles
// clang-format on

}  // namespace penstock::vm
