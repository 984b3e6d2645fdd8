// Header, BARs, power, reset: what a guest does with them and what comes out.
#include "core/vpci/function.hpp"

#include <gtest/gtest.h>

#include "core/hw/pci/config.hpp"
#include "core/hw/pci/express.hpp"
#include "core/vpci/fake_function.hpp"

namespace penstock::vpci {
namespace {

namespace pci = hw::pci;
using Kind = Effect::Kind;
using test::RichFunction;

class Function : public ::testing::Test {
 protected:
  void SetUp() override { init(); }
  void init() { ASSERT_TRUE(f.init(rich.facts, rich.options)); }
  Effects write(unsigned offset, unsigned size, std::uint64_t value) {
    Effects effects = f.config_write(offset, size, value);
    EXPECT_EQ(rich.config.writes, 0u);
    return effects;
  }
  std::uint64_t read(unsigned offset, unsigned size) { return f.config_read(offset, size); }

  RichFunction rich;
  VirtualFunction f;
};

TEST_F(Function, HeaderNamesTheDevice) {
  EXPECT_EQ(read(pci::kVendorId, 4), 0x10c98086u);
  EXPECT_EQ(read(pci::kRevisionId, 4), 0x02000001u);
  EXPECT_EQ(read(pci::kSubsystemVendor, 4), 0xa03c8086u);
  EXPECT_EQ(read(pci::kInterruptPin, 1), 0u);
  EXPECT_EQ(read(pci::kHeaderType, 1), 0u);  // not multi-function unless the topology is
  EXPECT_EQ(read(pci::kStatus, 2), 0x10u);
  EXPECT_EQ(read(pci::kCommand, 2), 0u);
  rich.options.multi_function = true;
  init();
  EXPECT_EQ(read(pci::kHeaderType, 1), 0x80u);
}

// Covers: H15 H45
TEST_F(Function, DecodeIsAMappingAndUnmapsFirst) {
  EXPECT_TRUE(write(pci::bar_offset(2), 4, 0x1000'0000).empty());
  Effects effects = write(pci::kCommand, 2, 0x0006);
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(effects[0].kind, Kind::kMapBar);
  EXPECT_EQ(effects[0].bar, 2);
  EXPECT_EQ(effects[0].gpa, Gpa(0x1000'0000));
  EXPECT_EQ(effects[1].kind, Kind::kBusMaster);
  EXPECT_TRUE(effects[1].enable);
  EXPECT_TRUE(f.bar(2).mapped);
  EXPECT_EQ(f.bar(2).host, Hpa(0x1080'0000));
  EXPECT_TRUE(write(pci::kCommand, 2, 0x0006).empty());  // again: nothing new

  effects = write(pci::kCommand, 1, 0x00);
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(effects[0].kind, Kind::kUnmapBar);
  EXPECT_EQ(effects[0].gpa, Gpa(0x1000'0000));
  EXPECT_EQ(effects[1].kind, Kind::kBusMaster);
  EXPECT_FALSE(effects[1].enable);
}

// Covers: S3.14 H43
TEST_F(Function, A64BitBarMovesInTheGuestOnly) {
  write(pci::bar_offset(0), 8, 0x80'0000'0000);
  Effects effects = write(pci::kCommand, 2, 2);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].gpa, Gpa(0x80'0000'0000));
  EXPECT_EQ(f.bar(0).host, Hpa(0x9000'0000'0000));
  EXPECT_EQ(read(pci::bar_offset(0), 8), 0x80'0000'000cULL);  // 64-bit, prefetchable

  effects = write(pci::bar_offset(0), 4, 0x4000'0000);  // move while decoding: off first, then on
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(effects[0].kind, Kind::kUnmapBar);
  EXPECT_EQ(effects[0].gpa, Gpa(0x80'0000'0000));
  EXPECT_EQ(effects[1].kind, Kind::kMapBar);
  EXPECT_EQ(effects[1].gpa, Gpa(0x80'4000'0000));

  effects = write(pci::bar_offset(1), 4, 0x200);  // out of every window
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kUnmapBar);
  EXPECT_FALSE(f.bar(0).mapped);
}

TEST_F(Function, SizingShowsTheSizeEvenWhileDecoding) {
  write(pci::bar_offset(2), 4, 0x1000'0000);
  write(pci::kCommand, 2, 2);
  Effects effects = write(pci::bar_offset(2), 4, 0xffffffff);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kUnmapBar);
  EXPECT_EQ(read(pci::bar_offset(2), 4), 0xfff00000u);
  effects = write(pci::bar_offset(2), 4, 0x1000'0000);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kMapBar);

  write(pci::bar_offset(0), 8, ~0ULL);
  EXPECT_EQ(read(pci::bar_offset(0), 8), 0xffff'ffff'ffff'000cULL);
  write(pci::bar_offset(3), 4, ~0ULL);
  EXPECT_EQ(read(pci::bar_offset(3), 4), 0xffffff00u);
  write(pci::bar_offset(4), 8, ~0ULL);
  EXPECT_EQ(read(pci::bar_offset(4), 8), 0u);  // I/O and absent
  write(pci::kRomBar, 4, ~0ULL);
  EXPECT_EQ(read(pci::kRomBar, 4), 0u);
}

TEST_F(Function, BarsAreMappedInsideTheWindowsOnly) {
  write(pci::kCommand, 2, 2);
  EXPECT_TRUE(write(pci::bar_offset(2), 4, 0x4000'0000).empty());  // RAM
  EXPECT_TRUE(write(pci::bar_offset(2), 4, 0x0800'0000).empty());  // GIC
  EXPECT_TRUE(write(pci::bar_offset(2), 4, 0x3ef0'0000).empty());  // last MiB crosses the end
  EXPECT_EQ(write(pci::bar_offset(2), 4, 0x3ed0'0000).size(), 1u);
  rich.options.windows = {};
  init();
  write(pci::kCommand, 2, 2);
  EXPECT_TRUE(write(pci::bar_offset(2), 4, 0x1000'0000).empty());
}

// Covers: S3.14
TEST_F(Function, FixedBarsOnlyShowTheirSize) {
  rich.options.bars = BarPolicy::kFixed;
  rich.facts.bars[0].guest = Gpa(0x80'0001'0000);
  rich.facts.bars[2].guest = Gpa(0x1010'0000);
  rich.facts.bars[3].guest = Gpa(0x1000'0100);
  init();
  EXPECT_EQ(write(pci::kCommand, 2, 2).size(), 3u);
  EXPECT_TRUE(write(pci::bar_offset(2), 4, 0xffffffff).empty());
  EXPECT_EQ(read(pci::bar_offset(2), 4), 0xfff00000u);
  EXPECT_TRUE(write(pci::bar_offset(2), 4, 0x2000'0000).empty());
  EXPECT_EQ(read(pci::bar_offset(2), 4), 0x1010'0000u);
  EXPECT_TRUE(write(pci::bar_offset(0), 8, ~0ULL).empty());
  EXPECT_EQ(read(pci::bar_offset(0), 8), 0xffff'ffff'ffff'000cULL);
  EXPECT_TRUE(write(pci::bar_offset(0), 8, 0).empty());
  EXPECT_EQ(read(pci::bar_offset(0), 8), 0x80'0001'000cULL);
  EXPECT_EQ(f.bar(0).gpa, Gpa(0x80'0001'0000));
}

TEST_F(Function, ARomIsShownOnlyWhenAskedFor) {
  rich.options.show_rom = true;
  init();
  write(pci::kRomBar, 4, 0xfffff800);
  EXPECT_EQ(read(pci::kRomBar, 4), 0xfffe0000u);
  write(pci::kRomBar, 4, 0x1100'0001);
  EXPECT_FALSE(f.bar(kRomIndex).mapped);
  EXPECT_TRUE(write(pci::kCommand, 2, 2).empty());  // it always traps
  EXPECT_TRUE(f.bar(kRomIndex).mapped);
  EXPECT_TRUE(f.is_trapped(kRomIndex, 0));
  test::FakeBar bar;
  bar.bytes[0] = 0x55;
  EXPECT_EQ(f.bar_read(kRomIndex, 0, 1, bar), 0x55u);
  static_cast<void>(f.bar_write(kRomIndex, 0, 4, 1, bar));
  EXPECT_TRUE(bar.writes.empty());
}

TEST_F(Function, PowerStatesAreBelief) {
  EXPECT_EQ(read(test::kPm + 2, 2), 0x0023u);  // no D1, D2, PME
  EXPECT_EQ(read(test::kPm + 4, 2), 0x0008u);  // no soft reset
  EXPECT_TRUE(write(test::kPm + 4, 2, 0xffff).empty());
  EXPECT_EQ(read(test::kPm + 4, 2), 0x000bu);
  EXPECT_TRUE(write(test::kPm + 4, 2, 1).empty());  // D1 does not exist
  EXPECT_EQ(read(test::kPm + 4, 2), 0x000bu);
  write(test::kPm + 4, 1, 0);
  EXPECT_EQ(read(test::kPm + 4, 2), 0x0008u);
}

TEST_F(Function, ExpressCapabilityFitsItsPlaceInTheGuest) {
  EXPECT_EQ(read(test::kExp + 2, 2), 0x0092u);      // integrated endpoint, version 2
  EXPECT_EQ(read(test::kExp + 4, 4), 0x10008fc2u);  // no phantom functions
  EXPECT_EQ(read(test::kExp + 8, 2), 0x2010u);      // no-snoop is the guest's own bit
  EXPECT_EQ(read(test::kExp + 0x0a, 2), 0x0009u);
  EXPECT_EQ(read(test::kExp + 0x0c, 8), 0u);  // no link
  write(test::kExp + 8, 2, 0x7fff);
  EXPECT_EQ(read(test::kExp + 8, 2), 0x281fu);

  rich.options.integrated_endpoint = false;
  init();
  EXPECT_EQ(read(test::kExp + 2, 2), 0x0002u);
  EXPECT_EQ(read(test::kExp + 0x0c, 4), 0x00000041u);
  EXPECT_EQ(read(test::kExp + 0x12, 2), 0x1041u);
}

// Covers: S0.15
TEST_F(Function, FunctionLevelResetIsAnEffectAfterEverythingWasUndone) {
  write(pci::bar_offset(0), 8, 0x80'0000'0000);
  write(pci::bar_offset(2), 4, 0x1000'0000);
  write(pci::kCommand, 2, 6);
  write(test::kMsixCap + 2, 2, 0x8000);
  const Effects effects = write(test::kExp + 8, 2, 0x8000);
  // relaxed ordering off in hardware, two BARs, MSI-X, bus mastering, reset
  ASSERT_EQ(effects.size(), 6u);
  EXPECT_EQ(effects[0].kind, Kind::kHardwareWrite);
  EXPECT_EQ(effects[1].kind, Kind::kUnmapBar);
  EXPECT_EQ(effects[2].kind, Kind::kUnmapBar);
  EXPECT_EQ(effects[3].kind, Kind::kMsixEnable);
  EXPECT_FALSE(effects[3].enable);
  EXPECT_EQ(effects[4].kind, Kind::kBusMaster);
  EXPECT_EQ(effects[5].kind, Kind::kFunctionReset);
  EXPECT_EQ(read(pci::kCommand, 2), 0u);
  EXPECT_EQ(read(pci::bar_offset(0), 8), 0xcULL);
  EXPECT_EQ(f.kind(), MsiKind::kNone);
  EXPECT_EQ(read(test::kExp + 8, 2) & 0x8000, 0u);  // reads 0
}

TEST_F(Function, AdvancedFeaturesResetsToo) {
  EXPECT_EQ(read(test::kAf + 2, 2), 0x0306u);
  const Effects effects = write(test::kAf + 4, 1, 1);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kFunctionReset);
}

TEST_F(Function, NoResetWhereTheDeviceHasNone) {
  rich.config.put(test::kExp + 4, 4, 0x00008fc2);
  rich.config.put(test::kAf + 3, 1, 1);
  init();
  for (const Effect& effect : write(test::kExp + 9, 1, 0x80)) {
    EXPECT_NE(effect.kind, Kind::kFunctionReset);
  }
  EXPECT_TRUE(write(test::kAf + 4, 1, 1).empty());
}

TEST_F(Function, ResetUndoesWhatTheGuestHad) {
  write(pci::bar_offset(2), 4, 0x1000'0000);
  write(pci::kCommand, 2, 6);
  write(pci::kInterruptLine, 1, 0x42);
  const Effects effects = f.reset();
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(effects[0].kind, Kind::kUnmapBar);
  EXPECT_EQ(effects[1].kind, Kind::kBusMaster);
  EXPECT_EQ(read(pci::kInterruptLine, 1), 0u);
  EXPECT_TRUE(f.reset().empty());
}

// Covers: S3.33
TEST_F(Function, DenyWinsOverAllow) {
  const std::array deny{CapabilityName{.id = 0x11, .extended = false},
                        CapabilityName{.id = 0x09, .extended = false}};
  const std::array extra{ExtraCapability{.id = 0x09, .extended = false, .length = 8},
                         ExtraCapability{.id = 0x0010, .extended = true, .length = 64}};
  rich.options.deny = deny;
  rich.options.extra = extra;
  init();
  EXPECT_EQ(f.msix_offset(), 0u);
  EXPECT_EQ(read(test::kMsixCap, 4), 0u);
  EXPECT_EQ(read(test::kVendorCap, 4), 0u);
  EXPECT_EQ(read(0x160, 4), 0u);  // SR-IOV: not by asking like this
  EXPECT_EQ(f.max_vectors(), 8u);
}

/// A modern virtio device with one capability of each kind, and one of a kind that nobody knows.
struct Virtio : Function {
  Virtio() {
    rich.facts.vendor = 0x1af4;
    rich.facts.device = 0x1041;
    rich.config.put(pci::kCapabilities, 1, 0x40);
    unsigned at = 0x40;
    for (const auto& [kind, length] :
         {std::pair{1, 16}, {2, 20}, {3, 16}, {4, 16}, {5, 20}, {9, 16}}) {
      const unsigned next = kind == 9 ? 0 : at + static_cast<unsigned>(length);
      rich.config.capability(
          at, 0x09, next, {static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(kind), 4});
      for (unsigned i = 5; i < static_cast<unsigned>(length); ++i) rich.config.put(at + i, 1, i);
      if (kind == 5) window = at;
      at = next;
    }
  }
  /// The kinds that the guest finds, in the order of the list.
  std::vector<unsigned> kinds() {
    std::vector<unsigned> found;
    for (unsigned at = static_cast<unsigned>(read(pci::kCapabilities, 1)); at != 0;
         at = static_cast<unsigned>(read(at + 1, 1))) {
      EXPECT_EQ(read(at, 1), 0x09U);
      found.push_back(static_cast<unsigned>(read(at + 3, 1)));
    }
    return found;
  }
  unsigned window = 0;
};

// Covers: S3.12 S3.34
TEST_F(Virtio, ItsCapabilitiesAreShownReadOnlyWithoutAnybodyAsking) {
  init();
  EXPECT_EQ(kinds(), (std::vector<unsigned>{1, 2, 3, 4}));
  EXPECT_EQ(read(0x44, 4), 0x07060504U);
  EXPECT_EQ(read(0x50 + 16, 4), 0x13121110U) << "of the notifications, the multiplier";
  EXPECT_TRUE(write(0x44, 4, 0xffff'ffff).empty());
  EXPECT_EQ(read(0x44, 4), 0x07060504U);
  EXPECT_EQ(rich.config.writes, 0U);
}

// Covers: S3.33 S3.37
TEST_F(Virtio, TheWindowThatReachesBarsPastTheirMappingIsNeverShown) {
  const std::array extra{ExtraCapability{.id = 0x09, .extended = false, .length = 20}};
  for (const bool full : {false, true}) {
    for (const bool asked : {false, true}) {
      rich.options.full_access = full;
      rich.options.extra =
          asked ? std::span<const ExtraCapability>(extra) : std::span<const ExtraCapability>();
      init();
      for (const unsigned kind : kinds()) EXPECT_NE(kind, 5U);
      for (unsigned i = 4; i < 20; i += 4) {
        EXPECT_EQ(read(window + i, 4), 0U);
        EXPECT_TRUE(write(window + i, 4, 0xffff'ffff).empty());
      }
    }
  }
}

// Covers: S3.33
TEST_F(Virtio, WhatIsNotVirtioOrIsDeniedOrTooShortStaysHidden) {
  const std::array deny{CapabilityName{.id = 0x09, .extended = false}};
  rich.options.deny = deny;
  init();
  EXPECT_TRUE(kinds().empty());
  rich.options.deny = {};
  rich.config.put(0x42, 1, 8);
  init();
  EXPECT_EQ(kinds(), (std::vector<unsigned>{2, 3, 4}));
  for (const auto& [vendor, device] : {std::pair{0x8086, 0x1041}, {0x1af4, 0x1110}}) {
    rich.facts.vendor = static_cast<std::uint16_t>(vendor);
    rich.facts.device = static_cast<std::uint16_t>(device);
    init();
    EXPECT_TRUE(kinds().empty()) << vendor;
  }
}

TEST_F(Function, ContradictingFactsAreRefusedByName) {
  RichFunction r;
  r.facts.bars[1].size = 4096;
  EXPECT_EQ(f.init(r.facts, r.options).error().code, Code::kOverlap);
  r.build();
  r.facts.bars[2].size = 12345;
  EXPECT_EQ(f.init(r.facts, r.options).error(), fail(Code::kOutOfRange, 2));
  r.build();
  r.facts.bars[2].host = Hpa(0x1080'1000);
  EXPECT_EQ(f.init(r.facts, r.options).error(), fail(Code::kMisaligned, 2));
  r.build();
  r.facts.hw = nullptr;
  EXPECT_EQ(f.init(r.facts, r.options).error().code, Code::kNotFound);
  r.build();
  r.config.put(pci::kHeaderType, 1, 0x81);
  EXPECT_EQ(f.init(r.facts, r.options).error(), fail(Code::kUnsupported, 0x81));
  r.build();
  r.config.bytes.fill(0xff);
  EXPECT_EQ(f.init(r.facts, r.options).error().code, Code::kNotFound);
  r.build();
  const std::array extra{ExtraCapability{.id = 0x05, .extended = false, .length = 8}};
  r.options.extra = extra;
  EXPECT_EQ(f.init(r.facts, r.options).error(), fail(Code::kAlreadyExists, 0x05));
}

// Covers: H16 S3.37
TEST_F(Function, ConfigSpaceMirroredInABarIsTheVirtualOne) {
  const std::array mirrors{BarMirror{.bar = 2, .offset = 0x88000, .size = 0x1000}};
  rich.options.mirrors = mirrors;
  init();
  EXPECT_TRUE(f.is_trapped(2, 0x88000));
  EXPECT_FALSE(f.is_trapped(2, 0x87000));
  ASSERT_EQ(f.mappable(2).size(), 2u);
  test::FakeBar bar;
  EXPECT_EQ(f.bar_read(2, 0x88000, 4, bar), 0x10c98086u);
  const Effects effects = f.bar_write(2, 0x88004, 2, 4, bar);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].kind, Kind::kBusMaster);
  EXPECT_TRUE(bar.reads.empty());
  EXPECT_TRUE(bar.writes.empty());
}

TEST_F(Function, BrokenCapabilitiesAreHiddenNotTrusted) {
  rich.config.put(test::kPm + 1, 1, test::kPm + 4);
  rich.config.capability(test::kPm + 4, 0x13, 0xfc);  // inside the one before
  rich.config.capability(0xfc, 0x10, test::kMsiCap);  // PCI Express, but it would leave the space
  rich.config.capability(test::kMsiCap, 0x05, 0x48);
  rich.config.capability(0x48, 0x05, 0);  // a second MSI
  init();
  EXPECT_EQ(read(pci::kCapabilities, 1), test::kPm);
  EXPECT_EQ(read(test::kPm + 1, 1), test::kMsiCap);
  EXPECT_EQ(read(test::kMsiCap + 1, 1), 0u);
  EXPECT_EQ(read(test::kPm + 4, 2), 0x0008u);
  EXPECT_EQ(f.report().shown,
            2 + 1);  // and the serial number: the device is an Express one all the same
  EXPECT_EQ(f.report().malformed, 3);
}

}  // namespace
}  // namespace penstock::vpci
