// A TOML table read by the schema: unknown keys, missing keys and wrong types become diagnostics
// with a position; the caller gets values or nothing and goes on, so that all mistakes are found in
// one go.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/penstock/diagnostics.hpp"
#include "tools/penstock/schema.hpp"

#define TOML_HEADER_ONLY 0
#include <toml++/toml.h>

namespace penstock::tool {

template <typename T>
struct Located {
  T value{};
  Position at;
};

/// Parses the file; a syntax error is a diagnostic and nothing is returned.
[[nodiscard]] std::optional<toml::table> parse_toml_file(const std::string& path, Diagnostics& out);

class TableReader {
 public:
  /// Reports unknown keys of `table` and required keys that it lacks at once. `name` is the
  /// schema's table.
  TableReader(const toml::table& table, std::string name, std::span<const Key> keys,
              const std::string& file, Diagnostics& out);

  [[nodiscard]] std::optional<Located<std::string>> text(std::string_view key) const;
  [[nodiscard]] std::optional<Located<bool>> flag(std::string_view key) const;
  [[nodiscard]] std::optional<Located<std::uint64_t>> number(std::string_view key) const;
  [[nodiscard]] std::optional<Located<std::uint64_t>> size(std::string_view key) const;
  [[nodiscard]] std::vector<Located<std::uint64_t>> numbers(std::string_view key) const;
  [[nodiscard]] std::vector<Located<std::string>> texts(std::string_view key) const;
  /// A text that must be one of `allowed`.
  [[nodiscard]] std::optional<Located<std::string>> choice(
      std::string_view key, const std::vector<std::string>& allowed) const;
  /// A sub-table with keys of its own in the schema.
  [[nodiscard]] std::optional<TableReader> table(std::string_view key) const;
  [[nodiscard]] std::vector<TableReader> tables(std::string_view key) const;
  /// A sub-table whose keys are free and whose values are texts.
  [[nodiscard]] std::vector<std::pair<std::string, Located<std::string>>> dictionary(
      std::string_view key) const;

  [[nodiscard]] Position at() const { return position(*table_); }
  /// Position of a key's value, or of the table when it is not there.
  [[nodiscard]] Position at(std::string_view key) const;
  /// Reads a list of tables by the keys of another schema table (a board's devices in a
  /// configuration).
  [[nodiscard]] std::vector<TableReader> tables(std::string_view key, std::span<const Key> keys,
                                                const std::string& table_name) const;

 private:
  [[nodiscard]] Position position(const toml::node& node) const;
  [[nodiscard]] const toml::node* find(std::string_view key) const;
  void wrong_type(const toml::node& node, std::string_view key, Type wanted) const;
  [[nodiscard]] std::optional<std::uint64_t> non_negative(const toml::node& node,
                                                          std::string_view key, Type type) const;

  const toml::table* table_;
  std::string name_;
  std::span<const Key> keys_;
  const std::string* file_;
  Diagnostics* out_;
};

}  // namespace penstock::tool
