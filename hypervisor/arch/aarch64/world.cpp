#include "hypervisor/arch/aarch64/world.hpp"

#include <utility>

#include "core/vm/cpu_registers.hpp"
#include "core/vm/exception_entry.hpp"
#include "core/vm/id_registers.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/gic_cpu.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {
namespace {

// HCR_EL2 (DDI 0487 D19.2.48). Cache maintenance by set and way is not trapped (TSW): a virtual CPU
// never leaves its physical one, so that the guest means, and reaches, this CPU's own caches, and
// with SWIO it can clean what is in them but not throw away what another domain wrote to a shared
// level.
// clang-format off
constexpr std::uint64_t kHcr = 1ULL << 0     // VM: stage 2 on
                             | 1ULL << 1     // SWIO: set/way invalidate also cleans
                             | 1ULL << 3     // FMO
                             | 1ULL << 4     // IMO: interrupts are ours, the guest gets virtual ones
                             | 1ULL << 5     // AMO
                             | 1ULL << 10    // BSU: barriers reach the inner shareable domain
                             | 1ULL << 18    // TID3: identification registers are filtered
                             | 1ULL << 19    // TSC: firmware is ours; SMC is answered like HVC
                             | 1ULL << 20    // TIDCP: implementation-defined registers trap
                             | 1ULL << 21    // TACR: auxiliary control traps
                             | 1ULL << 31    // RW: EL1 is AArch64
                             | 1ULL << 35    // TLOR: limited ordering regions trap
                             | 1ULL << 36    // TERR: error records may be shared by CPUs of several domains
                             | 1ULL << 40    // APK, API: pointer authentication is the guest's
                             | 1ULL << 41;
constexpr std::uint64_t kCnthct = 3;         // EL1PCTEN, EL1PCEN: both timers are the guest's, the CPU is its own
constexpr std::uint64_t kVtcr = 1ULL << 31   // RES1
                              | 3ULL << 12   // SH0: inner shareable
                              | 1ULL << 10   // ORGN0: write-back
                              | 1ULL << 8    // IRGN0: write-back
                              | 1ULL << 6    // SL0: start at level 1
                              | (64 - vm::kIpaBits);  // T0SZ
// clang-format on

/// Fields of ID_AA64MMFR1_EL1 and ID_AA64PFR1_EL1 (DDI 0487 D19.2).
vm::PstateFeatures pstate_features() {
  const std::uint64_t mmfr1 = PENSTOCK_READ_SYSREG(id_aa64mmfr1_el1);
  const std::uint64_t pfr1 = PENSTOCK_READ_SYSREG(id_aa64pfr1_el1);
  const auto field = [](std::uint64_t value, unsigned low) { return value >> low & 0xf; };
  return {.pan = field(mmfr1, 20) != 0,
          .ssbs = field(pfr1, 4) != 0,
          .mte = field(pfr1, 8) >= 2,
          .nmi = field(pfr1, 36) != 0};
}

std::uint64_t vttbr(Hpa root, Vmid vmid) {
  return root.value() | static_cast<std::uint64_t>(vmid.value()) << 48;
}

/// VTCR_EL2.PS: whatever the CPU can address, as the SMMU does; 48 bits at most (4 KiB granule
/// without LPA2).
std::uint64_t output_size() {
  const std::uint64_t pa_range = PENSTOCK_READ_SYSREG(id_aa64mmfr0_el1) & 0xf;
  return (pa_range > 5 ? 5 : pa_range) << 16;
}

vm::CpuIdentity identity_of_this_cpu() {
  vm::CpuIdentity id;
  id.aa64dfr0 = PENSTOCK_READ_SYSREG(id_aa64dfr0_el1);
  id.aa64isar1 = PENSTOCK_READ_SYSREG(id_aa64isar1_el1);
  id.aa64isar2 = PENSTOCK_READ_SYSREG(S3_0_C0_C6_2);
  id.aa64mmfr0 = PENSTOCK_READ_SYSREG(id_aa64mmfr0_el1);
  id.aa64mmfr1 = PENSTOCK_READ_SYSREG(id_aa64mmfr1_el1);
  id.aa64pfr0 = PENSTOCK_READ_SYSREG(id_aa64pfr0_el1);
  id.aa64pfr1 = PENSTOCK_READ_SYSREG(id_aa64pfr1_el1);
  if (vm::has(id, vm::CpuFeature::kPartitions)) {
    id.mpamidr = PENSTOCK_READ_SYSREG(S3_0_C10_C4_4);
  }
  if (vm::has(id, vm::CpuFeature::kCounters)) id.pmcr = PENSTOCK_READ_SYSREG(pmcr_el0);
  return id;
}

template <vm::SystemRegister kRegister>
void write_register(std::uint64_t value) {
  asm volatile("msr S%c1_%c2_C%c3_C%c4_%c5, %0" ::"r"(value), "i"(kRegister.op0),
               "i"(kRegister.op1), "i"(kRegister.crn), "i"(kRegister.crm), "i"(kRegister.op2)
               : "memory");
}

template <const auto& kTable>
void write_all(const vm::CpuIdentity& id) {
  [&]<std::size_t... kAt>(std::index_sequence<kAt...>) {
    const auto write = [&]<std::size_t kOne>() {
      constexpr vm::RegisterReset each = kTable[kOne];
      if (vm::has(id, each.feature, each.n)) write_register<each.reg>(each.value);
    };
    (write.template operator()<kAt>(), ...);
  }(std::make_index_sequence<kTable.size()>{});
}

/// V0 to V31, and all that SVE and SME add to them.
void clear_vectors(const vm::CpuIdentity& id) {
  const bool sme = (id.aa64pfr1 >> 24 & 0xf) != 0;
  constexpr std::uint64_t kNothingTraps = 0x22ff;  // CPTR_EL2: neither TZ nor TSM
  constexpr std::uint64_t kNothingTrapsWithoutSme = 0x32ff;
  PENSTOCK_WRITE_SYSREG(cptr_el2, sme ? kNothingTraps : kNothingTrapsWithoutSme);
  context_sync();
  if (sme) {
    PENSTOCK_WRITE_SYSREG(S3_3_C4_C2_2, 0);  // SVCR: no streaming mode, no ZA
    PENSTOCK_WRITE_SYSREG(S3_4_C1_C2_6, 0);  // SMCR_EL2
    PENSTOCK_WRITE_SYSREG(S3_0_C1_C2_6, 0);  // SMCR_EL1
  }
  context_sync();
  asm volatile(
      ".arch_extension fp\n\t.arch_extension simd\n\t"
      ".irp n, "
      "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
      "\n\tmovi v\\n\\().2d, #0\n\t.endr" ::
          : "memory");
  if (vm::has_sve(id)) reset_scalable_vectors();
}

/// The architecture's reset state, and nothing of whoever had this CPU before.
void reset_registers(const vm::CpuIdentity& id) {
  write_all<vm::kLockResets>(id);
  context_sync();
  write_all<vm::kHypervisorResets>(id);
  write_all<vm::kGuestResets>(id);
  write_all<vm::kNumberedResets>(id);
  clear_vectors(id);
}

}  // namespace

void quiet_timers() {
  PENSTOCK_WRITE_SYSREG(cntv_ctl_el0, 0);
  PENSTOCK_WRITE_SYSREG(cntp_ctl_el0, 0);
  context_sync();
}

void prepare_world(const WorldConfig& world) {
  const vm::CpuIdentity id = identity_of_this_cpu();
  reset_registers(id);
  PENSTOCK_WRITE_SYSREG(cntvoff_el2, 0);
  PENSTOCK_WRITE_SYSREG(cnthctl_el2, kCnthct);
  PENSTOCK_WRITE_SYSREG(vpidr_el2, PENSTOCK_READ_SYSREG(midr_el1));
  PENSTOCK_WRITE_SYSREG(vmpidr_el2, 1ULL << 31 | world.virtual_affinity);
  PENSTOCK_WRITE_SYSREG(vtcr_el2, kVtcr | output_size());
  PENSTOCK_WRITE_SYSREG(vttbr_el2, vttbr(world.stage2_root, world.vmid));
  PENSTOCK_WRITE_SYSREG(cptr_el2, vm::has_sve(id) ? vm::kCptr : vm::kCptr | vm::kCptrTz);
  PENSTOCK_WRITE_SYSREG(mdcr_el2, vm::kMdcr | (id.pmcr >> 11 & 0x1f));  // HPMN: all are EL1's
  PENSTOCK_WRITE_SYSREG(hcr_el2, kHcr);
  reset_virtual_interface();
  context_sync();
  asm volatile("tlbi vmalls12e1is\n\tdsb ish\n\tic iallu\n\tdsb ish\n\tisb" ::: "memory");
}

bool cpu_is_suitable() {
  const std::uint64_t mmfr0 = PENSTOCK_READ_SYSREG(id_aa64mmfr0_el1);
  const std::uint64_t pfr0 = PENSTOCK_READ_SYSREG(id_aa64pfr0_el1);
  const bool addresses = (mmfr0 & 0xf) >= 2;          // PARange: 40 bits or more
  const bool granule = ((mmfr0 >> 28) & 0xf) != 0xf;  // TGran4
  const bool gic = ((pfr0 >> 24) & 0xf) != 0;
  return addresses && granule && gic;
}

void take_exception(GuestFrame& frame, std::uint64_t syndrome) {
  const vm::ExceptionEntry entry =
      vm::take_to_el1(frame.spsr, PENSTOCK_READ_SYSREG(sctlr_el1), pstate_features());
  PENSTOCK_WRITE_SYSREG(esr_el1, syndrome);
  PENSTOCK_WRITE_SYSREG(spsr_el1, frame.spsr);
  PENSTOCK_WRITE_SYSREG(elr_el1, frame.elr);
  frame.elr = PENSTOCK_READ_SYSREG(vbar_el1) + entry.vector_offset;
  frame.spsr = entry.pstate;
}

void inject_undefined(GuestFrame& frame) {
  constexpr std::uint64_t kUnknownReason32Bit = 1ULL << 25;  // EC 0, IL
  take_exception(frame, kUnknownReason32Bit);
}

void inject_abort(GuestFrame& frame, std::uint64_t syndrome, std::uint64_t address) {
  PENSTOCK_WRITE_SYSREG(far_el1, address);
  take_exception(frame, vm::abort_syndrome(syndrome, frame.spsr));
}

void invalidate_stage2(Hpa root, Vmid vmid, Gpa start, std::uint64_t size) {
  const std::uint64_t before = PENSTOCK_READ_SYSREG(vttbr_el2);
  const std::uint64_t wanted = vttbr(root, vmid);
  if (before != wanted) {
    PENSTOCK_WRITE_SYSREG(vttbr_el2, wanted);
    context_sync();
  }
  constexpr std::uint64_t kManyPages = 64;
  asm volatile("dsb ishst" ::: "memory");  // the cleared entries come before the invalidation
  if (size / kPageSize > kManyPages) {
    asm volatile("tlbi vmalls12e1is" ::: "memory");
  } else {
    for (std::uint64_t a = 0; a < size; a += kPageSize) {
      const std::uint64_t page = (start + a).value() >> 12;
      asm volatile("tlbi ipas2e1is, %0" ::"r"(page) : "memory");
    }
    asm volatile("dsb ish\n\ttlbi vmalle1is" ::: "memory");  // combined stage 1+2 entries
  }
  asm volatile("dsb ish\n\tisb" ::: "memory");
  if (before != wanted) {
    PENSTOCK_WRITE_SYSREG(vttbr_el2, before);
    context_sync();
  }
}

}  // namespace penstock::arch
