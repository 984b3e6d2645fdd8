#include "tools/penstock/files.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "tools/penstock/test_files.hpp"

namespace penstock::tool {
namespace {

namespace fs = std::filesystem;

/// As on a disk that takes `bytes` more: larger files fail with EFBIG, which a full disk's ENOSPC
/// cannot be told from but by its text.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    handler_ = signal(SIGXFSZ, SIG_IGN);
  }
  ~SmallDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  rlimit before_{};
  sighandler_t handler_ = SIG_DFL;
};

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Files, WholeFileStandsUnderItsNameWithTheUsualRights) {
  const test::Folder folder;
  const fs::path path = folder.path() / "new" / "bundle.img";
  EXPECT_EQ(write_file(path, "content"), "");
  EXPECT_EQ(test::text_of(path), "content");
  const fs::path usual = folder.write("usual", std::string_view("x"));
  EXPECT_EQ(fs::status(path).permissions(), fs::status(usual).permissions());
  EXPECT_EQ(files_in(path.parent_path()), 1U);
}

TEST(Files, DiskThatIsFullIsToldAndLeavesNothingBehind) {
  const test::Folder folder;
  const fs::path path = folder.path() / "bundle.img";
  const SmallDisk disk(4096);
  const std::string problem = write_file(path, std::string(10'000, 'x'));
  EXPECT_EQ(problem, path.string() + ": File too large");
  EXPECT_EQ(files_in(folder.path()), 0U);
}

TEST(Files, DiskThatIsFullLeavesTheOldFileAsItWas) {
  const test::Folder folder;
  const fs::path path = folder.write("report.json", std::string_view("old"));
  const SmallDisk disk(4096);
  EXPECT_NE(write_file(path, std::string(10'000, 'x')), "");
  EXPECT_EQ(test::text_of(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(Files, DeviceIsWrittenToAndSaysWhenItIsFull) {
  EXPECT_EQ(write_file("/dev/null", "content"), "");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(write_file("/dev/full", "content"), "/dev/full: No space left on device");
}

TEST(Files, LinkStaysALink) {
  const test::Folder folder;
  const fs::path real = folder.write("real", std::string_view("old"));
  fs::create_symlink("real", folder.path() / "link");
  EXPECT_EQ(write_file(folder.path() / "link", "new"), "");
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link"));
  EXPECT_EQ(test::text_of(real), "new");
}

TEST(Files, FolderInItsPlaceIsToldAndStays) {
  const test::Folder folder;
  fs::create_directory(folder.path() / "taken");
  EXPECT_EQ(write_file(folder.path() / "taken", "x"),
            (folder.path() / "taken").string() + ": Is a directory");
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(Files, PlaceWhereNoFileCanBeIsTold) {
  const test::Folder folder;
  const fs::path file = folder.write("file", std::string_view("x"));
  EXPECT_EQ(write_file(file / "below", "x"), file.string() + ": Not a directory");
}

TEST(Files, LogKeepsTheFirstThingThatWentWrong) {
  LogFile log("/dev/full");
  EXPECT_EQ(log.problem(), "");
  log.write("x");
  log.write("y");
  EXPECT_EQ(log.problem(), "/dev/full: No space left on device");
  EXPECT_EQ(LogFile("/dev/null/x").problem(), "/dev/null/x: Not a directory");
}

}  // namespace
}  // namespace penstock::tool
