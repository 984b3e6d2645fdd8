// 32 wired interrupts (the SGIs and PPIs of one vCPU, or the domain's SPIs) as the distributor
// keeps them: plain state, one bit per interrupt, and the registers that show it. What moves them
// is VirtualGic.
//
// Each interrupt is in one of two places:
//   here       pending and active are the bits below;
//   resident   in a list register of some vCPU, which alone knows pending and active;
//              seen_pending and seen_active are what was read there last. Requests for the owner
//              of that register stand in clear_pending, clear_active and set_active. New edges
//              collect in `pending` meanwhile.
#pragma once

#include <array>
#include <cstdint>

namespace penstock::vmsi {

struct InterruptBank {
  // as configured
  std::uint32_t enabled = 0;
  std::uint32_t group1 = ~0U;
  std::uint32_t edge = 0;  // 0: level-sensitive
  std::array<std::uint8_t, 32> priority{};
  // here
  std::uint32_t pending = 0;  // latched: an edge, or written by software
  std::uint32_t active = 0;
  std::uint32_t line = 0;
  // Here for a physical PPI, whose line was high when it was taken and which stays active until
  // this one is deactivated: pending, or, where that is set, active.
  std::uint32_t hardware = 0;
  // resident
  std::uint32_t resident = 0;
  std::uint32_t seen_pending = 0;
  std::uint32_t seen_active = 0;
  std::uint32_t latched = 0;  // `pending` was set when it went into the list register
  std::uint32_t clear_pending = 0;
  std::uint32_t clear_active = 0;
  std::uint32_t set_active = 0;

  /// Pending here: latched, or level-sensitive with its line high (IHI 0069 H 4.1.2).
  [[nodiscard]] constexpr std::uint32_t wants() const {
    return pending | (line & ~edge) | (hardware & ~active);
  }
  [[nodiscard]] constexpr bool has_requests() const {
    return (clear_pending | clear_active | set_active) != 0;
  }
};

/// The arrays with one bit per interrupt, in the order of their offsets (GICD_IGROUPR0 + 0x80 * n).
enum class BitRegister : std::uint8_t {
  kGroup,
  kSetEnable,
  kClearEnable,
  kSetPending,
  kClearPending,
  kSetActive,
  kClearActive,
};

/// The word of an array as software reads it.
[[nodiscard]] std::uint32_t read_bits(const InterruptBank& bank, BitRegister which);
/// Software writes `value` to the word. What is resident is changed by request only.
void write_bits(InterruptBank& bank, BitRegister which, std::uint32_t value);

/// IPRIORITYR bytes from interrupt `first`: 1 or 4 of them, first + bytes <= 32.
[[nodiscard]] std::uint32_t read_priorities(const InterruptBank& bank, unsigned first,
                                            unsigned bytes);
void write_priorities(InterruptBank& bank, unsigned first, unsigned bytes, std::uint32_t value);

/// ICFGR: two bits for each of the 16 interrupts of a half (0 or 1), the upper of them 1 for
/// edge-triggered.
[[nodiscard]] std::uint32_t read_config(const InterruptBank& bank, unsigned half);
void write_config(InterruptBank& bank, unsigned half, std::uint32_t value);

}  // namespace penstock::vmsi
