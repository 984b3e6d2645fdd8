// The board's PL011 as the hypervisor drives it (DDI 0183 revision r1p5, chapter 3).
#pragma once

#include "core/port/mmio.hpp"
#include "core/uart/uart.hpp"

namespace penstock::uart {

class Pl011 final : public Uart {
 public:
  /// `registers`: the UART's register page, already mapped. Outlives this object.
  explicit Pl011(port::Mmio& registers) : registers_(registers) {}

  void start() override;
  bool can_send() override;
  void send(char c) override;
  int receive() override;
  void enable_receive_interrupt() override;

 private:
  port::Mmio& registers_;
};

}  // namespace penstock::uart
