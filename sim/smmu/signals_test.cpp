// How the SMMU says that something happened: completions of CMD_SYNC, interrupts as MSIs.
#include <gtest/gtest.h>

#include "sim/smmu/test_model.hpp"

namespace penstock::sim {
namespace {

constexpr std::uint64_t kMessages = kBase + 0x40000;
constexpr std::uint64_t kNowhere = 0x1000;  // no memory there

struct Signals : Model {
  static SmmuConfig board() {
    SmmuConfig config;
    config.idr0 |= 1u << 13 | 1u << 14;  // MSI, SEV
    return config;
  }
  Signals() : Model(board()) {}
  std::uint64_t at(std::uint64_t pa) {
    std::array<std::uint8_t, 8> raw{};
    EXPECT_TRUE(memory.device_read(pa, raw));
    return load_le(raw, 0, 8);
  }
  std::uint32_t errors() { return hw.read32(0x60) ^ hw.read32(0x64); }
};

constexpr std::uint64_t kByInterrupt = 0x46 | 1u << 12;
constexpr std::uint64_t kByEvent = 0x46 | 2u << 12;

TEST_F(Signals, ASyncSaysThatItIsComplete) {
  enable();
  put(kMessages, 0x5555'5555'5555'5555);
  command(kByInterrupt | 0x1234'5678ull << 32, kMessages);
  EXPECT_EQ(at(kMessages), 0x5555'5555'1234'5678u) << "32 bits";
  EXPECT_EQ(hw.sync_messages(), 1u);
  command(kByInterrupt | 0x1234'5678ull << 32);
  EXPECT_EQ(hw.sync_interrupts(), 1u) << "no address: the wire";
  command(kByEvent);
  EXPECT_EQ(hw.sync_wakeups(), 1u);
  command(0x46);
  EXPECT_EQ(hw.sync_messages() + hw.sync_interrupts() + hw.sync_wakeups(), 3u);
  EXPECT_EQ(errors(), 0u);
  command(kByInterrupt, kNowhere);
  EXPECT_EQ(errors(), 1u << 4) << "MSI_CMDQ_ABT_ERR";
  EXPECT_EQ(hw.read32(0x9c), hw.read32(0x98)) << "which does not stop the queue";
  command(0x46 | 3u << 12);
  EXPECT_EQ(errors(), 1u << 4 | 1u) << "reserved";
}

TEST_F(Signals, TheMessageComesAfterTheEffect) {
  prepare(6);
  ASSERT_TRUE(hw.translate(kStream, 0x4000'0000, true).ok);
  put(kLast2, 0);
  command(0x28 | 7ull << 32);
  bool early = true;
  hw.before_sync([&] { early = at(kMessages) != 0; });
  command(kByInterrupt | 1ull << 32, kMessages);
  EXPECT_FALSE(early);
  EXPECT_EQ(at(kMessages), 1u);
  EXPECT_FALSE(hw.translate(kStream, 0x4000'0000, true).ok);
}

TEST_F(Signals, InterruptsMayBeMessages) {
  hw.write64(0xb0, kMessages);
  hw.write32(0xb8, 0x77);
  hw.write64(0x68, kMessages + 8);
  hw.write32(0x70, 0x88);
  EXPECT_EQ(hw.read64(0xb0), kMessages);
  EXPECT_EQ(hw.read32(0x70), 0x88u);
  hw.write32(0x50, 5);
  enable();
  (void)hw.translate(6, 0, true);
  EXPECT_EQ(at(kMessages), 0x77u);
  EXPECT_EQ(hw.event_interrupts(), 1u);
  command(0x77);
  EXPECT_EQ(at(kMessages + 8), 0x88u);
  EXPECT_EQ(hw.gerror_interrupts(), 1u);
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
  hw.write32(0xb8, 1);
  EXPECT_TRUE(misused("IRQ_CFG written while"));
}

TEST_F(Signals, AMessageThatIsAbortedIsAnError) {
  hw.write64(0xb0, kNowhere);
  hw.write64(0x68, kNowhere);
  hw.write32(0x50, 5);
  enable();
  (void)hw.translate(6, 0, true);
  EXPECT_EQ(hw.event_interrupts(), 0u);
  EXPECT_EQ(errors(), 1u << 5 | 1u << 7);
}

TEST_F(Model, WithoutMessagesASyncUsesTheWire) {
  enable();
  command(kByInterrupt | 1ull << 32, kMessages);
  EXPECT_EQ(hw.sync_interrupts(), 1u);
  command(kByEvent);
  EXPECT_EQ(hw.sync_wakeups(), 0u) << "no SEV: as if nothing were asked for";
  EXPECT_EQ(hw.read32(0x60), 0u);
  hw.write64(0xb0, kMessages);
  EXPECT_TRUE(misused("IRQ_CFG"));
  EXPECT_EQ(hw.read64(0xb0), 0u);
}

}  // namespace
}  // namespace penstock::sim
