// Devices that nobody has: clean ones, broken ones, and those that wait with a page of their own.
#include <gtest/gtest.h>

#include "core/assign/test_slot_board.hpp"
#include "sim/pci/reset_faults.hpp"

namespace penstock::assign {
namespace {

constexpr GuestBdf kCard = vpci::card_of(0);

/// Two controllers that do not stand aborts; red runs.
struct Quarantine : testing::Test {
  Quarantine() {
    EXPECT_TRUE(board.start_with_slots());
    for (unsigned i = 0; i < 2; ++i) models[i] = &board.plug(i + 1, sim::nvme_like());
    faulty = &board.plug(
        3, std::make_unique<sim::ResetFaults>(sim::PciIdentity{0x1234, 0x5678, 0x01'0802}));
    faulty->add_bar(0, 0x4000, {});
    faulty->add_express(sim::PciPortType::kEndpoint, true);
    EXPECT_TRUE(board.enumerate());
    for (unsigned i = 0; i < 3; ++i) {
      devices[i] = &board.device(i + 1, {.guest = kCard, .scratch = i < 2});
    }
    EXPECT_TRUE(red().devices.assign_all());
    EXPECT_TRUE(board.ok);
  }
  ~Quarantine() override { EXPECT_EQ(board.violation(), ""); }
  TestDomain& red() { return *board.domains[0]; }
  bool write(unsigned i, std::uint64_t at, std::uint8_t value) {
    models[i]->config_write(4, 2, 6);  // it masters the bus though nobody allowed it
    return models[i]->dma_write(at, std::span<const std::uint8_t>(&value, 1));
  }
  std::uint8_t read(unsigned i, std::uint64_t at) {
    std::array<std::uint8_t, 1> byte{0xee};
    EXPECT_TRUE(models[i]->dma_read(at, byte));
    return byte[0];
  }
  void once(unsigned i) {
    ASSERT_TRUE(board.attach(0, *devices[i], kCard));
    ASSERT_TRUE(red().devices.detach(*devices[i], true));
  }

  SlotBoard board;
  std::array<sim::PciFunction*, 2> models{};
  sim::ResetFaults* faulty = nullptr;
  std::array<Device*, 3> devices{};
};

// Covers: H27 H34
TEST_F(Quarantine, AScratchPageReachesNobody) {
  once(0);
  once(1);
  const std::uint8_t kept = board.byte(red().ram);
  EXPECT_TRUE(write(0, kGuestRam.value(), 0x5a));
  EXPECT_TRUE(write(1, kGuestRam.value(), 0xa5));
  EXPECT_EQ(board.byte(red().ram), kept);
  EXPECT_EQ(read(0, kGuestRam.value()), 0x5a);
  EXPECT_EQ(read(1, kGuestRam.value()), 0xa5);
  EXPECT_TRUE(write(0, kGuestDoorbell, 0));
  EXPECT_TRUE(board.take_interrupts().empty());
  EXPECT_EQ(board.holdings().streams, 2U);
  EXPECT_EQ(board.wrong(), "");
  // Nor the device itself, in its next quarantine.
  once(0);
  models[0]->config_write(4, 2, 6);
  EXPECT_EQ(read(0, kGuestRam.value()), 0);
}

TEST_F(Quarantine, TheAuditTellsAScratchPageFromADomainsTables) {
  red().devices.take_all_back();
  ASSERT_TRUE(board.attach(0, *devices[0], kCard));
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.assign_all());
  EXPECT_EQ(board.wrong(), "");
  red().devices.take_all_back();
  EXPECT_EQ(board.holdings().streams, 1U);  // the set's, in quarantine
  EXPECT_EQ(board.wrong(), "");
  EXPECT_EQ(board.audited().streams, 0U);
  ASSERT_TRUE(red().devices.assign_all());
  ASSERT_TRUE(board.smmu.quarantine(devices[0]->stream, iommu::QuarantineKind::kScratch));
  EXPECT_NE(board.wrong().find("in quarantine, and its device is assigned"), std::string::npos)
      << board.wrong();
}

// Covers: H21
TEST_F(Quarantine, AFailedAttachLeadsBackToTheScratchPage) {
  once(0);
  const auto before = board.holdings();
  ASSERT_TRUE(board.lpis.set_quota(DomainId(0), 10));
  EXPECT_FALSE(board.attach(0, *devices[0], kCard));
  EXPECT_EQ(board.holdings(), before);
  ASSERT_TRUE(board.lpis.set_quota(DomainId(0), 1000));
  board.smmu_model.reject_next(0x28);  // CMD_TLBI_S12_VMALL
  EXPECT_FALSE(board.attach(0, *devices[0], kCard));
  board.smmu_model.reject_next(0x28);
  EXPECT_FALSE(board.attach(0, *devices[0], GuestBdf(0, 3, 0)));
  EXPECT_EQ(board.holdings(), before);
  EXPECT_TRUE(write(0, kGuestRam.value(), 1));
  EXPECT_EQ(board.wrong(), "");
  once(0);
  EXPECT_EQ(board.holdings(), before);
}

TEST_F(Quarantine, WithoutAPageItAbortsAllTheSame) {
  ASSERT_TRUE(board.attach(0, *devices[0], kCard));
  std::vector<Hpa> hoard;
  while (const auto page = board.pool.take(kPageSize)) hoard.push_back(page.value());
  ASSERT_TRUE(board.smmu.detach(devices[0]->stream));
  ASSERT_TRUE(red().devices.detach(*devices[0], true));
  EXPECT_EQ(devices[0]->state, DeviceState::kQuarantined);
  for (const Hpa page : hoard) board.pool.give_back(page, kPageSize);
  EXPECT_EQ(board.wrong(), "");
}

TEST_F(Quarantine, AResetLeavesItWithAPage) {
  once(0);
  const auto before = board.holdings();
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[0]));
  EXPECT_EQ(board.holdings(), before);
  EXPECT_TRUE(write(0, kGuestRam.value(), 1));
  EXPECT_EQ(board.wrong(), "");
}

// Covers: S3.18 S3.22
TEST_F(Quarantine, ACleanDeviceIsNotResetAgain) {
  EXPECT_FALSE(devices[0]->clean);
  ASSERT_TRUE(prepare(board.hw, *devices[0]));
  EXPECT_TRUE(devices[0]->clean);
  EXPECT_EQ(models[0]->resets(), 1U);
  ASSERT_TRUE(board.attach(0, *devices[0], kCard));
  EXPECT_FALSE(devices[0]->clean);
  EXPECT_EQ(models[0]->resets(), 1U);
  EXPECT_EQ(reset_quarantined(board.hw, *devices[0]).error().code, Code::kBadState);
  ASSERT_TRUE(red().devices.detach(*devices[0], true));
  EXPECT_TRUE(devices[0]->clean);
  EXPECT_EQ(models[0]->resets(), 2U);
  ASSERT_TRUE(prepare(board.hw, *devices[0]));
  once(0);
  EXPECT_EQ(models[0]->resets(), 3U);
}

// Covers: S3.18 S3.21 S3.22
TEST_F(Quarantine, ABrokenDeviceThatComesBackIsUsableAgain) {
  ASSERT_TRUE(board.attach(0, *devices[2], kCard));
  faulty->set_fault(sim::ResetFaults::Fault::kPending);
  ASSERT_TRUE(red().devices.detach(*devices[2], true));
  EXPECT_EQ(devices[2]->state, DeviceState::kBroken);
  EXPECT_FALSE(devices[2]->clean);
  EXPECT_FALSE(reset_quarantined(board.hw, *devices[2]));
  EXPECT_EQ(devices[2]->state, DeviceState::kBroken);
  EXPECT_EQ(board.attach(0, *devices[2], kCard).error().code, Code::kBadState);
  faulty->set_fault(sim::ResetFaults::Fault::kNone);
  faulty->set_transactions_pending(false);
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[2]));
  EXPECT_EQ(devices[2]->state, DeviceState::kQuarantined);
  EXPECT_TRUE(devices[2]->clean);
  EXPECT_TRUE(board.attach(0, *devices[2], kCard));
  EXPECT_EQ(board.wrong(), "");
}

}  // namespace
}  // namespace penstock::assign
