// A configuration as its TOML file says it, values with their positions. What it means on a board
// is check.hpp's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/manifest/manifest.hpp"
#include "tools/penstock/board.hpp"
#include "tools/penstock/diagnostics.hpp"
#include "tools/penstock/toml_reader.hpp"

namespace penstock::tool {

struct RegisterSpec {
  Position at;
  std::uint64_t offset = 0;
  std::uint64_t live = 0;
  std::uint64_t write = 0;
  std::uint64_t w1c = 0;
};

struct CapabilitySpec {
  Position at;
  std::uint64_t id = 0;
  bool extended = false;
  std::uint64_t length = 0;
  std::vector<RegisterSpec> registers;
};

struct DeviceSpec {
  Position at;
  std::optional<Located<HostBdf>> host;
  std::optional<Located<GuestBdf>>
      guest;  // after check() always there when the configuration is valid
  bool accept_no_reset = false;
  bool accept_no_isolation = false;
  bool scratch = false;  // its quarantine
  std::vector<Located<manifest::DeniedCapability>> denied;
  std::vector<CapabilitySpec> capabilities;
};

struct DomainSpec {
  Position at;
  std::optional<Located<std::string>> name;
  std::vector<Located<std::uint64_t>> cpus;
  std::optional<Located<std::uint64_t>> memory;
  std::optional<Located<std::uint64_t>> memory_base;
  std::optional<Located<std::string>> kernel;
  std::optional<Located<std::uint64_t>> kernel_offset;
  std::optional<Located<std::string>> initrd;
  std::optional<Located<std::string>> cmdline;
  bool autostart = true;
  std::string on_reboot = "restart";
  std::string on_crash = "stop";
  Located<std::string> iommu{"none", {}};
  Located<bool> control{false, {}};
  Located<bool> hardware{false, {}};
  Located<std::uint64_t> slots{0, {}};
  std::optional<Located<std::uint64_t>> interrupts;
  std::vector<DeviceSpec> devices;
};

struct RunSpec {
  std::optional<unsigned> cpus;
  std::optional<std::uint64_t> memory;
  unsigned timeout = 0;  // seconds, 0: none
  std::vector<std::string> arguments;
  std::map<std::string, Located<std::string>> backends;
  std::vector<BoardDevice> devices;
};

struct Config {
  std::string file;
  std::filesystem::path folder;  // relative paths start here
  std::optional<Located<std::string>> board;
  std::vector<DomainSpec> domains;
  std::vector<Located<HostBdf>> hidden;
  RunSpec run;
};

/// Reads the file. Mistakes of form (unknown key, wrong type, no such choice) go to `out`; nothing
/// when it is no TOML.
[[nodiscard]] std::optional<Config> read_config(const std::string& file, Diagnostics& out);

}  // namespace penstock::tool
