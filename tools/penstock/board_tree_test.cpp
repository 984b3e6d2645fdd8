#include "tools/penstock/board_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/manifest/test_board_tree.hpp"

namespace penstock::tool {
namespace {

using manifest::test::make_tree;
using manifest::test::Parts;
using testing::HasSubstr;

// Covers: H70
TEST(BoardTree, BoardThatHasEverythingIsExplainedWithoutReasons) {
  const BoardReport report = explain_board(make_tree({}));
  const auto json = to_json(report);
  EXPECT_EQ(json["boots"], true);
  EXPECT_EQ(json["console"], "/pl011@9000000");
  EXPECT_EQ(json["assigns"], true);
  EXPECT_EQ(json["isolation"], "iommu");
  EXPECT_EQ(json["cpus"], 2);
  EXPECT_TRUE(json["reasons"].empty()) << json;
}

// Covers: H62 H70
TEST(BoardTree, WhatIsMissingIsSaidWithItsNode) {
  Parts parts;
  parts.iommu_map[1] = 77;
  const auto json = to_json(explain_board(make_tree(parts)));
  EXPECT_EQ(json["boots"], true);
  EXPECT_EQ(json["assigns"], false);
  EXPECT_EQ(json["isolation"], "none");
  ASSERT_FALSE(json["reasons"].empty());
  EXPECT_EQ(json["reasons"][0]["node"], "/pcie@10000000");
  EXPECT_THAT(json["reasons"][0]["what"].get<std::string>(), HasSubstr("not in the tree"));
  parts = {};
  parts.gic = false;
  const BoardReport report = explain_board(make_tree(parts));
  EXPECT_FALSE(report.boots || report.assigns);
  EXPECT_THAT(to_text(report), HasSubstr("no-boot"));
}

TEST(BoardTree, DamagedTreeIsARefusalWithAReason) {
  Bytes tree = make_tree({});
  EXPECT_TRUE(looks_like_tree(tree));
  tree.resize(tree.size() / 2);
  const BoardReport report = explain_board(tree);
  EXPECT_FALSE(report.readable || report.boots);
  EXPECT_EQ(report.reasons.size(), 1U);
  EXPECT_FALSE(looks_like_tree(Bytes{1, 2, 3, 4}));
}

TEST(BoardTree, FileThatCannotBeReadHasAnAnswerLikeTheOthers) {
  const auto json = to_json(unreadable_board());
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["boots"], false);
  EXPECT_EQ(json["isolation"], "none");
  ASSERT_EQ(json["reasons"].size(), 1U);
  EXPECT_EQ(json["reasons"][0]["weight"], "no-boot");
  EXPECT_THAT(json["reasons"][0]["what"].get<std::string>(), HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace penstock::tool
