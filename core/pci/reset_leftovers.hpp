// Registers that a reset leaves as they were on some devices or models of them: where a driver had
// its queues is nothing that the next owner should be able to read. Data with reasons and sources.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/pci/function_info.hpp"
#include "core/port/mmio.hpp"

namespace penstock::pci {

struct Leftovers {
  /// By class code where `vendor` is 0, else by vendor and device.
  std::uint32_t class_code = 0;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::span<const std::uint16_t> registers;  // 32 bits each, offsets in BAR 0
  std::string_view what;
  std::string_view source;
};

[[nodiscard]] std::span<const Leftovers> reset_leftovers();
/// The entry that names the function, or null.
[[nodiscard]] const Leftovers* leftovers_of(const FunctionInfo& info);

/// Writes 0 to each, after a reset: memory decoding on, DMA off. `registers`: BAR 0, or null. A
/// function whose BAR 0 is not where it can be reached keeps what it has.
void clear_leftovers(const FunctionInfo& info, port::Mmio* registers);

}  // namespace penstock::pci
