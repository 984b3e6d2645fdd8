// Devices that come and go while their guest runs.
#include "core/assign/device_set.hpp"

#include <gtest/gtest.h>

#include "core/assign/test_slot_board.hpp"

namespace penstock::assign {
namespace {

using Kind = Route::Kind;

constexpr unsigned kSlot = 1;
constexpr GuestBdf kCard = vpci::card_of(kSlot);
constexpr GuestBdf kOnBus0{0, 1, 0};
constexpr std::uint64_t kHigh = 0x80'0000'0000;  // beyond 4 GiB (H43)
constexpr std::uint32_t kPortLpi = 8192;
constexpr std::uint32_t kLpi = 8200;

/// Two controllers that nobody has; red runs, with drivers for its ports.
struct Slots : testing::Test {
  Slots() {
    EXPECT_TRUE(board.start_with_slots());
    for (unsigned i = 0; i < 2; ++i) models[i] = &board.plug(i + 1, sim::nvme_like());
    EXPECT_TRUE(board.enumerate());
    for (unsigned i = 0; i < 2; ++i) devices[i] = &board.device(i + 1, {});
    EXPECT_TRUE(board.ok);
    // The ITS keeps a page of its device table from the first device on.
    EXPECT_TRUE(hand_over(board.hw, red().owner, card()));
    EXPECT_TRUE(take_back(board.hw, red().owner, card()));
    before = board.holdings();
    empty_table = red().cpu_table.table_bytes();
  }
  ~Slots() override {
    EXPECT_EQ(board.wrong(), "");
    EXPECT_EQ(board.violation(), "");
  }
  TestDomain& red() { return *board.domains[0]; }
  TestDomain& blue() { return *board.domains[1]; }
  Device& card() { return *devices[0]; }
  sim::PciFunction& model() { return *models[0]; }

  void start_red() {
    red().start_its();
    EXPECT_TRUE(red().devices.assign_all());
    port.start(kPortLpi);
    EXPECT_EQ(red().guest.take(0), std::nullopt);
  }
  /// The card is there, its driver uses it, the news of it are read.
  void start_with_card() {
    start_red();
    ASSERT_TRUE(board.attach(0, card(), kCard));
    EXPECT_NE(port.acknowledge(), 0U);
    EXPECT_EQ(red().guest.take(0), kPortLpi);
    port.indicate(PortDriver::kOn);
    red().drive_nvme(kCard, kHigh, 4, kLpi);
    expect_works();
  }
  void expect_works() {
    EXPECT_TRUE(write(model(), kGuestRam.value()));
    EXPECT_TRUE(model().raise(2));
    const auto seen = board.take_interrupts();
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].kind, Kind::kGuest);
    EXPECT_EQ(red().guest.take(0), kLpi + 2);
    EXPECT_TRUE(red().cpu_table.translate(Gpa(kHigh)));
    EXPECT_EQ(board.wrong(), "");
  }
  /// Nobody has it, and whatever it was told, nothing of it reaches anybody.
  void expect_gone() {
    EXPECT_EQ(card().state, DeviceState::kQuarantined);
    EXPECT_EQ(card().domain.load(), kNobody);
    EXPECT_FALSE(card().detaching);
    EXPECT_TRUE(red().devices.empty());
    EXPECT_EQ(red().config(kCard, 0, 4), 0xffff'ffffU);
    EXPECT_FALSE(red().cpu_table.translate(Gpa(kHigh)));
    EXPECT_EQ(red().cpu_table.table_bytes(), empty_table);
    EXPECT_EQ(red().devices.bar_read(Gpa(kHigh + 0x2000), 4), std::nullopt);
    EXPECT_EQ(board.holdings(), before);
    EXPECT_FALSE(model().bus_master());
    model().config_write(4, 2, 6);
    EXPECT_FALSE(write(model(), kGuestRam.value()));
    EXPECT_FALSE(write(model(), kGuestDoorbell));
    EXPECT_TRUE(board.take_interrupts().empty());
    model().config_write(4, 2, 2);
    EXPECT_EQ(board.wrong(), "");
  }
  bool write(sim::PciFunction& device, std::uint64_t at) {
    const std::array<std::uint8_t, 4> bytes{};
    return device.dma_write(at, bytes);
  }

  SlotBoard board;
  std::array<sim::PciFunction*, 2> models{};
  std::array<Device*, 2> devices{};
  PortDriver port{board, 0, kSlot};
  TestBoard::Holdings before;
  std::uint64_t empty_table = 0;
};

// Covers: S3.19 H32
TEST_F(Slots, ACardAppearsBelowItsPortAndWorks) {
  start_red();
  EXPECT_EQ(red().devices.free_slot(), vpci::card_of(0));
  EXPECT_EQ(red().config(kCard, 0, 4), 0xffff'ffffU);
  ASSERT_TRUE(board.attach(0, card(), kCard));
  EXPECT_EQ(board.wrong(), "");
  // The port tells its guest, by an event of its own DeviceID.
  EXPECT_EQ(red().guest.take(0), kPortLpi);
  EXPECT_EQ(red().guest.take(0), std::nullopt);
  EXPECT_EQ(port.acknowledge() & PortDriver::kPresenceChanged, PortDriver::kPresenceChanged);
  EXPECT_EQ(port.status() & PortDriver::kPresent, PortDriver::kPresent);
  EXPECT_EQ(red().config(kCard, 0, 4), 0x0010'1b36U);
  // It is shown with a link: below a port, not on the root bus.
  EXPECT_EQ(red().config(kCard, red().capability(kCard, 0x10) + 2, 2) >> 4 & 0xf, 0U);
  red().drive_nvme(kCard, kHigh, 4, kLpi);
  expect_works();
  EXPECT_EQ(red().devices.size(), 1U);
  EXPECT_EQ(board.audited().streams, 1U);
}

TEST_F(Slots, ACardIsSeenOnlyBehindThePortsOwnBusNumber) {
  start_red();
  ASSERT_TRUE(board.attach(0, card(), kCard));
  for (const unsigned bus : {0U, 1U, 3U, 255U}) {
    port.number_buses(bus);
    for (const unsigned at : {1U, 2U, 3U, 255U}) {
      EXPECT_EQ(red().config(GuestBdf(at, 0, 0), 0, 4), 0xffff'ffffU) << bus << ' ' << at;
    }
    red().set_config(kCard, 4, 2, 6);
    EXPECT_FALSE(model().bus_master());
  }
  port.number_buses();
  EXPECT_EQ(red().config(kCard, 0, 4), 0x0010'1b36U);
  EXPECT_EQ(red().config(GuestBdf(kCard.bus(), 0, 1), 0, 4), 0xffff'ffffU);
  EXPECT_EQ(red().config(GuestBdf(kCard.bus(), 1, 0), 0, 4), 0xffff'ffffU);
  EXPECT_EQ(red().config(vpci::card_of(0), 0, 4), 0xffff'ffffU);
}

// Covers: H27 H32 H34 H43
TEST_F(Slots, AnOrderlyRemoval) {
  start_with_card();
  const unsigned resets = model().resets();
  ASSERT_TRUE(red().devices.detach(card(), false));
  EXPECT_TRUE(card().detaching);
  EXPECT_EQ(card().domain.load(), 0U);
  EXPECT_EQ(red().guest.take(0), kPortLpi);
  EXPECT_EQ(port.acknowledge(), PortDriver::kPressed);
  expect_works();  // until its guest lets go
  ASSERT_TRUE(red().devices.detach(card(), false));
  EXPECT_EQ(port.acknowledge(), 0U);  // asked once
  port.indicate(PortDriver::kBlink);
  expect_works();
  port.indicate(PortDriver::kOff);
  EXPECT_EQ(model().resets(), resets + 1);
  EXPECT_EQ(port.status() & PortDriver::kPresent, 0U);
  expect_gone();
  EXPECT_TRUE(card().clean);
  // The slot takes the next card, and the same one too.
  ASSERT_TRUE(board.attach(0, *devices[1], kCard));
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.detach(*devices[1], true));
  ASSERT_TRUE(board.attach(0, card(), kCard));
  red().drive_nvme(kCard, kHigh, 4, kLpi);
  board.take_interrupts();
  while (red().guest.take(0)) {
  }
  expect_works();
}

// Covers: H27 H32 H34 H43
TEST_F(Slots, ASurpriseRemovalTakesEverythingAtOnce) {
  start_with_card();
  ASSERT_TRUE(red().devices.detach(card(), true));
  expect_gone();
  EXPECT_EQ(red().guest.take(0), kPortLpi);
  EXPECT_EQ(port.status() & PortDriver::kPresent, 0U);
  EXPECT_NE(port.acknowledge() & PortDriver::kPresenceChanged, 0U);
  // A driver that has not noticed yet finds nothing, and does no harm.
  red().drive_nvme(kCard, kHigh, 4, kLpi);
  red().set_config(kCard, 0x88, 2, 0x8000);
  EXPECT_FALSE(red().devices.bar_write(Gpa(kHigh + 0x2000), 4, 1));
  expect_gone();
  EXPECT_EQ(red().devices.detach(card(), true).error().code, Code::kNotFound);
}

// Covers: H22 H32
TEST_F(Slots, AnInterruptOnItsWayWhenTheCardGoesReachesNobody) {
  start_with_card();
  const HostLpi first = card().first_lpi;
  EXPECT_TRUE(model().raise(1));
  EXPECT_TRUE(model().raise(3));
  ASSERT_TRUE(red().devices.detach(card(), true));
  for (const auto& seen : board.take_interrupts()) EXPECT_EQ(seen.kind, Kind::kNone);
  EXPECT_EQ(red().guest.take(0), kPortLpi);
  EXPECT_EQ(red().guest.take(0), std::nullopt);
  // Nor does it reach who gets the same LPIs next.
  blue().start_its();
  ASSERT_TRUE(blue().devices.assign_all());
  ASSERT_TRUE(board.attach(1, *devices[1], kOnBus0));
  EXPECT_EQ(devices[1]->first_lpi, first);
  blue().drive_nvme(kOnBus0, 0x1000'0000, 4, kLpi);
  EXPECT_TRUE(board.take_interrupts().empty());
  EXPECT_TRUE(devices[1]->state == DeviceState::kAssigned);
}

TEST_F(Slots, ARemovalEndsByForceWhileTheGuestThinks) {
  start_with_card();
  ASSERT_TRUE(red().devices.detach(card(), false));
  port.indicate(PortDriver::kBlink);
  ASSERT_TRUE(red().devices.detach(card(), true));
  expect_gone();
  port.indicate(PortDriver::kOff);  // its answer comes too late
  expect_gone();
  ASSERT_TRUE(board.attach(0, *devices[1], kCard));
  EXPECT_EQ(devices[1]->state, DeviceState::kAssigned);
  port.indicate(PortDriver::kOff);  // and says nothing about another card
  EXPECT_EQ(devices[1]->state, DeviceState::kAssigned);
}

TEST_F(Slots, AGuestThatDoesNotListenKeepsItsCardUntilItIsForced) {
  EXPECT_TRUE(red().devices.assign_all());
  ASSERT_TRUE(board.attach(0, card(), kCard));
  ASSERT_TRUE(red().devices.detach(card(), false));
  EXPECT_TRUE(card().detaching);
  EXPECT_EQ(red().devices.size(), 1U);
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.detach(card(), true));
  expect_gone();
}

// Covers: H21
TEST_F(Slots, ADomainThatStopsOrRestartsHasLetGo) {
  for (const bool noticed : {false, true}) {
    start_with_card();
    ASSERT_TRUE(red().devices.detach(card(), false));
    if (noticed) port.indicate(PortDriver::kBlink);
    red().devices.take_all_back();
    red().its.reset();
    expect_gone();
    ASSERT_TRUE(red().devices.assign_all());
    port.number_buses();
    EXPECT_EQ(port.status() & (PortDriver::kPresent | PortDriver::kPressed), 0U);
    expect_gone();
    red().devices.take_all_back();
    while (red().guest.take(0)) {
    }
    red().guest.ram.bytes().assign(red().guest.ram.bytes().size(), 0);
    ASSERT_TRUE(red().its.init(red().guest.gic, red().guest.ram, red().devices));
    red().forget_queue();
  }
}

TEST_F(Slots, ARestartedDomainFindsItsCardsAsAfterPowerOn) {
  start_with_card();
  red().devices.take_all_back();
  EXPECT_EQ(card().state, DeviceState::kQuarantined);
  EXPECT_EQ(card().domain.load(), 0U);  // it stays the domain's
  EXPECT_FALSE(red().cpu_table.translate(Gpa(kHigh)));
  EXPECT_EQ(board.holdings(), before);
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.assign_all());
  EXPECT_EQ(red().config(kCard, 0, 4), 0xffff'ffffU);  // buses have no numbers yet
  port.number_buses();
  EXPECT_EQ(red().config(kCard, 0, 4), 0x0010'1b36U);
  EXPECT_EQ(red().config(kCard, 4, 2), 0U);
  EXPECT_EQ(port.status() & PortDriver::kPresent, PortDriver::kPresent);
  EXPECT_EQ(port.acknowledge(), 0U);  // it was there before
  red().drive_nvme(kCard, kHigh, 4, kLpi);
  expect_works();
}

TEST_F(Slots, BeforeADomainRunsItsDevicesAreOnlyNoted) {
  ASSERT_TRUE(board.attach(0, card(), kCard));
  ASSERT_TRUE(board.attach(0, *devices[1], kOnBus0));
  EXPECT_EQ(card().state, DeviceState::kQuarantined);
  EXPECT_EQ(board.holdings(), before);
  EXPECT_EQ(red().devices.free_slot(), vpci::card_of(0));
  ASSERT_TRUE(red().devices.detach(*devices[1], false));  // there is no guest to be asked
  EXPECT_EQ(devices[1]->domain.load(), kNobody);
  start_red();
  EXPECT_EQ(port.acknowledge(), 0U);
  EXPECT_EQ(red().config(kCard, 0, 4), 0x0010'1b36U);
  red().drive_nvme(kCard, kHigh, 4, kLpi);
  expect_works();
  red().devices.take_all_back();
  ASSERT_TRUE(red().devices.detach(card(), false));
  expect_gone();
}

TEST_F(Slots, OnBusZeroADeviceComesAtAnyTimeAndGoesByForceAlone) {
  start_red();
  ASSERT_TRUE(board.attach(0, card(), kOnBus0));
  EXPECT_EQ(red().config(kOnBus0, 0, 4), 0x0010'1b36U);
  red().drive_nvme(kOnBus0, kHigh, 4, kLpi);
  expect_works();
  EXPECT_EQ(red().devices.detach(card(), false).error().code, Code::kUnsupported);
  EXPECT_FALSE(card().detaching);
  expect_works();
  ASSERT_TRUE(red().devices.detach(card(), true));
  EXPECT_EQ(red().config(kOnBus0, 0, 4), 0xffff'ffffU);
  expect_gone();
}

// Covers: H38
TEST_F(Slots, APlaceThatIsTakenOrIsNoneIsRefusedAndNothingChanges) {
  start_with_card();
  const auto with_card = board.holdings();
  const unsigned resets = models[1]->resets();
  for (const GuestBdf at : {kCard, GuestBdf(0, 0, 0), GuestBdf(0, 16, 0), vpci::card_of(9),
                            GuestBdf(2, 1, 0), GuestBdf(77, 0, 0)}) {
    EXPECT_FALSE(board.attach(0, *devices[1], at)) << at.value();
    EXPECT_EQ(devices[1]->state, DeviceState::kQuarantined);
    EXPECT_EQ(red().devices.size(), 1U);
    EXPECT_EQ(board.holdings(), with_card) << at.value();
    EXPECT_EQ(board.wrong(), "") << at.value();
  }
  EXPECT_GE(models[1]->resets(), resets);
  // What it has already stays as it is.
  EXPECT_EQ(board.attach(0, card(), kCard).error().code, Code::kAlreadyExists);
  EXPECT_EQ(card().domain.load(), 0U);
  expect_works();
}

// Covers: S3.19
TEST_F(Slots, WhatAnotherDomainHasIsNotAttachedNorDetached) {
  start_with_card();
  blue().start_its();
  ASSERT_TRUE(blue().devices.assign_all());
  EXPECT_EQ(blue().devices.attach(card()).error().code, Code::kBadState);
  card().domain = 0;
  EXPECT_EQ(blue().devices.detach(card(), true).error().code, Code::kNotFound);
  EXPECT_TRUE(blue().devices.empty());
  expect_works();
}

TEST_F(Slots, SlotsRunOut) {
  start_red();
  ASSERT_TRUE(board.attach(0, card(), vpci::card_of(0)));
  EXPECT_EQ(red().devices.free_slot(), vpci::card_of(1));
  ASSERT_TRUE(board.attach(0, *devices[1], vpci::card_of(1)));
  EXPECT_EQ(red().devices.free_slot(), vpci::card_of(2));
  red().devices.take_all_back();
  EXPECT_EQ(red().devices.free_slot(), vpci::card_of(2));  // theirs, running or not
  DeviceSet none;
  ASSERT_TRUE(none.init(board.hw, red().owner, 0));
  EXPECT_EQ(none.free_slot(), std::nullopt);
}

// Covers: S3.18 H34
TEST_F(Slots, TheBridgeControlOfAPortResetsTheCardBelow) {
  start_with_card();
  const unsigned resets = model().resets();
  model().bar_memory(0)[0x1000] = 0x5a;
  port.hold_bus_in_reset(true);
  EXPECT_EQ(model().resets(), resets + 1);
  EXPECT_FALSE(model().bus_master());
  EXPECT_EQ(red().config(kCard, 0, 4), 0xffff'ffffU);
  EXPECT_FALSE(red().cpu_table.translate(Gpa(kHigh)));
  EXPECT_FALSE(red().devices.bar_write(Gpa(kHigh + 0x2000), 4, 7));
  EXPECT_FALSE(model().raise(2));
  EXPECT_TRUE(board.take_interrupts().empty());
  EXPECT_EQ(card().state, DeviceState::kAssigned);
  EXPECT_EQ(board.wrong(), "");
  port.hold_bus_in_reset(false);
  EXPECT_EQ(model().resets(), resets + 1);
  EXPECT_EQ(red().config(kCard, 0, 4), 0x0010'1b36U);
  EXPECT_EQ(red().config(kCard, 4, 2), 0U);
  EXPECT_EQ(model().bar_memory(0)[0x1000], 0);
  while (red().guest.take(0)) {
  }
  red().drive_nvme(kCard, kHigh, 4, kLpi);
  expect_works();
}

// Covers: S3.21
TEST_F(Slots, ACardThatHangsInTheBusResetIsQuarantinedWhenItGoes) {
  start_with_card();
  model().die_at_reset();
  port.hold_bus_in_reset(true);
  port.hold_bus_in_reset(false);
  EXPECT_EQ(card().state, DeviceState::kAssigned);  // its guest's own trouble
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.detach(card(), true));
  EXPECT_EQ(card().state, DeviceState::kBroken);
  EXPECT_EQ(board.holdings(), before);
  EXPECT_EQ(board.attach(0, card(), kCard).error().code, Code::kBadState);
  EXPECT_EQ(card().domain.load(), kNobody);
}

/// Without a mapping in the guest's ITS, or with messages off, the port's events are polled.
TEST_F(Slots, APortsMessageThatItsGuestDoesNotWantGoesNowhere) {
  start_red();
  port.write(red().capability(port.at(), 0x05) + 2, 2, 0x0080);
  ASSERT_TRUE(board.attach(0, card(), kCard));
  EXPECT_EQ(red().guest.take(0), std::nullopt);
  ASSERT_TRUE(red().devices.detach(card(), true));
  port.acknowledge();
  port.write(red().capability(port.at(), 0x05) + 2, 2, 0x0081);
  red().command(TestDomain::Commands::discard(port.at().value(), 0));
  ASSERT_TRUE(board.attach(0, card(), kCard));
  EXPECT_EQ(red().guest.take(0), std::nullopt);
  EXPECT_NE(port.acknowledge(), 0U);
}

/// Two controllers of one guest, the second one's BAR placed where the first one's is.
struct OnePlace : Slots {
  OnePlace() {
    red().start_its();
    EXPECT_TRUE(red().devices.assign_all());
    PortDriver(board, 0, 0).number_buses();
    PortDriver(board, 0, kSlot).number_buses();
    EXPECT_TRUE(board.attach(0, first(), kFirst));
    EXPECT_TRUE(board.attach(0, second(), kCard));
    for (const GuestBdf at : {kFirst, kCard}) {
      red().place_bar(at, 0, kHigh);
      red().enable(at);
    }
    EXPECT_EQ(at_place(), home(first()));
  }
  Device& first() { return *devices[0]; }
  Device& second() { return *devices[1]; }
  static Hpa home(const Device& device) { return device.info.bars[0].host; }
  [[nodiscard]] std::optional<Hpa> at_place() {
    const auto there = red().cpu_table.translate(Gpa(kHigh));
    return there ? std::optional(there->hpa) : std::nullopt;
  }
  static constexpr GuestBdf kFirst = vpci::card_of(0);
};

// Covers: S3.14
TEST_F(OnePlace, ABarIsMappedWhenTheOneThatWasThereMoves) {
  red().place_bar(kFirst, 0, kHigh + 0x10'0000);
  EXPECT_EQ(at_place(), home(second()));
  EXPECT_EQ(red().cpu_table.translate(Gpa(kHigh + 0x10'0000)).value().hpa, home(first()));
  EXPECT_EQ(board.wrong(), "");
  // And back again, into each other's way once more.
  red().place_bar(kFirst, 0, kHigh);
  EXPECT_EQ(at_place(), home(second()));
  red().place_bar(kCard, 0, kHigh + 0x10'0000);
  EXPECT_EQ(at_place(), home(first()));
  EXPECT_EQ(board.wrong(), "");
}

// Covers: S3.14
TEST_F(OnePlace, ABarIsMappedWhenTheOneThatWasThereStopsDecoding) {
  red().set_config(kFirst, 4, 2, 0);
  EXPECT_EQ(at_place(), home(second()));
  red().enable(kFirst);
  EXPECT_EQ(at_place(), home(second()));
}

// Covers: S3.14
TEST_F(OnePlace, ABarIsMappedWhenTheDeviceThatWasThereIsReset) {
  const unsigned express = red().capability(kFirst, 0x10);
  red().set_config(kFirst, express + 8, 2, 0x8000);
  EXPECT_EQ(at_place(), home(second()));
}

// Covers: S3.14
TEST_F(OnePlace, ABarIsMappedWhenTheDeviceThatWasThereLeaves) {
  ASSERT_TRUE(red().devices.detach(first(), true));
  EXPECT_EQ(at_place(), home(second()));
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.detach(second(), true));
  EXPECT_EQ(at_place(), std::nullopt);
}

// Covers: S3.14
TEST_F(OnePlace, ABarIsMappedWhenTheBusOfTheOneThatWasThereIsReset) {
  PortDriver port(board, 0, 0);
  port.hold_bus_in_reset(true);
  EXPECT_EQ(at_place(), home(second()));
  port.hold_bus_in_reset(false);
}

}  // namespace
}  // namespace penstock::assign
