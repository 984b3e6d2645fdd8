#include "tools/penstock/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/penstock/capability_names.hpp"
#include "tools/penstock/test_files.hpp"

namespace penstock::tool {
namespace {

// Covers: S2.28
TEST(Schema, DocumentationHasEveryKeyAndNoOther) {
  const std::string doc =
      test::text_of(std::filesystem::path(PENSTOCK_SOURCE_DIR) / "docs/configuration.md");
  const std::string rendered = "## Boot options\n\n" + render_boot_options() +
                               "\n## Configuration\n\n" + render_keys(config_keys()) +
                               "\n## Board description\n\n" + render_keys(board_keys());
  EXPECT_TRUE(doc.ends_with(rendered))
      << "put the output of `penstock keys` at the end of docs/configuration.md";
}

// Covers: S3.17
TEST(Schema, DocumentationNamesEveryCapability) {
  const std::string doc =
      test::text_of(std::filesystem::path(PENSTOCK_SOURCE_DIR) / "docs/configuration.md");
  for (const KnownCapability& known : known_capabilities()) {
    EXPECT_THAT(doc, ::testing::HasSubstr("`" + std::string(known.name) + "`"));
  }
}

// Covers: S2.13 S2.28
TEST(Schema, BootOptionsAreATable) {
  EXPECT_THAT(render_boot_options(),
              ::testing::HasSubstr("| `viommu=` | `on` (default) or `off` |"));
}

TEST(Schema, FindsTheNearestWord) {
  const std::vector<std::string> words = {"memory", "memory_base", "kernel"};
  EXPECT_EQ(nearest("memroy", words), "memory");
  EXPECT_EQ(nearest("memory-base", words), "memory_base");
  EXPECT_EQ(nearest("kernle", words), "kernel");
  EXPECT_EQ(nearest("xyz", words), "");
  EXPECT_EQ(nearest("", words), "");
}

TEST(Schema, RendersTables) {
  const std::string text = render_keys(config_keys());
  EXPECT_THAT(text, ::testing::HasSubstr("### Top of the file\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("### `[[domain.device]]`\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("### `[run]`\n"));
}

}  // namespace
}  // namespace penstock::tool
