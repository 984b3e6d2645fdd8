// The whole space, exhaustively: every offset, every size, for reads and for writes.
#include <gtest/gtest.h>

#include <array>

#include "core/vpci/fake_function.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

using test::RichFunction;
using Bytes = std::array<std::uint8_t, 4096>;

Bytes dump(const VirtualFunction& f) {
  Bytes bytes{};
  for (unsigned i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(f.config_read(i, 1));
  return bytes;
}

/// Which bits of the physical config space a guest may change, written down from the specification
/// and the security argument, not from the policy table.
std::uint8_t may_change(unsigned offset) {
  switch (offset) {
    case 0x07: return 0xf9;               // status: error bits, by writing 1
    case test::kExp + 0x08: return 0x10;  // relaxed ordering
    case test::kExp + 0x0a: return 0x0f;  // errors detected, by writing 1
    default: return 0;
  }
}
/// Those of them, and others in the same registers, that a write of 1 clears.
std::uint8_t write_one_clears(unsigned offset) {
  switch (offset) {
    case 0x07: return 0xf9;
    case test::kExp + 0x0a: return 0x4f;
    default: return 0;
  }
}

/// Applies a hardware write to the fake, as the integrator would; fails when it changes what it
/// must not.
void apply(const Effect& effect, test::FakeConfig& hw) {
  ASSERT_TRUE(effect.size == 1 || effect.size == 2 || effect.size == 4);
  ASSERT_EQ(effect.offset % effect.size, 0u);
  for (unsigned i = 0; i < effect.size; ++i) {
    const unsigned at = effect.offset + i;
    const auto byte = static_cast<std::uint8_t>(effect.value >> (8 * i));
    const std::uint8_t clears = write_one_clears(at);
    ASSERT_EQ(byte & clears & ~may_change(at), 0) << std::hex << at;
    ASSERT_EQ((byte ^ hw.bytes[at]) & ~may_change(at) & ~clears, 0) << std::hex << at;
    hw.bytes[at] = static_cast<std::uint8_t>((byte & ~clears) | (hw.bytes[at] & clears & ~byte));
  }
}

// Covers: S3.13 S3.4 H48
TEST(ConfigSpace, WideReadsAreTheBytesTheyCover) {
  RichFunction rich;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  const Bytes bytes = dump(f);
  for (unsigned offset = 0; offset < 4096; ++offset) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) {
      std::uint64_t expected = all_ones(size);
      for (unsigned i = 0; i < size && offset + i < 4096; ++i) {
        expected &= ~(0xffULL << (8 * i));
        expected |= std::uint64_t{bytes[offset + i]} << (8 * i);
      }
      ASSERT_EQ(f.config_read(offset, size), expected) << std::hex << offset << " " << size;
    }
  }
  EXPECT_FALSE(rich.config.misused);
  EXPECT_EQ(rich.config.writes, 0u);
}

// Covers: S0.13 S3.13 S3.33 H15 H17 H18
TEST(ConfigSpace, NoWriteReachesHardwareBeyondItsMask) {
  RichFunction rich;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  const auto before = rich.config.bytes;
  for (const std::uint64_t value : {0xffffffffffffffffULL, 0ULL, 0x5a5a5a5a5a5a5a5aULL}) {
    for (unsigned offset = 0; offset < 4096 + 8; ++offset) {
      for (const unsigned size : {1U, 2U, 4U, 8U}) {
        const Effects effects = f.config_write(offset, size, value);
        ASSERT_FALSE(effects.full());
        for (const Effect& effect : effects) {
          if (effect.kind == Effect::Kind::kHardwareWrite) {
            ASSERT_NO_FATAL_FAILURE(apply(effect, rich.config));
          }
        }
        ASSERT_EQ(rich.config.writes, 0u);
      }
    }
  }
  for (unsigned i = 0; i < 4096; ++i) {
    ASSERT_EQ((before[i] ^ rich.config.bytes[i]) & ~may_change(i), 0) << std::hex << i;
  }
  EXPECT_FALSE(rich.config.misused);
}

/// What the hardware has where the policy shows nothing must not shine through, read or written.
// Covers: S3.12 S3.13 S3.35
TEST(ConfigSpace, HiddenRegistersReadAsThePolicySays) {
  for (const HiddenReads hidden : {HiddenReads::kZero, HiddenReads::kAllOnes}) {
    RichFunction rich;
    rich.options.hidden = hidden;
    VirtualFunction f;
    ASSERT_TRUE(f.init(rich.facts, rich.options));
    const std::uint64_t byte = hidden == HiddenReads::kZero ? 0 : 0xff;
    const auto expect_hidden = [&](unsigned begin, unsigned end) {
      for (unsigned i = begin; i < end; ++i) {
        EXPECT_TRUE(f.config_write(i, 1, ~byte & 0xff).empty());
        ASSERT_EQ(f.config_read(i, 1), byte) << std::hex << i;
      }
    };
    expect_hidden(0x48, 0x50);              // a gap
    expect_hidden(test::kVendorCap, 0xd0);  // vendor-specific
    expect_hidden(test::kVpd, 0x100);       // VPD
    expect_hidden(0x104, test::kDsn);       // AER
    expect_hidden(test::kDsn + 12, 4096);   // SR-IOV and what follows
    EXPECT_EQ(f.config_read(0x100, 4),
              0x14000000u);                 // a null capability that leads to the serial number
    EXPECT_EQ(f.config_read(0x28, 4), 0u);  // absent header registers read 0 in both
  }
}

// Covers: S3.12 S3.15
TEST(ConfigSpace, TheListShowsWhatIsAllowedAndEnds) {
  RichFunction rich;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  std::array<unsigned, 48> ids{};
  unsigned n = 0;
  for (auto at = f.config_read(0x34, 1); at != 0 && n < ids.size();
       at = f.config_read(static_cast<unsigned>(at) + 1, 1)) {
    ids[n++] = static_cast<unsigned>(f.config_read(static_cast<unsigned>(at), 1));
  }
  ASSERT_EQ(n, 5u);
  EXPECT_EQ(ids[0], 0x01u);
  EXPECT_EQ(ids[1], 0x05u);
  EXPECT_EQ(ids[2], 0x11u);
  EXPECT_EQ(ids[3], 0x10u);
  EXPECT_EQ(ids[4], 0x13u);
  EXPECT_EQ(f.config_read(test::kDsn, 4), 0x00010003u);
  EXPECT_EQ(f.config_read(test::kDsn + 4, 8), 0x001b21ffff554433u);
  EXPECT_EQ(f.report().shown, 6);
  EXPECT_EQ(f.report().hidden, 5);
  EXPECT_EQ(f.report().malformed, 0);
}

/// One wide write does what the same bytes do one after the other.
// Covers: H17
TEST(ConfigSpace, ASpanningWriteIsItsBytes) {
  for (unsigned offset = 0; offset < 0x200; ++offset) {
    RichFunction rich;
    VirtualFunction wide;
    VirtualFunction narrow;
    ASSERT_TRUE(wide.init(rich.facts, rich.options));
    ASSERT_TRUE(narrow.init(rich.facts, rich.options));
    constexpr std::uint64_t kValue = 0x7b6d5e4c3a291806;
    static_cast<void>(wide.config_write(offset, 8, kValue));
    for (unsigned i = 0; i < 8; ++i) {
      static_cast<void>(narrow.config_write(offset + i, 1, (kValue >> (8 * i)) & 0xff));
    }
    ASSERT_EQ(dump(wide), dump(narrow)) << std::hex << offset;
  }
}

// Covers: H17 S0.13
TEST(ConfigSpace, AWriteAcrossMsiFieldsStaysVirtual) {
  RichFunction rich;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  const auto before = rich.config.bytes;
  for (unsigned offset = test::kMsiCap - 7; offset < test::kMsiCap + 0x18; ++offset) {
    for (const Effect& effect : f.config_write(offset, 8, 0xdeadbeefcafef00d)) {
      EXPECT_NE(effect.kind, Effect::Kind::kHardwareWrite);
    }
  }
  EXPECT_EQ(rich.config.bytes, before);
  EXPECT_EQ(rich.config.writes, 0u);
}

// A partial write beside write-1-clear bits must not clear them, and a device that does not answer
// is not written.
TEST(ConfigSpace, HardwareWritesKeepTheirNeighbours) {
  RichFunction rich;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  rich.config.put(test::kExp + 0x0a, 2, 0x004f);
  Effects effects = f.config_write(test::kExp + 0x0a, 1, 0x02);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].value, 0x0002u);
  EXPECT_EQ(effects[0].size, 2);
  effects = f.config_write(test::kExp + 0x08, 2, 0x0000);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].value, 0x2800u);  // relaxed ordering off, no-snoop and sizes as they were
  EXPECT_TRUE(f.config_write(test::kExp + 0x08, 2, 0x0810).empty());  // no change in hardware
  rich.config.bytes.fill(0xff);
  EXPECT_TRUE(f.config_write(test::kExp + 0x08, 2, 0x0000).empty());
}

// Covers: S3.34 S3.35 S3.36
TEST(ConfigSpace, ExtraCapabilitiesFollowTheirMasks) {
  RichFunction rich;
  constexpr std::array<ExtraRegister, 2> kVendorRegisters{
      ExtraRegister{.offset = 4, .width = 4, .ro = 0xff, .live = 0xff00, .hw_rw = 0xf0000},
      ExtraRegister{.offset = 8, .width = 1, .hw_w1c = 0x0f, .rsvdz = 0x80}};
  const std::array<ExtraCapability, 2> extra{
      ExtraCapability{.id = 0x09, .extended = false, .length = 0x20, .registers = kVendorRegisters},
      ExtraCapability{.id = 0x0b, .extended = true, .length = 13}};
  rich.options.extra = extra;
  rich.config.put(test::kVendorCap + 4, 4, 0x12345678);
  rich.config.put(test::kVendorCap + 8, 1, 0xff);
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  EXPECT_EQ(f.config_read(test::kVendorCap + 4, 4), 0x00045678u);
  rich.config.put(test::kVendorCap + 4, 4, 0xffffffee);
  EXPECT_EQ(f.config_read(test::kVendorCap + 4, 4), 0x000fff78u);
  Effects effects = f.config_write(test::kVendorCap + 4, 4, 0);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].value, 0xfff0ffeeu);
  effects = f.config_write(test::kVendorCap + 8, 1, 0xf1);
  ASSERT_EQ(effects.size(), 0u);  // the register reads all-ones: nobody answers
  rich.config.put(test::kVendorCap + 8, 1, 0x8f);
  effects = f.config_write(test::kVendorCap + 8, 1, 0xf1);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].value, 0x01u);
  // Without registers: all of it, read-only, and no byte beyond its odd length.
  EXPECT_EQ(f.config_read(test::kVsec + 4, 8), 0xa5a5a5a5a5a5a5a5u);
  EXPECT_EQ(f.config_read(test::kVsec + 12, 4), 0xa5u);
  EXPECT_EQ(f.config_read(test::kDsn + 2, 2), 0x1b01u);  // linked
}

// Covers: S3.35
TEST(ConfigSpace, AnExtraCapabilityIsReadOnlyWhereNothingElseIsSaid) {
  RichFunction rich;
  constexpr std::array<ExtraRegister, 1> kOnlyLive{ExtraRegister{.offset = 8, .live = 0xff}};
  const std::array<ExtraCapability, 2> extra{
      ExtraCapability{.id = 0x09, .extended = false, .length = 0x10, .registers = kOnlyLive},
      ExtraCapability{.id = 0x0b, .extended = true, .length = 16}};
  rich.options.extra = extra;
  VirtualFunction f;
  ASSERT_TRUE(f.init(rich.facts, rich.options));
  const auto before = rich.config.bytes;
  for (const unsigned at : {test::kVendorCap, test::kVsec}) {
    for (unsigned offset = 4; offset < 16; offset += 4) {
      const std::uint64_t read = f.config_read(at + offset, 4);
      for (const std::uint32_t value : {0U, ~0U}) {
        EXPECT_TRUE(f.config_write(at + offset, 4, value).empty()) << at << '+' << offset;
        EXPECT_EQ(f.config_read(at + offset, 4), read);
      }
    }
  }
  EXPECT_EQ(rich.config.bytes, before);
}

}  // namespace
}  // namespace penstock::vpci
