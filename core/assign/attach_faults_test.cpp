// Every step of an attach or a detach fails once while the guest runs: the operation fails as a
// whole, and the device is as before, or broken and nobody's.
#include <gtest/gtest.h>

#include "core/assign/test_slot_board.hpp"
#include "sim/pci/reset_faults.hpp"

namespace penstock::assign {
namespace {

constexpr GuestBdf kCard = vpci::card_of(0);
constexpr std::uint32_t kLpi = 8200;
constexpr unsigned kNeeds = 66;  // LPIs of the card: 65 vectors, one for strays

constexpr std::uint8_t kForgetEntry = 0x03;  // CMD_CFGI_STE
constexpr std::uint8_t kForgetVmid = 0x28;   // CMD_TLBI_S12_VMALL
constexpr std::uint8_t kSync = 0x46;         // CMD_SYNC

/// Red runs and has a free slot; `part` is nobody's.
struct Rig : SlotBoard {
  explicit Rig(std::unique_ptr<sim::PciFunction> part = sim::nvme_like(),
               const Placement& placement = {}, bool its_stalls = false)
      : SlotBoard({.stalls = its_stalls}) {
    ok = static_cast<bool>(start_with_slots());
    model = &plug(1, std::move(part));
    plug(2, sim::nvme_like());
    ok = ok && enumerate();
    card = &device(1, placement);
    other = &device(2, {});
    // The ITS keeps a page of its device table from the first device on.
    ok = ok && hand_over(hw, red().owner, *other) && take_back(hw, red().owner, *other);
    red().start_its();
    ok = ok && red().devices.assign_all();
    red().set_config(vpci::port_of(0), 0x18, 4, 0x0001'0100);
    before = holdings();
  }
  TestDomain& red() { return *domains[0]; }
  Status attach_card() { return attach(0, *card, kCard); }
  /// Not the guest's, not on its bus, harmless.
  void expect_nobodys(DeviceState state) {
    EXPECT_EQ(card->state, state);
    EXPECT_EQ(card->domain.load(), kNobody);
    EXPECT_TRUE(red().devices.empty());
    EXPECT_EQ(red().devices.free_slot(), kCard);
    EXPECT_EQ(red().config(kCard, 0, 4), 0xffff'ffffU);
    EXPECT_FALSE(model->bus_master());
    EXPECT_EQ(holdings().streams, 0U);
    EXPECT_EQ(holdings().routes, 0U);
    model->config_write(4, 2, 6);
    const std::array<std::uint8_t, 4> bytes{};
    EXPECT_FALSE(model->dma_write(kGuestRam.value(), bytes));
    EXPECT_FALSE(model->dma_write(kGuestDoorbell, bytes));
    EXPECT_TRUE(take_interrupts().empty());
    model->config_write(4, 2, 2);
  }
  void expect_as_before() {
    expect_nobodys(DeviceState::kQuarantined);
    EXPECT_EQ(holdings(), before);
    EXPECT_EQ(wrong(), "");
  }
  sim::PciFunction* model = nullptr;
  Device* card = nullptr;
  Device* other = nullptr;
  Holdings before;
};

// Covers: H21 S3.21 S3.22
TEST(AttachFaults, ItsResetFails) {
  for (const bool dies : {false, true}) {
    Rig rig;
    ASSERT_TRUE(rig.ok);
    if (dies) {
      rig.model->die_at_reset();
    } else {
      rig.model->ignore_reset();
    }
    EXPECT_EQ(rig.attach_card().error().code, dies ? Code::kTimeout : Code::kHardwareError);
    rig.expect_as_before();
    EXPECT_FALSE(rig.card->clean);
    EXPECT_FALSE(rig.attach_card());
    rig.expect_as_before();
  }
}

// Covers: S3.22
TEST(AttachFaults, AFailingResetThatWasAcceptedIsNoObstacleAndIsToldOnce) {
  Rig rig(sim::nvme_like(), {.guest = kCard, .accept_no_reset = true});
  ASSERT_TRUE(rig.ok);
  rig.model->ignore_reset();
  for (unsigned n = 0; n < 2; ++n) {
    const std::size_t lines = rig.log.all.size();
    ASSERT_TRUE(rig.attach_card());
    EXPECT_EQ(rig.log.all.size(), lines + (n == 0 ? 1 : 0));
    EXPECT_EQ(rig.card->state, DeviceState::kAssigned);
    ASSERT_TRUE(rig.red().devices.detach(*rig.card, true));
    EXPECT_EQ(rig.card->state, DeviceState::kQuarantined) << "its next owner has to accept it anew";
    EXPECT_FALSE(rig.card->clean);
  }
  rig.card->placement.accept_no_reset = false;
  EXPECT_EQ(rig.attach_card().error().code, Code::kHardwareError);
}

// Covers: S3.22
TEST(AttachFaults, ADeviceThatAnswersNothingIsNotAssignedWhateverIsAccepted) {
  Rig rig(sim::nvme_like(), {.guest = kCard, .accept_no_reset = true});
  ASSERT_TRUE(rig.ok);
  rig.model->die_at_reset();
  EXPECT_EQ(rig.attach_card().error().code, Code::kNotFound);
  rig.expect_nobodys(DeviceState::kQuarantined);
}

// Covers: S3.22
TEST(AttachFaults, ItHasNoReset) {
  for (const bool accepted : {false, true}) {
    Rig rig(std::make_unique<sim::EduLike>(), {.guest = kCard, .accept_no_reset = accepted});
    ASSERT_TRUE(rig.ok);
    const Status given = rig.attach_card();
    EXPECT_EQ(static_cast<bool>(given), accepted);
    if (!accepted) {
      EXPECT_EQ(given.error().code, Code::kNoReset);
      rig.expect_as_before();
    }
  }
}

// Covers: H21 S3.21
TEST(AttachFaults, ItDoesNotAnswerAtAll) {
  Rig rig;
  rig.model->hold_in_reset(true);
  EXPECT_FALSE(rig.attach_card());
  rig.model->hold_in_reset(false);
  rig.expect_as_before();
  EXPECT_TRUE(rig.attach_card());
  EXPECT_EQ(rig.wrong(), "");
}

// Covers: H10 H21 H40
TEST(AttachFaults, NoInterruptsLeft) {
  Rig rig;
  for (const unsigned quota : {0U, 1U, kNeeds - 1}) {
    ASSERT_TRUE(rig.lpis.set_quota(DomainId(0), quota));
    EXPECT_EQ(rig.attach_card().error().code, Code::kTableFull) << quota;
    rig.expect_as_before();
  }
  ASSERT_TRUE(rig.lpis.set_quota(DomainId(0), kNeeds));
  EXPECT_TRUE(rig.attach_card());
  EXPECT_EQ(rig.wrong(), "");
}

// Covers: H10 H21 H35 H40
TEST(AttachFaults, MemoryEndsAtAnyAllocation) {
  unsigned failures = 0;
  for (unsigned pages = 0; pages < 16; ++pages) {
    Rig rig;
    std::vector<Hpa> hoard;
    while (const auto page = rig.pool.take(kPageSize)) hoard.push_back(page.value());
    for (unsigned i = 0; i < pages; ++i) {
      rig.pool.give_back(hoard.back(), kPageSize);
      hoard.pop_back();
    }
    const Status given = rig.attach_card();
    if (given) {
      ASSERT_TRUE(rig.red().devices.detach(*rig.card, true));
    } else {
      ++failures;
      EXPECT_EQ(given.error().code, Code::kNoMemory);
    }
    for (const Hpa page : hoard) rig.pool.give_back(page, kPageSize);
    rig.expect_as_before();
    EXPECT_TRUE(rig.attach_card());
    if (given) break;
  }
  EXPECT_GT(failures, 0U);
  EXPECT_LT(failures, 16U);
}

// Covers: H21 H31
TEST(AttachFaults, TheItsStopsAnsweringAtAnyCommand) {
  for (unsigned commands = 0; commands < 280; commands += commands < 4 ? 1 : 69) {
    Rig rig;
    rig.its_model.stop_after(commands);
    if (rig.attach_card()) {
      ASSERT_TRUE(rig.red().devices.detach(*rig.card, true));
    }
    rig.expect_nobodys(DeviceState::kQuarantined);
    EXPECT_EQ(rig.wrong(), rig.its.dead() ? "the ITS has stopped answering" : "") << commands;
    EXPECT_EQ(rig.violation(), "");
  }
}

/// What a device that the ITS did not let go of may still raise is never given out again.
// Covers: H21 H32 H40
TEST(AttachFaults, TheItsRefusesAnyOneCommand) {
  unsigned refused = 0;
  for (unsigned commands = 0; commands < 280; commands += commands < 4 ? 1 : 46) {
    Rig rig(sim::nvme_like(), {}, true);
    rig.its_model.refuse_after(commands);
    if (rig.attach_card()) continue;
    ++refused;
    rig.expect_nobodys(DeviceState::kQuarantined);
    EXPECT_EQ(rig.wrong(), "") << commands;
    ASSERT_TRUE(rig.attach(0, *rig.other, kCard)) << commands;
    if (rig.its.lost_devices() != 0) {
      EXPECT_GE(rig.other->first_lpi.value(), kFirstLpi + kNeeds) << commands;
    }
    EXPECT_EQ(rig.wrong(), "") << commands;
  }
  EXPECT_GT(refused, 2U);
}

// Covers: H32
TEST(AttachFaults, TheItsRefusesToLetADetachedDeviceGo) {
  unsigned lost = 0;
  for (unsigned commands = 0; commands < 72; commands += commands < 3 ? 1 : 30) {
    Rig rig(sim::nvme_like(), {}, true);
    ASSERT_TRUE(rig.attach_card());
    rig.its_model.refuse_after(commands);
    ASSERT_TRUE(rig.red().devices.detach(*rig.card, true));
    rig.expect_nobodys(DeviceState::kQuarantined);
    lost += rig.its.lost_devices();
    EXPECT_EQ(rig.lpis.held_by(DomainId(0)), rig.its.lost_devices() * kNeeds) << commands;
    EXPECT_EQ(rig.wrong(), "") << commands;
  }
  EXPECT_GT(lost, 0U);
}

// Covers: H21 H36
TEST(AttachFaults, TheSmmuRefusesACommandOrIsDead) {
  for (const std::uint8_t opcode : {kForgetEntry, kForgetVmid, kSync, std::uint8_t{0}}) {
    Rig rig;
    if (opcode != 0) {
      rig.smmu_model.reject_next(opcode);
    } else {
      rig.smmu_model.stop_commands(true);
    }
    EXPECT_FALSE(rig.attach_card()) << unsigned{opcode};
    rig.expect_as_before();
    rig.smmu_model.stop_commands(false);
    if (opcode == 0) continue;  // a dead queue stays dead
    EXPECT_TRUE(rig.attach_card()) << unsigned{opcode};
    EXPECT_EQ(rig.wrong(), "");
  }
}

/// Its DMA cannot be seen to have ended, so nobody gets it again.
// Covers: H27 H34 H36
TEST(AttachFaults, TheSmmuIsDeadWhenADeviceIsTaken) {
  Rig rig;
  ASSERT_TRUE(rig.attach_card());
  rig.red().drive_nvme(kCard, kWindow64.base.value(), 4, kLpi);
  rig.smmu_model.stop_commands(true);
  ASSERT_TRUE(rig.red().devices.detach(*rig.card, true));
  rig.expect_nobodys(DeviceState::kBroken);
  EXPECT_FALSE(rig.card->clean);
  EXPECT_EQ(rig.attach_card().error().code, Code::kBadState);
  EXPECT_EQ(rig.wrong(), "");
}

/// The guest lets go, and the device does not come back from its reset.
// Covers: H34 S3.21 S3.22
TEST(AttachFaults, AnOrderlyRemovalOfADeviceThatDies) {
  Rig rig;
  PortDriver port(rig, 0, 0);
  port.start(8192);
  ASSERT_TRUE(rig.attach_card());
  port.indicate(PortDriver::kOn);
  rig.red().drive_nvme(kCard, kWindow64.base.value(), 4, kLpi);
  rig.model->die_at_reset();
  ASSERT_TRUE(rig.red().devices.detach(*rig.card, false));
  port.indicate(PortDriver::kOff);
  rig.expect_nobodys(DeviceState::kBroken);
  EXPECT_EQ(rig.holdings(), rig.before);
  EXPECT_EQ(rig.wrong(), "");
  EXPECT_FALSE(rig.log.all.empty());
  EXPECT_EQ(rig.attach(0, *rig.card, kCard).error().code, Code::kBadState);
  EXPECT_TRUE(rig.attach(0, *rig.other, kCard));
}

}  // namespace
}  // namespace penstock::assign
