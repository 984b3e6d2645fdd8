// A guest's stream table (IHI 0070, 3.3.1, 5.1, 5.2): what each entry is taken for.
#include "core/viommu/smmu_entry.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/viommu/fake_guest.hpp"

namespace penstock::viommu {
namespace {

using fake::Ram;
using hw::smmuv3::Stage1;
using hw::smmuv3::Stage1Mode;

constexpr std::uint8_t kBadStreamId = 0x02;
constexpr std::uint8_t kSteFetch = 0x03;
constexpr std::uint8_t kBadSte = 0x04;

const hw::smmuv3::IdRegisters kIds = virtual_ids(fake::kBoard);
const hw::smmuv3::IdRegisters kIdsWithSubstreams = virtual_ids(fake::kBoardWithSubstreams);

constexpr std::uint32_t config(unsigned log2, unsigned split, unsigned format) {
  return log2 | split << 6 | format << 16;
}

JudgedEntry read(Ram& ram, std::uint64_t base, std::uint32_t cfg, std::uint32_t stream) {
  return read_stream_entry(ram, stream_table_shape(base, cfg), kIds, GuestStreamId(stream));
}

constexpr std::uint64_t bit(unsigned n) {
  return std::uint64_t{1} << n;
}

struct EntryCase {
  std::string name;
  std::uint64_t word0;
  std::uint64_t word1;
  Stage1 expected;
  std::uint8_t event = 0;
};

JudgedEntry judge(std::uint64_t word0, std::uint64_t word1, std::uint64_t others = 0,
                  const hw::smmuv3::IdRegisters& ids = kIds) {
  std::array<std::uint64_t, 8> words;
  words.fill(others);
  words[0] = word0;
  words[1] = word1;
  return judge_entry(words, ids);
}

constexpr Stage1 kAborts{Stage1Mode::kAbort, 0, 0};
constexpr Stage1 kBypasses{Stage1Mode::kBypass, 0, 0};
constexpr Stage1 kInvalid{Stage1Mode::kInvalid, 0, 0};
constexpr std::uint64_t kContext = 0x4001'2340;

// Covers: S2.4 S2.16 H52
TEST(StreamEntry, EveryConfigurationIsTakenForWhatItIs) {
  const EntryCase cases[] = {
      {"nothing", 0, 0, kInvalid, kBadSte},
      {"not valid, else perfect", 0xa | kContext, 0, kInvalid, kBadSte},
      {"0: abort", 0x1, 0, kAborts},
      {"1: abort", 0x3, 0, kAborts},
      {"2: abort", 0x5, 0, kAborts},
      {"3: abort", 0x7, 0, kAborts},
      {"abort, stage-1 fields are garbage", (~0ULL << 4) | 1, ~0ULL, kAborts},
      {"4: bypass", 0x9, 0, kBypasses},
      {"bypass, stage-1 fields are garbage", (~0ULL << 4) | 9, ~0ULL, kBypasses},
      {"5: stage 1", 0xb | kContext, 0x55, {Stage1Mode::kTranslate, kContext, 0x54}},
      {"6: there is no stage 2", 0xd | kContext, 0, kInvalid, kBadSte},
      {"7: nor both", 0xf | kContext, 0, kInvalid, kBadSte},
      {"the context pointer's last legal bits",
       0xb | 0xff'ffff'ffc0,
       0,
       {Stage1Mode::kTranslate, 0xff'ffff'ffc0, 0}},
      {"beyond 40 bits", 0xb | bit(40), 0, kInvalid, kBadSte},
      {"far beyond", 0xb | bit(55), 0, kInvalid, kBadSte},
      {"S1STALLD without stalls", 0xb | kContext, bit(27), kInvalid, kBadSte},
      {"S1CDMax without substreams", 0xb | kContext | bit(59), 0, kInvalid, kBadSte},
      {"S1CDMax 31", 0xb | kContext | 31ULL << 59, 0, kInvalid, kBadSte},
      {"S1Fmt and S1DSS do not count with one descriptor",
       0xb | kContext | 0x30,
       3,
       {Stage1Mode::kTranslate, kContext, 0}},
  };
  for (const EntryCase& one : cases) {
    const JudgedEntry got = judge(one.word0, one.word1);
    EXPECT_EQ(got.stage1, one.expected) << one.name;
    EXPECT_EQ(got.event, one.event) << one.name;
  }
}

// Covers: S2.4 H52
TEST(StreamEntry, SubstreamTablesAreAsTheSmmuHasThem) {
  constexpr std::uint64_t kBase = 0xb | kContext;
  struct Case {
    const char* name;
    std::uint64_t word0;
    std::uint64_t word1;
    bool legal;
    std::uint64_t kept1 = 0;
  };
  const Case cases[] = {
      {"one", kBase, 0, true},
      {"2, linear", kBase | 1ULL << 59, 0, true},
      {"2^20, linear", kBase | 20ULL << 59, 0, true},
      {"more than SSIDSIZE", kBase | 21ULL << 59, 0, false},
      {"two levels, 4 KiB", kBase | 10ULL << 59 | 1ULL << 4, 0, true},
      {"two levels, 64 KiB", kBase | 10ULL << 59 | 2ULL << 4, 0, true},
      {"format 3 is reserved", kBase | 10ULL << 59 | 3ULL << 4, 0, false},
      {"S1DSS 2", kBase | 1ULL << 59, 2, true, 2},
      {"S1DSS 3 is reserved", kBase | 1ULL << 59, 3, false},
  };
  for (const Case& one : cases) {
    const JudgedEntry got = judge(one.word0, one.word1, 0, kIdsWithSubstreams);
    EXPECT_EQ(got.stage1.mode == Stage1Mode::kTranslate, one.legal) << one.name;
    if (!one.legal) {
      EXPECT_EQ(got.event, kBadSte) << one.name;
      continue;
    }
    EXPECT_EQ(got.stage1.word0, one.word0 & ~0xfULL) << one.name;
    EXPECT_EQ(got.stage1.word1, one.kept1) << one.name;
  }
  hw::smmuv3::IdRegisters linear = kIdsWithSubstreams;
  linear.idr0 &= ~(1U << 19);  // CD2L
  EXPECT_EQ(judge(kBase | 10ULL << 59 | 1ULL << 4, 0, 0, linear).stage1, kInvalid);
}

// A guest's idea of stage 2, VMIDs, attributes, ATS: all of it is ours.
// Covers: S2.4 H52 H53
TEST(StreamEntry, NothingButStageOnesFieldsComesThrough) {
  for (unsigned n = 0; n < 64; ++n) {
    if (n == 27) continue;  // S1STALLD is illegal, above
    const JudgedEntry got = judge(0xb | kContext, bit(n), ~0ULL);
    ASSERT_EQ(got.stage1.mode, Stage1Mode::kTranslate) << n;
    EXPECT_EQ(got.stage1.word0, kContext) << n;
    // S1CIR, S1COR, S1CSH; S1DSS needs substreams.
    EXPECT_EQ(got.stage1.word1, n >= 2 && n < 8 ? bit(n) : 0) << n;
  }
  for (const unsigned n : {56U, 57U, 58U}) {
    EXPECT_EQ(judge(0xb | kContext | bit(n), 0).stage1,
              (Stage1{Stage1Mode::kTranslate, kContext, 0}));
  }
}

// Covers: S2.16 H52
TEST(StreamTableShape, IsWhatTheRegistersSayCutToWhatExists) {
  const auto linear = stream_table_shape(0x4001'0fc0, config(8, 0, 0));
  EXPECT_FALSE(linear.two_level);
  EXPECT_EQ(linear.id_bits, 8u);
  EXPECT_EQ(linear.base, Gpa(0x4001'0000 & ~0x3fffULL));            // aligned to 16 KiB
  EXPECT_EQ(stream_table_shape(0, config(17, 0, 0)).id_bits, 16u);  // SIDSIZE
  EXPECT_EQ(stream_table_shape(0, config(63, 0, 0)).id_bits, 16u);
  EXPECT_EQ(stream_table_shape(~0ULL, config(0, 0, 0)).base, Gpa(0x00ff'ffff'ffff'ffc0));
  for (const unsigned format : {0U, 2U, 3U}) {
    EXPECT_FALSE(stream_table_shape(0, config(8, 6, format)).two_level) << format;
  }
  for (unsigned split = 0; split < 32; ++split) {
    const auto shape = stream_table_shape(0x4001'0ffc, config(16, split, 1));
    EXPECT_TRUE(shape.two_level);
    EXPECT_EQ(shape.split, split == 8 || split == 10 ? split : 6u);
    EXPECT_TRUE(shape.base.is_aligned(8ULL << (16 - shape.split)));
  }
  // Fewer streams than one level-2 table has.
  const auto small = stream_table_shape(0x4001'0fc0, config(3, 10, 1));
  EXPECT_EQ(small.base, Gpa(0x4001'0fc0));
}

// Covers: S2.16
TEST(StreamTable, LinearTablesHaveTheEntriesThatTheirSizeSays) {
  Ram ram;
  for (std::uint32_t i = 0; i < 512; ++i)
    ram.put(fake::kTable + i * 64, 0xb | 0x4005'0000 | i << 6);
  for (const std::uint32_t id : {0U, 1U, 8U, 255U}) {
    const JudgedEntry got = read(ram, fake::kTable, config(8, 0, 0), id);
    EXPECT_EQ(got.stage1, (Stage1{Stage1Mode::kTranslate, 0x4005'0000 | id << 6, 0})) << id;
  }
  for (const std::uint32_t id : {256U, 511U, 0xffffU, 0xffff'ffffU}) {
    const JudgedEntry got = read(ram, fake::kTable, config(8, 0, 0), id);
    EXPECT_EQ(got.stage1, kInvalid);
    EXPECT_EQ(got.event, kBadStreamId);
  }
  EXPECT_EQ(read(ram, fake::kTable, config(0, 0, 0), 0).stage1.mode, Stage1Mode::kTranslate);
  EXPECT_EQ(read(ram, fake::kTable, config(0, 0, 0), 1).event, kBadStreamId);
}

// Covers: S2.16 H52
TEST(StreamTable, ATableThatIsNotRamIsAFetchError) {
  Ram ram;
  for (const std::uint64_t base :
       {0ULL, 0x0905'0000ULL, 0x80'0000'0000ULL, 0xff'ffff'ffff'0000ULL}) {
    const JudgedEntry got = read(ram, base, config(8, 0, 0), 3);
    EXPECT_EQ(got.stage1, kInvalid);
    EXPECT_EQ(got.event, kSteFetch);
    EXPECT_EQ(got.fetch, stream_table_shape(base, config(8, 0, 0)).base + 3 * 64);
  }
  // It ends in the middle of the table.
  const std::uint64_t last = Ram::kBase + ram.bytes().size() - 0x4000;
  EXPECT_EQ(read(ram, last, config(8, 0, 0), 255).event, kBadSte);
  EXPECT_EQ(read(ram, Ram::kBase, config(16, 0, 0), 0x4000).event, kSteFetch);
}

// Covers: S2.16 H52
TEST(StreamTable, TwoLevelsWithEverySplitAndSpan) {
  for (const unsigned split : {6U, 8U, 10U}) {
    for (unsigned span = 0; span < 32; ++span) {
      Ram ram;
      const std::uint64_t level2 = 0x4008'0000;  // aligned to 1024 entries
      const std::uint32_t first = 1U << split;   // the first stream of level-1 descriptor 1
      ram.put(fake::kTable + 8, level2 | span);
      const bool legal = span != 0 && span <= split + 1;
      const std::uint64_t covered = legal ? bit(span - 1) : 0;
      for (std::uint64_t i = 0; i < covered; ++i) ram.put(level2 + i * 64, 0xb | i << 6);
      for (const std::uint64_t i : {std::uint64_t{0}, covered - 1, covered, bit(split) - 1}) {
        if (i >= bit(split)) continue;
        const auto id = static_cast<std::uint32_t>(first + i);
        const JudgedEntry got = read(ram, fake::kTable, config(16, split, 1), id);
        if (i < covered) {
          EXPECT_EQ(got.stage1, (Stage1{Stage1Mode::kTranslate, i << 6, 0}));
        } else {
          EXPECT_EQ(got.stage1, kInvalid);
          EXPECT_EQ(got.event, kBadStreamId) << split << " " << span << " " << i;
        }
      }
      EXPECT_LE(ram.reads, 8u);
    }
  }
}

// Covers: S2.16 H52
TEST(StreamTable, LevelTwoOutsideOfRamIsAFetchError) {
  Ram ram;
  ram.put(fake::kTable, 0x0905'0000 | 7);
  ram.put(fake::kTable + 8, 0x00ff'ffff'ffff'f000 | 7);
  ram.put(fake::kTable + 16, 0x4008'0fc0 | 7);  // its low bits do not count
  ram.put(0x4008'0000 + 5 * 64, 0x9);
  const auto at = [&](std::uint32_t id) { return read(ram, fake::kTable, config(16, 6, 1), id); };
  EXPECT_EQ(at(5).event, kSteFetch);
  EXPECT_EQ(at(5).fetch, Gpa(0x0905'0000 + 5 * 64));
  EXPECT_EQ(at(64 + 5).event, kSteFetch);
  EXPECT_EQ(at(128 + 5).stage1, kBypasses);
  // Level 1 outside of RAM: the descriptor's address.
  const JudgedEntry none = read(ram, 0x8000'0000'0000, config(16, 6, 1), 64);
  EXPECT_EQ(none.event, kSteFetch);
  EXPECT_EQ(none.fetch, Gpa(0x8000'0000'0008));
  EXPECT_EQ(read(ram, fake::kTable, config(7, 10, 1), 128).event, kBadStreamId);
  // SPLIT larger than LOG2SIZE.
  EXPECT_EQ(read(ram, fake::kTable, config(5, 6, 1), 5).event, kSteFetch);
}

// An entry that another CPU rewrites while it is read is judged from one copy.
// Covers: S2.16 H51 H52
TEST(StreamTable, AnEntryIsReadOnce) {
  Ram ram;
  ram.changes_after_read = true;
  ram.put(fake::kTable + 3 * 64, 0xb | kContext);
  EXPECT_EQ(read(ram, fake::kTable, config(8, 0, 0), 3).stage1,
            (Stage1{Stage1Mode::kTranslate, kContext, 0}));
  EXPECT_EQ(ram.reads, 1u);
}

}  // namespace
}  // namespace penstock::viommu
