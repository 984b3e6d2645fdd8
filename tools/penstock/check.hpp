// What a configuration means on a board: who owns what, what that exposes, and everything that is
// wrong with it.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/penstock/board.hpp"
#include "tools/penstock/config.hpp"
#include "tools/penstock/diagnostics.hpp"

namespace penstock::tool {

/// RAM that the hypervisor keeps for itself, at most.
inline constexpr std::uint64_t kHypervisorMemory = 14 * 1024 * 1024;
/// Of that, at the end of RAM and with the image at its beginning.
inline constexpr std::uint64_t kHypervisorTop = 12 * 1024 * 1024;
inline constexpr std::uint64_t kHypervisorImage = 2 * 1024 * 1024;

/// How far a device is kept from what it does not own, in words for people.
struct SecurityStatement {
  std::string dma;        // who bounds what it reads and writes
  std::string messages;   // who checks its interrupts
  std::string reset;      // what happens between two owners
  std::string isolation;  // from its neighbours on the bus
  std::vector<std::string>
      exposed;  // what the configuration accepted, each a whole clause; empty: nothing
  std::vector<std::string> risks;        // everything else that it has, in words
  std::vector<std::string> named_risks;  // all, by the names of docs/SUPPORT.md
  std::string support;                   // the level claimed, as docs/SUPPORT.md names it
  std::string because;                   // what kind of device it is, and why it gets no better
};

struct PlannedDevice {
  HostBdf host;
  GuestBdf guest;
  std::string name;
  std::string driver;
  bool accept_no_reset = false;
  bool accept_no_isolation = false;
  bool scratch = false;
  std::vector<Located<manifest::DeniedCapability>> denied;
  std::vector<CapabilitySpec> capabilities;
  SecurityStatement security;
};

struct PlannedDomain {
  std::string name;
  std::vector<unsigned> cpus;
  std::uint64_t memory = 0;
  std::optional<std::uint64_t> memory_base;
  std::filesystem::path kernel;
  std::optional<std::uint64_t> kernel_offset;  // of a raw image
  std::filesystem::path initrd;                // empty: none
  std::string cmdline;
  bool autostart = true;
  std::string on_reboot;
  std::string on_crash;
  std::string iommu = "none";
  bool control = false;
  bool hardware = false;
  unsigned slots = 0;
  unsigned interrupts = 0;  // that its devices may have; 0: as many as they need
  std::vector<PlannedDevice> devices;

  /// What keeps its devices where they belong, when an IOMMU of its own has a part in it; else
  /// empty.
  [[nodiscard]] std::string isolation() const;
};

/// A valid configuration with every default filled in.
struct Plan {
  BoardDescription board;  // with the configuration's own CPUs, memory and devices
  std::vector<PlannedDomain> domains;
  std::vector<HostBdf> hidden;
};

struct CheckOptions {
  std::string board;  // instead of the configuration's; empty: that one
  std::vector<std::filesystem::path> board_folders;
  bool payloads = true;  // look into the payload files
};

/// Reads and checks the file. All mistakes are in `out`; a plan only when there is no error.
[[nodiscard]] std::optional<Plan> check(const std::string& file, const CheckOptions& options,
                                        Diagnostics& out);
/// The same for a configuration that has been read.
[[nodiscard]] std::optional<Plan> check(const Config& config, const BoardDescription& board,
                                        const CheckOptions& options, Diagnostics& out);

/// The statement for one device of the board, in a domain whose guest has this kind of IOMMU.
[[nodiscard]] SecurityStatement state_security(const BoardDescription& board,
                                               const BoardDevice& device,
                                               const std::string& guest_iommu = "none");
/// The statement's lines in a report: `whose` names the device and its owner.
[[nodiscard]] std::string security_lines(const SecurityStatement& security,
                                         const std::string& whose);
/// What keeps the device from every domain on this board, whatever is accepted; empty: nothing.
[[nodiscard]] std::string_view refused_anyway(const BoardDescription& board,
                                              const BoardDevice& device);
/// What the board lacks without which the hypervisor runs no domain with devices; empty: nothing.
[[nodiscard]] std::string_view isolation_lacks(const BoardDescription& board);
/// "no-reset" and "no-isolation", as far as the device needs them on this board.
[[nodiscard]] bool needs_no_reset(const BoardDevice& device);
[[nodiscard]] bool needs_no_isolation(const BoardDescription& board, const BoardDevice& device);

/// The table that `penstock check` prints.
[[nodiscard]] std::string ownership_text(const Plan& plan);
/// The same as JSON: {board, cpus, memory, domains, unassigned}.
[[nodiscard]] nlohmann::json ownership_json(const Plan& plan);

}  // namespace penstock::tool
