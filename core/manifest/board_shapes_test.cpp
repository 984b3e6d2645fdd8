// Trees as real boards have them: buses with ranges, cells of other sizes, interrupts through maps,
// more of everything; and trees that lie.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/manifest/test_board_tree.hpp"

namespace penstock::manifest {
namespace {

using test::kGicHandle;
using test::Numbers;
using test::Parsed;
using test::Parts;
using test::Tree;

/// A bus of one address cell, whose address 0 is the machine's 0x8'0000'0000 from 0x4000'0000 on,
/// with a UART and an interrupt map on it.
void write_soc(Tree& tree) {
  tree.begin("soc");
  tree.cells("#address-cells", {1});
  tree.cells("#size-cells", {1});
  tree.cells("ranges", {0, 8, 0x4000'0000, 0x1000'0000});
  tree.begin("board");
  tree.cells("#address-cells", {2});
  tree.cells("#size-cells", {1});
  tree.cells("ranges", {1, 0, 0x100'0000, 0x1'0000});
  tree.cells("#interrupt-cells", {1});
  tree.cells("interrupt-map-mask", {0, 0, 63});
  tree.cells("interrupt-map", {0, 0, 4, kGicHandle, 0, 0, 0, 40, 4,  //
                               0, 0, 5, kGicHandle, 0, 0, 0, 42, 4});
  tree.begin("serial@100001000");
  tree.text("compatible", std::string("acme,uart\0snps,dw-apb-uart", 26));
  tree.cells("reg", {1, 0x1000, 0x100});
  tree.cells("interrupts", {5});
  tree.cells("reg-shift", {2});
  tree.cells("reg-io-width", {4});
  tree.end();
  tree.begin("serial@200000000");
  tree.text("compatible", "ns16550a");
  tree.cells("reg", {2, 0, 0x100});
  tree.end();
  tree.end();
  tree.end();
}

// Covers: H70
TEST(BoardShapes, ConsoleIsTheOneThatIsChosenWhereItsBusesPutIt) {
  Parts parts;
  parts.more = write_soc;
  parts.stdout_path = "/soc/board/serial@100001000:115200n8";
  const Parsed parsed(parts);
  ASSERT_TRUE(parsed.board.uart) << parsed.said;
  const Uart& uart = *parsed.board.uart;
  EXPECT_EQ(uart.kind, UartKind::k8250);
  EXPECT_EQ(uart.registers.base, Hpa(0x8'4100'1000));
  EXPECT_EQ(uart.intid, 32U + 42);
  EXPECT_EQ(uart.shift, 2U);
  EXPECT_EQ(uart.width, 4U);
  EXPECT_EQ(find_console(parsed.tree)->registers.base, uart.registers.base);
}

// Covers: H70
TEST(BoardShapes, ConsoleThatCannotBeReachedIsNoneWithAReason) {
  Parts parts;
  parts.more = write_soc;
  parts.stdout_path = "/soc/board/serial@200000000";
  EXPECT_FALSE(Parsed(parts).board.uart);
  EXPECT_TRUE(Parsed(parts).says("outside the ranges of a bus above it"));
  parts.stdout_path = "/psci";
  EXPECT_FALSE(Parsed(parts).board.uart) << "not another one that nobody listens at";
  EXPECT_TRUE(Parsed(parts).says("/psci: the console is of a kind that Penstock does not drive"));
  parts.stdout_path = "nowhere";
  EXPECT_TRUE(Parsed(parts).board.uart) << "the first of a known kind";
}

TEST(BoardShapes, EachKindOfUartIsKnownByItsNames) {
  const auto kind = [](const std::string& compatible) {
    Parts parts;
    parts.stdout_path = "/serial@b000000";
    parts.more = [&compatible](Tree& tree) {
      tree.begin("serial@b000000");
      tree.text("compatible", compatible);
      tree.cells("reg", {0, 0x0b00'0000, 0, 0x1000});
      tree.end();
    };
    const Parsed parsed(parts);
    return parsed.board.uart ? std::optional(parsed.board.uart->kind) : std::nullopt;
  };
  EXPECT_EQ(kind(std::string("fsl,imx8mp-uart\0fsl,imx6q-uart", 30)), UartKind::kImx);
  EXPECT_EQ(kind("fsl,imx8qxp-lpuart"), UartKind::kImxLpuart);
  EXPECT_EQ(kind("qcom,geni-debug-uart"), UartKind::kGeni);
  EXPECT_EQ(kind("ns16550a"), UartKind::k8250);
  EXPECT_EQ(kind("arm,sbsa-uart"), UartKind::kSbsa);
  EXPECT_EQ(kind("renesas,scif"), std::nullopt);
}

// Covers: H70
TEST(BoardShapes, InterruptsAreReadAsTheirControllerHasThem) {
  const auto intid = [](auto interrupts) {
    Parts parts;
    parts.stdout_path = "/serial@b000000";
    parts.more = [&interrupts](Tree& tree) {
      tree.begin("wrapper");  // a controller of its own, which nobody drives
      tree.cells("#interrupt-cells", {2});
      tree.cells("phandle", {60});
      tree.end();
      tree.begin("serial@b000000");
      tree.text("compatible", "arm,pl011");
      tree.cells("reg", {0, 0x0b00'0000, 0, 0x1000});
      interrupts(tree);
      tree.end();
    };
    return Parsed(parts).board.uart->intid;
  };
  EXPECT_EQ(intid([](Tree& t) { t.cells("interrupts", {0, 7, 4}); }), 39U);
  EXPECT_EQ(intid([](Tree& t) { t.cells("interrupts", {1, 7, 4}); }), 23U);
  EXPECT_EQ(intid([](Tree& t) { t.cells("interrupts", {3, 7, 4}); }), 0U);
  EXPECT_EQ(intid([](Tree& t) { t.cells("interrupts", {0, 988, 4}); }), 0U);
  EXPECT_EQ(intid([](Tree& t) {
              t.cells("interrupt-parent", {60});
              t.cells("interrupts", {7, 4});
            }),
            0U);
  EXPECT_EQ(intid([](Tree& t) { t.cells("interrupts-extended", {kGicHandle, 0, 9, 4, 60, 1, 1}); }),
            41U);
  EXPECT_EQ(intid([](Tree& t) { t.cells("interrupts-extended", {60, 1, 1, kGicHandle, 0, 9, 4}); }),
            0U)
      << "the first of them counts";
}

// Covers: H70
TEST(BoardShapes, InterruptMapIsComparedInTheBitsOfItsMaskAlone) {
  Parts parts;
  parts.stdout_path = "/nexus/serial@0";
  parts.more = [](Tree& tree) {
    test::begin_bus(tree, "nexus");
    tree.flag("ranges");
    tree.cells("#interrupt-cells", {1});
    tree.cells("interrupt-map-mask", {0, 0, 7});
    // Written with the address of its device, which the mask leaves out.
    tree.cells("interrupt-map", {0, 0x0b00'0000, 5, kGicHandle, 0, 0, 0, 42, 4});
    tree.begin("serial@0");
    tree.text("compatible", "arm,pl011");
    tree.cells("reg", {0, 0x0b00'1000, 0, 0x1000});
    tree.cells("interrupts", {5});
    tree.end();
    tree.end();
  };
  const Parsed parsed(parts);
  ASSERT_TRUE(parsed.board.uart) << parsed.said;
  EXPECT_EQ(parsed.board.uart->intid, 32U + 42);
}

// Covers: H70 H65
TEST(BoardShapes, ManyCpusReservedRangesAndRedistributorRegionsAreNormal) {
  Parts parts;
  parts.cpus = 64;
  parts.reserved = 256;
  parts.regions = {30};
  for (std::uint32_t i = 1; i < 30; ++i) {
    const Numbers more{0x10, 0x10'0000 * i, 0, 0x4'0000};
    parts.gic_reg.insert(parts.gic_reg.end(), more.begin(), more.end());
  }
  const Parsed parsed(parts);
  EXPECT_TRUE(parsed.board.boots && parsed.board.assigns) << parsed.said;
  EXPECT_EQ(parsed.board.cpus.size(), 64U);
  EXPECT_EQ(parsed.board.reserved.size(), 256U);
  EXPECT_EQ(parsed.board.gic->redistributors.size(), 30U);
  parts.reserved = 257;
  EXPECT_FALSE(Parsed(parts).board.boots) << "the last could be given to a domain";
  parts.reserved = 0;
  parts.cpus = 65;
  EXPECT_TRUE(Parsed(parts).says("1 CPUs are too many"));
}

// Covers: H70
TEST(BoardShapes, RegionsThatAreNotThereAreNotLookedFor) {
  Parts parts;
  parts.regions = {0xffff'ffff};
  const Parsed parsed(parts);
  EXPECT_EQ(parsed.board.gic->redistributors.size(), 1U);
  EXPECT_TRUE(parsed.says("fewer redistributor regions than it says"));
}

// Covers: H70
TEST(BoardShapes, GicWithoutARedistributorRegionDoesNotBoot) {
  Parts parts;
  parts.regions = {0};
  const Parsed parsed(parts);
  EXPECT_FALSE(parsed.board.gic || parsed.board.boots || parsed.board.assigns);
  EXPECT_EQ(parsed.heaviest, Weight::kNoBoot);
  EXPECT_TRUE(parsed.says("/intc@8000000: it has no redistributor region")) << parsed.said;
}

// Covers: H70
TEST(BoardShapes, BridgeWithoutAWindowGivesNoDeviceOut) {
  Parts parts;
  parts.ranges = {0x0100'0000, 0, 0, 0, 0x3eff'0000, 0, 0x1'0000};  // I/O ports alone
  const Parsed parsed(parts);
  EXPECT_TRUE(parsed.board.boots);
  EXPECT_FALSE(parsed.board.assigns);
  EXPECT_EQ(parsed.heaviest, Weight::kNoDevices);
  EXPECT_TRUE(parsed.says("no memory window that can be used")) << parsed.said;
}

// Covers: H70
TEST(BoardShapes, WindowsAreReadByWhatTheyReach) {
  Parts parts;
  parts.ranges = {0x0200'0000, 0,    0x1000'0000, 0,    0x1000'0000, 0, 0x1000'0000,  //
                  0x0200'0000, 0,    0x2000'0000, 0,    0x2000'0000, 0, 0x0010'0000,  //
                  0x4200'0000, 0x80, 0,           0x80, 0,           1, 0};
  const Parsed parsed(parts);
  const auto& windows = parsed.board.bridge->windows;
  ASSERT_EQ(windows.size(), 3U) << parsed.said;
  EXPECT_EQ(windows[0].size, 0x1000'0000U) << "the second does not replace the first";
  EXPECT_FALSE(windows[1].prefetchable);
  EXPECT_TRUE(windows[2].prefetchable);
  EXPECT_EQ(windows[2].bus, 0x80'0000'0000U);
}

// Covers: H70
TEST(BoardShapes, WindowsThatLieAreNotUsed) {
  const auto refused = [](const Numbers& more, std::string_view why) {
    Parts parts;
    parts.ranges.insert(parts.ranges.end(), more.begin(), more.end());
    const Parsed parsed(parts);
    EXPECT_EQ(parsed.board.bridge->windows.size(), 2U);
    EXPECT_TRUE(parsed.says(why)) << parsed.said;
    EXPECT_TRUE(parsed.says("/pcie@10000000: its window at ")) << parsed.said;
  };
  refused({0x0200'0000, 0, 0x5000'0000, 0, 0x5000'0000, 0, 0x1000}, "lies over memory");
  refused({0x0200'0000, 0, 0x5000'0000, 0, 0x0900'0000, 0, 0x1000}, "over registers");
  refused({0x0300'0000, 0x80, 0, 0x200, 0, 0, 0x1000}, "lies over another one");
  refused({0x0300'0000, 0xffff'ffff, 0xffff'f000, 0x200, 0, 0, 0x2000}, "end of the address space");
  refused({0x0300'0000, 0x200, 0, 0x1'0000, 0, 0, 0x2000}, "beyond 48 bits");
}

// Covers: H70
TEST(BoardShapes, WindowOverAnythingElseThatHasAddressesIsNotUsed) {
  const auto windows = [](const std::function<void(Tree&)>& more, std::string_view says) {
    Parts parts;
    const Numbers another{0x0300'0000, 2, 0, 2, 0, 0, 0x1000'0000};  // at 0x2'0000'0000
    parts.ranges.insert(parts.ranges.end(), another.begin(), another.end());
    parts.more = more;
    const Parsed parsed(parts);
    EXPECT_TRUE(parsed.board.assigns) << "there are other windows";
    EXPECT_TRUE(parsed.says(says)) << parsed.said;
    return parsed.board.bridge->windows.size();
  };
  const auto node = [](const std::string& name, const char* property, const char* value,
                       const Numbers& reg) {
    return [=](Tree& tree) {
      tree.begin(name);
      tree.text(property, value);
      tree.cells("reg", reg);
      tree.end();
    };
  };
  EXPECT_EQ(windows({}, ""), 3U);
  EXPECT_EQ(windows(node("watchdog@200001000", "compatible", "arm,sp805",
                         {1, 0x5000'0000, 0, 0x1000, 2, 0x1000, 0, 0x1000}),
                    "/pcie@10000000: its window at 0x200000000, 0x10000000 bytes, is not used: it "
                    "lies over /watchdog@200001000 (arm,sp805)"),
            2U);
  EXPECT_EQ(windows(node("watchdog@0", "status", "disabled", {2, 0x1000, 0, 0x1000}), ""), 3U);
  EXPECT_EQ(windows(node("iommu@200000000", "compatible", "arm,smmu-v3", {2, 0, 0, 0x2'0000}),
                    "its window at 0x200000000, 0x10000000 bytes, lies over"),
            2U)
      << "one that nobody drives";
  EXPECT_EQ(
      windows(node("memory@0", "device_type", "memory", {1, 0, 2, 0}), "it lies over /memory@0"),
      2U)
      << "memory that is not used for it lies over other memory";
  EXPECT_EQ(windows(
                [](Tree& tree) {
                  test::begin_bus(tree, "reserved-memory");
                  tree.begin("secure");
                  tree.cells("reg", {2, 0x20'0000, 0, 0x1000});
                  tree.end();
                  tree.end();
                },
                "lies over reserved memory"),
            2U);
}

/// Nodes that only make the tree long, then one with a phandle.
void write_many(Tree& tree, std::uint32_t nodes) {
  for (std::uint32_t i = 0; i < nodes; ++i) {
    tree.begin("n" + std::to_string(i));
    tree.cells("phandle", {1000 + i});
    tree.end();
  }
}

// Covers: H70
TEST(BoardShapes, TreeIsSearchedForANameOnceAndNotForMoreNamesThanBoardsHave) {
  Parts parts;
  parts.more = [](Tree& tree) { write_many(tree, 400); };
  const test::Bytes bytes = test::make_tree(parts);
  const DeviceTree tree(bytes.data());
  for (unsigned i = 0; i < 1000; ++i) EXPECT_TRUE(tree.with_phandle(i % 2 == 0 ? 1000 : 1399));
  EXPECT_FALSE(tree.with_phandle(0) || tree.with_phandle(77) || tree.with_phandle(77));
  EXPECT_EQ(tree.searches(), 3U) << "of what is not there, too";
  for (unsigned i = 0; i < 400; ++i) {
    const auto path = tree.with_phandle(1000 + i);
    if (path) EXPECT_EQ(tree.cells(path->node(), "phandle").at(0), 1000 + i);
  }
  EXPECT_EQ(tree.searches(), kMostSearches);
  EXPECT_FALSE(tree.with_phandle(1200)) << "no longer known";
}

// Covers: H70
TEST(BoardShapes, FindingsOfOneWeightAreCountedWhenTheyAreTooMany) {
  Parts parts;
  for (unsigned i = 0; i < 100; ++i) {
    const Numbers over_memory{0x0200'0000, 0, 0x5000'0000, 0, 0x5000'0000, 0, 0x1000};
    parts.ranges.insert(parts.ranges.end(), over_memory.begin(), over_memory.end());
  }
  const Parsed parsed(parts);
  EXPECT_TRUE(parsed.board.assigns);
  EXPECT_EQ(std::count(parsed.said.begin(), parsed.said.end(), '\n'), kMostFindings + 1);
  EXPECT_TRUE(parsed.says("/: and 68 more of this weight")) << parsed.said;
}

// Covers: H70 S3.23
TEST(BoardShapes, ListsLongerThanABoardsAreNotReadToTheirEnd) {
  Parts parts;
  for (unsigned i = 0; i < 2000; ++i) {
    parts.firmware_memory_users.insert(parts.firmware_memory_users.end(),
                                       {test::kUartHandle, 0, 0x4800'0000, 0, 0x4000});
  }
  const Parsed users(parts);
  EXPECT_FALSE(users.board.assigns) << "the rest could be anybody";
  EXPECT_TRUE(users.says("through any device")) << users.said;
  parts = {};
  parts.more = [](Tree& tree) {
    Numbers reg;
    for (std::uint32_t i = 0; i < 513; ++i) reg.insert(reg.end(), {0x20, 0x10'0000 * i, 0, 0x1000});
    tree.begin("memory@2000000000");
    tree.text("device_type", "memory");
    tree.cells("reg", reg);
    tree.end();
  };
  const Parsed memory(parts);
  EXPECT_TRUE(memory.board.boots);
  EXPECT_FALSE(memory.board.assigns) << "a window could lie over what was not looked at";
  EXPECT_TRUE(memory.says("/memory@2000000000: it has too many ranges")) << memory.said;
}

// Covers: H70
TEST(BoardShapes, BusesThatRunBackwardsAreRefusedByName) {
  for (const Numbers& buses : {Numbers{1, 0}, Numbers{0x1000, 0x10'0000}, Numbers{0, 256}}) {
    Parts parts;
    parts.bus_range = buses;
    const Parsed parsed(parts);
    EXPECT_FALSE(parsed.board.bridge || parsed.board.assigns);
    EXPECT_TRUE(parsed.says("/pcie@10000000: its bus-range")) << parsed.said;
  }
}

// Covers: H63
TEST(BoardShapes, DmaIsCoherentWhereTheNearestNodeSaysSo) {
  const auto coherent = [](const char* in_bridge, const char* in_root) {
    Parts parts;
    if (in_bridge != nullptr) parts.in_bridge = [=](Tree& tree) { tree.flag(in_bridge); };
    if (in_root != nullptr) parts.in_root = [=](Tree& tree) { tree.flag(in_root); };
    return Parsed(parts).board.bridge->coherent;
  };
  EXPECT_FALSE(coherent(nullptr, nullptr));
  EXPECT_TRUE(coherent("dma-coherent", nullptr));
  EXPECT_TRUE(coherent(nullptr, "dma-coherent"));
  EXPECT_FALSE(coherent("dma-noncoherent", "dma-coherent"));
}

// Covers: H63
TEST(BoardShapes, BridgeWhoseDevicesSeeMemoryElsewhereGivesNoneOut) {
  Parts parts;
  parts.in_bridge = [](Tree& tree) {
    tree.cells("dma-ranges", {0x0200'0000, 0, 0, 0, 0x4000'0000, 0, 0x4000'0000});
  };
  const Parsed parsed(parts);
  EXPECT_FALSE(parsed.board.assigns);
  EXPECT_TRUE(parsed.says("dma-ranges")) << parsed.said;
}

}  // namespace
}  // namespace penstock::manifest
