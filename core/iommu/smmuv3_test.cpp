#include "core/iommu/smmuv3.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/iommu/smmuv3/event_queue.hpp"
#include "core/iommu/smmuv3/last_resort.hpp"
#include "core/mem/stage2_table.hpp"
#include "sim/clock.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::iommu {
namespace {

constexpr Hpa kBase{0x8000'0000};
constexpr std::uint64_t kPoolBytes = 2 * kMiB;
constexpr Hpa kRam{kBase + kPoolBytes};  // machine memory that domains get
constexpr Gpa kGuest{0x4000'0000};
constexpr StreamId kNvme{0x100};
constexpr StreamId kNic{0x200};

struct Lines final : port::Log {
  void line(port::Severity, std::string_view text) override { all += std::string(text) + "\n"; }
  std::string all;
};

/// A board with an SMMU, and two domains' DMA tables: 64 KiB of RAM each, at the same guest
/// address.
struct Board : testing::Test {
  explicit Board(sim::SmmuConfig config = {}) : hw(memory, memory, config) {
    EXPECT_TRUE(pool.init(memory, kBase, kPoolBytes));
  }
  void start() {
    ASSERT_TRUE(smmu.init(hw, memory, clock, pool, log));
    ASSERT_TRUE(tables[0].init(pool, memory, tlbs[0]));
    ASSERT_TRUE(tables[1].init(pool, memory, tlbs[1]));
    const auto ram = mem::Stage2Attributes::dma_ram();
    ASSERT_TRUE(tables[0].map(kGuest, kRam, 64 * kKiB, ram));
    ASSERT_TRUE(tables[1].map(kGuest, kRam + 64 * kKiB, 64 * kKiB, ram));
  }
  DmaContext context(unsigned i) const {
    return {Vmid(static_cast<std::uint16_t>(i + 1)), tables[i].root()};
  }
  bool dma_write(StreamId stream, Gpa at, std::uint8_t value) {
    return hw.write(stream.value(), at.value(), std::span<const std::uint8_t>(&value, 1));
  }
  std::uint8_t byte(Hpa at) { return static_cast<std::uint8_t>(*memory.map(at, 1)); }
  std::vector<Fault> faults() {
    std::array<Fault, 16> out;
    const unsigned n = smmu.take_events(out);
    return {out.begin(), out.begin() + n};
  }

  sim::Memory memory{kBase, 4 * kMiB};
  sim::Clock clock;
  sim::Smmu hw;
  mem::PagePool pool;
  Lines log;
  Smmu smmu;
  std::array<SmmuTlb, 2> tlbs{SmmuTlb{smmu, Vmid(1)}, SmmuTlb{smmu, Vmid(2)}};
  std::array<mem::Stage2Table, 2> tables;
};

// Covers: S2.1 S1.9 S2.9
TEST_F(Board, ADeviceReachesItsDomainsMemoryAndNothingElse) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(smmu.attach(kNic, context(1)));
  EXPECT_TRUE(dma_write(kNvme, kGuest + 5, 0xaa));
  EXPECT_TRUE(dma_write(kNic, kGuest + 5, 0xbb));
  EXPECT_EQ(byte(kRam + 5), 0xaa);
  EXPECT_EQ(byte(kRam + 64 * kKiB + 5), 0xbb);

  EXPECT_FALSE(dma_write(kNvme, kGuest + 64 * kKiB, 1));  // beyond its RAM
  EXPECT_FALSE(dma_write(kNvme, Gpa(kRam.value()), 1));   // a machine address
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].kind, FaultKind::kTranslation);
  EXPECT_EQ(seen[0].stream, kNvme);
  EXPECT_EQ(seen[0].address, Iova((kGuest + 64 * kKiB).value()));
  EXPECT_TRUE(seen[0].stage2);
  EXPECT_TRUE(seen[0].write);
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
}

TEST_F(Board, StreamsAreKnownInWhateverOrderTheyCome) {
  start();
  ASSERT_TRUE(smmu.attach(kNic, context(1)));
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(smmu.attach(StreamId(0x180), context(1)));
  EXPECT_EQ(smmu.owner(kNvme), Vmid(1));
  EXPECT_EQ(smmu.owner(StreamId(0x180)), Vmid(2));
  EXPECT_EQ(smmu.owner(kNic), Vmid(2));
  ASSERT_TRUE(smmu.detach(kNic));
  EXPECT_FALSE(dma_write(kNic, kGuest, 1));
  EXPECT_TRUE(dma_write(kNvme, kGuest, 1));
  EXPECT_TRUE(dma_write(StreamId(0x180), kGuest, 1));
}

// Covers: H7 S0.22
TEST_F(Board, StreamsThatNobodyOwnsAbortAndAreNamed) {
  start();
  EXPECT_FALSE(dma_write(StreamId(0x300), kGuest, 1));
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  EXPECT_FALSE(dma_write(StreamId(0x101), kGuest, 1));  // a neighbour in the same level-2 table
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].kind, FaultKind::kBadStreamId);
  EXPECT_EQ(seen[1].kind, FaultKind::kBadSte);
  EXPECT_EQ(seen[1].stream, StreamId(0x101));
}

// Covers: H58 S1.15
TEST_F(Board, AStreamThatNobodyOwnsIsSilenced_AbortsWithoutEventsAndCanBeOwnedLater) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  for (const StreamId stream : {StreamId(0x300), StreamId(0x101)}) {
    ASSERT_FALSE(dma_write(stream, kGuest, 1));
    ASSERT_EQ(faults().size(), 1u);
    ASSERT_TRUE(smmu.silence(stream));
    EXPECT_FALSE(dma_write(stream, kGuest, 1));
    EXPECT_TRUE(faults().empty()) << stream.value();
    EXPECT_TRUE(smmu.silence(stream)) << "its events that were in the queue";
  }
  EXPECT_FALSE(dma_write(StreamId(0x301), kGuest, 1));
  EXPECT_EQ(faults().size(), 1u) << "another stream of the same table is told of";
  ASSERT_TRUE(smmu.attach(StreamId(0x300), context(1)));
  EXPECT_TRUE(dma_write(StreamId(0x300), kGuest, 1));
  EXPECT_TRUE(hw.misuses().empty()) << hw.misuses().front();
}

// Covers: H58
TEST_F(Board, AStreamThatIsOwnedIsNotSilenced) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(smmu.silence(kNvme));
  EXPECT_TRUE(dma_write(kNvme, kGuest, 1));
}

// Covers: S1.15
TEST_F(Board, StreamsThatAreSilencedTakeABoundedPartOfThePool) {
  start();
  const auto before = pool.used_bytes();
  unsigned silenced = 0;
  for (std::uint32_t bus = 0; bus < 256; ++bus) {
    const Status done = smmu.silence(StreamId(bus << 8));
    if (done) ++silenced;
    if (!done) EXPECT_EQ(done.error(), fail(Code::kTableFull, bus << 8));
  }
  EXPECT_EQ(silenced, Smmu::kMaxSilenced);
  EXPECT_LE(pool.used_bytes() - before, Smmu::kMaxSilenced * 256 * 64u);
}

TEST_F(Board, NothingBypassesWhileItIsBroughtUp) {
  // Firmware left the SMMU off and bypassing; from init() on it aborts, whatever state it is in.
  EXPECT_TRUE(hw.translate(kNvme.value(), kRam.value(), true).ok);
  start();
  EXPECT_FALSE(hw.translate(kNvme.value(), kRam.value(), true).ok);
  ASSERT_TRUE(smmu.stop());
  EXPECT_FALSE(hw.translate(kNvme.value(), kRam.value(), true).ok);
}

// Covers: S2.9
TEST_F(Board, ArgumentsAreCheckedBeforeAnythingChanges) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  EXPECT_EQ(smmu.attach(kNvme, context(1)).error(), fail(Code::kAlreadyExists, kNvme.value()));
  EXPECT_EQ(smmu.attach(kNic, {Vmid(0), tables[1].root()}).error().code, Code::kOutOfRange);
  EXPECT_EQ(smmu.attach(kNic, {Vmid(2), tables[1].root() + kPageSize}).error().code,
            Code::kMisaligned);
  EXPECT_EQ(smmu.attach(StreamId(0x10000), context(0)).error().code, Code::kOutOfRange);
  EXPECT_EQ(smmu.detach(kNic).error().code, Code::kNotFound);
  EXPECT_EQ(smmu.owner(kNvme), Vmid(1));
  EXPECT_FALSE(smmu.owner(kNic));
}

// Covers: H27 H34 H37
TEST_F(Board, AfterDetachNothingCachedLetsTheDeviceThrough) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(dma_write(kNvme, kGuest, 1));  // entry and translation are cached now
  ASSERT_GT(hw.cached_translations(), 0u);
  ASSERT_TRUE(smmu.detach(kNvme));
  EXPECT_FALSE(dma_write(kNvme, kGuest, 2));
  EXPECT_EQ(byte(kRam), 1);
  EXPECT_EQ(hw.cached_translations(), 0u);
  EXPECT_TRUE(faults().empty());  // quarantine aborts without events
  ASSERT_TRUE(smmu.attach(kNvme, context(1)));
  EXPECT_TRUE(dma_write(kNvme, kGuest, 3));
  EXPECT_EQ(byte(kRam + 64 * kKiB), 3);
}

// Covers: H8
TEST_F(Board, UnmappedMemoryIsOutOfReachWhenUnmapReturns) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(dma_write(kNvme, kGuest, 1));
  ASSERT_TRUE(tables[0].unmap(kGuest, kPageSize));
  EXPECT_FALSE(dma_write(kNvme, kGuest, 2));
  EXPECT_EQ(byte(kRam), 1);
  EXPECT_TRUE(dma_write(kNvme, kGuest + kPageSize, 2));
}

// Covers: H30
TEST_F(Board, TheEntryIsNeverSeenHalfWritten) {
  start();
  std::vector<bool> through;
  hw.before_sync([&] {
    const auto out = hw.translate(kNvme.value(), kGuest.value(), true);
    if (out.ok) EXPECT_EQ(out.pa, kRam.value());
    through.push_back(out.ok);
  });
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  EXPECT_FALSE(through.empty());
  EXPECT_TRUE(dma_write(kNvme, kGuest, 1));
}

// Covers: S0.19 S0.21
TEST_F(Board, TheDoorbellCanBeWrittenAndNotRead) {
  start();
  const Gpa doorbell{0x0809'0000};
  const Hpa page = kRam + 128 * kKiB;
  ASSERT_TRUE(tables[0].map(doorbell, page, kPageSize, mem::Stage2Attributes::doorbell()));
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  EXPECT_TRUE(dma_write(kNvme, doorbell + 0x40, 7));
  EXPECT_EQ(byte(page + 0x40), 7);
  std::array<std::uint8_t, 4> out{};
  EXPECT_FALSE(hw.read(kNvme.value(), doorbell.value(), out));
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].kind, FaultKind::kPermission);
  EXPECT_FALSE(seen[0].write);
}

TEST_F(Board, TheAuditShowsWhatWasAttachedAndNothingElse) {
  struct Visitor final : StreamVisitor {
    void stream(const StreamView& view) override { views.push_back(view); }
    std::vector<StreamView> views;
  } visitor;
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(smmu.block(kNic));
  smmu.audit(visitor);
  ASSERT_EQ(visitor.views.size(), 1u);
  EXPECT_EQ(visitor.views[0].stream, kNvme);
  EXPECT_EQ(visitor.views[0].vmid, Vmid(1));
  EXPECT_EQ(visitor.views[0].root, tables[0].root());
  EXPECT_EQ(visitor.views[0].config, 6);
}

// Covers: H33
TEST_F(Board, ADeadCommandQueueIsAnErrorAndTheStreamStaysShut) {
  start();
  hw.stop_commands(true);
  EXPECT_EQ(smmu.attach(kNvme, context(0)).error().code, Code::kTimeout);
  hw.stop_commands(false);
  EXPECT_FALSE(dma_write(kNvme, kGuest, 1));
}

// Covers: H9
TEST_F(Board, ARefusedCommandIsAnErrorAndTheQueueGoesOn) {
  start();
  hw.reject_next(0x03);
  EXPECT_EQ(smmu.attach(kNvme, context(0)).error().code, Code::kHardwareError);
  EXPECT_FALSE(dma_write(kNvme, kGuest, 1));
  EXPECT_TRUE(smmu.attach(kNic, context(1)));
  EXPECT_TRUE(dma_write(kNic, kGuest, 1));
}

// Covers: H36
TEST_F(Board, ATlbThatCannotBeInvalidatedStopsAllDmaBeforeFramesAreFreed) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(dma_write(kNvme, kGuest, 1));
  hw.stop_commands(true);
  (void)tables[0].unmap(kGuest, kPageSize);
  EXPECT_FALSE(dma_write(kNvme, kGuest, 2)) << "a freed frame is still reachable";
}

// The SMMU refuses the one command that would have made it see that the entry aborts.
// Covers: H59 H27
TEST_F(Board, ADetachThatWasRefused_IsConfirmedBeforeTheTableIsFreed) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(dma_write(kNvme, kGuest, 1));
  hw.reject_next(0x03);
  EXPECT_EQ(smmu.detach(kNvme).error().code, Code::kHardwareError);
  EXPECT_TRUE(dma_write(kNvme, kGuest, 2)) << "the model goes on with the entry that it has cached";
  tables[0].destroy();
  EXPECT_FALSE(dma_write(kNvme, kGuest, 3));
  EXPECT_TRUE(hw.enabled());
  EXPECT_TRUE(smmu.attach(kNic, context(1))) << "and everybody else's DMA goes on";
}

// Covers: H59
TEST_F(Board, ADetachThatIsRefusedAgainAndAgain_StopsAllDmaBeforeTheTableIsFreed) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(dma_write(kNvme, kGuest, 1));
  hw.reject_next(0x03);
  EXPECT_FALSE(smmu.detach(kNvme));
  hw.reject_next(0x03);
  tables[0].destroy();
  EXPECT_FALSE(dma_write(kNvme, kGuest, 2));
  EXPECT_FALSE(hw.enabled());
  EXPECT_NE(log.all.find("stopped"), std::string::npos);
}

// Covers: H59
TEST_F(Board, ADetachThatWasRefused_IsConfirmedByTheNextQuarantine) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(dma_write(kNvme, kGuest, 1));
  hw.reject_next(0x03);
  EXPECT_FALSE(smmu.detach(kNvme));
  ASSERT_TRUE(smmu.block(kNvme));
  EXPECT_FALSE(dma_write(kNvme, kGuest, 2));
  hw.forget_commands();
  tables[0].destroy();
  for (const auto& command : hw.commands()) EXPECT_NE(command[0] & 0xff, 0x03u) << "known already";
}

// IHI 0070, 7.3.13: what a stalled access waits for is nobody's to answer, but it is told apart.
TEST(FaultRecord, SaysWhetherTheAccessStalls) {
  constexpr std::uint64_t kTranslationOf5 = 0x10 | 5ULL << 32;
  EXPECT_FALSE(smmuv3::decode({kTranslationOf5, 0, 0x1000, 0}).stalled);
  EXPECT_TRUE(smmuv3::decode({kTranslationOf5, 1ULL << 31, 0x1000, 0}).stalled);
}

// STE.MEV: what a device does to one page is one event for as long as nobody has taken it.
// Covers: S2.26 H14
TEST_F(Board, FaultsOfOneStreamInOnePage_AreOneEventUntilItIsTaken) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(smmu.attach(kNic, context(1)));
  for (unsigned i = 0; i < 100; ++i) (void)dma_write(kNvme, Gpa(0x1000 + i * 8), 1);
  EXPECT_EQ(hw.events_recorded(), 1u);
  EXPECT_EQ(hw.events_merged(), 99u);
  (void)dma_write(kNvme, Gpa(0x2000), 1);
  (void)dma_write(kNic, Gpa(0x1000), 1);
  EXPECT_EQ(faults().size(), 3u);
  (void)dma_write(kNvme, Gpa(0x1000), 1);
  EXPECT_EQ(faults().size(), 1u);
}

// Covers: H9
TEST_F(Board, AMapThatFailsInItsMiddle_LeavesNothingBehindAndInvalidationsOn) {
  start();
  mem::PagePool few;
  const Hpa pages = kRam + 256 * kKiB;
  ASSERT_TRUE(few.init(memory, pages, 16 * kPageSize));
  mem::Stage2Table table;
  SmmuTlb tlb(smmu, Vmid(3));
  ASSERT_TRUE(table.init(few, memory, tlb));
  ASSERT_TRUE(smmu.attach(kNvme, {Vmid(3), table.root()}));
  const auto ram = mem::Stage2Attributes::dma_ram();
  const std::uint64_t used = few.used_bytes();
  // 4 KiB pages, as guest and machine addresses differ below 2 MiB: a table for each 2 MiB.
  EXPECT_EQ(table.map(kGuest, kRam + kPageSize, 256 * kMiB, ram).error().code, Code::kNoMemory);
  EXPECT_EQ(few.used_bytes(), used);
  for (std::uint64_t at = 0; at < 256 * kMiB; at += kMiB) {
    EXPECT_FALSE(dma_write(kNvme, kGuest + at, 1));
  }
  ASSERT_TRUE(table.map(kGuest, kRam + kPageSize, 16 * kKiB, ram));
  EXPECT_TRUE(dma_write(kNvme, kGuest, 1));
  ASSERT_TRUE(table.unmap(kGuest, kPageSize));
  EXPECT_FALSE(dma_write(kNvme, kGuest, 2));
  EXPECT_TRUE(dma_write(kNvme, kGuest + kPageSize, 2));
  ASSERT_TRUE(smmu.detach(kNvme));
  table.destroy();
  EXPECT_EQ(few.used_bytes(), 0u);
}

// Covers: H35
TEST_F(Board, AMapAskedForAfterItsDomainHasEnded_TakesNothing) {
  start();
  tables[0].destroy();
  const std::uint64_t used = pool.used_bytes();
  const auto ram = mem::Stage2Attributes::dma_ram();
  EXPECT_EQ(tables[0].map(kGuest, kRam, 64 * kKiB, ram).error().code, Code::kBadState);
  EXPECT_EQ(tables[0].unmap(kGuest, 64 * kKiB).error().code, Code::kBadState);
  EXPECT_EQ(pool.used_bytes(), used);
}

// Covers: H14
TEST_F(Board, AFloodOfEventsIsTakenInBoundedPartsAndTheLossIsCounted) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  for (unsigned i = 0; i < 1000; ++i) (void)dma_write(kNvme, Gpa(i * kPageSize), 1);
  EXPECT_GT(hw.events_lost(), 0u);
  unsigned taken = 0;
  for (auto part = faults(); !part.empty(); part = faults()) {
    EXPECT_LE(part.size(), 16u);
    taken += static_cast<unsigned>(part.size());
  }
  EXPECT_EQ(taken, hw.events_recorded());
  EXPECT_GE(smmu.event_overflows(), 1u);
  (void)dma_write(kNvme, Gpa(0), 1);  // the queue works again
  EXPECT_EQ(faults().size(), 1u);
}

/// As the hypervisor answers event interrupts (report.cpp): one look for each, and one more for
/// each look that filled its array.
struct Interrupts {
  explicit Interrupts(Board& of) : board(of) {}
  void serve() {
    std::array<Fault, 4> out;
    while (edges != board.hw.event_interrupts()) {
      ++edges;
      unsigned n = 0;
      do {
        n = board.smmu.take_events(out);
        handled += n;
      } while (n == out.size());
    }
  }
  Board& board;
  unsigned edges = 0;
  unsigned handled = 0;
};

// The SMMU interrupts on the change from empty to not empty alone: an event that comes between our
// look at PROD and our write of CONS makes no edge.
// Covers: H57
TEST_F(Board, AnEventThatComesWhileTheQueueIsDrained_IsTakenWithoutAnInterruptOfItsOwn) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  Interrupts interrupts(*this);
  constexpr std::uint64_t kEventqProd = 0x100a8;
  // How many looks at PROD see an event come right behind them; 4 fill the array of one look.
  for (unsigned late : {1u, 2u, 3u, 4u, 5u, 9u}) {
    const std::uint64_t before = hw.events_recorded();
    unsigned left = late;
    std::function<void()> come = [&] {
      (void)dma_write(kNvme, Gpa(left * kPageSize), 1);
      if (--left != 0) hw.after_read(kEventqProd, come);
    };
    hw.after_read(kEventqProd, come);
    (void)dma_write(kNvme, Gpa(0), 1);
    interrupts.serve();
    EXPECT_EQ(hw.events_recorded() - before, late + 1);
    EXPECT_EQ(interrupts.handled, hw.events_recorded());
  }
  const unsigned edges = hw.event_interrupts();
  (void)dma_write(kNvme, Gpa(0), 1);
  EXPECT_EQ(hw.event_interrupts(), edges + 1) << "nobody hears of any event any more";
}

// Covers: H57
TEST_F(Board, AGlobalErrorThatComesWhileOthersAreAcknowledged_IsFoundByTheNextLook) {
  start();
  constexpr std::uint64_t kGerror = 0x60;
  hw.raise_gerror(1U << 2);
  hw.after_read(kGerror, [&] { hw.raise_gerror(1U << 5); });
  EXPECT_EQ(smmu.handle_gerror(), 1U << 2);
  EXPECT_EQ(smmu.handle_gerror(), 1U << 5);
  EXPECT_EQ(smmu.handle_gerror(), 0u);
  EXPECT_EQ(hw.gerror_interrupts(), 2u);
  EXPECT_TRUE(hw.misuses().empty());
}

// Covers: H14
TEST_F(Board, AFloodOfGlobalErrorsIsAFewLines) {
  start();
  log.all.clear();
  for (unsigned i = 0; i < 10'000; ++i) {
    hw.raise_gerror(1u << 2);
    ASSERT_EQ(smmu.handle_gerror() & 4, 4u);
  }
  const auto lines = std::count(log.all.begin(), log.all.end(), '\n');
  EXPECT_GE(lines, 32);
  EXPECT_LE(lines, 48);
}

TEST_F(Board, GlobalErrorsAreAcknowledgedAndLogged) {
  start();
  hw.raise_gerror(1u << 2);
  EXPECT_EQ(smmu.handle_gerror() & 4, 4u);
  EXPECT_EQ(smmu.handle_gerror(), 0u);
  EXPECT_FALSE(log.all.empty());
  EXPECT_TRUE(hw.misuses().empty());
}

struct OldBoard : Board {
  OldBoard()
      : Board([] {
          sim::SmmuConfig config;
          config.idr0 &= ~1u;  // no stage 2
          return config;
        }()) {}
};

TEST_F(OldBoard, AnSmmuWithoutStageTwoIsRefused) {
  EXPECT_EQ(smmu.init(hw, memory, clock, pool, log).error().code, Code::kUnsupported);
  EXPECT_EQ(smmu.attach(kNvme, {Vmid(1), kBase}).error().code, Code::kBadState);
  EXPECT_FALSE(hw.translate(kNvme.value(), kRam.value(), true).ok);
}

struct AlwaysStalls : Board {
  AlwaysStalls()
      : Board([] {
          sim::SmmuConfig config;
          config.idr0 = (config.idr0 & ~(3U << 24)) | 2U << 24;  // STALL_MODEL
          return config;
        }()) {}
};

// Such an SMMU takes no stream-table entry that lets faults of stage 2 end (STE.S2S).
// Covers: S2.1 H33
TEST_F(AlwaysStalls, AnSmmuWhoseFaultsAllWaitForAnAnswer_IsRefused) {
  EXPECT_EQ(smmu.init(hw, memory, clock, pool, log).error(), fail(Code::kUnsupported, 0));
  EXPECT_FALSE(hw.translate(kNvme.value(), kRam.value(), true).ok);
}

TEST_F(Board, OfAPanicEveryDmaAbortsWithoutTheDriver) {
  start();
  ASSERT_TRUE(smmu.attach(kNvme, context(0)));
  ASSERT_TRUE(dma_write(kNvme, kGuest + 5, 0xaa));
  abort_all_dma(hw);
  EXPECT_FALSE(dma_write(kNvme, kGuest + 5, 0xbb));
  EXPECT_FALSE(dma_write(kNic, kGuest + 5, 0xbb));  // never attached: nothing bypasses either
  EXPECT_FALSE(dma_write(kNic, Gpa(kRam.value()), 0xbb));
  EXPECT_EQ(byte(kRam), 0);
  EXPECT_EQ(byte(kRam + 5), 0xaa);
  abort_all_dma(hw);  // once more changes nothing
  EXPECT_FALSE(dma_write(kNvme, kGuest + 5, 0xbb));
}

}  // namespace
}  // namespace penstock::iommu
