// For tests of check(): a board, payloads, and what is said of a configuration.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/penstock/check.hpp"
#include "tools/penstock/test_files.hpp"

namespace penstock::tool::test {

class Check : public ::testing::Test {
 protected:
  Check() {
    folder_.write("test-board.toml", kBoard);
    folder_.write("Image", arm64_image(4096, 4096));
    folder_.write("initrd", "something");
    folder_.write("elf",
                  "\x7f"
                  "ELF and more, but nothing that an arm64 board boots");
  }

  /// Checks `text`; the complaints have the file's folder taken out.
  std::string complaints(const std::string& text) {
    const auto file = folder_.write("c.toml", text);
    CheckOptions options;
    options.board = board_;
    options.board_folders = {folder_.path()};
    Diagnostics out;
    plan_ = check(file.string(), options, out);
    EXPECT_NE(plan_.has_value(), out.has_errors());
    std::string said = to_text(out);
    const std::string prefix = folder_.path().string() + "/";
    for (std::size_t at = said.find(prefix); at != std::string::npos; at = said.find(prefix)) {
      said.erase(at, prefix.size());
    }
    return said;
  }

  Folder folder_;
  std::string board_;
  std::optional<Plan> plan_;
};

inline constexpr const char* kTop = "board = \"test-board\"\n";

inline std::string domain(const std::string& name, const std::string& cpus,
                          const std::string& more = "",
                          const std::string& memory = "memory = \"128M\"") {
  return "[[domain]]\nname = \"" + name + "\"\ncpus = " + cpus + "\n" + memory +
         "\nkernel = \"Image\"\n" + more;
}

}  // namespace penstock::tool::test
