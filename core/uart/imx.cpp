#include "core/uart/imx.hpp"

namespace penstock::uart {
namespace {

// clang-format off
namespace imx {
constexpr std::uint64_t kReceived   = 0x00;  // RO   the next character
constexpr std::uint64_t kTransmit   = 0x40;  // WO
constexpr std::uint64_t kControl1   = 0x80;  // RW
constexpr std::uint64_t kControl2   = 0x84;  // RW
constexpr std::uint64_t kControl4   = 0x8c;  // RW
constexpr std::uint64_t kFifo       = 0x90;  // RW   levels
constexpr std::uint64_t kStatus2    = 0x98;  // RW   a 1 clears
constexpr std::uint64_t kTest       = 0xb4;  // RW

constexpr std::uint32_t kEnable        = 1 << 0;   // kControl1
constexpr std::uint32_t kInterrupts1   = 0xf36c;   // kControl1: its enables of interrupts and DMA
constexpr std::uint32_t kReadyEnable   = 1 << 9;   // kControl1: interrupt at the receive level
constexpr std::uint32_t kBothWays      = 3 << 1;   // kControl2
constexpr std::uint32_t kInterrupts4   = 0x01cf;   // kControl4: its enables of interrupts and DMA
constexpr std::uint32_t kReceiveLevel  = 0x3f;     // kFifo
constexpr std::uint32_t kDataReady     = 1 << 0;   // kStatus2
constexpr std::uint32_t kTransmitFull  = 1 << 4;   // kTest
}  // namespace imx

namespace lpuart {
constexpr std::uint64_t kControl    = 0x18;  // RW
constexpr std::uint64_t kData       = 0x1c;  // RW
constexpr std::uint64_t kStatus     = 0x14;  // RW   a 1 clears
constexpr std::uint64_t kWatermark  = 0x2c;  // RW   levels; what is in the FIFOs

constexpr std::uint32_t kTransmitEmpty = 1 << 23;     // kStatus
constexpr std::uint32_t kOverrun       = 1 << 19;     // kStatus
constexpr std::uint32_t kBothWays      = 3 << 18;     // kControl
constexpr std::uint32_t kInterrupts    = 0x0ff0'c000; // kControl: all its enables of interrupts but those below 14
constexpr std::uint32_t kReceiveEnable = 1 << 21;     // kControl
constexpr std::uint32_t kTransmitLevel = 0xff;       // kWatermark: that for receiving becomes 0
constexpr unsigned kReceiveCount       = 24;          // kWatermark: from this bit on
}  // namespace lpuart
// clang-format on

}  // namespace

void ImxUart::start() {
  using namespace imx;
  registers_.write32(kControl1, (registers_.read32(kControl1) & ~kInterrupts1) | kEnable);
  registers_.write32(kControl4, registers_.read32(kControl4) & ~kInterrupts4);
  registers_.write32(kControl2, registers_.read32(kControl2) | kBothWays);
  registers_.write32(kFifo, (registers_.read32(kFifo) & ~kReceiveLevel) | 1);
}

bool ImxUart::can_send() {
  return (registers_.read32(imx::kTest) & imx::kTransmitFull) == 0;
}

void ImxUart::send(char c) {
  registers_.write32(imx::kTransmit, static_cast<std::uint8_t>(c));
}

/// The interrupt follows the FIFO's level, and nothing has to be cleared.
int ImxUart::receive() {
  if ((registers_.read32(imx::kStatus2) & imx::kDataReady) == 0) return -1;
  return static_cast<int>(registers_.read32(imx::kReceived) & 0xff);
}

void ImxUart::enable_receive_interrupt() {
  registers_.write32(imx::kControl1, registers_.read32(imx::kControl1) | imx::kReadyEnable);
}

void ImxLpuart::start() {
  using namespace lpuart;
  const std::uint32_t control = registers_.read32(kControl) & ~kInterrupts;
  registers_.write32(kControl, control & ~kBothWays);  // levels may only change while it is off
  registers_.write32(kWatermark, registers_.read32(kWatermark) & kTransmitLevel);
  registers_.write32(kControl, control | kBothWays);
}

bool ImxLpuart::can_send() {
  return (registers_.read32(lpuart::kStatus) & lpuart::kTransmitEmpty) != 0;
}

void ImxLpuart::send(char c) {
  registers_.write32(lpuart::kData, static_cast<std::uint8_t>(c));
}

/// The interrupt follows the FIFO's level; an overrun would keep it from receiving more.
int ImxLpuart::receive() {
  using namespace lpuart;
  if (registers_.read32(kWatermark) >> kReceiveCount == 0) {
    if ((registers_.read32(kStatus) & kOverrun) != 0) registers_.write32(kStatus, kOverrun);
    return -1;
  }
  return static_cast<int>(registers_.read32(kData) & 0xff);
}

void ImxLpuart::enable_receive_interrupt() {
  using namespace lpuart;
  registers_.write32(kControl, registers_.read32(kControl) | kReceiveEnable);
}

}  // namespace penstock::uart
