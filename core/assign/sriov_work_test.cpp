// What a guest asks of its physical function's virtual functions, done later and without locks.
#include <gtest/gtest.h>

#include <functional>

#include "core/assign/test_slot_board.hpp"
#include "sim/pci/sriov.hpp"

namespace penstock::assign {
namespace {

constexpr unsigned kSlot = 0;
constexpr GuestBdf kCard = vpci::card_of(kSlot);
constexpr unsigned kControl = 0x08, kNumVfs = 0x10;  // PCIe 9.3.3

/// Notes what it is asked for, and that no lock of the devices is held then.
class FakeSriov final : public SriovHost {
 public:
  Status enable(Device& pf, unsigned count) override {
    last = &pf;
    note("enable " + std::to_string(count));
    if (refuses) return fail(Code::kTimeout);
    return {};
  }
  void disable(Device& /*pf*/) override { note("disable"); }
  void after_reset(Device& /*pf*/) override { note("after reset"); }

  /// Since the last call.
  std::vector<std::string> asked() { return std::exchange(log_, {}); }
  DeviceSet* devices = nullptr;
  const sim::PciFunction* model = nullptr;
  const Device* last = nullptr;  // whose were switched on
  unsigned resets = 0;           // of the physical function when it was asked last
  std::function<void()> during;  // what another CPU does while it enables
  bool refuses = false;

 private:
  void note(std::string what) {
    log_.push_back(std::move(what));
    (void)devices->free_slot();  // takes the lock
    resets = model->resets();
    if (log_.back().starts_with("enable") && during) std::exchange(during, {})();
  }
  std::vector<std::string> log_;
};

using Asked = std::vector<std::string>;

/// Red runs and has a physical function with four virtual ones.
struct Sriov : testing::Test {
  Sriov() {
    EXPECT_TRUE(board.start_with_slots(&host));
    auto part = sim::nvme_with_vfs(4);
    at = part->sriov_at();
    model = &board.plug(1, std::move(part));
    board.plug(3, sim::nvme_with_vfs(4));
    EXPECT_TRUE(board.enumerate());
    facts.vfs = 4;
    facts.bars[0] = {.size = 0x4000, .is64 = true};
    pf = &board.device(1, {.guest = kCard});
    pf->sriov = &facts;
    host.devices = &red().devices;
    host.model = model;
    EXPECT_TRUE(board.ok);
    red().start_its();
    EXPECT_TRUE(red().devices.assign_all());
    PortDriver(board, 0, kSlot).number_buses();
    EXPECT_TRUE(board.attach(0, *pf, kCard));
  }
  ~Sriov() override {
    EXPECT_EQ(board.wrong(), "");
    EXPECT_EQ(board.violation(), "");
  }
  TestDomain& red() { return *board.domains[0]; }
  void ask(unsigned vfs, GuestBdf card = kCard) {
    if (vfs != 0) red().set_config(card, at + kNumVfs, 2, vfs);
    red().set_config(card, at + kControl, 2, vfs != 0 ? 1 : 0);
  }
  /// As the guest's CPU comes back for it; at most this many stays.
  void work(unsigned stays) {
    for (unsigned i = 0; i < stays && red().devices.has_work(); ++i) red().devices.do_work();
    EXPECT_FALSE(red().devices.has_work());
  }
  void switch_on(unsigned vfs) {
    ask(vfs);
    EXPECT_TRUE(red().devices.has_work());
    red().devices.do_work();
    EXPECT_EQ(host.asked(), Asked{"enable " + std::to_string(vfs)});
    EXPECT_TRUE(is_on());
  }
  bool is_on() { return (red().config(kCard, at + kControl, 2) & 1) != 0; }
  /// What the guest finds where a VF would be.
  std::uint64_t class_of(unsigned function) {
    return red().config(GuestBdf(kCard.bus(), 0, function), 8, 4);
  }
  void start_flr() {
    const unsigned express = red().capability(kCard, 0x10);
    red().set_config(kCard, express + 8, 2, red().config(kCard, express + 8, 2) | 0x8000);
  }

  SlotBoard board;
  FakeSriov host;
  vpci::SriovFacts facts;
  sim::SriovPf* model = nullptr;
  Device* pf = nullptr;
  unsigned at = 0;
};

TEST_F(Sriov, VirtualFunctionsComeAndGoOutsideTheTrap) {
  ASSERT_EQ(red().config(kCard, at, 2), 0x10U);
  EXPECT_EQ(red().config(kCard, at + 0xe, 2), 4U);  // TotalVFs
  ask(3);
  EXPECT_EQ(host.asked(), Asked{});  // not within the guest's access
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{"enable 3"});
  EXPECT_FALSE(red().devices.has_work());
  EXPECT_TRUE(is_on());
  EXPECT_EQ(class_of(3), 0xff00'0000U);
  EXPECT_EQ(class_of(4), 0xffff'ffffU);
  EXPECT_EQ(model->vfs_on(), 0U);  // the guest's write is not the hardware's
  ask(0);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{"disable"});
  EXPECT_EQ(class_of(1), 0xffff'ffffU);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{});
}

TEST_F(Sriov, OnceMoreBeforeTheWorkIsDoneOnlyTheLastCounts) {
  ask(2);
  ask(0);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{"disable"});
  EXPECT_FALSE(is_on());
}

TEST_F(Sriov, WhatCannotBeSwitchedOnReadsOff) {
  host.refuses = true;
  ask(3);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{"enable 3"});
  EXPECT_FALSE(is_on());
  EXPECT_EQ(class_of(1), 0xffff'ffffU);
  host.refuses = false;
  switch_on(4);
}

// Covers: S3.18
TEST_F(Sriov, AResetWaitsForTheVirtualFunctionsToGo) {
  switch_on(2);
  const unsigned resets = model->resets();
  start_flr();
  EXPECT_EQ(model->resets(), resets);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), (Asked{"disable", "after reset"}));
  EXPECT_EQ(model->resets(), resets + 1);
  EXPECT_FALSE(is_on());
  start_flr();  // without any on, at once
  EXPECT_EQ(model->resets(), resets + 2);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{});
}

TEST_F(Sriov, SoDoesAResetByThePort) {
  switch_on(2);
  const unsigned resets = model->resets();
  PortDriver port(board, 0, kSlot);
  port.hold_bus_in_reset(true);
  EXPECT_EQ(model->resets(), resets);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), (Asked{"disable", "after reset"}));
  EXPECT_EQ(model->resets(), resets + 1);
  port.hold_bus_in_reset(false);
  EXPECT_FALSE(is_on());
}

// Covers: S3.11 S3.20
TEST_F(Sriov, AResetIsNotForgottenForWhatIsAskedForAfterIt) {
  switch_on(2);
  unsigned resets = model->resets();
  start_flr();
  ask(2);
  work(2);
  EXPECT_EQ(host.asked(), (Asked{"disable", "after reset", "enable 2"}));
  EXPECT_EQ(model->resets(), resets + 1);
  EXPECT_TRUE(is_on());
  // Nor when all of it is asked while they come.
  PortDriver port(board, 0, kSlot);
  for (const bool bus : {false, true}) {
    resets = model->resets();
    host.during = [&] {
      if (bus) {
        port.hold_bus_in_reset(true);
        port.hold_bus_in_reset(false);
      } else {
        start_flr();
      }
      ask(2);
    };
    ask(0);
    ask(1);
    work(3);
    EXPECT_EQ(model->resets(), resets + 1) << bus;
    EXPECT_EQ(host.asked().back(), "enable 2") << bus;
  }
}

TEST_F(Sriov, OnItsWayOutItGetsNoMore) {
  PortDriver port(board, 0, kSlot);
  port.start(8192);
  port.indicate(PortDriver::kOn);
  switch_on(2);
  const unsigned resets = model->resets();
  ASSERT_TRUE(red().devices.detach(*pf, false));
  EXPECT_EQ(host.asked(), Asked{"disable"});
  EXPECT_FALSE(is_on());
  EXPECT_EQ(class_of(1), 0xffff'ffffU);
  ask(2);
  EXPECT_FALSE(is_on());
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{});
  port.indicate(PortDriver::kOff);
  EXPECT_EQ(host.asked(), Asked{});
  EXPECT_EQ(model->resets(), resets + 1);
  EXPECT_EQ(pf->domain.load(), kNobody);
  ASSERT_TRUE(board.attach(0, *pf, kCard));
  switch_on(1);
}

TEST_F(Sriov, WhatWasAskedForBeforeTheDetachIsNotDoneAfterIt) {
  PortDriver port(board, 0, kSlot);
  port.start(8192);
  port.indicate(PortDriver::kOn);
  ask(2);
  ASSERT_TRUE(red().devices.detach(*pf, false));
  EXPECT_EQ(host.asked(), Asked{"disable"});
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{});
  EXPECT_FALSE(is_on());
}

// Covers: H44
TEST_F(Sriov, ADetachWhileTheyComeTakesThemAway) {
  for (const bool force : {true, false}) {
    if (pf->state != DeviceState::kAssigned) ASSERT_TRUE(board.attach(0, *pf, kCard));
    PortDriver port(board, 0, kSlot);
    port.start(8192);
    port.indicate(PortDriver::kOn);
    host.during = [&] { EXPECT_TRUE(red().devices.detach(*pf, force)); };
    ask(2);
    red().devices.do_work();
    EXPECT_EQ(host.asked(), (Asked{"enable 2", "disable", "disable"})) << force;
    EXPECT_FALSE(is_on() && !force);
    EXPECT_EQ(pf->state == DeviceState::kAssigned, !force);
    EXPECT_EQ(board.wrong(), "");
  }
}

TEST_F(Sriov, ADetachThatIsRefusedLeavesTheVirtualFunctions) {
  switch_on(2);
  EXPECT_EQ(board.domains[1]->devices.detach(*pf, true).error().code, Code::kNotFound);
  EXPECT_EQ(host.asked(), Asked{});
  EXPECT_TRUE(is_on());
  ask(0);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{"disable"});
  switch_on(3);
}

TEST_F(Sriov, ADomainThatStopsLosesThemBeforeItsDevicesAreTaken) {
  switch_on(2);
  const unsigned resets = model->resets();
  red().devices.stop_virtual_functions();
  EXPECT_EQ(host.asked(), Asked{"disable"});
  EXPECT_EQ(host.resets, resets);
  ask(0);
  ask(2);
  red().devices.do_work();  // of a CPU that runs on for a moment
  for (const std::string& what : host.asked()) EXPECT_EQ(what, "disable");
  red().devices.take_all_back();
  EXPECT_EQ(model->resets(), resets + 1);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{});
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.assign_all());
  PortDriver(board, 0, kSlot).number_buses();
  switch_on(2);
}

TEST_F(Sriov, OnBusZeroThePlacesOfVirtualFunctionsCouldBeOthers) {
  ASSERT_TRUE(red().devices.detach(*pf, true));
  host.asked();
  ASSERT_TRUE(board.attach(0, *pf, GuestBdf(0, 1, 0)));
  EXPECT_NE(red().config(GuestBdf(0, 1, 0), at, 2), 0x10U);
}

// Covers: H51
TEST_F(Sriov, AGuestThatAsksOnAndOnHasOneTurnForEachStay) {
  unsigned asked = 0;
  std::function<void()> again = [&] {  // the guest's other CPU, while this one waits for the VFs
    if (++asked == 100) return;
    ask(0);
    ask(1 + asked % 4);
    host.during = again;
  };
  ask(1);
  host.during = again;
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{"enable 1"});
  EXPECT_TRUE(red().devices.has_work());
  red().devices.do_work();
  EXPECT_EQ(host.asked(), Asked{"enable 2"});
  EXPECT_EQ(asked, 2U);
  host.during = {};
}

// Covers: H51
TEST_F(Sriov, OneThatAsksOnAndOnDoesNotKeepAnotherWaiting) {
  constexpr GuestBdf kOtherCard = vpci::card_of(kSlot + 1);
  Device& other = board.device(3, {.guest = kOtherCard});
  other.sriov = &facts;
  PortDriver(board, 0, kSlot + 1).number_buses();
  ASSERT_TRUE(board.attach(0, other, kOtherCard));
  ask(1);
  ask(1, kOtherCard);
  red().devices.do_work();
  const bool other_was_first = host.last == &other;
  ask(0, other_was_first ? kOtherCard : kCard);
  ask(2, other_was_first ? kOtherCard : kCard);
  red().devices.do_work();
  EXPECT_EQ(host.last, other_was_first ? pf : &other);
  red().devices.do_work();
  EXPECT_EQ(host.asked(), (Asked{"enable 1", "enable 1", "enable 2"}));
}

// Covers: H51
TEST_F(Sriov, WhatAnotherCpuAsksForWhileOneIsAtItIsNoWorkForAThird) {
  bool others_work = true;
  host.during = [&] {
    ask(0);
    ask(3);
    others_work = red().devices.has_work();
  };
  ask(2);
  red().devices.do_work();
  EXPECT_FALSE(others_work) << "it would come again and again, for nothing";
  EXPECT_TRUE(red().devices.has_work());
  work(1);
  EXPECT_EQ(host.asked(), (Asked{"enable 2", "enable 3"}));
}

}  // namespace
}  // namespace penstock::assign
