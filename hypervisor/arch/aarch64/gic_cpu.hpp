// The GICv3 CPU interface of the CPU that runs this: physical (ICC_*, IHI 0069 12.2) and list
// registers (ICH_*, 12.4).
#pragma once

#include <cstdint>

#include "core/port/list_registers.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {

inline constexpr unsigned kVirtualTimerIntId = 27;     // PPI 11
inline constexpr unsigned kPhysicalTimerIntId = 30;    // PPI 14
inline constexpr std::uint32_t kSpuriousIntId = 1020;  // 1020..1023 mean "nothing to take"

/// System registers on, group 1 on, EOI only drops the priority (ICC_DIR deactivates). Once per
/// CPU.
void init_gic_cpu_interface();
/// Acknowledges the highest pending interrupt; >= kSpuriousIntId && < 8192 when there is none.
inline std::uint32_t acknowledge_interrupt() {
  const std::uint64_t intid = PENSTOCK_READ_SYSREG(ICC_IAR1_EL1);
  complete_all();  // the acknowledge is done before the device is touched (IHI 0069 4.1.2)
  return static_cast<std::uint32_t>(intid & 0xff'ffff);
}
/// Lets the next interrupt through; the interrupt stays active.
inline void drop_priority(std::uint32_t intid) {
  PENSTOCK_WRITE_SYSREG(ICC_EOIR1_EL1, intid);
  context_sync();
}
inline void deactivate(std::uint32_t intid) {
  PENSTOCK_WRITE_SYSREG(ICC_DIR_EL1, intid);
  context_sync();
}
/// ICC_SGI1R_EL1's fields for the one CPU with this affinity (IHI 0069 H 12.2.19).
std::uint64_t sgi_target(std::uint64_t affinity);
/// Sends SGI `intid` (0..15) to the CPU that sgi_target() has described.
inline void send_sgi(std::uint64_t target, unsigned intid) {
  complete_stores_for_cpus();  // the receiver sees what it is woken for
  PENSTOCK_WRITE_SYSREG(ICC_SGI1R_EL1, target | static_cast<std::uint64_t>(intid) << 24);
  context_sync();
}
/// To every CPU but this one.
void send_sgi_to_others(unsigned intid);

/// Empties the list registers and turns the virtual interface on in its reset state.
void reset_virtual_interface();

class HwListRegisters final : public port::ListRegisters {
 public:
  [[nodiscard]] unsigned count() const override;
  [[nodiscard]] std::uint64_t read(unsigned i) const override;
  void write(unsigned i, std::uint64_t value) override;
  [[nodiscard]] std::uint32_t empty_mask() const override;
  void set_maintenance(bool no_pending, bool unlisted_end) override;
  unsigned take_unlisted_ends() override;
  [[nodiscard]] bool deactivates_apart() const override;
  [[nodiscard]] bool line_is_high(unsigned intid) const override;
  void deactivate_physical(unsigned intid) override { deactivate(intid); }
};

}  // namespace penstock::arch
