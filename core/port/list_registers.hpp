// The list registers of the CPU that runs the caller: the virtual interrupts which its guest takes
// without a trap.
#pragma once

#include <cstdint>

namespace penstock::port {

/// ICH_LR<n>_EL2 and what belongs to it (IHI 0069 H 12.4). Every call is about the CPU that
/// executes it and is made while that CPU's guest does not run, so the contents stand still;
/// nothing here may call back.
class ListRegisters {
 public:
  /// How many list registers there are: ICH_VTR_EL2.ListRegs + 1, in 2..16. Never changes.
  [[nodiscard]] virtual unsigned count() const = 0;
  /// ICH_LR<i>_EL2, i < count().
  [[nodiscard]] virtual std::uint64_t read(unsigned i) const = 0;
  virtual void write(unsigned i, std::uint64_t value) = 0;
  /// ICH_ELRSR_EL2: bit i is set when register i holds no valid interrupt and no unserved EOI
  /// maintenance request.
  [[nodiscard]] virtual std::uint32_t empty_mask() const = 0;
  /// What else raises a maintenance interrupt, besides the end of an interrupt whose list register
  /// asks for it: `no_pending`, while no list register is in the state pending (ICH_HCR_EL2.NPIE);
  /// `unlisted_end`, when the guest has ended an interrupt that is in none of them (LRENPIE).
  virtual void set_maintenance(bool no_pending, bool unlisted_end) = 0;
  /// How many interrupts the guest has ended since the last call that no list register holds as
  /// active (ICH_HCR_EL2.EOIcount). 0 where it only drops the priority at the end: deactivation is
  /// a write of its own then, which traps.
  virtual unsigned take_unlisted_ends() = 0;
  /// The guest deactivates interrupts apart from their end (ICC_CTLR_EL1.EOImode).
  [[nodiscard]] virtual bool deactivates_apart() const = 0;
  /// The line of this CPU's physical PPI `intid` (16..31) now, whatever the interrupt controller
  /// remembers of it.
  [[nodiscard]] virtual bool line_is_high(unsigned intid) const = 0;
  /// Deactivates physical interrupt `intid` (16..31) of this CPU (ICC_DIR_EL1), where a virtual
  /// interrupt tied to it (HW=1) goes away without the guest's deactivation.
  virtual void deactivate_physical(unsigned intid) = 0;

 protected:
  ~ListRegisters() = default;
};

}  // namespace penstock::port
