// Resets of devices that the table names.
#include <gtest/gtest.h>

#include "core/pci/test_reset.hpp"

namespace penstock::pci {
namespace {

struct ResetQuirks : ResetSteps {};

// Covers: S3.20 S3.21
TEST_F(ResetQuirks, SomeDevicesAreLeftAloneForAWhileAfterwards) {
  on_root(device(true, 0x8086, 0x0953));
  const std::uint64_t before = now;
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_EQ(now - before, 350'000'000U);
}

// Covers: S3.20
TEST_F(ResetQuirks, AResetThatIsNotAdvertised) {
  auto hidden = device(true, 0x8086, 0x10ed);
  auto& f = on_root(std::move(hidden));
  board.inventory.functions.back().flr = false;
  board.inventory.functions.back().flr_express = false;
  EXPECT_EQ(reset_method(*target.info, *target.config), ResetMethod::kSpecific);
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_EQ(f.resets(), 1U);
}

/// CC at 14h and CSTS at 1ch; ready follows enable the given number of reads later.
struct NvmeRegisters final : port::Mmio {
  std::uint8_t read8(std::uint64_t) override { return 0; }
  std::uint16_t read16(std::uint64_t) override { return 0; }
  std::uint32_t read32(std::uint64_t at) override {
    if (at == 0x14) return control;
    if (at != 0x1c) return 0;
    if ((control & 1) == 0 && reads_until_idle != 0) --reads_until_idle;
    if (reads_until_idle == 0 && goes_idle) status = 0;
    return status;
  }
  std::uint64_t read64(std::uint64_t) override { return 0; }
  void write8(std::uint64_t, std::uint8_t) override {}
  void write16(std::uint64_t, std::uint16_t) override {}
  void write32(std::uint64_t at, std::uint32_t value) override {
    if (at == 0x14) control = value;
    decoded &= (device->peek(4, 2) & 2) != 0;
  }
  void write64(std::uint64_t, std::uint64_t) override {}

  sim::PciFunction* device = nullptr;
  std::uint32_t control = 0x0046'4001;
  std::uint32_t status = 1;
  unsigned reads_until_idle = 30;
  bool goes_idle = true;
  bool decoded = true;
};

// Covers: S3.20 S3.21
TEST_F(ResetQuirks, AnNvmeControllerIsDisabledFirst) {
  NvmeRegisters registers;
  registers.device = &on_root(device(true, 0x144d, 0xa804));
  EXPECT_EQ(run().error.code, Code::kNoReset);  // it cannot be reached: then not at all
  target.registers = &registers;
  const std::uint64_t before = now;
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_EQ(registers.control, 0x0046'0000U);
  EXPECT_TRUE(registers.decoded);
  EXPECT_EQ(registers.reads_until_idle, 0U);
  EXPECT_GE(now - before, 129'000'000U);
}

// Covers: S3.20 S3.21
TEST_F(ResetQuirks, AnNvmeControllerThatStaysReadyIsResetAllTheSame) {
  NvmeRegisters registers;
  registers.device = &on_root(device(true, 0x144d, 0xa804));
  registers.goes_idle = false;
  target.registers = &registers;
  const std::uint64_t before = now;
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_GE(now - before, 30 * kSecond);
  EXPECT_LT(now - before, 31 * kSecond);
}

// Covers: S3.20
TEST_F(ResetQuirks, AMethodThatTheFirmwareDoesNotKnowGivesWay) {
  NvmeRegisters registers;  // all that matters: the register at 1000h is 0
  registers.device = &on_root(device(true, 0x19e5, 0x375e));
  target.registers = &registers;
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_EQ(reset.method(), ResetMethod::kExpressFlr);
}

// Covers: S3.20
TEST_F(ResetQuirks, AllOfAFamilyAreNamedByTheirFirstDigit) {
  auto& f = on_root(device(true, 0x1425, 0x4407));
  EXPECT_EQ(reset_method(*target.info, *target.config), ResetMethod::kSpecific);
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_EQ(f.peek(target.info->msix + 2U, 2) & 0xc000U, 0U);
  FunctionInfo next;  // of another family
  next.vendor = 0x1425;
  next.device = 0x5401;
  EXPECT_EQ(quirk_of(next), nullptr);
}

}  // namespace
}  // namespace penstock::pci
