#include "tools/penstock/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace penstock::tool {
namespace {

namespace fs = std::filesystem;

std::string problem_of(const fs::path& path, int why) {
  return fmt::format("{}: {}", path.string(), std::strerror(why));
}

/// What POSIX's creat() gives a new file; its mkstemp() gives its owner alone.
mode_t usual_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

/// The name lasts as well as the content.
bool sync_folder(const fs::path& folder) {
  const Descriptor open_folder(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot do this for a folder, and say so.
  return open_folder.open() && (fsync(open_folder.get()) == 0 || errno == EINVAL);
}

/// A file under another name in the same folder, which is gone unless it was put in place.
class Draft {
 public:
  explicit Draft(const fs::path& path) : name_(path.string() + ".XXXXXX") {
    file_ = Descriptor(mkostemp(name_.data(), O_CLOEXEC));
    if (!file_.open()) name_.clear();
  }
  ~Draft() {
    if (!name_.empty()) unlink(name_.c_str());
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  /// false: errno says why.
  bool write(std::string_view content) {
    return file_.open() && write_all(file_.get(), content) &&
           fchmod(file_.get(), usual_mode()) == 0 && fsync(file_.get()) == 0;
  }
  bool put_in_place(const fs::path& path) {
    if (::close(file_.release()) != 0 || rename(name_.c_str(), path.c_str()) != 0) return false;
    name_.clear();
    return true;
  }

 private:
  std::string name_;
  Descriptor file_;
};

std::string write_special(const fs::path& path, std::string_view content) {
  LogFile file(path);
  file.write(content);
  return file.problem();
}

}  // namespace

std::string write_file(const fs::path& path, std::string_view content) {
  std::error_code error;
  const fs::file_status there = fs::status(path, error);
  if (fs::exists(there) && !fs::is_regular_file(there) && !fs::is_directory(there)) {
    return write_special(path, content);
  }
  // Where a link leads, so that the link stays.
  const fs::path target = fs::exists(there) ? fs::canonical(path, error) : path;
  if (error && fs::exists(there)) return problem_of(path, error.value());
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  fs::create_directories(folder, error);
  if (error) return problem_of(folder, error.value());
  Draft draft(target);
  if (!draft.write(content) || !draft.put_in_place(target) || !sync_folder(folder)) {
    return problem_of(path, errno);
  }
  return {};
}

void LogFile::open(const fs::path& path) {
  path_ = path;
  file_ = Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file_.open()) fail(errno);
}

void LogFile::write(std::string_view text) {
  if (problem_.empty() && !write_all(file_.get(), text)) fail(errno);
}

void LogFile::fail(int why) {
  problem_ = problem_of(path_, why);
}

}  // namespace penstock::tool
