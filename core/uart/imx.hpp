// The two UARTs of NXP's i.MX: that of the i.MX 6 and 8M (i.MX 8M Plus reference manual, UART), and
// the low-power one of the i.MX 7ULP, 8X, 9 (i.MX 93 reference manual, LPUART).
#pragma once

#include <cstdint>

#include "core/port/mmio.hpp"
#include "core/uart/uart.hpp"

namespace penstock::uart {

class ImxUart final : public Uart {
 public:
  explicit ImxUart(port::Mmio& registers) : registers_(registers) {}
  void start() override;
  bool can_send() override;
  void send(char c) override;
  int receive() override;
  void enable_receive_interrupt() override;

 private:
  port::Mmio& registers_;
};

class ImxLpuart final : public Uart {
 public:
  explicit ImxLpuart(port::Mmio& registers) : registers_(registers) {}
  void start() override;
  bool can_send() override;
  void send(char c) override;
  int receive() override;
  void enable_receive_interrupt() override;

 private:
  port::Mmio& registers_;
};

}  // namespace penstock::uart
