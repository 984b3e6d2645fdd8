// Where messages for the operator go. Core decides what is worth saying; the platform prints,
// stamps and rate-limits.
#pragma once

#include <string_view>

namespace penstock::port {

enum class Severity { kInfo, kWarning, kError };

class Log {
 public:
  /// One line without its newline. Any context; must not be called per guest action without a limit
  /// (H14).
  virtual void line(Severity severity, std::string_view text) = 0;

 protected:
  ~Log() = default;
};

}  // namespace penstock::port
