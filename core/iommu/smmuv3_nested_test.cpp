// Streams whose owner has a stage 1 of its own: what the table holds after each change, and what
// is refused. Translation through both stages: core/assign/stage1_test.cpp.
#include <gtest/gtest.h>

#include <string>

#include "core/hw/smmuv3/commands.hpp"
#include "core/iommu/smmuv3.hpp"
#include "core/mem/stage2_table.hpp"
#include "sim/clock.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::iommu {
namespace {

using hw::smmuv3::Command;
using hw::smmuv3::Stage1;
using hw::smmuv3::Stage1Mode;

constexpr Hpa kBase{0x8000'0000};
constexpr std::uint64_t kPoolBytes = 2 * kMiB;
constexpr Gpa kGuest{0x4000'0000};
constexpr StreamId kNvme{0x100};
constexpr StreamId kNic{0x101};
constexpr StreamId kOthers{0x200};
constexpr Vmid kVmid{1};
constexpr Vmid kOtherVmid{2};

constexpr Stage1 kBypass{};
constexpr Stage1 kAbort{Stage1Mode::kAbort, 0, 0};
constexpr Stage1 kInvalid{Stage1Mode::kInvalid, 0, 0};
constexpr Stage1 translate(std::uint64_t context, std::uint64_t word1 = 0) {
  return {Stage1Mode::kTranslate, context, word1};
}

struct Lines final : port::Log {
  void line(port::Severity, std::string_view text) override { all += std::string(text) + "\n"; }
  std::string all;
};

struct Nested : testing::Test {
  explicit Nested(sim::SmmuConfig config = {}) : hw(memory, memory, config) {
    EXPECT_TRUE(pool.init(memory, kBase, kPoolBytes));
    EXPECT_TRUE(smmu.init(hw, memory, clock, pool, log));
    for (unsigned i = 0; i < 2; ++i) {
      EXPECT_TRUE(tables[i].init(pool, memory, tlbs[i]));
      EXPECT_TRUE(tables[i].map(kGuest, kBase + kPoolBytes + i * 64 * kKiB, 64 * kKiB,
                                mem::Stage2Attributes::dma_ram()));
    }
    EXPECT_TRUE(smmu.attach(kNvme, {kVmid, tables[0].root()}));
    EXPECT_TRUE(smmu.attach(kNic, {kVmid, tables[0].root()}));
    EXPECT_TRUE(smmu.attach(kOthers, {kOtherVmid, tables[1].root()}));
    hw.forget_commands();
  }
  ~Nested() override { EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front(); }
  /// What the hardware's table holds; nothing for a stream that aborts.
  std::optional<StreamView> view(StreamId stream) {
    struct Visitor final : StreamVisitor {
      void stream(const StreamView& one) override { all.push_back(one); }
      std::vector<StreamView> all;
    } visitor;
    smmu.audit(visitor);
    for (const StreamView& one : visitor.all) {
      if (one.stream == stream) return one;
    }
    return std::nullopt;
  }
  bool passes(StreamId stream) { return hw.translate(stream.value(), kGuest.value(), true).ok; }

  sim::Memory memory{kBase, 4 * kMiB};
  sim::Clock clock;
  sim::Smmu hw;
  mem::PagePool pool;
  Lines log;
  Smmu smmu;
  std::array<SmmuTlb, 2> tlbs{SmmuTlb{smmu, kVmid}, SmmuTlb{smmu, kOtherVmid}};
  std::array<mem::Stage2Table, 2> tables;
};

// Covers: S2.4 S2.17
TEST_F(Nested, TheEntryIsStageTwosWithTheFieldsThatAreAskedFor) {
  const Stage1 wanted[] = {translate(0x4000'1000),
                           translate(0x4000'2000),
                           translate(0x4000'2000, 0x54),
                           translate(0x4000'1000, 0xfc),
                           kBypass,
                           kAbort,
                           translate(0x4000'1000, 0x54),
                           kInvalid,
                           kBypass,
                           kInvalid,
                           kAbort,
                           kBypass};
  for (const Stage1& one : wanted) {
    for (unsigned twice = 0; twice < 2; ++twice) {
      ASSERT_TRUE(smmu.configure(kNvme, one));
      EXPECT_EQ(smmu.stage1(kNvme), one);
      const auto now = view(kNvme);
      const bool live = one.mode == Stage1Mode::kBypass || one.mode == Stage1Mode::kTranslate;
      ASSERT_EQ(now.has_value(), live);
      EXPECT_EQ(passes(kNvme), one.mode == Stage1Mode::kBypass);
      if (!live) continue;
      EXPECT_EQ(now->config, one.mode == Stage1Mode::kTranslate ? 7 : 6);
      EXPECT_EQ(now->vmid, kVmid);
      EXPECT_EQ(now->root, tables[0].root());
      if (one.mode != Stage1Mode::kTranslate) continue;
      EXPECT_EQ(now->stage1_word0, one.word0);
      EXPECT_EQ(now->stage1_word1, one.word1);
    }
  }
  EXPECT_TRUE(passes(kNic)) << "a neighbour in the same table";
}

// Covers: H34
TEST_F(Nested, AnEntryThatNobodyWroteIsOfNoConfiguredStream) {
  for (const StreamId stream : {kNic, kOthers}) {
    ASSERT_TRUE(smmu.configure(stream, translate(0x4000'1000)));
  }
  const auto load = [&](std::uint64_t at) -> std::uint64_t& {
    return *reinterpret_cast<std::uint64_t*>(memory.map(Hpa(at), 8));
  };
  const std::uint64_t base = hw.read64(0x80) & 0x000f'ffff'ffff'ffc0;
  for (const StreamId stream : {StreamId(0x102), StreamId(0x2ff)}) {
    const std::uint64_t level2 =
        load(base + (stream.value() >> 8) * 8) & 0x000f'ffff'ffff'ffc0;  // 256 entries each
    load(level2 + (stream.value() & 0xff) * 64) = 0b1101;                // valid, stage 2
    const auto now = view(stream);
    ASSERT_TRUE(now);
    EXPECT_EQ(now->wanted, Stage1{}) << "a neighbour's";
    EXPECT_FALSE(now->exact);
  }
}

// Even if what is above forgets to: only stage 1's own bits get in.
// Covers: S2.4
TEST_F(Nested, BitsThatAreNotStageOnesStayOut) {
  ASSERT_TRUE(smmu.configure(kNvme, translate(~0ULL, ~0ULL)));
  const auto now = view(kNvme);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->config, 7);
  EXPECT_EQ(now->vmid, kVmid);
  EXPECT_EQ(now->root, tables[0].root());
  ASSERT_TRUE(smmu.configure(kNvme, kBypass));
  EXPECT_TRUE(passes(kNvme));
}

// Also where nothing changes: the guest may have changed what hangs off the entry.
// Covers: S2.6 S2.8
TEST_F(Nested, EveryConfigurationForgetsWhatWasCachedOfTheStream) {
  for (const Stage1& one : {translate(0x4000'1000), translate(0x4000'1000),
                            translate(0x4000'1000, 0x54), kAbort, kAbort}) {
    hw.forget_commands();
    ASSERT_TRUE(smmu.configure(kNvme, one));
    bool forgotten = false;
    for (const auto& command : hw.commands()) {
      forgotten = forgotten || command[0] == (0x03 | std::uint64_t{kNvme.value()} << 32);
      EXPECT_NE(command[0] & 0xff, 0x04u) << "others' entries are none of its business";
      if ((command[0] & 0xff) != 0x03) continue;
      EXPECT_EQ(command[1], 1u) << "of the entry alone: its table stays where it is";
    }
    EXPECT_TRUE(forgotten);
    EXPECT_EQ(hw.commands().back()[0], 0x46u);
  }
}

// Covers: S2.9 S2.17
TEST_F(Nested, OnlyAttachedStreamsCanBeConfigured) {
  const StreamId stranger(0x300);
  EXPECT_EQ(smmu.configure(stranger, kBypass).error(), fail(Code::kNotFound, 0x300));
  EXPECT_EQ(smmu.configure(StreamId(~0U), kBypass).error().code, Code::kNotFound);
  ASSERT_TRUE(smmu.block(kNvme));
  EXPECT_EQ(smmu.configure(kNvme, kBypass).error().code, Code::kNotFound);
  EXPECT_FALSE(passes(kNvme));
  EXPECT_FALSE(smmu.stage1(kNvme));
  EXPECT_FALSE(smmu.stage1(stranger));
}

// A new owner starts from stage 2 alone, whatever the last one had.
// Covers: S2.17 H27 H34
TEST_F(Nested, AStageOneEndsWithItsOwner) {
  ASSERT_TRUE(smmu.configure(kNvme, translate(0x4000'1000, 0xfc)));
  ASSERT_TRUE(smmu.detach(kNvme));
  ASSERT_TRUE(smmu.attach(kNvme, {kOtherVmid, tables[1].root()}));
  EXPECT_EQ(smmu.stage1(kNvme), kBypass);
  const auto now = view(kNvme);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->config, 6);
  EXPECT_EQ(now->stage1_word0, 0u);
  EXPECT_EQ(now->stage1_word1, 0u);
  EXPECT_TRUE(passes(kNvme));
}

// Covers: S2.8 H51 H53
TEST_F(Nested, ABatchIsForwardedUnderItsOwnersVmidWithOneSync) {
  std::array<Command, 4> batch = {
      {{0x10 | 0xbeefULL << 32, 0},
       {0x12 | std::uint64_t{kOtherVmid.value()} << 32 | 7ULL << 48, 0x5000},
       {0x06 | std::uint64_t{kNvme.value()} << 32, 0},
       {0x05 | std::uint64_t{kNic.value()} << 32, 1}}};
  ASSERT_TRUE(smmu.forward(kVmid, batch));
  const auto& log_of = hw.commands();
  ASSERT_EQ(log_of.size(), 5u);
  EXPECT_EQ(log_of[0][0], 0x10 | 1ULL << 32);
  EXPECT_EQ(log_of[1][0], 0x12 | 1ULL << 32 | 7ULL << 48);
  EXPECT_EQ(log_of[1][1], 0x5000u);
  EXPECT_EQ(log_of[2][0], batch[2][0]);
  EXPECT_EQ(log_of[3][0], batch[3][0]);
  EXPECT_EQ(log_of[4][0] & 0xff, 0x46u);
}

// Covers: S2.8 H51 H53
TEST_F(Nested, WhatIsNotTheOwnersOwnIsRefusedWhole) {
  const auto refused = [&](const Command& bad) {
    std::array<Command, 2> batch = {{{0x10, 0}, bad}};
    hw.forget_commands();
    const Status done = smmu.forward(kVmid, batch);
    EXPECT_TRUE(hw.commands().empty()) << "nothing of it was to be done";
    return done.error();
  };
  const auto stream = [](std::uint64_t op, std::uint32_t id) {
    return Command{op | std::uint64_t{id} << 32, 0};
  };
  EXPECT_EQ(refused(stream(0x05, kOthers.value())), fail(Code::kNotOwner, kOthers.value()));
  EXPECT_EQ(refused(stream(0x06, kOthers.value())), fail(Code::kNotOwner, kOthers.value()));
  EXPECT_EQ(refused(stream(0x06, 0x300)), fail(Code::kNotOwner, 0x300));
  for (unsigned op = 0; op < 256; ++op) {
    if ((op >= 0x10 && op <= 0x13) || op == 5 || op == 6) continue;
    EXPECT_EQ(refused({op, 0}), fail(Code::kOutOfRange, op));
  }
  ASSERT_TRUE(smmu.block(kNic));
  EXPECT_EQ(refused(stream(0x06, kNic.value())).code, Code::kNotOwner);
}

// Nobody waits for another guest's invalidations: what finds the SMMU taken comes again.
// Covers: S2.8 H51
TEST_F(Nested, WhileAnotherUsesItTheAnswerIsBusy) {
  unsigned looked = 0;
  hw.before_sync([&] {
    ++looked;
    std::array<Command, 1> batch = {{{0x10, 0}}};
    EXPECT_EQ(smmu.forward(kOtherVmid, batch).error().code, Code::kBusy);
    EXPECT_EQ(smmu.configure(kOthers, kAbort).error().code, Code::kBusy);
  });
  ASSERT_TRUE(smmu.configure(kNvme, translate(0x4000'1000)));
  std::array<Command, 1> batch = {{{0x10, 0}}};
  ASSERT_TRUE(smmu.forward(kVmid, batch));
  EXPECT_GE(looked, 2u);
  hw.before_sync({});
  EXPECT_EQ(smmu.stage1(kOthers), kBypass);
  EXPECT_TRUE(passes(kOthers));
}

// Covers: H33 S2.17
TEST_F(Nested, AStreamWhoseConfigurationIsNotConfirmedAborts) {
  for (const Stage1& one : {translate(0x4000'1000), kAbort, kInvalid}) {
    hw.stop_commands(true);
    EXPECT_EQ(smmu.configure(kNvme, one).error().code, Code::kTimeout);
    EXPECT_EQ(smmu.stage1(kNvme), kAbort);
    EXPECT_FALSE(view(kNvme));
    std::array<Command, 1> batch = {{{0x10, 0}}};
    EXPECT_EQ(smmu.forward(kVmid, batch).error().code, Code::kTimeout);
    hw.stop_commands(false);
    hw.write32(0x98, hw.read32(0x98));  // it goes on
    ASSERT_TRUE(smmu.configure(kNvme, kBypass));
    EXPECT_TRUE(passes(kNvme));
  }
}

// ---- boards that cannot ----

template <std::uint32_t kClear, std::uint32_t kSet>
struct Board : Nested {
  Board()
      : Nested([] {
          sim::SmmuConfig config;
          config.idr0 = (config.idr0 & ~kClear) | kSet;
          return config;
        }()) {}
};
using NoStage1 = Board<2, 0>;
using NotCoherent = Board<1U << 4, 0>;
using StallsOnRequest = Board<3U << 24, 0>;

// Covers: S2.13
TEST_F(Nested, AGoodBoardCanNest) {
  std::string_view why = "x";
  EXPECT_TRUE(smmu.nesting(why));
  EXPECT_TRUE(why.empty());
  EXPECT_EQ(smmu.id_registers().idr0, 0x0d44'101bu);
  EXPECT_EQ(smmu.id_registers().idr5, 0x74u);
}

// Covers: S2.13
TEST_F(NoStage1, NestingIsRefusedWithTheReason) {
  std::string_view why;
  EXPECT_EQ(smmu.nesting(why).error(), fail(Code::kUnsupported, 0));
  EXPECT_NE(why.find("stage 1"), std::string_view::npos);
  EXPECT_EQ(smmu.configure(kNvme, translate(0x4000'1000)).error().code, Code::kUnsupported);
  EXPECT_TRUE(passes(kNvme)) << "and changes nothing";
}

// Covers: S2.13 H28
TEST_F(NotCoherent, NestingIsRefusedWithTheReason) {
  std::string_view why;
  EXPECT_EQ(smmu.nesting(why).error().code, Code::kUnsupported);
  EXPECT_NE(why.find("snoop"), std::string_view::npos);
}

// Where a context descriptor may ask for stalls, ours forbid it in every entry (S1STALLD).
// Covers: S2.4 H53
TEST_F(StallsOnRequest, StallsAreForbidden) {
  std::string_view why;
  EXPECT_TRUE(smmu.nesting(why));
  ASSERT_TRUE(smmu.configure(kNvme, translate(0x4000'1000, 0xfc)));
  // The entry's second word, as the hardware reads it.
  bool found = false;
  const auto bytes = memory.device_view();
  for (std::size_t at = 0; at + 64 <= kPoolBytes; at += 64) {
    const auto word = [&](std::size_t i) {
      std::uint64_t value = 0;
      for (unsigned k = 0; k < 8; ++k) value |= std::uint64_t{bytes[at + i * 8 + k]} << (8 * k);
      return value;
    };
    if (word(0) != (0x4000'1000 | 0xf)) continue;
    found = true;
    EXPECT_NE(word(1) & 1ULL << 27, 0u);
    EXPECT_EQ(word(1) & 0xff, 0xfcu);
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace penstock::iommu
