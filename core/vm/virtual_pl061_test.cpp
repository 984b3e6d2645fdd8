#include "core/vm/virtual_pl061.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock::vm {
namespace {

constexpr std::uint64_t kDir = 0x400;
constexpr std::uint64_t kIs = 0x404;
constexpr std::uint64_t kIbe = 0x408;
constexpr std::uint64_t kIev = 0x40c;
constexpr std::uint64_t kIe = 0x410;
constexpr std::uint64_t kRis = 0x414;
constexpr std::uint64_t kMis = 0x418;
constexpr std::uint64_t kIc = 0x41c;
constexpr unsigned kPower = 8;

/// Linux's gpio-pl061 with gpio-keys above it: byte accesses, both edges, and a look at the line
/// when it has been quiet for a while. Each event of the key is a letter: Down, Up.
class Linux {
 public:
  explicit Linux(VirtualPl061& gpio) : gpio_(gpio) {}

  void probe() {
    gpio_.write(kIe, 1, 0);
    set(kDir, false);
    set(kIs, false);
    set(kIbe, true);
    set(kIe, true);
  }
  /// Somebody opens the input device: gpio-keys reports the state of its keys.
  void open() { look(); }
  /// Until all is quiet; false when it never is.
  bool run() {
    for (int i = 0; i < 16; ++i) {
      while (gpio_.irq_level()) {
        if ((gpio_.read(kMis, 1) & kPower) == 0) return false;
        gpio_.write(kIc, 1, kPower);
        has_to_look_ = true;
      }
      if (!has_to_look_) return true;
      has_to_look_ = false;
      look();
    }
    return false;
  }
  std::string events;

 private:
  void set(std::uint64_t offset, bool on) {
    const std::uint64_t old = gpio_.read(offset, 1);
    gpio_.write(offset, 1, on ? old | kPower : old & ~std::uint64_t{kPower});
  }
  void look() {
    const bool now = gpio_.read(kPower << 2, 1) != 0;
    if (now != is_down_) events += now ? 'D' : 'U';
    is_down_ = now;
  }
  VirtualPl061& gpio_;
  bool is_down_ = false;
  bool has_to_look_ = false;
};

struct Pl061 : testing::Test {
  VirtualPl061 gpio;
  Linux os{gpio};
};

TEST_F(Pl061, IdentifiesItselfAsPrimeCell) {
  std::uint32_t id = 0;
  std::uint32_t cell = 0;
  for (unsigned i = 0; i < 4; ++i) {
    id |= static_cast<std::uint32_t>(gpio.read(0xfe0 + 4 * i, 4)) << (8 * i);
    cell |= static_cast<std::uint32_t>(gpio.read(0xff0 + 4 * i, 4)) << (8 * i);
  }
  EXPECT_EQ(id & 0xfffffu, 0x41061u);
  EXPECT_EQ(cell, 0xb105f00du);
}

TEST_F(Pl061, APressIsDownAndUpOnceForEachPress) {
  os.probe();
  os.open();
  EXPECT_TRUE(os.run());
  EXPECT_EQ(os.events, "");
  gpio.press();
  EXPECT_TRUE(os.run());
  EXPECT_EQ(os.events, "DU");
  gpio.press();
  EXPECT_TRUE(os.run());
  EXPECT_EQ(os.events, "DUDU");
}

TEST_F(Pl061, TwoPressesBeforeTheGuestLooksAreOne) {
  os.probe();
  gpio.press();
  gpio.press();
  EXPECT_TRUE(os.run());
  EXPECT_EQ(os.events, "DU");
}

TEST_F(Pl061, APressThatNobodyHeardWaitsForTheDriver) {
  gpio.press();
  EXPECT_FALSE(gpio.irq_level());
  os.probe();
  EXPECT_TRUE(os.run());
  EXPECT_EQ(os.events, "");
  os.open();
  EXPECT_TRUE(os.run());
  EXPECT_EQ(os.events, "DU");
}

TEST_F(Pl061, AnUnacknowledgedEdgeKeepsTheButtonDown) {
  os.probe();
  gpio.press();
  EXPECT_EQ(gpio.read(0x3fc, 4), kPower);
  EXPECT_EQ(gpio.read(0x3fc, 4), kPower);
  gpio.write(kIc, 4, kPower);
  EXPECT_EQ(gpio.read(0x3fc, 4), kPower);
  EXPECT_TRUE(gpio.irq_level());
  EXPECT_EQ(gpio.read(0x3fc, 4), 0u);
}

TEST_F(Pl061, AGuestThatPollsSeesOnePress) {
  gpio.press();
  EXPECT_EQ(gpio.read(0, 4), 0u);  // no line is meant
  EXPECT_EQ(gpio.read(0x3fc & ~(kPower << 2), 4), 0u);
  EXPECT_EQ(gpio.read(kPower << 2, 4), kPower);
  EXPECT_EQ(gpio.read(kPower << 2, 4), 0u);
}

TEST_F(Pl061, AGuestThatOnlyCountsRisingEdgesGetsEachPress) {
  gpio.write(kIev, 4, kPower);
  gpio.write(kIe, 4, kPower);
  for (int i = 0; i < 3; ++i) {
    gpio.press();
    EXPECT_TRUE(gpio.irq_level());
    gpio.write(kIc, 4, kPower);
    EXPECT_FALSE(gpio.irq_level());
  }
}

TEST_F(Pl061, ALevelInterruptsUntilTheLineIsRead) {
  gpio.write(kIs, 4, kPower);
  gpio.write(kIev, 4, kPower);
  gpio.write(kIe, 4, kPower);
  EXPECT_FALSE(gpio.irq_level());
  gpio.press();
  gpio.write(kIc, 4, 0xff);
  EXPECT_TRUE(gpio.irq_level());
  EXPECT_EQ(gpio.read(kPower << 2, 4), kPower);
  EXPECT_FALSE(gpio.irq_level());
}

TEST_F(Pl061, OnlyOutputsCanBeWrittenAndOnlyThoseThatTheAddressNames) {
  gpio.write(0x3fc, 4, 0xff);
  EXPECT_EQ(gpio.read(0x3fc, 4), 0u);
  gpio.write(kDir, 4, 0xf0);
  gpio.write(0x30 << 2, 4, 0xff);
  EXPECT_EQ(gpio.read(0x3fc, 4), 0x30u);
  EXPECT_EQ(gpio.read(kRis, 4), 0u);
}

TEST_F(Pl061, ResetReleasesTheButton) {
  os.probe();
  gpio.press();
  gpio.reset();
  EXPECT_FALSE(gpio.irq_level());
  os.probe();
  os.open();
  EXPECT_TRUE(os.run());
  EXPECT_EQ(os.events, "");
}

// Covers: H13 H48
TEST_F(Pl061, EveryOffsetAndSizeHasADefinedAnswer) {
  for (std::uint64_t offset = 0; offset < 0x1010; ++offset) {
    for (unsigned size : {1u, 2u, 4u, 8u}) {
      gpio.press();
      gpio.write(offset, size, ~0ULL);
      const std::uint64_t value = gpio.read(offset, size);
      EXPECT_EQ(value >> 8, 0u) << offset;
      if (offset % 4 != 0 || size == 8) EXPECT_EQ(value, 0u);
    }
  }
}

}  // namespace
}  // namespace penstock::vm
