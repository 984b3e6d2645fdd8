// The UART a guest sees: an Arm PL011 r1p5 (DDI 0183) as Linux's amba-pl011 and earlycon, U-Boot
// and EDK2 drive it. Transmission is instant as long as the sink has room, then the transmit FIFO
// is full until it has; reception has the real 32-byte FIFO. Registers that only matter to a wire
// are kept and read back. No lock inside: the caller's covers it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::vm {

/// Where transmitted characters go.
class ConsoleSink {
 public:
  /// Takes it in any case; false: the writer should wait until has_room(), or something is lost.
  virtual bool put(char c) = 0;
  [[nodiscard]] virtual bool has_room() = 0;

 protected:
  ~ConsoleSink() = default;
};

class VirtualPl011 {
 public:
  /// Before any other call; the sink outlives the UART.
  void attach(ConsoleSink& sink) { sink_ = &sink; }
  /// `offset` in the 4 KiB frame, any value; `size` 1, 2, 4 or 8. Registers are 32 bits wide at
  /// multiples of 4: narrower accesses see their low bytes, misaligned and 8-byte ones and holes
  /// read 0 and ignore writes.
  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size);
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);
  /// A character for the guest; false when its FIFO is full or the receiver is off.
  bool push_input(char c);
  /// The sink may have room again: a driver that waits for that is told.
  void look_for_room();
  /// The combined interrupt UARTINTR. Ask again after every call.
  [[nodiscard]] bool irq_level() const { return (raw_ & mask_) != 0; }
  /// As after power-on; the sink stays.
  void reset();

 private:
  static constexpr std::size_t kFifo = 32;
  [[nodiscard]] std::uint32_t read_data();
  [[nodiscard]] std::uint32_t flags() const;
  void update_receive();

  ConsoleSink* sink_ = nullptr;
  bool transmitter_full_ = false;  // the sink had no room
  std::array<std::uint8_t, kFifo> fifo_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::uint32_t low_power_ = 0;
  std::uint32_t integer_baud_ = 0;
  std::uint32_t fraction_baud_ = 0;
  std::uint32_t line_control_ = 0;
  std::uint32_t control_ = 0x300;
  std::uint32_t fifo_levels_ = 0x12;
  std::uint32_t mask_ = 0;
  std::uint32_t raw_ = 0;
  std::uint32_t dma_control_ = 0;
};

}  // namespace penstock::vm
