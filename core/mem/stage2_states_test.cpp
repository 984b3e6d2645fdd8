// What a walker beside us can see while a stage-2 table changes. Stores become visible to devices
// in any order until make_observable() draws a line, so before each such line every order is tried:
// each pending word alone, all but each, prefixes, suffixes and random subsets. In every one of
// these memories a walk must find the old translation, the new one, or a fault; for addresses that
// the change does not name, the old one, or a fault while a block is being split.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/mem/stage2_table.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/stage2_walk.hpp"

namespace penstock::mem {
namespace {

constexpr Hpa kPool{0x8000'0000};
constexpr std::uint64_t kPoolBytes = 128 * kKiB;

struct States : testing::Test, port::Stage2Tlb {
  States() {
    EXPECT_TRUE(pool.init(memory, kPool, kPoolBytes));
    EXPECT_TRUE(table.init(pool, memory, *this));
    memory.on_observable([this](Hpa, std::uint64_t) { try_all_orders(); });
  }

  /// Pages that a walk may still hold are not in anybody else's hands before this returns.
  void invalidate(Gpa, std::uint64_t) override {
    ++invalidations;
    EXPECT_GE(pool.used_bytes(), used_before) << "a table page went back before the invalidation";
    broken.clear();
  }

  sim::Stage2Outcome walk(const std::vector<std::uint8_t>& image, std::uint64_t gpa) const {
    return sim::walk_stage2({table.root().value(), 40, 1, 48}, gpa,
                            [&](std::uint64_t pa, std::uint64_t& descriptor) {
                              if (pa < kPool.value() || pa - kPool.value() + 8 > image.size()) {
                                return false;
                              }
                              descriptor = load_le(image, pa - kPool.value(), 8);
                              return true;
                            });
  }

  void judge(const std::vector<std::uint8_t>& image) {
    ++images;
    for (const auto& [gpa, allowed] : probes) {
      const sim::Stage2Outcome out = walk(image, gpa);
      // An external abort would be a walk through a word that is no table address.
      ASSERT_NE(out.fault, sim::Stage2Fault::kExternalAbort) << std::hex << gpa;
      if (out.fault == sim::Stage2Fault::kNone) ASSERT_EQ(out.pa, allowed) << std::hex << gpa;
    }
  }

  /// Break-before-make (Arm ARM D8.14.1): an entry that was valid gets another valid value only
  /// after it was invalid and the TLB was told.
  void check_break_before_make(std::size_t at, std::uint64_t before, std::uint64_t after) {
    const bool was_valid = (before & 1) != 0;
    const bool is_valid = (after & 1) != 0;
    EXPECT_FALSE(was_valid && is_valid) << "one valid entry replaced by another at " << at;
    EXPECT_FALSE(is_valid && broken.contains(at))
        << "made before the break was invalidated, at " << at;
    if (was_valid) broken.insert(at);
  }

  void try_all_orders() {
    const auto device = memory.device_view();
    const auto cpu = memory.cpu_view();
    std::vector<std::size_t> pending;
    for (std::size_t at = 0; at < cpu.size(); at += 8) {
      if (std::memcmp(cpu.data() + at, device.data() + at, 8) != 0) pending.push_back(at);
    }
    const std::vector<std::uint8_t> old(device.begin(), device.end());
    for (const std::size_t at : pending)
      check_break_before_make(at, load_le(device, at, 8), load_le(cpu, at, 8));
    const auto publish = [&](std::vector<std::uint8_t>& image, std::size_t i) {
      std::memcpy(image.data() + pending[i], cpu.data() + pending[i], 8);
    };
    const auto try_subset = [&](auto visible) {
      std::vector<std::uint8_t> image = old;
      for (std::size_t i = 0; i < pending.size(); ++i) {
        if (visible(i)) publish(image, i);
      }
      judge(image);
    };
    try_subset([](std::size_t) { return false; });
    try_subset([](std::size_t) { return true; });
    const std::size_t step = pending.size() / 8 + 1;
    for (std::size_t k = 0; k < pending.size(); k += step) {
      try_subset([k](std::size_t i) { return i == k; });
      try_subset([k](std::size_t i) { return i != k; });
      try_subset([k](std::size_t i) { return i < k; });
      try_subset([k](std::size_t i) { return i >= k; });
    }
    for (int round = 0; round < 2; ++round) {
      const auto seed = static_cast<std::uint32_t>(random());
      try_subset([seed](std::size_t i) { return ((seed >> (i % 31)) & 1) != 0; });
    }
  }

  /// Every probe's translation, when there is one, is `gpa + offset`.
  void watch(Gpa start, std::uint64_t size, std::uint64_t step, std::uint64_t offset) {
    for (std::uint64_t at = start.value(); at < start.value() + size; at += step) {
      probes.push_back({at, at + offset});
    }
  }
  void begin() { used_before = pool.used_bytes(); }

  sim::Memory memory{kPool, kPoolBytes, sim::Memory::Coherency::kNonCoherent};
  PagePool pool;
  Stage2Table table;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> probes;
  std::set<std::size_t> broken;  // entries made invalid since the last invalidation
  std::mt19937 random{11};
  std::uint64_t used_before = 0;
  unsigned images = 0;
  unsigned invalidations = 0;
};

constexpr auto kRam = Stage2Attributes::ram();
constexpr std::uint64_t kOffset = 0x1'0000'0000;

// Covers: H24 H28 H30
TEST_F(States, MappingAndUnmappingPages) {
  const Gpa start{0x3fff'8000};  // crosses a 1 GiB and with it a 2 MiB boundary
  watch(start - 4 * kPageSize, 24 * kPageSize, kPageSize, kOffset);
  begin();
  ASSERT_TRUE(table.map(start, Hpa(start.value() + kOffset), 16 * kPageSize, kRam));
  begin();
  ASSERT_TRUE(table.unmap(start + 4 * kPageSize, 8 * kPageSize));
  begin();
  ASSERT_TRUE(table.unmap(start, 4 * kPageSize));
  begin();
  ASSERT_TRUE(table.unmap(start + 12 * kPageSize, 4 * kPageSize));
  EXPECT_EQ(table.table_bytes(), kStage2RootBytes);
  EXPECT_GT(images, 20u);
}

// Covers: H24 H28 H30
TEST_F(States, SplittingABlockOfOneGibibyteDownToPages) {
  const Gpa start{0x4000'0000};
  watch(start, kGiB, 64 * kMiB, kOffset);
  watch(start + 2 * kMiB, 4 * kMiB, 256 * kKiB, kOffset);
  ASSERT_TRUE(table.map(start, Hpa(start.value() + kOffset), kGiB, kRam));
  begin();
  ASSERT_TRUE(table.unmap(start + 3 * kMiB, kPageSize));
  EXPECT_GE(invalidations, 3u);  // two breaks and the removal
  EXPECT_EQ(table.table_bytes(), kStage2RootBytes + 2 * kPageSize);
  begin();
  ASSERT_TRUE(table.unmap(start, 3 * kMiB));
  begin();
  ASSERT_TRUE(table.unmap(start + 3 * kMiB + kPageSize, kGiB - 3 * kMiB - kPageSize));
  EXPECT_EQ(table.table_bytes(), kStage2RootBytes);
}

// Covers: H24 H30
TEST_F(States, AFailedMapThatIsTakenBack) {
  watch(Gpa(0x3fff'0000), 32 * kPageSize, kPageSize, kOffset);
  Hpa last;
  for (Result<Hpa> page = pool.take(kPageSize); page; page = pool.take(kPageSize)) last = *page;
  pool.give_back(last, kPageSize);
  used_before = pool.used_bytes();
  EXPECT_EQ(
      table.map(Gpa(0x3fff'f000), Hpa(0x3fff'f000 + kOffset), 2 * kPageSize, kRam).error().code,
      Code::kNoMemory);
  EXPECT_EQ(pool.used_bytes(), used_before);
  EXPECT_EQ(table.table_bytes(), kStage2RootBytes);
}

// Covers: H24 H26
TEST_F(States, SplittingWithoutAPageToSpareIsRefusedAndChangesNothing) {
  const Gpa start{0x4000'0000};
  ASSERT_TRUE(table.map(start, Hpa(start.value() + kOffset), kGiB, kRam));
  Hpa last;
  for (Result<Hpa> page = pool.take(kPageSize); page; page = pool.take(kPageSize)) last = *page;
  pool.give_back(last, kPageSize);  // one page where two are needed
  const std::uint64_t used = pool.used_bytes();
  EXPECT_EQ(table.unmap(start + 3 * kMiB, kPageSize).error().code, Code::kNoMemory);
  EXPECT_EQ(pool.used_bytes(), used);
  EXPECT_EQ(invalidations, 0u);
  EXPECT_EQ(table.translate(start + 3 * kMiB).value().hpa,
            Hpa((start + 3 * kMiB).value() + kOffset));
}

}  // namespace
}  // namespace penstock::mem
