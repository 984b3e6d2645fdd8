#include "hypervisor/platform/console.hpp"

#include <new>

#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::platform {

template <typename Driver, typename... Arguments>
uart::Uart* Console::make(Arguments... arguments) {
  static_assert(sizeof(Driver) <= sizeof(driver_) && alignof(Driver) <= 16);
  return new (driver_.data()) Driver(registers_, arguments...);
}

void Console::attach(const manifest::Uart& uart, port::Clock& clock) {
  using Kind = manifest::UartKind;
  registers_ = ports::HwMmio(uart.registers.base.value());
  switch (uart.kind) {
    case Kind::kPl011: uart_ = make<uart::Pl011>(); break;
    case Kind::kSbsa: uart_ = make<uart::Pl011>(uart::Pl011::Kind::kSbsa); break;
    case Kind::k8250: uart_ = make<uart::Uart8250>(uart.shift, uart.width); break;
    case Kind::kImx: uart_ = make<uart::ImxUart>(); break;
    case Kind::kImxLpuart: uart_ = make<uart::ImxLpuart>(); break;
    case Kind::kGeni: uart_ = make<uart::GeniUart>(); break;
  }
  uart_->start();
  shared_.attach(*uart_, clock);
}

void Console::detach() {
  shared_.detach();
  uart_ = nullptr;
}

void Console::come_again(Unsent unsent) {
  // A line that nothing follows in this time is a prompt. A FIFO of 16 characters is empty after
  // 1.4 ms at 115,200 baud.
  constexpr std::uint64_t kPromptsPerSecond = 32;
  constexpr std::uint64_t kLooksPerSecond = 512;
  const bool soon = unsent == Unsent::kLines;
  const std::uint64_t hz = PENSTOCK_READ_SYSREG(cntfrq_el0);
  PENSTOCK_WRITE_SYSREG(cnthp_tval_el2, hz / (soon ? kLooksPerSecond : kPromptsPerSecond));
  PENSTOCK_WRITE_SYSREG(cnthp_ctl_el2, 1);
}

bool Console::put(unsigned source, char c) {
  const Unsent unsent = shared_.put(source, c);
  if (unsent == Unsent::kNothing) return true;
  come_again(unsent);
  return unsent == Unsent::kPart || shared_.has_room(source);
}

bool Console::has_room(unsigned source) {
  return shared_.has_room(source) || shared_.send(source) != Unsent::kLines ||
         shared_.has_room(source);
}

void Console::look_again(unsigned source) {
  Unsent unsent = shared_.release(source);
  if (unsent != Unsent::kLines && source != 0) unsent = shared_.send(0);
  if (unsent == Unsent::kLines) come_again(unsent);
}

void Console::after_line(Unsent unsent) {
  if (waits_) {
    shared_.send_all();
  } else if (unsent == Unsent::kLines) {
    come_again(unsent);
  }
}

void Console::line(port::Severity severity, std::string_view text) {
  std::string_view head;
  if (severity == port::Severity::kWarning) head = "warning: ";
  if (severity == port::Severity::kError) head = "error: ";
  after_line(shared_.line({head, text}));
}

void Console::event(std::string_view event, std::string_view json) {
  after_line(shared_.line({"@ ", event, " ", json}));
}

void Console::raw(std::string_view text) {
  if (uart_ == nullptr) return;
  for (const char c : text) panic_sender_.send(*uart_, c);
}

int Console::receive() {
  return uart_ != nullptr ? uart_->receive() : -1;
}

void Console::enable_receive_interrupt() {
  if (uart_ != nullptr) uart_->enable_receive_interrupt();
}

}  // namespace penstock::platform
