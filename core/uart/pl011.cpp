#include "core/uart/pl011.hpp"

#include "core/hw/pl011/registers.hpp"

namespace penstock::uart {
namespace {

using namespace hw::pl011;

constexpr std::uint32_t kEightBits = 3 << 5;

}  // namespace

void Pl011::start() {
  registers_.write32(kImsc, 0);
  if (kind_ == Kind::kSbsa) return;
  registers_.write32(kCr, 0);  // the line control register may only change while the UART is off
  registers_.write32(kLcrH, kEightBits | kLcrFifos);
  registers_.write32(kCr, kCrEnable | kCrTx | kCrRx);
}

bool Pl011::can_send() {
  return (registers_.read32(kFr) & kFrTxFull) == 0;
}

void Pl011::send(char c) {
  registers_.write32(kDr, static_cast<std::uint8_t>(c));
}

int Pl011::receive() {
  if ((registers_.read32(kFr) & kFrRxEmpty) != 0) {
    registers_.write32(kIcr, kIntRx | kIntRt);
    // A character that came between the two accesses had its interrupt cleared, and the FIFO's
    // level interrupts only when it is passed: nothing would be heard of this UART again.
    if ((registers_.read32(kFr) & kFrRxEmpty) != 0) return -1;
  }
  return static_cast<int>(registers_.read32(kDr) & 0xff);
}

void Pl011::enable_receive_interrupt() {
  registers_.write32(kImsc, kIntRx | kIntRt);
}

}  // namespace penstock::uart
