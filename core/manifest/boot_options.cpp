#include "core/manifest/boot_options.hpp"

#include <array>
#include <optional>

namespace penstock::manifest {
namespace {

std::optional<bool> on_or_off(std::string_view word) {
  constexpr std::array<std::string_view, 4> kOn = {"on", "1", "true", "yes"};
  constexpr std::array<std::string_view, 4> kOff = {"off", "0", "false", "no"};
  for (const std::string_view yes : kOn) {
    if (word == yes) return true;
  }
  for (const std::string_view no : kOff) {
    if (word == no) return false;
  }
  return std::nullopt;
}

/// Takes the word when it is `name`=on or off.
bool take_switch(std::string_view word, std::string_view name, bool& option) {
  if (!word.starts_with(name)) return false;
  word.remove_prefix(name.size());
  if (!word.starts_with('=')) return false;
  word.remove_prefix(1);
  const auto value = on_or_off(word);
  if (value) option = *value;
  return value.has_value();
}

void read_word(std::string_view word, BootOptions& options) {
  if (take_switch(word, "viommu", options.viommu)) return;
  if (take_switch(word, "spectre-bhb", options.spectre_bhb)) return;
  if (options.unknown.empty()) options.unknown = word;
}

}  // namespace

BootOptions boot_options(std::string_view bootargs) {
  BootOptions options;
  while (!bootargs.empty()) {
    const std::size_t space = bootargs.find(' ');
    const std::size_t end = space == std::string_view::npos ? bootargs.size() : space;
    if (end != 0) read_word({bootargs.data(), end}, options);
    bootargs.remove_prefix(end == bootargs.size() ? end : end + 1);
  }
  return options;
}

}  // namespace penstock::manifest
