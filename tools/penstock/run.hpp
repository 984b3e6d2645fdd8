// Starts the board in QEMU, reads its console until it ends, and writes the logs and the report.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace penstock::tool {

struct RunRequest {
  std::vector<std::string> command;  // QEMU's
  std::string board;
  std::vector<std::string> domains;  // names, in the order of the configuration
  nlohmann::json domain_facts;       // for the report: [{name, kernel, cpus, memory, devices}]
  nlohmann::json penstock_facts;     // for the report: sizes of the bundle
  std::filesystem::path out;         // an existing folder
  unsigned timeout = 0;              // seconds; 0: none
  std::optional<std::size_t> input;  // index of the domain that gets what is typed
  bool colour = false;
  bool quiet = false;  // do not show the console
};

enum class RunEnd {
  kOrderly,  // the hypervisor said that it ends, and QEMU ended by itself
  kFailed,   // QEMU ended in another way, or could not be started
  kTimeout,
  kInterrupted,  // by Ctrl-C or a signal
};

struct RunResult {
  RunEnd end = RunEnd::kFailed;
  std::string why;
  nlohmann::json report;
};

/// Writes <out>/console.log (as received), <out>/<domain>.log, <out>/penstock.log, <out>/qemu.log
/// and <out>/report.json. Everything that it started has ended when it returns.
RunResult run_board(const RunRequest& request);

}  // namespace penstock::tool
