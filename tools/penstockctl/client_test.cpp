#include "tools/penstockctl/client.hpp"

#include <gtest/gtest.h>

#include "tools/penstockctl/fake_hypervisor.hpp"

namespace penstock::ctl {
namespace {

using namespace test;
using std::chrono::milliseconds;

/// The failure of `action`; a test fails without one.
template <typename Action>
Failure failure_of(const Action& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure;
  }
  ADD_FAILURE() << "nothing failed";
  return {Exit::kDone, ""};
}

struct ClientTest : testing::Test {
  FakeHypervisor hypervisor;
  Client client{hypervisor, milliseconds(500)};

  void answer_with(Answer answer) {
    hypervisor.instead = [answer = std::move(answer)](Opcode, const Bytes&) { return answer; };
  }
};

TEST_F(ClientTest, AsksAndIsAnswered) {
  EXPECT_EQ(client.hello().cpus, 4U);
  ASSERT_EQ(client.domains().size(), 2U);
  EXPECT_STREQ(client.domains()[1].name, "store");
  EXPECT_EQ(client.devices()[1].bdf, 0x0200);
  EXPECT_EQ(client.counters(0x101)[0].value, 42U);
  EXPECT_FALSE(hypervisor.locked);
  EXPECT_EQ(hypervisor.unlocks, hypervisor.requests.size());
}

TEST_F(ClientTest, AnotherVersionIsNotSpokenTo) {
  hypervisor.version = 0x0002'0003;
  const Failure failure = failure_of([&] { Client(hypervisor, milliseconds(1)); });
  EXPECT_EQ(failure.exit(), Exit::kNoInterface);
  EXPECT_NE(std::string(failure.what()).find("version 2.3, this penstockctl speaks 1.1"),
            std::string::npos);
  hypervisor.version = control::kVersionValue + 7;  // a newer minor version only knows more
  EXPECT_NO_THROW(Client(hypervisor, milliseconds(1)));
}

TEST_F(ClientTest, AnotherFunctionIsNotSpokenTo) {
  hypervisor.magic = 0xffff'ffff;
  EXPECT_EQ(failure_of([&] { Client(hypervisor, milliseconds(1)); }).exit(), Exit::kNoInterface);
}

TEST_F(ClientTest, RefusalSaysWhyAndShowsControlCharacters) {
  answer_with(refusal(Result::kRefused, "store: \x1b[31mno\n"));
  const Failure failure = failure_of([&] { client.change_domain(Opcode::kStart, 0x101); });
  EXPECT_EQ(failure.exit(), Exit::kFailed);
  EXPECT_EQ(failure.result(), Result::kRefused);
  EXPECT_STREQ(failure.what(), "store: ^[[31mno^J");
}

TEST_F(ClientTest, RefusalWithoutWordsAndUnknownResultsAreNamed) {
  answer_with(refusal(Result::kNoMemory, ""));
  EXPECT_STREQ(failure_of([&] { client.change_domain(Opcode::kStart, 1); }).what(),
               "the hypervisor answers no-memory to \"start\"");
  answer_with({Result{77}, {}});
  EXPECT_STREQ(failure_of([&] { client.change_domain(Opcode::kStart, 1); }).what(),
               "the hypervisor answers error-77 to \"start\"");
}

TEST_F(ClientTest, TruncatedAnswers) {
  const std::vector<std::function<void()>> requests = {[&] { (void)client.hello(); },
                                                       [&] { (void)client.create(1); },
                                                       [&] { (void)client.console_read(1, 0); },
                                                       [&] { (void)client.bundle_begin(1); },
                                                       [&] { (void)client.attach({}); },
                                                       [&] { (void)client.devices(); }};
  for (const auto& request : requests) {
    for (const std::size_t bytes : {0U, 3U}) {
      answer_with({Result::kOk, Bytes(bytes)});
      const Failure failure = failure_of(request);
      EXPECT_EQ(failure.exit(), Exit::kFailed);
      EXPECT_NE(std::string(failure.what()).find("is cut off"), std::string::npos);
    }
  }
}

TEST_F(ClientTest, ListsThatContradictThemselves) {
  using control::ListResult;
  for (const ListResult list : {ListResult{2, sizeof(control::DomainRecord)}, ListResult{1, 8},
                                ListResult{0xffff'ffff, 0xffff'ffff}, ListResult{1, 0},
                                ListResult{0x8000'0000, sizeof(control::DomainRecord)}}) {
    Bytes body = bytes_of(list);
    body.resize(body.size() + sizeof(control::DomainRecord));
    answer_with({Result::kOk, body});
    EXPECT_EQ(failure_of([&] { (void)client.domains(); }).exit(), Exit::kFailed);
  }
}

TEST_F(ClientTest, LongerRecordsOfANewerVersionAreRead) {
  constexpr std::uint32_t kLonger = sizeof(control::DomainRecord) + 16;
  Bytes body = bytes_of(control::ListResult{2, kLonger});
  for (const auto& domain : hypervisor.domains) {
    Bytes one = bytes_of(domain);
    one.resize(kLonger, 0xee);
    body.insert(body.end(), one.begin(), one.end());
  }
  answer_with({Result::kOk, body});
  EXPECT_STREQ(client.domains().at(1).name, "store");
}

TEST_F(ClientTest, MoreDomainsThanFitAnAnswer) {
  control::CreateResult result{};
  result.count = 9;
  answer_with({Result::kOk, bytes_of(result)});
  EXPECT_EQ(failure_of([&] { (void)client.create(1); }).exit(), Exit::kFailed);
}

TEST_F(ClientTest, ImpossibleLengths) {
  for (const std::uint32_t bytes : {0U, 15U, 0x1'0001U, 0xffff'ffffU}) {
    hypervisor.lie = [bytes](control::ResponseHeader& header) { header.bytes = bytes; };
    EXPECT_EQ(failure_of([&] { (void)client.hello(); }).exit(), Exit::kFailed);
    EXPECT_FALSE(hypervisor.locked);
  }
}

TEST_F(ClientTest, AnAnswerToSomebodyElseIsAskedForAgain) {
  hypervisor.strangers = 3;
  EXPECT_EQ(client.hello().cpus, 4U);
  EXPECT_EQ(hypervisor.requests.size(), 4U);
  hypervisor.strangers = 1000;
  EXPECT_EQ(failure_of([&] { (void)client.hello(); }).exit(), Exit::kFailed);
}

TEST_F(ClientTest, AHeaderOfAnotherSequenceIsSomebodyElses) {
  hypervisor.lie = [](control::ResponseHeader& header) { header.sequence += 1; };
  const Failure failure = failure_of([&] { (void)client.hello(); });
  EXPECT_NE(std::string(failure.what()).find("somebody else"), std::string::npos);
}

TEST_F(ClientTest, SilenceHasAnEnd) {
  hypervisor.deaf = true;
  const Failure failure = failure_of([&] { client.change_domain(Opcode::kPause, 0x101); });
  EXPECT_EQ(failure.exit(), Exit::kTimedOut);
  EXPECT_STREQ(failure.what(), "waited 0.5 s for the hypervisor to answer \"pause\"");
  EXPECT_FALSE(hypervisor.locked);
}

TEST_F(ClientTest, AnotherProgramsTurnHasAnEnd) {
  hypervisor.locked = true;
  const Failure failure = failure_of([&] { (void)client.audit(); });
  EXPECT_EQ(failure.exit(), Exit::kTimedOut);
  EXPECT_STREQ(failure.what(),
               "waited 0.5 s for another program to let go of the control interface, to audit");
  EXPECT_TRUE(hypervisor.locked);  // still the other one's
}

TEST_F(ClientTest, BusyIsTriedAgain) {
  unsigned asked = 0;
  hypervisor.instead = [&](Opcode, const Bytes&) {
    return ++asked < 4 ? refusal(Result::kBusy, "store is restarting") : Answer{};
  };
  client.change_domain(Opcode::kPause, 0x101);
  EXPECT_EQ(asked, 4U);
  answer_with(refusal(Result::kBusy, "store is restarting"));
  const Failure failure = failure_of([&] { client.change_domain(Opcode::kPause, 0x101); });
  EXPECT_EQ(failure.exit(), Exit::kTimedOut);
  EXPECT_STREQ(failure.what(), "waited 0.5 s to pause: store is restarting");
}

TEST_F(ClientTest, ConsoleTextOfAnyLengthIsWrittenInPieces) {
  const std::string text(700, 'x');
  client.console_write(0x101, text);
  EXPECT_EQ(hypervisor.consoles[0x101], text);
  EXPECT_EQ(hypervisor.requests.size(), 3U);
}

TEST_F(ClientTest, AStreamNeverEndsBeforeItsText) {
  Answer lying{Result::kOk, bytes_of(control::ConsoleResult{100, 3})};
  lying.body.resize(lying.body.size() + 10, 'a');
  answer_with(lying);
  EXPECT_EQ(client.console_read(1, 0).end, 110U);
}

}  // namespace
}  // namespace penstock::ctl
