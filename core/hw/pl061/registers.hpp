// Arm PrimeCell General Purpose Input/Output PL061: DDI 0190, chapter 3. Registers of 8 bits, one
// bit a line, at multiples of 4; offsets in bytes.
#pragma once

#include <array>
#include <cstdint>

namespace penstock::hw::pl061 {

// clang-format off
// Register                                offset    access
inline constexpr std::uint64_t kData     = 0x000;  // RW   up to 0x3fc: address bits 9:2 say which lines are meant
inline constexpr std::uint64_t kDataEnd  = 0x400;
inline constexpr std::uint64_t kDir      = 0x400;  // RW   1: output
inline constexpr std::uint64_t kIs       = 0x404;  // RW   1: the level interrupts, 0: an edge
inline constexpr std::uint64_t kIbe      = 0x408;  // RW   1: both edges, 0: the one in kIev
inline constexpr std::uint64_t kIev      = 0x40c;  // RW   1: rising edge or high level, 0: falling or low
inline constexpr std::uint64_t kIe       = 0x410;  // RW   interrupt mask: 1 lets through
inline constexpr std::uint64_t kRis      = 0x414;  // RO   interrupts before the mask
inline constexpr std::uint64_t kMis      = 0x418;  // RO   interrupts after it
inline constexpr std::uint64_t kIc       = 0x41c;  // WO   1 clears an edge
inline constexpr std::uint64_t kAfsel    = 0x420;  // RW   1: the line is hardware's
inline constexpr std::uint64_t kPeriphId = 0xfe0;  // RO   eight identification bytes, one a register, up to 0xffc
// clang-format on

/// PL061: part 0x061, designer Arm (0x41), revision 0; then the PrimeCell identification.
inline constexpr std::array<std::uint8_t, 8> kIdentification = {0x61, 0x10, 0x04, 0x00,
                                                                0x0d, 0xf0, 0x05, 0xb1};

}  // namespace penstock::hw::pl061
