// An SMMUv3 that nobody drives, as firmware may have left it.
#include "core/iommu/smmuv3_idle.hpp"

#include <gtest/gtest.h>

#include "sim/clock.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::iommu {
namespace {

constexpr Hpa kRam{0x8000'0000};
constexpr std::uint32_t kStream = 5;

struct IdleSmmu : testing::Test {
  bool passes() { return hw.translate(kStream, kRam.value(), true).ok; }

  sim::Clock clock;
  sim::Memory memory{kRam, 64 * kKiB};
  sim::Smmu hw{memory, memory};
};

/// Where nothing answers: what an access that aborts, or a unit without power, reads as.
class Constant final : public port::Mmio {
 public:
  explicit Constant(std::uint32_t value) : value_(value) {}
  std::uint8_t read8(std::uint64_t) override { return static_cast<std::uint8_t>(value_); }
  std::uint16_t read16(std::uint64_t) override { return static_cast<std::uint16_t>(value_); }
  std::uint32_t read32(std::uint64_t) override { return value_; }
  std::uint64_t read64(std::uint64_t) override { return std::uint64_t{value_} << 32 | value_; }
  void write8(std::uint64_t, std::uint8_t) override { ++writes; }
  void write16(std::uint64_t, std::uint16_t) override { ++writes; }
  void write32(std::uint64_t, std::uint32_t) override { ++writes; }
  void write64(std::uint64_t, std::uint64_t) override { ++writes; }
  unsigned writes = 0;

 private:
  std::uint32_t value_;
};

// Covers: H62 H68
TEST_F(IdleSmmu, ThatBypassedAborts) {
  ASSERT_TRUE(passes());
  ASSERT_TRUE(stop_idle_smmu(hw, clock));
  EXPECT_FALSE(passes());
  EXPECT_TRUE(hw.misuses().empty());
}

// Covers: H68
TEST_F(IdleSmmu, ThatFirmwareLeftRunningUsesItsTablesNoMore) {
  std::byte* entry = memory.map(kRam + kStream * 64, 8);
  entry[0] = std::byte{0x09};  // V = 1, Config = bypass
  hw.write64(0x80, kRam.value());
  hw.write32(0x88, 6);  // linear table of 64 streams
  hw.write32(0x20, 1);
  while (hw.read32(0x24) != 1) {
  }
  ASSERT_TRUE(passes());
  ASSERT_TRUE(stop_idle_smmu(hw, clock));
  EXPECT_FALSE(passes());
  EXPECT_EQ(hw.read32(0x24), 0U);
}

// Covers: H62
TEST_F(IdleSmmu, ThatDoesNotAnswerIsLeftAlone) {
  for (const std::uint32_t value : {0U, ~0U}) {
    Constant nobody(value);
    EXPECT_EQ(stop_idle_smmu(nobody, clock).error().code, Code::kNotFound);
    EXPECT_EQ(nobody.writes, 0U);
  }
}

TEST_F(IdleSmmu, ThatNeverAcknowledgesIsATimeout) {
  hw.stop_acknowledging(true);
  EXPECT_EQ(stop_idle_smmu(hw, clock).error().code, Code::kTimeout);
}

}  // namespace
}  // namespace penstock::iommu
