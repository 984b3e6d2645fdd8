// What the hypervisor asks of a board's UART, whatever its kind.
#pragma once

namespace penstock::uart {

/// Not locked: sending and receiving may each be done by one CPU at a time. No call waits for the
/// wire.
class Uart {
 public:
  /// Eight bits, FIFOs on, both directions, no interrupts. The baud rate is firmware's.
  virtual void start() = 0;
  /// There is room for one more character now.
  [[nodiscard]] virtual bool can_send() = 0;
  /// After can_send(): what is sent without room is lost.
  virtual void send(char c) = 0;
  /// Next character that was received, or -1; at -1 the receive interrupt is clear, and anything
  /// that arrives from then on raises it.
  [[nodiscard]] virtual int receive() = 0;
  virtual void enable_receive_interrupt() = 0;

 protected:
  ~Uart() = default;
};

/// Sends and waits for the wire: for the boot, which has no neighbours yet, and for a panic.
class WaitingSender {
 public:
  /// Waits until there is room, a bounded number of looks. A UART that has no room for so long is
  /// taken for stuck: what is sent is lost, at the cost of one look each, until there is room
  /// again.
  void send(Uart& uart, char c);

 private:
  bool stuck_ = false;
};

}  // namespace penstock::uart
