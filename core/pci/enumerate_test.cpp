#include "core/pci/enumerate.hpp"

#include <gtest/gtest.h>

#include <map>

#include "core/pci/isolation.hpp"
#include "core/pci/probe.hpp"
#include "core/pci/test_board.hpp"

namespace penstock::pci {
namespace {

/// What must hold of any layout: BARs in their window, aligned, apart from one another, and reached
/// through the bridges.
void expect_sound(TestBoard& board) {
  std::map<std::uint64_t, std::uint64_t> taken;
  for (const FunctionInfo& info : board.inventory.functions) {
    for (const Bar& bar : info.bars) {
      if (bar.size == 0 || bar.io) continue;
      EXPECT_EQ(bar.bus % bar.size, 0U);
      EXPECT_EQ(bar.bus % kPageSize, 0U);
      const bool low = fits(bar.bus - TestBoard::kMem32.bus, bar.size, TestBoard::kMem32.size);
      const bool high = fits(bar.bus - TestBoard::kMem64.bus, bar.size, TestBoard::kMem64.size);
      EXPECT_TRUE(low || (high && bar.is64));
      EXPECT_EQ(bar.host.value(), bar.bus);
      const auto next = taken.lower_bound(bar.bus);
      if (next != taken.end()) EXPECT_LE(bar.bus + bar.size, next->first);
      if (next != taken.begin()) {
        const auto before = std::prev(next);
        EXPECT_LE(before->first + before->second, bar.bus);
      }
      taken[bar.bus] = bar.size;
      (void)board.host.memory_read(bar.bus, 4);
      (void)board.host.memory_read(bar.bus + bar.size - 4, 4);
    }
  }
  EXPECT_EQ(board.host.unclaimed(), 0U);
  EXPECT_TRUE(board.host.violations().empty());
}

/// A function with a 64-bit BAR of 1 MiB in its first registers, and one in its last register that
/// has no upper half.
class OddFunction final : public port::ConfigSpace {
 public:
  OddFunction() {
    words_[0x00 / 4] = 0x0001'1234;
    words_[0x08 / 4] = 0x0200'0007;
    words_[0x10 / 4] = 0x3450'000c;
    words_[0x14 / 4] = 0x12;
    words_[0x24 / 4] = 0x5000'0004;
  }
  std::uint32_t read(unsigned offset, unsigned size) override {
    const std::uint64_t word = words_[offset / 4] >> (offset % 4 * 8);
    return static_cast<std::uint32_t>(word & ((std::uint64_t{1} << (8 * size)) - 1));
  }
  void write(unsigned offset, unsigned /*size*/, std::uint32_t value) override {
    if (offset == 0x10) words_[4] = (value & 0xfff0'0000) | 0xc;
    if (offset == 0x14) words_[5] = value;
    if (offset == 0x24) words_[9] = (value & 0xffff'f000) | 0x4;
    beyond |= offset == 0x28;
  }
  bool beyond = false;  // what is no BAR was written

 private:
  std::array<std::uint32_t, 1024> words_{};
};

TEST(Probe, SaysWhatIsThereAndLeavesItAsItWas) {
  OddFunction function;
  const auto info = probe(HostBdf(0, 1, 0), function);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->revision, 7U);
  EXPECT_TRUE(info->bars[0].is64);
  EXPECT_EQ(info->bars[0].size, 1 * kMiB);
  EXPECT_EQ(info->bars[0].bus, 0x12'3450'0000U);
  EXPECT_FALSE(info->bars[5].is64) << "there is no register for its upper half";
  EXPECT_EQ(info->bars[5].size, 4096U);
  EXPECT_EQ(info->bars[5].bus, 0x5000'0000U);
  EXPECT_FALSE(function.beyond);
  EXPECT_EQ(function.read(0x10, 4), 0x3450'000cU);
  EXPECT_EQ(function.read(0x14, 4), 0x12U);
}

// Covers: S3.25
TEST(Enumerate, FindsAndAssignsWhatFirmwareLeftEmpty) {
  TestBoard board;
  auto& nvme = board.plug(board.host.root(), 1, 0, sim::nvme_like());
  auto& igb = board.plug(board.host.root(), 2, 0, sim::igb_like());
  auto& edu = board.plug(board.host.root(), 3, 0, std::make_unique<sim::EduLike>());
  ASSERT_TRUE(board.enumerate());
  ASSERT_EQ(board.inventory.functions.size(), 3U);
  expect_sound(board);

  const FunctionInfo& first = board.inventory.functions[0];
  EXPECT_EQ(first.bdf, HostBdf(0, 1, 0));
  EXPECT_EQ(first.vendor, 0x1b36);
  EXPECT_EQ(first.class_code, 0x01'0802U);
  EXPECT_EQ(first.bars[0].size, 0x4000U);
  EXPECT_TRUE(first.bars[0].is64);
  EXPECT_EQ(first.bars[0].bus, nvme.bar_address(0));
  EXPECT_TRUE(first.flr);
  EXPECT_NE(first.msix, 0);
  EXPECT_EQ(first.rom_bytes, 0U);

  const FunctionInfo& second = board.inventory.functions[1];
  EXPECT_TRUE(second.bars[2].io);
  EXPECT_EQ(second.bars[3].bus, igb.bar_address(3));
  EXPECT_EQ(second.rom_bytes, 0x1'0000U);
  EXPECT_TRUE(second.sriov);
  EXPECT_EQ(igb.peek(0x30, 4), 0U);

  const FunctionInfo& third = board.inventory.functions[2];
  EXPECT_FALSE(third.express);
  EXPECT_FALSE(third.flr);
  for (const sim::PciFunction* f : {&nvme, &igb, static_cast<sim::PciFunction*>(&edu)}) {
    EXPECT_TRUE(f->memory_enabled());
    EXPECT_FALSE(f->bus_master());
    EXPECT_NE(f->peek(4, 2) & 0x400U, 0U);
    EXPECT_EQ(f->peek(4, 2) & 1U, 0U);
  }
}

TEST(Enumerate, GoesThroughBridgesDepthFirst) {
  TestBoard board;
  auto& port1 = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  auto& port2 = board.plug(board.host.root(), 2, 0, sim::pcie_root_port(board.host));
  auto& to_pci = board.plug(port1.secondary_bus(), 0, 0, sim::pcie_pci_bridge(board.host));
  board.plug(to_pci.secondary_bus(), 5, 0, std::make_unique<sim::EduLike>());
  board.plug(port2.secondary_bus(), 0, 0, sim::nvme_like());
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(port1.secondary(), 1U);
  EXPECT_EQ(port1.subordinate(), 2U);
  EXPECT_EQ(to_pci.secondary(), 2U);
  EXPECT_EQ(port2.secondary(), 3U);
  EXPECT_NE(find(board.inventory, HostBdf(2, 5, 0)), nullptr);
  EXPECT_NE(find(board.inventory, HostBdf(3, 0, 0)), nullptr);
  EXPECT_TRUE(port1.bus_master());
  EXPECT_TRUE(port1.memory_enabled());
  expect_sound(board);
  // A 64-bit BAR that is not prefetchable cannot be behind the 64-bit window.
  EXPECT_LT(find(board.inventory, HostBdf(3, 0, 0))->bars[0].bus, 4 * kGiB);
}

TEST(Enumerate, BusNumbersThatFirmwareLeftDoNotConfuseIt) {
  TestBoard board;
  auto& port1 = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  auto& port2 = board.plug(board.host.root(), 2, 0, sim::pcie_root_port(board.host));
  board.plug(port1.secondary_bus(), 0, 0, sim::nvme_like());
  board.plug(port2.secondary_bus(), 0, 0, sim::igb_like());
  port2.config_write(0x18, 4, 0x0003'0100);
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(find(board.inventory, HostBdf(1, 0, 0))->device, 0x0010);
  EXPECT_EQ(find(board.inventory, HostBdf(2, 0, 0))->device, 0x10c9);
  expect_sound(board);
}

// Covers: H43
TEST(Enumerate, ABarBeyondFourGigabytesKeepsAllItsBits) {
  TestBoard board;
  auto big = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1af4, 0x1110, 0x05'0000});
  big->add_bar(2, 8 * kGiB, {.is64 = true, .prefetchable = true});
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  auto& device = board.plug(port.secondary_bus(), 0, 0, std::move(big));
  ASSERT_TRUE(board.enumerate());
  const Bar& bar = find(board.inventory, HostBdf(1, 0, 0))->bars[2];
  EXPECT_EQ(bar.size, 8 * kGiB);
  EXPECT_EQ(bar.host, Hpa(0x80'0000'0000));
  EXPECT_EQ(device.bar_address(2), 0x80'0000'0000U);
  EXPECT_EQ(port.peek(0x28, 4), 0x80U) << "what the port forwards begins there, too";
  EXPECT_EQ(port.peek(0x2c, 4), 0x81U);
  expect_sound(board);
}

TEST(Enumerate, LargestFirstWithoutOverlapOnABusyBus) {
  TestBoard board;
  for (unsigned i = 0; i < 20; ++i) {
    auto f = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 0x5678, 0x02'0000});
    f->add_bar(0, std::uint64_t{16} << i, {});
    f->add_bar(2, std::uint64_t{4096} << (19 - i), {.is64 = true, .prefetchable = i % 2 == 0});
    board.plug(board.host.root(), i + 1, 0, std::move(f));
  }
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.functions.size(), 20U);
  expect_sound(board);
}

TEST(Enumerate, NoRoomMeansNoDecoding) {
  TestBoard board;
  auto huge = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 0x0001, 0x03'0000});
  huge->add_bar(0, 2 * kGiB, {});
  huge->add_bar(1, 4096, {});
  auto& device = board.plug(board.host.root(), 1, 0, std::move(huge));
  board.plug(board.host.root(), 2, 0, sim::nvme_like());
  ASSERT_TRUE(board.enumerate());
  EXPECT_FALSE(board.inventory.functions[0].placed);
  EXPECT_EQ(board.inventory.functions[0].bars[1].size, 0U);
  EXPECT_FALSE(device.memory_enabled());
  expect_sound(board);
}

// Covers: H31
TEST(Enumerate, BrokenCapabilityListsEndTheWalk) {
  TestBoard board;
  auto loop = sim::nvme_like();
  loop->poke(0x41, 1, 0x40);  // the first capability points at itself
  auto far = sim::nvme_like();
  far->poke(0x34, 1, 0x04);  // the list begins inside the header
  auto extended = sim::nvme_like();
  extended->poke(0x100, 4, 0x1000'0001U | 0x1'0000U);
  board.plug(board.host.root(), 1, 0, std::move(loop));
  board.plug(board.host.root(), 2, 0, std::move(far));
  board.plug(board.host.root(), 3, 0, std::move(extended));
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.functions.size(), 3U);
  EXPECT_EQ(board.inventory.functions[1].msix, 0);
  EXPECT_TRUE(board.host.violations().empty());
}

TEST(Enumerate, UnknownHeadersHaveNoBars) {
  TestBoard board;
  auto cardbus = sim::nvme_like();
  cardbus->poke(0x0e, 1, 2);
  auto& device = board.plug(board.host.root(), 1, 0, std::move(cardbus));
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.functions[0].bars[0].size, 0U);
  EXPECT_FALSE(board.inventory.functions[0].bridge);
  EXPECT_EQ(device.bar_address(0), 0U);
}

/// Eight functions in each of the devices from `first` on.
void fill_slots(TestBoard& board, sim::PciBus& bus, unsigned first, unsigned slots) {
  for (unsigned slot = first; slot < first + slots; ++slot) {
    for (unsigned function = 0; function < 8; ++function) {
      auto f = sim::nvme_like();
      if (function == 0) f->set_multi_function();
      board.plug(bus, slot, function, std::move(f));
    }
  }
}

// Covers: H65
TEST(Enumerate, ABoardWithSeventyTwoFunctionsIsNothingSpecial) {
  TestBoard board;
  fill_slots(board, board.host.root(), 1, 9);
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.functions.size(), 72U);
  expect_sound(board);
}

// Covers: H65
TEST(Enumerate, AFunctionTooManyIsSilentAndNamedAndTheOthersAreUsable) {
  TestBoard board;
  auto& bridge = board.plug(board.host.root(), 0, 0, sim::pcie_pci_bridge(board.host));
  fill_slots(board, board.host.root(), 1, 31);
  fill_slots(board, bridge.secondary_bus(), 0, 2);
  sim::PciFunction& last = *board.host.find(0, 31 << 3 | 7);
  last.config_write(4, 2, 6);
  EXPECT_FALSE(board.enumerate());
  EXPECT_EQ(board.inventory.functions.size(), kMaxFunctions);
  // One bridge, 31 * 8 of the root bus, and 7 of the 16 behind the bridge.
  EXPECT_EQ(board.inventory.functions_left.count, 9U);
  EXPECT_EQ(board.inventory.functions_left.first, HostBdf(1, 0, 7));
  EXPECT_EQ(find(board.inventory, HostBdf(1, 0, 7)), nullptr);
  EXPECT_FALSE(board.host.find(1, 7)->memory_enabled());
  EXPECT_FALSE(board.host.find(1, 7)->bus_master());
  EXPECT_TRUE(last.memory_enabled());
  expect_sound(board);
}

// Covers: H65
TEST(Enumerate, APhysicalFunctionTooManyHasNoVirtualOnesAndIsNamed) {
  TestBoard board;
  for (unsigned slot = 1; slot <= kMaxPhysicalFunctions + 2; ++slot) {
    board.plug(board.host.root(), slot, 0, sim::igb_like());
  }
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(board.inventory.sriov.size(), kMaxPhysicalFunctions);
  EXPECT_EQ(board.inventory.sriov_left.count, 2U);
  EXPECT_EQ(board.inventory.sriov_left.first, HostBdf(0, kMaxPhysicalFunctions + 1, 0));
}

TEST(Enumerate, ChainsDeeperThanTheLimitStayClosed) {
  TestBoard board;
  sim::PciBus* bus = &board.host.root();
  for (unsigned i = 0; i < 12; ++i) {
    auto& bridge = board.plug(*bus, 0, 0, sim::pcie_pci_bridge(board.host));
    bus = &bridge.secondary_bus();
  }
  board.plug(*bus, 0, 0, sim::nvme_like());
  EXPECT_FALSE(board.enumerate());
  EXPECT_EQ(board.inventory.bridges_left.count, 1U);
  EXPECT_EQ(board.inventory.functions.size(), 9U);
  expect_sound(board);
}

TEST(Enumerate, FewBusesAreNotExceeded) {
  TestBoard board;
  board.ecam.init(board.host, std::uint64_t{3} << 20, 0, 2);
  for (unsigned i = 0; i < 4; ++i) {
    auto& port = board.plug(board.host.root(), i, 0, sim::pcie_root_port(board.host));
    board.plug(port.secondary_bus(), 0, 0, sim::nvme_like());
  }
  EXPECT_FALSE(board.enumerate());
  EXPECT_EQ(board.inventory.bridges_left.count, 2U);
  EXPECT_EQ(board.inventory.bridges_left.first, HostBdf(0, 2, 0));
  EXPECT_EQ(board.inventory.functions.size(), 6U);  // the ports, and what is behind two of them
  EXPECT_TRUE(board.host.violations().empty());
}

TEST(Enumerate, AccessControlIsSwitchedOn) {
  TestBoard board;
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host, 0x1f));
  ASSERT_TRUE(board.enumerate());
  EXPECT_EQ(port.peek(0x106, 2),
            0x1dU);  // all but translation blocking: ATS is the SMMU's to judge
}

}  // namespace
}  // namespace penstock::pci
