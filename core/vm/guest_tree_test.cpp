#include "core/vm/guest_tree.hpp"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <cstring>
#include <vector>

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
  EXPECT_GT(fdt_path_offset(tree.fdt(), "/cpus/cpu@1"), 0);
  EXPECT_LT(fdt_path_offset(tree.fdt(), "/cpus/cpu@2"), 0);
  int length = 0;
  const int psci = fdt_path_offset(tree.fdt(), "/psci");
  EXPECT_STREQ(static_cast<const char*>(fdt_getprop(tree.fdt(), psci, "method", &length)), "hvc");
}

// Covers: S1.10
TEST(GuestTree, NoDevicesNoHostBridge) {
  const Tree tree(two_cpus(false));
  EXPECT_LT(fdt_path_offset(tree.fdt(), "/pcie@4010000000"), 0);
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
}

}  // namespace
}  // namespace penstock::vm
