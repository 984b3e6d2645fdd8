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
  std::string bootargs = "";  // empty: no /chosen
};

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
  tree.end();
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
