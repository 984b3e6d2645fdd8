#include "hypervisor/platform/console.hpp"

namespace penstock::platform {

void Console::attach(std::uint64_t pl011) {
  registers_ = ports::HwMmio(pl011);
  uart_.start();
  attached_ = true;
}

void Console::name_source(unsigned source, std::string_view name) {
  const LockGuard guard(lock_);
  Source& s = sources_[source];
  s.name_size = name.size() < s.name.size() ? name.size() : s.name.size();
  for (std::size_t i = 0; i < s.name_size; ++i) s.name[i] = name[i];
  s.said.clear();
}

void Console::emit(char c) {
  if (attached_) sender_.send(uart_, c);
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
  source.said.put(c);
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
    source.said.put(c);
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
  source.said.put('\n');
  write_out(source, true);
}

void Console::event(std::string_view event, std::string_view json) {
  const LockGuard guard(lock_);
  Source& source = sources_[0];
  append(source, "@ ");
  append(source, event);
  append(source, " ");
  append(source, json);
  source.said.put('\n');
  write_out(source, true);
}

std::size_t Console::read(unsigned source, std::uint64_t& position, std::span<char> out,
                          std::uint64_t& end) {
  const LockGuard guard(lock_);
  end = sources_[source].said.end();
  return sources_[source].said.read(position, out);
}

void Console::raw(std::string_view text) {
  emit(text);
}

int Console::receive() {
  return uart_.receive();
}

void Console::enable_receive_interrupt() {
  uart_.enable_receive_interrupt();
}

}  // namespace penstock::platform
