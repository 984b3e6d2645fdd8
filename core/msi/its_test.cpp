// The ITS driver against the simulated ITS: what messages do after each operation. Failing
// hardware: its_faults_test.cpp.
#include "core/msi/its.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/hw/gic/cpu_interface.hpp"
#include "core/msi/test_board.hpp"

namespace penstock::msi {
namespace {

constexpr DeviceId kNvme{0x0100};
constexpr DeviceId kIgb{0x0200};
constexpr DeviceEvents kNvmeEvents{.vectors = 5, .first = HostLpi(8192), .stray = HostLpi(8197)};
constexpr DeviceEvents kIgbEvents{.vectors = 10, .first = HostLpi(8200), .stray = HostLpi(8199)};

struct ItsTest : testing::Test {
  ItsTest() { EXPECT_TRUE(board.start()); }
  ~ItsTest() override {
    EXPECT_TRUE(board.clean()) << (board.model.violations().empty()
                                       ? "a CPU or the distributor"
                                       : board.model.violations().front());
    EXPECT_TRUE(board.model.refusals().empty()) << board.model.refusals().front().reason;
    EXPECT_EQ(board.pool.bad_returns(), 0U);
  }
  /// Maps a device with all its vectors on `cpu` and enabled.
  void use(DeviceId device, const DeviceEvents& events, std::uint8_t cpu) {
    ASSERT_TRUE(board.its.map_device(device, events, CpuIndex(cpu)));
    ASSERT_TRUE(board.its.map_events(device, CpuIndex(cpu)));
    for (unsigned n = 0; n < events.vectors; ++n) {
      ASSERT_TRUE(board.its.configure(HostLpi(events.first.value() + n), true));
    }
  }
  bool send(DeviceId device, std::uint32_t event) {
    return board.model.message(device.value(), event);
  }
  TestBoard board;
};

// Covers: S0.7 S0.14
TEST_F(ItsTest, AMessageBecomesTheLpiOfItsDeviceAndEvent) {
  use(kNvme, kNvmeEvents, 1);
  use(kIgb, kIgbEvents, 2);
  EXPECT_EQ(board.its.doorbell_address(), board.model.doorbell());
  EXPECT_EQ(board.its.doorbell_page(), Hpa(0x809'0000));
  for (std::uint32_t n = 0; n < 5; ++n) {
    ASSERT_TRUE(send(kNvme, n));
    EXPECT_EQ(board.taken_by(8192 + n), 1U);
  }
  // The same event of two devices: two interrupts.
  ASSERT_TRUE(send(kNvme, 3) && send(kIgb, 3));
  EXPECT_EQ(board.cpus[1].acknowledge(), 8195U);
  EXPECT_EQ(board.cpus[2].acknowledge(), 8203U);
  EXPECT_EQ(board.cpus[1].acknowledge(), std::nullopt);
  EXPECT_EQ(board.cpus[2].acknowledge(), std::nullopt);
}

// Covers: S0.16
TEST_F(ItsTest, NoEventIsLostWhileAnotherIsHandled) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(send(kNvme, 0) && send(kNvme, 1));
  EXPECT_EQ(board.cpus[0].acknowledge(), 8192U);
  ASSERT_TRUE(send(kNvme, 0) && send(kNvme, 2));  // the first again, before it is done
  std::vector<std::uint32_t> rest;
  while (const auto lpi = board.cpus[0].acknowledge()) rest.push_back(*lpi);
  EXPECT_EQ(rest, (std::vector<std::uint32_t>{8192, 8193, 8194}));
}

// Covers: H5 H3 S0.14
TEST_F(ItsTest, AForeignEventIsSeenAsTheSendersOwn) {
  use(kNvme, kNvmeEvents, 1);
  use(kIgb, kIgbEvents, 2);
  // What igb may write: every EventID of its table. What is no vector of its own is its stray LPI.
  for (std::uint32_t event = 0; event < 32; ++event) {
    ASSERT_TRUE(send(kIgb, event));
    const auto lpi = board.cpus[2].acknowledge();
    EXPECT_EQ(lpi, event < 10 ? 8200 + event : 8199U) << event;
  }
  EXPECT_FALSE(send(kIgb, 32));        // beyond the table
  EXPECT_FALSE(send(kIgb, 8195));      // an LPI's number is not an event
  EXPECT_FALSE(send(DeviceId(1), 0));  // nobody's DeviceID
  for (const auto& cpu : board.cpus) EXPECT_EQ(cpu.dropped(), 0U);
  EXPECT_TRUE(board.cpus[1].taken().empty());
}

TEST_F(ItsTest, TheTableAlwaysHasAStrayEvent) {
  const DeviceEvents many{.vectors = 32, .first = HostLpi(9000), .stray = HostLpi(8999)};
  ASSERT_TRUE(board.its.map_device(kNvme, many, CpuIndex(0)));
  EXPECT_TRUE(send(kNvme, 32) && send(kNvme, 63));
  EXPECT_FALSE(send(kNvme, 64));
  EXPECT_EQ(board.cpus[0].acknowledge(), 8999U);
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);  // merged
}

TEST_F(ItsTest, TheLargestDeviceWrapsTheQueueAndFits) {
  const DeviceEvents most{.vectors = kMaxVectors, .first = HostLpi(10000), .stray = HostLpi(9999)};
  for (unsigned round = 0; round < 3; ++round) {
    use(kIgb, most, 3);
    ASSERT_TRUE(send(kIgb, 0) && send(kIgb, 2047) && send(kIgb, 2048) && send(kIgb, 4095));
    EXPECT_EQ(board.cpus[3].acknowledge(), 9999U);
    EXPECT_EQ(board.cpus[3].acknowledge(), 10000U);
    EXPECT_EQ(board.cpus[3].acknowledge(), 12047U);
    ASSERT_TRUE(board.its.unmap_device(kIgb));
  }
  EXPECT_GT(board.model.opcodes().size(), 3U * 4096);  // many times round the ring
}

// Covers: H31
TEST_F(ItsTest, MoveTakesThePendingStateAlong) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(send(kNvme, 2));
  ASSERT_TRUE(board.its.move_event(kNvme, EventId(2), CpuIndex(3)));
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
  EXPECT_EQ(board.cpus[3].acknowledge(), 8194U);
  ASSERT_TRUE(send(kNvme, 2));
  EXPECT_EQ(board.taken_by(8194), 3U);
  ASSERT_TRUE(send(kNvme, 1));
  EXPECT_EQ(board.taken_by(8193), 0U);  // the others stay
  const std::size_t before = board.model.opcodes().size();
  ASSERT_TRUE(board.its.move_event(kNvme, EventId(2), CpuIndex(3)));  // where it is: nothing to do
  EXPECT_EQ(board.model.opcodes().size(), before);
  EXPECT_EQ(board.its.move_event(kNvme, EventId(2), CpuIndex(4)).error(),
            (Error{Code::kNotFound, 4}));
  EXPECT_EQ(board.its.move_event(kNvme, EventId(2), CpuIndex(255)).error().code, Code::kNotFound);
}

TEST_F(ItsTest, DiscardForgetsWhatIsPendingAndTheEventCanBeMappedAgain) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(send(kNvme, 4));
  ASSERT_TRUE(board.its.discard_event(kNvme, EventId(4)));
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
  EXPECT_FALSE(send(kNvme, 4));
  EXPECT_EQ(board.its.discard_event(kNvme, EventId(4)).error(), (Error{Code::kNotFound, 4}));
  EXPECT_EQ(board.its.move_event(kNvme, EventId(4), CpuIndex(1)).error().code, Code::kNotFound);
  EXPECT_EQ(board.its.clear_event(kNvme, EventId(4)).error().code, Code::kNotFound);
  ASSERT_TRUE(board.its.map_event(kNvme, EventId(4), CpuIndex(2)));
  ASSERT_TRUE(send(kNvme, 4));
  EXPECT_EQ(board.taken_by(8196), 2U);
}

TEST_F(ItsTest, ClearForgetsWhatIsPending) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(send(kNvme, 0) && send(kNvme, 1));
  ASSERT_TRUE(board.its.clear_event(kNvme, EventId(0)));
  EXPECT_EQ(board.cpus[0].acknowledge(), 8193U);
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
}

// Covers: H19 H4
TEST_F(ItsTest, DoubleMappingIsRefused) {
  use(kNvme, kNvmeEvents, 0);
  const std::size_t commands = board.model.opcodes().size();
  EXPECT_EQ(board.its.map_device(kNvme, kIgbEvents, CpuIndex(0)).error(),
            (Error{Code::kAlreadyExists, kNvme.value()}));
  EXPECT_EQ(board.its.map_event(kNvme, EventId(0), CpuIndex(0)).error(),
            (Error{Code::kAlreadyExists, 0}));
  EXPECT_TRUE(board.its.map_events(kNvme, CpuIndex(1)));  // nothing left to map
  EXPECT_EQ(board.its.unmap_device(kIgb).error(), (Error{Code::kNotFound, kIgb.value()}));
  EXPECT_EQ(board.its.map_collection(CpuIndex(0), 7, Hpa(0)).error().code, Code::kAlreadyExists);
  EXPECT_LE(board.model.opcodes().size(), commands + 1);  // no MAPTI, MAPD or MAPC among them
}

// Covers: H3 H4 S0.14
TEST_F(ItsTest, NoLpiServesTwoDevices) {
  use(kNvme, kNvmeEvents, 0);
  const auto error = [this](std::uint32_t first, unsigned vectors, std::uint32_t stray) {
    const DeviceEvents events{.vectors = vectors, .first = HostLpi(first), .stray = HostLpi(stray)};
    return board.its.map_device(kIgb, events, CpuIndex(0)).error();
  };
  EXPECT_EQ(error(8196, 4, 9000), (Error{Code::kAlreadyExists, 8196}));
  EXPECT_EQ(error(8197, 4, 9000), (Error{Code::kAlreadyExists, 8197}));  // nvme's stray
  EXPECT_EQ(error(8300, 4, 8192), (Error{Code::kAlreadyExists, 8192}));
  EXPECT_EQ(error(8300, 4, 8301), (Error{Code::kOutOfRange, 8301}));  // inside its own block
  EXPECT_EQ(board.its.devices(), 1U);
  EXPECT_EQ(error(8300, 4, 8304).code, Code::kOk);
}

// Covers: H1
TEST_F(ItsTest, NumbersOutOfRangeAreRefusedBeforeAnyCommand) {
  const std::size_t before = board.model.opcodes().size();
  const auto error = [this](std::uint32_t device, std::uint32_t first, unsigned vectors,
                            std::uint32_t stray, std::uint8_t cpu = 0) {
    const DeviceEvents events{.vectors = vectors, .first = HostLpi(first), .stray = HostLpi(stray)};
    return board.its.map_device(DeviceId(device), events, CpuIndex(cpu)).error().code;
  };
  EXPECT_EQ(error(0x1'0000, 8192, 1, 8200), Code::kOutOfRange);
  EXPECT_EQ(error(~0U, 8192, 1, 8200), Code::kOutOfRange);
  EXPECT_EQ(error(1, 8191, 1, 8200), Code::kOutOfRange);
  EXPECT_EQ(error(1, 0, 1, 8200), Code::kOutOfRange);
  EXPECT_EQ(error(1, 16383, 2, 8200), Code::kOutOfRange);
  EXPECT_EQ(error(1, ~0U, 2, 8200), Code::kOutOfRange);
  EXPECT_EQ(error(1, 8192, 0, 8200), Code::kOutOfRange);
  EXPECT_EQ(error(1, 8192, 2049, 16000), Code::kOutOfRange);
  EXPECT_EQ(error(1, 8192, 1, 16384), Code::kOutOfRange);
  EXPECT_EQ(error(1, 8192, 1, 32), Code::kOutOfRange);
  EXPECT_EQ(error(1, 8192, 1, 8200, 4), Code::kNotFound);
  EXPECT_EQ(error(1, 8192, 1, 8200, 255), Code::kNotFound);
  EXPECT_EQ(board.its.map_collection(CpuIndex(kMaxCpus), 0, Hpa(0)).error().code,
            Code::kOutOfRange);
  EXPECT_EQ(board.its.map_event(kNvme, EventId(0), CpuIndex(0)).error().code, Code::kNotFound);
  EXPECT_EQ(board.its.configure(HostLpi(8192), true).error().code, Code::kNotFound);
  EXPECT_EQ(board.its.configure(HostLpi(0), true).error().code, Code::kNotFound);
  EXPECT_EQ(board.its.configure(HostLpi(~0U), true).error().code, Code::kNotFound);
  EXPECT_EQ(board.model.opcodes().size(), before);
  ASSERT_TRUE(board.its.map_device(kNvme, kNvmeEvents, CpuIndex(0)));
  EXPECT_EQ(board.its.map_event(kNvme, EventId(5), CpuIndex(0)).error(),
            (Error{Code::kOutOfRange, 5}));  // a stray event
  EXPECT_EQ(board.its.discard_event(kNvme, EventId(5)).error().code, Code::kNotFound);
  EXPECT_EQ(board.its.map_event(kNvme, EventId(~0U), CpuIndex(0)).error().code, Code::kOutOfRange);
  EXPECT_EQ(board.its.map_event(kNvme, EventId(0), CpuIndex(9)).error().code, Code::kNotFound);
}

TEST_F(ItsTest, ConfigurationIsFollowedAtOnce) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(send(kNvme, 0));  // from here on its configuration is cached
  EXPECT_EQ(board.cpus[0].acknowledge(), 8192U);
  ASSERT_TRUE(board.its.configure(HostLpi(8192), false));
  ASSERT_TRUE(send(kNvme, 0));
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
  ASSERT_TRUE(board.its.configure(HostLpi(8192), true));  // pending while off is not lost
  EXPECT_EQ(board.cpus[0].acknowledge(), 8192U);
  ASSERT_TRUE(board.its.configure(HostLpi(8196), true, 0x20));
  ASSERT_TRUE(send(kNvme, 1) && send(kNvme, 4));
  EXPECT_EQ(board.cpus[0].acknowledge(), 8196U);  // more urgent
  EXPECT_EQ(board.cpus[0].acknowledge(), 8193U);
}

TEST_F(ItsTest, ByteInMemoryAloneChangesNothing) {
  // The model caches: this is what configure() is for.
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(send(kNvme, 0));
  board.lpis.configure(HostLpi(8192), false, kPriority);
  EXPECT_EQ(board.cpus[0].acknowledge(), 8192U);
}

TEST_F(ItsTest, AStormOfStraysCanBeTurnedOff) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(board.its.configure(kNvmeEvents.stray, false));
  ASSERT_TRUE(send(kNvme, 20));
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
}

TEST_F(ItsTest, VectorsAreSilentUntilEnabled) {
  ASSERT_TRUE(board.its.map_device(kNvme, kNvmeEvents, CpuIndex(0)));
  EXPECT_FALSE(send(kNvme, 0));                           // not mapped
  ASSERT_TRUE(board.its.configure(HostLpi(8193), true));  // before it is mapped
  ASSERT_TRUE(board.its.map_events(kNvme, CpuIndex(0)));
  ASSERT_TRUE(send(kNvme, 0) && send(kNvme, 1));
  EXPECT_EQ(board.cpus[0].acknowledge(), 8193U);
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
}

TEST_F(ItsTest, WhatChangedWhileAnEventWasUnmappedCountsOnceItIsMapped) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(send(kNvme, 0));  // cached as enabled from here on
  EXPECT_EQ(board.cpus[0].acknowledge(), 8192U);
  ASSERT_TRUE(board.its.discard_event(kNvme, EventId(0)));
  ASSERT_TRUE(board.its.configure(HostLpi(8192), false));
  ASSERT_TRUE(board.its.map_event(kNvme, EventId(0), CpuIndex(0)));
  ASSERT_TRUE(send(kNvme, 0));
  EXPECT_EQ(board.cpus[0].acknowledge(), std::nullopt);
}

// Covers: H32 H49
TEST_F(ItsTest, UnmappingADeviceLeavesNothingPendingAndTheOthersAlone) {
  use(kNvme, kNvmeEvents, 1);
  use(kIgb, kIgbEvents, 1);
  ASSERT_TRUE(board.its.move_event(kNvme, EventId(1), CpuIndex(2)));
  for (std::uint32_t n = 0; n < 32; ++n) ASSERT_TRUE(send(kNvme, n));
  ASSERT_TRUE(send(kIgb, 0));
  ASSERT_TRUE(board.its.unmap_device(kNvme));
  EXPECT_EQ(board.cpus[1].acknowledge(), 8200U);
  for (auto& cpu : board.cpus) EXPECT_EQ(cpu.acknowledge(), std::nullopt);
  EXPECT_FALSE(send(kNvme, 0) || send(kNvme, 20));
  ASSERT_TRUE(send(kIgb, 9));
  EXPECT_EQ(board.taken_by(8209), 1U);

  // The same LPIs in another device's life: off until that one turns them on.
  ASSERT_TRUE(board.its.map_device(DeviceId(3), kNvmeEvents, CpuIndex(0)));
  ASSERT_TRUE(board.its.map_events(DeviceId(3), CpuIndex(1)));
  ASSERT_TRUE(send(DeviceId(3), 0));
  EXPECT_EQ(board.cpus[1].acknowledge(), std::nullopt);
}

// Covers: H3
TEST_F(ItsTest, ADeviceBetweenOthersComesAndGoesWithoutTouchingTheirEvents) {
  constexpr DeviceId kAfter{0x0300};
  const DeviceEvents between{.vectors = 5, .first = HostLpi(8198), .stray = HostLpi(8300)};
  const DeviceEvents after{.vectors = 5, .first = HostLpi(8203), .stray = HostLpi(8301)};
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(board.its.map_device(kAfter, after, CpuIndex(1)));
  use(kIgb, between, 2);
  EXPECT_FALSE(send(kAfter, 0)) << "nobody has mapped it";
  ASSERT_TRUE(board.its.map_event(kAfter, EventId(0), CpuIndex(1)));
  ASSERT_TRUE(board.its.unmap_device(kIgb));
  for (std::uint32_t n = 0; n < 5; ++n) {
    EXPECT_TRUE(board.its.move_event(kNvme, EventId(n), CpuIndex(3))) << n;
  }
  EXPECT_TRUE(board.its.move_event(kAfter, EventId(0), CpuIndex(3)));
}

TEST_F(ItsTest, ComingAndGoingCostsNoMemory) {
  use(kNvme, kNvmeEvents, 0);
  ASSERT_TRUE(board.its.unmap_device(kNvme));
  const std::uint64_t used = board.pool.used_bytes();  // the device table's page stays
  for (unsigned i = 0; i < 100; ++i) {
    use(kNvme, kNvmeEvents, static_cast<std::uint8_t>(i % 4));
    ASSERT_TRUE(board.its.unmap_device(kNvme));
  }
  EXPECT_EQ(board.pool.used_bytes(), used);
}

TEST_F(ItsTest, ThePoolOfDevicesHasAnEnd) {
  const auto map = [this](unsigned i) {
    const DeviceEvents events{
        .vectors = 1, .first = HostLpi(9000 + 2 * i), .stray = HostLpi(9001 + 2 * i)};
    return board.its.map_device(DeviceId(i), events, CpuIndex(0));
  };
  for (unsigned i = 0; i < kMaxDevices; ++i) ASSERT_TRUE(map(i)) << i;
  EXPECT_EQ(map(kMaxDevices).error(), (Error{Code::kTableFull, kMaxDevices}));
  ASSERT_TRUE(board.its.unmap_device(DeviceId(5)));
  EXPECT_TRUE(map(kMaxDevices));
}

TEST(ItsMemory, DeviceTablesInBothForms) {
  for (const bool two_levels : {true, false}) {
    for (const unsigned page_sizes : {0b111U, 0b110U, 0b100U}) {
      TestBoard board({.two_levels = two_levels, .page_sizes = page_sizes});
      ASSERT_TRUE(board.start());
      EXPECT_EQ((board.model.table_register(0) >> 62 & 1) != 0, two_levels);
      std::uint32_t lpi = 8192;
      for (const std::uint32_t id : {0U, 511U, 512U, 0x8000U, 0xffffU}) {
        const DeviceEvents events{.vectors = 1, .first = HostLpi(lpi), .stray = HostLpi(lpi + 1)};
        ASSERT_TRUE(board.its.map_device(DeviceId(id), events, CpuIndex(0))) << id;
        EXPECT_TRUE(board.model.message(id, 1));
        EXPECT_EQ(board.taken_by(lpi + 1), 0U);
        lpi += 2;
      }
      EXPECT_TRUE(board.clean());
    }
  }
}

TEST(ItsMemory, OddEntrySizesAndHeldCollections) {
  TestBoard board({.itt_entry_bytes = 16,
                   .device_entry_bytes = 12,
                   .collection_entry_bytes = 16,
                   .held_collections = 2});
  ASSERT_TRUE(board.start());
  const DeviceEvents events{.vectors = 3, .first = HostLpi(8192), .stray = HostLpi(8195)};
  for (std::uint8_t cpu = 0; cpu < 4; ++cpu) {
    ASSERT_TRUE(board.its.map_device(DeviceId(4000), events, CpuIndex(cpu)));
    ASSERT_TRUE(board.model.message(4000, 7));
    EXPECT_EQ(board.taken_by(8195), cpu);
    ASSERT_TRUE(board.its.unmap_device(DeviceId(4000)));
  }
  EXPECT_TRUE(board.clean());
}

TEST(ItsMemory, CollectionEntriesOfOneByte) {
  TestBoard board({.collection_entry_bytes = 1});
  EXPECT_TRUE(board.start());
}

TEST(ItsMemory, ATableTooSmallForAllDeviceIdsRefusesTheRest) {
  TestBoard board({.device_bits = 20, .two_levels = false});
  ASSERT_TRUE(board.start());
  EXPECT_LE(board.pool.used_bytes(), 700 * kKiB);
  const DeviceEvents events{.vectors = 1, .first = HostLpi(8192), .stray = HostLpi(8193)};
  EXPECT_EQ(board.its.map_device(DeviceId(0x1'0000), events, CpuIndex(0)).error().code,
            Code::kOutOfRange);
  EXPECT_TRUE(board.its.map_device(DeviceId(0xffff), events, CpuIndex(0)));
}

TEST(ItsMemory, AnItsThatWantsAddressesOrDoesNotSnoop) {
  for (const bool pta : {false, true}) {
    for (const bool shareable : {false, true}) {
      TestBoard board({.pta = pta, .shareable = shareable});
      ASSERT_TRUE(board.start());
      ASSERT_TRUE(board.its.map_device(kNvme, kNvmeEvents, CpuIndex(3)));
      ASSERT_TRUE(board.model.message(kNvme.value(), 31));
      EXPECT_EQ(board.taken_by(8197), 3U);
      EXPECT_TRUE(board.clean());
    }
  }
}

TEST(ItsMemory, TheWholeBootCostsLittle) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  // configuration 8 KiB, pending 4 CPUs x 4 KiB, queue 16 KiB, device table level 1 and collections
  // 4 KiB each
  EXPECT_EQ(board.pool.used_bytes(), (8 + 16 + 16 + 4 + 4) * kKiB);
}

// Golden vectors, by hand from IHI 0069 H, 5.3.
TEST(ItsCommands, AreEncodedAsTheManualHasThem) {
  using its_commands::Words;
  namespace cmd = its_commands;
  constexpr DeviceId device{0xabcd};
  constexpr EventId event{0x12};
  EXPECT_EQ(cmd::map_device(device, Hpa(0x8'1234'5600), 5),
            (Words{0x0000'abcd'0000'0008, 4, 0x8000'0008'1234'5600, 0}));
  EXPECT_EQ(cmd::unmap_device(device), (Words{0x0000'abcd'0000'0008, 0, 0, 0}));
  EXPECT_EQ(cmd::map_collection(3, 7), (Words{0x09, 0, 0x8000'0000'0007'0003, 0}));
  EXPECT_EQ(cmd::map_event(device, event, HostLpi(0x2001), 3),
            (Words{0x0000'abcd'0000'000a, 0x0000'2001'0000'0012, 3, 0}));
  EXPECT_EQ(cmd::move_event(device, event, 2), (Words{0x0000'abcd'0000'0001, 0x12, 2, 0}));
  EXPECT_EQ(cmd::discard(device, event), (Words{0x0000'abcd'0000'000f, 0x12, 0, 0}));
  EXPECT_EQ(cmd::clear(device, event), (Words{0x0000'abcd'0000'0004, 0x12, 0, 0}));
  EXPECT_EQ(cmd::invalidate(device, event), (Words{0x0000'abcd'0000'000c, 0x12, 0, 0}));
  EXPECT_EQ(cmd::invalidate_all(5), (Words{0x0d, 0, 5, 0}));
  EXPECT_EQ(cmd::sync(0x80a2), (Words{0x05, 0, 0x80a2'0000, 0}));
}

TEST(ItsCommands, RegisterValuesOfAKnownBoard) {
  namespace gits = hw::gic::gits;
  constexpr std::uint64_t typer = 0x1f'0001'efb1;  // QEMU virt
  EXPECT_EQ(get<gits::IttEntrySize>(typer), 11U);
  EXPECT_EQ(get<gits::IdBits>(typer), 15U);
  EXPECT_EQ(get<gits::DevBits>(typer), 15U);
  EXPECT_EQ(get<gits::Pta>(typer), 0U);
  EXPECT_EQ(get<gits::Cil>(typer), 1U);
  EXPECT_EQ(get<gits::CidBits>(typer), 15U);
}

TEST(CpuInterface, ListRegisterAndSgiLayouts) {
  namespace lr = hw::gic::ich_lr;
  std::uint64_t word = with<lr::VINTID>(0, 8193);
  word = with<lr::Priority>(word, 0xa0);
  word = with<lr::Group>(word, 1);
  word = with<lr::StateField>(word, lr::State::kPending);
  EXPECT_EQ(word, 0x50a0'0000'0000'2001U);
  EXPECT_EQ(with<lr::PINTID>(with<lr::HW>(0, 1), 27), 0x2000'001b'0000'0000U);
  EXPECT_EQ(lr::EOI::kMask, 1ULL << 41);
  namespace sgi = hw::gic::icc_sgi1r;
  constexpr std::uint64_t value = 0x0001'0002'0503'8001;  // Aff3 1, Aff2 2, SGI 5, Aff1 3, list
  EXPECT_EQ(get<sgi::TargetList>(value), 0x8001U);
  EXPECT_EQ(get<sgi::INTID>(value), 5U);
  EXPECT_EQ(get<sgi::Aff1>(value), 3U);
  EXPECT_EQ(get<sgi::Aff2>(value), 2U);
  EXPECT_EQ(get<sgi::Aff3>(value), 1U);
  EXPECT_EQ(get<sgi::IRM>(value), 0U);
}

}  // namespace
}  // namespace penstock::msi
