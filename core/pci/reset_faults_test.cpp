// The reset machine step by step, with devices that do not come back as they should.
#include <gtest/gtest.h>

#include <vector>

#include "core/pci/sriov.hpp"
#include "core/pci/test_reset.hpp"
#include "sim/pci/sriov.hpp"

namespace penstock::pci {
namespace {

using sim::ResetFaults;
// Covers: S3.18
TEST_F(ResetSteps, NobodyWaitsAndNothingIsTouchedMeanwhile) {
  auto& f = on_root(device());
  f.config_write(4, 2, 0x0006);
  reset.start(target, now);
  EXPECT_EQ(f.peek(4, 2) & 0x0007U, 0U);  // silent from the first moment on
  ResetStep step = reset.step(now);
  ASSERT_EQ(step.state, State::kWait);
  EXPECT_EQ(step.until_ns, now + 100'000'000);
  EXPECT_EQ(reset.method(), ResetMethod::kExpressFlr);
  const unsigned accesses = board.host.config_accesses();
  EXPECT_EQ(reset.step(step.until_ns - 1).state, State::kWait);
  EXPECT_EQ(board.host.config_accesses(), accesses);
  EXPECT_EQ(reset.step(step.until_ns).state, State::kDone);
  EXPECT_EQ(reset.step(0).state, State::kDone);
  EXPECT_EQ(f.resets(), 1U);
  EXPECT_EQ(f.peek(4, 2), 0x0402U);
}

TEST_F(ResetSteps, NothingStartedIsNoReset) {
  EXPECT_EQ(reset.step(0).error, fail(Code::kBadState));
}

// Covers: S3.21 H31
TEST_F(ResetSteps, AllOnesForEver) {
  auto dead = device();
  dead->die_at_reset();
  on_root(std::move(dead));
  const std::uint64_t before = now;
  expect_failure(ResetFault::kNoAnswer);
  EXPECT_GE(now - before, 60 * kSecond);
  EXPECT_LT(now - before, 61 * kSecond);
}

// Covers: S3.21 H31
TEST_F(ResetSteps, NotReadyForEver) {
  auto slow = device();
  slow->ready_after(~0U);
  on_root(std::move(slow));
  target.patience_ns = 2 * kSecond;
  const std::uint64_t before = now;
  expect_failure(ResetFault::kRetries);
  EXPECT_LT(now - before, 3 * kSecond);
}

// Covers: S3.21
TEST_F(ResetSteps, NotReadyForHalfAMinuteIsWaitedFor) {
  auto slow = device();
  slow->ready_after(1000 + 29 * 50);  // asked every millisecond, after a second every 20 ms
  on_root(std::move(slow));
  const std::uint64_t before = now;
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_GT(now - before, 29 * kSecond);
}

// Covers: S3.22
TEST_F(ResetSteps, AnotherDeviceComesBack) {
  auto& f = on_root(device());
  f.set_fault(ResetFaults::Fault::kOtherIdentity);
  expect_failure(ResetFault::kStranger);
}

// Covers: S3.22
TEST_F(ResetSteps, BaseAddressesAreChecked) {
  auto& f = on_root(device());
  f.set_fault(ResetFaults::Fault::kWrongBars);
  expect_failure(ResetFault::kConfig);
}

// Covers: S3.22
TEST_F(ResetSteps, DecodingIsChecked) {
  auto& f = on_root(device());
  f.set_fault(ResetFaults::Fault::kNoDecode);
  expect_failure(ResetFault::kConfig);
}

// Covers: S3.22 H22
TEST_F(ResetSteps, RequestsFromBeforeMustBeForgotten) {
  auto& f = on_root(device());
  f.set_fault(ResetFaults::Fault::kPending);
  target.patience_ns = kSecond;
  expect_failure(ResetFault::kPending);
}

// Covers: S3.22
TEST_F(ResetSteps, AResetThatClearsNothingIsNone) {
  auto still = device();
  still->ignore_reset();
  auto& f = on_root(std::move(still));
  expect_failure(ResetFault::kUnchanged);
  EXPECT_EQ(f.peek(4, 2) & 4U, 0U);
}

// Covers: S3.22
TEST_F(ResetSteps, WithoutMarksTheBaseAddressesShowIt) {
  for (const bool works : {true, false}) {
    SCOPED_TRACE(works);
    TestBoard fresh;
    auto old = std::make_unique<ResetFaults>(sim::PciIdentity{0x1234, 1, 0x02'0000});
    old->add_bar(0, 0x1000, {});
    old->add_advanced_features(true);
    old->set_writable(4, 2, 0x0147);  // no Interrupt Disable: from before PCI 2.3
    if (!works) old->ignore_reset();
    fresh.plug(fresh.host.root(), 1, 0, std::move(old));
    ASSERT_TRUE(fresh.enumerate());
    target.info = &fresh.inventory.functions.back();
    configs[0] = fresh.ecam.function(target.info->bdf);
    target.config = &configs[0];
    if (works) {
      EXPECT_EQ(run().state, State::kDone);
    } else {
      expect_failure(ResetFault::kUnchanged, ResetMethod::kAdvancedFlr);
    }
  }
}

// Covers: S3.22
TEST_F(ResetSteps, WhatAGuestLeftIsNotWhatComesBack) {
  auto made = device();
  const unsigned ats = made->add_extended(0x000f, 8);
  made->set_writable(ats + 6, 2, 0x801f);
  const unsigned pasid = made->add_extended(0x001b, 8);
  made->set_writable(pasid + 6, 2, 0x0007);
  auto& f = on_root(std::move(made));
  const unsigned express = target.info->express_at;
  f.config_write(express + 8, 2, 0x5930);     // 256-byte payloads, 4 KiB reads, no-snoop
  f.config_write(express + 0x28, 2, 0x0405);  // LTR, a longer completion time-out
  f.config_write(ats + 6, 2, 0x8000);
  f.config_write(pasid + 6, 2, 1);
  f.config_write(4, 2, 0x0147);
  f.config_write(0x10, 4, 0x7654'0000);  // not where enumeration put it
  const std::uint64_t placed = target.info->bars[0].bus;
  ASSERT_EQ(run().state, State::kDone);
  EXPECT_EQ(f.bar_address(0), placed);
  EXPECT_EQ(f.peek(4, 2), 0x0402U);
  EXPECT_EQ(f.peek(express + 8, 2) & 0x70e0U, 0x5020U);
  EXPECT_EQ(f.peek(express + 8, 2) & 0x0a00U, 0U);
  EXPECT_EQ(f.peek(express + 0x28, 2), 0x0405U);
  EXPECT_EQ(f.peek(ats + 6, 2), 0U);
  EXPECT_EQ(f.peek(pasid + 6, 2), 0U);
}

// Covers: S3.22
TEST_F(ResetSteps, QuiescingSwitchesTranslationServicesOff) {
  auto made = device();
  const unsigned ats = made->add_extended(0x000f, 8);
  const unsigned pri = made->add_extended(0x0013, 16);
  made->set_writable(ats + 6, 2, 0x801f);
  made->set_writable(pri + 4, 2, 0x0003);
  auto& f = on_root(std::move(made));
  f.config_write(ats + 6, 2, 0x8003);
  f.config_write(pri + 4, 2, 1);
  quiesce(*target.config, *target.info);
  EXPECT_EQ(f.peek(ats + 6, 2), 3U);
  EXPECT_EQ(f.peek(pri + 4, 2), 0U);
}

// Covers: S3.21
TEST_F(ResetSteps, TheBusBringsBackWhatAFunctionLevelResetLost) {
  sim::PciBridge& port = behind_port(device());
  parts[0]->set_fault(ResetFaults::Fault::kOtherIdentity);
  target.patience_ns = kSecond;
  reset.start(target, now);
  ResetStep step = reset.step(now);
  while (step.state == State::kWait) {
    if (reset.method() == ResetMethod::kSecondaryBus) {
      parts[0]->set_fault(ResetFaults::Fault::kNone);
      parts[0]->poke(0, 4, 0x0001'1234);
    }
    now = step.until_ns;
    step = reset.step(now);
  }
  EXPECT_EQ(step.state, State::kDone);
  EXPECT_EQ(reset.method(), ResetMethod::kSecondaryBus);
  EXPECT_EQ(parts[0]->resets(), 2U);
  EXPECT_EQ(port.peek(0x3e, 2) & 0x40U, 0U);
}

// Covers: S3.21
TEST_F(ResetSteps, TheLastFailureIsTheOneThatIsTold) {
  auto still = device();
  still->ignore_reset();
  behind_port(std::move(still));
  expect_failure(ResetFault::kUnchanged, ResetMethod::kSecondaryBus);
}

// Covers: S3.21 H22
TEST_F(ResetSteps, EveryFunctionBehindThePortIsSilencedAndRestored) {
  behind_port(device(false), device(false));
  ASSERT_EQ(target.peers.size(), 1U);
  const std::uint64_t first = parts[0]->bar_address(0);
  const std::uint64_t second = parts[1]->bar_address(0);
  parts[1]->config_write(4, 2, 0x0406);
  ASSERT_EQ(run().state, State::kDone);
  EXPECT_EQ(reset.method(), ResetMethod::kSecondaryBus);
  for (ResetFaults* part : parts) {
    EXPECT_EQ(part->resets(), 1U);
    EXPECT_EQ(part->peek(4, 2), 0x0402U);
  }
  EXPECT_EQ(parts[0]->bar_address(0), first);
  EXPECT_EQ(parts[1]->bar_address(0), second);
}

// Covers: S3.21
TEST_F(ResetSteps, APeerThatDoesNotComeBackFailsTheWhole) {
  auto second = device(false);
  second->die_at_reset();
  behind_port(device(false), std::move(second));
  target.patience_ns = kSecond;
  const ResetStep step = run();
  ASSERT_EQ(step.state, State::kFailed);
  EXPECT_EQ(step.error.code, Code::kTimeout);
  EXPECT_EQ(failure_of(step.error).function, peer.info->bdf);
  EXPECT_EQ(failure_of(step.error).fault, ResetFault::kNoAnswer);
}

// Covers: S3.21
TEST_F(ResetSteps, TheLinkIsWaitedForAndMissed) {
  sim::PciBridge& port = behind_port(device(false));
  const unsigned express = board.inventory.functions[0].express_at;
  port.poke(express + 0xc, 4, 1U << 20);  // the port shows whether its link is up: it is not
  target.patience_ns = kSecond;
  expect_failure(ResetFault::kNoLink, ResetMethod::kSecondaryBus);
  EXPECT_EQ(port.peek(0x3e, 2) & 0x40U, 0U);

  port.poke(express + 0x12, 2, 1U << 13);
  EXPECT_EQ(run().state, State::kDone);
}

// Covers: S3.21
TEST_F(ResetSteps, TooManyPeersAreNotReset) {
  behind_port(device(false));
  std::vector<ResetPeer> many(Reset::kMaxFunctions, ResetPeer{target.info, target.config});
  target.peers = many;
  EXPECT_EQ(run().error, fail(Code::kNoReset, target.info->bdf.value()));
}

/// A virtual function has neither IDs nor base addresses of its own, and no INTx.
struct ResetVf : ResetSteps {
  sim::PciFunction& start_vf() {
    auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
    auto& device = board.plug(port.secondary_bus(), 0, 0, sim::igb_with_vfs());
    EXPECT_TRUE(board.enumerate());
    EXPECT_TRUE(pf.init(board.inventory, board.inventory.sriov[0].pf, board.ecam));
    EXPECT_TRUE(pf.start(2, now));
    for (auto until = pf.step(now); until && *until != 0; until = pf.step(now)) now = *until;
    vf = pf.vf(1).value_or(FunctionInfo());
    configs[0] = pf.vf_config(1);
    target.info = &vf;
    target.config = &configs[0];
    return device.vf(1);
  }
  SriovPf pf;
  FunctionInfo vf;
};

// Covers: S3.11 S3.22
TEST_F(ResetVf, IsShownByItsMessages) {
  sim::PciFunction& f = start_vf();
  ASSERT_TRUE(vf.is_vf);
  const unsigned before = f.resets();
  f.config_write(4, 2, 4);
  f.config_write(vf.msix + 2U, 2, 0x8000);
  EXPECT_EQ(run().state, State::kDone);
  EXPECT_EQ(f.resets(), before + 1);
  EXPECT_EQ(f.peek(4, 2) & 7U, 0U);
  EXPECT_EQ(f.peek(vf.msix + 2U, 2) & 0xc000U, 0U);
  EXPECT_TRUE(f.memory_enabled());
}

// Covers: S3.22
TEST_F(ResetVf, OneThatOnlyPretendsIsNoticed) {
  start_vf().ignore_reset();
  expect_failure(ResetFault::kUnchanged);
}

// Covers: S3.22
TEST_F(ResetVf, OneThatIsGoneIsNoticed) {
  start_vf().die_at_reset();
  target.patience_ns = kSecond;
  expect_failure(ResetFault::kNoAnswer);
}

}  // namespace
}  // namespace penstock::pci
