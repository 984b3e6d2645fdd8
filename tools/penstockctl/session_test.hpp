// For tests of commands: a session with the fake hypervisor, whose output is kept.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/fake_hypervisor.hpp"

namespace penstock::ctl::test {

struct SessionTest : testing::Test {
  FakeHypervisor hypervisor;
  Client client{hypervisor, std::chrono::milliseconds(2000)};
  std::ostringstream out;
  std::ostringstream err;
  Session session{client, out, err};

  /// What a command printed as JSON.
  nlohmann::json printed() { return nlohmann::json::parse(out.str()); }

  /// Exit status and text of a command that fails.
  template <typename Action>
  static std::pair<Exit, std::string> failure_of(const Action& action) {
    try {
      action();
    } catch (const Failure& failure) {
      return {failure.exit(), failure.what()};
    }
    return {Exit::kDone, ""};
  }
};

}  // namespace penstock::ctl::test
