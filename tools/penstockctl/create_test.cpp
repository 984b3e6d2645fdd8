#include "core/manifest/manifest.hpp"
#include "core/pci/risk.hpp"
#include "tools/penstock/test_files.hpp"
#include "tools/penstockctl/session_test.hpp"

namespace penstock::ctl {
namespace {

using namespace test;

constexpr const char* kConfig = R"(board = "here"
[[domain]]
name = "fresh"
cpus = [2]
memory = "64M"
kernel = "Image"
initrd = "initrd"
[[domain.device]]
host = "0000:02:00.0"
)";

struct CreateTest : SessionTest {
  tool::test::Folder folder;

  std::string config(const std::string& text) {
    folder.write("Image", tool::test::arm64_image(3'000'000, 3'100'000));
    folder.write("initrd", std::string(5000, 'i'));
    return folder.write("fresh.toml", text).string();
  }
  static std::string with(std::string text, const std::string& what, const std::string& instead) {
    return text.replace(text.find(what), what.size(), instead);
  }
};

TEST_F(CreateTest, TheHypervisorGetsABundleThatItCanParse) {
  create(session, {config(kConfig), "", "", false});
  EXPECT_EQ(out.str(), "fresh (0x202): running\n");
  EXPECT_EQ(err.str(), "");
  ASSERT_EQ(hypervisor.created_from.size(), 1U);
  EXPECT_TRUE(hypervisor.bundles.empty());
  const std::string& bytes = hypervisor.created_from[0];
  manifest::Manifest parsed;
  manifest::Problem problem;
  ASSERT_TRUE(manifest::parse({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                              parsed, problem));
  ASSERT_EQ(parsed.domains.size(), 1U);
  const auto& domain = parsed.domains[0];
  EXPECT_EQ(domain.name_view(), "fresh");
  EXPECT_TRUE(domain.autostart);
  EXPECT_EQ(bytes.substr(domain.initrd.offset, domain.initrd.size), std::string(5000, 'i'));
  EXPECT_EQ(bytes.substr(domain.kernel.offset + 56, 4), "ARM\x64");
}

TEST_F(CreateTest, OffStartsNone) {
  create(session, {config(kConfig), "", "", true});
  const std::string& bytes = hypervisor.created_from.at(0);
  manifest::Manifest parsed;
  manifest::Problem problem;
  ASSERT_TRUE(manifest::parse({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                              parsed, problem));
  EXPECT_FALSE(parsed.domains[0].autostart);
}

TEST_F(CreateTest, MistakesHavePlacesAndNothingIsSent) {
  const std::string file =
      config(with(with(kConfig, "cpus = [2]", "cpus = [1]"), "02:00.0", "07:00.0"));
  const auto [exit, text] = failure_of([&] { create(session, {file, "", "", false}); });
  EXPECT_EQ(exit, Exit::kUsage);
  EXPECT_EQ(text, file + ": nothing was created");
  EXPECT_NE(err.str().find("fresh.toml:4:9: error: CPU 1 is domain store (0x101)'s"),
            std::string::npos);
  EXPECT_NE(err.str().find("the board has no device 0000:07:00.0"), std::string::npos);
  EXPECT_TRUE(hypervisor.created_from.empty());
  for (const auto& [opcode, arguments] : hypervisor.requests) {
    EXPECT_NE(opcode, Opcode::kBundleBegin);
  }
}

TEST_F(CreateTest, NamesAndMemoryThatOthersHave) {
  const std::string file = config(with(with(kConfig, "fresh", "store"), "\"64M\"", "\"600M\""));
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kUsage);
  EXPECT_NE(err.str().find("there is a domain store (0x101) already"), std::string::npos);
  EXPECT_NE(err.str().find("the board has 512 MiB free, and 88 MiB more would be needed"),
            std::string::npos);
}

TEST_F(CreateTest, ADeviceWithoutResetHasToBeAccepted) {
  std::strcpy(hypervisor.device(0x0200)->reset, "none");
  const std::string file = config(kConfig);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kUsage);
  EXPECT_NE(err.str().find("0000:02:00.0 has no reset"), std::string::npos);
}

TEST_F(CreateTest, ARefusedBundleIsDropped) {
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    if (opcode == Opcode::kCreate) return refusal(Result::kRefused, "fresh: CPU 2 is broken");
    return hypervisor.handle(opcode, arguments);
  };
  const std::string file = config(kConfig);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }),
            std::pair(Exit::kFailed, std::string("fresh: CPU 2 is broken")));
  EXPECT_TRUE(hypervisor.bundles.empty());
}

TEST_F(CreateTest, AnInterruptedUploadIsDropped) {
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    hypervisor.interrupt = opcode == Opcode::kBundleWrite;
    return hypervisor.handle(opcode, arguments);
  };
  const std::string file = config(kConfig);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kInterrupted);
  EXPECT_TRUE(hypervisor.bundles.empty());
  EXPECT_TRUE(hypervisor.created_from.empty());
}

TEST_F(CreateTest, AHypervisorThatAnswersNothingMoreEndsTheUpload) {
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    hypervisor.deaf = opcode == Opcode::kBundleBegin;
    return hypervisor.handle(opcode, arguments);
  };
  const std::string file = config(kConfig);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kTimedOut);
  EXPECT_NE(err.str().find("the bundle could not be dropped"), std::string::npos);
}

TEST_F(CreateTest, AFailedStartIsNoSecondFailure) {
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    Answer answer = hypervisor.handle(opcode, arguments);
    if (opcode == Opcode::kCreate) return refusal(Result::kFailed, "fresh: cannot be started");
    return answer;
  };
  const std::string file = config(kConfig);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).second,
            "fresh: cannot be started");
  EXPECT_EQ(err.str(), "");
}

TEST_F(CreateTest, DomainsOfOneFileComeOneByOne) {
  const std::string file = config(std::string(kConfig) +
                                  "[[domain]]\nname = \"second\"\ncpus = [3]\nmemory = \"64M\"\n"
                                  "kernel = \"Image\"\n");
  create(session, {file, "", "", false});
  EXPECT_EQ(hypervisor.created_from.size(), 2U);
  EXPECT_FALSE(hypervisor.uploading);
  hypervisor.domains.resize(2);
  hypervisor.instead = [&](Opcode opcode, const Bytes& arguments) {
    if (opcode == Opcode::kCreate && hypervisor.created_from.size() == 3) {
      return refusal(Result::kRefused, "second: no");
    }
    return hypervisor.handle(opcode, arguments);
  };
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).second, "second: no");
  EXPECT_EQ(err.str(), "penstockctl: fresh (0x202) was created before that\n");
}

TEST_F(CreateTest, DevicesThatCannotBeHad) {
  const std::string file = config(kConfig);
  control::DeviceRecord& device = *hypervisor.device(0x0200);
  const auto complaint = [&] {
    err.str("");
    EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kUsage);
    return err.str();
  };
  device.state = control::DeviceState::kHidden;
  EXPECT_NE(complaint().find("fresh.toml:9:8: error: 0000:02:00.0 is hidden"), std::string::npos);
  device.state = control::DeviceState::kBroken;
  EXPECT_NE(complaint().find("stays in quarantine"), std::string::npos);
  device.state = control::DeviceState::kAssigned;
  device.domain = 0x101;
  EXPECT_NE(complaint().find("0000:02:00.0 is domain store's"), std::string::npos);
}

TEST_F(CreateTest, WhatOnlyTheBootDecides) {
  const std::string file = config("hidden = [\"0000:01:00.0\"]\n" +
                                  with(kConfig, "cpus = [2]", "cpus = [2]\ncontrol = true"));
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kUsage);
  EXPECT_NE(err.str().find("the control domain is decided when the board boots"),
            std::string::npos);
  EXPECT_NE(err.str().find("`penstockctl hide` hides a device now"), std::string::npos);
}

TEST_F(CreateTest, OnlyOneOfTheFilesDomains) {
  const std::string file = config("hidden = [\"0000:01:00.0\"]\n" + std::string(kConfig) +
                                  "[[domain]]\nname = \"boss\"\ncpus = [0]\nmemory = \"64M\"\n"
                                  "kernel = \"nowhere\"\ncontrol = true\n");
  create(session, {file, "", "fresh", false});
  EXPECT_EQ(hypervisor.created_from.size(), 1U);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "other", false}); }),
            std::pair(Exit::kUsage, file + " has no domain other"));
}

TEST_F(CreateTest, OneUploadAtATime) {
  hypervisor.uploading = true;
  const std::string file = config(kConfig);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kTimedOut);
  for (const auto& [opcode, arguments] : hypervisor.requests) {
    EXPECT_NE(opcode, Opcode::kBundleBegin);
  }
}

TEST_F(CreateTest, RisksHaveToBeAccepted) {
  hypervisor.device(0x0200)->risks = 1U << static_cast<unsigned>(pci::Risk::kSharedGroup);
  const std::string file = config(kConfig);
  EXPECT_EQ(failure_of([&] { create(session, {file, "", "", false}); }).first, Exit::kUsage);
  EXPECT_NE(err.str().find("accept = [\"no-isolation\"]"), std::string::npos);
}

TEST_F(CreateTest, ProgressIsInBytes) {
  session.show_progress = true;
  create(session, {config(kConfig), "", "", false});
  EXPECT_NE(err.str().find("(100 %)"), std::string::npos);
}

}  // namespace
}  // namespace penstock::ctl
