// Arm PrimeCell UART PL011: DDI 0183 revision r1p5, chapter 3. Registers of 32 bits at multiples of
// 4; offsets in bytes.
#pragma once

#include <array>
#include <cstdint>

namespace penstock::hw::pl011 {

// clang-format off
// Register                                offset    access
inline constexpr std::uint64_t kDr       = 0x000;  // RW   data
inline constexpr std::uint64_t kRsr      = 0x004;  // RW   receive status; a write clears it
inline constexpr std::uint64_t kFr       = 0x018;  // RO   flags
inline constexpr std::uint64_t kIlpr     = 0x020;  // RW   low-power counter of the infrared encoder
inline constexpr std::uint64_t kIbrd     = 0x024;  // RW   baud rate divisor, whole
inline constexpr std::uint64_t kFbrd     = 0x028;  // RW   baud rate divisor, fraction
inline constexpr std::uint64_t kLcrH     = 0x02c;  // RW   line control
inline constexpr std::uint64_t kCr       = 0x030;  // RW   control
inline constexpr std::uint64_t kIfls     = 0x034;  // RW   FIFO levels that interrupt
inline constexpr std::uint64_t kImsc     = 0x038;  // RW   interrupt mask: 1 lets through
inline constexpr std::uint64_t kRis      = 0x03c;  // RO   interrupts before the mask
inline constexpr std::uint64_t kMis      = 0x040;  // RO   interrupts after it
inline constexpr std::uint64_t kIcr      = 0x044;  // WO   1 clears
inline constexpr std::uint64_t kDmacr    = 0x048;  // RW
inline constexpr std::uint64_t kPeriphId = 0xfe0;  // RO   eight identification bytes, one a register, up to 0xffc

// kFr
inline constexpr std::uint32_t kFrRxEmpty = 1 << 4;
inline constexpr std::uint32_t kFrTxFull  = 1 << 5;
inline constexpr std::uint32_t kFrRxFull  = 1 << 6;
inline constexpr std::uint32_t kFrTxEmpty = 1 << 7;
// kImsc, kRis, kMis, kIcr
inline constexpr std::uint32_t kIntRx     = 1 << 4;
inline constexpr std::uint32_t kIntTx     = 1 << 5;
inline constexpr std::uint32_t kIntRt     = 1 << 6;  // receive time-out: something is there and nothing followed
inline constexpr std::uint32_t kIntAll    = 0x7ff;
// kLcrH
inline constexpr std::uint32_t kLcrFifos  = 1 << 4;
// kCr
inline constexpr std::uint32_t kCrEnable  = 1 << 0;
inline constexpr std::uint32_t kCrTx      = 1 << 8;
inline constexpr std::uint32_t kCrRx      = 1 << 9;
inline constexpr std::uint32_t kCrReset   = kCrTx | kCrRx;
// clang-format on

inline constexpr unsigned kFifoDepth = 32;

/// PL011 r1p5: part 0x011, designer Arm (0x41), revision 3; then the PrimeCell identification.
inline constexpr std::array<std::uint8_t, 8> kIdentification = {0x11, 0x10, 0x34, 0x00,
                                                                0x0d, 0xf0, 0x05, 0xb1};

}  // namespace penstock::hw::pl011
