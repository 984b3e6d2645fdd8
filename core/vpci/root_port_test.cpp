#include "core/vpci/root_port.hpp"

#include <gtest/gtest.h>
#include <linux/pci_regs.h>

namespace penstock::vpci {
namespace {

constexpr unsigned kExpress = 0x40;
constexpr unsigned kSlotControl = kExpress + 0x18;
constexpr unsigned kSlotStatus = kExpress + 0x1a;
constexpr unsigned kLinkStatus = kExpress + 0x12;
constexpr unsigned kMsi = 0x80;
// Slot control and status by the names of Linux' pci_regs.h.
constexpr unsigned kAbpe = 0x1, kPdce = 0x8, kHpie = 0x20, kDllsce = 0x1000;
constexpr unsigned kPwrOn = 0x100, kPwrBlink = 0x200, kPwrOff = 0x300, kPic = 0x300;
constexpr unsigned kAbp = 0x1, kPdc = 0x8, kPds = 0x40, kDllsc = 0x100;
constexpr unsigned kEvents = kAbp | kPdc | kDllsc;
constexpr unsigned kDlla = 0x2000;

namespace express = hw::pci::express;
static_assert(express::slot_capabilities::AttentionButton::kMask == PCI_EXP_SLTCAP_ABP);
static_assert(express::slot_capabilities::PowerIndicator::kMask == PCI_EXP_SLTCAP_PIP);
static_assert(express::slot_capabilities::HotPlugSurprise::kMask == PCI_EXP_SLTCAP_HPS);
static_assert(express::slot_capabilities::HotPlugCapable::kMask == PCI_EXP_SLTCAP_HPC);
static_assert(express::slot_capabilities::NoCommandCompleted::kMask == PCI_EXP_SLTCAP_NCCS);
static_assert(express::slot_capabilities::SlotNumber::kMask == PCI_EXP_SLTCAP_PSN);
static_assert(kAbpe == PCI_EXP_SLTCTL_ABPE && kPdce == PCI_EXP_SLTCTL_PDCE);
static_assert(kHpie == PCI_EXP_SLTCTL_HPIE && kDllsce == PCI_EXP_SLTCTL_DLLSCE);
static_assert(kPic == PCI_EXP_SLTCTL_PIC && kPwrOn == PCI_EXP_SLTCTL_PWR_IND_ON);
static_assert(kPwrBlink == PCI_EXP_SLTCTL_PWR_IND_BLINK && kPwrOff == PCI_EXP_SLTCTL_PWR_IND_OFF);
static_assert(kAbp == PCI_EXP_SLTSTA_ABP && kPdc == PCI_EXP_SLTSTA_PDC);
static_assert(kPds == PCI_EXP_SLTSTA_PDS && kDllsc == PCI_EXP_SLTSTA_DLLSC);
static_assert(kDlla == PCI_EXP_LNKSTA_DLLLA);
static_assert(express::link_capabilities::DataLinkActiveReporting::kMask == PCI_EXP_LNKCAP_DLLLARC);

/// Does to the port what Linux' port bus, MSI and pciehp code do, step by step.
class Linux {
 public:
  explicit Linux(RootPort& port) : port_(port) {}
  unsigned read(unsigned offset) const {
    return static_cast<unsigned>(port_.config_read(offset, 2));
  }
  void write(unsigned offset, unsigned value) { port_.config_write(offset, 2, value); }
  void change(unsigned set, unsigned mask) {
    write(kSlotControl, (read(kSlotControl) & ~mask) | set);
  }
  void start() {
    write(4, 0x0406);
    port_.config_write(kMsi + 4, 4, 0x0808'0040);
    port_.config_write(kMsi + 8, 4, 0);
    write(kMsi + 0xc, 7);
    write(kMsi + 2, 0x0081);
    write(kSlotStatus, 0x11f);
    change(kDllsce | kAbpe | kHpie, kDllsce | kAbpe | kPdce | kHpie | 0x12);
  }
  /// The interrupt handler: events until there are none.
  unsigned handle() {
    unsigned events = 0;
    while (const unsigned status = read(kSlotStatus) & kEvents) {
      events |= status;
      write(kSlotStatus, status);
    }
    return events;
  }
  void indicate(unsigned indicator) { change(indicator, kPic); }

 private:
  RootPort& port_;
};

class RootPortTest : public ::testing::Test {
 protected:
  RootPortTest() { port.init(2); }
  /// The message that is due, else none; nothing else may be.
  bool interrupted() {
    const auto event = port.take_event();
    if (!event) return false;
    EXPECT_TRUE(event->message && !event->let_go && !event->bus_reset);
    EXPECT_EQ(event->slot, 2);
    EXPECT_EQ(event->address, 0x0808'0040u);
    EXPECT_EQ(event->data, 7u);
    return true;
  }
  void number_buses() { port.config_write(0x18, 4, 0x0003'0300); }

  RootPort port;
  Linux linux_guest{port};
};

TEST_F(RootPortTest, IsABridgeWithASlotThatStockDriversKnow) {
  EXPECT_LT(sizeof(RootPort), 600u);
  EXPECT_EQ(port.config_read(0, 4), 0x000c'1b36u);
  EXPECT_EQ(port.config_read(4, 4), 0x0010'0000u);
  EXPECT_EQ(port.config_read(8, 4), 0x0604'0000u);
  EXPECT_EQ(port.config_read(0xe, 1), 1u);
  EXPECT_EQ(port.config_read(0x10, 8), 0u);  // no BARs, no ROM, no INTx
  EXPECT_EQ(port.config_read(0x38, 4), 0u);
  EXPECT_EQ(port.config_read(0x3d, 1), 0u);
  EXPECT_EQ(port.config_read(0x34, 1), kExpress);
  EXPECT_EQ(port.config_read(kExpress, 4), 0x0142'8010u);
  EXPECT_EQ(port.config_read(kExpress + 0xc, 4), 0x0310'0105u);
  EXPECT_EQ(port.config_read(kExpress + 0x14, 4), 3u << 19 | 0x4'0071u);
  EXPECT_EQ(port.config_read(kMsi, 4), 0x0080'0005u);
  EXPECT_EQ(port.config_read(kMsi + 0x10, 8), 0u);
  EXPECT_EQ(port.config_read(0x100, 4), 0u);
  EXPECT_EQ(port.config_read(4094, 4), 0xffff'0000u);
  EXPECT_EQ(port.config_read(8000, 8), ~0ULL);
}

// Covers: S3.13
TEST_F(RootPortTest, EveryWriteKeepsWhatIsReadOnlyAtEverySize) {
  for (const unsigned size : {1U, 2U, 4U, 8U}) {
    for (unsigned at = 0; at < 0x110; ++at) {
      port.config_write(at, size, ~0ULL);
      port.config_write(at, size, 0x5555'5555'5555'5555);
      port.config_write(at, size, 0);
    }
  }
  while (port.take_event()) {
  }
  EXPECT_EQ(port.config_read(0, 4), 0x000c'1b36u);
  EXPECT_EQ(port.config_read(8, 4), 0x0604'0000u);
  EXPECT_EQ(port.config_read(0x34, 1), kExpress);
  EXPECT_EQ(port.config_read(kExpress, 4), 0x0142'8010u);
  EXPECT_EQ(port.config_read(kExpress + 0x14, 4), 3u << 19 | 0x4'0071u);
  EXPECT_EQ(port.config_read(kMsi, 4), 0x0080'0005u);
  EXPECT_NE(linux_guest.read(kSlotControl) & kPic, 0u);  // 0 is reserved and changes nothing
}

TEST_F(RootPortTest, WindowsAreAsWide64BitPrefetchableAndWithoutIo) {
  port.config_write(0x1c, 2, 0xe0f0);
  EXPECT_EQ(port.config_read(0x1c, 2), 0u);
  EXPECT_EQ(port.config_read(0x20, 4), 0x0000'fff0u);  // base above limit: closed
  port.config_write(0x20, 4, 0x1010'1000);
  EXPECT_EQ(port.config_read(0x20, 4), 0x1010'1000u);
  port.config_write(0x24, 4, 0xffe0'fff0);
  EXPECT_EQ(port.config_read(0x24, 4), 0xffe1'fff1u);
  port.config_write(0x28, 8, 0x80'0000'0081);
  EXPECT_EQ(port.config_read(0x28, 8), 0x80'0000'0081u);
}

TEST_F(RootPortTest, OnlyTheFixedNumberIsForwarded) {
  EXPECT_FALSE(port.forwards());
  number_buses();
  EXPECT_FALSE(port.forwards());  // nobody is there
  port.plug();
  EXPECT_TRUE(port.forwards());
  for (unsigned bus = 0; bus < 256; ++bus) {
    port.config_write(0x19, 1, bus);
    EXPECT_EQ(port.forwards(), bus == 3) << bus;
  }
}

TEST_F(RootPortTest, PluggingRaisesOneMessageAndTheLink) {
  linux_guest.start();
  number_buses();
  EXPECT_FALSE(interrupted());
  port.plug();
  EXPECT_TRUE(interrupted());
  EXPECT_FALSE(interrupted());
  EXPECT_EQ(linux_guest.handle(), kPdc | kDllsc);
  EXPECT_FALSE(interrupted());
  EXPECT_NE(linux_guest.read(kSlotStatus) & kPds, 0u);
  EXPECT_EQ(linux_guest.read(kLinkStatus), 0x3105u);
  EXPECT_TRUE(port.forwards());
  // The guest works on it; nothing of that is an event.
  linux_guest.indicate(kPwrBlink);
  linux_guest.indicate(kPwrOn);
  EXPECT_FALSE(interrupted());
  EXPECT_EQ(port.state(), SlotState::kOccupied);
}

TEST_F(RootPortTest, ARemovalIsAskedForAndAnswered) {
  linux_guest.start();
  port.plug();
  static_cast<void>(linux_guest.handle());
  linux_guest.indicate(kPwrOn);
  static_cast<void>(port.take_event());
  port.request_removal();
  EXPECT_EQ(port.state(), SlotState::kRemoving);
  EXPECT_TRUE(interrupted());
  EXPECT_EQ(linux_guest.handle(), kAbp);
  linux_guest.indicate(kPwrBlink);  // for five seconds
  EXPECT_FALSE(interrupted());
  EXPECT_EQ(port.state(), SlotState::kRemoving);
  EXPECT_NE(linux_guest.read(kLinkStatus) & kDlla, 0u);  // the driver has its device to the last
  linux_guest.indicate(kPwrOff);
  const auto event = port.take_event();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->let_go);
  EXPECT_TRUE(event->message);
  EXPECT_EQ(port.state(), SlotState::kReleased);
  // It finds nothing there, before the device's reset is done, so it does not switch it on again.
  EXPECT_EQ(linux_guest.handle(), kPdc | kDllsc);
  EXPECT_EQ(linux_guest.read(kSlotStatus) & kPds, 0u);
  EXPECT_EQ(linux_guest.read(kLinkStatus) & kDlla, 0u);
  port.unplug();
  EXPECT_EQ(port.state(), SlotState::kEmpty);
  EXPECT_EQ(linux_guest.handle(), 0u);
  EXPECT_FALSE(interrupted());
  port.plug();
  EXPECT_TRUE(interrupted());
}

TEST_F(RootPortTest, ARequestWaitsUntilTheGuestNoLongerWorksOnTheLastChange) {
  linux_guest.start();
  port.plug();
  static_cast<void>(linux_guest.handle());
  linux_guest.indicate(kPwrBlink);
  static_cast<void>(port.take_event());
  port.request_removal();
  EXPECT_FALSE(interrupted());  // a press would be ignored now
  EXPECT_EQ(linux_guest.handle(), 0u);
  linux_guest.indicate(kPwrOn);
  EXPECT_TRUE(interrupted());
  EXPECT_EQ(linux_guest.handle(), kAbp);
  // On again without having been off: the guest changed its mind, and a deadline will say so.
  linux_guest.indicate(kPwrBlink);
  linux_guest.indicate(kPwrOn);
  EXPECT_EQ(linux_guest.handle(), 0u);
  EXPECT_EQ(port.state(), SlotState::kRemoving);
}

TEST_F(RootPortTest, ARequestWaitsForADriver) {
  port.plug();
  EXPECT_EQ(linux_guest.read(kSlotControl) & kPic, kPwrOn);  // as from reset
  port.request_removal();
  EXPECT_EQ(port.state(), SlotState::kRemoving);
  EXPECT_EQ(linux_guest.read(kSlotStatus) & kAbp, 0u);
  linux_guest.start();  // clears old events first
  EXPECT_TRUE(interrupted());
  EXPECT_EQ(linux_guest.handle(), kAbp);
}

TEST_F(RootPortTest, WhatTheGuestHasNotBegunToUseIsLetGoAtOnce) {
  linux_guest.start();
  port.plug();
  port.request_removal();
  const auto event = port.take_event();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->let_go);
  EXPECT_EQ(port.state(), SlotState::kReleased);
  EXPECT_EQ(linux_guest.read(kSlotStatus) & kPds, 0u);
}

TEST_F(RootPortTest, ASurpriseTakesPresenceAndLinkAtOnce) {
  linux_guest.start();
  number_buses();
  port.plug();
  static_cast<void>(linux_guest.handle());
  linux_guest.indicate(kPwrOn);
  static_cast<void>(port.take_event());
  port.unplug();
  EXPECT_EQ(port.state(), SlotState::kEmpty);
  EXPECT_FALSE(port.forwards());
  EXPECT_TRUE(interrupted());
  EXPECT_EQ(linux_guest.handle(), kPdc | kDllsc);
  EXPECT_EQ(linux_guest.read(kLinkStatus) & kDlla, 0u);
  linux_guest.indicate(kPwrOff);
  EXPECT_FALSE(interrupted());
}

TEST_F(RootPortTest, AMessageNeedsEveryoneOfItsConditions) {
  linux_guest.start();
  struct {
    unsigned offset, without;
  } const kConditions[] = {
      {4, 0x0402},                              // bus mastering
      {kMsi + 2, 0x0080},                       // MSI
      {kSlotControl, kDllsce | kPwrOff},        // hot-plug interrupt
      {kSlotControl, kHpie | kAbpe | kPwrOff},  // this event's own: neither PDC nor DLLSC
  };
  for (const auto& condition : kConditions) {
    const unsigned with = linux_guest.read(condition.offset);
    linux_guest.write(condition.offset, condition.without);
    port.plug();
    EXPECT_FALSE(interrupted());
    linux_guest.write(condition.offset, with);  // the last of them makes the message
    EXPECT_TRUE(interrupted());
    EXPECT_NE(linux_guest.handle(), 0u);
    port.unplug();
    static_cast<void>(port.take_event());
    static_cast<void>(linux_guest.handle());
  }
}

TEST_F(RootPortTest, AMessageComesAgainOnlyAfterAllEventsAreCleared) {
  linux_guest.start();
  linux_guest.change(kPdce, kPdce);
  port.plug();
  EXPECT_TRUE(interrupted());
  linux_guest.write(kSlotStatus, kPdc);
  EXPECT_FALSE(interrupted());
  port.unplug();  // another event while one is left
  EXPECT_FALSE(interrupted());
  linux_guest.write(kSlotStatus, kPdc | kDllsc);
  port.plug();
  EXPECT_TRUE(interrupted());
}

TEST_F(RootPortTest, ABusResetIsToldOnceAndHoldsTheLinkDown) {
  number_buses();
  port.config_write(0x3e, 2, 0x40);
  EXPECT_FALSE(port.take_event().has_value());  // nothing to reset
  port.config_write(0x3e, 2, 0);
  port.plug();
  port.config_write(0x3e, 2, 0x40);
  const auto event = port.take_event();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->bus_reset);
  EXPECT_FALSE(event->message);
  EXPECT_FALSE(port.forwards());
  port.config_write(0x3e, 2, 0x43);
  EXPECT_FALSE(port.take_event().has_value());
  port.config_write(0x3e, 2, 0);
  EXPECT_FALSE(port.take_event().has_value());
  EXPECT_TRUE(port.forwards());
  EXPECT_NE(linux_guest.read(kSlotStatus) & kDllsc, 0u);
  port.config_write(kExpress + 0x10, 2, 0x10);  // link disable
  EXPECT_FALSE(port.forwards());
}

TEST_F(RootPortTest, ARestartForgetsTheGuestAndAnswersARequest) {
  linux_guest.start();
  number_buses();
  port.plug();
  linux_guest.indicate(kPwrOn);
  port.reset();
  EXPECT_EQ(linux_guest.read(kSlotControl), kPwrOn);
  EXPECT_EQ(linux_guest.read(kSlotStatus), kPds);
  EXPECT_EQ(port.config_read(0x18, 4), 0u);
  EXPECT_FALSE(port.take_event().has_value());
  linux_guest.start();
  port.request_removal();
  static_cast<void>(port.take_event());
  port.reset();
  const auto event = port.take_event();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(event->let_go);
  EXPECT_EQ(linux_guest.read(kSlotStatus), 0u);
  EXPECT_EQ(linux_guest.read(kSlotControl), kPwrOff);
  port.reset();
  EXPECT_FALSE(port.take_event().has_value());
  EXPECT_EQ(port.state(), SlotState::kReleased);
  port.unplug();
  EXPECT_EQ(port.state(), SlotState::kEmpty);
}

}  // namespace
}  // namespace penstock::vpci
