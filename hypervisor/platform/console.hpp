// The board's UART and who is writing on it (core/uart/shared_console.hpp), and the timer that
// comes back for what could not be sent at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/manifest/board.hpp"
#include "core/port/log.hpp"
#include "core/uart/geni.hpp"
#include "core/uart/imx.hpp"
#include "core/uart/pl011.hpp"
#include "core/uart/shared_console.hpp"
#include "core/uart/uart_8250.hpp"
#include "hypervisor/ports/hw_mmio.hpp"

namespace penstock::platform {

inline constexpr unsigned kSources = uart::SharedConsole::kSources;

class Console final : public port::Log {
 public:
  /// The board's UART, its registers already mapped; before that what is said waits.
  void attach(const manifest::Uart& uart, port::Clock& clock);
  /// The UART cannot be used after all.
  void detach();
  /// From now on guests run, and nobody waits for the UART any more.
  void boot_is_over() { waits_ = false; }
  void name_source(unsigned source, std::string_view name) { shared_.name_source(source, name); }

  /// One character from a domain; false: it should wait before it writes on (has_room()).
  bool put(unsigned source, char c);
  [[nodiscard]] bool has_room(unsigned source);
  /// EL2's timer of this CPU has come, which has the domain of `source` or none (0).
  void look_again(unsigned source);
  /// One whole line of the hypervisor's.
  void line(port::Severity severity, std::string_view text) override;
  /// Machine-readable line: "@ event {json}".
  void event(std::string_view event, std::string_view json);
  /// Everything is out when this returns: before the board goes off.
  void send_all() { shared_.send_all(); }
  /// What a source has said, from `position` on (base/byte_ring.hpp); returns how many bytes.
  /// `end`: of the stream.
  std::size_t read(unsigned source, std::uint64_t& position, std::span<char> out,
                   std::uint64_t& end) {
    return shared_.read(source, position, out, end);
  }
  /// For panics: no lock, straight to the UART.
  void raw(std::string_view text);

  /// Next character from the UART's receive FIFO, or -1. Clears the receive interrupt.
  int receive();
  void enable_receive_interrupt();

 private:
  using Unsent = uart::SharedConsole::Unsent;
  /// This CPU comes again for what is unsent: EL2's timer, one shot.
  static void come_again(Unsent unsent);
  void after_line(Unsent unsent);
  template <typename Driver, typename... Arguments>
  uart::Uart* make(Arguments... arguments);

  ports::HwMmio registers_;
  /// The one driver that attach() makes, and room for any of them.
  uart::Uart* uart_ = nullptr;
  alignas(16) std::array<std::byte, 64> driver_{};
  uart::WaitingSender panic_sender_;
  uart::SharedConsole shared_;
  bool waits_ = true;  // during the boot
};

}  // namespace penstock::platform
