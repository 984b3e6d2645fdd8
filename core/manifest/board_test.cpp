#include "core/manifest/board.hpp"

#include <gtest/gtest.h>

#include "core/manifest/test_board_tree.hpp"

namespace penstock::manifest {
namespace {

using test::Bytes;
using test::Numbers;
using test::Parsed;
using test::Parts;

TEST(Board, IsReadFromItsTree) {
  const Parsed parsed{Parts{}};
  ASSERT_TRUE(parsed.status);
  const Board& board = parsed.board;
  EXPECT_TRUE(board.boots && board.assigns);
  EXPECT_EQ(parsed.said, "");
  ASSERT_EQ(board.memory.size(), 1U);
  EXPECT_EQ(board.memory[0].base, Hpa(0x4000'0000));
  EXPECT_EQ(board.memory[0].size, 4 * kGiB);
  EXPECT_EQ(board.cpus.size(), 2U);
  EXPECT_EQ(board.psci, Conduit::kSmc);
  ASSERT_TRUE(board.uart);
  EXPECT_EQ(board.uart->intid, 33U);
  ASSERT_TRUE(board.gic && board.gic->its);
  EXPECT_EQ(board.gic->redistributors[0].base, Hpa(0x080a'0000));
  EXPECT_EQ(board.gic->its->base, Hpa(0x0808'0000));
  ASSERT_TRUE(board.smmu);
  EXPECT_EQ(board.smmu->event_intid, 106U);
  EXPECT_EQ(board.smmu->gerror_intid, 109U);
  ASSERT_TRUE(board.bridge);
  EXPECT_EQ(board.bridge->ecam.base, Hpa(0x40'1000'0000));
  ASSERT_EQ(board.bridge->windows.size(), 2U);
  EXPECT_EQ(board.bridge->windows[0].bus, 0x1000'0000U);
  EXPECT_EQ(board.bridge->windows[1].host, Hpa(0x80'0000'0000));
  ASSERT_EQ(board.bridge->iommu_map.entries.size(), 1U);
  EXPECT_EQ(board.bridge->iommu_map.entries[0].length, 0x1'0000U);
}

// Covers: H7
TEST(Board, SaysThatADeviceIsMissing) {
  Parts parts;
  parts.smmu = false;
  EXPECT_FALSE(Parsed(parts).board.smmu);
  parts = {};
  parts.smmu_status = "disabled";
  EXPECT_FALSE(Parsed(parts).board.smmu);
  parts = {};
  parts.gic = false;
  EXPECT_FALSE(Parsed(parts).board.gic);
  EXPECT_FALSE(Parsed(parts).board.boots);
  parts = {};
  parts.bridge = false;
  EXPECT_FALSE(Parsed(parts).board.bridge);
  EXPECT_TRUE(Parsed(parts).board.boots);
}

// Covers: S2.13
TEST(Board, HasTheBootargsThatTheLoaderWasTold) {
  Parts parts;
  EXPECT_TRUE(Parsed(parts).board.bootargs.empty());
  const auto bootargs = [&parts](const std::string& text) {
    parts.bootargs = text;
    const Parsed parsed(parts);
    return std::string(parsed.board.bootargs);
  };
  EXPECT_EQ(bootargs("viommu=off quiet"), "viommu=off quiet");
  EXPECT_EQ(bootargs(std::string("one\0two", 7)), "one");
  EXPECT_EQ(bootargs(std::string(1, '\0')), "");
}

// Covers: S3.23
TEST(Board, KnowsThroughWhatFirmwareUsesMemory) {
  using test::kBridgeHandle, test::kDriveHandle, test::kLostHandle, test::kPortHandle,
      test::kUartHandle;
  using Users = Numbers;
  const auto used_through = [](const Users& users) {
    Parts parts;
    parts.firmware_memory_users = users;
    const Parsed parsed(parts);
    EXPECT_TRUE(parsed.status);
    std::vector<int> devfns;  // -1: through any function
    for (const FirmwareMemory& each : parsed.board.firmware_memory) {
      EXPECT_EQ(each.memory.base, Hpa(0x4800'0000));
      EXPECT_EQ(each.memory.size, 0x4000U);
      devfns.push_back(each.devfn ? *each.devfn : -1);
    }
    EXPECT_EQ(parsed.board.reserved.size(), 1U);
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
TEST(Board, GivesNoDeviceOutWithMoreOfItThanThereIsRoomFor) {
  Parts parts;
  for (unsigned i = 0; i < 9; ++i) {
    parts.firmware_memory_users.insert(parts.firmware_memory_users.end(),
                                       {test::kBridgeHandle, 0, 0x4800'0000, 0, 0x4000});
  }
  const Parsed parsed(parts);
  EXPECT_FALSE(parsed.board.bridge || parsed.board.assigns);
  EXPECT_TRUE(parsed.says("/reserved-memory/log@48000000: ")) << parsed.said;
}

TEST(Board, CannotRunWithoutCpus) {
  Parts parts;
  parts.cpus = 0;
  const Parsed parsed(parts);
  EXPECT_FALSE(parsed.board.boots);
  EXPECT_TRUE(parsed.says("no CPU")) << parsed.said;
}

// Covers: H70
TEST(Board, WithoutMemoryNodeIsOneWhoseFirmwareHasToTellIt) {
  Parts parts;
  parts.memory = false;
  const Parsed parsed(parts);
  EXPECT_TRUE(parsed.board.boots && parsed.board.assigns);
  EXPECT_TRUE(parsed.board.memory.empty());
  EXPECT_TRUE(parsed.says("firmware has to add it")) << parsed.said;
}

TEST(Board, IsRefusedWhenTheTreeIsCutOff) {
  const Bytes tree = test::make_tree({});
  for (std::size_t size = 0; size < tree.size(); size += 7) {
    const Bytes cut(tree.begin(), tree.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(Parsed(cut).status.error().code, Code::kBadDeviceTree) << size;
  }
}

}  // namespace
}  // namespace penstock::manifest
