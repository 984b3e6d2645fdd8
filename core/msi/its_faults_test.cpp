// The ITS driver against hardware that lacks something, fails, stalls, dies or lies.
#include <gtest/gtest.h>

#include "core/msi/its.hpp"
#include "core/msi/test_board.hpp"

namespace penstock::msi {
namespace {

constexpr DeviceId kNvme{0x0100};
constexpr DeviceEvents kEvents{.vectors = 8, .first = HostLpi(8192), .stray = HostLpi(8200)};

Code start_code(sim::Its::Options options) {
  TestBoard board(options);
  return board.start().error().code;
}

TEST(ItsStart, RefusesHardwareThatItCannotUse) {
  EXPECT_EQ(start_code({}), Code::kOk);
  EXPECT_EQ(start_code({.physical = false}), Code::kUnsupported);
  EXPECT_EQ(start_code({.collection_bits = 5}), Code::kUnsupported);
  EXPECT_EQ(start_code({.has_collection_table = false}), Code::kUnsupported);
  EXPECT_EQ(start_code({.held_collections = 64, .has_collection_table = false}), Code::kOk);
  EXPECT_EQ(start_code({.never_rests = true}), Code::kTimeout);
}

TEST(ItsStart, TakesOverAnItsThatFirmwareUsed) {
  TestBoard board;
  board.model.set_enabled();
  ASSERT_TRUE(board.start());
  EXPECT_TRUE(board.clean());
}

// Covers: H62 H68
TEST(ItsStart, IdleItsThatFirmwareUsedIsSwitchedOff) {
  TestBoard board;
  board.model.set_enabled();
  ASSERT_TRUE(Its::stop_idle(board.model, board.clock));
  EXPECT_EQ(board.model.read32(0) & 1, 0U);
  TestBoard restless({.never_rests = true});
  EXPECT_EQ(Its::stop_idle(restless.model, restless.clock).error().code, Code::kTimeout);
  sim::Distributor nobody({.revision = 0});
  EXPECT_EQ(Its::stop_idle(nobody, board.clock).error().code, Code::kNotFound);
}

TEST(ItsStart, NothingWorksBeforeInitAndInitWorksOnce) {
  TestBoard board;
  EXPECT_EQ(board.its.map_collection(CpuIndex(0), 0, Hpa(0)).error().code, Code::kBadState);
  EXPECT_EQ(board.its.map_device(kNvme, kEvents, CpuIndex(0)).error().code, Code::kBadState);
  EXPECT_EQ(board.its.unmap_device(kNvme).error().code, Code::kBadState);
  EXPECT_EQ(board.its.configure(HostLpi(8192), true).error().code, Code::kBadState);
  ASSERT_TRUE(board.start());
  EXPECT_EQ(
      board.its
          .init(board.model, Hpa(0), board.memory, board.pool, board.clock, board.log, board.lpis)
          .error()
          .code,
      Code::kBadState);
}

TEST(ItsStart, SaysWhenThePoolIsTooSmall) {
  for (const std::uint64_t kib : {4ULL, 8ULL, 16ULL, 64ULL, 100ULL}) {
    TestBoard board({}, sim::Memory::Coherency::kCoherent, kib * kKiB);
    EXPECT_EQ(board.start().error().code, Code::kNoMemory) << kib;
  }
}

TEST(ItsStart, AFullPoolRefusesADeviceAndHarmsNothing) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  ASSERT_TRUE(board.its.map_device(DeviceId(0x101),
                                   {.vectors = 1, .first = HostLpi(9000), .stray = HostLpi(9001)},
                                   CpuIndex(0)));
  while (board.pool.take(kPageSize)) {
  }
  EXPECT_EQ(board.its.map_device(kNvme, kEvents, CpuIndex(0)).error().code, Code::kNoMemory);
  EXPECT_EQ(board.its.map_device(DeviceId(0x8000), kEvents, CpuIndex(0)).error().code,
            Code::kNoMemory);  // a page of the device table
  EXPECT_EQ(board.its.devices(), 1U);
  EXPECT_TRUE(board.model.message(0x101, 3));
  EXPECT_TRUE(board.clean());
}

// Covers: H31
TEST(ItsDead, AQueueThatStandsStillIsATimeoutOnceAndThenRefusedAtOnce) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  ASSERT_TRUE(board.its.map_device(kNvme, kEvents, CpuIndex(0)));
  board.model.stop_after(0);
  EXPECT_EQ(board.its.map_event(kNvme, EventId(0), CpuIndex(0)).error().code, Code::kTimeout);
  EXPECT_TRUE(board.its.dead());
  const std::uint64_t then = board.clock.peek_ns();
  EXPECT_EQ(board.its.map_events(kNvme, CpuIndex(0)).error().code, Code::kTimeout);
  EXPECT_EQ(board.its.unmap_device(kNvme).error().code, Code::kTimeout);
  EXPECT_EQ(board.its.configure(HostLpi(8200), false).error().code, Code::kTimeout);
  EXPECT_EQ(board.its.map_device(DeviceId(9), kEvents, CpuIndex(0)).error().code, Code::kTimeout);
  EXPECT_EQ(board.clock.peek_ns(), then) << "waited again for what is dead";
}

TEST(ItsDead, ADeviceLostInTheMiddleKeepsItsMemoryAndLpis) {
  for (const unsigned after : {0U, 1U, 5U, 12U, 30U}) {
    TestBoard board;
    ASSERT_TRUE(board.start());
    ASSERT_TRUE(board.its.map_device(kNvme, kEvents, CpuIndex(0)));
    ASSERT_TRUE(board.its.map_events(kNvme, CpuIndex(1)));
    const std::uint64_t used = board.pool.used_bytes();
    board.model.stop_after(after);
    EXPECT_EQ(board.its.unmap_device(kNvme).error().code, Code::kTimeout);
    EXPECT_EQ(board.pool.used_bytes(), used) << "the ITS may still read the table";
    EXPECT_EQ(board.its.lost_devices(), 1U);
    ASSERT_EQ(board.log.all.size(), 1U);
    EXPECT_EQ(board.log.all[0],
              "ITS: lost the interrupts of DeviceID 0x0100: it stopped answering");
  }
}

TEST(ItsDead, AnImpossiblePositionIsNotBelieved) {
  for (const std::uint64_t position : {0xf'ffe0ULL, 0x4000ULL, 0x3000ULL, ~0ULL}) {
    TestBoard board;
    ASSERT_TRUE(board.start());
    board.model.claim_position(position);
    EXPECT_EQ(board.its.map_device(kNvme, kEvents, CpuIndex(0)).error().code, Code::kTimeout)
        << position;
    EXPECT_TRUE(board.its.dead());
  }
}

TEST(ItsSlow, AnItsThatTakesItsTimeIsWaitedFor) {
  TestBoard board({.commands_per_look = 1});
  ASSERT_TRUE(board.start());
  const DeviceEvents most{.vectors = kMaxVectors, .first = HostLpi(10000), .stray = HostLpi(9999)};
  ASSERT_TRUE(board.its.map_device(kNvme, most, CpuIndex(0)));
  ASSERT_TRUE(board.its.map_events(kNvme, CpuIndex(1)));
  ASSERT_TRUE(board.its.unmap_device(kNvme));
  EXPECT_TRUE(board.clean());
  EXPECT_TRUE(board.model.refusals().empty());
}

// Covers: H40
TEST(ItsStall, ARefusalAtAnyVectorUndoesTheWholeBatch) {
  for (unsigned k = 0; k < 17; ++k) {  // 8 times MAPTI and INV, then SYNC
    TestBoard board({.stalls = true});
    ASSERT_TRUE(board.start());
    ASSERT_TRUE(board.its.map_device(kNvme, kEvents, CpuIndex(0)));
    ASSERT_TRUE(board.its.map_event(kNvme, EventId(7), CpuIndex(3)));  // not of the batch
    board.model.refuse_after(k);
    const Status mapped = board.its.map_events(kNvme, CpuIndex(1));
    if (k >= 15) {  // 14 commands and a SYNC: the refusal hits a later call
      EXPECT_TRUE(mapped);
      continue;
    }
    EXPECT_EQ(mapped.error().code, Code::kHardwareError) << k;
    EXPECT_FALSE(board.its.dead());
    for (unsigned n = 0; n < 7; ++n) EXPECT_FALSE(board.model.message(0x100, n)) << k << ' ' << n;
    EXPECT_TRUE(board.model.message(0x100, 7));
    ASSERT_TRUE(board.its.configure(HostLpi(8199), true));
    EXPECT_EQ(board.taken_by(8199), 3U);
    // And nothing stands in the way of the next try.
    ASSERT_TRUE(board.its.map_events(kNvme, CpuIndex(1)));
    for (unsigned n = 0; n < 8; ++n) EXPECT_TRUE(board.model.message(0x100, n));
    ASSERT_TRUE(board.its.unmap_device(kNvme));
    EXPECT_TRUE(board.clean());
  }
}

// Covers: H40
TEST(ItsStall, ARefusalWhileADeviceIsMappedUndoesIt) {
  for (unsigned k = 0; k < 27; ++k) {  // MAPD, 24 strays, INV, SYNC
    TestBoard board({.stalls = true});
    ASSERT_TRUE(board.start());
    ASSERT_TRUE(board.its.map_device(kNvme, kEvents, CpuIndex(0)));  // the table's page is there
    ASSERT_TRUE(board.its.unmap_device(kNvme));
    const std::uint64_t used = board.pool.used_bytes();
    board.model.refuse_after(k);
    EXPECT_EQ(board.its.map_device(kNvme, kEvents, CpuIndex(0)).error().code, Code::kHardwareError)
        << k;
    EXPECT_EQ(board.its.devices(), 0U);
    EXPECT_EQ(board.its.lost_devices(), 0U);
    EXPECT_EQ(board.pool.used_bytes(), used);
    EXPECT_FALSE(board.model.message(0x100, 31));
    EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
    ASSERT_TRUE(board.its.map_device(kNvme, kEvents, CpuIndex(0))) << k;
    EXPECT_TRUE(board.clean());
  }
}

TEST(ItsStall, AnItsThatRefusesEverythingIsDead) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  board.model.refuse_always();
  const std::uint64_t before = board.clock.now_ns();
  EXPECT_EQ(board.its.map_device(kNvme, kEvents, CpuIndex(0)).error().code, Code::kTimeout);
  EXPECT_LT(board.clock.now_ns() - before, kWaitNs) << "known at once, not after a deadline";
  EXPECT_TRUE(board.its.dead());
  EXPECT_EQ(board.its.lost_devices(), 1U);
}

TEST(ItsStall, ARefusedCollectionIsNoTarget) {
  TestBoard board;
  ASSERT_TRUE(board.start_cpus());
  ASSERT_TRUE(board.its.init(board.model, Hpa(0x808'0000), board.memory, board.pool, board.clock,
                             board.log, board.lpis));
  board.model.refuse_after(0);
  EXPECT_FALSE(board.map_cpu(0));
  EXPECT_EQ(board.its.map_device(kNvme, kEvents, CpuIndex(0)).error().code, Code::kNotFound);
}

TEST(ItsStall, AfterARefusalOurStateIsTheHardwares) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  ASSERT_TRUE(board.its.map_device(kNvme, kEvents, CpuIndex(0)));
  ASSERT_TRUE(board.its.map_events(kNvme, CpuIndex(1)));
  ASSERT_TRUE(board.its.configure(HostLpi(8194), true));
  board.model.refuse_after(0);
  EXPECT_EQ(board.its.move_event(kNvme, EventId(2), CpuIndex(2)).error().code,
            Code::kHardwareError);
  ASSERT_TRUE(board.model.message(0x100, 2));
  EXPECT_EQ(board.taken_by(8194), 1U);
  ASSERT_TRUE(board.its.move_event(kNvme, EventId(2), CpuIndex(2)));
  board.model.refuse_after(0);
  EXPECT_EQ(board.its.discard_event(kNvme, EventId(2)).error().code, Code::kHardwareError);
  ASSERT_TRUE(board.model.message(0x100, 2));
  EXPECT_EQ(board.taken_by(8194), 2U);
  ASSERT_TRUE(board.its.discard_event(kNvme, EventId(2)));
  EXPECT_FALSE(board.model.message(0x100, 2));
}

TEST(ItsStall, ADeviceThatWouldNotGoWhollyIsLostButSilent) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  ASSERT_TRUE(board.its.map_device(kNvme, kEvents, CpuIndex(0)));
  ASSERT_TRUE(board.its.map_events(kNvme, CpuIndex(0)));
  board.model.refuse_after(3);  // a DISCARD
  EXPECT_EQ(board.its.unmap_device(kNvme).error().code, Code::kHardwareError);
  EXPECT_FALSE(board.its.dead());
  EXPECT_EQ(board.its.lost_devices(), 1U);
  for (unsigned n = 0; n < 32; ++n) EXPECT_FALSE(board.model.message(0x100, n));
  EXPECT_EQ(board.its
                .map_device(kNvme, {.vectors = 1, .first = HostLpi(9000), .stray = HostLpi(9001)},
                            CpuIndex(0))
                .error()
                .code,
            Code::kAlreadyExists);
  EXPECT_EQ(board.its.map_device(DeviceId(5), kEvents, CpuIndex(0)).error().code,
            Code::kAlreadyExists);  // its LPIs
  EXPECT_EQ(board.its.configure(HostLpi(8192), true).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace penstock::msi
