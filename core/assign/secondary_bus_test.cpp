#include "core/assign/secondary_bus.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "core/assign/test_slot_board.hpp"
#include "sim/pci/reset_faults.hpp"

namespace penstock::assign {
namespace {

/// Two functions of one device behind a port; without `flr` neither has a reset of its own.
struct Bus : testing::Test {
  explicit Bus(bool flr = false) {
    EXPECT_TRUE(board.start_with_slots());
    auto& port = board.plug(1, sim::pcie_root_port(board.pci));
    for (unsigned i = 0; i < 2; ++i) {
      auto part = std::make_unique<sim::ResetFaults>(
          sim::PciIdentity{0x1234, static_cast<std::uint16_t>(i + 1), 0x03'0000});
      part->add_bar(0, 0x1000, {});
      part->add_express(sim::PciPortType::kEndpoint, flr);
      if (i == 0) part->set_multi_function();
      models[i] = &board.plug(port.secondary_bus(), 0, i, std::move(part));
    }
    EXPECT_TRUE(board.enumerate());
    bridge = board.ecam.function(HostBdf(0, 1, 0));
    bus.init(bridge);
    for (unsigned i = 0; i < 2; ++i) {
      devices[i] = &board.device(HostBdf(1, 0, i), {.guest = vpci::card_of(i)});
      EXPECT_TRUE(bus.add(*devices[i]));
    }
    EXPECT_TRUE(red().devices.assign_all());
    EXPECT_TRUE(blue().devices.assign_all());
    EXPECT_TRUE(board.ok);
  }
  ~Bus() override {
    EXPECT_EQ(board.wrong(), "");
    EXPECT_EQ(board.violation(), "");
  }
  TestDomain& red() { return *board.domains[0]; }
  TestDomain& blue() { return *board.domains[1]; }
  /// How often each was reset since the last call.
  std::array<unsigned, 2> resets() {
    const std::array<unsigned, 2> now{models[0]->resets(), models[1]->resets()};
    const std::array<unsigned, 2> since{now[0] - seen_[0], now[1] - seen_[1]};
    seen_ = now;
    return since;
  }
  Status attach(unsigned domain, unsigned i) {
    return board.attach(domain, *devices[i], vpci::card_of(i));
  }

  using Resets = std::array<unsigned, 2>;
  SlotBoard board;
  std::array<sim::ResetFaults*, 2> models{};
  std::array<Device*, 2> devices{};
  pci::EcamFunction bridge;
  SecondaryBus bus;

 private:
  std::array<unsigned, 2> seen_{};
};

// Covers: S3.21 H34
TEST_F(Bus, FunctionsOfOneDomainAreResetTogether) {
  ASSERT_TRUE(attach(0, 0));
  EXPECT_EQ(resets(), (Resets{1, 1}));
  ASSERT_TRUE(attach(0, 1));
  EXPECT_EQ(resets(), (Resets{0, 0})) << "it is clean, and the other one is in use";
  red().devices.take_all_back();
  EXPECT_EQ(resets(), (Resets{1, 1}));
  for (const Device* device : devices) {
    EXPECT_EQ(device->state, DeviceState::kQuarantined);
    EXPECT_TRUE(device->clean);
  }
  ASSERT_TRUE(red().devices.assign_all());
  EXPECT_EQ(resets(), (Resets{0, 0}));
}

// Covers: S3.21 S3.22 H32
TEST_F(Bus, AResetHitsNobodysNeighbour) {
  ASSERT_TRUE(attach(0, 0));
  ASSERT_TRUE(attach(1, 1));
  (void)resets();
  EXPECT_EQ(red().devices.detach(*devices[0], true).has_value(), true);
  EXPECT_EQ(devices[0]->state, DeviceState::kBroken);
  EXPECT_EQ(reset_quarantined(board.hw, *devices[0]).error().code, Code::kNoReset);
  EXPECT_EQ(resets(), (Resets{0, 0}));
  EXPECT_EQ(devices[1]->state, DeviceState::kAssigned);
  // With the last one both can be reset.
  ASSERT_TRUE(blue().devices.detach(*devices[1], true));
  EXPECT_EQ(devices[1]->state, DeviceState::kQuarantined);
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[0]));
  EXPECT_EQ(devices[0]->state, DeviceState::kQuarantined);
  ASSERT_TRUE(attach(1, 0));
}

// Covers: S3.21
TEST_F(Bus, AGuestResetsWhatItHasToItself) {
  ASSERT_TRUE(attach(0, 0));
  (void)resets();
  ASSERT_TRUE(reset_in_place(board.hw, red().owner, *devices[0]));
  EXPECT_EQ(resets(), (Resets{1, 1}));
  ASSERT_TRUE(attach(0, 1));
  EXPECT_EQ(reset_in_place(board.hw, red().owner, *devices[0]).error().code, Code::kNoReset);
  EXPECT_EQ(resets(), (Resets{0, 0}));
  // In use it was not clean for being reset.
  ASSERT_TRUE(red().devices.detach(*devices[1], true));
  EXPECT_EQ(devices[1]->state, DeviceState::kBroken);
  ASSERT_TRUE(red().devices.detach(*devices[0], true));
  EXPECT_EQ(resets(), (Resets{1, 1}));
}

// Covers: H21
TEST_F(Bus, AFailedHandOverLeavesTheBus) {
  ASSERT_TRUE(board.lpis.set_quota(DomainId(0), 0));
  devices[0]->placement.guest = GuestBdf(40, 0, 0);  // no such place
  devices[0]->domain = 0;
  EXPECT_FALSE(red().devices.attach(*devices[0]));
  (void)resets();
  EXPECT_TRUE(reset_quarantined(board.hw, *devices[1]));
  EXPECT_EQ(resets(), (Resets{1, 1}));
}

/// Time that only passes when somebody waits; each wait is also somebody else's chance.
class Chances final : public port::Clock {
 public:
  std::uint64_t now_ns() override { return now_; }
  void wait(std::uint64_t ns) override {
    now_ += ns;
    if (while_waiting) while_waiting();
  }
  std::function<void()> while_waiting;

 private:
  std::uint64_t now_ = 0;
};

// Covers: S3.21 H32
TEST_F(Bus, WhoeverComesDuringAResetWaitsForItsEnd) {
  Chances clock;
  std::atomic<bool> there{false};
  std::atomic<bool> entered{false};
  std::thread comer;
  unsigned chances = 0;
  clock.while_waiting = [&] {
    if (chances++ == 0) {
      comer = std::thread([&] {
        there = true;
        bus.enter(*devices[1]);
        entered = true;
      });
    }
    while (!there) std::this_thread::yield();
    for (unsigned i = 0; i < 1000; ++i) std::this_thread::yield();
    EXPECT_FALSE(entered);
  };
  ASSERT_TRUE(bus.reset(*devices[0], clock));
  comer.join();
  EXPECT_TRUE(entered);
  EXPECT_GT(chances, 1U);
  clock.while_waiting = {};
  EXPECT_EQ(bus.reset(*devices[0], clock).error().code, Code::kNoReset);
  bus.leave(*devices[1]);
}

// Covers: S3.21 S3.22
TEST_F(Bus, AResetThatANeighbourDidNotSurviveLeavesItUnclean) {
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[1]));
  ASSERT_TRUE(devices[0]->clean && devices[1]->clean);
  ASSERT_TRUE(attach(0, 0));
  models[1]->set_fault(sim::ResetFaults::Fault::kPending);
  EXPECT_FALSE(reset_in_place(board.hw, red().owner, *devices[0]));
  EXPECT_FALSE(devices[1]->clean);
  EXPECT_FALSE(attach(0, 1));
  models[1]->set_fault(sim::ResetFaults::Fault::kNone);
}

/// One function with a reset of its own that works, one with a reset that changes nothing.
struct Mixed : Bus {
  Mixed() : Bus(true) { models[1]->set_fault(sim::ResetFaults::Fault::kOnlyWithBus); }
  /// Both are the domain's, and given in this order when it starts.
  Status start_with(unsigned one_first) {
    red().devices.take_all_back();
    for (unsigned i = 0; i < 2; ++i) {
      Device& device = *devices[i ^ one_first];
      device.domain = 0;
      EXPECT_TRUE(red().devices.add(device));
    }
    return red().devices.assign_all();
  }
};

// Covers: S3.21
TEST_F(Mixed, FunctionsOfOneDomainAreAssignedInWhateverOrderTheyAreListed) {
  for (const unsigned one_first : {0U, 1U}) {
    ASSERT_TRUE(start_with(one_first)) << one_first;
    for (const Device* device : devices) EXPECT_EQ(device->state, DeviceState::kAssigned);
    EXPECT_EQ(board.wrong(), "");
    red().devices.take_all_back();
    for (Device* device : devices) {
      EXPECT_EQ(device->state, DeviceState::kQuarantined);
      device->clean = false;
    }
    red().devices.release_all([](Device& device) { device.domain = kNobody; });
  }
}

// Covers: S3.21
TEST_F(Mixed, AResetThatFailsLeavesNoneOfThemAssigned) {
  models[1]->set_fault(sim::ResetFaults::Fault::kPending);
  for (const unsigned one_first : {0U, 1U}) {
    EXPECT_FALSE(start_with(one_first));
    for (const Device* device : devices) EXPECT_EQ(device->state, DeviceState::kQuarantined);
    red().devices.release_all([](Device& device) { device.domain = kNobody; });
  }
  models[1]->set_fault(sim::ResetFaults::Fault::kNone);
}

/// The same, with resets of their own.
struct OwnResets : Bus {
  OwnResets() : Bus(true) {}
};

// Covers: S3.21 H32
TEST_F(OwnResets, WhatSomebodyHasResetsByItselfWithoutATurn) {
  bus.enter(*devices[0]);
  std::atomic<bool> finished{false};
  std::thread owner;
  Chances clock;
  clock.while_waiting = [&] {
    if (owner.joinable()) return;
    owner = std::thread([&] {
      Chances mine;
      EXPECT_TRUE(bus.reset(*devices[0], mine));
      finished = true;
    });
    for (unsigned i = 0; i < 10'000'000 && !finished; ++i) std::this_thread::yield();
    EXPECT_TRUE(finished) << "it waits for its neighbour's reset";
  };
  EXPECT_TRUE(bus.reset(*devices[1], clock));
  ASSERT_TRUE(owner.joinable());
  owner.join();
  EXPECT_EQ(resets(), (Resets{1, 1}));
  bus.leave(*devices[0]);
}

// Covers: S3.18
TEST_F(OwnResets, AMethodThatIsAskedFor_IsUsedAloneOrNothingIs) {
  EXPECT_EQ(reset_quarantined(board.hw, *devices[0], pci::ResetMethod::kPower).error().code,
            Code::kNoReset);
  EXPECT_EQ(devices[0]->state, DeviceState::kQuarantined);
  EXPECT_EQ(resets(), (Resets{0, 0}));
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[0], pci::ResetMethod::kExpressFlr));
  EXPECT_EQ(resets(), (Resets{1, 0}));
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[0], pci::ResetMethod::kSecondaryBus));
  EXPECT_EQ(resets(), (Resets{1, 1}));
  // It may forget less than the device's own: that one is still to come before an owner has it.
  EXPECT_FALSE(devices[0]->clean);
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[0]));
  EXPECT_TRUE(devices[0]->clean);
  ASSERT_TRUE(reset_quarantined(board.hw, *devices[0], pci::ResetMethod::kSecondaryBus));
  EXPECT_TRUE(devices[0]->clean);
  (void)resets();
  // With a neighbour in use the bus is not reset, and no other method stands in for it.
  ASSERT_TRUE(attach(0, 1));
  (void)resets();
  EXPECT_EQ(reset_quarantined(board.hw, *devices[0], pci::ResetMethod::kSecondaryBus).error().code,
            Code::kNoReset);
  EXPECT_EQ(resets(), (Resets{0, 0}));
}

// Covers: S3.18
TEST_F(OwnResets, AMethodThatIsAskedForAndFails_IsFollowedByNoOther) {
  models[0]->set_fault(sim::ResetFaults::Fault::kOnlyWithBus);
  EXPECT_EQ(reset_quarantined(board.hw, *devices[0], pci::ResetMethod::kExpressFlr).error().code,
            Code::kHardwareError);
  EXPECT_EQ(resets()[1], 0U) << "the bus was not reset instead";
  EXPECT_EQ(devices[0]->state, DeviceState::kBroken);
}

}  // namespace
}  // namespace penstock::assign
