// Which register an access to a GIC frame means. Pure; the same arrays stand in the distributor and
// in SGI_base.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>

#include "core/hw/gic/gicv3_frames.hpp"
#include "core/vmsi/interrupt_bank.hpp"
#include "core/vmsi/limits.hpp"

namespace penstock::vmsi {

struct BitAccess {
  BitRegister which;
  unsigned word;  // register n of the array: interrupts 32n..32n+31
};

/// The bit-array register at `offset`, a multiple of 4.
[[nodiscard]] constexpr std::optional<BitAccess> bit_register(std::uint64_t offset) {
  if (offset < hw::gic::kIgroupr || offset >= hw::gic::kIcactiver + hw::gic::kBitArrayBytes) {
    return std::nullopt;
  }
  const std::uint64_t from_first = offset - hw::gic::kIgroupr;
  return BitAccess{static_cast<BitRegister>(from_first / hw::gic::kBitArrayBytes),
                   static_cast<unsigned>(from_first % hw::gic::kBitArrayBytes / 4)};
}
static_assert(bit_register(hw::gic::kIcactiver)->which == BitRegister::kClearActive);

/// Reading it needs the state of list registers.
[[nodiscard]] constexpr bool shows_residents(BitRegister which) {
  return which >= BitRegister::kSetPending;
}
/// Writing it can concern what is in a list register already. (New pending states are added by
/// delivery.)
[[nodiscard]] constexpr bool takes_away(BitRegister which) {
  return which != BitRegister::kSetEnable && which != BitRegister::kSetPending;
}
/// The interrupts that a write of `value` concerns.
[[nodiscard]] constexpr std::uint32_t value_mask(BitRegister which, std::uint32_t value) {
  return which == BitRegister::kGroup ? ~0U : value;
}

/// IPRIORITYR: one byte or an aligned word of them. The first interrupt, relative to the rank that
/// starts at INTID `rank`; none if the access is not for that rank.
[[nodiscard]] constexpr std::optional<unsigned> priority_access(std::uint64_t offset, unsigned size,
                                                                std::uint32_t rank) {
  if ((size != 1 && size != 4) || offset % size != 0) return std::nullopt;
  const std::uint64_t start = hw::gic::kIpriorityr + rank;
  if (offset < start || offset >= start + 32) return std::nullopt;
  return static_cast<unsigned>(offset - start);
}

/// IROUTER: the register or an aligned half of it. The SPI, from 0; none if the access is for no
/// SPI here.
[[nodiscard]] constexpr std::optional<unsigned> route_access(std::uint64_t offset, unsigned size) {
  if ((size != 4 && size != 8) || offset % size != 0) return std::nullopt;
  const std::uint64_t start = hw::gic::gicd::kIrouter + 8 * kFirstSpi;
  if (offset < start || offset >= start + 8 * kSpiCount) return std::nullopt;
  return static_cast<unsigned>((offset - start) / 8);
}

/// The access at `offset` of `size` 4 or 8 lies within the 64-bit register at `reg`.
[[nodiscard]] constexpr bool hits64(std::uint64_t offset, unsigned size, std::uint64_t reg) {
  return (size == 8 && offset == reg) || (size == 4 && (offset == reg || offset == reg + 4));
}

/// What an access of 4 or 8 aligned bytes at `offset` sees of a 64-bit register.
[[nodiscard]] constexpr std::uint64_t part_of(std::uint64_t reg, std::uint64_t offset,
                                              unsigned size) {
  if (size == 8) return reg;
  return (offset & 4) != 0 ? reg >> 32 : reg & 0xffff'ffff;
}
/// The register after a write of such an access.
[[nodiscard]] constexpr std::uint64_t replace_part(std::uint64_t reg, std::uint64_t offset,
                                                   unsigned size, std::uint64_t value) {
  if (size == 8) return value;
  constexpr std::uint64_t low = 0xffff'ffff;
  return (offset & 4) != 0 ? (reg & low) | value << 32 : (reg & ~low) | (value & low);
}

}  // namespace penstock::vmsi
