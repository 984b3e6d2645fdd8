// The board's PL011 as the hypervisor drives it (DDI 0183 revision r1p5, chapter 3).
#pragma once

#include "core/port/mmio.hpp"

namespace penstock::uart {

/// Not locked: sending and receiving may each be done by one CPU at a time.
class Pl011 {
 public:
  /// `registers`: the UART's register page, already mapped. Outlives this object.
  explicit Pl011(port::Mmio& registers) : registers_(registers) {}

  /// Eight bits, FIFOs on, both directions, no interrupts. The baud rate is firmware's.
  void start();
  /// Waits until there is room, a bounded number of reads. A UART that has no room for so long is
  /// taken for stuck: what is sent is lost, at the cost of one read each, until there is room
  /// again.
  void send(char c);
  /// Next character that was received, or -1; at -1 the receive interrupt is clear, and anything
  /// that arrives from then on raises it.
  int receive();
  void enable_receive_interrupt();

 private:
  port::Mmio& registers_;
  bool stuck_ = false;
};

}  // namespace penstock::uart
