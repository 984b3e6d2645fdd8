#include "core/uart/shared_console.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace penstock::uart {
namespace {

using Unsent = SharedConsole::Unsent;

struct FakeClock final : port::Clock {
  std::uint64_t now = 1;
  std::uint64_t now_ns() override { return now; }
};

/// A transmit FIFO that somebody else empties: `room` characters more fit.
class Wire final : public Uart {
 public:
  std::uint64_t room = ~std::uint64_t{0};
  std::string text;
  unsigned looks = 0;
  std::function<void()> meanwhile = [] {};  // what other CPUs do while one sends

  void start() override {}
  bool can_send() override {
    ++looks;
    return room != 0;
  }
  void send(char c) override {
    ASSERT_NE(room, 0U) << "sent without room";
    --room;
    text.push_back(c);
    meanwhile();
  }
  int receive() override { return -1; }
  void enable_receive_interrupt() override {}
};

struct Shared : testing::Test {
  Shared() {
    console.name_source(0, "penstock");
    console.name_source(1, "store");
    console.name_source(2, "net");
    console.attach(wire, clock);
  }
  Unsent say(unsigned source, std::string_view text) {
    Unsent unsent = Unsent::kNothing;
    for (const char c : text) unsent = console.put(source, c);
    return unsent;
  }
  std::string everything() {
    wire.room = ~std::uint64_t{0};
    console.send_all();
    return wire.text;
  }
  FakeClock clock;
  Wire wire;
  SharedConsole console;
};

TEST_F(Shared, LinesStandBehindTheirSources) {
  EXPECT_EQ(say(1, "one\r\ntwo\n"), Unsent::kNothing);
  EXPECT_EQ(console.line({"warning: ", "three"}), Unsent::kNothing);
  EXPECT_EQ(wire.text, "store| one\r\nstore| two\r\npenstock| warning: three\r\n");
}

TEST_F(Shared, UnfinishedLineIsKeptUntilItIsReleased) {
  EXPECT_EQ(say(1, "login: "), Unsent::kPart);
  EXPECT_EQ(wire.text, "");
  EXPECT_EQ(console.release(1), Unsent::kNothing);
  EXPECT_EQ(wire.text, "store| login: ");
  say(1, "root\n");
  EXPECT_EQ(wire.text, "store| login: root\r\n");
}

TEST_F(Shared, BrokenLineGoesOnLater) {
  say(1, "log");
  (void)console.release(1);
  say(2, "x\n");
  say(1, "in\n");
  EXPECT_EQ(wire.text, "store| log\r\nnet| x\r\nstore> in\r\n");
}

TEST_F(Shared, WhatIsSaidBeforeTheUartIsFoundComesLater) {
  SharedConsole early;
  early.name_source(0, "penstock");
  EXPECT_EQ(early.line({"no board like this"}), Unsent::kLines);
  early.attach(wire, clock);
  EXPECT_EQ(early.send(0), Unsent::kNothing);
  EXPECT_EQ(wire.text, "penstock| no board like this\r\n");
}

// Covers: H60
TEST_F(Shared, UartWithoutRoomCostsAWriterOneLookForAWholeLine) {
  wire.room = 0;
  const std::string line(200, 'x');
  EXPECT_EQ(say(1, line + "\n"), Unsent::kLines);
  EXPECT_EQ(wire.looks, 1U);
  EXPECT_EQ(console.line({line}), Unsent::kLines);
  EXPECT_EQ(wire.looks, 2U);
  EXPECT_EQ(everything(), "store| " + line + "\r\npenstock| " + line + "\r\n");
}

// Covers: H60
TEST_F(Shared, WriterBesideOneWhoSendsNeitherWaitsNorSends) {
  bool once = false;
  wire.meanwhile = [&] {
    if (once) return;
    once = true;
    const unsigned looks = wire.looks;
    EXPECT_EQ(say(2, "beside\n"), Unsent::kLines);
    EXPECT_EQ(console.line({"told"}), Unsent::kLines);
    EXPECT_EQ(wire.looks, looks) << "touched a UART that another CPU drives";
  };
  EXPECT_EQ(say(1, "first\n"), Unsent::kNothing);
  EXPECT_EQ(wire.text, "store| first\r\nnet| beside\r\npenstock| told\r\n");
}

// Covers: H60
TEST_F(Shared, OneStaySendsABoundedShare) {
  wire.room = 0;
  for (int i = 0; i < 30; ++i) say(1, std::string(99, 'a') + "\n");
  wire.room = ~std::uint64_t{0};
  say(2, "x\n");
  EXPECT_EQ(wire.text.size(), SharedConsole::kShare);
  EXPECT_EQ(console.send(2), Unsent::kNothing) << "its turn comes within the next share";
  EXPECT_EQ(wire.text.size(), 2 * SharedConsole::kShare);
}

// Covers: H60
TEST_F(Shared, SourcesTakeTurnsLineByLine) {
  wire.room = 0;
  for (int i = 0; i < 3; ++i) say(1, "flood\n");
  say(2, "one\ntwo\n");
  (void)console.line({"mine"});
  EXPECT_EQ(everything(),
            "store| flood\r\nnet| one\r\npenstock| mine\r\nstore| flood\r\nnet| two\r\n"
            "store| flood\r\n");
}

TEST_F(Shared, LineWithoutEndDoesNotKeepOthersFromTheWire) {
  wire.room = 0;
  say(1, std::string(3 * SharedConsole::kLine, 'A'));
  say(2, "x\n");
  const std::string part(SharedConsole::kLine, 'A');
  EXPECT_EQ(everything(), "store| " + part + "\r\nnet| x\r\nstore> " + part + part);
}

TEST_F(Shared, HypervisorsLineIsNeverBroken) {
  const std::string line(4 * SharedConsole::kLine, 'h');
  wire.room = 100;
  (void)console.line({line});
  say(1, "x\n");
  wire.room = 300;
  (void)console.send(1);
  (void)say(2, "y\n");
  EXPECT_EQ(everything(), "penstock| " + line + "\r\nstore| x\r\nnet| y\r\n");
}

TEST_F(Shared, SourceWithMuchUnsentHasNoRoomUntilTheWireHasTakenSome) {
  wire.room = 0;
  unsigned said = 0;
  while (console.has_room(1) && said < 2 * SharedConsole::kKept) {
    (void)console.put(1, said++ % 100 == 99 ? '\n' : 'x');
  }
  EXPECT_EQ(said, SharedConsole::kHeld);
  EXPECT_TRUE(console.has_room(2));
  wire.room = 200;
  (void)console.send(1);
  EXPECT_TRUE(console.has_room(1));
}

TEST_F(Shared, WhatIsWrittenWithoutRoomIsLostFromTheOldestOnAndTold) {
  wire.room = 0;
  for (int i = 0; i < 100; ++i) say(1, "x" + std::string(98, '.') + "\n");
  const std::string text = everything();
  const std::uint64_t lost = 10'000 - SharedConsole::kKept;
  EXPECT_EQ(text.find("penstock| warning: " + std::to_string(lost) +
                      " characters of store are lost here"),
            0U)
      << text.substr(0, 100);
  const std::size_t first = text.find("\r\n") + 2;
  EXPECT_EQ(text.substr(first, 9), "store| x.") << "a line that has its beginning";
  EXPECT_EQ(text.find("warning", first), std::string::npos);
}

// Covers: H14
TEST_F(Shared, LossesWithoutEndAreToldOfEverMoreRarely) {
  for (int i = 0; i < 100; ++i) {
    wire.room = 0;
    for (std::size_t n = 0; n < SharedConsole::kKept / 4 + 1; ++n) say(1, "xyz\n");
    (void)everything();
  }
  std::size_t told = 0;
  for (std::size_t at = wire.text.find("are lost here"); at != std::string::npos;
       at = wire.text.find("are lost here", at + 1)) {
    ++told;
  }
  EXPECT_LE(told, 40U);
  EXPECT_GE(told, 32U);
}

TEST_F(Shared, UartThatNobodyReadsHoldsNobodyUpForLong) {
  wire.room = 0;
  while (console.has_room(1)) say(1, "waits\n");
  clock.now += SharedConsole::kStuckNs;
  EXPECT_EQ(console.send(1), Unsent::kNothing);
  EXPECT_TRUE(console.has_room(1));
  for (std::size_t i = 0; i < SharedConsole::kKept; ++i) say(1, "goes on\n");
  EXPECT_TRUE(console.has_room(1));
  wire.room = ~std::uint64_t{0};
  say(2, "read again\n");
  EXPECT_EQ(wire.text, "net| read again\r\n");
  say(1, "too\n");
  EXPECT_NE(wire.text.find("are lost here"), std::string::npos);
  EXPECT_NE(wire.text.find("\r\nstore| too\r\n"), std::string::npos);
  wire.room = 0;
  while (console.has_room(1)) say(1, "waits again\n");
}

TEST_F(Shared, WaitingForAUartThatNobodyReadsEnds) {
  wire.room = 0;
  (void)console.line({"going off"});
  console.send_all();
  wire.room = ~std::uint64_t{0};
  (void)console.line({"on"});
  EXPECT_NE(wire.text.find("penstock| on\r\n"), std::string::npos);
}

TEST_F(Shared, ControlCharactersAreShownAndKeptForReaders) {
  const std::string forged = "\x1b[1A\x1b[2Kpenstock| all is well\r";
  say(1, forged + "\n");
  EXPECT_EQ(wire.text, "store| ^[[1A^[[2Kpenstock| all is well\r\n");
  std::array<char, 64> out{};
  std::uint64_t position = 0;
  std::uint64_t end = 0;
  const std::size_t size = console.read(1, position, out, end);
  EXPECT_EQ(std::string(out.data(), size), forged + "\n");
}

TEST_F(Shared, CharacterOfSeveralBytesIsNotBrokenByALineOfAnother) {
  say(1, "\xe2\x80");
  (void)console.release(1);
  say(2, "x\n");
  say(1, "\xa6 \x9b\n");
  EXPECT_EQ(wire.text, "store| \r\nnet| x\r\nstore> \xe2\x80\xa6 \\x9b\r\n");
}

TEST_F(Shared, NewDomainOfASourceBeginsOnALineOfItsOwn) {
  say(1, "unfinished");
  (void)console.release(1);
  wire.room = 0;
  say(1, " of the old one\n");
  console.name_source(1, "other");
  say(1, "hello\n");
  EXPECT_EQ(everything(), "store| unfinished\r\nother| hello\r\n");
}

TEST_F(Shared, NewNameAloneEndsTheOldLine) {
  say(1, "unfinished");
  (void)console.release(1);
  console.name_source(1, "other");
  say(2, "x\n");
  EXPECT_EQ(everything(), "store| unfinished\r\nnet| x\r\n");
}

TEST_F(Shared, ReaderGetsWhatIsKeptInOrder) {
  std::string all;
  for (int i = 0; i < 2000; ++i) all += std::to_string(i) + "\n";
  say(1, all);
  std::vector<char> out(SharedConsole::kKept);
  std::uint64_t position = 0;
  std::uint64_t end = 0;
  const std::size_t size = console.read(1, position, out, end);
  EXPECT_EQ(end, all.size());
  EXPECT_EQ(position, all.size() - SharedConsole::kKept);
  EXPECT_EQ(std::string(out.data(), size), all.substr(position));
  position = end;
  EXPECT_EQ(console.read(1, position, out, end), 0U);
  EXPECT_EQ(position, all.size());
}

}  // namespace
}  // namespace penstock::uart
