// How a command ends when it does not do what it was asked.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "core/control/abi.hpp"

namespace penstock::ctl {

/// The program's exit status (docs/penstockctl.md).
enum class Exit : int {
  kDone = 0,
  kFailed = 1,       // refused, or tried and failed
  kUsage = 2,        // the command line or the configuration is wrong
  kNoInterface = 3,  // no control interface here, or one of another version
  kTimedOut = 4,
  kInterrupted = 130,
};

/// The text is for the person who gave the command.
class Failure : public std::runtime_error {
 public:
  Failure(Exit exit, const std::string& text, std::optional<control::Result> result = {})
      : std::runtime_error(text), exit_(exit), result_(result) {}
  [[nodiscard]] Exit exit() const { return exit_; }
  /// What the hypervisor answered, when it was its refusal.
  [[nodiscard]] std::optional<control::Result> result() const { return result_; }

  /// For programs, with --json: {} or one key per further fact.
  nlohmann::json facts = nlohmann::json::object();

 private:
  Exit exit_;
  std::optional<control::Result> result_;
};

}  // namespace penstock::ctl
