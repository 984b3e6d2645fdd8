// Everything that is wrong with a configuration, collected, so that one run tells all of it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace penstock::tool {

struct Position {
  std::string file;
  unsigned line = 0;  // 1-based; 0: the whole file
  unsigned column = 0;
};

struct Diagnostic {
  enum class Severity { kError, kWarning };
  Severity severity = Severity::kError;
  Position at;
  std::string message;  // what is wrong
  std::string hint;     // what to write instead; may be empty
};

class Diagnostics {
 public:
  void error(Position at, std::string message, std::string hint = {});
  void warning(Position at, std::string message, std::string hint = {});
  [[nodiscard]] bool has_errors() const;
  [[nodiscard]] const std::vector<Diagnostic>& all() const { return all_; }

 private:
  std::vector<Diagnostic> all_;
};

/// "demo.toml:12:9: error: ..." and, indented on a second line, what to write instead. Ends with a
/// newline.
[[nodiscard]] std::string to_text(const Diagnostic& diagnostic);
/// All of them, in the order of files, lines and columns.
[[nodiscard]] std::string to_text(const Diagnostics& diagnostics);
/// Those of one severity, [{file, line, column, message, hint}].
[[nodiscard]] nlohmann::json to_json(const Diagnostics& diagnostics, Diagnostic::Severity severity);

}  // namespace penstock::tool
