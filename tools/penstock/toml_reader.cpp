#include "tools/penstock/toml_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tools/penstock/values.hpp"

namespace penstock::tool {
namespace {

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none: return "nothing";
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::string: return "a text";
    case toml::node_type::integer: return "a number";
    case toml::node_type::floating_point: return "a number with a fraction";
    case toml::node_type::boolean: return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a date or time";
  }
  return "something else";
}

std::string place(const std::string& table) {
  return table.empty() ? "at the top of the file" : fmt::format("in [{}]", table);
}

}  // namespace

std::optional<toml::table> parse_toml_file(const std::string& path, Diagnostics& out) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  if (!file || !(content << file.rdbuf())) {
    out.error({path}, "cannot be read", "give the path of a file that exists and may be read");
    return {};
  }
  try {
    return toml::parse(content.str(), path);
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    out.error({path, at.line, at.column}, fmt::format("no valid TOML: {}", error.description()));
    return {};
  }
}

TableReader::TableReader(const toml::table& table, std::string name, std::span<const Key> keys,
                         const std::string& file, Diagnostics& out)
    : table_(&table), name_(std::move(name)), keys_(keys), file_(&file), out_(&out) {
  std::vector<std::string> known;
  for (const Key& key : keys_) {
    if (key.table != name_) continue;
    known.emplace_back(key.name);
    if (key.required && table.get(key.name) == nullptr) {
      out.error(at(), fmt::format("\"{}\" is missing {}", key.name, place(name_)),
                fmt::format("write {} = ..., {}", key.name, describe(key.type)));
    }
  }
  for (const auto& [key, node] : table) {
    if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
    const std::string near = nearest(key.str(), known);
    std::string list;
    for (const std::string& k : known) list += (list.empty() ? "" : ", ") + k;
    out.error({file, key.source().begin.line, key.source().begin.column},
              fmt::format("unknown key \"{}\" {}", key.str(), place(name_)),
              near.empty() ? fmt::format("known here: {}", list)
                           : fmt::format("did you mean \"{}\"?", near));
  }
}

Position TableReader::position(const toml::node& node) const {
  const toml::source_position at = node.source().begin;
  return {*file_, at.line, at.column};
}

Position TableReader::at(std::string_view key) const {
  const toml::node* node = find(key);
  return node == nullptr ? at() : position(*node);
}

const toml::node* TableReader::find(std::string_view key) const {
  return table_->get(key);
}

void TableReader::wrong_type(const toml::node& node, std::string_view key, Type wanted) const {
  out_->error(position(node),
              fmt::format("\"{}\" must be {}, not {}", key, describe(wanted), kind_of(node)));
}

std::optional<Located<std::string>> TableReader::text(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return {};
  if (const auto* value = node->as_string()) return Located{value->get(), position(*node)};
  wrong_type(*node, key, Type::kText);
  return {};
}

std::optional<Located<bool>> TableReader::flag(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return {};
  if (const auto* value = node->as_boolean()) return Located{value->get(), position(*node)};
  wrong_type(*node, key, Type::kFlag);
  return {};
}

std::optional<std::uint64_t> TableReader::non_negative(const toml::node& node, std::string_view key,
                                                       Type type) const {
  const auto* value = node.as_integer();
  if (value == nullptr) {
    wrong_type(node, key, type);
    return {};
  }
  if (value->get() < 0) {
    out_->error(position(node), fmt::format("\"{}\" cannot be negative", key));
    return {};
  }
  return static_cast<std::uint64_t>(value->get());
}

std::optional<Located<std::uint64_t>> TableReader::number(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return {};
  const auto value = non_negative(*node, key, Type::kNumber);
  if (!value) return {};
  return Located{*value, position(*node)};
}

std::optional<Located<std::uint64_t>> TableReader::size(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return {};
  std::optional<std::uint64_t> value;
  if (const auto* text = node->as_string()) {
    value = parse_size(text->get());
    if (!value) {
      out_->error(position(*node), fmt::format("\"{}\" is no size", text->get()),
                  fmt::format("write {} as {}", key, describe(Type::kSize)));
    }
  } else {
    value = non_negative(*node, key, Type::kSize);
  }
  if (!value) return {};
  return Located{*value, position(*node)};
}

std::vector<Located<std::uint64_t>> TableReader::numbers(std::string_view key) const {
  std::vector<Located<std::uint64_t>> result;
  const toml::node* node = find(key);
  if (node == nullptr) return result;
  const toml::array* list = node->as_array();
  if (list == nullptr) {
    wrong_type(*node, key, Type::kNumbers);
    return result;
  }
  for (const toml::node& item : *list) {
    if (const auto value = non_negative(item, key, Type::kNumbers)) {
      result.push_back({*value, position(item)});
    }
  }
  return result;
}

std::vector<Located<std::string>> TableReader::texts(std::string_view key) const {
  std::vector<Located<std::string>> result;
  const toml::node* node = find(key);
  if (node == nullptr) return result;
  const toml::array* list = node->as_array();
  if (list == nullptr) {
    wrong_type(*node, key, Type::kTexts);
    return result;
  }
  for (const toml::node& item : *list) {
    if (const auto* value = item.as_string()) {
      result.push_back({value->get(), position(item)});
    } else {
      wrong_type(item, key, Type::kTexts);
    }
  }
  return result;
}

std::optional<Located<std::string>> TableReader::choice(
    std::string_view key, const std::vector<std::string>& allowed) const {
  auto value = text(key);
  if (!value || std::find(allowed.begin(), allowed.end(), value->value) != allowed.end()) {
    return value;
  }
  const std::string near = nearest(value->value, allowed);
  std::string list;
  for (const std::string& a : allowed) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", a);
  out_->error(value->at, fmt::format("\"{}\" cannot be \"{}\"", key, value->value),
              near.empty() ? fmt::format("write one of {}", list)
                           : fmt::format("did you mean \"{}\"? possible: {}", near, list));
  return {};
}

std::optional<TableReader> TableReader::table(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return {};
  const toml::table* sub = node->as_table();
  if (sub == nullptr) {
    wrong_type(*node, key, Type::kTable);
    return {};
  }
  return TableReader(*sub, name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key),
                     keys_, *file_, *out_);
}

std::vector<TableReader> TableReader::tables(std::string_view key) const {
  return tables(key, keys_, name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key));
}

std::vector<TableReader> TableReader::tables(std::string_view key, std::span<const Key> keys,
                                             const std::string& table_name) const {
  std::vector<TableReader> result;
  const toml::node* node = find(key);
  if (node == nullptr) return result;
  const toml::array* list = node->as_array();
  if (list == nullptr) {
    out_->error(position(*node),
                fmt::format("\"{}\" must be a list of tables, not {}", key, kind_of(*node)),
                fmt::format("write [[{}]] with two brackets",
                            name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key)));
    return result;
  }
  for (const toml::node& item : *list) {
    if (const toml::table* sub = item.as_table()) {
      result.emplace_back(*sub, table_name, keys, *file_, *out_);
    } else {
      wrong_type(item, key, Type::kTables);
    }
  }
  return result;
}

std::vector<std::pair<std::string, Located<std::string>>> TableReader::dictionary(
    std::string_view key) const {
  std::vector<std::pair<std::string, Located<std::string>>> result;
  const toml::node* node = find(key);
  if (node == nullptr) return result;
  const toml::table* sub = node->as_table();
  if (sub == nullptr) {
    wrong_type(*node, key, Type::kTable);
    return result;
  }
  for (const auto& [name, value] : *sub) {
    if (const auto* text = value.as_string()) {
      result.push_back({std::string(name.str()), {text->get(), position(value)}});
    } else {
      wrong_type(value, name.str(), Type::kText);
    }
  }
  return result;
}

}  // namespace penstock::tool
