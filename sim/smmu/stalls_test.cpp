// Transactions that wait for software after a fault of stage 1.
#include <gtest/gtest.h>

#include <vector>

#include "sim/smmu/test_model.hpp"

namespace penstock::sim {
namespace {

constexpr std::uint64_t kMissing = 0x1'0000'3000;  // no access flag
constexpr std::uint64_t kStallsBit = 1ull << 44;   // CD.S

struct Stalls : Model {
  static SmmuConfig board(unsigned model) {
    SmmuConfig config;
    config.idr0 = (config.idr0 & ~(3u << 24)) | model << 24;
    return config;
  }
  explicit Stalls(unsigned model = 0) : Model(board(model)) {
    context0 = kStallsBit;
    hw.on_resumed([this](const Smmu::Access& access, const Smmu::Outcome& outcome) {
      ended.emplace_back(access.iova, outcome.ok);
    });
  }
  void resume(std::uint16_t stag, bool retry, std::uint32_t stream = kStream) {
    command(0x44 | (retry ? 1u << 12 : 1u << 13) | std::uint64_t{stream} << 32, stag);
  }
  bool queue_failed() { return ((hw.read32(0x60) ^ hw.read32(0x64)) & 1) != 0; }
  std::vector<std::pair<std::uint64_t, bool>> ended;
};

TEST_F(Stalls, AFaultWaitsUntilItIsAnswered) {
  prepare(7);
  const auto first = hw.translate(kStream, kMissing, true);
  EXPECT_FALSE(first.ok);
  ASSERT_TRUE(first.stalled);
  const auto second = hw.translate(kStream, 0x1'0000'1008, true);  // read-only
  ASSERT_TRUE(second.stalled);
  EXPECT_NE(first.stag, second.stag);
  EXPECT_EQ(hw.stalled_accesses(), 2u);
  const Smmu::Event event = take_event();
  EXPECT_EQ(event[0], 0x12 | std::uint64_t{kStream} << 32);
  EXPECT_EQ(event[1], word1(true, false) | 1ull << 31 | first.stag);
  EXPECT_EQ(event[2], kMissing);
  EXPECT_EQ(take_event()[1] & 0xffff, second.stag);

  resume(first.stag, true);  // nothing was mended
  EXPECT_EQ(hw.stalled_accesses(), 2u);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(ended[0].second);
  const auto again = static_cast<std::uint16_t>(take_event()[1]);
  put(in_ram(kLast1) + 3 * 8, 0x4001'3000 | 0x440 | 3);
  resume(again, true, kStream + 1);  // another stream's
  EXPECT_EQ(hw.stalled_accesses(), 2u);
  resume(again, true);
  resume(second.stag, false);
  EXPECT_EQ(hw.stalled_accesses(), 0u);
  EXPECT_EQ(ended[1], (std::pair<std::uint64_t, bool>{kMissing, true}));
  EXPECT_EQ(ended[2], (std::pair<std::uint64_t, bool>{0x1'0000'1008, false}));
}

TEST_F(Stalls, OnlyFaultsOfStageOneStall) {
  prepare(7);
  EXPECT_FALSE(hw.translate(kStream, 0x1'0000'4008, true).stalled);  // stage 2 does not map it
  EXPECT_FALSE(hw.translate(kStream, 0x1'0000'5008, true).stalled);  // stage 2: read-only
  EXPECT_EQ(hw.stalled_accesses(), 0u);
}

TEST_F(Stalls, AFullQueueKeepsTheirEvents) {
  prepare(7);
  for (unsigned i = 0; i < 6; ++i) (void)hw.translate(kStream, kMissing + i, true);
  EXPECT_EQ(hw.events_recorded(), 4u);
  EXPECT_EQ(hw.events_lost(), 0u);
  for (unsigned i = 0; i < 6; ++i) EXPECT_EQ(take_event()[2], kMissing + i);
}

TEST_F(Stalls, AStreamsStallsEndTogether) {
  prepare(7);
  for (unsigned i = 0; i < 3; ++i) (void)hw.translate(kStream, kMissing + i, true);
  command(0x45 | std::uint64_t{kStream + 1} << 32);
  EXPECT_EQ(hw.stalled_accesses(), 3u);
  command(0x45 | std::uint64_t{kStream} << 32);
  EXPECT_EQ(hw.stalled_accesses(), 0u);
  EXPECT_EQ(ended.size(), 3u);
}

TEST_F(Stalls, TheStreamsEntryMayRefuseThem) {
  ste1 = 1ull << 27;  // S1STALLD
  prepare(7);
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'0000, true).event, 0x0a);
  context0 = 0;
  write_context(in_ram(kContext));
  command(0x06 | std::uint64_t{kStream} << 32);
  sync();
  EXPECT_TRUE(hw.translate(kStream, 0x1'0000'0000, true).ok);
  EXPECT_FALSE(hw.translate(kStream, kMissing, true).stalled);
}

struct ForcedStalls : Stalls {
  ForcedStalls() : Stalls(2) {}
};

TEST_F(ForcedStalls, ContextsMustSaySo) {
  prepare(7);
  EXPECT_TRUE(hw.translate(kStream, kMissing, true).stalled);
  context0 = 0;
  write_context(in_ram(kContext));
  command(0x06 | std::uint64_t{kStream} << 32);
  sync();
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'0000, true).event, 0x0a);
}

struct NoStalls : Stalls {
  NoStalls() : Stalls(1) {}
};

TEST_F(NoStalls, EverythingAboutThemIsIllegal) {
  prepare(7);
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'0000, true).event, 0x0a) << "CD.S";
  ste1 = 1ull << 27;
  write_ste(7);
  command(0x03 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'0000, true).event, 0x04) << "S1STALLD";
  resume(0, true);
  EXPECT_TRUE(queue_failed());
}

}  // namespace
}  // namespace penstock::sim
