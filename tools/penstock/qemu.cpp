#include "tools/penstock/qemu.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/address.hpp"

namespace penstock::tool {
namespace fs = std::filesystem;
namespace {

std::string quoted(const fs::path& path) {
  std::string result;
  for (const char c :
       fs::absolute(path.empty() ? fs::path(".") : path).lexically_normal().string()) {
    result += c;
    if (c == ',') result += c;
  }
  while (result.size() > 1 && result.back() == '/') result.pop_back();
  return result;
}

void replace_all(std::string& text, std::string_view what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

std::vector<std::string> split_option(const std::string& text) {
  const std::size_t blank = text.find(' ');
  if (!text.starts_with('-') || blank == std::string::npos) return {text};
  return {text.substr(0, blank), text.substr(text.find_first_not_of(' ', blank))};
}

std::string fill_placeholders(std::string text, const QemuOptions& options) {
  replace_all(text, "{dir}", quoted(options.folder));
  replace_all(text, "{out}", quoted(options.out));
  return text;
}

std::vector<std::string> qemu_command(const BoardDescription& board, const QemuOptions& options) {
  std::vector<std::string> command = {options.program,
                                      "-machine",
                                      board.qemu_machine,
                                      "-cpu",
                                      board.qemu_cpu,
                                      "-smp",
                                      fmt::format("{}", board.cpus),
                                      "-m",
                                      fmt::format("{}M", board.memory / kMiB),
                                      "-display",
                                      "none",
                                      "-monitor",
                                      "none",
                                      "-no-reboot",
                                      "-chardev",
                                      "stdio,id=console,signal=off",
                                      "-serial",
                                      "chardev:console"};
  const auto add = [&](const std::string& text) {
    for (const std::string& part : split_option(fill_placeholders(text, options))) {
      command.push_back(part);
    }
  };
  if (options.count_instructions) add("-icount shift=0,sleep=off");
  for (const std::string& argument : board.qemu_arguments) add(argument);
  for (const BoardDevice& device : board.devices) {
    if (device.qemu.empty()) continue;
    const auto own = options.backends.find(device.backend);
    if (own != options.backends.end()) {
      add(own->second);
    } else if (!device.default_backend.empty()) {
      add(device.default_backend);
    }
    add("-device " + device.qemu);
  }
  for (const std::string& argument : options.arguments) add(argument);
  command.insert(command.end(), options.raw_arguments.begin(), options.raw_arguments.end());
  command.insert(command.end(), {"-kernel", options.bundle.string()});
  if (!options.boot_options.empty()) {
    command.insert(command.end(),
                   {"-append", fmt::format("{}", fmt::join(options.boot_options, " "))});
  }
  return command;
}

}  // namespace penstock::tool
