// The guest's PCI buses: from an offset in its ECAM window, or an address in its MMIO windows, to a
// function.
//
// Bus 0 holds the host bridge, functions that never move, and at 00:(16+k).0 the root port of slot
// k. The bus below that port has number k + 1 and one place, (k+1):00.0. The window covers buses
// 0..255 (PCIe 7.2.2); everything else reads all-ones.
//
// Whatever is done here may leave events of the ports, which the caller fetches with take_event()
// before it gives up its lock. Read and written by every vCPU under the caller's lock.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/vpci/function.hpp"
#include "core/vpci/root_port.hpp"

namespace penstock::vpci {

/// Devices 16..30 of bus 0: 31 and those below 16 stay for functions that do not move.
inline constexpr unsigned kMaxSlots = 15;
inline constexpr unsigned kFirstPortDevice = 16;

/// The root port of `slot`, which sends the slot's interrupts.
[[nodiscard]] constexpr GuestBdf port_of(unsigned slot) {
  return GuestBdf(0, kFirstPortDevice + slot, 0);
}
/// Where the guest finds what is plugged into `slot`: fixed, and so are its device and stream IDs.
[[nodiscard]] constexpr GuestBdf card_of(unsigned slot) {
  return GuestBdf(slot + 1, 0, 0);
}
/// The slot that card_of() made this of.
[[nodiscard]] constexpr std::optional<unsigned> slot_of(GuestBdf card) {
  if (card.bus() == 0 || card.bus() > kMaxSlots || card != card_of(card.bus() - 1)) {
    return std::nullopt;
  }
  return card.bus() - 1;
}

struct BarHit {
  VirtualFunction* function = nullptr;
  GuestBdf bdf;
  unsigned bar = 0;
  std::uint64_t offset = 0;  // bytes from the BAR's start
};

class Topology {
 public:
  /// A bus with a host bridge at 00:00.0 and nothing else: vendor 1b36, device 0008, class 0600, as
  /// on QEMU's `virt`.
  Topology() {
    bridge_.init_host_bridge(0x1b36, 0x0008);
    by_devfn_[0] = &bridge_;
  }
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;

  /// Root ports for this many slots, all empty. kOutOfRange (arg: slots): more than kMaxSlots.
  /// kAlreadyExists (arg: routing ID): a function is where a port would be. Once, at creation.
  Status init_slots(unsigned slots);

  /// kOutOfRange: not on bus 0. kAlreadyExists: the place is taken (00:00.0 and the ports' devices
  /// always are). arg: routing ID. The function outlives its stay here; it was made with
  /// PolicyOptions::integrated_endpoint.
  Status add(GuestBdf bdf, VirtualFunction* function);
  /// kNotFound (arg: routing ID).
  Status remove(GuestBdf bdf);

  /// Puts a function into a slot; the guest is told. It was made with integrated_endpoint = false
  /// (below a port it has a link), is in reset state and outlives its stay. Before the domain
  /// starts, call restart() after the last one. kNotFound (arg: slot): no such slot, or no
  /// function. kAlreadyExists (arg: slot): something is in it, if only until unplug().
  Status plug(unsigned slot, VirtualFunction* function);
  /// Asks the guest to let go. PortEvent::let_go is the answer, at once when the guest has not
  /// begun to use the function or switched the slot off itself; it may never come: the deadline is
  /// the caller's. Asking again changes nothing. kNotFound (arg: slot): nothing in it.
  Status request_removal(unsigned slot);
  /// The slot is empty from now on. A surprise to the guest, unless it let go before: BARs are
  /// unmapped, DMA is cut by then. kNotFound (arg: slot): nothing in it.
  Status unplug(unsigned slot);
  [[nodiscard]] SlotState slot_state(unsigned slot) const {
    return slot < slots_ ? ports_[slot].state() : SlotState::kAbsent;
  }
  /// The domain starts anew: all ports as after power-on (the functions are the caller's). A
  /// removal that was asked for is answered by it.
  void restart();

  /// One port's news since the last call; call until there is none.
  [[nodiscard]] std::optional<PortEvent> take_event();

  /// The function whose config space holds `ecam_offset` (bytes from the window's start), or null
  /// (a port has none). Constant time.
  [[nodiscard]] VirtualFunction* find(std::uint64_t ecam_offset) const {
    const std::uint64_t function =
        ecam_offset >> 12;  // PCIe 7.2.2: bus 27:20, device 19:15, function 14:12
    return function < by_devfn_.size() ? by_devfn_[function] : find_card(function);
  }

  /// find() and the access; an absent function reads all-ones and drops writes, and the place of a
  /// card's virtual function reads as a placeholder. `size` 1..8.
  /// Events may follow (take_event()), whatever the effects are.
  [[nodiscard]] std::uint64_t config_read(std::uint64_t ecam_offset, unsigned size) const;
  [[nodiscard]] Effects config_write(std::uint64_t ecam_offset, unsigned size, std::uint64_t value);

  /// The mapped BAR (or shown ROM) that holds `address`; where two overlap, the lower function and
  /// BAR. Linear in the number of functions, for accesses that trapped. The ports' windows are the
  /// guest's own book-keeping: a BAR outside its port's decodes all the same.
  [[nodiscard]] std::optional<BarHit> find_bar(Gpa address) const;

 private:
  [[nodiscard]] VirtualFunction* find_card(std::uint64_t function) const;
  /// The card that has a virtual function at this routing ID (VirtualFunction::vfs()), or null.
  [[nodiscard]] const VirtualFunction* find_pf(std::uint64_t ecam_offset) const;
  /// The slot whose port has its config space there.
  [[nodiscard]] std::optional<unsigned> port_at(std::uint64_t ecam_offset) const;
  void note(unsigned slot) { news_ |= static_cast<std::uint16_t>(1U << slot); }

  VirtualFunction bridge_;
  std::array<VirtualFunction*, 256> by_devfn_{};  // index: device << 3 | function
  std::array<RootPort, kMaxSlots> ports_{};
  std::array<VirtualFunction*, kMaxSlots> cards_{};  // null: nothing in the slot
  std::uint8_t slots_ = 0;
  std::uint16_t news_ = 0;  // one bit per slot whose port may have an event
};

}  // namespace penstock::vpci
