#include "core/manifest/board.hpp"

#include <gtest/gtest.h>

#include "core/manifest/test_bundle.hpp"

namespace penstock::manifest {
namespace {

using test::Bytes;
using test::Tree;

/// The parts of a tree that a test wants, as on QEMU's `virt`.
struct Parts {
  bool memory = true;
  bool cpus = true;
  bool gic = true;
  bool smmu = true;
  bool bridge = true;
  const char* smmu_status = "okay";
  std::string bootargs = "";                              // empty: no /chosen
  std::vector<std::uint32_t> firmware_memory_users = {};  // empty: no such node
};

constexpr std::uint32_t kBridgeHandle = 7, kPortHandle = 8, kDriveHandle = 9, kUartHandle = 10,
                        kLostHandle = 11;

/// Memory of the firmware's at 0x4800'0000.
void write_firmware_memory(Tree& tree, const std::vector<std::uint32_t>& users) {
  tree.begin("reserved-memory");
  tree.cells("#address-cells", {2});
  tree.cells("#size-cells", {2});
  tree.begin("log@48000000");
  tree.cells("reg", {0, 0x4800'0000, 0, 0x4000});
  tree.cells("iommu-addresses", users);
  tree.end();
  tree.end();
}

/// A port at device 2, and a drive behind it.
void write_port(Tree& tree) {
  tree.begin("pci@2,0");
  tree.cells("#address-cells", {3});
  tree.cells("#size-cells", {2});
  tree.cells("reg", {0x1000, 0, 0, 0, 0});
  tree.cells("phandle", {kPortHandle});
  tree.begin("nvme@0,0");
  tree.cells("reg", {0x1'0000, 0, 0, 0, 0});
  tree.cells("phandle", {kDriveHandle});
  tree.end();
  tree.end();
  tree.begin("lost");  // says not where it is
  tree.cells("phandle", {kLostHandle});
  tree.end();
}

void write_gic(Tree& tree) {
  tree.begin("intc@8000000");
  tree.text("compatible", "arm,gic-v3");
  tree.cells("#address-cells", {2});
  tree.cells("#size-cells", {2});
  tree.cells("reg", {0, 0x0800'0000, 0, 0x1'0000, 0, 0x080a'0000, 0, 0xf6'0000});
  tree.begin("its@8080000");
  tree.text("compatible", "arm,gic-v3-its");
  tree.cells("reg", {0, 0x0808'0000, 0, 0x2'0000});
  tree.end();
  tree.end();
}

void write_smmu(Tree& tree, const char* status) {
  tree.begin("smmuv3@9050000");
  tree.text("compatible", "arm,smmu-v3");
  tree.text("status", status);
  tree.cells("reg", {0, 0x0905'0000, 0, 0x2'0000});
  tree.cells("interrupts", {0, 74, 1, 0, 75, 1, 0, 76, 1, 0, 77, 1});
  tree.text("interrupt-names", std::string("eventq\0priq\0cmdq-sync\0gerror", 28));
  tree.end();
}

void write_bridge(Tree& tree) {
  tree.begin("pcie@10000000");
  tree.text("compatible", "pci-host-ecam-generic");
  tree.cells("reg", {0x40, 0x1000'0000, 0, 0x1000'0000});
  tree.cells("bus-range", {0, 255});
  tree.cells("ranges", {0x0100'0000, 0,    0,           0,    0x3eff'0000, 0,    0x1'0000,     //
                        0x0200'0000, 0,    0x1000'0000, 0,    0x1000'0000, 0,    0x2eff'0000,  //
                        0x0300'0000, 0x80, 0,           0x80, 0,           0x80, 0});
  tree.cells("iommu-map", {0, 1, 0, 0x1'0000});
  tree.cells("msi-map", {0, 2, 0, 0x1'0000});
  tree.cells("#address-cells", {3});
  tree.cells("#size-cells", {2});
  tree.cells("phandle", {kBridgeHandle});
  write_port(tree);
  tree.end();
}

Bytes make_tree(const Parts& parts) {
  Tree tree;
  tree.begin("");
  tree.cells("#address-cells", {2});
  tree.cells("#size-cells", {2});
  if (!parts.bootargs.empty()) {
    tree.begin("chosen");
    tree.text("bootargs", parts.bootargs);
    tree.end();
  }
  if (parts.memory) {
    tree.begin("memory@40000000");
    tree.text("device_type", "memory");
    tree.cells("reg", {0, 0x4000'0000, 1, 0});
    tree.end();
  }
  if (parts.cpus) {
    tree.begin("cpus");
    tree.cells("#address-cells", {1});
    tree.cells("#size-cells", {0});
    for (std::uint32_t cpu = 0; cpu < 2; ++cpu) {
      tree.begin("cpu@" + std::to_string(cpu));
      tree.text("device_type", "cpu");
      tree.cells("reg", {cpu});
      tree.end();
    }
    tree.end();
  }
  tree.begin("psci");
  tree.text("compatible", std::string("arm,psci-1.0\0arm,psci-0.2", 25));
  tree.text("method", "smc");
  tree.end();
  tree.begin("pl011@9000000");
  tree.text("compatible", "arm,pl011");
  tree.cells("reg", {0, 0x0900'0000, 0, 0x1000});
  tree.cells("interrupts", {0, 1, 4});
  tree.cells("phandle", {kUartHandle});
  tree.end();
  if (!parts.firmware_memory_users.empty()) {
    write_firmware_memory(tree, parts.firmware_memory_users);
  }
  if (parts.gic) write_gic(tree);
  if (parts.smmu) write_smmu(tree, parts.smmu_status);
  if (parts.bridge) write_bridge(tree);
  tree.end();
  return tree.finish();
}

TEST(Board, IsReadFromItsTree) {
  const Bytes tree = make_tree({});
  const Result<Board> board = parse_board(tree);
  ASSERT_TRUE(board.has_value());
  ASSERT_EQ(board->memory.size(), 1U);
  EXPECT_EQ(board->memory[0].base, Hpa(0x4000'0000));
  EXPECT_EQ(board->memory[0].size, 4 * kGiB);
  EXPECT_EQ(board->cpus.size(), 2U);
  EXPECT_EQ(board->psci, Conduit::kSmc);
  ASSERT_TRUE(board->uart);
  EXPECT_EQ(board->uart->intid, 33U);
  ASSERT_TRUE(board->gic && board->gic->its);
  EXPECT_EQ(board->gic->redistributors[0].base, Hpa(0x080a'0000));
  EXPECT_EQ(board->gic->its->base, Hpa(0x0808'0000));
  ASSERT_TRUE(board->smmu);
  EXPECT_EQ(board->smmu->event_intid, 106U);
  EXPECT_EQ(board->smmu->gerror_intid, 109U);
  ASSERT_TRUE(board->bridge);
  EXPECT_EQ(board->bridge->ecam.base, Hpa(0x40'1000'0000));
  EXPECT_EQ(board->bridge->mem32.bus, 0x1000'0000U);
  EXPECT_EQ(board->bridge->mem64.host, Hpa(0x80'0000'0000));
  ASSERT_EQ(board->bridge->iommu_map.size(), 1U);
  EXPECT_EQ(board->bridge->iommu_map[0].length, 0x1'0000U);
}

// Covers: H7
TEST(Board, SaysThatADeviceIsMissing) {
  Parts parts;
  parts.smmu = false;
  EXPECT_FALSE(parse_board(make_tree(parts))->smmu);
  parts = {};
  parts.smmu_status = "disabled";
  EXPECT_FALSE(parse_board(make_tree(parts))->smmu);
  parts = {};
  parts.gic = false;
  EXPECT_FALSE(parse_board(make_tree(parts))->gic);
  parts = {};
  parts.bridge = false;
  EXPECT_FALSE(parse_board(make_tree(parts))->bridge);
}

// Covers: S2.13
TEST(Board, HasTheBootargsThatTheLoaderWasTold) {
  Parts parts;
  Bytes tree = make_tree(parts);
  EXPECT_TRUE(parse_board(tree)->bootargs.empty());
  parts.bootargs = "viommu=off quiet";
  tree = make_tree(parts);
  EXPECT_EQ(parse_board(tree)->bootargs, "viommu=off quiet");
  parts.bootargs = std::string("one\0two", 7);
  tree = make_tree(parts);
  EXPECT_EQ(parse_board(tree)->bootargs, "one");
  parts.bootargs = std::string(1, '\0');
  tree = make_tree(parts);
  EXPECT_TRUE(parse_board(tree)->bootargs.empty());
}

// Covers: S3.23
TEST(Board, KnowsThroughWhatFirmwareUsesMemory) {
  using Users = std::vector<std::uint32_t>;
  const auto used_through = [](const Users& users) {
    Parts parts;
    parts.firmware_memory_users = users;
    const auto board = parse_board(make_tree(parts));
    EXPECT_TRUE(board);
    std::vector<int> devfns;  // -1: through any function
    for (const FirmwareMemory& each : board->firmware_memory) {
      EXPECT_EQ(each.memory.base, Hpa(0x4800'0000));
      EXPECT_EQ(each.memory.size, 0x4000U);
      devfns.push_back(each.devfn ? *each.devfn : -1);
    }
    EXPECT_EQ(board->reserved.size(), 1U);
    return devfns;
  };
  using Devfns = std::vector<int>;
  const Users port{kPortHandle, 0, 0, 0x4800'0000, 0, 0x4000};
  const Users drive{kDriveHandle, 0, 0, 0x4800'0000, 0, 0x4000};
  const Users bridge{kBridgeHandle, 0, 0x4800'0000, 0, 0x4000};
  const Users uart{kUartHandle, 0, 0x4800'0000, 0, 0x4000};
  const Users nobody{99, 0, 0x4800'0000, 0, 0x4000};
  EXPECT_EQ(used_through(port), Devfns{0x10});
  EXPECT_EQ(used_through(drive), Devfns{0x10}) << "what is behind a port is told by the port";
  EXPECT_EQ(used_through(bridge), Devfns{-1});
  EXPECT_EQ(used_through(uart), Devfns{}) << "not a PCI function";
  EXPECT_EQ(used_through(nobody), Devfns{-1});
  EXPECT_EQ(used_through({kLostHandle, 0, 0, 0x4800'0000, 0, 0x4000}), Devfns{-1});
  Users several = uart;
  several.insert(several.end(), drive.begin(), drive.end());
  several.insert(several.end(), bridge.begin(), bridge.end());
  EXPECT_EQ(used_through(several), (Devfns{0x10, -1}));
  several.resize(several.size() - 3);  // cut off
  EXPECT_EQ(used_through(several), (Devfns{0x10, -1}));
}

// Covers: S3.23
TEST(Board, IsRefusedWithMoreOfItThanThereIsRoomFor) {
  Parts parts;
  for (unsigned i = 0; i < 9; ++i) {
    parts.firmware_memory_users.insert(parts.firmware_memory_users.end(),
                                       {kBridgeHandle, 0, 0x4800'0000, 0, 0x4000});
  }
  EXPECT_EQ(parse_board(make_tree(parts)).error().code, Code::kTableFull);
}

TEST(Board, IsRefusedWithoutMemoryOrCpus) {
  Parts parts;
  parts.memory = false;
  EXPECT_EQ(parse_board(make_tree(parts)).error().code, Code::kBadDeviceTree);
  parts = {};
  parts.cpus = false;
  EXPECT_EQ(parse_board(make_tree(parts)).error().code, Code::kBadDeviceTree);
}

TEST(Board, IsRefusedWhenTheTreeIsCutOff) {
  const Bytes tree = make_tree({});
  for (std::size_t size = 0; size < tree.size(); size += 7) {
    const Bytes cut(tree.begin(), tree.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(parse_board(cut).has_value()) << size;
  }
}

}  // namespace
}  // namespace penstock::manifest
