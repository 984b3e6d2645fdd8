#include "hypervisor/platform/console.hpp"

#include "hypervisor/ports/hw_mmio.hpp"

namespace penstock::platform {
namespace {

// PL011 (DDI 0183 3.2).
constexpr std::uint64_t kDr = 0x00;
constexpr std::uint64_t kFr = 0x18;
constexpr std::uint64_t kLcrH = 0x2c;
constexpr std::uint64_t kCr = 0x30;
constexpr std::uint64_t kImsc = 0x38;
constexpr std::uint64_t kIcr = 0x44;
constexpr std::uint32_t kFrTransmitFull = 1 << 5;
constexpr std::uint32_t kFrReceiveEmpty = 1 << 4;
constexpr std::uint32_t kReceive = 1 << 4;
constexpr std::uint32_t kReceiveTimeout = 1 << 6;

constexpr unsigned kTransmitTries =
    1'000'000;  // a UART that never drains loses text, not the machine

}  // namespace

void Console::attach(std::uint64_t pl011) {
  constexpr std::uint32_t kEightBitsFifo = 0x70;
  constexpr std::uint32_t kEnableBothWays = 0x301;
  ports::HwMmio uart(pl011);
  uart.write32(kCr, 0);  // the line control register may only change while the UART is off
  uart.write32(kLcrH, kEightBitsFifo);
  uart.write32(kCr, kEnableBothWays);
  uart_ = pl011;
}

void Console::name_source(unsigned source, std::string_view name) {
  const LockGuard guard(lock_);
  Source& s = sources_[source];
  s.name_size = name.size() < s.name.size() ? name.size() : s.name.size();
  for (std::size_t i = 0; i < s.name_size; ++i) s.name[i] = name[i];
}

void Console::emit(char c) {
  if (uart_ == 0) return;
  ports::HwMmio uart(uart_);
  for (unsigned i = 0; i < kTransmitTries && (uart.read32(kFr) & kFrTransmitFull) != 0; ++i) {
  }
  uart.write32(kDr, static_cast<std::uint8_t>(c));
}

void Console::emit(std::string_view text) {
  for (const char c : text) emit(c);
}

void Console::write_out(Source& source, bool ends) {
  if (open_ != nullptr && open_ != &source) {
    emit("\r\n");
    open_->continues = true;
  }
  if (open_ != &source) {
    emit({source.name.data(), source.name_size});
    emit(source.continues ? "> " : "| ");
  }
  emit({source.text.data(), source.size});
  source.size = 0;
  if (ends) emit("\r\n");
  source.continues = false;
  open_ = ends ? nullptr : &source;
}

void Console::put(unsigned index, char c) {
  const LockGuard guard(lock_);
  Source& source = sources_[index];
  if (c == '\r') return;
  if (c == '\n') {
    write_out(source, true);
    return;
  }
  source.text[source.size++] = c;
  if (source.size == kLine) write_out(source, false);
}

bool Console::flush_partial(unsigned index) {
  const LockGuard guard(lock_);
  Source& source = sources_[index];
  if (source.size == 0) return false;
  write_out(source, false);
  return true;
}

void Console::append(Source& source, std::string_view text) {
  for (const char c : text) {
    source.text[source.size++] = c;
    if (source.size == kLine) write_out(source, false);
  }
}

void Console::line(port::Severity severity, std::string_view text) {
  const LockGuard guard(lock_);
  Source& source = sources_[0];
  if (severity == port::Severity::kWarning) append(source, "warning: ");
  if (severity == port::Severity::kError) append(source, "error: ");
  append(source, text);
  write_out(source, true);
}

void Console::event(std::string_view event, std::string_view json) {
  const LockGuard guard(lock_);
  Source& source = sources_[0];
  append(source, "@ ");
  append(source, event);
  append(source, " ");
  append(source, json);
  write_out(source, true);
}

void Console::raw(std::string_view text) {
  emit(text);
}

int Console::receive() {
  ports::HwMmio uart(uart_);
  if ((uart.read32(kFr) & kFrReceiveEmpty) != 0) {
    uart.write32(kIcr, kReceive | kReceiveTimeout);
    return -1;
  }
  return static_cast<int>(uart.read32(kDr) & 0xff);
}

void Console::enable_receive_interrupt() {
  ports::HwMmio uart(uart_);
  uart.write32(kIcr, 0x7ff);
  uart.write32(kImsc, kReceive | kReceiveTimeout);
}

}  // namespace penstock::platform
