// Substreams: many contexts of one stream.
#include <gtest/gtest.h>

#include "sim/smmu/test_model.hpp"

namespace penstock::sim {
namespace {

constexpr std::uint64_t kOtherRoot = 0x4000'5000;  // stage 1: a block at IOVA 4 GiB
constexpr std::uint64_t kTable = 0x4000'8000;      // linear, or level 1
constexpr std::uint64_t kLeaf = 0x4000'a000;       // 4 KiB
constexpr std::uint64_t kBigLeaf = 0x4002'0000;    // 64 KiB
constexpr std::uint64_t kIova = 0x1'0000'0000;

SmmuConfig with_substreams() {
  SmmuConfig config;
  config.idr0 |= 1u << 19;  // CD2L
  config.idr1 |= 16u << 6;  // SSIDSIZE
  return config;
}

struct Substreams : Model {
  Substreams() : Model(with_substreams()) {}
  explicit Substreams(SmmuConfig config) : Model(config) {}
  /// A context that maps IOVA 4 GiB to IPA 1 GiB, where write_stage1() has it 64 KiB further.
  void write_other(std::uint64_t at, std::uint64_t asid) {
    put(in_ram(kOtherRoot) + 4 * 8, 0x4000'0000 | 0x440 | 1);
    write_context(at, asid);
    put(at + 8, kOtherRoot);
  }
  /// A linear table of 16: substream 0 is write_stage1()'s, 3 the other, the rest invalid.
  void prepare_linear(std::uint64_t substreamless) {
    context_address = kTable;
    ste0 = 4ull << 59;
    ste1 = substreamless;
    prepare(7);
    write_context(in_ram(kTable), 9);
    write_other(in_ram(kTable) + 3 * 64, 12);
  }
  /// Two levels of 2^`bits` substreams with leaves of `format`.
  void prepare_two_levels(std::uint64_t format, std::uint64_t bits) {
    context_address = kTable;
    ste0 = bits << 59 | format << 4;
    ste1 = 2;
    prepare(7);
  }
  std::uint64_t reached(std::optional<std::uint32_t> substream) {
    const auto out = hw.translate(kStream, kIova, true, substream);
    EXPECT_TRUE(out.ok) << unsigned{out.event};
    return out.pa;
  }
  /// The event of an access that is refused, with its substream.
  void expect_refused(std::uint8_t type, std::optional<std::uint32_t> substream) {
    const auto out = hw.translate(kStream, kIova, true, substream);
    EXPECT_FALSE(out.ok);
    EXPECT_EQ(out.event, type);
    const Smmu::Event event = take_event();
    EXPECT_EQ(event[0], type | std::uint64_t{kStream} << 32 |
                            (substream ? 1ull << 11 | std::uint64_t{*substream} << 12 : 0));
    EXPECT_EQ(event[1] | event[2] | event[3], 0u) << "a configuration error";
  }
  void forget_stream() {
    command(0x03 | std::uint64_t{kStream} << 32, 1);
    sync();
  }
};

TEST_F(Substreams, EachHasAContextOfItsOwn) {
  prepare_linear(2);
  EXPECT_EQ(reached({}), kGuestRam + 0x1'0000) << "context 0";
  EXPECT_EQ(reached(3), kGuestRam);
  expect_refused(0x0a, 5);   // not valid
  expect_refused(0x08, 16);  // beyond S1CDMax
  expect_refused(0x06, 0);   // context 0 is for accesses without a substream
  const auto out = hw.translate(kStream, kIova + 0x4004'0000, false, 3);
  EXPECT_EQ(out.event, 0x10);
  EXPECT_EQ(take_event()[0], 0x10 | 1u << 11 | 3u << 12 | std::uint64_t{kStream} << 32);
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
}

TEST_F(Substreams, WhatAnAccessWithoutOneMayDo) {
  prepare_linear(0);
  expect_refused(0x06, {});
  EXPECT_EQ(reached(0), kGuestRam + 0x1'0000);
  ste1 = 1;  // past stage 1, through stage 2
  write_ste(7);
  forget_stream();
  EXPECT_EQ(hw.translate(kStream, 0x4000'0000, true).pa, kGuestRam);
  EXPECT_EQ(reached(3), kGuestRam);
  ste1 = 3;  // reserved
  write_ste(7);
  forget_stream();
  expect_refused(0x04, {});
}

TEST_F(Substreams, StreamsWithoutThemRefuseThem) {
  prepare(7);
  EXPECT_EQ(reached({}), kGuestRam + 0x1'0000);
  expect_refused(0x08, 1);
  write_ste(6);
  forget_stream();
  expect_refused(0x08, 1);
  write_ste(4);
  forget_stream();
  expect_refused(0x08, 0);
  EXPECT_TRUE(hw.translate(kStream, 0, true).ok);
}

TEST_F(Substreams, TwoLevels) {
  prepare_two_levels(1, 8);
  put(in_ram(kTable) + 8, kLeaf | 1);  // substreams 64 to 127
  write_other(in_ram(kLeaf) + 5 * 64, 12);
  EXPECT_EQ(reached(69), kGuestRam);
  expect_refused(0x0a, 70);
  expect_refused(0x08, 128);  // the level 1 descriptor is not valid
  expect_refused(0x08, 256);
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
}

TEST_F(Substreams, TwoLevelsWithLargeLeaves) {
  prepare_two_levels(2, 11);
  expect_refused(0x08, 1000);
  put(in_ram(kTable), kBigLeaf | 0xe000 | 1);  // address bits below the leaf's size do not count
  write_other(in_ram(kBigLeaf) + 1000 * 64, 12);
  expect_refused(0x08, 1000);                    // as cached
  command(0x05 | std::uint64_t{kStream} << 32);  // CFGI_CD, not only the leaf
  sync();
  EXPECT_EQ(reached(1000), kGuestRam);
}

TEST_F(Substreams, CachedUntilTheRightCommand) {
  prepare_linear(2);
  ASSERT_EQ(reached({}), kGuestRam + 0x1'0000);
  ASSERT_EQ(reached(3), kGuestRam);
  put(in_ram(kTable), 0);
  put(in_ram(kTable) + 3 * 64, 0);
  EXPECT_EQ(reached({}), kGuestRam + 0x1'0000);
  command(0x05 | 3u << 12 | std::uint64_t{kStream} << 32, 1);
  EXPECT_EQ(reached(3), kGuestRam) << "nothing is complete before CMD_SYNC";
  sync();
  expect_refused(0x0a, 3);
  EXPECT_EQ(reached({}), kGuestRam + 0x1'0000) << "another substream's";
  command(0x06 | std::uint64_t{kStream} << 32);  // CFGI_CD_ALL
  sync();
  expect_refused(0x0a, {});
  expect_refused(0x0a, 3);
  // Becoming valid needs the command, too.
  write_other(in_ram(kTable) + 3 * 64, 12);
  expect_refused(0x0a, 3);
  command(0x05 | 3u << 12 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_EQ(reached(3), kGuestRam);
}

TEST_F(Substreams, LevelOneStaysWhenOnlyTheLeafGoes) {
  prepare_two_levels(1, 8);
  put(in_ram(kTable), kLeaf | 1);
  write_other(in_ram(kLeaf) + 5 * 64, 12);
  ASSERT_EQ(reached(5), kGuestRam);
  put(in_ram(kTable), 0);
  command(0x05 | 5u << 12 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_EQ(reached(5), kGuestRam);
  command(0x05 | 5u << 12 | std::uint64_t{kStream} << 32);
  sync();
  expect_refused(0x08, 5);
}

TEST_F(Substreams, FieldsThatAreIllegal) {
  prepare(7);
  struct {
    std::uint64_t word0;
    bool legal;
  } const cases[] = {
      {4ull << 59 | 3 << 4, false},  // S1Fmt 3
      {17ull << 59, false},          // more than SSIDSIZE
      {3 << 4, true},                // one context: the format does not count
  };
  for (const auto& one : cases) {
    ste0 = one.word0;
    write_ste(7);
    forget_stream();
    EXPECT_EQ(hw.translate(kStream, kIova, true).ok, one.legal) << std::hex << one.word0;
    if (!one.legal) EXPECT_EQ(take_event()[0] & 0xff, 0x04u);
  }
}

TEST_F(Substreams, TablesAreAlignedToTheirSize) {
  prepare_linear(2);
  context_address = kTable + 64;  // 1 KiB of descriptors
  write_ste(7);
  EXPECT_EQ(reached({}), kGuestRam + 0x1'0000) << "the bits are treated as zero";
  EXPECT_TRUE(misused("S1ContextPtr"));
}

struct OneLevel : Substreams {
  static SmmuConfig board() {
    SmmuConfig config = with_substreams();
    config.idr0 &= ~(1u << 19);
    return config;
  }
  OneLevel() : Substreams(board()) {}
};

TEST_F(OneLevel, ATwoLevelTableIsIllegal) {
  prepare_two_levels(1, 8);
  expect_refused(0x04, 5);
}

TEST_F(Model, WithoutSubstreamsTheIdDoesNotArrive) {
  prepare(7);
  EXPECT_TRUE(hw.translate(kStream, 0x1'0000'0010, true, 7).ok);
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'3000, true, 7).event, 0x12);
  EXPECT_EQ(take_event()[0], 0x12 | std::uint64_t{kStream} << 32);
  ste0 = 1ull << 59;
  write_ste(7);
  command(0x03 | std::uint64_t{kStream} << 32, 1);
  sync();
  EXPECT_EQ(hw.translate(kStream, 0x1'0000'0010, true).event, 0x04) << "S1CDMax";
}

}  // namespace
}  // namespace penstock::sim
