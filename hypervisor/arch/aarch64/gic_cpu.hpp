// The GICv3 CPU interface of the CPU that runs this: physical (ICC_*, IHI 0069 12.2) and list
// registers (ICH_*, 12.4).
#pragma once

#include <cstdint>

#include "core/port/list_registers.hpp"

namespace penstock::arch {

inline constexpr unsigned kVirtualTimerIntId = 27;     // PPI 11
inline constexpr unsigned kPhysicalTimerIntId = 30;    // PPI 14
inline constexpr std::uint32_t kSpuriousIntId = 1020;  // 1020..1023 mean "nothing to take"

/// System registers on, group 1 on, EOI only drops the priority (ICC_DIR deactivates). Once per
/// CPU.
void init_gic_cpu_interface();
/// Acknowledges the highest pending interrupt; >= kSpuriousIntId && < 8192 when there is none.
std::uint32_t acknowledge_interrupt();
/// Lets the next interrupt through; the interrupt stays active.
void drop_priority(std::uint32_t intid);
void deactivate(std::uint32_t intid);
/// Sends SGI `intid` (0..15) to the CPU with this affinity.
void send_sgi(std::uint64_t affinity, unsigned intid);
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
