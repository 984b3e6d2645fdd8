#include "tools/penstock/diagnostics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

namespace penstock::tool {

void Diagnostics::error(Position at, std::string message, std::string hint) {
  all_.push_back(
      {Diagnostic::Severity::kError, std::move(at), std::move(message), std::move(hint)});
}

void Diagnostics::warning(Position at, std::string message, std::string hint) {
  all_.push_back(
      {Diagnostic::Severity::kWarning, std::move(at), std::move(message), std::move(hint)});
}

bool Diagnostics::has_errors() const {
  return std::any_of(all_.begin(), all_.end(), [](const Diagnostic& d) {
    return d.severity == Diagnostic::Severity::kError;
  });
}

std::string to_text(const Diagnostic& d) {
  std::string where = d.at.file;
  if (d.at.line != 0) where += fmt::format(":{}:{}", d.at.line, d.at.column);
  const char* severity = d.severity == Diagnostic::Severity::kError ? "error" : "warning";
  std::string text = fmt::format("{}: {}: {}\n", where, severity, d.message);
  if (!d.hint.empty()) text += fmt::format("    {}\n", d.hint);
  return text;
}

std::string to_text(const Diagnostics& diagnostics) {
  std::vector<Diagnostic> sorted = diagnostics.all();
  std::sort(sorted.begin(), sorted.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.at.file, a.at.line, a.at.column, a.message) <
           std::tie(b.at.file, b.at.line, b.at.column, b.message);
  });
  std::string text;
  for (const Diagnostic& d : sorted) text += to_text(d);
  return text;
}

nlohmann::json to_json(const Diagnostics& diagnostics, Diagnostic::Severity severity) {
  nlohmann::json list = nlohmann::json::array();
  for (const Diagnostic& d : diagnostics.all()) {
    if (d.severity != severity) continue;
    list.push_back({{"file", d.at.file},
                    {"line", d.at.line},
                    {"column", d.at.column},
                    {"message", d.message},
                    {"hint", d.hint}});
  }
  return list;
}

}  // namespace penstock::tool
