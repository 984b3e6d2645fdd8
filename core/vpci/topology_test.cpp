#include "core/vpci/topology.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "core/vpci/fake_function.hpp"

namespace penstock::vpci {
namespace {

using test::RichFunction;

// Covers: S3.4 S3.13
TEST(Topology, AbsentFunctionsReadAllOnesAndDropWrites) {
  const auto bus = std::make_unique<Topology>();
  EXPECT_EQ(bus->config_read(0, 4), 0x00081b36u);
  EXPECT_EQ(bus->config_read(8, 4), 0x06000000u);
  EXPECT_EQ(bus->config_read(0x10, 8), 0u);
  EXPECT_EQ(bus->config_read(0x34, 1), 0u);
  EXPECT_TRUE(bus->config_write(4, 8, ~0ULL).empty());
  for (const std::uint64_t at :
       {0x1000ULL, 0x8000ULL, 0xff000ULL, 0x100000ULL, 0xfffffffULL, ~0ULL}) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) {
      EXPECT_EQ(bus->config_read(at, size), all_ones(size));
      EXPECT_TRUE(bus->config_write(at, size, 0).empty());
    }
  }
}

TEST(Topology, FunctionsComeAndGo) {
  RichFunction rich;
  const auto bus = std::make_unique<Topology>();
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  EXPECT_EQ(bus->add(GuestBdf(1, 0, 0), &f).error(), fail(Code::kOutOfRange, 0x100));
  EXPECT_EQ(bus->add(GuestBdf(0, 0, 0), &f).error(), fail(Code::kAlreadyExists, 0));
  EXPECT_EQ(bus->add(GuestBdf(0, 3, 0), nullptr).error().code, Code::kOutOfRange);
  ASSERT_TRUE(bus->add(GuestBdf(0, 3, 1), &f));
  EXPECT_EQ(bus->add(GuestBdf(0, 3, 1), &f).error().code, Code::kAlreadyExists);
  EXPECT_EQ(bus->find(3 << 15 | 1 << 12 | 0xffc), &f);
  EXPECT_EQ(bus->config_read(3 << 15 | 1 << 12, 4), 0x10c98086u);
  EXPECT_EQ(bus->config_read((3 << 15 | 1 << 12) + 4094, 4), 0xffff0000u);  // spans the end
  EXPECT_EQ(bus->config_read(3 << 15, 4), 0xffffffffu);
  EXPECT_EQ(bus->config_write(3 << 15 | 1 << 12 | 4, 2, 4).size(), 1u);
  EXPECT_TRUE(bus->remove(GuestBdf(0, 3, 1)));
  EXPECT_EQ(bus->remove(GuestBdf(0, 3, 1)).error().code, Code::kNotFound);
  EXPECT_EQ(bus->remove(GuestBdf(0, 0, 0)).error().code, Code::kNotFound);
  EXPECT_EQ(bus->find(3 << 15 | 1 << 12), nullptr);
}

// Covers: H43
TEST(Topology, AddressesLeadToBars) {
  RichFunction rich;
  const auto bus = std::make_unique<Topology>();
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  ASSERT_TRUE(bus->add(GuestBdf(0, 1, 0), &f));
  static_cast<void>(f.config_write(0x10, 8, 0x80'0001'0000));
  EXPECT_FALSE(bus->find_bar(Gpa(0x80'0001'2000)).has_value());
  static_cast<void>(f.config_write(4, 2, 2));
  const std::optional<BarHit> hit = bus->find_bar(Gpa(0x80'0001'2010));
  ASSERT_TRUE(hit.has_value());
  EXPECT_EQ(hit->function, &f);
  EXPECT_EQ(hit->bdf, GuestBdf(0, 1, 0));
  EXPECT_EQ(hit->bar, 0u);
  EXPECT_EQ(hit->offset, 0x2010u);
  const std::optional<BarHit> first = bus->find_bar(Gpa(0x80'0001'0000));
  ASSERT_TRUE(first.has_value()) << "its first byte";
  EXPECT_EQ(first->offset, 0u);
  EXPECT_FALSE(bus->find_bar(Gpa(0x80'0000'ffff)));
  EXPECT_FALSE(bus->find_bar(Gpa(0x80'0002'0000)).has_value());
  EXPECT_FALSE(bus->find_bar(Gpa(0x1'2010)).has_value());
}

/// A domain with three slots whose guest has numbered the buses.
class Slots : public ::testing::Test {
 protected:
  Slots() {
    rich.options.integrated_endpoint = false;
    EXPECT_TRUE(function.init(rich.facts, rich.options));
    EXPECT_TRUE(bus->init_slots(3));
    for (unsigned slot = 0; slot < 3; ++slot) {
      static_cast<void>(bus->config_write(at(port_of(slot), 0x18), 4, (slot + 1) * 0x1'0100));
    }
  }
  static std::uint64_t at(GuestBdf bdf, unsigned offset = 0) {
    return std::uint64_t{bdf.value()} << 12 | offset;
  }
  unsigned events() {
    unsigned count = 0;
    while (bus->take_event()) ++count;
    return count;
  }

  RichFunction rich;
  VirtualFunction function;
  std::unique_ptr<Topology> bus = std::make_unique<Topology>();
};

TEST_F(Slots, PlacesAreFixed) {
  EXPECT_EQ(port_of(0), GuestBdf(0, 16, 0));
  EXPECT_EQ(port_of(14), GuestBdf(0, 30, 0));
  EXPECT_EQ(card_of(0), GuestBdf(1, 0, 0));
  EXPECT_EQ(slot_of(GuestBdf(15, 0, 0)), 14u);
  for (const GuestBdf bdf :
       {GuestBdf(0, 0, 0), GuestBdf(16, 0, 0), GuestBdf(1, 1, 0), GuestBdf(1, 0, 1)}) {
    EXPECT_FALSE(slot_of(bdf).has_value());
  }
  EXPECT_EQ(bus->add(GuestBdf(0, 18, 7), &function).error().code, Code::kAlreadyExists);
  EXPECT_TRUE(bus->add(GuestBdf(0, 19, 0), &function));
  EXPECT_EQ(bus->init_slots(16).error(), fail(Code::kOutOfRange, 16));
  EXPECT_EQ(bus->init_slots(4).error(), fail(Code::kAlreadyExists, 19 << 3));
}

// Covers: S3.4 S3.13
TEST_F(Slots, PortsAnswerAndAbsentPlacesReadAllOnes) {
  for (unsigned slot = 0; slot < kMaxSlots; ++slot) {
    const bool there = slot < 3;
    EXPECT_EQ(bus->config_read(at(port_of(slot)), 4), there ? 0x000c'1b36u : 0xffff'ffffu);
    EXPECT_EQ(bus->config_read(at(GuestBdf(0, 16 + slot, 1)), 4), 0xffff'ffffu);
    EXPECT_EQ(bus->slot_state(slot), there ? SlotState::kEmpty : SlotState::kAbsent);
    EXPECT_EQ(bus->plug(slot, nullptr).error(), fail(Code::kNotFound, slot));
    EXPECT_EQ(bus->unplug(slot).error(), fail(Code::kNotFound, slot));
    EXPECT_EQ(bus->request_removal(slot).error(), fail(Code::kNotFound, slot));
    EXPECT_EQ(bus->config_read(at(card_of(slot)), 4), 0xffff'ffffu);
  }
  EXPECT_EQ(bus->find(at(port_of(0))), nullptr);
  EXPECT_EQ(bus->plug(3, &function).error(), fail(Code::kNotFound, 3));
}

TEST_F(Slots, ACardIsFoundWhereItIsAndNowhereElse) {
  ASSERT_TRUE(bus->plug(1, &function));
  EXPECT_EQ(bus->plug(1, &function).error(), fail(Code::kAlreadyExists, 1));
  EXPECT_EQ(bus->find(at(card_of(1), 0xffc)), &function);
  EXPECT_EQ(bus->config_read(at(card_of(1)), 4), 0x10c98086u);
  // Bus 2, whose port is there: no other device, no other function (PCIe 7.3.1).
  for (unsigned devfn = 1; devfn < 256; ++devfn) {
    const GuestBdf other(static_cast<std::uint16_t>(2 << 8 | devfn));
    ASSERT_EQ(bus->config_read(at(other), 4), 0xffff'ffffu) << devfn;
  }
  EXPECT_EQ(bus->config_read(at(card_of(0)), 4), 0xffff'ffffu);
  EXPECT_EQ(bus->config_read(at(card_of(2)), 4), 0xffff'ffffu);
  EXPECT_EQ(bus->config_write(at(card_of(1), 4), 2, 4).size(), 1u);
  static_cast<void>(bus->config_write(at(port_of(1), 0x19), 1, 7));  // the guest renumbers
  EXPECT_EQ(bus->config_read(at(card_of(1)), 4), 0xffff'ffffu);
  EXPECT_EQ(bus->config_read(at(GuestBdf(7, 0, 0)), 4), 0xffff'ffffu);
  EXPECT_TRUE(bus->config_write(at(card_of(1), 4), 2, 0).empty());
}

// Covers: H35 H43
TEST_F(Slots, ATakenCardCannotBeReachedBelowAnyBar) {
  ASSERT_TRUE(bus->plug(0, &function));
  static_cast<void>(bus->config_write(at(card_of(0), 0x10), 8, 0x80'0001'0000));
  static_cast<void>(bus->config_write(at(card_of(0), 4), 2, 2));
  const std::optional<BarHit> hit = bus->find_bar(Gpa(0x80'0001'2010));
  ASSERT_TRUE(hit.has_value());
  EXPECT_EQ(hit->bdf, card_of(0));
  EXPECT_EQ(hit->function, &function);
  ASSERT_TRUE(bus->unplug(0));
  EXPECT_FALSE(bus->find_bar(Gpa(0x80'0001'2010)).has_value());
  EXPECT_EQ(bus->find(at(card_of(0))), nullptr);
  EXPECT_EQ(bus->slot_state(0), SlotState::kEmpty);
}

TEST_F(Slots, EventsSayWhichSlotAndAreTakenOnce) {
  EXPECT_EQ(events(), 0u);
  for (const unsigned slot : {0U, 2U}) {
    ASSERT_TRUE(bus->plug(slot, &function));
    static_cast<void>(bus->config_write(at(port_of(slot), 0x3e), 2, 0x40));
  }
  EXPECT_EQ(bus->take_event().value_or(PortEvent{.slot = 9}).slot, 0u);
  const auto second = bus->take_event();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->slot, 2u);
  EXPECT_TRUE(second->bus_reset);
  EXPECT_EQ(events(), 0u);
  EXPECT_TRUE(bus->request_removal(2));
  EXPECT_TRUE(bus->request_removal(2));  // nobody listens, nobody answers
  EXPECT_EQ(events(), 0u);
  EXPECT_EQ(bus->slot_state(2), SlotState::kRemoving);
  bus->restart();
  EXPECT_TRUE(bus->take_event().value_or(PortEvent{}).let_go);
  EXPECT_EQ(events(), 0u);
  EXPECT_EQ(bus->slot_state(0), SlotState::kOccupied);
  EXPECT_EQ(bus->plug(2, &function).error().code, Code::kAlreadyExists);  // until unplug()
  EXPECT_TRUE(bus->unplug(2));
  EXPECT_EQ(bus->slot_state(2), SlotState::kEmpty);
}

}  // namespace
}  // namespace penstock::vpci
