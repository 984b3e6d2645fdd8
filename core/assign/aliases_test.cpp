// Devices whose requests carry other requester IDs than their own: behind a bridge to conventional
// PCI, which puts its own in place of theirs, and those that use a neighbour's besides.
#include <gtest/gtest.h>

#include "core/assign/test_slot_board.hpp"

namespace penstock::assign {
namespace {

constexpr GuestBdf kCard = vpci::card_of(0);
constexpr GuestBdf kSecondCard = vpci::card_of(1);
constexpr std::uint64_t kBar = 0x1000'0000;
constexpr Placement kAccepted{.guest = kCard, .accept_no_reset = true, .accept_insecure = true};

/// A conventional bus behind a bridge that takes ownership of all requests, with three devices.
struct Aliases : testing::Test {
  Aliases() {
    EXPECT_TRUE(board.start_with_slots());
    auto& port = board.plug(1, sim::pcie_root_port(board.pci));
    auto& bridge = board.plug(port.secondary_bus(), 0, 0, sim::pcie_pci_bridge(board.pci));
    sim::PciBus& bus = bridge.secondary_bus();
    edu_model = &board.plug(bus, 1, 0, std::make_unique<sim::EduLike>());
    mute_model = &board.plug(bus, 2, 0, mute());
    first_model = &board.plug(bus, 0, 0, mute());
    EXPECT_TRUE(board.enumerate());
    edu = &board.device({2, 1, 0}, kAccepted);
    silent = &board.device({2, 2, 0}, kAccepted);
    first = &board.device({2, 0, 0}, kAccepted);
    EXPECT_TRUE(board.ok);
    red().start_its();
    EXPECT_TRUE(red().devices.assign_all());
    EXPECT_TRUE(blue().devices.assign_all());
    // The SMMU and the ITS keep tables from the first device on.
    EXPECT_TRUE(board.attach(0, *edu, kCard));
    EXPECT_TRUE(red().devices.detach(*edu, true));
    PortDriver(board, 0, 0).number_buses();
    PortDriver(board, 0, 1).number_buses();
    before = board.holdings();
  }
  ~Aliases() override { EXPECT_EQ(board.violation(), ""); }
  /// Conventional, without messages and without a reset.
  static std::unique_ptr<sim::PciFunction> mute() {
    auto function = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 0x0001, 0xff'00});
    function->add_bar(0, 0x1000, {});
    return function;
  }
  TestDomain& red() { return *board.domains[0]; }
  TestDomain& blue() { return *board.domains[1]; }
  bool write(sim::PciFunction& device, std::uint64_t at, std::uint8_t value) {
    device.config_write(4, 2, 6);  // whatever its owner may have said
    return device.dma_write(at, std::span<const std::uint8_t>(&value, 1));
  }
  SlotBoard board;
  sim::EduLike* edu_model = nullptr;
  sim::PciFunction* mute_model = nullptr;
  sim::PciFunction* first_model = nullptr;
  Device* edu = nullptr;
  Device* silent = nullptr;
  Device* first = nullptr;  // at the place whose requester ID is the bridge's
  TestBoard::Holdings before;
};

// Covers: H2 H38
TEST_F(Aliases, DmaUnderTheBridgesIdReachesTheOwnerAndNobodyElse) {
  ASSERT_TRUE(board.attach(0, *edu, kCard));
  EXPECT_EQ(board.wrong(), "");
  red().enable(kCard);
  EXPECT_TRUE(write(*edu_model, kGuestRam.value() + 0x321, 0x5a));
  EXPECT_EQ(board.byte(red().ram + 0x321), 0x5a);
  EXPECT_FALSE(write(*edu_model, kGuestRam.value() + kRamBytes, 1));
  EXPECT_FALSE(write(*edu_model, blue().ram.value(), 1));

  ASSERT_TRUE(red().devices.detach(*edu, true));
  EXPECT_FALSE(write(*edu_model, kGuestRam.value() + 0x321, 0xa5));
  EXPECT_EQ(board.byte(red().ram + 0x321), 0x5a);
  EXPECT_EQ(board.holdings(), before);
  EXPECT_EQ(board.wrong(), "");
}

// Covers: H2
TEST_F(Aliases, AMessageUnderTheBridgesIdReachesTheOwner) {
  ASSERT_TRUE(board.attach(0, *edu, kCard));
  red().place_bar(kCard, 0, kBar);
  red().enable(kCard);
  red().map_events(kCard, 1, 8192);
  const unsigned msi = red().capability(kCard, 0x05);
  red().set_config(kCard, msi + 4, 8, kGuestDoorbell);
  red().set_config(kCard, msi + 2, 2, 1);
  EXPECT_TRUE(edu_model->raise(0));
  const auto seen = board.take_interrupts();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].kind, Route::Kind::kGuest);
  EXPECT_EQ(seen[0].domain, 0U);
  EXPECT_EQ(seen[0].lpi, 8192U);
  EXPECT_EQ(board.wrong(), "");
}

// Covers: H2
TEST_F(Aliases, ANeighbourThatLeavesDoesNotTakeTheSharedStreamAlong) {
  ASSERT_TRUE(board.attach(0, *edu, kCard));
  for (Device* neighbour : {silent, first}) {
    ASSERT_TRUE(board.attach(0, *neighbour, kSecondCard));
    EXPECT_EQ(board.wrong(), "");
    EXPECT_TRUE(write(*edu_model, kGuestRam.value(), 1));
    ASSERT_TRUE(red().devices.detach(*neighbour, true));
    EXPECT_EQ(board.wrong(), "");
    EXPECT_TRUE(write(*edu_model, kGuestRam.value(), 2));
    (void)reset_quarantined(board.hw, *neighbour);
    EXPECT_TRUE(write(*edu_model, kGuestRam.value(), 3));
  }
  ASSERT_TRUE(red().devices.detach(*edu, true));
  EXPECT_FALSE(write(*edu_model, kGuestRam.value(), 4));
  EXPECT_EQ(board.holdings(), before);
}

// Covers: H38 H2
TEST_F(Aliases, AnIdThatAnotherDomainHasFailsTheAttachmentAsAWhole) {
  ASSERT_TRUE(board.attach(1, *silent, kCard));
  const TestBoard::Holdings with_silent = board.holdings();
  for (Device* neighbour : {edu, first}) {
    EXPECT_EQ(board.attach(0, *neighbour, kCard).error().code, Code::kAlreadyExists);
    EXPECT_EQ(neighbour->state, DeviceState::kQuarantined);
    EXPECT_EQ(board.holdings(), with_silent);
    EXPECT_TRUE(write(*mute_model, kGuestRam.value(), 0x77));
  }
  EXPECT_EQ(board.byte(blue().ram), 0x77);
  EXPECT_NE(board.byte(red().ram), 0x77);
  EXPECT_EQ(board.wrong(), "");
}

// Covers: H38
TEST_F(Aliases, AnSmmuThatDoesNotTakeOneOfTheStreamsLeavesNone) {
  std::array<StreamId, 2> streams{edu->stream, edu->aliases[0]};
  for (const StreamId refused : streams) {
    ASSERT_TRUE(board.smmu.attach(refused, blue().owner.dma));
    const TestBoard::Holdings taken = board.holdings();
    EXPECT_EQ(board.attach(0, *edu, kCard).error().code, Code::kAlreadyExists);
    EXPECT_EQ(board.holdings(), taken);
    ASSERT_TRUE(board.smmu.detach(refused));
    for (const StreamId each : streams) EXPECT_FALSE(board.smmu.owner(each).has_value());
  }
  EXPECT_TRUE(board.attach(0, *edu, kCard));
}

// Covers: H3
TEST_F(Aliases, TwoSendersOfMessagesUnderOneIdAreNotBothAssigned) {
  // The ITS knows messages by the bridge's ID alone: one could raise the other's.
  ASSERT_TRUE(board.attach(0, *edu, kCard));
  Device& twin = board.device({2, 1, 0}, kAccepted);
  EXPECT_EQ(twin.device_id, edu->device_id);
  EXPECT_EQ(board.attach(0, twin, kSecondCard).error().code, Code::kAlreadyExists);
  EXPECT_TRUE(write(*edu_model, kGuestRam.value(), 9));
}

/// A function that sends under the ID of function 1 besides its own (Marvell's SATA controllers).
struct ForeignId : testing::Test {
  ForeignId() {
    EXPECT_TRUE(board.start_with_slots());
    auto function = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1b4b, 0x9230, 0x01'0601});
    function->add_bar(0, 0x1000, {});
    function->add_express(sim::PciPortType::kEndpoint, true);
    board.plug(3, std::move(function));
    EXPECT_TRUE(board.enumerate());
    sata = &board.device(3, {});
    EXPECT_TRUE(board.ok);
    EXPECT_TRUE(board.domains[0]->devices.assign_all());
  }
  bool write_as(std::uint32_t requester, std::uint64_t at) {
    const std::array<std::uint8_t, 1> byte{1};
    return board.smmu_model.write(requester, at, byte);
  }
  SlotBoard board;
  Device* sata = nullptr;
};

// Covers: H38
TEST_F(ForeignId, BothIdsLeadToTheOwnerOrNoneDoes) {
  const std::uint32_t own = HostBdf(0, 3, 0).value();
  ASSERT_TRUE(board.attach(0, *sata, kCard));
  EXPECT_EQ(board.wrong(), "");
  EXPECT_TRUE(write_as(own, kGuestRam.value()));
  EXPECT_TRUE(write_as(own | 1, kGuestRam.value()));
  EXPECT_FALSE(write_as(own | 2, kGuestRam.value()));
  ASSERT_TRUE(board.domains[0]->devices.detach(*sata, true));
  EXPECT_FALSE(write_as(own, kGuestRam.value()));
  EXPECT_FALSE(write_as(own | 1, kGuestRam.value()));
}

}  // namespace
}  // namespace penstock::assign
