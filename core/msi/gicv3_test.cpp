#include "core/msi/gicv3.hpp"

#include <gtest/gtest.h>

#include "core/msi/test_board.hpp"
#include "sim/its/distributor.hpp"
#include "sim/its/redistributor.hpp"

namespace penstock::msi {
namespace {

constexpr std::uint64_t kBootMpidr = 0x80'8001'0203;  // Aff3 0x80, RES1, Aff2.1.0 1.2.3
constexpr std::uint64_t kBootRoute = 0x80'0001'0203;

TEST(Gicv3, TakesTheDistributorOverWhateverFirmwareLeft) {
  sim::Distributor hardware;
  hardware.set_control(0x13);  // both groups and affinity routing on
  for (unsigned i = 32; i < 288; ++i) {
    hardware.interrupt(i) = {
        .group1 = false, .enabled = true, .pending = true, .active = true, .edge = true};
  }
  sim::Clock clock;
  Gicv3 gic;
  ASSERT_TRUE(gic.init(hardware, kBootMpidr, clock));
  EXPECT_EQ(gic.spi_end(), 288U);
  EXPECT_EQ(hardware.control(), 0x12U);
  for (unsigned i = 32; i < 288; ++i) {
    const auto& spi = hardware.interrupt(i);
    EXPECT_TRUE(spi.group1 && !spi.enabled && !spi.pending && !spi.active && !spi.edge) << i;
    EXPECT_EQ(spi.priority, 0xa0);
    EXPECT_EQ(spi.route, kBootRoute);
  }
  EXPECT_TRUE(hardware.violations().empty()) << hardware.violations().front();
}

TEST(Gicv3, SwitchesAffinityRoutingOnOnlyWithGroupsOff) {
  sim::Distributor hardware;
  hardware.set_control(0x3);
  sim::Clock clock;
  Gicv3 gic;
  ASSERT_TRUE(gic.init(hardware, 0, clock));
  EXPECT_EQ(hardware.control(), 0x12U);
  EXPECT_TRUE(hardware.violations().empty());
}

TEST(Gicv3, RefusesWhatItCannotUse) {
  sim::Clock clock;
  const auto code = [&clock](sim::Distributor::Options options) {
    sim::Distributor hardware(options);
    Gicv3 gic;
    return gic.init(hardware, 0, clock).error().code;
  };
  EXPECT_EQ(code({.revision = 2}), Code::kUnsupported);
  EXPECT_EQ(code({.has_lpis = false}), Code::kUnsupported);
  EXPECT_EQ(code({.intid_bits = 13}), Code::kUnsupported);
  EXPECT_EQ(code({.lpi_count_code = 11}), Code::kUnsupported);  // 4096 LPIs
  EXPECT_EQ(code({.lpi_count_code = 12}), Code::kOk);           // 8192
  EXPECT_EQ(code({.intid_bits = 14}), Code::kOk);
  EXPECT_EQ(code({.can_route = false}), Code::kUnsupported);
  EXPECT_EQ(code({.revision = 4}), Code::kOk);
}

// Covers: H31
TEST(Gicv3, ADistributorThatStaysBusyIsATimeout) {
  sim::Distributor hardware({.stuck = true});
  sim::Clock clock;
  Gicv3 gic;
  EXPECT_EQ(gic.init(hardware, 0, clock).error().code, Code::kTimeout);
}

TEST(Gicv3, SpisAreConfiguredWhileDisabled) {
  sim::Distributor hardware;
  sim::Clock clock;
  Gicv3 gic;
  ASSERT_TRUE(gic.init(hardware, 0, clock));
  ASSERT_TRUE(gic.enable_spi(77, 0x100, true));
  EXPECT_TRUE(hardware.interrupt(77).enabled && hardware.interrupt(77).edge);
  EXPECT_EQ(hardware.interrupt(77).route, 0x100U);
  ASSERT_TRUE(gic.enable_spi(77, 0x1, false));  // again, otherwise
  EXPECT_TRUE(hardware.interrupt(77).enabled && !hardware.interrupt(77).edge);
  EXPECT_FALSE(hardware.interrupt(76).enabled || hardware.interrupt(78).enabled);
  ASSERT_TRUE(gic.disable_spi(77));
  EXPECT_FALSE(hardware.interrupt(77).enabled);
  EXPECT_TRUE(hardware.violations().empty()) << hardware.violations().front();
}

// Covers: H1
TEST(Gicv3, ASpiThatMovesKeepsItsConfiguration) {
  sim::Distributor hardware;
  sim::Clock clock;
  Gicv3 gic;
  ASSERT_TRUE(gic.init(hardware, 0, clock));
  ASSERT_TRUE(gic.enable_spi(77, 0x100, true));
  ASSERT_TRUE(gic.move_spi(77, 0x1));
  EXPECT_TRUE(hardware.interrupt(77).enabled && hardware.interrupt(77).edge);
  EXPECT_EQ(hardware.interrupt(77).route, 0x1U);
  EXPECT_TRUE(hardware.violations().empty()) << hardware.violations().front();
  EXPECT_EQ(gic.move_spi(31, 0x1).error().code, Code::kOutOfRange);
}

TEST(Gicv3, AnIntidThatIsNoSpiIsRefused) {
  sim::Distributor hardware({.lines = 64});
  sim::Clock clock;
  Gicv3 gic;
  EXPECT_EQ(gic.enable_spi(32, 0, true).error().code, Code::kOutOfRange);  // before init()
  ASSERT_TRUE(gic.init(hardware, 0, clock));
  for (const unsigned intid : {0U, 16U, 31U, 64U, 1020U, 1023U, 8192U, ~0U}) {
    EXPECT_EQ(gic.enable_spi(intid, 0, false).error().code, Code::kOutOfRange) << intid;
    EXPECT_EQ(gic.disable_spi(intid).error().code, Code::kOutOfRange) << intid;
  }
  EXPECT_TRUE(gic.enable_spi(63, 0, false));
}

TEST(Gicv3, NeverMoreThan1020Lines) {
  sim::Distributor hardware({.lines = 1024});
  sim::Clock clock;
  Gicv3 gic;
  ASSERT_TRUE(gic.init(hardware, 0, clock));
  EXPECT_EQ(gic.spi_end(), 1020U);
}

/// Redistributors one after the other in one region.
class Region final : public sim::RegisterFrame {
 public:
  explicit Region(std::vector<std::uint64_t> typers) : typers_(std::move(typers)) {}

 private:
  std::uint64_t read(std::uint64_t offset, unsigned) override {
    const std::uint64_t frame = offset / 0x2'0000;
    return offset % 0x2'0000 == 8 && frame < typers_.size() ? typers_[frame] : 0;
  }
  void write(std::uint64_t, unsigned, std::uint64_t) override {}
  std::vector<std::uint64_t> typers_;
};

TEST(Gicv3, FindsRedistributorsByAffinityAndIsBounded) {
  constexpr std::uint64_t kLast = 1U << 4;
  constexpr std::uint64_t kVlpis = 1U << 1;
  Region region({0x1ULL << 32, 0x0100'0002ULL << 32 | kVlpis, 0xffULL << 32, 0x3ULL << 32 | kLast,
                 0x4ULL << 32});
  const auto find = [&](std::uint64_t mpidr, std::uint64_t bytes = 0xa'0000) {
    return Gicv3::find_redistributor(region, bytes, mpidr);
  };
  EXPECT_EQ(find(0x8000'0001).value(), 0U);
  EXPECT_EQ(find(0x1'8000'0002).value(), 0x2'0000U);    // Aff3 = 1
  EXPECT_EQ(find(0xff).error().code, Code::kNotFound);  // a virtual-LPI frame, stepped over
  EXPECT_EQ(find(0x3).value(), 0x6'0000U);
  EXPECT_EQ(find(0x4).error().code, Code::kNotFound);  // beyond Last
  EXPECT_EQ(find(0x3, 0x6'0000).error().code, Code::kNotFound);
  EXPECT_EQ(find(0x1, 0).error().code, Code::kNotFound);
}

TEST(Gicv3, WakesARedistributorAndTurnsLpisOn) {
  TestBoard board;
  board.cpus[2].set_enabled(0xffff'ffff);
  ASSERT_TRUE(board.start_cpus());
  for (sim::Redistributor& cpu : board.cpus) {
    EXPECT_FALSE(cpu.asleep());
    EXPECT_TRUE(cpu.lpis_on());
    EXPECT_EQ(cpu.enabled(), 0U);
    EXPECT_EQ(cpu.local(0x80), 0xffff'ffffU);   // group 1
    EXPECT_EQ(cpu.local(0x400), 0xa0a0'a0a0U);  // priority
    EXPECT_EQ(cpu.local(0x41c), 0xa0a0'a0a0U);
    EXPECT_EQ(cpu.read64(0x70) & 0x1f, 13U);  // 14 bits
    EXPECT_EQ(cpu.read64(0x70) & ~0xfffULL, board.cpus[0].read64(0x70) & ~0xfffULL);
  }
  EXPECT_NE(board.cpus[0].read64(0x78) >> 16, board.cpus[1].read64(0x78) >> 16);
  EXPECT_TRUE(board.clean());
  ASSERT_TRUE(board.gic.enable_ppi(board.cpus[1], 27));
  EXPECT_EQ(board.cpus[1].enabled(), 1U << 27);
  ASSERT_TRUE(board.gic.disable_ppi(board.cpus[1], 27));
  EXPECT_EQ(board.cpus[1].enabled(), 0U);
  EXPECT_EQ(board.gic.enable_ppi(board.cpus[1], 32).error().code, Code::kOutOfRange);
  EXPECT_EQ(board.gic.disable_ppi(board.cpus[1], 32).error().code, Code::kOutOfRange);
}

TEST(Gicv3, LpisThatFirmwareLeftOnAreTurnedOffOrRefused) {
  for (const bool clearable : {true, false}) {
    TestBoard board;
    sim::Redistributor cpu(board.memory, {.clearable = clearable});
    cpu.leave_on(0x1000'000d, 0x2000'0000);
    ASSERT_TRUE(board.gic.init(board.distributor, 0, board.clock));
    ASSERT_TRUE(board.lpis.init(board.pool, board.memory));
    const Status done = board.gic.init_redistributor(cpu, CpuIndex(0), board.lpis);
    EXPECT_EQ(done.error().code, clearable ? Code::kOk : Code::kBadState);
    EXPECT_TRUE(cpu.violations().empty());
  }
}

// IHI 0069, 12.11.25 and 12.11.27: inner cacheability is bits 9:7, shareability bits 11:10.
TEST(Gicv3, ARedistributorThatDoesNotSnoopReadsItsTablesUncached) {
  for (const bool snoops : {true, false}) {
    TestBoard board;
    sim::Redistributor cpu(board.memory, {.shareable = snoops});
    ASSERT_TRUE(board.gic.init(board.distributor, 0, board.clock));
    ASSERT_TRUE(board.lpis.init(board.pool, board.memory));
    ASSERT_TRUE(board.gic.init_redistributor(cpu, CpuIndex(0), board.lpis));
    for (const std::uint64_t base : {cpu.read64(0x70), cpu.read64(0x78)}) {
      EXPECT_EQ(base >> 10 & 3, snoops ? 1U : 0U);
      EXPECT_EQ(base >> 7 & 7, snoops ? 7U : 1U);
    }
  }
}

TEST(Gicv3, RefusesRedistributorsThatItCannotUse) {
  TestBoard board;
  const auto code = [&board](sim::Redistributor::Options options, std::uint8_t index = 0) {
    sim::Redistributor cpu(board.memory, options);
    return board.gic.init_redistributor(cpu, CpuIndex(index), board.lpis).error().code;
  };
  EXPECT_EQ(code({}), Code::kBadState);  // before init()
  ASSERT_TRUE(board.gic.init(board.distributor, 0, board.clock));
  EXPECT_EQ(code({}), Code::kBadState);  // no tables yet
  ASSERT_TRUE(board.lpis.init(board.pool, board.memory));
  EXPECT_EQ(code({}), Code::kOk);
  EXPECT_EQ(code({}, kMaxCpus), Code::kOutOfRange);
  EXPECT_EQ(code({.has_lpis = false}), Code::kUnsupported);
  EXPECT_EQ(code({.never_wakes = true}), Code::kTimeout);
  EXPECT_EQ(code({.keeps_tables = false}), Code::kBadState);
  EXPECT_EQ(code({.shareable = false}), Code::kOk);
}

TEST(LpiTables, CostLittle) {
  TestBoard board;
  ASSERT_TRUE(board.start_cpus());
  EXPECT_EQ(board.pool.used_bytes(), 8 * kKiB + TestBoard::kCpus * 4 * kKiB);
  EXPECT_EQ(board.lpis.init(board.pool, board.memory).error().code, Code::kBadState);
  ASSERT_TRUE(board.lpis.prepare(CpuIndex(1)));  // has one already
  EXPECT_EQ(board.pool.used_bytes(), 8 * kKiB + TestBoard::kCpus * 4 * kKiB);
}

TEST(LpiTables, ConfigurationBytesAreObservable) {
  TestBoard board;
  ASSERT_TRUE(board.start_cpus());
  const std::uint64_t table = board.cpus[0].read64(0x70) & 0x000f'ffff'ffff'f000;
  const auto at = [&](std::uint32_t lpi) {
    return board.memory.device_view()[table - TestBoard::kRam + lpi - 8192];
  };
  EXPECT_EQ(at(8192), 0xa2);
  board.lpis.configure(HostLpi(8192), true, 0x40);
  board.lpis.configure(HostLpi(16383), true, 0xff);
  EXPECT_EQ(at(8192), 0x43);
  EXPECT_EQ(at(16383), 0xff);
  EXPECT_TRUE(board.lpis.enabled(HostLpi(8192)));
  EXPECT_FALSE(board.lpis.enabled(HostLpi(8193)));
  EXPECT_FALSE(LpiTables::contains(HostLpi(8191)));
  EXPECT_FALSE(LpiTables::contains(HostLpi(16384)));
}

}  // namespace
}  // namespace penstock::msi
