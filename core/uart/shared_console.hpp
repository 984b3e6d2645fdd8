// One UART and everybody who writes on it: the hypervisor (source 0) and its domains.
//
// Every line starts with its source, `name| `. Where another source starts to write while a line is
// unfinished, that line is broken and goes on later behind `name> `, so that a program can join it
// again. What would move a terminal's cursor or change its state is shown instead
// (base/visible_text.hpp).
//
// What a source writes goes into its own ring, and from there to the UART by whoever finds the UART
// free, whose turn then is everybody's: sources take turns line by line. One stay sends at most
// kShare characters, and none that the UART has no room for. What is left over is sent by others,
// or at the writer's own next look (`Unsent`): nobody waits, neither for the wire nor for one who
// sends.
//
//     ring of a source:   ... read long ago | sent | whole lines, to be sent | part of a line
//                          0 <= begin()      sent_ ^            released_ ^          end() ^
//
// Locks: lock_ is whoever sends; it is only tried, but by the boot and at the board's end. Under it
// the lock of one source, for the copying of a few dozen bytes. A writer and a reader take the
// latter alone, for one line or kCopy bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "core/base/byte_ring.hpp"
#include "core/base/lock.hpp"
#include "core/base/visible_text.hpp"
#include "core/port/clock.hpp"
#include "core/uart/uart.hpp"

namespace penstock::uart {

class SharedConsole {
 public:
  static constexpr unsigned kSources = 9;     // 0 is the hypervisor, domain n is n + 1
  static constexpr std::size_t kLine = 240;   // of a line that does not end, before it is sent
  static constexpr std::size_t kKept = 8192;  // bytes of each source, for readers that come later
  static constexpr std::size_t kHeld = 4096;  // unsent, from which on a source has no room
  static constexpr unsigned kShare = 256;     // characters that one stay sends
  static constexpr std::uint64_t kStuckNs = 1'000'000'000;  // without room: nobody reads it

  /// What of a source is still to be sent.
  enum class Unsent : std::uint8_t {
    kNothing,
    kPart,   // of a line that has not ended: release() it when nothing follows
    kLines,  // the UART was full or busy: send() soon
  };

  /// Before this, what is said waits; the oldest of it is lost when it becomes too much. Both
  /// outlive this object.
  void attach(Uart& uart, port::Clock& clock);
  /// What is said from now on is kept as before attach(). Nothing reaches the UART afterwards.
  void detach();
  /// The source's stream begins anew; what it has not sent is lost.
  void name_source(unsigned source, std::string_view name);

  /// One character of a domain's. Its line is kept back until it ends, is full or is released.
  Unsent put(unsigned source, char c);
  /// One whole line of the hypervisor's, in parts.
  Unsent line(std::initializer_list<std::string_view> parts);
  /// What `source` has said of an unfinished line shall be seen (a prompt).
  Unsent release(unsigned source);
  /// A share of what there is to send, when nobody else is at it; what is left of `source` then.
  Unsent send(unsigned source);
  /// Waits until everything is out, or the UART is stuck: the boot, and the board's end.
  void send_all();
  /// The source can write on without losing anything. It always can where the UART is stuck: then
  /// what is written is lost.
  [[nodiscard]] bool has_room(unsigned source);

  /// What a source has said, from `position` on (base/byte_ring.hpp); returns how many bytes.
  /// `end`: of the stream.
  std::size_t read(unsigned source, std::uint64_t& position, std::span<char> out,
                   std::uint64_t& end);

 private:
  static constexpr std::size_t kCopy = 48;  // bytes that are copied under a source's lock at once
  static constexpr unsigned kNobody = kSources;

  struct Source {
    SpinLock lock;
    std::array<char, 32> name GUARDED_BY(lock){};
    std::size_t name_size GUARDED_BY(lock) = 0;
    bool renamed GUARDED_BY(lock) = false;
    ByteRing<kKept> said GUARDED_BY(lock);
    std::uint64_t released GUARDED_BY(lock) = 0;  // position
    std::uint64_t sent GUARDED_BY(lock) = 0;      // position
    std::uint64_t lost GUARDED_BY(lock) = 0;      // bytes that were never sent, not told yet
    bool lost_part GUARDED_BY(lock) = false;      // the last of them ended within a line

    [[nodiscard]] Unsent unsent() const REQUIRES(lock) {
      if (released > sent) return Unsent::kLines;
      return said.end() > sent ? Unsent::kPart : Unsent::kNothing;
    }
  };
  /// How a source's text stands on the wire.
  struct Voice {
    VisibleText visible;
    bool continues = false;    // an earlier part of its line is out already
    bool skips = false;        // to the end of a line whose beginning was lost
    std::uint64_t losses = 0;  // that were met
  };
  /// Characters on their way: what one source may say in one go, shown.
  struct Staged {
    // A byte is shown as up to four characters; a name, and what is said of a loss.
    std::array<char, 4 * kCopy + VisibleText::kMost + 256> text{};
    std::size_t size = 0;
    std::size_t next = 0;
  };

  void try_to_send();
  [[nodiscard]] bool next_char(char& c) REQUIRES(lock_);
  [[nodiscard]] bool stage_next() REQUIRES(lock_);
  [[nodiscard]] bool stage(unsigned index) REQUIRES(lock_);
  void stage_loss(unsigned index, Source& source) REQUIRES(lock_) REQUIRES(source.lock);
  void stage_text(unsigned index, Source& source) REQUIRES(lock_) REQUIRES(source.lock);
  void speak(unsigned index, const Source& source) REQUIRES(lock_) REQUIRES(source.lock);
  void break_line() REQUIRES(lock_);
  void add(std::string_view text) REQUIRES(lock_);
  [[nodiscard]] bool takes_one() REQUIRES(lock_);
  void give_up() REQUIRES(lock_);
  static void append(Source& source, std::string_view text) REQUIRES(source.lock);

  std::array<Source, kSources> sources_{};
  SpinLock lock_;
  Uart* uart_ GUARDED_BY(lock_) = nullptr;
  port::Clock* clock_ GUARDED_BY(lock_) = nullptr;
  WaitingSender waiting_ GUARDED_BY(lock_);
  std::array<Voice, kSources> voices_ GUARDED_BY(lock_){};
  Staged staged_ GUARDED_BY(lock_);
  unsigned open_ GUARDED_BY(lock_) = kNobody;       // whose unfinished line the cursor stands in
  unsigned turn_ GUARDED_BY(lock_) = 0;             // who spoke last
  std::size_t said_in_turn_ GUARDED_BY(lock_) = 0;  // bytes; 0: its turn is over
  std::uint64_t full_since_ GUARDED_BY(lock_) = 0;  // ns; 0: there was room
  std::atomic<bool> stuck_{true};                   // nobody reads the UART, or there is none yet
};

}  // namespace penstock::uart
