#include "tools/penstock/board.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "tools/penstock/values.hpp"

namespace penstock::tool {
namespace fs = std::filesystem;
namespace {

std::string value_of(const std::optional<Located<std::string>>& text) {
  return text ? text->value : std::string();
}

Reset reset_of(const std::string& text) {
  if (text == "flr") return Reset::kFunctionLevel;
  if (text == "pm") return Reset::kPowerManagement;
  if (text == "bus") return Reset::kBus;
  return Reset::kNone;
}

Isolation isolation_of(const std::string& text) {
  if (text == "acs") return Isolation::kAcs;
  if (text == "integrated") return Isolation::kIntegrated;
  return Isolation::kShared;
}

std::optional<std::uint32_t> class_of(const Located<std::string>& text, Diagnostics& out) {
  std::uint32_t code = 0;
  const char* end = text.value.data() + text.value.size();
  const auto read = std::from_chars(text.value.data(), end, code, 16);
  if (read.ec == std::errc() && read.ptr == end && text.value.size() == 6) return code;
  out.error(text.at, fmt::format("\"{}\" is no class code", text.value),
            "write six hexadecimal digits: class, subclass and interface, such as \"010802\"");
  return {};
}

}  // namespace

const BoardDevice* BoardDescription::find(HostBdf bdf) const {
  for (const BoardDevice& device : devices) {
    if (device.bdf == bdf) return &device;
  }
  return nullptr;
}

std::optional<fs::path> find_board(const std::string& name_or_path, const fs::path& base,
                                   const std::vector<fs::path>& folders) {
  if (name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".toml")) {
    fs::path path = base / name_or_path;
    return fs::exists(path) ? std::optional(std::move(path)) : std::nullopt;
  }
  for (const fs::path& folder : folders) {
    fs::path path = folder / (name_or_path + ".toml");
    if (fs::exists(path)) return path;
  }
  return {};
}

std::vector<fs::path> board_folders() {
  std::vector<fs::path> folders;
  if (const char* variable = std::getenv("PENSTOCK_BOARDS")) folders.emplace_back(variable);
  folders.emplace_back("boards");
  folders.emplace_back(fs::path(PENSTOCK_SOURCE_DIR) / "boards");
  return folders;
}

std::vector<std::string> known_boards(const std::vector<fs::path>& folders) {
  std::vector<std::string> names;
  for (const fs::path& folder : folders) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (entry.path().extension() == ".toml") names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

BoardDevice read_board_device(const TableReader& reader, Diagnostics& out) {
  BoardDevice device;
  if (const auto bdf = reader.text("bdf")) {
    device.bdf = parse_host_bdf(bdf->value);
    if (!device.bdf) {
      out.error(bdf->at, fmt::format("\"{}\" is no PCI address", bdf->value),
                "write it like 0000:01:00.0");
    }
  }
  device.name = value_of(reader.text("name"));
  device.driver = value_of(reader.text("driver"));
  if (const auto code = reader.text("class")) device.class_code = class_of(*code, out);
  device.reset = reset_of(value_of(reader.choice("reset", {"flr", "pm", "bus", "none"})));
  device.isolation =
      isolation_of(value_of(reader.choice("isolation", {"acs", "integrated", "shared"})));
  if (const auto vectors = reader.number("vectors")) {
    device.vectors = static_cast<unsigned>(vectors->value < 2048 ? vectors->value : 2048);
  }
  for (const auto& risk : reader.texts("risks")) device.risks.push_back(risk.value);
  device.qemu = value_of(reader.text("qemu"));
  device.backend = value_of(reader.text("backend"));
  device.default_backend = value_of(reader.text("default_backend"));
  return device;
}

std::optional<BoardDescription> read_board(const fs::path& file, Diagnostics& out) {
  const std::string name = file.string();
  const auto table = parse_toml_file(name, out);
  if (!table) return {};
  const TableReader reader(*table, "", board_keys(), name, out);
  BoardDescription board;
  board.name = value_of(reader.text("name"));
  board.title = value_of(reader.text("title"));
  if (const auto cpus = reader.number("cpus")) board.cpus = static_cast<unsigned>(cpus->value);
  if (const auto base = reader.number("memory_base")) board.memory_base = base->value;
  if (const auto memory = reader.size("memory")) board.memory = memory->value;
  board.iommu = value_of(reader.choice("iommu", {"smmuv3", "none"}));
  if (const auto stages = reader.number("iommu_stages")) {
    board.iommu_stages = static_cast<unsigned>(stages->value);
    if (stages->value != 1 && stages->value != 2) {
      out.error(stages->at, fmt::format("an SMMU has no {} stages", stages->value),
                "write 1, or 2 when a stream can have both at once");
    }
  }
  board.msi = value_of(reader.choice("msi", {"its", "gicv2m", "none"}));
  board.bridge = value_of(reader.choice("bridge", {"ecam", "none"}));
  if (const auto qemu = reader.table("qemu")) {
    board.qemu_machine = value_of(qemu->text("machine"));
    board.qemu_cpu = value_of(qemu->text("cpu"));
    for (const auto& argument : qemu->texts("arguments")) {
      board.qemu_arguments.push_back(argument.value);
    }
  }
  for (const TableReader& device : reader.tables("device")) {
    board.devices.push_back(read_board_device(device, out));
  }
  return board;
}

}  // namespace penstock::tool
