// The 8250 and its descendants, up to the 16550A and Synopsys' DesignWare APB UART.
#pragma once

#include <cstdint>

#include "core/port/mmio.hpp"
#include "core/uart/uart.hpp"

namespace penstock::uart {

class Uart8250 final : public Uart {
 public:
  /// Register n lies at n << `shift`, and is accessed with `width` bytes: 1, 2 or 4 (reg-shift and
  /// reg-io-width of the binding). `registers` as of Pl011.
  Uart8250(port::Mmio& registers, unsigned shift, unsigned width)
      : registers_(registers), shift_(shift), width_(width) {}

  void start() override;
  bool can_send() override;
  void send(char c) override;
  int receive() override;
  void enable_receive_interrupt() override;

 private:
  std::uint32_t read(unsigned number);
  void write(unsigned number, std::uint32_t value);

  port::Mmio& registers_;
  unsigned shift_;
  unsigned width_;
};

}  // namespace penstock::uart
