// A board as boards/*.toml describes it: what check judges a configuration against and how QEMU
// emulates it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "tools/penstock/diagnostics.hpp"
#include "tools/penstock/toml_reader.hpp"

namespace penstock::tool {

enum class Reset { kNone, kBus, kPowerManagement, kFunctionLevel };
enum class Isolation { kShared, kIntegrated, kAcs };

struct BoardDevice {
  std::optional<HostBdf> bdf;  // absent: cannot be assigned
  std::string name;
  std::string driver;
  std::optional<std::uint32_t> class_code;  // class << 16 | subclass << 8 | interface
  Reset reset = Reset::kNone;
  Isolation isolation = Isolation::kShared;
  unsigned vectors = 0;            // messages that it can have; 0: nobody has said
  std::vector<std::string> risks;  // names of core/pci/risk.hpp, or clauses for people
  std::string qemu;                // -device, empty: nothing
  std::string backend;             // name of its back end, empty: none
  std::string default_backend;     // "-drive ..." when the configuration names none
};

struct BoardDescription {
  std::string name;
  std::string title;
  unsigned cpus = 0;
  std::uint64_t memory_base = 0;
  std::uint64_t memory = 0;
  std::string iommu;          // smmuv3, none
  unsigned iommu_stages = 1;  // that one access can pass through
  std::string msi;            // its, gicv2m, none
  std::string bridge;         // ecam, none
  std::string qemu_machine;   // empty: QEMU cannot emulate it
  std::string qemu_cpu;
  std::vector<std::string> qemu_arguments;
  std::vector<BoardDevice> devices;

  [[nodiscard]] const BoardDevice* find(HostBdf bdf) const;
};

/// The file of a board: `name_or_path` itself when it has a slash or ends in .toml (relative to
/// `base`), else
/// `<name>.toml` in the first of the `folders` that has it. Nothing when there is none.
[[nodiscard]] std::optional<std::filesystem::path> find_board(
    const std::string& name_or_path, const std::filesystem::path& base,
    const std::vector<std::filesystem::path>& folders);

/// $PENSTOCK_BOARDS, ./boards and the source tree's boards/.
[[nodiscard]] std::vector<std::filesystem::path> board_folders();
/// Names of the boards in the folders.
[[nodiscard]] std::vector<std::string> known_boards(
    const std::vector<std::filesystem::path>& folders);

[[nodiscard]] std::optional<BoardDescription> read_board(const std::filesystem::path& file,
                                                         Diagnostics& out);
/// One [[device]] of a board, or one [[run.device]] of a configuration.
[[nodiscard]] BoardDevice read_board_device(const TableReader& reader, Diagnostics& out);

}  // namespace penstock::tool
