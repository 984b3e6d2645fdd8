#include "tools/penstockctl/session_test.hpp"

namespace penstock::ctl {
namespace {

using namespace test;

/// Types what a test has prepared, one text at each look; then leaves.
class Typist final : public Keyboard {
 public:
  explicit Typist(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  std::optional<std::string> read(Channel::Time) override {
    if (next_ == keys_.size()) return {};
    return keys_[next_++];
  }

 private:
  std::vector<std::string> keys_;
  std::size_t next_ = 0;
};

struct ConsoleTest : SessionTest {
  Typist nobody{{}};
  void SetUp() override { hypervisor.consoles[0x101] = "boot\nlogin: "; }
};

TEST_F(ConsoleTest, ShowsAndTypesUntilTheLeavingKey) {
  Typist typist({"root\r", "",
                 "a\x1d"
                 "b"});
  console(session, {"store", false, "", ""}, typist);
  EXPECT_EQ(hypervisor.consoles[0x101], "boot\nlogin: root\ra");
  EXPECT_EQ(out.str(), "boot\nlogin: root");  // the echo of "a" came too late
}

TEST_F(ConsoleTest, GuestsControlCharactersAreShownUnlessTheSessionAsksForThem) {
  hypervisor.consoles[0x101] = "\x1b[2Jone\r\ntwo\rthree\x07";
  Typist typist({""});
  console(session, {"store", false, "", ""}, typist);
  EXPECT_EQ(out.str(), "^[[2Jone\r\ntwo^Mthree^G");
  out.str("");
  console(session, {"store", true, "", ""}, nobody);
  EXPECT_EQ(out.str(), "^[[2Jone\r\ntwo^Mthree^G");
  for (const bool dump : {false, true}) {
    out.str("");
    Typist again({""});
    console(session, {"store", dump, "", "", true}, again);
    EXPECT_EQ(out.str(), hypervisor.consoles[0x101]);
  }
}

TEST_F(ConsoleTest, DumpTakesAsManyRequestsAsItNeeds) {
  hypervisor.consoles[0x101] = std::string(4500, 'x') + "end";
  console(session, {"store", true, "", ""}, nobody);
  EXPECT_EQ(out.str(), hypervisor.consoles[0x101]);
  session.json = true;
  out.str("");
  console(session, {"store", true, "", ""}, nobody);
  EXPECT_EQ(printed()["end"], 4503);
}

TEST_F(ConsoleTest, DumpOfAStreamThatNeverEndsEnds) {
  std::uint64_t end = 1000;
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    if (opcode != Opcode::kConsoleRead) return hypervisor.handle(opcode, arguments);
    const auto where = FakeHypervisor::argument<control::ConsoleArgument>(arguments);
    Answer answer{Result::kOk, bytes_of(control::ConsoleResult{where.position, end += 1000})};
    answer.body.resize(answer.body.size() + 100, 'x');
    return answer;
  };
  console(session, {"store", true, "", ""}, nobody);
  EXPECT_EQ(out.str().size(), 2000U);
}

TEST_F(ConsoleTest, DumpOfAStreamWithoutTextEnds) {
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    if (opcode != Opcode::kConsoleRead) return hypervisor.handle(opcode, arguments);
    return Answer{Result::kOk, bytes_of(control::ConsoleResult{0, 1 << 30})};
  };
  console(session, {"store", true, "", ""}, nobody);
  EXPECT_EQ(out.str(), "");
}

TEST_F(ConsoleTest, UntilFindsATextCutBetweenTwoLooks) {
  hypervisor.meanwhile = [this](unsigned pauses) {
    if (pauses == 1) hypervisor.consoles[0x101] += "hello wo";
    if (pauses == 2) hypervisor.consoles[0x101] += "rld";
  };
  console(session, {"store", false, "", "hello world"}, nobody);
  EXPECT_NE(out.str().find("hello world"), std::string::npos);
}

TEST_F(ConsoleTest, SendWaitsForWhatComesAfter) {
  hypervisor.consoles[0x101] = "old answer\n";
  hypervisor.meanwhile = [this](unsigned pauses) {
    if (pauses == 3) hypervisor.consoles[0x101] += "new answer";
  };
  console(session, {"store", false, "question", "answer"}, nobody);
  EXPECT_EQ(out.str(), "question^Mnew answer");
}

TEST_F(ConsoleTest, UntilTimesOutAndNamesTheText) {
  const auto [exit, text] =
      failure_of([&] { console(session, {"store", false, "", "never"}, nobody); });
  EXPECT_EQ(exit, Exit::kTimedOut);
  EXPECT_EQ(text, "waited 2 s for \"never\" on the console of store (0x101)");
}

TEST_F(ConsoleTest, ADomainThatGoesAwayEndsTheSession) {
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    if (opcode == Opcode::kConsoleRead) return refusal(Result::kNotFound, "no such domain");
    return hypervisor.handle(opcode, arguments);
  };
  Typist typist({"a", "b"});
  console(session, {"store", false, "", ""}, typist);
  EXPECT_EQ(err.str(), "\r\npenstockctl: store (0x101) is gone\r\n");
  EXPECT_EQ(failure_of([&] { console(session, {"store", false, "", "x"}, nobody); }).first,
            Exit::kFailed);
}

TEST_F(ConsoleTest, LogShowsControlCharacters) {
  hypervisor.log_text = "one\n\x1b[2Jtwo\npart";
  log(session, false);
  EXPECT_EQ(out.str(), "one\n^[[2Jtwo\npart");
}

TEST_F(ConsoleTest, LogFollowsUntilInterrupted) {
  hypervisor.log_text = "one\n";
  hypervisor.meanwhile = [this](unsigned pauses) {
    if (pauses == 2) hypervisor.log_text += "two\n";
    hypervisor.interrupt = pauses == 4;
  };
  EXPECT_EQ(failure_of([&] { log(session, true); }).first, Exit::kInterrupted);
  EXPECT_EQ(out.str(), "one\ntwo\n");
}

}  // namespace
}  // namespace penstock::ctl
