// The board's PL011 and who is writing on it.
//
// Every line starts with its source, `name| `. What a source prints appears at once; when another
// source starts to write while a line is unfinished, that line is broken and goes on later behind
// `name> `, so a program can join it again.
//
// Lock: one spin lock around the UART (rank: innermost, held for at most one line of 256
// characters).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/byte_ring.hpp"
#include "core/base/lock.hpp"
#include "core/port/log.hpp"
#include "core/uart/pl011.hpp"
#include "hypervisor/ports/hw_mmio.hpp"

namespace penstock::platform {

inline constexpr unsigned kSources = 9;  // 0 is the hypervisor, domain n is n + 1

class Console final : public port::Log {
 public:
  /// The UART at this physical address, already mapped; before that every output is dropped.
  void attach(std::uint64_t pl011);
  /// The source's stream begins anew.
  void name_source(unsigned source, std::string_view name);

  /// One character from a domain. A partial line is kept back until it is complete, full, or
  /// flush_partial() ran.
  void put(unsigned source, char c);
  /// Writes out what `source` has not finished (a prompt); true when there was something.
  bool flush_partial(unsigned source);
  /// One whole line of the hypervisor's.
  void line(port::Severity severity, std::string_view text) override;
  /// Machine-readable line: "@ event {json}".
  void event(std::string_view event, std::string_view json);
  /// What a source has said, from `position` on (base/byte_ring.hpp); returns how many bytes.
  /// `end`: of the stream.
  std::size_t read(unsigned source, std::uint64_t& position, std::span<char> out,
                   std::uint64_t& end);
  /// For panics: no lock, straight to the UART.
  void raw(std::string_view text);

  /// Next character from the UART's receive FIFO, or -1. Clears the receive interrupt.
  int receive();
  void enable_receive_interrupt();

 private:
  static constexpr std::size_t kLine = 240;
  static constexpr std::size_t kKept = 8192;  // bytes of each source for readers that come later
  struct Source {
    std::array<char, 32> name{};
    std::size_t name_size = 0;
    std::array<char, kLine> text{};
    std::size_t size = 0;
    bool continues = false;  // an earlier part of this line is out already
    ByteRing<kKept> said;
  };
  void write_out(Source& source, bool ends) REQUIRES(lock_);
  void append(Source& source, std::string_view text) REQUIRES(lock_);
  void emit(std::string_view text);
  void emit(char c);

  SpinLock lock_;
  ports::HwMmio registers_;
  uart::Pl011 uart_{registers_};
  uart::WaitingSender sender_;
  bool attached_ = false;
  std::array<Source, kSources> sources_ GUARDED_BY(lock_){};
  Source* open_ GUARDED_BY(lock_) = nullptr;  // whose unfinished line the cursor stands in
};

}  // namespace penstock::platform
