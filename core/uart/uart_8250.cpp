#include "core/uart/uart_8250.hpp"

namespace penstock::uart {
namespace {

// clang-format off
// Register                            number     access
constexpr unsigned kData             = 0;      // RW   received; to send
constexpr unsigned kInterruptEnable  = 1;      // RW
constexpr unsigned kInterruptId      = 2;      // RO
constexpr unsigned kFifoControl      = 2;      // WO
constexpr unsigned kModemControl     = 4;      // RW
constexpr unsigned kLineStatus       = 5;      // RO
constexpr unsigned kDesignWareStatus = 0x1f;   // RO   DesignWare's own
// clang-format on

constexpr std::uint32_t kReceiveInterrupt = 1 << 0;
constexpr std::uint32_t kFifosOn = 1 << 0;
constexpr std::uint32_t kOut2 = 1 << 3;  // lets the interrupt out, where it is wired so
constexpr std::uint32_t kDataReady = 1 << 0;
constexpr std::uint32_t kTransmitEmpty = 1 << 5;
// kInterruptId
constexpr std::uint32_t kIdMask = 0xf;
constexpr std::uint32_t kIdTimeout = 0xc;
constexpr std::uint32_t kIdBusy = 0x7;  // DesignWare: line control was written during a character

}  // namespace

std::uint32_t Uart8250::read(unsigned number) {
  const std::uint64_t at = std::uint64_t{number} << shift_;
  switch (width_) {
    case 4: return registers_.read32(at);
    case 2: return registers_.read16(at);
    default: return registers_.read8(at);
  }
}

void Uart8250::write(unsigned number, std::uint32_t value) {
  const std::uint64_t at = std::uint64_t{number} << shift_;
  switch (width_) {
    case 4: registers_.write32(at, value); return;
    case 2: registers_.write16(at, static_cast<std::uint16_t>(value)); return;
    default: registers_.write8(at, static_cast<std::uint8_t>(value)); return;
  }
}

void Uart8250::start() {
  write(kInterruptEnable, 0);
  write(kFifoControl, kFifosOn);
  write(kModemControl, read(kModemControl) | kOut2);
}

bool Uart8250::can_send() {
  return (read(kLineStatus) & kTransmitEmpty) != 0;
}

void Uart8250::send(char c) {
  write(kData, static_cast<std::uint8_t>(c));
}

int Uart8250::receive() {
  if ((read(kLineStatus) & kDataReady) == 0) {
    // DesignWare's interrupts that no character belongs to end when these registers are read.
    const std::uint32_t id = read(kInterruptId) & kIdMask;
    if (id == kIdBusy) (void)read(kDesignWareStatus);
    if ((read(kLineStatus) & kDataReady) == 0) {
      if (id != kIdTimeout) return -1;
      // A character that comes between the two reads is read, and does not get lost.
      const auto c = static_cast<int>(read(kData) & 0xff);
      return c != 0 ? c : -1;
    }
  }
  return static_cast<int>(read(kData) & 0xff);
}

void Uart8250::enable_receive_interrupt() {
  write(kInterruptEnable, kReceiveInterrupt);
}

}  // namespace penstock::uart
