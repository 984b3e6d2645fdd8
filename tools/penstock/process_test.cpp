// Runs with a shell in QEMU's place: what a board says, how it ends, and that nothing is left
// behind.
#include "tools/penstock/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "tools/penstock/run.hpp"
#include "tools/penstock/test_files.hpp"

namespace penstock::tool {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Run : public ::testing::Test {
 protected:
  RunRequest request(const std::string& script) {
    RunRequest r;
    r.command = {"/bin/sh", "-c", script};
    r.board = "a-board";
    r.domains = {"store", "net"};
    r.domain_facts = json::parse(R"([{"name":"store","devices":[]},{"name":"net","devices":[]}])");
    r.penstock_facts = json::object();
    r.out = folder_.path();
    r.quiet = true;
    return r;
  }
  static bool alive(pid_t pid) { return kill(pid, 0) == 0; }

  test::Folder folder_;
};

TEST_F(Run, OrderlyEnd) {
  const RunResult result = run_board(
      request("printf 'penstock| up\\r\\nstore| RESULT fine\\r\\npenstock| @ end {}\\r\\n'"));
  EXPECT_EQ(result.end, RunEnd::kOrderly);
  EXPECT_EQ(result.report["ok"], true);
  EXPECT_EQ(result.report["domains"][0]["results"][0], "fine");
  EXPECT_EQ(test::text_of(folder_.path() / "store.log"), "RESULT fine\n");
  EXPECT_EQ(test::text_of(folder_.path() / "console.log"),
            "penstock| up\r\nstore| RESULT fine\r\npenstock| @ end {}\r\n");
  EXPECT_EQ(json::parse(test::text_of(folder_.path() / "report.json")), result.report);
}

TEST_F(Run, EndWithoutTheHypervisorsWordIsAFailure) {
  const RunResult result = run_board(request("printf 'penstock| up\\r\\n'"));
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.report["ok"], false);
  EXPECT_THAT(result.why, HasSubstr("went off before"));
}

TEST_F(Run, AHypervisorThatGivesUpIsAFailure) {
  const RunResult result = run_board(request("printf 'penstock| @ end {\"ok\":false}\\r\\n'"));
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.why, "the hypervisor could not go on; its console says why");
  EXPECT_EQ(result.report["ok"], false);
}

TEST_F(Run, ADomainThatCrashedIsAFailureAndIsNamed) {
  const RunResult result =
      run_board(request("printf 'penstock| error: net: stopped: nothing there\r\n"
                        "penstock| @ domain {\"name\":\"store\",\"state\":\"off\"}\r\n"
                        "penstock| @ domain {\"name\":\"net\",\"state\":\"crashed\"}\r\n"
                        "penstock| @ end {}\r\n'"));
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.why, "domain net crashed; the hypervisor's console says why");
  EXPECT_EQ(result.report["ok"], false);
}

// on_crash = "restart": what counts is how it went on.
TEST_F(Run, ADomainThatCrashedAndWasRestartedEndsOrderly) {
  const RunResult result =
      run_board(request("printf 'penstock| @ domain {\"name\":\"net\",\"state\":\"crashed\"}\r\n"
                        "penstock| @ domain {\"name\":\"net\",\"state\":\"off\"}\r\n"
                        "penstock| @ end {}\r\n'"));
  EXPECT_EQ(result.end, RunEnd::kOrderly);
}

TEST_F(Run, FailureOfTheEmulatorIsShown) {
  const RunResult result = run_board(request("echo no such machine >&2; exit 1"));
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.why, "QEMU ended with status 1");
  EXPECT_EQ(result.report["qemu"], "no such machine\n");
}

TEST_F(Run, BytesThatAreNoTextDoNotSpoilTheReport) {
  const RunResult result =
      run_board(request("printf 'store| RESULT \\377\\376\\r\\npenstock| @ end {}\\r\\n'"));
  EXPECT_EQ(result.end, RunEnd::kOrderly);
  EXPECT_TRUE(json::parse(test::text_of(folder_.path() / "report.json"))["ok"]);
}

TEST_F(Run, EmulatorThatIsNotThere) {
  RunRequest r = request("");
  r.command = {"/nowhere/qemu"};
  const RunResult result = run_board(r);
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_THAT(result.why, HasSubstr("/nowhere/qemu cannot be started"));
}

TEST_F(Run, TimeoutEndsWhatWasStarted) {
  RunRequest r = request("printf \"store| $$\\r\\n\"; exec sleep 100");
  r.timeout = 1;
  const RunResult result = run_board(r);
  EXPECT_EQ(result.end, RunEnd::kTimeout);
  const pid_t pid = std::stoi(test::text_of(folder_.path() / "store.log"));
  EXPECT_FALSE(alive(pid));
}

TEST_F(Run, ASignalEndsWhatWasStarted) {
  // The child asks its parent, this test, to end, as Ctrl-C would.
  const RunResult result =
      run_board(request("printf \"store| $$\\r\\n\"; kill -INT $PPID; exec sleep 100"));
  EXPECT_EQ(result.end, RunEnd::kInterrupted);
  const pid_t pid = std::stoi(test::text_of(folder_.path() / "store.log"));
  EXPECT_FALSE(alive(pid));
}

TEST(Child, IsKilledWhenItDoesNotListen) {
  Child child({"/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"});
  ASSERT_EQ(child.error(), "");
  const pid_t pid = child.pid();
  // Whether the shell has set its trap already or not: it has to be gone.
  EXPECT_GE(child.end(std::chrono::milliseconds(100)), 256);
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(Child, IsGoneWithItsOwner) {
  pid_t pid = 0;
  {
    const Child child({"/bin/sleep", "100"});
    pid = child.pid();
    ASSERT_GT(pid, 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace penstock::tool
