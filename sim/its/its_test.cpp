// The model by itself: commands that the hypervisor's driver does not send, and what it says about
// wrong ones.
#include "sim/its/its.hpp"

#include <gtest/gtest.h>

#include <array>

namespace penstock::sim {
namespace {

struct ItsModelTest : testing::Test {
  static constexpr std::uint64_t kRam = 0x8000'0000;
  static constexpr std::uint64_t kQueue = kRam;
  static constexpr std::uint64_t kDevices = kRam + 0x1'0000;
  static constexpr std::uint64_t kCollections = kRam + 0x2'0000;
  static constexpr std::uint64_t kItt = kRam + 0x3'0000;
  static constexpr std::uint64_t kConfiguration = kRam + 0x4'0000;
  static constexpr std::uint64_t kPending = kRam + 0x5'0000;

  ItsModelTest() {
    for (unsigned i = 0; i < 2; ++i) {
      cpus[i].write64(0x70, kConfiguration | 13);
      cpus[i].write64(0x78, (kPending + i * 0x1'0000) | 1ULL << 62);
      cpus[i].write32(0x00, 1);
    }
    for (std::uint64_t n = 0; n < 8192; ++n) {
      *memory.map(Hpa(kConfiguration + n), 1) = std::byte{0xa3};
    }
    its.write64(0x80, 1ULL << 63 | kQueue);
    its.write64(0x100, 1ULL << 63 | kDevices);
    its.write64(0x108, 1ULL << 63 | kCollections);
    its.write32(0x00, 1);
    send({0x09, 0, 1ULL << 63 | 0ULL << 16 | 0, 0});  // MAPC 0 to CPU 0
    send({0x09, 0, 1ULL << 63 | 1ULL << 16 | 1, 0});  // MAPC 1 to CPU 1
    send({0x0000'0001'0000'0008, 4, 1ULL << 63 | kItt, 0});
  }
  void send(std::array<std::uint64_t, 4> command) {
    for (unsigned i = 0; i < 32; ++i) {
      *memory.map(Hpa(kQueue + at + i), 1) =
          static_cast<std::byte>(command[i / 8] >> (8 * (i % 8)));
    }
    at = (at + 32) % 4096;
    its.write64(0x88, at);
  }
  std::string last_refusal() {
    return its.refusals().empty() ? std::string() : its.refusals().back().reason;
  }

  Memory memory{Hpa(kRam), kMiB};
  std::array<Redistributor, 2> cpus{{{memory, {.number = 0}}, {memory, {.number = 1}}}};
  std::array<Redistributor*, 2> pointers{&cpus[0], &cpus[1]};
  Its its{memory, pointers, {}};
  std::uint64_t at = 0;
};

TEST_F(ItsModelTest, IntRaisesAndMovallMoves) {
  send({0x0000'0001'0000'000a, 0x2005ULL << 32 | 7, 0, 0});  // MAPTI 7 to 8197, CPU 0
  send({0x0000'0001'0000'0003, 7, 0, 0});                    // INT
  EXPECT_TRUE(cpus[0].is_pending(8197));
  send({0x0e, 0, 0, 1ULL << 16});  // MOVALL 0 to 1
  EXPECT_FALSE(cpus[0].is_pending(8197));
  EXPECT_EQ(cpus[1].acknowledge(), 8197U);
  EXPECT_EQ(its.read64(0x90), its.read64(0x88));
  EXPECT_TRUE(its.refusals().empty());
}

TEST_F(ItsModelTest, MapiUsesTheEventAsIntid) {
  send({0x0000'0001'0000'000b, 7, 0, 0});
  EXPECT_EQ(last_refusal(), "MAPTI: INTID out of range");
}

TEST_F(ItsModelTest, WrongCommandsAreNamed) {
  send({0x0000'0002'0000'000a, 0x2000ULL << 32, 0, 0});
  EXPECT_EQ(last_refusal(), "MAPTI: device not mapped");
  send({0x0000'0001'0000'000a, 0x2000ULL << 32 | 32, 0, 0});
  EXPECT_EQ(last_refusal(), "MAPTI: EventID beyond the device's table");
  send({0x0000'0001'0000'000a, 0x2000ULL << 32, 9, 0});
  EXPECT_EQ(last_refusal(), "MAPTI: collection not mapped");
  send({0x0001'0000'0000'0008, 4, 1ULL << 63 | kItt, 0});
  EXPECT_EQ(last_refusal(), "MAPD: DeviceID beyond the device table");
  send({0x0000'0003'0000'0008, 16, 1ULL << 63 | kItt, 0});
  EXPECT_EQ(last_refusal(), "MAPD: more EventID bits than GITS_TYPER has");
  send({0x0000'0003'0000'0008, 4, 1ULL << 63 | 0x4000'0000, 0});
  EXPECT_EQ(last_refusal(), "MAPD: ITT outside RAM");
  send({0x09, 0, 1ULL << 63 | 2ULL << 16 | 3, 0});
  EXPECT_EQ(last_refusal(), "MAPC: no such redistributor");
  send({0x05, 0, 2ULL << 16, 0});
  EXPECT_EQ(last_refusal(), "SYNC: no such redistributor");
  send({0x0000'0001'0000'000f, 3, 0, 0});
  EXPECT_EQ(last_refusal(), "event not mapped");
  send({0xff, 0, 0, 0});
  EXPECT_EQ(last_refusal(), "unknown opcode");
  EXPECT_EQ(its.read64(0x90), its.read64(0x88));  // skipped, each
}

TEST_F(ItsModelTest, ConfigurationStaysStaleWithoutInvAndSync) {
  send({0x0000'0001'0000'000a, 0x2000ULL << 32, 0, 0});
  ASSERT_TRUE(its.message(1, 0));
  ASSERT_EQ(cpus[0].acknowledge(), 8192U);
  *memory.map(Hpa(kConfiguration), 1) = std::byte{0xa2};
  ASSERT_TRUE(its.message(1, 0));
  EXPECT_EQ(cpus[0].acknowledge(), 8192U);  // no INV
  send({0x0000'0001'0000'000c, 0, 0, 0});
  ASSERT_TRUE(its.message(1, 0));
  EXPECT_EQ(cpus[0].acknowledge(), 8192U);  // no SYNC
  send({0x05, 0, 0, 0});
  ASSERT_TRUE(its.message(1, 0));
  EXPECT_EQ(cpus[0].acknowledge(), std::nullopt);
  EXPECT_TRUE(cpus[0].is_pending(8192));
}

TEST_F(ItsModelTest, ACpuCannotUseTheTranslater) {
  send({0x0000'0000'0000'0008, 4, 1ULL << 63 | (kItt + 0x1000), 0});
  send({0x0000'0000'0000'000a, 0x2000ULL << 32, 0, 0});
  its.write32(0x1'0040, 0);
  EXPECT_FALSE(cpus[0].is_pending(8192));
  EXPECT_EQ(its.violations().size(), 1U);
}

}  // namespace
}  // namespace penstock::sim
