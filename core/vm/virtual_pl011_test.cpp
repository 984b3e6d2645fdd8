#include "core/vm/virtual_pl011.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock::vm {
namespace {

struct Sink final : ConsoleSink {
  bool put(char c) override {
    text += c;
    return text.size() < room;
  }
  bool has_room() override { return text.size() < room; }
  std::string text;
  std::size_t room = 1000;
};

struct Pl011 : testing::Test {
  Pl011() { uart.attach(sink); }
  Sink sink;
  VirtualPl011 uart;
};

TEST_F(Pl011, IdentifiesItselfAsPrimeCell) {
  std::uint32_t id = 0;
  std::uint32_t cell = 0;
  for (unsigned i = 0; i < 4; ++i) {
    id |= static_cast<std::uint32_t>(uart.read(0xfe0 + 4 * i, 4)) << (8 * i);
    cell |= static_cast<std::uint32_t>(uart.read(0xff0 + 4 * i, 4)) << (8 * i);
  }
  EXPECT_EQ(id, 0x00341011u);
  EXPECT_EQ(cell, 0xb105f00du);
}

TEST_F(Pl011, TransmitsAndRaisesMaskableInterrupt) {
  uart.write(0x00, 4, 'h');
  uart.write(0x00, 1, 'i');
  EXPECT_EQ(sink.text, "hi");
  EXPECT_FALSE(uart.irq_level());
  uart.write(0x38, 4, 1 << 5);
  EXPECT_TRUE(uart.irq_level());
  uart.write(0x44, 4, 1 << 5);
  EXPECT_FALSE(uart.irq_level());
}

TEST_F(Pl011, TransmitterIsFullAndSilentWhileTheSinkHasNoRoom) {
  sink.room = 3;
  uart.write(0x38, 4, 1 << 5);
  uart.write(0x00, 4, 'a');
  uart.write(0x00, 4, 'b');
  EXPECT_EQ(uart.read(0x18, 4) & 0xa0, 0x80u);  // empty
  EXPECT_TRUE(uart.irq_level());
  uart.write(0x00, 4, 'c');
  EXPECT_EQ(uart.read(0x18, 4) & 0xa0, 0x20u);  // full
  EXPECT_FALSE(uart.irq_level());
  uart.look_for_room();
  EXPECT_FALSE(uart.irq_level());
  sink.room = 4;
  uart.look_for_room();
  EXPECT_TRUE(uart.irq_level());
  EXPECT_EQ(uart.read(0x18, 4) & 0xa0, 0x80u);
}

TEST_F(Pl011, DriverThatPollsFindsRoomAsSoonAsThereIs) {
  sink.room = 1;
  uart.write(0x00, 4, 'a');
  EXPECT_EQ(uart.read(0x18, 4) & 0x20, 0x20u);
  sink.room = 2;
  EXPECT_EQ(uart.read(0x18, 4) & 0x20, 0u);
}

TEST_F(Pl011, FifoIsThirtyTwoDeepAndKeepsOrder) {
  EXPECT_FALSE(uart.push_input('x'));  // receiver off
  uart.write(0x2c, 4, 0x70);
  uart.write(0x30, 4, 0x301);
  uart.write(0x38, 4, 1 << 4);
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(uart.push_input(static_cast<char>('A' + i)));
  EXPECT_FALSE(uart.push_input('!'));
  EXPECT_TRUE(uart.irq_level());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(uart.read(0, 4), static_cast<unsigned>('A' + i));
  EXPECT_FALSE(uart.irq_level());
  EXPECT_EQ(uart.read(0x18, 4) & 0x10, 0x10u);
}

// Covers: H13 H48
TEST_F(Pl011, EveryOffsetAndSizeHasADefinedAnswer) {
  for (std::uint64_t offset = 0; offset < 0x1010; ++offset) {
    for (unsigned size : {1u, 2u, 4u, 8u}) {
      uart.write(offset, size, ~0ULL);
      const std::uint64_t value = uart.read(offset, size);
      if (size < 8) EXPECT_EQ(value >> (8 * size), 0u) << offset;
      if (offset % 4 != 0 || size == 8) EXPECT_EQ(value, 0u);
    }
  }
  uart.reset();
  EXPECT_EQ(uart.read(0x30, 4), 0x300u);
}

}  // namespace
}  // namespace penstock::vm
