// Every step of an assignment fails once: nothing of the attempt may be left.
#include <gtest/gtest.h>

#include "core/assign/test_board.hpp"

namespace penstock::assign {
namespace {

using Kind = Route::Kind;

constexpr GuestBdf kFirst{0, 1, 0};
constexpr GuestBdf kSecond{0, 2, 0};
constexpr std::uint64_t kBar = 0x1000'0000;
constexpr std::uint32_t kLpi = 8192;

constexpr std::uint8_t kForgetEntry = 0x03;  // CMD_CFGI_STE
constexpr std::uint8_t kForgetVmid = 0x28;   // CMD_TLBI_S12_VMALL
constexpr std::uint8_t kSync = 0x46;         // CMD_SYNC

struct Machine : TestBoard {
  explicit Machine(bool its_stalls = false) : TestBoard({.stalls = its_stalls}) {
    ok = static_cast<bool>(start());
    for (unsigned i = 0; i < 2; ++i) models[i] = &plug(i + 1, sim::nvme_like());
    ok = ok && enumerate();
    first = &device_of(0, 1, {.guest = kFirst});
    second = &device(2, {.guest = kSecond});
  }
  TestDomain& red() { return *domains[0]; }
  Status give(Device& device) { return hand_over(hw, red().owner, device); }
  /// Nothing but what a lost device keeps: no stream, no route, no bus mastering.
  void expect_nothing_left(unsigned i) {
    EXPECT_FALSE(models[i]->bus_master());
    const Holdings now = holdings();
    EXPECT_EQ(now.streams, 0U);
    EXPECT_EQ(now.routes, 0U);
    models[i]->config_write(4, 2, 6);
    const std::array<std::uint8_t, 4> bytes{};
    EXPECT_FALSE(models[i]->dma_write(kGuestRam.value(), bytes));
    EXPECT_FALSE(models[i]->dma_write(kGuestDoorbell, bytes));
    EXPECT_TRUE(take_interrupts().empty());
    models[i]->config_write(4, 2, 2);
  }
  std::array<sim::PciFunction*, 2> models{};
  Device* first = nullptr;
  Device* second = nullptr;
};

// Covers: H21 H40
TEST(Faults, NoInterruptsLeftInTheQuota) {
  Machine m;
  const auto before = m.holdings();
  ASSERT_TRUE(m.lpis.set_quota(DomainId(0), 65));
  EXPECT_EQ(m.red().devices.assign_all().error(),
            fail(Code::kTableFull, m.first->info.bdf.value()));
  EXPECT_EQ(m.holdings(), before);
  m.expect_nothing_left(0);
  ASSERT_TRUE(m.lpis.set_quota(DomainId(0), 66));
  EXPECT_TRUE(m.red().devices.assign_all());
}

// Covers: H21 H40
TEST(Faults, NoPagesLeft) {
  Machine m;
  ASSERT_TRUE(m.red().devices.assign_all());
  m.red().devices.take_all_back();
  const auto before = m.holdings();
  std::vector<Hpa> hoard;
  while (const auto page = m.pool.take(kPageSize)) hoard.push_back(page.value());
  EXPECT_EQ(m.red().devices.assign_all().error().code, Code::kNoMemory);
  m.expect_nothing_left(0);
  for (const Hpa page : hoard) m.pool.give_back(page, kPageSize);
  EXPECT_EQ(m.holdings(), before);
  EXPECT_TRUE(m.red().devices.assign_all());
}

// Covers: H21 H30 H31
TEST(Faults, TheItsStopsAnsweringAtAnyCommand) {
  for (unsigned commands = 0; commands < 280; commands += commands < 8 ? 1 : 37) {
    Machine m;
    ASSERT_TRUE(m.ok);
    m.its_model.stop_after(commands);
    const Status given = m.red().devices.assign_all();
    if (given) {
      // It stopped between two batches: the next thing asked of it fails, and the device is safe.
      m.red().devices.take_all_back();
    }
    EXPECT_EQ(m.first->state, DeviceState::kQuarantined) << commands;
    m.expect_nothing_left(0);
    if (!m.its.dead()) continue;
    // What the dead ITS may still raise is never given out again.
    const unsigned held = m.lpis.held_by(DomainId(0));
    EXPECT_EQ(held, m.its.devices() + m.its.lost_devices() == 0 ? 0U : 66U) << commands;
    EXPECT_FALSE(m.give(*m.second));
    EXPECT_EQ(m.lpis.held_by(DomainId(0)), held) << commands;
    m.expect_nothing_left(1);
    EXPECT_EQ(m.violation(), "");
  }
}

// Covers: H21 H40
TEST(Faults, TheItsRefusesAnyOneCommand) {
  unsigned refused = 0;
  for (unsigned commands = 0; commands < 280; commands += commands < 4 ? 1 : 23) {
    Machine m(true);
    ASSERT_TRUE(m.ok);
    m.its_model.refuse_after(commands);
    const Status given = m.red().devices.assign_all();
    if (given) continue;
    ++refused;
    m.expect_nothing_left(0);
    // The next device gets interrupts that nobody else raises.
    const Status next = m.give(*m.second);
    ASSERT_TRUE(next) << commands << ' ' << describe(next.error().code) << next.error().arg;
    if (m.its.lost_devices() != 0) {
      EXPECT_GT(m.second->first_lpi, HostLpi(kLpi + 65)) << commands;
    }
    ASSERT_TRUE(take_back(m.hw, m.red().owner, *m.second));
    m.expect_nothing_left(1);
    EXPECT_EQ(m.violation(), "");
  }
  EXPECT_GT(refused, 4U);
}

// Covers: H21
TEST(Faults, TheItsRefusesToLetADeviceGo) {
  Machine m(true);
  ASSERT_TRUE(m.red().devices.assign_all());
  m.its_model.refuse_always();
  m.red().devices.take_all_back();
  m.expect_nothing_left(0);
  EXPECT_EQ(m.lpis.held_by(DomainId(0)), 66U);  // lost with it
  EXPECT_FALSE(m.give(*m.first));
  EXPECT_EQ(m.lpis.held_by(DomainId(0)), 66U);
}

// Covers: H21
TEST(Faults, TheSmmuRefusesACommandOfTheAttachment) {
  for (const std::uint8_t opcode : {kForgetEntry, kForgetVmid, kSync}) {
    Machine m;
    ASSERT_TRUE(m.red().devices.assign_all());
    m.red().devices.take_all_back();
    const auto before = m.holdings();
    m.smmu_model.reject_next(opcode);
    const Status given = m.red().devices.assign_all();
    ASSERT_FALSE(given) << unsigned{opcode};
    EXPECT_EQ(m.first->state, DeviceState::kQuarantined);
    EXPECT_EQ(m.holdings(), before);
    m.expect_nothing_left(0);
    EXPECT_TRUE(m.red().devices.assign_all());
  }
}

// Covers: H21 H31
TEST(Faults, TheSmmuIsDead) {
  Machine m;
  ASSERT_TRUE(m.red().devices.assign_all());
  m.red().devices.take_all_back();
  const auto before = m.holdings();
  m.smmu_model.stop_commands(true);
  EXPECT_EQ(m.red().devices.assign_all().error().code, Code::kTimeout);
  EXPECT_EQ(m.holdings(), before);
  m.expect_nothing_left(0);
  EXPECT_EQ(quarantine(m.hw, *m.second).error().code, Code::kTimeout);
  EXPECT_EQ(m.second->state, DeviceState::kBroken);
}

// Covers: H27 H34
TEST(Faults, ADeviceWhoseStreamCannotBeCutIsResetAndNeverGivenAgain) {
  Machine m;
  ASSERT_TRUE(m.red().devices.assign_all());
  m.red().start_its();
  m.red().drive_nvme(kFirst, kBar, 2, kLpi);
  const unsigned resets = m.models[0]->resets();
  m.smmu_model.stop_commands(true);
  m.red().devices.take_all_back();
  EXPECT_EQ(m.first->state, DeviceState::kBroken);
  EXPECT_EQ(m.models[0]->resets(), resets + 1);
  EXPECT_FALSE(m.models[0]->bus_master());
  EXPECT_EQ(m.its.devices(), 0U);
  EXPECT_EQ(m.holdings().streams, 0U);
  m.smmu_model.stop_commands(false);
  EXPECT_EQ(m.red().devices.assign_all().error().code, Code::kBadState);
  EXPECT_FALSE(m.log.all.empty());
}

TEST(Faults, TheSmmuFailsWhileTheDoorbellOpens) {
  Machine m;
  ASSERT_TRUE(m.red().devices.assign_all());
  m.red().start_its();
  m.smmu_model.reject_next(kForgetVmid);
  m.red().drive_nvme(kFirst, kBar, 2, kLpi);
  EXPECT_FALSE(m.first->doorbell_open);
  EXPECT_EQ(m.holdings().streams, 0U);
  const std::array<std::uint8_t, 4> bytes{};
  EXPECT_FALSE(m.models[0]->dma_write(kGuestDoorbell, bytes));
  EXPECT_FALSE(m.log.all.empty());
  m.red().devices.take_all_back();
  EXPECT_EQ(m.first->state, DeviceState::kQuarantined);
  m.expect_nothing_left(0);
  ASSERT_TRUE(m.red().devices.assign_all());
  m.red().drive_nvme(kFirst, kBar, 2, kLpi);
  EXPECT_TRUE(m.models[0]->raise(0));
}

TEST(Faults, AFunctionThatIsNoEndpoint) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  auto strange = sim::nvme_like();
  strange->poke(0x0e, 1, 2);
  board.plug(1, std::move(strange));
  ASSERT_TRUE(board.enumerate());
  board.device_of(0, 1, {.guest = kFirst});
  const auto before = board.holdings();
  EXPECT_EQ(board.domains[0]->devices.assign_all().error().code, Code::kUnsupported);
  EXPECT_EQ(board.holdings(), before);
}

/// The BAR then leads nowhere: what could be mapped and is not is never accessed on the guest's
/// behalf.
TEST(Faults, NoPagesForABarsMapping) {
  Machine m;
  ASSERT_TRUE(m.red().devices.assign_all());
  std::vector<Hpa> hoard;
  while (const auto page = m.pool.take(kPageSize)) hoard.push_back(page.value());
  m.red().place_bar(kFirst, 0, kBar);
  m.red().enable(kFirst);
  EXPECT_FALSE(m.red().cpu_table.translate(Gpa(kBar)));
  EXPECT_TRUE(m.red().devices.bar_write(Gpa(kBar + 0x14), 4, 0x1234));
  EXPECT_EQ(m.red().devices.bar_read(Gpa(kBar + 0x14), 4), 0xffff'ffffU);
  for (const Hpa page : hoard) m.pool.give_back(page, kPageSize);
  m.red().set_config(kFirst, 4, 2, 0);
  m.red().enable(kFirst);
  EXPECT_TRUE(m.red().cpu_table.translate(Gpa(kBar)));
}

// Covers: H14
TEST(Faults, TwoBarsInOnePlace) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  auto part = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 1, 0x02'0000});
  part->add_bar(0, 0x4000, {});
  part->add_bar(1, 0x4000, {});
  part->add_express(sim::PciPortType::kEndpoint, true);
  board.plug(1, std::move(part));
  ASSERT_TRUE(board.enumerate());
  Device& device = board.device_of(0, 1, {.guest = kFirst});
  TestDomain& red = *board.domains[0];
  ASSERT_TRUE(red.devices.assign_all());
  const std::uint64_t empty = red.cpu_table.table_bytes();
  red.place_bar(kFirst, 0, kBar);
  red.place_bar(kFirst, 1, kBar);
  for (unsigned round = 0; round < 3; ++round) {
    red.enable(kFirst);
    EXPECT_EQ(red.cpu_table.translate(Gpa(kBar)).value().hpa, device.info.bars[0].host);
    red.place_bar(kFirst, 1, kBar + 0x2000 * round);
    red.set_config(kFirst, 4, 2, 0);
    EXPECT_EQ(red.cpu_table.table_bytes(), empty);
    red.place_bar(kFirst, 1, kBar);
  }
  for (unsigned i = 0; i < 100; ++i) {
    red.enable(kFirst);
    red.set_config(kFirst, 4, 2, 0);
  }
  EXPECT_LE(board.log.all.size(), 8U);
}

}  // namespace
}  // namespace penstock::assign
