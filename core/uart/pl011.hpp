// The board's PL011 as the hypervisor drives it (DDI 0183 revision r1p5, chapter 3).
#pragma once

#include <cstdint>

#include "core/port/mmio.hpp"
#include "core/uart/uart.hpp"

namespace penstock::uart {

class Pl011 final : public Uart {
 public:
  /// `registers`: the UART's register page, already mapped. Outlives this object.
  /// `kSbsa` has no line control and no enables (DEN 0029, generic UART): it is on.
  enum class Kind : std::uint8_t { kFull, kSbsa };
  explicit Pl011(port::Mmio& registers, Kind kind = Kind::kFull)
      : registers_(registers), kind_(kind) {}

  void start() override;
  bool can_send() override;
  void send(char c) override;
  int receive() override;
  void enable_receive_interrupt() override;

 private:
  port::Mmio& registers_;
  Kind kind_;
};

}  // namespace penstock::uart
