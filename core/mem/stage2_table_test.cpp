#include "core/mem/stage2_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "core/base/bytes.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/stage2_walk.hpp"

namespace penstock::mem {
namespace {

constexpr Hpa kPool{0x8000'0000};
constexpr auto kRam = Stage2Attributes::ram();

/// Notes what was invalidated, and how many pages the table held at that moment.
struct RecordingTlb final : port::Stage2Tlb {
  void invalidate(Gpa start, std::uint64_t size) override {
    calls.push_back({start, size});
    used_at_last = pool->used_bytes();
  }
  std::vector<std::pair<Gpa, std::uint64_t>> calls;
  std::uint64_t used_at_last = 0;
  const PagePool* pool = nullptr;
};

struct Table : testing::Test {
  Table() {
    EXPECT_TRUE(pool.init(memory, kPool, 256 * kKiB));
    tlb.pool = &pool;
    EXPECT_TRUE(table.init(pool, memory, tlb));
  }
  /// The judge's own walk over what devices see.
  sim::Stage2Outcome walk(Gpa gpa) const {
    return sim::walk_stage2({table.root().value(), 40, 1, 48}, gpa.value(),
                            [this](std::uint64_t pa, std::uint64_t& descriptor) {
                              std::array<std::uint8_t, 8> bytes{};
                              if (!memory.device_read(pa, bytes)) return false;
                              descriptor = load_le(bytes, 0, 8);
                              return true;
                            });
  }
  sim::Memory memory{kPool, 256 * kKiB, sim::Memory::Coherency::kNonCoherent};
  PagePool pool;
  RecordingTlb tlb;
  Stage2Table table;
};

// Covers: S2.1 H28
TEST_F(Table, UsesTheLargestBlocksAndIsVisibleToWalkersThatDoNotSnoop) {
  ASSERT_TRUE(table.map(Gpa(0x4000'0000), Hpa(0x1'4000'0000), kGiB + 2 * kMiB + kPageSize, kRam));
  EXPECT_EQ(walk(Gpa(0x4000'1234)).block_size, kGiB);
  EXPECT_EQ(walk(Gpa(0x4000'1234)).pa, 0x1'4000'1234u);
  EXPECT_EQ(walk(Gpa(0x8000'0000)).block_size, 2 * kMiB);
  EXPECT_EQ(walk(Gpa(0x8020'0000)).block_size, kPageSize);
  EXPECT_EQ(walk(Gpa(0x8020'1000)).fault, sim::Stage2Fault::kTranslation);
  EXPECT_EQ(table.translate(Gpa(0x8020'0008)).value().hpa, Hpa(0x1'8020'0008));
}

TEST_F(Table, AttributesReachTheDescriptor) {
  ASSERT_TRUE(table.map(Gpa(0), Hpa(0x1000'0000), kPageSize, Stage2Attributes::doorbell()));
  ASSERT_TRUE(table.map(Gpa(0x1000), Hpa(0x2000'0000), kPageSize, Stage2Attributes::dma_ram()));
  EXPECT_FALSE(walk(Gpa(0)).readable);
  EXPECT_TRUE(walk(Gpa(0)).writable);
  EXPECT_TRUE(walk(Gpa(0)).device_memory);
  EXPECT_TRUE(walk(Gpa(0x1000)).readable);
  EXPECT_FALSE(walk(Gpa(0x1000)).executable);
  EXPECT_FALSE(walk(Gpa(0x1000)).device_memory);
}

// Covers: H26
TEST_F(Table, RefusalsChangeNothing) {
  ASSERT_TRUE(table.map(Gpa(0x20'1000), Hpa(0x20'1000), kPageSize, kRam));
  const std::uint64_t used = pool.used_bytes();
  EXPECT_EQ(table.map(Gpa(0x20'0000), Hpa(0x4000'0000), 2 * kMiB, kRam).error(),
            fail(Code::kAlreadyExists, 0x20'1000));
  EXPECT_EQ(table.map(Gpa(1), Hpa(0), kPageSize, kRam).error().code, Code::kMisaligned);
  EXPECT_EQ(table.map(Gpa(kIpaLimit - kPageSize), Hpa(0), 2 * kPageSize, kRam).error().code,
            Code::kOutOfRange);
  EXPECT_EQ(table.map(Gpa(0x8000'0000), Hpa(0), kPageSize, Stage2Attributes{}).error().code,
            Code::kOutOfRange);
  EXPECT_EQ(table.unmap(Gpa(0x20'0000), 2 * kPageSize).error(), fail(Code::kNotMapped, 0x20'0000));
  EXPECT_EQ(pool.used_bytes(), used);
  EXPECT_EQ(walk(Gpa(0x20'0000)).fault, sim::Stage2Fault::kTranslation);
  EXPECT_EQ(walk(Gpa(0x20'1000)).pa, 0x20'1000u);
}

// Covers: H21
TEST_F(Table, ExhaustionRollsBackWholly) {
  Hpa last;
  while (const auto page = pool.take(kPageSize)) last = *page;
  pool.give_back(last, kPageSize);
  const std::uint64_t used = pool.used_bytes();
  // Needs two more tables than there are pages.
  EXPECT_EQ(table.map(Gpa(0x3fff'f000), Hpa(0x3fff'f000), 2 * kPageSize, kRam).error().code,
            Code::kNoMemory);
  EXPECT_EQ(pool.used_bytes(), used);
  EXPECT_FALSE(table.translate(Gpa(0x3fff'f000)));
}

// Covers: H8 H30
TEST_F(Table, InvalidatesBeforeTablesAreFreed) {
  ASSERT_TRUE(table.map(Gpa(0x1000), Hpa(0x1000), kPageSize, kRam));
  const std::uint64_t used = pool.used_bytes();
  ASSERT_TRUE(table.unmap(Gpa(0x1000), kPageSize));
  ASSERT_EQ(tlb.calls.size(), 1u);
  EXPECT_EQ(tlb.calls[0].first, Gpa(0x1000));
  EXPECT_EQ(tlb.used_at_last, used) << "pages went back before the invalidation was complete";
  EXPECT_LT(pool.used_bytes(), used);
  EXPECT_EQ(pool.used_bytes(), kStage2RootBytes);
}

// Covers: H35
TEST_F(Table, MapsAskedForWhileTheirDomainEnds_EitherGoWithTheTableOrAreRefused) {
  std::atomic<unsigned> mapped = 0;
  Error last{};
  std::thread mapper([&] {
    for (std::uint64_t at = 0;; at = (at + 2 * kMiB) % kGiB) {
      const Status done = table.map(Gpa(at), Hpa(0x4000'0000 + kPageSize), kPageSize, kRam);
      if (done) {
        ++mapped;
      } else if (done.error().code == Code::kBadState) {
        last = done.error();
        return;
      }
    }
  });
  while (mapped < 16) std::this_thread::yield();
  table.destroy();
  mapper.join();
  EXPECT_EQ(last.code, Code::kBadState);
  EXPECT_EQ(pool.used_bytes(), 0u);
  EXPECT_EQ(table.table_bytes(), 0u);
}

// Covers: H24 H30
TEST_F(Table, EveryStateThatAWalkerCanSeeIsTheOldOneTheNewOneOrAFault) {
  const Gpa base{0x4000'0000};
  const Hpa host{0x1'0000'0000};
  ASSERT_TRUE(table.map(base, host, 4 * kMiB, kRam));
  unsigned states = 0;
  memory.on_observable([&](Hpa, std::uint64_t) {
    ++states;
    for (std::uint64_t at = 0; at < 4 * kMiB; at += 16 * kPageSize) {
      const auto out = walk(base + at);
      if (out.fault == sim::Stage2Fault::kNone) EXPECT_EQ(out.pa, (host + at).value());
    }
  });
  ASSERT_TRUE(table.unmap(base + kMiB, 2 * kMiB));  // splits both blocks
  EXPECT_GT(states, 2u);
  EXPECT_EQ(walk(base).pa, host.value());
  EXPECT_EQ(walk(base + (4 * kMiB - kPageSize)).pa, (host + (4 * kMiB - kPageSize)).value());
  EXPECT_EQ(walk(base + kMiB).fault, sim::Stage2Fault::kTranslation);
}

// Covers: H24
TEST_F(Table, AgreesWithAMapAfterRandomChanges) {
  std::mt19937 random(7);
  std::map<std::uint64_t, std::uint64_t> oracle;  // page -> machine page
  for (int round = 0; round < 400; ++round) {
    const std::uint64_t page = random() % 1024;
    const std::uint64_t count = 1 + random() % 600;
    bool free = true;
    bool full = true;
    for (std::uint64_t i = page; i < page + count; ++i) {
      free &= !oracle.contains(i);
      full &= oracle.contains(i);
    }
    if (random() % 2 == 0) {
      const bool done =
          table.map(Gpa(page << 12), Hpa((page + 0x10'0000) << 12), count << 12, kRam).has_value();
      ASSERT_EQ(done, free);
      for (std::uint64_t i = page; done && i < page + count; ++i) oracle[i] = i + 0x10'0000;
    } else {
      const bool done = table.unmap(Gpa(page << 12), count << 12).has_value();
      ASSERT_EQ(done, full);
      for (std::uint64_t i = page; done && i < page + count; ++i) oracle.erase(i);
    }
  }
  for (std::uint64_t i = 0; i < 1700; ++i) {
    const auto out = walk(Gpa(i << 12));
    ASSERT_EQ(out.fault == sim::Stage2Fault::kNone, oracle.contains(i)) << i;
    if (oracle.contains(i)) EXPECT_EQ(out.pa >> 12, oracle[i]);
  }
  EXPECT_EQ(pool.bad_returns(), 0u);
  table.destroy();
  EXPECT_EQ(pool.used_bytes(), 0u);
}

}  // namespace
}  // namespace penstock::mem
