// Full access: what a hardware domain reaches that others do not, and what it does not either.
#include <gtest/gtest.h>

#include <vector>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

using Kind = Effect::Kind;
using test::RichFunction;

struct Write {
  unsigned offset, size;
  std::uint64_t value;
  friend bool operator==(const Write&, const Write&) = default;
};

struct FullAccess : ::testing::Test {
  FullAccess() {
    rich.options.full_access = true;
    rich.config.put(test::kVsec + 4, 4, 0xfeed'0001);
    rich.config.put(0x104, 4, 0x0010'0010);  // AER: uncorrectable status
    rich.config.put(0x104 + 8, 4, 0xcafe'f00d);
    rich.config.put(test::kVpd + 2, 2, 0x8004);
    rich.config.put(test::kVpd + 4, 4, 0x1122'3344);
    rich.config.put(0xe4, 4, 0x5566'7788);  // no capability's
  }
  void init() { ASSERT_TRUE(f.init(rich.facts, rich.options)); }
  std::uint64_t read(unsigned at, unsigned size) { return f.config_read(at, size); }
  std::vector<Write> write(unsigned at, unsigned size, std::uint64_t value) {
    std::vector<Write> out;
    for (const Effect& e : f.config_write(at, size, value)) {
      if (e.kind == Kind::kHardwareWrite) out.push_back({e.offset, e.size, e.value});
    }
    return out;
  }
  /// Offsets of the capabilities that a guest finds.
  std::vector<unsigned> walk() {
    std::vector<unsigned> found;
    for (auto at = read(0x34, 1); at != 0; at = read(static_cast<unsigned>(at) + 1, 1)) {
      found.push_back(static_cast<unsigned>(at));
    }
    for (std::uint64_t at = 0x100; at != 0 && read(static_cast<unsigned>(at), 4) != 0;) {
      if ((read(static_cast<unsigned>(at), 2)) != 0) found.push_back(static_cast<unsigned>(at));
      at = read(static_cast<unsigned>(at), 4) >> 20;
    }
    return found;
  }
  RichFunction rich;
  VirtualFunction f;
};

// Covers: S3.10 S3.36
TEST_F(FullAccess, ReadsWhatThePolicyDoesNotKnowAsItIsInHardware) {
  init();
  EXPECT_EQ(read(0x104, 8), 0xa5a5'a5a5'0010'0010U);
  EXPECT_EQ(read(0xe4, 4), 0x5566'7788U);
  EXPECT_EQ(read(test::kVsec + 4, 4), 0xfeed'0001U);
  rich.config.put(0x104, 4, 0x0000'0020);
  EXPECT_EQ(read(0x104, 4), 0x20U);
  EXPECT_EQ(read(0x105, 2), 0U);
  // VPD: its link is ours, the rest of the same word is the device's.
  EXPECT_EQ(read(test::kVpd, 4), 0x8004'0003U);
  EXPECT_EQ(read(test::kVpd + 3, 2), 0x4480U);
  const std::vector<unsigned> expected = {
      test::kPm, test::kMsiCap, test::kMsixCap, test::kExp, test::kVendorCap,
      test::kAf, test::kVpd,    0x100,          test::kDsn, test::kVsec};
  EXPECT_EQ(walk(), expected);
}

// Covers: S3.10
TEST_F(FullAccess, WritesItWithTheGuestsOwnWidth) {
  init();
  EXPECT_EQ(write(0x104, 4, 0x10), (std::vector<Write>{{0x104, 4, 0x10}}));
  EXPECT_EQ(write(0x105, 1, 0x12), (std::vector<Write>{{0x105, 1, 0x12}}));
  EXPECT_EQ(write(0x105, 8, 0x8877'6655'4433'2211),
            (std::vector<Write>{
                {0x105, 1, 0x11}, {0x106, 2, 0x3322}, {0x108, 4, 0x7766'5544}, {0x10c, 1, 0x88}}));
  EXPECT_EQ(write(test::kVpd, 4, 0x0008'ffff), (std::vector<Write>{{test::kVpd + 2, 2, 0x0008}}));
  EXPECT_EQ(write(0xffe, 8, ~0ULL), (std::vector<Write>{{0xffe, 2, 0xffff}}));
}

// Covers: S3.10
TEST_F(FullAccess, ADomainWithoutItReachesNoneOfThis) {
  rich.options.full_access = false;
  init();
  for (const unsigned at : {0x104U, 0xe4U, test::kVsec + 4, test::kVpd + 4}) {
    EXPECT_EQ(read(at, 4), 0U) << at;
    EXPECT_TRUE(write(at, 4, 0xffff'ffff).empty()) << at;
  }
}

// Covers: S3.10 S0.13 H15 H17 H18
TEST_F(FullAccess, WhatPenstockProtectsStaysAsThePolicySays) {
  init();
  for (unsigned at = 0; at < 4096; at += 4) {
    const bool ours = at < 0x40 || (at >= test::kPm && at < test::kPm + 8) ||
                      (at >= test::kMsiCap && at < test::kMsiCap + 0x18) ||
                      (at >= test::kMsixCap && at < test::kMsixCap + 0xc) ||
                      (at >= test::kExp && at < test::kExp + 0x3c) ||
                      (at >= test::kAf && at < test::kAf + 8) || at == 0x100 ||
                      (at >= test::kDsn && at < test::kDsn + 0xc) ||
                      (at >= 0x160 && at < test::kVsec) || at == test::kVsec;
    for (const Write& w : write(at, 4, 0xffff'ffff)) {
      const bool by_policy =
          w.offset == 0x06 || w.offset == test::kExp + 0x08 || w.offset == test::kExp + 0x0a;
      EXPECT_TRUE(!ours || by_policy) << std::hex << w.offset;
    }
  }
  EXPECT_EQ(read(0x160, 4), 0U);  // SR-IOV
  EXPECT_EQ(read(0x184, 4), 0U);
  EXPECT_EQ(rich.config.writes, 0U);
}

// Covers: S3.33
TEST_F(FullAccess, DenyWinsOverIt) {
  const CapabilityName denied[] = {{.id = 0x0001, .extended = true}, {.id = 0x03}};
  rich.options.deny = denied;
  init();
  EXPECT_EQ(read(0x104, 4), 0U);
  EXPECT_TRUE(write(0x104, 4, 1).empty());
  EXPECT_TRUE(write(0x13c, 4, 1).empty());  // to where the next one begins
  EXPECT_TRUE(write(test::kVpd + 4, 4, 1).empty());
  EXPECT_TRUE(write(0xfc, 4, 1).empty());
  // The extended list still begins where it must.
  EXPECT_EQ(read(0x100, 4), static_cast<std::uint64_t>(test::kDsn) << 20);
}

TEST_F(FullAccess, ABrokenListLeavesThePolicyAlone) {
  rich.config.put(test::kVsec, 4, 0x000b | 1U << 16 | 0x160U << 20);  // a loop
  init();
  EXPECT_EQ(read(0x104, 4), 0U);
  EXPECT_TRUE(write(0x104, 4, 1).empty());
}

TEST_F(FullAccess, WithoutPciExpressTheExtendedSpaceIsNobodys) {
  rich.config.capability(test::kExp, 0x0b, test::kVendorCap);
  init();
  EXPECT_EQ(read(0x104, 4), 0U);
  EXPECT_TRUE(write(0x104, 4, 1).empty());
  EXPECT_EQ(read(0xe4, 4), 0x5566'7788U);
}

TEST_F(FullAccess, ExtendedCapabilitiesOfTheListMayStandFirst) {
  rich.config.extended(0x100, 0x0003, 1, 0x160);
  rich.config.put(0x104, 4, 0x0123'4567);
  init();
  EXPECT_EQ(read(0x100, 2), 0x0003U);
  EXPECT_EQ(read(0x104, 4), 0x0123'4567U);
  EXPECT_TRUE(write(0x104, 4, 0).empty());
  EXPECT_EQ(f.report().malformed, 0U);
}

// Covers: H16
TEST_F(FullAccess, AMirrorInABarIsTheSameView) {
  const BarMirror mirrors[] = {{.bar = 2, .offset = 0x8'8000, .size = 0x1000}};
  rich.options.mirrors = mirrors;
  init();
  test::FakeBar bar(kMiB);
  EXPECT_EQ(f.bar_read(2, 0x8'8104, 4, bar), 0x0010'0010U);
  EXPECT_EQ(f.bar_read(2, 0x8'8164, 4, bar), 0U);
  const Effects effects = f.bar_write(2, 0x8'8104, 4, 0x10, bar);
  ASSERT_EQ(effects.size(), 1U);
  EXPECT_EQ(effects[0].offset, 0x104U);
  EXPECT_TRUE(f.bar_write(2, 0x8'8168, 4, 1, bar).empty());
  EXPECT_TRUE(bar.writes.empty());
}

}  // namespace
}  // namespace penstock::vpci
