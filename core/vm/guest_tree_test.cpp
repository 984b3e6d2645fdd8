#include "core/vm/guest_tree.hpp"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <cstring>
#include <set>
#include <vector>

#include "core/viommu/fake_guest.hpp"
#include "core/vm/address_map.hpp"

namespace penstock::vm {
namespace {

struct Tree {
  explicit Tree(const GuestTreeConfig& config) : bytes(64 * kKiB) {
    const auto size = build_guest_tree(config, bytes);
    EXPECT_TRUE(size);
    EXPECT_EQ(fdt_check_header(bytes.data()), 0);
  }
  const void* fdt() const { return bytes.data(); }
  std::vector<std::uint64_t> reg(const char* path) const {
    int length = 0;
    const int node = fdt_path_offset(fdt(), path);
    const auto* cells = static_cast<const fdt64_t*>(fdt_getprop(fdt(), node, "reg", &length));
    std::vector<std::uint64_t> out;
    for (int i = 0; i < length / 8; ++i) out.push_back(fdt64_ld(cells + i));
    return out;
  }
  std::vector<std::uint8_t> bytes;
};

GuestTreeConfig two_cpus(bool pci) {
  GuestTreeConfig config;
  EXPECT_TRUE(config.mpidrs.push_back(0));
  EXPECT_TRUE(config.mpidrs.push_back(1));
  config.memory_bytes = 512 * kMiB;
  config.bootargs = "console=ttyAMA0";
  config.initrd = Gpa(0x4800'0000);
  config.initrd_bytes = 0x1234;
  config.has_pci = pci;
  return config;
}

// Covers: H63
TEST(GuestTree, SaysThatDmaIsCoherentWhereItIsAndNowhereElse) {
  for (const bool coherent : {true, false}) {
    GuestTreeConfig config = two_cpus(true);
    config.dma_coherent = coherent;
    const Tree tree(config);
    const int bridge = fdt_path_offset(tree.fdt(), "/pcie@4010000000");
    EXPECT_EQ(fdt_getprop(tree.fdt(), bridge, "dma-coherent", nullptr) != nullptr, coherent);
  }
}

// Covers: S3.4
TEST(GuestTree, DescribesTheMachineOfTheAddressMap) {
  const Tree tree(two_cpus(true));
  using List = std::vector<std::uint64_t>;
  EXPECT_EQ(tree.reg("/memory@40000000"), (List{kGuestRam.value(), 512 * kMiB}));
  EXPECT_EQ(tree.reg("/intc@8000000"), (List{kGuestDistributor.value(), kGuestDistributorSize,
                                             kGuestRedist.value(), 2 * kGuestRedistStride}));
  EXPECT_EQ(tree.reg("/intc@8000000/its@8080000"), (List{kGuestIts.value(), kGuestItsSize}));
  EXPECT_EQ(tree.reg("/pcie@4010000000"), (List{kGuestEcam.value(), kGuestEcamSize}));
  EXPECT_EQ(tree.reg("/pl011@9000000"), (List{kGuestUart.value(), kGuestUartSize}));
  EXPECT_EQ(tree.reg("/pl061@9030000"), (List{kGuestGpio.value(), kGuestGpioSize}));
  EXPECT_GT(fdt_path_offset(tree.fdt(), "/cpus/cpu@1"), 0);
  EXPECT_LT(fdt_path_offset(tree.fdt(), "/cpus/cpu@2"), 0);
  int length = 0;
  const int psci = fdt_path_offset(tree.fdt(), "/psci");
  EXPECT_STREQ(static_cast<const char*>(fdt_getprop(tree.fdt(), psci, "method", &length)), "hvc");
}

TEST(GuestTree, NoDevicesNoHostBridge) {
  const Tree tree(two_cpus(false));
  EXPECT_LT(fdt_path_offset(tree.fdt(), "/pcie@4010000000"), 0);
}

/// The cells of a property; empty when the node or the property is not there.
std::vector<std::uint32_t> cells_of(const Tree& tree, const char* path, const char* name) {
  int length = 0;
  const int node = fdt_path_offset(tree.fdt(), path);
  const auto* cells = static_cast<const fdt32_t*>(fdt_getprop(tree.fdt(), node, name, &length));
  std::vector<std::uint32_t> out;
  for (int i = 0; cells != nullptr && i < length / 4; ++i) out.push_back(fdt32_ld(cells + i));
  return out;
}

using Cells = std::vector<std::uint32_t>;
constexpr const char* kBridge = "/pcie@4010000000";
constexpr const char* kSmmu = "/smmuv3@9050000";

TEST(GuestTree, ThePowerButtonIsAKeyOfTheGpioController) {
  const Tree tree(two_cpus(false));
  const Cells handle = cells_of(tree, "/pl061@9030000", "phandle");
  ASSERT_EQ(handle.size(), 1u);
  EXPECT_EQ(cells_of(tree, "/gpio-keys/poweroff", "gpios"), (Cells{handle[0], 3, 0}));
  EXPECT_EQ(cells_of(tree, "/gpio-keys/poweroff", "linux,code"), Cells{116});
  EXPECT_EQ(cells_of(tree, "/pl061@9030000", "interrupts"), (Cells{0, 7, 4}));
}

GuestTreeConfig with_iommu() {
  const viommu::fake::Guest guest;
  GuestTreeConfig config = two_cpus(true);
  config.iommu = guest.smmu.description();
  return config;
}

// Covers: S2.20 S2.21
TEST(GuestTree, AnIommuIsWhereTheAddressMapHasIt) {
  const Tree tree(with_iommu());
  EXPECT_EQ(tree.reg(kSmmu), (std::vector<std::uint64_t>{kGuestIommu.value(), kGuestIommuSize}));
  EXPECT_EQ(cells_of(tree, kSmmu, "#iommu-cells"), Cells{1});
  int length = 0;
  const int node = fdt_path_offset(tree.fdt(), kSmmu);
  EXPECT_NE(fdt_getprop(tree.fdt(), node, "dma-coherent", &length), nullptr);
}

// Covers: S2.23
TEST(GuestTree, AnIommusInterruptsAreEdgesOfItsOwn) {
  const Tree tree(with_iommu());
  const Cells interrupts = cells_of(tree, kSmmu, "interrupts");
  const Cells uart = cells_of(tree, "/pl011@9000000", "interrupts");
  EXPECT_EQ(interrupts, (Cells{0, 10, 1, 0, 11, 1, 0, 12, 1}));
  ASSERT_EQ(uart.size(), 3u);
  std::set<std::uint32_t> spis = {uart[1], cells_of(tree, "/pl061@9030000", "interrupts")[1]};
  for (std::size_t i = 1; i < interrupts.size(); i += 3) {
    EXPECT_TRUE(spis.insert(interrupts[i]).second) << interrupts[i];
  }
  const int node = fdt_path_offset(tree.fdt(), kSmmu);
  const char* const names[] = {"eventq", "cmdq-sync", "gerror"};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(fdt_stringlist_search(tree.fdt(), node, "interrupt-names", names[i]), i);
  }
}

// The board's own map holds physical stream IDs and stays with the hypervisor.
// Covers: S2.24
TEST(GuestTree, StreamIdsAreTheGuestsRequesterIds) {
  const Tree with(with_iommu());
  const Cells handle = cells_of(with, kSmmu, "phandle");
  ASSERT_EQ(handle.size(), 1u);
  EXPECT_EQ(cells_of(with, kBridge, "iommu-map"), (Cells{0, handle[0], 0, 0x1'0000}));
  EXPECT_NE(cells_of(with, kBridge, "msi-map")[1], handle[0]);
  const Tree without(two_cpus(true));
  EXPECT_TRUE(cells_of(without, kBridge, "iommu-map").empty());
  EXPECT_LT(fdt_path_offset(without.fdt(), kSmmu), 0);
}

TEST(GuestTree, TooSmallABufferIsAnAnswer) {
  std::vector<std::uint8_t> small(256);
  EXPECT_EQ(build_guest_tree(two_cpus(true), small).error().code, Code::kNoMemory);
}

// Covers: H13
TEST(AddressMap, RegionsAnswerWhollyOrNotAtAll) {
  EXPECT_EQ(find_region(kGuestEcam + 4, 4, 2, false)->offset, 4u);
  EXPECT_FALSE(find_region(kGuestEcam + (kGuestEcamSize - 4), 8, 2, false));
  EXPECT_FALSE(find_region(kGuestIts + (kGuestItsSize - 1), 2, 2, false));
  EXPECT_TRUE(find_region(kGuestRedist + (2 * kGuestRedistStride - 8), 8, 2, false));
  EXPECT_FALSE(find_region(kGuestRedist + 2 * kGuestRedistStride, 4, 2, false));
  EXPECT_FALSE(find_region(Gpa(~0ULL - 3), 8, 2, false));
  EXPECT_EQ(find_region(kGuestGpio + 0x400, 1, 2, false)->region, Region::kGpio);
  EXPECT_FALSE(find_region(kGuestGpio + (kGuestGpioSize - 2), 4, 2, false));
}

}  // namespace
}  // namespace penstock::vm
