// Files that a tool writes. A full disk, or whatever else is wrong, is told with its reason.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "tools/penstock/process.hpp"

namespace penstock::tool {

/// Puts a whole file in place at once: whoever opens `path` finds the old content or the new one,
/// also after a power failure, and never a part. Folders that are missing are made. What is there
/// and no regular file (a terminal, a pipe) is written to. Returns what is wrong, with the path;
/// then there is no file that was not there before.
[[nodiscard]] std::string write_file(const std::filesystem::path& path, std::string_view content);

/// A log that grows. What could not be written is missing at its end, and problem() says why.
class LogFile {
 public:
  LogFile() = default;
  explicit LogFile(const std::filesystem::path& path) { open(path); }
  void open(const std::filesystem::path& path);
  void write(std::string_view text);
  /// Empty as long as all is well.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void fail(int why);

  std::filesystem::path path_;
  Descriptor file_;
  std::string problem_;
};

}  // namespace penstock::tool
