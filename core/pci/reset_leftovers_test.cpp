#include "core/pci/reset_leftovers.hpp"

#include <gtest/gtest.h>

#include <map>

#include "core/pci/test_reset.hpp"

namespace penstock::pci {
namespace {

/// Registers that no reset clears; reads as written.
struct Stubborn final : port::Mmio {
  std::uint8_t read8(std::uint64_t) override { return 0; }
  std::uint16_t read16(std::uint64_t) override { return 0; }
  std::uint32_t read32(std::uint64_t at) override { return values[at]; }
  std::uint64_t read64(std::uint64_t) override { return 0; }
  void write8(std::uint64_t, std::uint8_t) override {}
  void write16(std::uint64_t, std::uint16_t) override {}
  void write32(std::uint64_t at, std::uint32_t value) override {
    values[at] = value;
    decoded &= (device->peek(4, 2) & 2) != 0;
    silent &= (device->peek(4, 2) & 4) == 0;
  }
  void write64(std::uint64_t, std::uint64_t) override {}

  explicit Stubborn(const sim::PciFunction& of) : device(&of) {
    for (std::uint64_t at = 0; at < 0x1000; at += 4) {
      values[at] = static_cast<std::uint32_t>(0x4000'0000 + at);
    }
  }
  [[nodiscard]] bool has(std::uint64_t at) { return values[at] != 0; }

  const sim::PciFunction* device;
  std::map<std::uint64_t, std::uint32_t> values;
  bool decoded = true;
  bool silent = true;
};

struct ResetLeftovers : ResetSteps {
  static std::unique_ptr<sim::ResetFaults> controller(bool flr) {
    auto f = std::make_unique<sim::ResetFaults>(sim::PciIdentity{0x1b36, 0x0010, 0x01'0802});
    f->add_bar(0, 0x1000, {});
    f->add_express(sim::PciPortType::kEndpoint, flr);
    return f;
  }
  static bool has_queues(Stubborn& registers) {
    return registers.has(0x24) || registers.has(0x28) || registers.has(0x2c) ||
           registers.has(0x30) || registers.has(0x34);
  }
};

// Covers: S3.20 H34
TEST_F(ResetLeftovers, AreClearedByUs) {
  Stubborn registers(on_root(controller(true)));
  target.registers = &registers;
  ASSERT_TRUE(has_queues(registers));
  ASSERT_EQ(run().state, State::kDone);
  EXPECT_FALSE(has_queues(registers));
  EXPECT_TRUE(registers.has(0x20)) << "what is not in the table is the device's business";
  EXPECT_TRUE(registers.has(0x38));
  EXPECT_TRUE(registers.decoded);
  EXPECT_TRUE(registers.silent);
}

// Covers: S3.20 S3.21 H34
TEST_F(ResetLeftovers, OfTheWholeBusToo) {
  behind_port(controller(false), controller(false));
  Stubborn first(*parts[0]);
  Stubborn second(*parts[1]);
  target.registers = &first;
  peer.registers = &second;
  ASSERT_EQ(run().state, State::kDone);
  EXPECT_FALSE(has_queues(first));
  EXPECT_FALSE(has_queues(second));
}

// Covers: S3.20
TEST_F(ResetLeftovers, StayWhereNobodyCanReachThem) {
  Stubborn registers(on_root(controller(true)));
  EXPECT_EQ(run().state, State::kDone);  // no way to its registers
  target.registers = &registers;
  board.inventory.functions.back().placed = false;
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_TRUE(has_queues(registers));
  board.inventory.functions.back().placed = true;
  board.inventory.functions.back().bars[0].size = 0x2c;  // and none beyond the end
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_FALSE(registers.has(0x24) || registers.has(0x28));
  EXPECT_TRUE(registers.has(0x2c) && registers.has(0x30));
}

// Covers: S3.20
TEST_F(ResetLeftovers, AreTheNamedDevicesOnly) {
  Stubborn registers(on_root(device()));
  target.registers = &registers;
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_TRUE(has_queues(registers));
  FunctionInfo card;
  card.vendor = 0x8086;
  card.device = 0x10ca;
  ASSERT_NE(leftovers_of(card), nullptr);
  card.device = 0x10c9;
  EXPECT_EQ(leftovers_of(card), nullptr);
  for (const Leftovers& row : reset_leftovers()) {
    EXPECT_FALSE(row.what.empty());
    EXPECT_FALSE(row.source.empty());
    for (const std::uint16_t at : row.registers) EXPECT_EQ(at % 4, 0);
  }
}

}  // namespace
}  // namespace penstock::pci
