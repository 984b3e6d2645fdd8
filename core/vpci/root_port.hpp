// An emulated PCI Express root port with one hot-plug slot (PCIe 7.5.1.3, 7.5.3, 6.7.3).
//
// The port is a type 1 function on bus 0 that the guest's stock drivers know; below it lies one bus
// with one number, fixed when the domain is built, and at most one function. The guest may write
// any bus number, but only with the fixed one does the port forward configuration accesses: device
// IDs of the guest's ITS and stream IDs of its IOMMU stay what they were at boot.
//
// The slot has an attention button and a power indicator and no power controller. The indicator is
// the guest's answer: PCIe 6.7.1.1 says that a card may be taken when it is off. Linux' pciehp
// switches it off as the last step of a removal. A power controller would say no more and make
// Linux wait a second longer, with events that arrive in this second partly forgotten.
// Commands are done when their write is, so the slot reports no completions (7.5.3.9).
//
// Plugging raises presence and link at once; pciehp has the link event enabled and starts the
// device. A removal request is a press of the button, given when somebody listens for it and no
// longer blinks over the last change. Taking the device away is always possible (surprise).
//
// No lock inside; bounded, no memory beyond the object.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/bytes.hpp"
#include "core/hw/pci/express.hpp"

namespace penstock::vpci {

/// The numbers are stable: they appear in reports.
enum class SlotState : std::uint8_t {
  kAbsent = 0,  // the domain has no such slot
  kEmpty = 1,
  kOccupied = 2,
  kRemoving = 3,  // the guest was, or will be, asked to let go; it still has the function
  kReleased = 4,  // the guest let go and finds the slot empty; unplug() makes it so
};

/// What a port asks of the outside world, in the order to do it.
struct PortEvent {
  std::uint8_t slot = 0;
  /// The guest reset the bus below: reset the function there. The link is down until the guest
  /// takes the reset back, and the function has to be ready by then.
  bool bus_reset = false;
  /// The guest did what a removal request asked for: the function can be taken back, then unplug().
  bool let_go = false;
  /// Send `data` to `address`, as the guest wrote them, from the port's own routing ID.
  bool message = false;
  std::uint64_t address = 0;
  std::uint32_t data = 0;
};

class RootPort {
 public:
  /// Empty slot, reset state. `slot` 0..14: bus slot + 1 below, slot number slot + 1 for people.
  void init(unsigned slot);

  /// What a restart of the domain does: the registers are as after power-on, with the slot as it
  /// is. A guest that was asked to let go has let go.
  void reset();

  /// Any offset, size 1..8; bytes beyond 4095 read all-ones.
  [[nodiscard]] std::uint64_t config_read(unsigned offset, unsigned size) const;
  void config_write(unsigned offset, unsigned size, std::uint64_t value);

  [[nodiscard]] SlotState state() const { return state_; }
  /// The guest can see the function in the slot: it is there and was not let go.
  [[nodiscard]] bool has_card() const {
    return state_ == SlotState::kOccupied || state_ == SlotState::kRemoving;
  }
  /// Configuration accesses to the bus below reach it.
  [[nodiscard]] bool forwards() const;

  /// The state must be kEmpty.
  void plug();
  /// The state must be kOccupied. Where the guest has nothing switched on, it lets go at once.
  void request_removal();
  /// Any state: nothing is in the slot afterwards.
  void unplug();

  /// What happened since the last call.
  [[nodiscard]] std::optional<PortEvent> take_event();

 private:
  using Indicator = hw::pci::express::slot_control::Indicator;
  // The header, the PCI Express capability, the MSI capability (64-bit, no masks). All behind them
  // reads 0.
  static constexpr unsigned kExpress = 0x40;
  static constexpr unsigned kMsi = 0x80;
  static constexpr unsigned kBytes = 0x90;
  struct Tables;

  [[nodiscard]] std::uint32_t load(unsigned offset, unsigned width) const {
    return static_cast<std::uint32_t>(load_le(image_, offset, width));
  }
  void store(unsigned offset, unsigned width, std::uint64_t value) {
    store_le(image_, offset, width, value);
  }
  [[nodiscard]] std::uint32_t slot_control() const;
  [[nodiscard]] Indicator power_indicator() const;
  void set_power_indicator(Indicator indicator);
  void set_slot_status(std::uint64_t bits);
  [[nodiscard]] bool is_attended() const;
  [[nodiscard]] bool link_wanted() const;
  void follow_removal();
  void settle();

  std::array<std::uint8_t, kBytes> image_{};
  std::uint8_t slot_ = 0;
  SlotState state_ = SlotState::kEmpty;
  bool pressed_ = false;   // this removal's press was given
  bool asserted_ = false;  // the interrupt's condition, as of the last settle()
  PortEvent pending_{};
};

}  // namespace penstock::vpci
