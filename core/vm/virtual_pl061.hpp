// The guest's power button: line 3 of an Arm PL061 GPIO controller (DDI 0190), as on QEMU's `virt`
// board, where Linux's gpio-pl061 and gpio-keys find it. The other lines are wired to nothing and
// read 0 as inputs. No lock inside: the caller's covers it.
//
// A press needs no clock of the hypervisor's. gpio-keys takes an edge as an invitation to look at
// the line some milliseconds later, when it has stopped bouncing, and only what it sees then is an
// event. So the line stays high until the guest has acknowledged the edge and has read a 1; that
// read releases the button, which is the next edge. Nobody listens: the button stays pressed, and a
// driver that comes later finds it so.
#pragma once

#include <cstdint>

namespace penstock::vm {

class VirtualPl061 {
 public:
  static constexpr unsigned kPowerLine = 3;

  /// `offset` in the 4 KiB frame, any value; `size` 1, 2, 4 or 8. Registers are 8 bits wide at
  /// multiples of 4; misaligned and 8-byte accesses and holes read 0 and ignore writes.
  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size);
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);
  /// Presses the button. One that the guest has not noticed yet is pressed anew.
  void press();
  /// The combined interrupt GPIOINTR. Ask again after every call.
  [[nodiscard]] bool irq_level() const { return (raw() & enabled_) != 0; }
  /// As after power-on, the button released.
  void reset() { *this = VirtualPl061{}; }

 private:
  [[nodiscard]] std::uint32_t raw() const;
  [[nodiscard]] std::uint32_t read_data(std::uint32_t lines);
  void drive(std::uint32_t inputs);

  // One bit a line.
  std::uint32_t inputs_ = 0;  // what is wired to the lines
  std::uint32_t outputs_ = 0;
  std::uint32_t direction_ = 0;
  std::uint32_t level_ = 0;
  std::uint32_t both_edges_ = 0;
  std::uint32_t event_ = 0;
  std::uint32_t enabled_ = 0;
  std::uint32_t hardware_ = 0;
  std::uint32_t edges_ = 0;  // seen and not cleared; of no line that watches its level
};

}  // namespace penstock::vm
