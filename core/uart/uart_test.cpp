// The drivers beside PL011's against small models of their UARTs, written from the manuals: what is
// sent arrives, what is received is read or interrupts, a stuck transmitter is not waited for
// twice.
#include "core/uart/uart.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/uart/geni.hpp"
#include "core/uart/imx.hpp"
#include "core/uart/pl011.hpp"
#include "core/uart/uart_8250.hpp"

namespace penstock::uart {
namespace {

/// What all of them have: lines in and out, and registers that hold what was written.
class Model : public port::Mmio {
 public:
  std::function<void()> before = [] {};  // runs before every access: the line does not wait
  std::string sent;
  bool transmitter_full = false;
  unsigned reads = 0;

  void arrive(char c) {
    received.push_back(c);
    on_arrival();
  }
  [[nodiscard]] virtual bool interrupts() const = 0;

  std::uint8_t read8(std::uint64_t at) override { return static_cast<std::uint8_t>(in(at, 1)); }
  std::uint16_t read16(std::uint64_t at) override { return static_cast<std::uint16_t>(in(at, 2)); }
  std::uint32_t read32(std::uint64_t at) override { return in(at, 4); }
  std::uint64_t read64(std::uint64_t) override { return wrong(); }
  void write8(std::uint64_t at, std::uint8_t value) override { out(at, value, 1); }
  void write16(std::uint64_t at, std::uint16_t value) override { out(at, value, 2); }
  void write32(std::uint64_t at, std::uint32_t value) override { out(at, value, 4); }
  void write64(std::uint64_t, std::uint64_t) override { wrong(); }

 protected:
  ~Model() = default;
  virtual std::uint32_t read(std::uint64_t at) = 0;
  virtual void write(std::uint64_t at, std::uint32_t value) = 0;
  virtual void on_arrival() {}
  [[nodiscard]] virtual unsigned width() const { return 4; }
  std::uint32_t take() {
    if (received.empty()) return 0;
    const auto c = static_cast<std::uint8_t>(received.front());
    received.pop_front();
    return c;
  }
  [[nodiscard]] std::uint32_t held(std::uint64_t at) const {
    const auto found = registers.find(at);
    return found == registers.end() ? 0 : found->second;
  }
  std::deque<char> received;
  std::map<std::uint64_t, std::uint32_t> registers;

 private:
  std::uint32_t in(std::uint64_t at, unsigned bytes) {
    EXPECT_EQ(bytes, width());
    before();
    ++reads;
    return read(at);
  }
  void out(std::uint64_t at, std::uint32_t value, unsigned bytes) {
    EXPECT_EQ(bytes, width());
    before();
    write(at, value);
  }
  static std::uint32_t wrong() {
    ADD_FAILURE() << "registers have 32 bits at most";
    return 0;
  }
};

class Model8250 final : public Model {
 public:
  Model8250(unsigned shift, unsigned width) : shift_(shift), width_(width) {}
  bool interrupts() const override { return (held(1) & 1) != 0 && !received.empty(); }

 private:
  std::uint32_t read(std::uint64_t at) override {
    switch (at >> shift_) {
      case 0: return take();
      case 2: return received.empty() ? 0xc1 : 0xc4;
      case 5: return (received.empty() ? 0U : 1U) | (transmitter_full ? 0U : 0x60U);
      default: return held(at >> shift_);
    }
  }
  void write(std::uint64_t at, std::uint32_t value) override {
    if (at == 0) sent.push_back(static_cast<char>(value));
    EXPECT_NE(at >> shift_, 3U) << "the line's format is firmware's";
    registers[at >> shift_] = value;
  }
  unsigned width() const override { return width_; }
  unsigned shift_;
  unsigned width_;
};

/// i.MX: interrupts as long as the FIFO is at its level.
class ModelImx final : public Model {
 public:
  ModelImx() { registers[0x90] = 0x0801; }
  bool interrupts() const override {
    const std::size_t level = held(0x90) & 0x3f;
    return (held(0x80) & 0x201) == 0x201 && (held(0x84) & 2) != 0 && received.size() >= level;
  }

 private:
  std::uint32_t read(std::uint64_t at) override {
    if (at == 0) return received.empty() ? 0 : 0x8000 | take();
    if (at == 0x98) return received.empty() ? 0 : 1;
    if (at == 0xb4) return transmitter_full ? 0x10 : 0;
    return held(at);
  }
  void write(std::uint64_t at, std::uint32_t value) override {
    if (at == 0x40) {
      EXPECT_EQ(held(0x84) & 4, 4U) << "the transmitter is off";
      sent.push_back(static_cast<char>(value));
    }
    registers[at] = value;
  }
};

class ModelLpuart final : public Model {
 public:
  ModelLpuart() { registers[0x2c] = 0x0003'0002; }
  bool interrupts() const override {
    const std::size_t level = held(0x2c) >> 16 & 0xff;
    return (held(0x18) & 0x24'0000) == 0x24'0000 && received.size() > level;
  }

 private:
  std::uint32_t read(std::uint64_t at) override {
    if (at == 0x1c) return take();
    if (at == 0x14) return transmitter_full ? 0 : 1U << 23;
    if (at == 0x2c) return held(at) | static_cast<std::uint32_t>(received.size()) << 24;
    return held(at);
  }
  void write(std::uint64_t at, std::uint32_t value) override {
    if (at == 0x1c) {
      EXPECT_EQ(held(0x18) & 0x8'0000, 0x8'0000U) << "the transmitter is off";
      sent.push_back(static_cast<char>(value));
    }
    if (at == 0x2c) EXPECT_EQ(held(0x18) & 0xc'0000, 0U) << "levels changed while it is on";
    registers[at] = value;
  }
};

/// GENI: a command for what is sent, words of up to four bytes for what is received, and a latched
/// interrupt.
class ModelGeni final : public Model {
 public:
  bool interrupts() const override { return (raised_ & held(0x644)) != 0; }

 private:
  std::uint32_t read(std::uint64_t at) override {
    if (at == 0x40) return (transmitter_full ? 1U : 0U) | (receiving_ ? 1U << 12 : 0U);
    if (at == 0x640) return raised_;
    if (at == 0x804) {
      const auto words = static_cast<std::uint32_t>((received.size() + 3) / 4);
      const auto last = static_cast<std::uint32_t>(received.size() % 4);
      in_word_ = received.size() < 4 ? received.size() : 4;  // what comes later is the next word's
      return words | (last != 0 ? 1U << 31 | last << 28 : 0U);
    }
    if (at == 0x780) {
      std::uint32_t word = 0;
      for (unsigned i = 0; i < in_word_; ++i) word |= take() << (8 * i);
      return word;
    }
    return held(at);
  }
  void write(std::uint64_t at, std::uint32_t value) override {
    if (at == 0x600) EXPECT_EQ(held(0x270), 1U) << "a command without a length";
    if (at == 0x600) commanded_ = value == 1U << 27;
    if (at == 0x700) {
      EXPECT_TRUE(commanded_) << "sent without a command";
      commanded_ = false;
      sent.push_back(static_cast<char>(value));
    }
    if (at == 0x630) receiving_ = true;
    if (at == 0x648) raised_ &= ~value;
    registers[at] = value;
  }
  void on_arrival() override { raised_ |= 1U << 27; }
  bool commanded_ = false;
  bool receiving_ = false;
  std::size_t in_word_ = 0;
  std::uint32_t raised_ = 0;
};

/// A UART with its driver.
struct Bench {
  std::string name;
  std::shared_ptr<Model> model;
  std::shared_ptr<Uart> driver;
};

template <typename M, typename D, typename... More>
Bench bench(const char* name, const std::shared_ptr<M>& model, More... more) {
  return {name, model, std::make_shared<D>(*model, more...)};
}

std::vector<Bench> all() {
  return {
      bench<Model8250, Uart8250>("bytes", std::make_shared<Model8250>(0, 1), 0, 1),
      bench<Model8250, Uart8250>("words", std::make_shared<Model8250>(2, 4), 2, 4),
      bench<Model8250, Uart8250>("halves", std::make_shared<Model8250>(1, 2), 1, 2),
      bench<ModelImx, ImxUart>("imx", std::make_shared<ModelImx>()),
      bench<ModelLpuart, ImxLpuart>("lpuart", std::make_shared<ModelLpuart>()),
      bench<ModelGeni, GeniUart>("geni", std::make_shared<ModelGeni>()),
  };
}

std::string drain(Uart& uart) {
  std::string text;
  for (int c = uart.receive(); c >= 0; c = uart.receive()) text.push_back(static_cast<char>(c));
  return text;
}

TEST(Uarts, WhatIsSentLeavesInOrder) {
  for (const Bench& each : all()) {
    each.driver->start();
    for (const char c : std::string("board\r\n")) {
      ASSERT_TRUE(each.driver->can_send());
      each.driver->send(c);
    }
    EXPECT_EQ(each.model->sent, "board\r\n") << each.name;
  }
}

TEST(Uarts, WhatIsReceivedIsReadOnceAndThenNothing) {
  for (const Bench& each : all()) {
    each.driver->start();
    for (const char c : std::string("typed")) each.model->arrive(c);
    EXPECT_EQ(drain(*each.driver), "typed") << each.name;
    EXPECT_EQ(each.driver->receive(), -1) << each.name;
  }
}

TEST(Uarts, CharacterArrivingBetweenAnyTwoAccessesIsReadOrInterrupts) {
  for (unsigned when = 0; when < 12; ++when) {
    for (const Bench& each : all()) {
      each.driver->start();
      EXPECT_FALSE(each.model->interrupts()) << each.name;
      each.driver->enable_receive_interrupt();
      each.model->arrive('a');
      ASSERT_TRUE(each.model->interrupts()) << each.name;
      unsigned accesses = 0;
      each.model->before = [&] {
        if (accesses++ == when) each.model->arrive('b');
      };
      std::string text = drain(*each.driver);
      each.model->before = [] {};
      if (accesses <= when) each.model->arrive('b');
      if (each.model->interrupts()) text += drain(*each.driver);
      EXPECT_EQ(text, "ab") << each.name << " before access " << when;
      each.model->arrive('c');
      EXPECT_TRUE(each.model->interrupts()) << each.name << " deaf after access " << when;
    }
  }
}

TEST(Uarts, TransmitterWithoutRoomIsSeenAtOneLook) {
  for (const Bench& each : all()) {
    each.driver->start();
    each.model->transmitter_full = true;
    const unsigned before = each.model->reads;
    EXPECT_FALSE(each.driver->can_send()) << each.name;
    EXPECT_EQ(each.model->reads, before + 1) << each.name << ": one look, whatever it finds";
    each.model->transmitter_full = false;
    EXPECT_TRUE(each.driver->can_send()) << each.name;
  }
}

}  // namespace
}  // namespace penstock::uart
