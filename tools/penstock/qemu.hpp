// QEMU's command line for a board.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tools/penstock/board.hpp"

namespace penstock::tool {

struct QemuOptions {
  std::string program = "qemu-system-aarch64";
  std::filesystem::path bundle;
  std::map<std::string, std::string> backends;  // by name, "-drive ..."; overrides a device's own
  std::vector<std::string> arguments;           // the configuration's
  std::vector<std::string> raw_arguments;       // --qemu-arg, taken as they are, last
  std::vector<std::string> boot_options;        // words for the hypervisor (boot_options.hpp)
  bool count_instructions = false;  // virtual time is the number of executed instructions
  std::filesystem::path folder;     // {dir}
  std::filesystem::path out;        // {out}
};

/// "-drive x y" is an option and its value, split at the first blank; other texts are one argument.
[[nodiscard]] std::vector<std::string> split_option(const std::string& text);

/// {dir} and {out} replaced by absolute paths. A comma in a path is doubled, as QEMU's option
/// syntax wants it.
[[nodiscard]] std::string fill_placeholders(std::string text, const QemuOptions& options);

[[nodiscard]] std::vector<std::string> qemu_command(const BoardDescription& board,
                                                    const QemuOptions& options);

}  // namespace penstock::tool
