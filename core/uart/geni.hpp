// The UART of Qualcomm's generic serial engines (GENI), as firmware has set it up: the engine's
// protocol is UART, its clock runs.
#pragma once

#include <cstdint>

#include "core/port/mmio.hpp"
#include "core/uart/uart.hpp"

namespace penstock::uart {

class GeniUart final : public Uart {
 public:
  explicit GeniUart(port::Mmio& registers) : registers_(registers) {}
  void start() override;
  bool can_send() override;
  void send(char c) override;
  int receive() override;
  void enable_receive_interrupt() override;

 private:
  port::Mmio& registers_;
  std::uint32_t word_ = 0;  // what was read from the FIFO and not given out
  unsigned left_ = 0;       // how many bytes of it
};

}  // namespace penstock::uart
