#include "core/vmsi/interrupt_bank.hpp"

namespace penstock::vmsi {

std::uint32_t read_bits(const InterruptBank& bank, BitRegister which) {
  switch (which) {
    case BitRegister::kGroup: return bank.group1;
    case BitRegister::kSetEnable:
    case BitRegister::kClearEnable: return bank.enabled;
    case BitRegister::kSetPending:
    case BitRegister::kClearPending:
      return bank.wants() | (bank.resident & bank.seen_pending & ~bank.clear_pending);
    case BitRegister::kSetActive:
    case BitRegister::kClearActive:
      return bank.active |
             (bank.resident & ((bank.seen_active & ~bank.clear_active) | bank.set_active));
  }
  return 0;
}

void write_bits(InterruptBank& bank, BitRegister which, std::uint32_t value) {
  switch (which) {
    case BitRegister::kGroup: bank.group1 = value; return;
    case BitRegister::kSetEnable: bank.enabled |= value; return;
    case BitRegister::kClearEnable: bank.enabled &= ~value; return;
    case BitRegister::kSetPending: bank.pending |= value; return;
    case BitRegister::kClearPending:
      // What a line keeps pending stays so (4.1.2): only the latch is cleared.
      bank.pending &= ~value;
      bank.clear_pending |= value & bank.resident;
      return;
    case BitRegister::kSetActive:
      bank.active |= value & ~bank.resident;
      bank.set_active |= value & bank.resident;
      bank.clear_active &= ~value;
      return;
    case BitRegister::kClearActive:
      bank.active &= ~value;
      bank.clear_active |= value & bank.resident;
      bank.set_active &= ~value;
      return;
  }
}

std::uint32_t read_priorities(const InterruptBank& bank, unsigned first, unsigned bytes) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value |= std::uint32_t{bank.priority[first + i]} << (8 * i);
  return value;
}

void write_priorities(InterruptBank& bank, unsigned first, unsigned bytes, std::uint32_t value) {
  for (unsigned i = 0; i < bytes; ++i) {
    bank.priority[first + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

std::uint32_t read_config(const InterruptBank& bank, unsigned half) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 16; ++i) {
    value |= ((bank.edge >> (16 * half + i)) & 1U) << (2 * i + 1);
  }
  return value;
}

void write_config(InterruptBank& bank, unsigned half, std::uint32_t value) {
  for (unsigned i = 0; i < 16; ++i) {
    const std::uint32_t bit = 1U << (16 * half + i);
    const bool edge = ((value >> (2 * i + 1)) & 1U) != 0;
    bank.edge = edge ? bank.edge | bit : bank.edge & ~bit;
  }
}

}  // namespace penstock::vmsi
