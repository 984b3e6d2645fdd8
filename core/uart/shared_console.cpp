#include "core/uart/shared_console.hpp"

#include "core/base/text.hpp"
#include "core/base/worth_a_line.hpp"

namespace penstock::uart {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

}  // namespace

void SharedConsole::attach(Uart& uart, port::Clock& clock) {
  const LockGuard guard(lock_);
  uart_ = &uart;
  clock_ = &clock;
  stuck_.store(false, std::memory_order_relaxed);
}

void SharedConsole::detach() {
  const LockGuard guard(lock_);
  uart_ = nullptr;
}

void SharedConsole::name_source(unsigned index, std::string_view name) {
  Source& source = sources_[index];
  const LockGuard guard(source.lock);
  source.name_size = name.size() < source.name.size() ? name.size() : source.name.size();
  for (std::size_t i = 0; i < source.name_size; ++i) source.name[i] = name[i];
  source.renamed = true;
  source.said.clear();
  source.released = 0;
  source.sent = 0;
  source.lost = 0;
}

SharedConsole::Unsent SharedConsole::put(unsigned index, char c) {
  Source& source = sources_[index];
  bool whole = false;
  Unsent unsent = Unsent::kPart;
  {
    const LockGuard guard(source.lock);
    source.said.put(c);
    const std::uint64_t end = source.said.end();
    whole = c == '\n' || end - source.released >= kLine;
    if (whole) source.released = end;
    unsent = source.unsent();
  }
  return whole ? send(index) : unsent;
}

void SharedConsole::append(Source& source, std::string_view text) {
  for (const char c : text) source.said.put(c);
}

SharedConsole::Unsent SharedConsole::line(std::initializer_list<std::string_view> parts) {
  Source& source = sources_[0];
  {
    const LockGuard guard(source.lock);
    for (const std::string_view part : parts) append(source, part);
    source.said.put('\n');
    source.released = source.said.end();
  }
  return send(0);
}

SharedConsole::Unsent SharedConsole::release(unsigned index) {
  Source& source = sources_[index];
  {
    const LockGuard guard(source.lock);
    source.released = source.said.end();
    if (source.unsent() == Unsent::kNothing) return Unsent::kNothing;
  }
  return send(index);
}

SharedConsole::Unsent SharedConsole::send(unsigned index) {
  try_to_send();
  Source& source = sources_[index];
  const LockGuard guard(source.lock);
  return source.unsent();
}

bool SharedConsole::has_room(unsigned index) {
  if (stuck_.load(std::memory_order_relaxed)) return true;
  Source& source = sources_[index];
  const LockGuard guard(source.lock);
  return source.said.end() - source.sent < kHeld;
}

std::size_t SharedConsole::read(unsigned index, std::uint64_t& position, std::span<char> out,
                                std::uint64_t& end) {
  Source& source = sources_[index];
  std::size_t total = 0;
  for (;;) {
    const LockGuard guard(source.lock);
    std::uint64_t at = position + total;
    const std::size_t left = out.size() - total;
    const std::size_t got = source.said.read(at, out.subspan(total, left < kCopy ? left : kCopy));
    end = source.said.end();
    // Begun anew, or overwritten meanwhile: what was copied is a piece of the stream in itself.
    if (total != 0 && at != position + total) return total;
    if (total == 0) position = at;
    total += got;
    if (got == 0 || total == out.size()) return total;
  }
}

// --- the side of the wire

void SharedConsole::add(std::string_view text) {
  for (const char c : text) {
    if (staged_.size < staged_.text.size()) staged_.text[staged_.size++] = c;
  }
}

/// Ends the line in which the cursor stands, whosever it is.
void SharedConsole::break_line() {
  if (open_ == kNobody) return;
  add(kLineEnd);
  voices_[open_].continues = true;
  open_ = kNobody;
}

void SharedConsole::speak(unsigned index, const Source& source) {
  if (open_ == index) return;
  break_line();
  add({source.name.data(), source.name_size});
  add(voices_[index].continues ? "> " : "| ");
  open_ = index;
}

void SharedConsole::stage_loss(unsigned index, Source& source) {
  Voice& voice = voices_[index];
  const std::uint64_t lost = source.lost;
  source.lost = 0;
  voice.skips = source.lost_part;
  static_cast<void>(voice.visible.rest());
  break_line();
  voice.continues = false;
  if (!worth_a_line(++voice.losses)) return;
  Text<160> text;
  text.text("penstock| warning: ").dec(lost).text(" characters of ");
  text.text({source.name.data(), source.name_size});
  text.text(" are lost here: the board's UART is slower").text(kLineEnd);
  add(text.view());
}

void SharedConsole::stage_text(unsigned index, Source& source) {
  Voice& voice = voices_[index];
  std::array<char, kCopy> bytes{};
  const std::uint64_t there = source.released - source.sent;
  const std::size_t limit = there < bytes.size() ? there : bytes.size();
  const std::size_t count = source.said.read(source.sent, {bytes.data(), limit});
  for (std::size_t i = 0; i < count; ++i) {
    const char c = bytes[i];
    ++source.sent;
    ++said_in_turn_;
    const bool skipped = voice.skips;
    if (c == '\n') voice.skips = false;
    if (skipped || c == '\r') continue;
    speak(index, source);
    if (c != '\n') {
      add(voice.visible.put(c));
      continue;
    }
    add(voice.visible.rest());
    add(kLineEnd);
    open_ = kNobody;
    voice.continues = false;
    said_in_turn_ = 0;  // the next one's turn
    return;
  }
  const bool is_domain = index != 0;  // the hypervisor's lines are never broken
  if (is_domain && said_in_turn_ >= kLine) said_in_turn_ = 0;
}

/// Puts a piece of what a source has to say on its way; false: it has nothing.
bool SharedConsole::stage(unsigned index) {
  Source& source = sources_[index];
  const LockGuard guard(source.lock);
  if (source.renamed) {
    source.renamed = false;
    if (open_ == index) break_line();
    voices_[index] = {};
    if (staged_.size != 0) return true;
  }
  if (source.sent < source.said.begin()) {
    source.lost += source.said.begin() - source.sent;
    source.sent = source.said.begin();
    source.lost_part = true;
    if (source.released < source.sent) source.released = source.sent;
  }
  if (source.released == source.sent) return false;
  turn_ = index;
  if (source.lost != 0) stage_loss(index, source);
  stage_text(index, source);
  return true;
}

bool SharedConsole::stage_next() {
  staged_.size = 0;
  staged_.next = 0;
  if (said_in_turn_ != 0 && stage(turn_)) return true;
  said_in_turn_ = 0;
  const unsigned last = turn_;
  for (unsigned i = 1; i <= kSources; ++i) {
    if (stage((last + i) % kSources)) return true;
  }
  return false;
}

bool SharedConsole::next_char(char& c) {
  while (staged_.next == staged_.size) {
    if (!stage_next()) return false;
  }
  c = staged_.text[staged_.next++];
  return true;
}

/// Nobody reads the UART: what was to be sent is lost, and nobody is held up by it.
void SharedConsole::give_up() {
  stuck_.store(true, std::memory_order_relaxed);
  staged_.next = staged_.size;
  for (Source& source : sources_) {
    const LockGuard guard(source.lock);
    if (source.released == source.sent) continue;
    source.lost += source.released - source.sent;
    std::array<char, 1> last{};
    std::uint64_t position = source.released - 1;
    (void)source.said.read(position, last);
    source.lost_part = last[0] != '\n';
    source.sent = source.released;
  }
}

bool SharedConsole::takes_one() {
  if (uart_->can_send()) {
    full_since_ = 0;
    stuck_.store(false, std::memory_order_relaxed);
    return true;
  }
  const std::uint64_t now = clock_->now_ns() | 1;
  if (full_since_ == 0) full_since_ = now;
  if (now - full_since_ >= kStuckNs) give_up();
  return false;
}

void SharedConsole::try_to_send() {
  if (!lock_.try_lock()) return;
  char c = 0;
  for (unsigned i = 0; uart_ != nullptr && i < kShare; ++i) {
    if (!takes_one() || !next_char(c)) break;
    uart_->send(c);
  }
  lock_.unlock();
}

void SharedConsole::send_all() {
  const LockGuard guard(lock_);
  char c = 0;
  while (uart_ != nullptr && next_char(c)) waiting_.send(*uart_, c);
}

}  // namespace penstock::uart
