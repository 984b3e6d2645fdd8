#include "hypervisor/arch/aarch64/gic_cpu.hpp"

#include "core/hw/gic/cpu_interface.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {
namespace {

namespace ich_hcr = hw::gic::ich_hcr;
namespace ich_vmcr = hw::gic::ich_vmcr;

constexpr std::uint64_t kSreEnable = 0xf;  // SRE, DFB, DIB, Enable for EL1
constexpr std::uint64_t kEoiModeDropOnly = 1 << 1;
// The guest's deactivations trap, so that they reach an interrupt which another CPU, or none, has
// in a list register.
constexpr std::uint64_t kIchEnable = ich_hcr::En::kMask | ich_hcr::TDIR::kMask;

/// A register for each 32 priorities that preempt; the others do not exist (IHI 0069 12.4.2, and
/// ICH_VTR_EL2.PREbits, which is one less than the bits).
void clear_active_priorities() {
  const std::uint64_t bits = (PENSTOCK_READ_SYSREG(ICH_VTR_EL2) >> 26 & 7) + 1;
  PENSTOCK_WRITE_SYSREG(ICH_AP0R0_EL2, 0);
  PENSTOCK_WRITE_SYSREG(ICH_AP1R0_EL2, 0);
  if (bits < 6) return;
  PENSTOCK_WRITE_SYSREG(ICH_AP0R1_EL2, 0);
  PENSTOCK_WRITE_SYSREG(ICH_AP1R1_EL2, 0);
  if (bits < 7) return;
  PENSTOCK_WRITE_SYSREG(ICH_AP0R2_EL2, 0);
  PENSTOCK_WRITE_SYSREG(ICH_AP1R2_EL2, 0);
  PENSTOCK_WRITE_SYSREG(ICH_AP0R3_EL2, 0);
  PENSTOCK_WRITE_SYSREG(ICH_AP1R3_EL2, 0);
}

}  // namespace

void init_gic_cpu_interface() {
  PENSTOCK_WRITE_SYSREG(ICC_SRE_EL2, kSreEnable);
  context_sync();
  PENSTOCK_WRITE_SYSREG(ICC_PMR_EL1, 0xff);
  PENSTOCK_WRITE_SYSREG(ICC_BPR1_EL1, 0);
  PENSTOCK_WRITE_SYSREG(ICC_CTLR_EL1, kEoiModeDropOnly);
  PENSTOCK_WRITE_SYSREG(ICC_IGRPEN1_EL1, 1);
  context_sync();
}

std::uint64_t sgi_target(std::uint64_t affinity) {
  const std::uint64_t aff0 = affinity & 0xff;
  return ((affinity >> 32) & 0xff) << 48 | ((affinity >> 16) & 0xff) << 32 |
         ((affinity >> 8) & 0xff) << 16 | (aff0 / 16) << 44 | 1ULL << (aff0 % 16);
}

void send_sgi_to_others(unsigned intid) {
  constexpr std::uint64_t kAllButSelf = 1ULL << 40;  // IRM
  complete_stores_for_cpus();
  PENSTOCK_WRITE_SYSREG(ICC_SGI1R_EL1, kAllButSelf | static_cast<std::uint64_t>(intid) << 24);
  context_sync();
}

void reset_virtual_interface() {
  HwListRegisters registers;
  for (unsigned i = 0; i < registers.count(); ++i) registers.write(i, 0);
  clear_active_priorities();
  PENSTOCK_WRITE_SYSREG(ICH_VMCR_EL2, 0);
  PENSTOCK_WRITE_SYSREG(ICH_HCR_EL2, kIchEnable);
  context_sync();
}

unsigned HwListRegisters::count() const {
  const auto listed = static_cast<unsigned>(PENSTOCK_READ_SYSREG(ICH_VTR_EL2) & 0x1f) + 1;
  return listed > 16 ? 16 : listed;
}

#define PENSTOCK_EACH_LR(op)                                                                     \
  op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) \
      op(15)

std::uint64_t HwListRegisters::read(unsigned i) const {
  switch (i) {
#define PENSTOCK_READ_LR(n) \
  case n: return PENSTOCK_READ_SYSREG(ICH_LR##n##_EL2);
    PENSTOCK_EACH_LR(PENSTOCK_READ_LR)
    default: return 0;
  }
}

void HwListRegisters::write(unsigned i, std::uint64_t value) {
  switch (i) {
#define PENSTOCK_WRITE_LR(n) \
  case n: PENSTOCK_WRITE_SYSREG(ICH_LR##n##_EL2, value); return;
    PENSTOCK_EACH_LR(PENSTOCK_WRITE_LR)
    default: return;
  }
}

std::uint32_t HwListRegisters::empty_mask() const {
  return static_cast<std::uint32_t>(PENSTOCK_READ_SYSREG(ICH_ELRSR_EL2));
}

void HwListRegisters::set_maintenance(bool no_pending, bool unlisted_end) {
  std::uint64_t hcr = kIchEnable;
  if (no_pending) hcr |= ich_hcr::NPIE::kMask;
  if (unlisted_end) hcr |= ich_hcr::LRENPIE::kMask;
  PENSTOCK_WRITE_SYSREG(ICH_HCR_EL2, hcr);
}

unsigned HwListRegisters::take_unlisted_ends() {
  const std::uint64_t hcr = PENSTOCK_READ_SYSREG(ICH_HCR_EL2);
  PENSTOCK_WRITE_SYSREG(ICH_HCR_EL2, with<ich_hcr::EOIcount>(hcr, 0));
  return deactivates_apart() ? 0 : static_cast<unsigned>(get<ich_hcr::EOIcount>(hcr));
}

bool HwListRegisters::deactivates_apart() const {
  return get<ich_vmcr::VEOIM>(PENSTOCK_READ_SYSREG(ICH_VMCR_EL2)) != 0;
}

bool HwListRegisters::line_is_high(unsigned intid) const {
  // Enabled, not masked, and its condition holds (DDI 0487 D11.2.4).
  constexpr std::uint64_t kAsserted = 1 << 0 | 1 << 2;
  constexpr std::uint64_t kAll = kAsserted | 1 << 1;
  if (intid == kVirtualTimerIntId) {
    return (PENSTOCK_READ_SYSREG(cntv_ctl_el0) & kAll) == kAsserted;
  }
  if (intid == kPhysicalTimerIntId) {
    return (PENSTOCK_READ_SYSREG(cntp_ctl_el0) & kAll) == kAsserted;
  }
  return true;
}

}  // namespace penstock::arch
