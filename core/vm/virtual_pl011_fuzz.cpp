// A guest and a typist who do anything to the UART: what is typed and taken comes out once and in
// order, the interrupt is what RIS and IMSC say, and no access answers with more bits than it has.
#include <cstdint>
#include <cstdlib>
#include <deque>

#include "core/vm/virtual_pl011.hpp"

namespace {

using penstock::vm::VirtualPl011;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Sink final : penstock::vm::ConsoleSink {
  bool put(char) override { return ++count % 7 != 0; }
  bool has_room() override { return ++looks % 3 == 0; }
  unsigned looks = 0;
  unsigned count = 0;
};

constexpr std::uint64_t kDr = 0x00;
constexpr std::uint64_t kFr = 0x18;
constexpr std::uint64_t kLcrH = 0x2c;
constexpr std::uint64_t kImsc = 0x38;
constexpr std::uint64_t kRis = 0x3c;
constexpr std::uint64_t kMis = 0x40;

class Session {
 public:
  Session() { uart_.attach(sink_); }

  void type(std::uint8_t c) {
    if (!uart_.push_input(static_cast<char>(c))) return;
    typed_.push_back(c);
    require(typed_.size() <= 32);
  }

  void read(std::uint64_t offset, unsigned size) {
    const std::uint64_t value = uart_.read(offset, size);
    if (size < 8) require(value >> (8 * size) == 0);
    if (offset != kDr || size == 8) return;
    require(value == (typed_.empty() ? 0 : typed_.front()));
    if (!typed_.empty()) typed_.pop_front();
  }

  void write(std::uint64_t offset, unsigned size, std::uint64_t value) {
    const unsigned before = sink_.count;
    const std::uint64_t fifos = uart_.read(kLcrH, 4) & 0x10;
    uart_.write(offset, size, value);
    require(sink_.count - before == (offset == kDr && size != 8 ? 1 : 0));
    if ((uart_.read(kLcrH, 4) & 0x10) != fifos) typed_.clear();
  }

  void reset() {
    uart_.reset();
    typed_.clear();
  }

  void judge() {
    require(uart_.irq_level() == (uart_.read(kMis, 4) != 0));
    require(uart_.read(kMis, 4) == (uart_.read(kRis, 4) & uart_.read(kImsc, 4)));
    require(((uart_.read(kFr, 4) & 0x10) != 0) == typed_.empty());
  }

 private:
  Sink sink_;
  VirtualPl011 uart_;
  std::deque<std::uint8_t> typed_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Session session;
  for (std::size_t i = 0; i + 4 <= size; i += 4) {
    const std::uint64_t offset = (data[i + 1] | std::uint64_t{data[i + 2]} << 8) & 0x1fff;
    const unsigned width = 1U << (data[i] >> 6);
    switch (data[i] & 3) {
      case 0: session.type(data[i + 3]); break;
      case 1: session.read(offset, width); break;
      case 2: session.write(offset, width, data[i + 3] * 0x0101'0101'0101'0101ULL); break;
      case 3:
        if (data[i + 3] == 0) session.reset();
        break;
    }
    session.judge();
  }
  return 0;
}
