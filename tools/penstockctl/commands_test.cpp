#include "tools/penstockctl/commands.hpp"

#include "tools/penstockctl/session_test.hpp"

namespace penstock::ctl {
namespace {

using namespace test;
using control::DeviceState;
using control::DomainState;

struct CommandsTest : SessionTest {};

TEST_F(CommandsTest, ListForPeopleProgramsAndShells) {
  list(session, false);
  EXPECT_EQ(out.str(),
            "domain  name     state    CPUs  memory   devices  restarts  role\n"
            "0x100   control  running  0     256 MiB  0        0         -\n"
            "0x101   store    running  1     256 MiB  0        0         -\n");
  out.str("");
  list(session, true);
  EXPECT_EQ(out.str(), "control\nstore\n");
  out.str("");
  session.json = true;
  list(session, false);
  EXPECT_EQ(printed()["domains"][1]["name"], "store");
}

TEST_F(CommandsTest, DomainsByNameAndHandle) {
  EXPECT_EQ(find_domain(client, "store").domain, 0x101U);
  EXPECT_EQ(find_domain(client, "257").domain, 0x101U);
  EXPECT_EQ(find_domain(client, "0x101").domain, 0x101U);
  EXPECT_EQ(failure_of([&] { (void)find_domain(client, "stor"); }),
            std::pair(Exit::kFailed, std::string("there is no domain stor; did you mean store?")));
  EXPECT_EQ(failure_of([&] { (void)find_domain(client, "0x777"); }).second,
            "there is no domain 0x777; there is control, store");
}

TEST_F(CommandsTest, DevicesByAddress) {
  EXPECT_EQ(find_device(client, "0000:01:00.0").bdf, 0x0100);
  EXPECT_EQ(find_device(client, "02:00.0").bdf, 0x0200);
  EXPECT_EQ(failure_of([&] { (void)find_device(client, "7"); }).first, Exit::kUsage);
  EXPECT_EQ(failure_of([&] { (void)find_device(client, "05:00.0"); }).first, Exit::kFailed);
}

TEST_F(CommandsTest, InfoHasCountersAndDevices) {
  hypervisor.device(0x0100)->domain = 0x101;
  session.json = true;
  info(session, "store");
  EXPECT_EQ(printed()["counters"]["mmio"], 42);
  EXPECT_EQ(printed()["devices"].size(), 1U);
  session.json = false;
  out.str("");
  info(session, "store");
  EXPECT_NE(out.str().find("mmio: 42"), std::string::npos);
  EXPECT_NE(out.str().find("0000:01:00.0"), std::string::npos);
}

TEST_F(CommandsTest, PauseSaysTheNewState) {
  change_domain(session, Opcode::kPause, "store", true);
  EXPECT_EQ(out.str(), "store (0x101): paused\n");
}

TEST_F(CommandsTest, DestroyWaitsUntilTheDomainIsGone) {
  hypervisor.meanwhile = [this](unsigned pauses) {
    if (pauses == 5) hypervisor.domains.pop_back();
  };
  destroy(session, "store", true);
  EXPECT_EQ(out.str(), "store (0x101): gone\n");
}

TEST_F(CommandsTest, DestroyOfADyingDomainOnlyWaits) {
  hypervisor.domain(0x101)->state = DomainState::kDying;
  hypervisor.meanwhile = [this](unsigned pauses) {
    if (pauses == 2) hypervisor.domains.pop_back();
  };
  destroy(session, "store", true);
  for (const auto& [opcode, arguments] : hypervisor.requests) EXPECT_NE(opcode, Opcode::kDestroy);
}

TEST_F(CommandsTest, DestroyGivesUpWaitingAndSaysWhatFor) {
  const auto [exit, text] = failure_of([&] { destroy(session, "store", true); });
  EXPECT_EQ(exit, Exit::kTimedOut);
  EXPECT_EQ(text,
            "waited 2 s for store (0x101) to be gone: its memory is cleared and its devices are "
            "reset");
  destroy(session, "store", false);
  EXPECT_EQ(out.str(), "store (0x101): dying\n");
}

TEST_F(CommandsTest, AnotherDomainInTheSameSlotIsNotTheOneThatWasDestroyed) {
  hypervisor.meanwhile = [this](unsigned) {
    hypervisor.domains.back() = domain_record(0x201, "store", DomainState::kRunning);
  };
  destroy(session, "store", true);
  EXPECT_EQ(out.str(), "store (0x101): gone\n");
}

TEST_F(CommandsTest, ShutdownWaitsForOff) {
  hypervisor.meanwhile = [this](unsigned pauses) {
    if (pauses == 3) hypervisor.domain(0x101)->state = DomainState::kOff;
  };
  change_domain(session, Opcode::kShutdown, "store", true);
  EXPECT_EQ(out.str(), "store (0x101): off\n");
}

TEST_F(CommandsTest, AnInterruptedWaitEnds) {
  hypervisor.meanwhile = [this](unsigned) { hypervisor.interrupt = true; };
  EXPECT_EQ(failure_of([&] { destroy(session, "store", true); }).first, Exit::kInterrupted);
}

TEST_F(CommandsTest, AttachToAFreeSlot) {
  session.json = true;
  attach(session, {"01:00.0", "store", "", {"no-reset", "insecure"}});
  EXPECT_EQ(printed()["guest"], "01:00.0");
  const auto& [opcode, arguments] = hypervisor.requests.back();
  EXPECT_EQ(opcode, Opcode::kAttach);
  const auto argument = FakeHypervisor::argument<control::DeviceArgument>(arguments);
  EXPECT_EQ(argument.domain, 0x101U);
  EXPECT_EQ(argument.guest, control::kNoBdf);
  EXPECT_EQ(argument.flags,
            control::device_argument::kAcceptNoReset | control::device_argument::kAcceptInsecure);
  EXPECT_EQ(argument.reserved, 0U);
}

TEST_F(CommandsTest, AttachOfSomebodyElsesDevice) {
  attach(session, {"01:00.0", "store", "03:00.0", {}});
  EXPECT_EQ(out.str(), "0000:01:00.0: store (0x101)'s, as 03:00.0\n");
  const auto [exit, text] = failure_of([&] { attach(session, {"01:00.0", "control", "", {}}); });
  EXPECT_EQ(exit, Exit::kFailed);
  EXPECT_EQ(text, "0000:01:00.0 is domain store's");
}

TEST_F(CommandsTest, WrongWordsAreUsage) {
  EXPECT_EQ(failure_of([&] { attach(session, {"01:00.0", "store", "x", {}}); }).first,
            Exit::kUsage);
  EXPECT_EQ(failure_of([&] { attach(session, {"01:00.0", "store", "", {"all"}}); }).first,
            Exit::kUsage);
}

TEST_F(CommandsTest, DetachWaitsForTheGuest) {
  attach(session, {"01:00.0", "store", "", {}});
  out.str("");
  hypervisor.meanwhile = [this](unsigned pauses) {
    if (pauses == 3) *hypervisor.device(0x0100) = device_record(0x0100);
  };
  detach(session, "01:00.0", Removal::kDeadline, true);
  EXPECT_EQ(out.str(), "0000:01:00.0: free\n");
}

TEST_F(CommandsTest, DetachOfADeviceWhoseResetFailsIsAFailure) {
  attach(session, {"01:00.0", "store", "", {}});
  hypervisor.meanwhile = [this](unsigned) {
    *hypervisor.device(0x0100) = device_record(0x0100);
    hypervisor.device(0x0100)->state = DeviceState::kBroken;
  };
  const auto [exit, text] =
      failure_of([&] { detach(session, "01:00.0", Removal::kDeadline, true); });
  EXPECT_EQ(exit, Exit::kFailed);
  EXPECT_EQ(text, "0000:01:00.0 did not come back from its reset: it stays quarantined");
}

TEST_F(CommandsTest, AGuestThatKeepsItsDeviceIsNamed) {
  attach(session, {"01:00.0", "store", "", {}});
  const auto [exit, text] =
      failure_of([&] { detach(session, "01:00.0", Removal::kAskOnly, true); });
  EXPECT_EQ(exit, Exit::kTimedOut);
  EXPECT_EQ(text, "0000:01:00.0's guest has not let go of it");
  EXPECT_EQ(hypervisor.device(0x0100)->state, DeviceState::kDetaching);
}

// Covers: S3.19 H43
TEST_F(CommandsTest, AGuestThatDoesNotLetGoInTimeLosesTheDeviceBySurprise) {
  attach(session, {"01:00.0", "store", "", {}});
  out.str("");
  detach(session, "01:00.0", Removal::kDeadline, true);
  EXPECT_EQ(out.str(), "0000:01:00.0: free\n");
  EXPECT_EQ(err.str(), "0000:01:00.0's guest has not let go of it: it is taken by surprise\n");
}

TEST_F(CommandsTest, AGuestThatLetsGoAtTheLastMomentHasLetGo) {
  attach(session, {"01:00.0", "store", "", {}});
  out.str("");
  hypervisor.before_force = [this] { *hypervisor.device(0x0100) = device_record(0x0100); };
  detach(session, "01:00.0", Removal::kDeadline, true);
  EXPECT_EQ(out.str(), "0000:01:00.0: free\n");
}

TEST_F(CommandsTest, DetachByForceAsksNobody) {
  attach(session, {"01:00.0", "store", "", {}});
  hypervisor.requests.clear();
  detach(session, "01:00.0", Removal::kSurprise, true);
  EXPECT_EQ(hypervisor.device(0x0100)->state, DeviceState::kFree);
  EXPECT_EQ(err.str(), "");
  unsigned asked = 0;
  for (const auto& [opcode, arguments] : hypervisor.requests) {
    if (opcode != Opcode::kDetach) continue;
    ++asked;
    EXPECT_EQ(FakeHypervisor::argument<control::DeviceArgument>(arguments).flags,
              control::device_argument::kForce);
  }
  EXPECT_EQ(asked, 1U);
}

// Covers: S3.18
TEST_F(CommandsTest, AResetNamesItsMethod) {
  const auto asked = [this] {
    const auto& [opcode, arguments] = hypervisor.requests.end()[-2];
    EXPECT_EQ(opcode, Opcode::kReset);
    return FakeHypervisor::argument<control::DeviceArgument>(arguments).flags;
  };
  reset(session, "02:00.0", "");
  EXPECT_EQ(asked(), 0U);
  unsigned method = 0;
  for (const std::string word : {"flr", "af-flr", "pm", "bus", "specific"}) {
    reset(session, "02:00.0", word);
    EXPECT_EQ(asked(), ++method << 8) << word;
  }
  const auto [exit, text] = failure_of([&] { reset(session, "02:00.0", "warm"); });
  EXPECT_EQ(exit, Exit::kUsage);
  EXPECT_EQ(text, "--method: there is no \"warm\"; write flr, af-flr, pm, bus or specific");
}

TEST_F(CommandsTest, HideAndUnhide) {
  change_device(session, Opcode::kHide, "02:00.0");
  change_device(session, Opcode::kUnhide, "02:00.0");
  EXPECT_EQ(out.str(), "0000:02:00.0: hidden\n0000:02:00.0: free\n");
}

// Covers: S3.10
TEST_F(CommandsTest, HideTakesADeviceFromTheHardwareDomainAndFromNobodyElse) {
  attach(session, {"01:00.0", "store", "", {}});
  hypervisor.domain(0x101)->flags = control::domain_flag::kHardware;
  hypervisor.requests.clear();
  hide(session, "01:00.0");
  EXPECT_EQ(hypervisor.device(0x0100)->state, DeviceState::kHidden);
  EXPECT_EQ(hypervisor.device(0x0100)->domain, control::kNoDomain);
  unsigned detached = 0;
  for (const auto& [opcode, arguments] : hypervisor.requests) {
    detached += opcode == Opcode::kDetach ? 1 : 0;
  }
  EXPECT_EQ(detached, 2U) << "asked, and taken when its time was over";
  change_device(session, Opcode::kUnhide, "01:00.0");
  // On bus 0 its guest cannot be asked.
  attach(session, {"01:00.0", "store", "00:05.0", {}});
  hide(session, "01:00.0");
  EXPECT_EQ(hypervisor.device(0x0100)->state, DeviceState::kHidden);
  change_device(session, Opcode::kUnhide, "01:00.0");
  attach(session, {"01:00.0", "store", "", {}});
  hypervisor.domain(0x101)->flags = 0;
  EXPECT_EQ(failure_of([&] { hide(session, "01:00.0"); }).first, Exit::kFailed);
  EXPECT_EQ(hypervisor.device(0x0100)->state, DeviceState::kAssigned);
}

TEST_F(CommandsTest, AuditIsAVerdict) {
  EXPECT_EQ(audit(session), Exit::kDone);
  hypervisor.instead = [](Opcode, const Bytes&) {
    return refusal(Result::kOk, R"({"ok":false,"streams":3})");
  };
  EXPECT_EQ(audit(session), Exit::kFailed);
  hypervisor.instead = [](Opcode, const Bytes&) { return refusal(Result::kOk, "[true]"); };
  EXPECT_EQ(audit(session), Exit::kFailed);
  hypervisor.instead = [](Opcode, const Bytes&) { return refusal(Result::kOk, "ok"); };
  EXPECT_EQ(failure_of([&] { (void)audit(session); }).first, Exit::kFailed);
}

TEST_F(CommandsTest, ReportOfOneDevice) {
  session.json = true;
  report(session, "02:00.0");
  ASSERT_EQ(printed()["devices"].size(), 1U);
  EXPECT_EQ(printed()["devices"][0]["device"], "0000:02:00.0");
}

TEST_F(CommandsTest, TopShowsRates) {
  hypervisor.meanwhile = [this](unsigned) {
    hypervisor.domain(0x101)->exits += 500;
    hypervisor.domains.push_back(domain_record(0x102, "fresh", DomainState::kRunning));
    hypervisor.domains.back().exits = 30;
  };
  session.json = true;
  top(session, {0.5, 1, false});
  EXPECT_EQ(printed()["domains"][1]["per_second"]["traps"], 1000.0);
  EXPECT_EQ(printed()["domains"][2]["per_second"]["traps"], 60.0);
  session.json = false;
  top(session, {0.5, 1, false});
  EXPECT_NE(out.str().find("traps/s"), std::string::npos);
}

TEST_F(CommandsTest, CountersThatStartAnewAreNoHugeRate) {
  hypervisor.domain(0x101)->exits = 1'000'000;
  hypervisor.meanwhile = [this](unsigned) { hypervisor.domain(0x101)->exits = 10; };
  session.json = true;
  top(session, {1, 1, false});
  EXPECT_EQ(printed()["domains"][1]["per_second"]["traps"], 10.0);
}

}  // namespace
}  // namespace penstock::ctl
