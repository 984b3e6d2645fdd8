// Every key that a configuration or a board description may hold. The reader accepts what stands
// here and nothing else; `penstock keys` and docs/configuration.md are rendered from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::tool {

enum class Type {
  kText,     // "..."
  kFlag,     // true, false
  kNumber,   // 3, 0x40000000
  kSize,     // "512M", or a number of bytes
  kNumbers,  // [0, 1]
  kTexts,    // ["a", "b"]
  kTable,    // [name]
  kTables,   // [[name]]
};

struct Key {
  std::string_view table;  // "" for the top of the file, "domain", "domain.device", ...
  std::string_view name;
  Type type;
  bool required;
  std::string_view meaning;
};

/// Keys of a configuration file.
[[nodiscard]] std::span<const Key> config_keys();
/// Keys of a board description in boards/.
[[nodiscard]] std::span<const Key> board_keys();

[[nodiscard]] const Key* find_key(std::span<const Key> keys, std::string_view table,
                                  std::string_view name);
/// "a size such as \"512M\"": what a value of this type looks like.
[[nodiscard]] std::string_view describe(Type type);

/// The candidate nearest to `word`, empty when none is near (at most a third of its letters
/// differ).
[[nodiscard]] std::string nearest(std::string_view word,
                                  const std::vector<std::string>& candidates);

/// Markdown: the table of the hypervisor's boot options.
[[nodiscard]] std::string render_boot_options();
/// Markdown: one section with a table of keys for each TOML table, in the order of the schema.
[[nodiscard]] std::string render_keys(std::span<const Key> keys);

}  // namespace penstock::tool
