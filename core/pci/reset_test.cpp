#include "core/pci/reset.hpp"

#include <gtest/gtest.h>

#include "core/pci/isolation.hpp"
#include "core/pci/test_board.hpp"

namespace penstock::pci {
namespace {

struct Reset : testing::Test {
  template <typename T>
  T& only(std::unique_ptr<T> device) {
    T& plugged = board.plug(board.host.root(), 1, 0, std::move(device));
    EXPECT_TRUE(board.enumerate());
    config = board.ecam.function(info().bdf);
    return plugged;
  }
  const FunctionInfo& info() { return board.inventory.functions.back(); }
  Status reset(port::ConfigSpace* port = nullptr) {
    const auto done =
        reset_function({.info = &info(), .config = &config, .port = port}, board.clock);
    return done ? Status{} : Status{done.error()};
  }
  static std::unique_ptr<sim::PciFunction> plain(std::uint16_t vendor = 0x1234,
                                                 std::uint16_t device = 1) {
    auto f = std::make_unique<sim::PciFunction>(sim::PciIdentity{vendor, device, 0x02'0000});
    f->add_bar(0, 0x1000, {});
    return f;
  }
  TestBoard board;
  EcamFunction config;
};

TEST_F(Reset, FunctionLevelResetForgetsAndRestores) {
  auto& nvme = only(sim::nvme_like());
  const std::uint64_t bar = nvme.bar_address(0);
  nvme.bar_memory(0)[0x100] = 0x5a;
  nvme.config_write(4, 2, 0x406);
  nvme.config_write(0x3c, 1, 0x77);
  ASSERT_TRUE(reset());
  EXPECT_EQ(nvme.resets(), 1U);
  EXPECT_EQ(nvme.bar_memory(0)[0x100], 0);
  EXPECT_EQ(nvme.bar_address(0), bar);
  EXPECT_EQ(nvme.peek(4, 2), 0x402U);  // decoding as before, bus mastering off
  EXPECT_EQ(nvme.peek(0x3c, 1), 0U);
  EXPECT_EQ(nvme.peek(info().express_at + 8U, 2) & 0x0a00U, 0U);  // no-snoop, phantom functions
}

// Covers: S3.22
TEST_F(Reset, MessagesAreOffAfterwards) {
  auto& nvme = only(sim::nvme_like());
  nvme.config_write(info().msix + 2U, 2, 0x8000);
  ASSERT_TRUE(reset());
  EXPECT_EQ(nvme.peek(info().msix + 2U, 2) & 0x8000U, 0U);
}

TEST_F(Reset, WaitsForAFunctionThatIsNotReadyYet) {
  auto device = sim::nvme_like();
  device->ready_after(200);
  auto& nvme = only(std::move(device));
  ASSERT_TRUE(reset());
  EXPECT_NE(nvme.bar_address(0), 0U);
}

// Covers: H31
TEST_F(Reset, ADeadFunctionEndsTheWait) {
  auto device = sim::nvme_like();
  device->die_at_reset();
  only(std::move(device));
  const std::uint64_t before = board.clock.peek_ns();
  const Error error = reset().error();
  EXPECT_EQ(error.code, Code::kTimeout);
  EXPECT_EQ(failure_of(error).function, info().bdf);
  EXPECT_LT(board.clock.peek_ns() - before, 2'000'000'000U);
}

TEST_F(Reset, OneThatOnlyPretendsIsNoticed) {
  auto device = sim::nvme_like();
  device->ignore_reset();
  only(std::move(device));
  const Error error = reset().error();
  EXPECT_EQ(error.code, Code::kHardwareError);
  EXPECT_EQ(failure_of(error).fault, ResetFault::kUnchanged);
}

TEST_F(Reset, RequestsUnderWayDelayItButNotForEver) {
  auto& nvme = only(sim::nvme_like());
  nvme.set_transactions_pending(true);
  const std::uint64_t before = board.clock.peek_ns();
  ASSERT_TRUE(reset());
  // 100 ms for what never ends, 100 ms after the reset itself.
  EXPECT_GE(board.clock.peek_ns() - before, 200'000'000U);
  EXPECT_LT(board.clock.peek_ns() - before, 400'000'000U);
  EXPECT_EQ(nvme.resets(), 1U);
}

// Covers: S3.22
TEST_F(Reset, WithoutAnyMethodItSaysSo) {
  auto& edu = only(std::make_unique<sim::EduLike>());
  edu.config_write(4, 2, 6);
  EXPECT_EQ(reset_method(info(), config), ResetMethod::kNone);
  EXPECT_EQ(reset().error(), fail(Code::kNoReset, info().bdf.value()));
  EXPECT_FALSE(edu.bus_master());
}

TEST_F(Reset, ConventionalFunctionLevelReset) {
  auto device = plain();
  device->add_advanced_features(true);
  auto& f = only(std::move(device));
  EXPECT_EQ(reset_method(info(), config), ResetMethod::kAdvancedFlr);
  ASSERT_TRUE(reset());
  EXPECT_EQ(f.resets(), 1U);
}

TEST_F(Reset, PowerStatesResetWhereTheySaySo) {
  auto device = plain();
  device->add_power(false);
  auto& f = only(std::move(device));
  EXPECT_EQ(reset_method(info(), config), ResetMethod::kPower);
  ASSERT_TRUE(reset());
  EXPECT_EQ(f.resets(), 1U);
  EXPECT_TRUE(f.memory_enabled());
}

TEST_F(Reset, PowerStatesThatKeepEverythingAreNoReset) {
  auto device = plain();
  device->add_power(true);
  only(std::move(device));
  EXPECT_EQ(reset().error().code, Code::kNoReset);
}

// Covers: S3.21
TEST_F(Reset, TheBusOfAFunctionThatIsAloneOnIt) {
  auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
  auto& f = board.plug(port.secondary_bus(), 0, 0, plain());
  ASSERT_TRUE(board.enumerate());
  config = board.ecam.function(info().bdf);
  const FunctionInfo* bridge = resettable_bus(board.inventory, info());
  ASSERT_NE(bridge, nullptr);
  EcamFunction port_config = board.ecam.function(bridge->bdf);
  const std::uint64_t bar = f.bar_address(0);
  ASSERT_TRUE(reset(&port_config));
  EXPECT_EQ(f.resets(), 1U);
  EXPECT_EQ(f.bar_address(0), bar);
  EXPECT_EQ(port.secondary(), 1U);
  EXPECT_EQ(port.peek(0x3e, 2) & 0x40U, 0U);
}

// Covers: S3.20 S3.21
TEST_F(Reset, QuirksChangeTheOrder) {
  auto device = plain(0x1022, 0x149c);
  device->add_express(sim::PciPortType::kEndpoint, true);
  device->add_power(false);
  only(std::move(device));
  EXPECT_TRUE(info().flr);
  EXPECT_EQ(reset_method(info(), config), ResetMethod::kPower);
  for (const ResetQuirk& quirk : reset_quirks()) {
    EXPECT_FALSE(quirk.reason.empty());
    EXPECT_FALSE(quirk.source.empty());
    FunctionInfo named;
    named.vendor = quirk.vendor;
    named.device = quirk.device;
    named.class_code = std::uint32_t{quirk.base_class} << 16;
    EXPECT_EQ(quirk_of(named), &quirk);
  }
}

// Covers: S3.20
TEST_F(Reset, QuirksStayATableOfFewBytes) {
  std::size_t bytes = reset_quirks().size_bytes();
  for (const ResetQuirk& quirk : reset_quirks()) bytes += quirk.script.size_bytes();
  EXPECT_LE(bytes, 4096U);
  // One object per reset under way, and one on the stack of whoever waits for one.
  EXPECT_LE(sizeof(pci::Reset), 2048U);
}

// Covers: S3.20
TEST_F(Reset, ClassQuirksSpareOtherFunctionsOfTheVendor) {
  FunctionInfo other;
  other.vendor = 0x1002;
  other.class_code = 0x04'0300;
  EXPECT_EQ(quirk_of(other), nullptr);
  other.class_code = 0x03'0000;
  EXPECT_NE(quirk_of(other), nullptr);
}

}  // namespace
}  // namespace penstock::pci
