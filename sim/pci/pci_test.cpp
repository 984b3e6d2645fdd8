#include <gtest/gtest.h>

#include <array>

#include "sim/memory.hpp"
#include "sim/pci/devices.hpp"

namespace penstock::sim {
namespace {

struct Board : testing::Test {
  Memory memory{Hpa(0x4000'0000), 0x10000};
  PciHost host{memory};
};

TEST_F(Board, BarsSizeAsHardwareDoes) {
  auto nvme = nvme_like();
  nvme->config_write(0x10, 4, ~0U);
  nvme->config_write(0x14, 4, ~0U);
  EXPECT_EQ(nvme->config_read(0x10, 4), 0xffff'c004U);
  EXPECT_EQ(nvme->config_read(0x14, 4), ~0U);
  nvme->config_write(0x10, 4, 0x1234'5678);
  EXPECT_EQ(nvme->config_read(0x10, 4), 0x1234'4004U);
}

TEST_F(Board, ReadOnlyAndWriteOneToClear) {
  auto nvme = nvme_like();
  nvme->config_write(0, 4, 0);
  EXPECT_EQ(nvme->config_read(0, 4), 0x0010'1b36U);
  nvme->poke(6, 2, 0x8010);
  nvme->config_write(4, 4, 0x0000'0006);
  EXPECT_EQ(nvme->config_read(6, 2), 0x8010U);
  nvme->config_write(6, 2, 0x8000);
  EXPECT_EQ(nvme->config_read(6, 2), 0x0010U);
}

TEST_F(Board, MemoryGoesToWhoDecodesAndThroughOpenBridges) {
  auto port = pcie_root_port(host);
  auto nvme = nvme_like();
  host.root().plug(1, 0, *port);
  port->secondary_bus().plug(0, 0, *nvme);
  nvme->config_write(0x10, 4, 0x1000'0000);
  nvme->config_write(4, 2, 2);
  PciWindow window(host, 0x1000'0000);
  window.write32(0x40, 7);
  EXPECT_EQ(host.unclaimed(), 1U);
  port->config_write(0x20, 4, 0x1000'1000);
  port->config_write(4, 2, 2);
  window.write32(0x40, 7);
  EXPECT_EQ(window.read32(0x40), 7U);
  EXPECT_EQ(host.unclaimed(), 1U);
}

TEST_F(Board, MessagesAreWritesAndPendingOnesFollow) {
  auto nvme = nvme_like();
  host.root().plug(1, 0, *nvme);
  const unsigned msix = 0x84;
  ASSERT_EQ(nvme->peek(msix, 1), 0x11U);
  nvme->config_write(4, 2, 6);
  nvme->config_write(msix + 2, 2, 0x8000);
  nvme->bar_write(0, 0x2000, 8, 0x4000'0040);
  nvme->bar_write(0, 0x2008, 4, 0x99);
  EXPECT_FALSE(nvme->raise(0));  // masked after reset
  EXPECT_EQ(nvme->bar_read(0, 0x3000, 8), 1U);
  nvme->bar_write(0, 0x3000, 8, ~0ULL);
  EXPECT_EQ(nvme->bar_read(0, 0x3000, 8), 1U);
  nvme->bar_write(0, 0x200c, 4, 0);
  EXPECT_EQ(nvme->bar_read(0, 0x3000, 8), 0U);
  EXPECT_EQ(memory.cpu_view()[0x40], 0x99);
}

TEST_F(Board, MaskedMsisWaitForTheirMask) {
  PciFunction plain({0x1234, 1, 0x02'0000});
  const unsigned msi = plain.add_msi(2, true, true);
  host.root().plug(1, 0, plain);
  plain.config_write(4, 2, 6);
  plain.config_write(msi + 4, 4, 0x4000'0080);
  plain.config_write(msi + 0xc, 2, 0x50);
  plain.config_write(msi + 0x10, 4, 2);
  plain.config_write(msi + 2, 2, 0x21);
  EXPECT_TRUE(plain.raise(3));
  EXPECT_EQ(memory.cpu_view()[0x80], 0x53);
  EXPECT_FALSE(plain.raise(1));
  EXPECT_EQ(plain.config_read(msi + 0x14, 4), 2U);
  plain.config_write(msi + 0x10, 4, 0);
  EXPECT_EQ(plain.config_read(msi + 0x14, 4), 0U);
  EXPECT_EQ(memory.cpu_view()[0x80], 0x51);
}

TEST_F(Board, DmaNeedsBusMastering) {
  EduLike edu;
  host.root().plug(1, 0, edu);
  const std::array<std::uint8_t, 2> bytes{1, 2};
  EXPECT_FALSE(edu.dma_write(0x4000'0000, bytes));
  edu.config_write(4, 2, 4);
  EXPECT_TRUE(edu.dma_write(0x4000'0000, bytes));
  EXPECT_EQ(memory.cpu_view()[1], 2);
  EXPECT_FALSE(edu.dma_write(0x8000'0000, bytes));
}

TEST_F(Board, TheTeachingDeviceCopiesBothWays) {
  EduLike edu;
  host.root().plug(1, 0, edu);
  edu.config_write(4, 2, 6);
  const std::array<std::uint8_t, 4> bytes{1, 2, 3, 4};
  ASSERT_TRUE(memory.device_write(0x4000'0100, bytes));
  edu.bar_write(0, 0x80, 8, 0x4000'0100);
  edu.bar_write(0, 0x88, 8, 0x4'0000);
  edu.bar_write(0, 0x90, 8, 4);
  edu.bar_write(0, 0x98, 8, 1);
  EXPECT_TRUE(edu.last_dma_arrived());
  edu.bar_write(0, 0x80, 8, 0x4'0000);
  edu.bar_write(0, 0x88, 8, 0x4000'0200);
  edu.bar_write(0, 0x98, 8, 3);
  EXPECT_TRUE(edu.last_dma_arrived());
  EXPECT_EQ(memory.cpu_view()[0x203], 4);
}

TEST_F(Board, ResetsForgetAndSecondaryBusResetSilences) {
  auto port = pcie_root_port(host);
  auto nvme = nvme_like();
  host.root().plug(1, 0, *port);
  port->secondary_bus().plug(0, 0, *nvme);
  port->config_write(0x18, 4, 0x0001'0100);
  nvme->config_write(0x3c, 1, 9);
  port->config_write(0x3e, 2, 0x40);
  EXPECT_EQ(host.read32(1 << 20), ~0U);
  port->config_write(0x3e, 2, 0);
  EXPECT_EQ(host.read32(1 << 20), 0x0010'1b36U);
  EXPECT_EQ(nvme->peek(0x3c, 1), 0U);
  EXPECT_EQ(nvme->resets(), 1U);
}

TEST_F(Board, ConfigAccessesOutsideTheWindowAreNoticed) {
  (void)host.read32(PciHost::kEcamBytes);
  (void)host.read64(0);
  EXPECT_EQ(host.violations().size(), 2U);
}

}  // namespace
}  // namespace penstock::sim
