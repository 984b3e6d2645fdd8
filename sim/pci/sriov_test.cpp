#include "sim/pci/sriov.hpp"

#include <gtest/gtest.h>

#include "sim/memory.hpp"
#include "sim/pci/devices.hpp"

namespace penstock::sim {
namespace {

struct Sriov : ::testing::Test {
  Sriov() {
    port->config_write(0x18, 4, 0x0001'0100);
    port->config_write(0x20, 4, 0x1010'1000);
    port->config_write(0x04, 2, 6);
    port->secondary_bus().plug(0, 0, *pf);
    host.root().plug(1, 0, *port);
    port->config_write(port->express_at() + 0x28, 2, 0x20);
    pf->config_write(pf->sriov_at() + 0x24, 4, 0x1000'0000);
    pf->config_write(pf->sriov_at() + 0x30, 4, 0x1010'0000);
    pf->config_write(pf->sriov_at() + 0x10, 2, 3);
  }
  Memory memory{Hpa(0x4000'0000), 1 * kMiB};
  PciHost host{memory};
  std::unique_ptr<PciBridge> port = pcie_root_port(host);
  std::unique_ptr<SriovPf> pf = igb_with_vfs();
};

TEST_F(Sriov, VirtualFunctionsComeAndGoWithTheEnableBit) {
  EXPECT_EQ(host.find(1, 0x80), nullptr);
  pf->config_write(pf->sriov_at() + 8, 2, 0x19);
  EXPECT_EQ(host.find(1, 0x80), &pf->vf(0));
  EXPECT_EQ(host.find(1, 0x84), &pf->vf(2));
  EXPECT_EQ(host.find(1, 0x86), nullptr);
  EXPECT_EQ(pf->vf(0).config_read(0, 4), 0xffff'ffffU);
  EXPECT_EQ(pf->vf(0).config_read(0x0a, 2), 0x0200U);
  host.memory_write(0x1000'4000, 4, 0x1234);
  EXPECT_EQ(host.memory_read(0x1000'4000, 4), 0x1234U);
  EXPECT_EQ(pf->vf(1).bar_memory(0)[0], 0x34);
  EXPECT_EQ(host.unclaimed(), 0U);
  pf->config_write(pf->sriov_at() + 8, 2, 0);
  EXPECT_EQ(host.find(1, 0x80), nullptr);
  (void)host.memory_read(0x1000'4000, 4);
  EXPECT_EQ(host.unclaimed(), 1U);
}

TEST_F(Sriov, WithoutAriForwardingTheirNumbersAreOutOfReach) {
  port->config_write(port->express_at() + 0x28, 2, 0);
  pf->config_write(pf->sriov_at() + 8, 2, 0x19);
  EXPECT_EQ(host.find(1, 0x80), nullptr);
}

TEST_F(Sriov, AResetOfThePhysicalFunctionEndsThem) {
  pf->config_write(pf->sriov_at() + 8, 2, 0x19);
  pf->config_write(pf->express_at() + 8, 2, 0x8000);
  EXPECT_EQ(pf->vfs_on(), 0U);
  EXPECT_EQ(host.find(1, 0x80), nullptr);
}

TEST_F(Sriov, RegistersThatMustRestWhileVfsAreOnAreWatched) {
  pf->config_write(pf->sriov_at() + 8, 2, 0x19);
  pf->config_write(pf->sriov_at() + 0x10, 2, 5);
  EXPECT_EQ(pf->misuses(), 1U);
  EXPECT_EQ(pf->vfs_on(), 3U);
}

}  // namespace
}  // namespace penstock::sim
