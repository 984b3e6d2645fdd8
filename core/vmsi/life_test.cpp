// vCPUs that come on and go off.
#include <gtest/gtest.h>

#include "core/vmsi/guest_fake.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {
namespace {

using fake::Guest;
using fake::vcpu;

constexpr std::uint64_t kSgiFrame = 0x1'0000;
constexpr std::uint64_t kSgi3To1 = 3U << 24 | 2;

TEST(Life, AnSgiReachesAVcpuThatCameOnAgain) {
  Guest g;
  g.enable_all();
  g.gic.park(vcpu(1), g.cpus[1]);
  g.gic.start_vcpu(vcpu(1), g.cpus[1]);
  EXPECT_FALSE(g.gic.needs_delivery(vcpu(1)));
  g.kicks.mask = 0;
  g.gic.send_sgi(vcpu(0), kSgi3To1);
  EXPECT_EQ(g.kicks.mask, 2u) << "nobody makes it look";
  EXPECT_EQ(g.take(1), 3u);
}

TEST(Life, WhatArrivedWhileAVcpuWasOffIsThereWhenItComesOn) {
  Guest g;
  g.enable_all();
  g.gic.park(vcpu(1), g.cpus[1]);
  g.gic.send_sgi(vcpu(0), kSgi3To1);
  g.gicd_write(0, 0x6000 + 8 * 40, 8, 1);
  g.gic.set_spi_level(40, true);
  g.gic.start_vcpu(vcpu(1), g.cpus[1]);
  EXPECT_TRUE(g.cpus[1].is_pending(3));
  EXPECT_TRUE(g.cpus[1].is_pending(40));
}

TEST(Life, ARedistributorKeepsWhatWasSetBeforeItsVcpuCameOn) {
  fake::Ram ram;
  fake::Kicks kicks;
  fake::Cpu cpus[2];
  VirtualGic gic;
  const std::uint64_t mpidrs[] = {0, 1};
  ASSERT_TRUE(gic.init(2, mpidrs, ram, kicks));
  gic.start_vcpu(vcpu(0), cpus[0]);
  const auto write = [&](std::uint64_t offset, std::uint64_t value) {
    gic.redistributor_write(vcpu(0), cpus[0], 0x2'0000 + offset, 4, value);
  };
  const auto read = [&](std::uint64_t offset) {
    return gic.redistributor_read(vcpu(0), cpus[0], 0x2'0000 + offset, 4);
  };
  gic.distributor_write(vcpu(0), cpus[0], 0, 4, 2);
  write(0x14, 0);
  write(kSgiFrame + 0x100, 0xff);
  write(kSgiFrame + 0x400, 0x4040'4040);
  write(0x70, 0x4001'000f);
  gic.send_sgi(vcpu(0), kSgi3To1);
  gic.start_vcpu(vcpu(1), cpus[1]);
  EXPECT_EQ(read(0x14), 0u);
  EXPECT_EQ(read(kSgiFrame + 0x100), 0xffu);
  EXPECT_EQ(read(kSgiFrame + 0x400), 0x4040'4040u);
  EXPECT_EQ(read(0x70), 0x4001'000fu);
  EXPECT_TRUE(cpus[1].is_pending(3));
}

TEST(Life, ATimerThatTickedIsNotThereWhenItsVcpuComesOnAgain) {
  Guest g;
  g.enable_all();
  g.cpus[1].physical_active |= 1U << 27;
  g.gic.pend_hardware_ppi(vcpu(1), 27);
  g.gic.park(vcpu(1), g.cpus[1]);
  EXPECT_EQ(g.cpus[1].physical_active, 0u);
  g.gic.start_vcpu(vcpu(1), g.cpus[1]);
  EXPECT_EQ(g.take(1), std::nullopt);
}

// Covers: H66
TEST(Life, PrivateInterruptsOfOneVcpuMeetNoLockOfAnother) {
  // While vCPU 0 is inside an access to its own redistributor, vCPU 1 takes its tick and an SGI.
  struct Hooked final : port::GuestMem {
    Status read(Gpa, std::span<std::uint8_t>) override {
      g->cpus[1].physical_active |= 1U << 27;
      g->gic.pend_hardware_ppi(vcpu(1), 27);
      g->gic.send_sgi(vcpu(0), kSgi3To1);
      g->gic.deliver(vcpu(1), g->cpus[1]);
      return fail(Code::kNotMapped);
    }
    Status write(Gpa, std::span<const std::uint8_t>) override { return {}; }
    Status store32(Gpa, std::uint32_t) override { return {}; }
    Guest* g = nullptr;
  };
  Guest g;
  Hooked memory;
  memory.g = &g;
  const std::uint64_t mpidrs[] = {0, 1};
  ASSERT_TRUE(g.gic.init(2, mpidrs, memory, g.kicks));
  for (unsigned i = 0; i < 2; ++i) g.gic.start_vcpu(vcpu(i), g.cpus[i]);
  g.gicd_write(0, 0, 4, 2);
  g.gicr_write(1, 0x2'0000 + kSgiFrame + 0x100, 4, ~0U);
  g.gic.route_lpi(GuestIntId(kFirstLpi), vcpu(0));
  g.gicr_write(0, 0x70, 8, Guest::kPropertyTable | 15);
  g.gicr_write(0, 0, 4, 1);  // reads the property table, under the lock of the LPIs' registers
  EXPECT_TRUE(g.cpus[1].is_pending(27));
  EXPECT_TRUE(g.cpus[1].is_pending(3));
}

}  // namespace
}  // namespace penstock::vmsi
