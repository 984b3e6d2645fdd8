// A reset that is run step by step, on a clock of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "core/pci/reset.hpp"
#include "core/pci/test_board.hpp"
#include "sim/pci/reset_faults.hpp"

namespace penstock::pci {

/// Functions behind a root port, or on the root bus.
struct ResetSteps : testing::Test {
  using State = ResetStep::State;
  static constexpr std::uint64_t kSecond = 1'000'000'000;

  static std::unique_ptr<sim::ResetFaults> device(bool flr = true, std::uint16_t vendor = 0x1234,
                                                  std::uint16_t id = 1) {
    auto f = std::make_unique<sim::ResetFaults>(sim::PciIdentity{vendor, id, 0x02'0000});
    f->add_bar(0, 0x1000, {});
    f->add_express(sim::PciPortType::kEndpoint, flr);
    f->add_msix(4, 0, 0x800, 0, 0xc00);
    return f;
  }
  sim::ResetFaults& on_root(std::unique_ptr<sim::ResetFaults> what) {
    auto& plugged = board.plug(board.host.root(), 1, 0, std::move(what));
    EXPECT_TRUE(board.enumerate());
    target.info = &board.inventory.functions.back();
    configs[0] = board.ecam.function(target.info->bdf);
    target.config = &configs[0];
    return plugged;
  }
  /// One or two functions behind a port whose bus may be reset.
  sim::PciBridge& behind_port(std::unique_ptr<sim::ResetFaults> first,
                              std::unique_ptr<sim::ResetFaults> second = nullptr) {
    auto& port = board.plug(board.host.root(), 1, 0, sim::pcie_root_port(board.host));
    if (second != nullptr) first->set_multi_function();
    parts[0] = &board.plug(port.secondary_bus(), 0, 0, std::move(first));
    if (second != nullptr) {
      parts[1] = &board.plug(port.secondary_bus(), 0, 1, std::move(second));
    }
    EXPECT_TRUE(board.enumerate());
    const auto& functions = board.inventory.functions;
    port_config = board.ecam.function(functions[0].bdf);
    configs[0] = board.ecam.function(functions[1].bdf);
    target.info = &functions[1];
    target.config = &configs[0];
    target.port = &port_config;
    if (functions.size() > 2) {
      configs[1] = board.ecam.function(functions[2].bdf);
      peer = {&functions[2], &configs[1]};
      target.peers = {&peer, 1};
    }
    return port;
  }
  /// Runs to the end, on a clock of its own, and returns the last step.
  ResetStep run() {
    reset.start(target, now);
    ResetStep step = reset.step(now);
    while (step.state == State::kWait) {
      EXPECT_GT(step.until_ns, now);
      now = step.until_ns;
      step = reset.step(now);
    }
    return step;
  }
  void expect_failure(ResetFault fault, ResetMethod method = ResetMethod::kExpressFlr) {
    const ResetStep step = run();
    ASSERT_EQ(step.state, State::kFailed);
    const ResetFailure failure = failure_of(step.error);
    EXPECT_EQ(failure.fault, fault) << describe(failure.fault);
    EXPECT_EQ(failure.method, method);
    EXPECT_EQ(failure.function, target.info->bdf);
    EXPECT_FALSE(describe(fault).empty());
  }

  TestBoard board;
  EcamFunction configs[2];
  EcamFunction port_config;
  ResetTarget target;
  ResetPeer peer;
  sim::ResetFaults* parts[2] = {};
  Reset reset;
  std::uint64_t now = 5 * kSecond;
};

}  // namespace penstock::pci
