#include "tools/penstock/config.hpp"

#include <gtest/gtest.h>

#include "tools/penstock/test_files.hpp"

namespace penstock::tool {
namespace {

TEST(Config, RemembersWhereThingsStand) {
  const test::Folder folder;
  const auto file = folder.write("c.toml",
                                 "board = \"b\"\n\n[[domain]]\nname = \"a\"\ncpus = [3]\n"
                                 "memory = \"64M\"\nkernel = \"k\"\non_crash = \"restart\"\n"
                                 "autostart = false\n");
  Diagnostics out;
  const auto config = read_config(file.string(), out);
  ASSERT_TRUE(config);
  EXPECT_EQ(to_text(out), "");
  EXPECT_EQ(config->folder, folder.path());
  ASSERT_EQ(config->domains.size(), 1U);
  const DomainSpec& domain = config->domains[0];
  EXPECT_EQ(domain.at.line, 3U);
  EXPECT_EQ(domain.name->at.line, 4U);
  EXPECT_EQ(domain.cpus[0].at.column, 9U);
  EXPECT_EQ(domain.memory->value, 64ULL << 20);
  EXPECT_EQ(domain.on_crash, "restart");
  EXPECT_EQ(domain.on_reboot, "restart");
  EXPECT_FALSE(domain.autostart);
}

TEST(Config, ChoicesAreClosed) {
  const test::Folder folder;
  const auto file = folder.write("c.toml",
                                 "board = \"b\"\n[[domain]]\nname = \"a\"\ncpus = [3]\n"
                                 "memory = 67108864\nkernel = \"k\"\non_crash = \"restrat\"\n");
  Diagnostics out;
  (void)read_config(file.string(), out);
  ASSERT_EQ(out.all().size(), 1U);
  EXPECT_EQ(out.all()[0].message, "\"on_crash\" cannot be \"restrat\"");
  EXPECT_EQ(out.all()[0].hint, "did you mean \"restart\"? possible: \"restart\", \"stop\"");
}

TEST(Board, TheRepositorysBoardsAreValid) {
  const std::filesystem::path folder = std::filesystem::path(PENSTOCK_SOURCE_DIR) / "boards";
  const auto names = known_boards({folder});
  EXPECT_GE(names.size(), 2U);
  for (const std::string& name : names) {
    Diagnostics out;
    const auto board = read_board(*find_board(name, {}, {folder}), out);
    ASSERT_TRUE(board) << name;
    EXPECT_EQ(to_text(out), "");
    EXPECT_EQ(board->name, name);
    EXPECT_FALSE(board->qemu_machine.empty());
  }
}

TEST(Board, IsFoundByPathOrName) {
  const test::Folder folder;
  folder.write("mine.toml", test::kBoard);
  EXPECT_TRUE(find_board("mine", {}, {folder.path()}));
  EXPECT_TRUE(find_board("mine.toml", folder.path(), {}));
  EXPECT_TRUE(find_board("./mine.toml", folder.path(), {}));
  EXPECT_FALSE(find_board("mine", folder.path(), {}));
  EXPECT_FALSE(find_board("other", {}, {folder.path()}));
}

TEST(Examples, HaveNoMistakesOfForm) {
  const std::filesystem::path folder = std::filesystem::path(PENSTOCK_SOURCE_DIR) / "examples";
  unsigned count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".toml") continue;
    Diagnostics out;
    EXPECT_TRUE(read_config(entry.path().string(), out));
    EXPECT_EQ(to_text(out), "");
    ++count;
  }
  EXPECT_GE(count, 2U);
}

}  // namespace
}  // namespace penstock::tool
