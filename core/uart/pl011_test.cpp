#include "core/uart/pl011.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace penstock::uart {
namespace {

// Written from DDI 0183 3.3 and 3.4: the receive interrupt is raised when the FIFO's level passes
// the trigger from below, and cleared when it falls below it or by a write to UARTICR.
class FakeUart final : public port::Mmio {
 public:
  /// Runs before every access: the line does not wait for the driver.
  std::function<void()> before = [] {};
  bool transmitter_full = false;
  std::string sent;
  unsigned reads = 0;

  void arrive(char c) {
    received_.push_back(c);
    if (received_.size() == 1) raised_ = true;
  }
  [[nodiscard]] bool interrupts() const { return raised_ && (mask_ & 0x10) != 0; }

  std::uint32_t read32(std::uint64_t offset) override {
    before();
    ++reads;
    if (offset == 0x18) return (received_.empty() ? 0x10U : 0U) | (transmitter_full ? 0x20U : 0U);
    if (offset != 0 || received_.empty()) return 0;
    const auto c = static_cast<std::uint8_t>(received_.front());
    received_.pop_front();
    if (received_.empty()) raised_ = false;
    return 0xf00U | c;  // with error flags, which are not part of the character
  }
  void write32(std::uint64_t offset, std::uint32_t value) override {
    before();
    if (offset == 0) sent.push_back(static_cast<char>(value));
    if (offset == 0x44 && (value & 0x10) != 0) raised_ = false;
    if (offset == 0x38) mask_ = value;
    if (offset == 0x2c) EXPECT_EQ(control_ & 1, 0U) << "line control changed while enabled";
    if (offset == 0x30) control_ = value;
  }
  [[nodiscard]] std::uint32_t control() const { return control_; }

  std::uint8_t read8(std::uint64_t) override { return wrong_width(); }
  std::uint16_t read16(std::uint64_t) override { return wrong_width(); }
  std::uint64_t read64(std::uint64_t) override { return wrong_width(); }
  void write8(std::uint64_t, std::uint8_t) override { wrong_width(); }
  void write16(std::uint64_t, std::uint16_t) override { wrong_width(); }
  void write64(std::uint64_t, std::uint64_t) override { wrong_width(); }

 private:
  static std::uint8_t wrong_width() {
    ADD_FAILURE() << "registers have 32 bits";
    return 0;
  }
  std::deque<char> received_;
  bool raised_ = false;
  std::uint32_t mask_ = 0;
  std::uint32_t control_ = 1;
};

std::string drain(Pl011& uart) {
  std::string text;
  for (int c = uart.receive(); c >= 0; c = uart.receive()) text.push_back(static_cast<char>(c));
  return text;
}

TEST(Pl011, StartsWithTheLineControlSetWhileOff) {
  FakeUart registers;
  Pl011 uart(registers);
  uart.start();
  EXPECT_EQ(registers.control(), 0x301U);
}

TEST(Pl011, CharacterArrivingBetweenAnyTwoAccessesIsReadOrInterrupts) {
  for (unsigned when = 0; when < 12; ++when) {
    FakeUart registers;
    Pl011 uart(registers);
    uart.start();
    uart.enable_receive_interrupt();
    registers.arrive('a');
    ASSERT_TRUE(registers.interrupts());
    unsigned accesses = 0;
    registers.before = [&] {
      if (accesses++ == when) registers.arrive('b');
    };
    std::string text = drain(uart);
    if (accesses <= when) registers.arrive('b');  // after the driver was done
    registers.before = [] {};
    if (registers.interrupts()) text += drain(uart);
    EXPECT_EQ(text, "ab") << "before access " << when;
    registers.arrive('c');
    EXPECT_TRUE(registers.interrupts()) << "deaf after access " << when;
  }
}

TEST(Pl011, TransmitterThatIsFullHasNoRoomAndIsLookedAtOnce) {
  FakeUart registers;
  Pl011 uart(registers);
  uart.start();
  registers.transmitter_full = true;
  const unsigned before = registers.reads;
  EXPECT_FALSE(uart.can_send());
  EXPECT_EQ(registers.reads, before + 1);
  registers.transmitter_full = false;
  EXPECT_TRUE(uart.can_send());
  uart.send('z');
  EXPECT_EQ(registers.sent, "z");
}

TEST(WaitingSender, StuckTransmitterCostsOneLookACharacterUntilItDrains) {
  FakeUart registers;
  Pl011 uart(registers);
  uart.start();
  WaitingSender sender;
  registers.transmitter_full = true;
  sender.send(uart, 'x');
  const unsigned long_wait = registers.reads;
  sender.send(uart, 'y');
  EXPECT_EQ(registers.reads, long_wait + 1);
  registers.transmitter_full = false;
  sender.send(uart, 'z');
  EXPECT_EQ(registers.sent, "z");
  unsigned polls = 0;
  registers.transmitter_full = true;
  registers.before = [&] { registers.transmitter_full = ++polls < 1000; };
  sender.send(uart, 'w');
  EXPECT_EQ(registers.sent, "zw") << "drained again: waited for again";
}

}  // namespace
}  // namespace penstock::uart
