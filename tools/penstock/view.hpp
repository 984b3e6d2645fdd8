// Files and terminal that show a console while it runs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/visible_text.hpp"
#include "tools/penstock/files.hpp"

namespace penstock::tool {

/// One log per source. Text is written as it comes; a line's end when the source's next line
/// begins.
class SourceLogs {
 public:
  SourceLogs(const std::filesystem::path& folder, const std::vector<std::string>& sources);
  void piece(std::string_view source, std::string_view text, bool new_line);
  void finish();
  /// What went wrong first with one of the files; empty as long as all is well.
  [[nodiscard]] std::string problem() const;

 private:
  struct Log {
    LogFile file;
    bool begun = false;
  };
  std::map<std::string, Log, std::less<>> logs_;
};

/// Everything on one terminal, each line behind its source.
class LiveView {
 public:
  LiveView(std::vector<std::string> domains, bool colour);
  [[nodiscard]] std::string piece(std::string_view source, std::string_view text, bool new_line);
  /// What ends an unfinished line.
  [[nodiscard]] std::string finish();

 private:
  [[nodiscard]] std::string head(std::string_view source) const;

  std::vector<std::string> domains_;
  std::size_t width_;
  bool colour_;
  std::map<std::string, VisibleText, std::less<>> visible_;  // firmware's text comes as it is
  std::string shown_;  // source of the line that the cursor stands in; empty: at a line's start
};

}  // namespace penstock::tool
