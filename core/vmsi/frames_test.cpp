// The frames as a driver sees them: one table per frame, then every access size at every offset.
#include <gtest/gtest.h>

#include "core/vmsi/guest_fake.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {
namespace {

using fake::Guest;
using fake::vcpu;

constexpr std::uint64_t kSgi = 0x1'0000;

/// A 32-bit register: its reset value and which bits keep what is written. Values by hand from IHI
/// 0069 H.
struct Register {
  const char* name;
  std::uint64_t offset;
  std::uint32_t reset;
  std::uint32_t writable;
};

constexpr Register kDistributor[] = {
    {"GICD_CTLR", 0x0000, 0x50, 0x3},  // ARE, DS
    // ITLinesNumber 1, num_LPIs 10, LPIS, IDbits 15, A3V, No1N
    {"GICD_TYPER", 0x0004, 0x037a'5001, 0},
    {"GICD_IIDR", 0x0008, 0x43b, 0},
    {"GICD_TYPER2", 0x000c, 0, 0},
    {"GICD_SETSPI_NSR", 0x0040, 0, 0},
    {"GICD_IGROUPR0", 0x0080, 0, 0},
    {"GICD_IGROUPR1", 0x0084, ~0U, ~0U},
    {"GICD_IGROUPR2", 0x0088, 0, 0},
    {"GICD_IGROUPR31", 0x00fc, 0, 0},
    {"GICD_ISENABLER0", 0x0100, 0, 0},
    {"GICD_ISENABLER1", 0x0104, 0, ~0U},
    {"GICD_ISENABLER2", 0x0108, 0, 0},
    {"GICD_ISPENDR0", 0x0200, 0, 0},
    {"GICD_ISPENDR1", 0x0204, 0, ~0U},
    {"GICD_ISPENDR2", 0x0208, 0, 0},
    {"GICD_ISACTIVER0", 0x0300, 0, 0},
    {"GICD_ISACTIVER1", 0x0304, 0, ~0U},
    {"GICD_ISACTIVER2", 0x0308, 0, 0},
    {"GICD_IPRIORITYR0", 0x0400, 0, 0},
    {"GICD_IPRIORITYR7", 0x041c, 0, 0},
    {"GICD_IPRIORITYR8", 0x0420, 0, ~0U},
    {"GICD_IPRIORITYR15", 0x043c, 0, ~0U},
    {"GICD_IPRIORITYR16", 0x0440, 0, 0},
    {"GICD_ITARGETSR8", 0x0820, 0, 0},
    {"GICD_ICFGR0", 0x0c00, 0, 0},
    {"GICD_ICFGR1", 0x0c04, 0, 0},
    {"GICD_ICFGR2", 0x0c08, 0, 0xaaaa'aaaa},
    {"GICD_ICFGR3", 0x0c0c, 0, 0xaaaa'aaaa},
    {"GICD_ICFGR4", 0x0c10, 0, 0},
    {"GICD_ICFGR63", 0x0cfc, 0, 0},
    {"GICD_IGRPMODR1", 0x0d04, 0, 0},
    {"GICD_NSACR2", 0x0e08, 0, 0},
    {"GICD_SGIR", 0x0f00, 0, 0},
    {"GICD_SPENDSGIR0", 0x0f20, 0, 0},
    {"GICD_IROUTER31 low", 0x60f8, 0, 0},
    {"GICD_IROUTER32 low", 0x6100, 0, 0x00ff'ffff},
    {"GICD_IROUTER32 high", 0x6104, 0, 0xff},
    {"GICD_IROUTER63 low", 0x61f8, 0, 0x00ff'ffff},
    {"GICD_IROUTER63 high", 0x61fc, 0, 0xff},
    {"GICD_IROUTER64 low", 0x6200, 0, 0},
    {"GICD_IROUTER1019 high", 0x7fdc, 0, 0},
    {"GICD_PIDR2", 0xffe8, 0x3b, 0},
};

constexpr Register kRedistributor1[] = {
    {"GICR_CTLR", 0x0000, 2, 1},  // CES
    {"GICR_IIDR", 0x0004, 0x43b, 0},
    {"GICR_TYPER low", 0x0008, 0x111, 0},  // processor 1, Last, PLPIS
    {"GICR_TYPER high", 0x000c, 1, 0},
    {"GICR_STATUSR", 0x0010, 0, 0},
    {"GICR_WAKER", 0x0014, 6, 0},
    {"GICR_SETLPIR", 0x0040, 0, 0},
    {"GICR_PROPBASER low", 0x0070, 0, 0xffff'ff9f},
    {"GICR_PROPBASER high", 0x0074, 0, 0x070f'ffff},
    {"GICR_PENDBASER low", 0x0078, 0, 0xffff'0f80},
    {"GICR_PENDBASER high", 0x007c, 0, 0x070f'ffff},  // PTZ reads 0
    {"GICR_INVLPIR", 0x00a0, 0, 0},
    {"GICR_INVALLR", 0x00b0, 0, 0},
    {"GICR_SYNCR", 0x00c0, 0, 0},
    {"GICR_PIDR2", 0xffe8, 0x3b, 0},
    {"GICR_IGROUPR0", kSgi + 0x0080, ~0U, ~0U},
    {"GICR_IGROUPR1E", kSgi + 0x0084, 0, 0},
    {"GICR_ISENABLER0", kSgi + 0x0100, 0, ~0U},
    {"GICR_ISPENDR0", kSgi + 0x0200, 0, ~0U},
    {"GICR_ISPENDR1E", kSgi + 0x0204, 0, 0},
    {"GICR_ISACTIVER0", kSgi + 0x0300, 0, ~0U},
    {"GICR_IPRIORITYR0", kSgi + 0x0400, 0, ~0U},
    {"GICR_IPRIORITYR7", kSgi + 0x041c, 0, ~0U},
    {"GICR_IPRIORITYR8E", kSgi + 0x0420, 0, 0},
    {"GICR_ICFGR0", kSgi + 0x0c00, 0xaaaa'aaaa, 0},
    {"GICR_ICFGR1", kSgi + 0x0c04, 0, 0xaaaa'aaaa},
    {"GICR_ICFGR2E", kSgi + 0x0c08, 0, 0},
    {"GICR_IGRPMODR0", kSgi + 0x0d00, 0, 0},
    {"GICR_NSACR", kSgi + 0x0e00, 0, 0},
};

// Covers: H12
TEST(Distributor, RegistersResetAndKeepWhatTheySay) {
  for (const Register& r : kDistributor) {
    Guest g;
    EXPECT_EQ(g.gicd_read(0, r.offset), r.reset) << r.name;
    g.gicd_write(0, r.offset, 4, 0xffff'ffff);
    EXPECT_EQ(g.gicd_read(0, r.offset), r.reset | r.writable) << r.name;
    const bool set_only = r.offset >= 0x100 && r.offset < 0x400;
    g.gicd_write(0, r.offset, 4, 0);
    EXPECT_EQ(g.gicd_read(0, r.offset), set_only ? r.reset | r.writable : r.reset & ~r.writable)
        << r.name;
  }
}

// Covers: H12
TEST(Redistributor, RegistersResetAndKeepWhatTheySay) {
  for (const Register& r : kRedistributor1) {
    Guest g;
    const std::uint64_t offset = 0x2'0000 + r.offset;
    EXPECT_EQ(g.gicr_read(0, offset), r.reset) << r.name;
    const bool control = r.offset == 0 || r.offset == 0x14;
    g.gicr_write(0, offset, 4, r.offset == 0x14 ? 0 : 0xffff'ffff);
    const std::uint32_t after = r.offset == 0x14 ? 0 : r.reset | r.writable;
    EXPECT_EQ(g.gicr_read(0, offset), after) << r.name;
    if (!control) EXPECT_EQ(g.gicr_read(1, offset), after) << r.name;  // one frame for all
  }
  Guest g;
  EXPECT_EQ(g.gicr_read(0, 8, 8), 0x1u);  // vCPU 0: processor 0, not the last
  EXPECT_EQ(g.gicr_read(0, 0x2'0008, 8), 0x1'0000'0111u);
  EXPECT_EQ(g.gicr_read(0, 0x4'0008, 8), 0u);  // behind the last frame
  EXPECT_EQ(g.gicr_read(0, ~std::uint64_t{7}, 8), 0u);
}

TEST(Distributor, SetAndClearRegistersAreTwoViewsOfOneState) {
  Guest g;
  for (const std::uint64_t set : std::initializer_list<std::uint64_t>{0x104u, 0x204u, 0x304u}) {
    g.gicd_write(0, set, 4, 0xff00);
    EXPECT_EQ(g.gicd_read(0, set + 0x80), 0xff00u);
    g.gicd_write(0, set + 0x80, 4, 0x0f00);
    EXPECT_EQ(g.gicd_read(0, set), 0xf000u);
  }
}

// Covers: H13 H48
TEST(Distributor, PrioritiesAreBytesAndRoutesAre64Bits) {
  Guest g;
  for (unsigned i = 0; i < 32; ++i) g.gicd_write(0, 0x420 + i, 1, i + 1);
  EXPECT_EQ(g.gicd_read(0, 0x424, 4), 0x0807'0605u);
  EXPECT_EQ(g.gicd_read(0, 0x43f, 1), 0x20u);
  EXPECT_EQ(g.gicd_read(0, 0x43e, 4), 0u);  // unaligned, over the end
  g.gicd_write(0, 0x43e, 4, ~0U);
  g.gicd_write(0, 0x43c, 8, ~0ULL);
  g.gicd_write(0, 0x420, 2, ~0U);
  EXPECT_EQ(g.gicd_read(0, 0x43c, 4), 0x201f'1e1du);
  EXPECT_EQ(g.gicd_read(0, 0x420, 1), 1u);
  g.gicd_write(0, 0x6108, 8, ~0ULL);
  EXPECT_EQ(g.gicd_read(0, 0x6108, 8), 0xff'00ff'ffffu);
  g.gicd_write(0, 0x610c, 4, 0);
  EXPECT_EQ(g.gicd_read(0, 0x6108, 8), 0x00ff'ffffu);
  g.gicd_write(0, 0x6104, 8, ~0ULL);  // over two registers: no such access
  EXPECT_EQ(g.gicd_read(0, 0x6108, 8), 0x00ff'ffffu);
  g.gicd_write(0, 0x61fc, 8, ~0ULL);
  EXPECT_EQ(g.gicd_read(0, 0x61f8, 8), 0u);
}

// Covers: H12 H13 H48
TEST(Frames, EveryAccessSizeAtEveryOffsetHasAnAnswer) {
  Guest g;
  g.enable_all();
  g.gic.set_spi_level(33, true);
  for (const unsigned size : {1u, 2u, 4u, 8u}) {
    const std::uint64_t too_wide = size == 8 ? 0 : ~std::uint64_t{0} << (8 * size);
    for (std::uint64_t offset = 0; offset < 0x1'0010; ++offset) {
      if (offset == 0x1000) offset = 0x5ff0;  // nothing in between: the ends are enough
      if (offset == 0x8000) offset = 0xffc0;
      EXPECT_EQ(g.gicd_read(0, offset, size) & too_wide, 0u) << offset;
      g.gicd_write(0, offset, size, 0x5a5a'a5a5'ffff'0000ULL + offset);
    }
    for (std::uint64_t offset = 0; offset < 0x6'0010; ++offset) {
      if ((offset & 0xffff) == 0x1000) offset += 0xefc0;
      EXPECT_EQ(g.gicr_read(1, offset, size) & too_wide, 0u) << offset;
      g.gicr_write(1, offset, size, 0xa5a5'5a5a'ffff'0000ULL + offset);
    }
    g.run();
    for (const auto& cpu : g.cpus) EXPECT_TRUE(cpu.sane());
  }
  for (const std::uint64_t offset :
       std::initializer_list<std::uint64_t>{~0ULL, ~7ULL, 1ULL << 63, 0x1'0000'0000ULL}) {
    EXPECT_EQ(g.gicd_read(0, offset, 8), 0u);
    EXPECT_EQ(g.gicr_read(0, offset, 8), 0u);
    g.gicd_write(0, offset, 8, ~0ULL);
    g.gicr_write(0, offset, 8, ~0ULL);
  }
}

TEST(Frames, PendingAndActiveOfOneselfAreExact) {
  Guest g;
  g.enable_all();
  g.gic.pend_private(vcpu(0), 20);
  g.gic.set_spi_level(33, true);
  g.run();
  EXPECT_EQ(g.gicr_read(0, kSgi + 0x200), 1U << 20);
  EXPECT_EQ(g.gicd_read(0, 0x204), 2u);
  EXPECT_EQ(g.cpus[0].acknowledge(), 20u);
  EXPECT_EQ(g.cpus[0].acknowledge(), 33u);
  EXPECT_EQ(g.gicr_read(0, kSgi + 0x200), 0u);
  EXPECT_EQ(g.gicr_read(0, kSgi + 0x300), 1U << 20);
  EXPECT_EQ(g.gicd_read(0, 0x304), 2u);
  g.cpus[0].end(20);
  EXPECT_EQ(g.gicr_read(0, kSgi + 0x300), 0u);
}

TEST(Frames, AnotherCpusStateIsReachedByPolling) {
  Guest g;
  g.enable_all();
  g.gic.set_spi_level(33, true);
  g.run();
  EXPECT_EQ(g.cpus[0].acknowledge(), 33u);
  g.kicks.mask = 0;
  (void)g.gicd_read(1, 0x304);
  EXPECT_EQ(g.kicks.mask, 1u);
  EXPECT_EQ(g.gicd_read(1, 0x000) >> 31, 1u);  // RWP
  g.run();
  EXPECT_EQ(g.gicd_read(1, 0x304), 2u);
  g.gic.set_spi_level(33, false);
  g.cpus[0].end(33);
  g.run();
  g.kicks.mask = 0;
  EXPECT_EQ(g.gicd_read(1, 0x304), 0u);
  EXPECT_EQ(g.gicd_read(1, 0x000) >> 31, 0u);
  EXPECT_EQ(g.kicks.mask, 0u);  // nobody has it
}

TEST(Frames, SoftwareSetsAndClearsStateWhereverItIs) {
  for (const unsigned writer : {0u, 1u}) {
    Guest g;
    g.enable_all();
    g.gicr_write(writer, kSgi + 0x200, 4, 1U << 20);  // ISPENDR
    g.run();
    EXPECT_TRUE(g.cpus[0].is_pending(20));
    g.gicr_write(writer, kSgi + 0x280, 4, 1U << 20);  // ICPENDR
    g.run();
    EXPECT_EQ(g.cpus[0].holders(20), 0u);
    g.gicr_write(writer, kSgi + 0x300, 4, 1U << 20);  // ISACTIVER
    g.run();
    EXPECT_EQ(g.gicr_read(writer, kSgi + 0x300), 1U << 20);
    g.gicr_write(writer, kSgi + 0x200, 4, 1U << 20);
    g.run();
    EXPECT_EQ(g.cpus[0].acknowledge(), std::nullopt);
    g.gicr_write(writer, kSgi + 0x380, 4, 1U << 20);  // ICACTIVER
    EXPECT_EQ(g.take(0), 20u);
    g.gicd_write(writer, 0x204, 4, 2);
    g.run();
    EXPECT_TRUE(g.cpus[0].is_pending(33));
    g.gicd_write(writer, 0x184, 4, 2);  // ICENABLER takes it back, and it waits
    g.run();
    EXPECT_EQ(g.cpus[0].holders(33), 0u);
    EXPECT_EQ(g.gicd_read(writer, 0x204), 2u);
    g.gicd_write(writer, 0x104, 4, 2);
    EXPECT_EQ(g.take(0), 33u);
    EXPECT_EQ(g.take(0), std::nullopt);
  }
}

TEST(Redistributor, LpisComeOnWithTheirTable) {
  Guest g;
  g.gicd_write(0, 0, 4, 2);
  g.gic.route_lpi(GuestIntId(8192), vcpu(0));
  g.ram.bytes()[0x1'0000] = 0x81;
  g.gicr_write(0, 0x70, 8, Guest::kPropertyTable | 15);
  g.gic.load_lpi_config(GuestIntId(8192));  // LPIs are off: no table yet
  g.gic.pend_lpi(vcpu(0), GuestIntId(8192));
  EXPECT_EQ(g.take(0), std::nullopt);
  g.gicr_write(0, 0, 4, 1);
  EXPECT_EQ(g.take(0), 8192u);
  g.gicr_write(0, 0x70, 8, 0);  // ignored while LPIs are on
  EXPECT_EQ(g.gicr_read(0, 0x70, 8), Guest::kPropertyTable | 15);

  g.gic.pend_lpi(vcpu(0), GuestIntId(8192));
  g.run();
  g.gicr_write(0, 0, 4, 0);  // off: what waits in a register waits here
  g.run();
  EXPECT_EQ(g.cpus[0].valid_count(), 0u);
  g.gicr_write(0, 0, 4, 1);
  EXPECT_EQ(g.take(0), 8192u);
  g.gicr_write(0, 0, 4, 0);
  g.gic.pend_lpi(vcpu(0), GuestIntId(8192));
  g.gicr_write(0, 0x78, 8, 1ULL << 62);  // PTZ
  g.gicr_write(0, 0, 4, 1);
  EXPECT_EQ(g.take(0), std::nullopt);
}

// Covers: H50
TEST(Redistributor, APropertyTableOutsideRamOrTooSmallDisables) {
  for (const std::uint64_t base : std::initializer_list<std::uint64_t>{
           0x0800'0000ULL | 15, 0xf'ffff'ffff'f000ULL | 15, Guest::kPropertyTable | 12,
           Guest::kPropertyTable | 0, (fake::Ram::kBase + 0x4'0000 - 0x1000) | 15}) {
    Guest g;
    for (auto& byte : g.ram.bytes()) byte = 0x81;
    g.gicd_write(0, 0, 4, 2);
    g.gicr_write(0, 0x70, 8, base);
    g.gicr_write(0, 0, 4, 1);
    for (const unsigned i : {0u, kLpiCount - 1}) {
      g.gic.route_lpi(GuestIntId(kFirstLpi + i), vcpu(0));
      g.gic.load_lpi_config(GuestIntId(kFirstLpi + i));
    }
    g.gic.load_lpi_configs(vcpu(0));
    g.gic.pend_lpi(vcpu(0), GuestIntId(kFirstLpi + kLpiCount - 1));
    const bool readable = base == ((fake::Ram::kBase + 0x4'0000 - 0x1000) | 15);
    EXPECT_EQ(g.take(0).has_value(), readable) << std::hex << base;
  }
}

}  // namespace
}  // namespace penstock::vmsi
