#include "tools/penstock/report.hpp"

#include <gtest/gtest.h>

namespace penstock::tool {
namespace {

using nlohmann::json;

RunReport make() {
  return {"a-board",
          json::parse(R"([{"name":"store","devices":[{"bdf":"0000:01:00.0","driver":"nvme"}]},
                          {"name":"net","devices":[]}])"),
          {{"image", 5}}};
}

TEST(Report, CollectsEvents) {
  RunReport report = make();
  report.line("penstock", "@ memory {\"image\":123,\"used\":456}");
  report.line("penstock", "@ exits {\"domain\":\"store\",\"wfi\":1,\"mmio\":2}");
  report.line("penstock",
              "@ blocked {\"device\":\"0000:00:03.0\",\"domain\":\"net\",\"target\":\"0x1\","
              "\"evidence\":\"F_TRANSLATION\"}");
  report.line("penstock",
              "@ device {\"domain\":\"store\",\"bdf\":\"0000:01:00.0\",\"interrupts\":7}");
  report.line("penstock",
              "@ device {\"domain\":\"net\",\"bdf\":\"0000:02:00.0\",\"interrupts\":1}");
  report.line("penstock", "@ domain {\"name\":\"store\",\"state\":\"off\"}");
  report.line("penstock", "@ statement {\"device\":\"0000:01:00.0\",\"support\":\"untested\"}");
  EXPECT_FALSE(report.ended());
  report.line("penstock", "@ end {}");
  EXPECT_TRUE(report.ended());
  const json j = report.finish(true, "every domain is off", 1.5);
  EXPECT_EQ(j["board"], "a-board");
  EXPECT_EQ(j["ok"], true);
  EXPECT_EQ(j["penstock"]["image"], 123);
  EXPECT_EQ(j["penstock"]["used"], 456);
  EXPECT_EQ(j["exits"]["store"], json::parse(R"({"wfi":1,"mmio":2})"));
  EXPECT_EQ(j["blocked"][0]["evidence"], "F_TRANSLATION");
  EXPECT_EQ(j["domains"][0]["devices"][0]["interrupts"], 7);
  EXPECT_EQ(j["domains"][0]["devices"][0]["driver"], "nvme");
  EXPECT_EQ(j["domains"][0]["state"], "off");
  EXPECT_EQ(j["domains"][1]["state"], "unknown");
  EXPECT_EQ(j["domains"][1]["devices"][0]["bdf"], "0000:02:00.0");
  EXPECT_EQ(j["statements"][0]["support"], "untested");
  EXPECT_EQ(j["events"].size(), 8U);
  EXPECT_EQ(j["seconds"], 1.5);
}

TEST(Report, NamesADomainThatWasNotRunAndWhy) {
  RunReport report = make();
  EXPECT_FALSE(report.not_run());
  report.line("store", "@ domain {\"name\":\"net\",\"state\":\"left-out\",\"reason\":\"forged\"}");
  EXPECT_FALSE(report.not_run());
  report.line(
      "penstock",
      "@ domain {\"name\":\"net\",\"state\":\"left-out\",\"reason\":\"cpu 7 does not exist\"}");
  EXPECT_EQ(report.not_run(), "domain net is left out: cpu 7 does not exist");
  report.line("penstock",
              "@ domain {\"name\":\"store\",\"state\":\"not-started\",\"reason\":\"no memory\"}");
  EXPECT_EQ(report.not_run(), "domain store could not be started: no memory");
}

TEST(Report, CollectsAuditsAndTheFirstThingFound) {
  RunReport report = make();
  report.line("penstock",
              "@ audit {\"ok\":true,\"streams\":2,\"mappings\":9,\"lpis\":3,\"violations\":[]}");
  EXPECT_FALSE(report.violation());
  report.line("penstock", "@ audit {\"ok\":false,\"violations\":[\"red: a\",\"red: b\"]}");
  report.line("penstock", "@ audit {\"ok\":false,\"violations\":[\"blue: c\"]}");
  EXPECT_EQ(report.violation(), "red: a");
  const json j = report.finish(true, "", 0);
  EXPECT_EQ(j["audits"].size(), 3U);
  EXPECT_EQ(j["audits"][0]["mappings"], 9);
}

TEST(Report, AnAuditThatCannotBeReadIsNotGood) {
  for (const char* line : {"@ audit {}", "@ audit {\"ok\":1}",
                           "@ audit {\"ok\":", "@ audit {\"ok\":false,\"violations\":[7]}"}) {
    RunReport report = make();
    report.line("penstock", line);
    EXPECT_TRUE(report.violation()) << line;
  }
}

TEST(Report, CollectsResultsOfGuests) {
  RunReport report = make();
  report.line("store", "RESULT sha256 ok");
  report.line("store", "something else");
  report.line("net", "not a RESULT line");
  const json j = report.finish(false, "", 0);
  EXPECT_EQ(j["domains"][0]["results"], json::array({"sha256 ok"}));
  EXPECT_TRUE(j["domains"][1]["results"].empty());
}

TEST(Report, BelievesOnlyTheHypervisorAboutEvents) {
  RunReport report = make();
  report.line("store", "@ end {}");
  report.line("board", "@ end {}");
  EXPECT_FALSE(report.ended());
}

TEST(Report, SurvivesUnreadableEvents) {
  RunReport report = make();
  report.line("penstock", "@ exits {\"domain\":");
  report.line("penstock", "@ blocked 5");
  report.line("penstock", "@ device {}");
  report.line("penstock", "@ domain {\"name\":7}");
  report.line("penstock", "@ ");
  report.line("penstock", "@ exits \xff\xfe");
  const json j = report.finish(false, "", 0);
  EXPECT_EQ(j["events"].size(), 6U);
  EXPECT_FALSE(j.dump(2, ' ', false, json::error_handler_t::replace).empty());
}

TEST(Report, KeepsWarnings) {
  RunReport report = make();
  report.line("penstock", "warning: device 0000:00:03.0 has no reset");
  EXPECT_EQ(report.finish(false, "", 0)["messages"].size(), 1U);
}

}  // namespace
}  // namespace penstock::tool
