// Both stages together: what is kept of them, which command takes what away, and how events of a
// stream that faults in a loop are merged.
#include <gtest/gtest.h>

#include "sim/smmu/test_model.hpp"

namespace penstock::sim {
namespace {

constexpr std::uint64_t kIova = 0x1'0000'0000;
constexpr std::uint64_t kIpa = 0x4001'0000;
constexpr std::uint64_t kVmid = 7ull << 32;
constexpr std::uint64_t kAsid = 9ull << 48;
constexpr std::uint32_t kOther = 6;  // a stream with stage 2 alone, of the same VMID

struct NestedTlb : Model {
  void start() {
    prepare(7);
    put(kStreams + kOther * 64, 1 | 6 << 1);
    put(kStreams + kOther * 64 + 8, 0);
    put(kStreams + kOther * 64 + 16, ste2);
    put(kStreams + kOther * 64 + 24, kRoot2);
    warm();
  }
  void warm() {
    ASSERT_TRUE(hw.translate(kStream, kIova, true).ok);
    ASSERT_TRUE(hw.translate(kOther, kIpa, true).ok);
  }
  bool nested() { return hw.translate(kStream, kIova, true).ok; }
  bool stage2_alone() { return hw.translate(kOther, kIpa, true).ok; }
  void run(std::uint64_t word0, std::uint64_t address = 0) {
    command(word0, address);
    sync();
  }
};

TEST_F(NestedTlb, StageOnesCommandsTakeWhatTheOwnerChanged) {
  struct {
    const char* what;
    std::uint64_t word0;
    std::uint64_t word1;
    bool stale;
  } const cases[] = {
      {"NH_ALL", 0x10 | kVmid, 0, false},
      {"NH_ALL of another VMID", 0x10 | 8ull << 32, 0, true},
      {"NH_ASID", 0x11 | kVmid | kAsid, 0, false},
      {"NH_ASID of another", 0x11 | kVmid | 8ull << 48, 0, true},
      {"NH_ASID of another VMID", 0x11 | 8ull << 32 | kAsid, 0, true},
      {"NH_VA", 0x12 | kVmid | kAsid, kIova, false},
      {"NH_VA of another page", 0x12 | kVmid | kAsid, kIova + 0x1000, true},
      {"NH_VA of another ASID", 0x12 | kVmid | 8ull << 48, kIova, true},
      {"NH_VAA", 0x13 | kVmid, kIova, false},
      {"NH_VAA of another VMID", 0x13 | 8ull << 32, kIova, true},
      {"S2_IPA", 0x2a | kVmid, kIpa, true},
      {"S12_VMALL", 0x28 | kVmid, 0, false},
      {"NSNH_ALL", 0x30, 0, false},
      {"CFGI_STE", 0x03 | std::uint64_t{kStream} << 32, 1, true},
      {"CFGI_ALL", 0x04, 31, true},
      {"CFGI_CD_ALL", 0x06 | std::uint64_t{kStream} << 32, 0, true},
  };
  start();
  for (const auto& one : cases) {
    put(in_ram(kLast1), 0);
    EXPECT_TRUE(nested()) << one.what << ": cached";
    command(one.word0, one.word1);
    EXPECT_TRUE(nested()) << one.what << ": before CMD_SYNC";
    sync();
    EXPECT_EQ(nested(), one.stale) << one.what;
    put(in_ram(kLast1), kIpa | 0x440 | 3);
    warm();
  }
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
}

TEST_F(NestedTlb, StageTwosCommandsTakeWhatIsBelow) {
  start();
  // The owner's commands leave what is known of stage 2 alone.
  put(kLast2 + 16 * 8, 0);
  for (const std::uint64_t word0 : {0x10 | kVmid, 0x11 | kVmid | kAsid, 0x12 | kVmid | kAsid}) {
    run(word0, (word0 & 0xff) == 0x12 ? kIova : 0);
    EXPECT_TRUE(stage2_alone());
    EXPECT_TRUE(nested()) << "walked anew, with the old end of stage 2";
  }
  // TLBI_S2_IPA takes stage 2's, not what was made of both.
  run(0x2a | kVmid, kIpa);
  EXPECT_FALSE(stage2_alone());
  EXPECT_TRUE(nested());
  run(0x10 | kVmid);
  EXPECT_FALSE(nested());
  put(kLast2 + 16 * 8, (kGuestRam + 0x1'0000) | 0x7fc | 3);
  warm();
  put(kLast2 + 16 * 8, 0);
  run(0x28 | kVmid);
  EXPECT_FALSE(nested());
  EXPECT_FALSE(stage2_alone());
}

TEST_F(NestedTlb, AStreamsEntryAndItsTranslationsAreKeptApart) {
  start();
  write_ste(0);
  EXPECT_TRUE(nested()) << "the old entry";
  EXPECT_TRUE(hw.translate(kStream, kIova + 0x6000, true).ok) << "for new pages, too";
  run(0x03 | std::uint64_t{kStream} << 32, 1);
  EXPECT_FALSE(nested());
  // The entry is back: so is all that was translated under its VMID and ASID.
  put(in_ram(kLast1), 0);
  write_ste(7);
  run(0x03 | std::uint64_t{kStream} << 32, 1);
  EXPECT_TRUE(nested());
  // Another table of context descriptors with another ASID: nothing of it is shared.
  write_context(in_ram(0x4000'8000), 10);
  context_address = 0x4000'8000;
  write_ste(7);
  EXPECT_TRUE(nested());
  run(0x03 | std::uint64_t{kStream} << 32, 1);
  EXPECT_FALSE(nested());
}

TEST_F(NestedTlb, StageOneAloneHasTheVmidOfItsEntry) {
  start();
  put(in_ram(kLast1), 0);
  context_address = in_ram(kContext);
  write_ste(5);
  run(0x03 | std::uint64_t{kStream} << 32, 1);
  EXPECT_TRUE(nested()) << "VMID 7, ASID 9: the same translation";
}

TEST_F(NestedTlb, ABlockGoesAsAWholeAndRangesByLevel) {
  start();
  put(in_ram(kMid1), 0x4000'0000 | 0x440 | 1);  // 2 MiB
  run(0x10 | kVmid);
  constexpr std::uint64_t kPageSize4 = 1u << 10;  // TG
  const auto level = [](std::uint64_t ttl) { return ttl << 8; };
  struct {
    const char* what;
    std::uint64_t word0;
    std::uint64_t word1;
    bool stale;
  } const cases[] = {
      {"any page of it", 0, kIova + 0x1f'0000, false},
      {"the next block", 0, kIova + 0x20'0000, true},
      {"the right level", 0, kIova | kPageSize4 | level(2), false},
      {"another level", 0, kIova | kPageSize4 | level(3), true},
      {"a range that reaches it", 1u << 12 | 9u << 20, (kIova - 0x20'0000) | kPageSize4, false},
      {"a range below", 0 | 9u << 20, (kIova - 0x20'0000) | kPageSize4, true},
      {"another granule", 0 | 9u << 20, kIova | 3u << 10, true},
  };
  for (const auto& one : cases) {
    put(in_ram(kMid1), 0x4000'0000 | 0x440 | 1);
    ASSERT_TRUE(nested());
    put(in_ram(kMid1), 0);
    run(0x12 | kVmid | kAsid | one.word0, one.word1);
    EXPECT_EQ(nested(), one.stale) << one.what;
    put(in_ram(kMid1), 0x4000'0000 | 0x440 | 1);
    run(0x10 | kVmid);
  }
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
}

TEST_F(NestedTlb, CombinationsOfRangeFieldsThatMeanNothing) {
  start();
  struct {
    const char* what;
    std::uint64_t word0;
    std::uint64_t word1;
  } const cases[] = {
      {"without TG", 1u << 12, kIova},
      {"without TG", 0, kIova | 3u << 8},
      {"all zero", 0, kIova | 1u << 10},
      {"TTL 1", 1u << 12, kIova | 2u << 10 | 1u << 8},
      {"aligned to TG", 1u << 12, (kIova + 0x1000) | 3u << 10},
  };
  for (const std::uint64_t opcode : {0x12u, 0x13u, 0x2au}) {
    for (const auto& one : cases) {
      const std::size_t before = hw.misuses().size();
      command(opcode | kVmid | one.word0, one.word1);
      ASSERT_EQ(hw.misuses().size(), before + 1) << one.what;
      EXPECT_NE(hw.misuses().back().find(one.what), std::string::npos) << hw.misuses().back();
    }
    sync();
  }
}

TEST_F(NestedTlb, EventsOfALoopAreMergedWhereTheEntryAllowsIt) {
  start();
  const auto fault = [&](std::uint64_t iova) { (void)hw.translate(kStream, iova, true); };
  fault(kIova + 0x3000);
  fault(kIova + 0x3000);
  EXPECT_EQ(hw.events_recorded(), 2u) << "MEV = 0";
  (void)take_event();
  (void)take_event();
  ste1 = 1u << 19;
  write_ste(7);
  run(0x03 | std::uint64_t{kStream} << 32, 1);
  fault(kIova + 0x3000);
  fault(kIova + 0x3008);
  EXPECT_EQ(hw.events_recorded(), 3u);
  EXPECT_EQ(hw.events_merged(), 1u);
  fault(kIova + 0x1000);  // another type and page
  fault(kIova + 0x1'0000'0000);
  EXPECT_EQ(hw.events_recorded(), 5u);
  (void)take_event();
  fault(kIova + 0x3000);
  EXPECT_EQ(hw.events_recorded(), 6u) << "taken: recorded anew";
  for (unsigned i = 0; i < 3; ++i) (void)take_event();
  // An entry that is not valid allows nothing.
  write_ste(7);
  put(kStreams + kStream * 64, 0);
  run(0x03 | std::uint64_t{kStream} << 32, 1);
  fault(kIova);
  fault(kIova);
  EXPECT_EQ(hw.events_recorded(), 8u);
  EXPECT_EQ(take_event()[0], 0x04 | std::uint64_t{kStream} << 32);
}

struct SmallIds : Model {
  static SmmuConfig board() {
    SmmuConfig config;
    config.idr0 &= ~(1u << 12 | 1u << 18);  // ASID16, VMID16
    return config;
  }
  SmallIds() : Model(board()) {}
};

TEST_F(SmallIds, EightBitsAreEightBits) {
  prepare(7);
  ASSERT_TRUE(hw.translate(kStream, kIova, true).ok);
  command(0x12 | kVmid | 0x109ull << 48, kIova);
  EXPECT_TRUE(misused("ASID has 8 bits"));
  command(0x10 | 0x107ull << 32);
  EXPECT_TRUE(misused("VMID has 8 bits"));
  write_context(in_ram(kContext), 0x109);
  command(0x06 | std::uint64_t{kStream} << 32);
  sync();
  EXPECT_EQ(hw.translate(kStream, kIova, true).event, 0x0a);
  ste2 |= 0x100;
  write_ste(7);
  command(0x03 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_EQ(hw.translate(kStream, kIova, true).event, 0x04);
  EXPECT_TRUE(misused("S2VMID"));
}

struct StageOneOnly : Model {
  static SmmuConfig board() {
    SmmuConfig config;
    config.idr0 &= ~1u;
    return config;
  }
  StageOneOnly() : Model(board()) {}
};

TEST_F(StageOneOnly, CommandsOfStageTwoAreIllegal) {
  enable();
  command(0x28 | kVmid);
  EXPECT_EQ((hw.read32(0x9c) >> 24) & 0x7f, 1u);
}

}  // namespace
}  // namespace penstock::sim
