// Control and hardware domain, slots, what is hidden, and what a device shows or does not.
#include <nlohmann/json.hpp>

#include "tools/penstock/check_fixture.hpp"

namespace penstock::tool {
namespace {

using test::domain;
using test::kTop;
using ::testing::HasSubstr;
using ::testing::Not;

class CheckRoles : public test::Check {};

std::string device(const std::string& host, const std::string& more = "") {
  return "[[domain.device]]\nhost = \"" + host + "\"\n" + more;
}

// Covers: S3.19
TEST_F(CheckRoles, ControlAndHardwareDomainMayBeTwoOrOne) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "control = true\n") +
                       domain("b", "[1]", "hardware = true\ncontrol = false\n")),
            "");
  ASSERT_TRUE(plan_);
  EXPECT_TRUE(plan_->domains[0].control);
  EXPECT_FALSE(plan_->domains[0].hardware);
  EXPECT_TRUE(plan_->domains[1].hardware);
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "control = true\nhardware = true\n")), "");
}

// Covers: S3.19
TEST_F(CheckRoles, ThereIsOneOfEach) {
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]", "control = true\nhardware = true\n") +
                 domain("b", "[1]", "hardware = true\n") + domain("c", "[2]", "control = true\n")),
      "c.toml:14:12: error: two domains are to be the hardware domain\n"
      "    the other one is at line 8; leave it out here\n"
      "c.toml:20:11: error: two domains are to be the control domain\n"
      "    the other one is at line 7; leave it out here\n");
}

TEST_F(CheckRoles, DevicesGoToSlotsWhereThereAreAny) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]",
                                     "slots = 3\n" + device("01:00.0") +
                                         device("02:00.0", "guest = \"01:00.0\"\n") +
                                         device("00:03.0",
                                                "guest = \"00:0f.0\"\n"
                                                "accept = [\"no-reset\"]\n") +
                                         device("03:00.0", "accept = [\"no-isolation\"]\n"))),
            "");
  ASSERT_TRUE(plan_);
  const auto& devices = plan_->domains[0].devices;
  EXPECT_EQ(plan_->domains[0].slots, 3U);
  EXPECT_EQ(devices[0].guest, GuestBdf(2, 0, 0));
  EXPECT_EQ(devices[1].guest, GuestBdf(1, 0, 0));
  EXPECT_EQ(devices[2].guest, GuestBdf(0, 15, 0));
  EXPECT_EQ(devices[3].guest, GuestBdf(3, 0, 0));
}

TEST_F(CheckRoles, PlacesThatCannotBe) {
  EXPECT_EQ(
      complaints(kTop +
                 domain("a", "[0]", "slots = 1\n" + device("01:00.0", "guest = \"02:00.0\"\n")) +
                 domain("b", "[1]", device("02:00.0", "guest = \"01:00.0\"\n")) +
                 domain("c", "[2]",
                        "slots = 2\n" + device("00:03.0",
                                               "guest = \"00:10.0\"\n"
                                               "accept = [\"no-reset\"]\n"))),
      "c.toml:10:9: error: domain \"a\" has no slot 2\n"
      "    write slots = 2 for it, or another place\n"
      "c.toml:18:9: error: domain \"b\" has no slot 1\n"
      "    write slots = 1 for it, or another place\n"
      "c.toml:27:9: error: 00:10.0 is where the root ports are\n"
      "    write a place below 00:10.0, or a slot\n");
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]",
                               "control = true\n" + device("01:00.0", "guest = \"00:1f.0\"\n"))),
      "c.toml:10:9: error: 00:1f.0 is where the control interface is\n"
      "    write another place\n");
  for (const char* nowhere : {"01:01.0", "01:00.1", "10:00.0", "00:00.0"}) {
    EXPECT_THAT(
        complaints(kTop + domain("a", "[0]",
                                 "slots = 15\n" + device("01:00.0", std::string("guest = \"") +
                                                                        nowhere + "\"\n"))),
        HasSubstr("is no place in the domain's topology\n    write \"00:01.0\" to "))
        << nowhere;
  }
}

TEST_F(CheckRoles, SlotsHaveANumber) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "slots = 16\n")),
            "c.toml:7:9: error: domain \"a\" has 16 slots\n"
            "    write 0 to 15\n");
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]", "slots = 1\n" + device("01:00.0") + device("02:00.0"))),
      "c.toml:7:9: error: domain \"a\" has more devices than slots\n"
      "    give it more slots, or some of the devices a `guest` address on bus 0\n");
}

TEST_F(CheckRoles, ABoardWithoutABridgeHasNoDevicesToComeAndGo) {
  std::string board = test::kBoard;
  board.replace(board.find("\"ecam\""), 6, "\"none\"");
  folder_.write("flat.toml", board);
  board_ = "flat";
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "slots = 1\nhardware = true\n")),
            "c.toml:7:9: error: the board has no PCI host bridge that Penstock can drive\n"
            "c.toml:8:12: error: the board has no PCI host bridge that Penstock can drive\n");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "control = true\n")), "");
}

// Covers: S0.22 S3.21
TEST_F(CheckRoles, FunctionsThatOnlyTheirBusResetsHaveOneOwner) {
  std::string board = test::kBoard;
  board +=
      "[[device]]\nbdf = \"0000:03:00.1\"\nname = \"its other half\"\nreset = \"flr\"\n"
      "isolation = \"acs\"\n";
  folder_.write("halves.toml", board);
  board_ = "halves";
  const auto with = [&](const std::string& accepted) {
    return complaints(kTop +
                      domain("a", "[0]",
                             "[[domain.device]]\nhost = \"03:00.0\"\naccept = [" + accepted +
                                 "\"no-isolation\"]\n") +
                      domain("b", "[1]", device("03:00.1")));
  };
  EXPECT_EQ(
      with(""),
      "c.toml:8:8: error: 0000:03:00.0 can only be reset with its bus, where domain \"b\" has "
      "0000:03:00.1\n"
      "    give both to one domain, or write accept = [\"no-reset\"] for it\n");
  EXPECT_EQ(with("\"no-reset\", "), "");
}

// Covers: S0.22 H2
TEST_F(CheckRoles, AnIommuOfAGuestIsNotForDevicesThatSendUnderSeveralIds) {
  std::string board = test::kBoard;
  board +=
      "[[device]]\nbdf = \"0000:04:01.0\"\nname = \"a card behind a bridge\"\nreset = \"bus\"\n"
      "isolation = \"shared\"\nrisks = [\"aliased-requester\"]\n";
  folder_.write("bridge.toml", board);
  board_ = "bridge";
  const std::string card = "[[domain.device]]\nhost = \"04:01.0\"\naccept = [\"no-isolation\"]\n";
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", card)), "");
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]", "iommu = \"smmuv3\"\n" + card)),
      "c.toml:9:8: error: 0000:04:01.0 sends under other requester IDs, too, which the iommu of "
      "domain \"a\"'s guest could not show\n"
      "    write iommu = \"none\" for the domain, or give the device to another one\n");
}

// Covers: S0.22 H2
TEST_F(CheckRoles, FunctionsThatSendUnderOneRequesterIdHaveOneOwnerAndOneOfThemInterrupts) {
  std::string board = test::kBoard;
  for (const std::string at : {"01", "02"}) {
    board += "[[device]]\nbdf = \"0000:04:" + at +
             ".0\"\nname = \"a card\"\nreset = \"flr\"\nisolation = \"shared\"\n"
             "vectors = 1\nrisks = [\"aliased-requester\"]\n";
  }
  folder_.write("bridge.toml", board);
  board_ = "bridge";
  const std::string one = device("04:01.0", "accept = [\"no-isolation\"]\n");
  const std::string two = device("04:02.0", "accept = [\"no-isolation\"]\n");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", one) + domain("b", "[1]", two)),
            "c.toml:16:8: error: 0000:04:02.0 sends under the same requester ID as 0000:04:01.0, "
            "which domain \"a\" has\n    give both to one domain\n");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", one + two)),
            "c.toml:11:8: error: 0000:04:02.0 sends interrupts under the same ID as 0000:04:01.0\n"
            "    take one of them out\n");
  board.erase(board.rfind("vectors = 1\n"), 12);
  folder_.write("bridge.toml", board);
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", one + two)), "");
}

// Covers: S3.16
TEST_F(CheckRoles, WhatIsHiddenIsNobodys) {
  EXPECT_EQ(complaints(std::string(kTop) + "hidden = [\"0000:03:00.0\", \"02:00.0\"]\n" +
                       domain("a", "[0]", "hardware = true\n")),
            "");
  ASSERT_TRUE(plan_);
  ASSERT_EQ(plan_->hidden.size(), 2U);
  EXPECT_EQ(plan_->hidden[0], HostBdf(3, 0, 0));
  EXPECT_EQ(complaints(std::string(kTop) +
                       "hidden = [\"01:00.0\", \"02:00.0\", \"02:00.0\", \"here\", \"07:00.0\"]\n" +
                       domain("a", "[0]", device("01:00.0"))),
            "c.toml:2:11: error: device 0000:01:00.0 is hidden and given away\n"
            "    domain \"a\" has it, at line 9\n"
            "c.toml:2:33: error: device 0000:02:00.0 is hidden twice\n"
            "    take one of them out\n"
            "c.toml:2:44: error: \"here\" is no PCI address on segment 0\n"
            "    write it like \"0000:01:00.0\", as lspci -D prints it\n"
            "c.toml:2:52: warning: the board's description has no device 0000:07:00.0\n"
            "    it is hidden if it is there\n");
  std::string many = "hidden = [\"00:01.0\"";
  for (unsigned i = 0; i < 32; ++i) many += ", \"00:01.0\"";
  EXPECT_THAT(complaints(kTop + many + "]\n" + domain("a", "[0]")),
              HasSubstr("error: more than 32 devices are hidden\n"));
}

// Covers: S3.10 S3.16 S3.22
TEST_F(CheckRoles, TheHardwareDomainGetsWhatNeedsNoRiskAccepted) {
  EXPECT_EQ(complaints(std::string(kTop) + "hidden = [\"02:00.0\"]\n" +
                       domain("hw", "[0]", "hardware = true\nslots = 2\n") +
                       domain("lab", "[1]", "control = true\n")),
            "");
  ASSERT_TRUE(plan_);
  const std::string text = ownership_text(*plan_);
  EXPECT_THAT(text, HasSubstr("0000:01:00.0  hw      any  stage 2 of the SMMUv3"));
  EXPECT_THAT(text, HasSubstr("0000:02:00.0  hidden  -    none: its stream aborts"));
  EXPECT_THAT(text, HasSubstr("0000:00:03.0  nobody  -    none: its stream aborts"));
  EXPECT_THAT(text, HasSubstr("domain hw: gets the devices that are nobody else's, has 2 slots\n"
                              "domain lab: has the control interface\n"));
  EXPECT_THAT(text, HasSubstr("support 0000:01:00.0 (hw): "));
  EXPECT_THAT(
      text, HasSubstr("note 0000:00:03.0: the hardware domain does not get it: it has no reset\n"));
  EXPECT_THAT(
      text,
      HasSubstr("note 0000:03:00.0: the hardware domain does not get it: it cannot be isolated\n"));
  EXPECT_THAT(text, Not(HasSubstr("note 0000:02:00.0")));

  const auto json = ownership_json(*plan_);
  const auto& hw = json["domains"][0];
  EXPECT_TRUE(hw["hardware"]);
  EXPECT_FALSE(hw["control"]);
  EXPECT_EQ(hw["slots"], 2);
  ASSERT_EQ(hw["rest"].size(), 1U);
  EXPECT_EQ(hw["rest"][0]["host"], "0000:01:00.0");
  EXPECT_EQ(hw["rest"][0]["reset"], "function level reset");
  EXPECT_FALSE(json["domains"][1].contains("rest"));
  ASSERT_EQ(json["unassigned"].size(), 3U);
  EXPECT_TRUE(json["unassigned"][0]["hidden"]);
  EXPECT_FALSE(json["unassigned"][1]["hidden"]);
}

// Covers: S3.34
TEST_F(CheckRoles, ExtraCapabilities) {
  const auto with = [](const std::string& capability) {
    return kTop +
           domain("a", "[0]",
                  "[[domain.device]]\nhost = \"01:00.0\"\ncapabilities = [{" + capability + "}]\n");
  };
  EXPECT_EQ(complaints(with("id = 9, length = 16, registers = [{offset = 8, live = 0xf0f, "
                            "write = 0xff, w1c = 0x0f}]")),
            "");
  ASSERT_TRUE(plan_);
  EXPECT_EQ(plan_->domains[0].devices[0].capabilities[0].registers[0].w1c, 0x0fU);
  EXPECT_EQ(plan_->domains[0].devices[0].capabilities[0].registers[0].live, 0xf0fU);
  EXPECT_THAT(complaints(with("id = 0x100, length = 16")), HasSubstr("0x100 is no capability ID"));
  EXPECT_THAT(complaints(with("id = 9, length = 6")), HasSubstr("cannot have 6 bytes"));
  EXPECT_THAT(complaints(with("id = 9, length = 8, registers = [{offset = 8}]")),
              HasSubstr("there is no register at 8"));
  EXPECT_THAT(complaints(with("id = 9, length = 8, registers = [{offset = 0}]")),
              HasSubstr("there is no register at 0"));
  EXPECT_THAT(complaints(with("id = 9, length = 8, registers = [{offset = 4, w1c = 1}]")),
              HasSubstr("impossible masks"));
  EXPECT_THAT(
      complaints(with("id = 9, length = 8, registers = [{offset = 4, live = 0x100000000}]")),
      HasSubstr("impossible masks"));
  EXPECT_THAT(complaints(with("id = 9, length = 8, registers = [{offset = 4}, {offset = 4}]")),
              HasSubstr("the register at 4 has two rules\n    the other one is at line 9\n"));
  EXPECT_THAT(complaints(with("id = 0x11, length = 12")),
              HasSubstr("\"msi-x\" is on the built-in list, with masks of its own"));
}

// Covers: S3.17 S3.33
TEST_F(CheckRoles, ADeviceDeniesCapabilities) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]",
                                     device("01:00.0",
                                            "quarantine = \"scratch\"\n"
                                            "deny = [\"msi-x\", \"ext 0x3\"]\n"))),
            "");
  ASSERT_TRUE(plan_);
  const PlannedDevice& planned = plan_->domains[0].devices[0];
  EXPECT_TRUE(planned.scratch);
  ASSERT_EQ(planned.denied.size(), 2U);
  EXPECT_EQ(planned.denied[0].value.id, 0x11);
  EXPECT_FALSE(planned.denied[0].value.extended);
  EXPECT_EQ(planned.denied[1].value.id, 0x03);
  EXPECT_TRUE(planned.denied[1].value.extended);
  const auto json = ownership_json(*plan_);
  EXPECT_EQ(json["domains"][0]["devices"][0]["quarantine"], "scratch");
  EXPECT_EQ(json["domains"][0]["devices"][0]["deny"][1], "serial-number");
}

// Covers: S3.33
TEST_F(CheckRoles, WhatCannotBeDenied) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]",
                                     device("01:00.0",
                                            "quarantine = \"scrach\"\n"
                                            "deny = [\"msi_x\", \"0x100\"]\n"))),
            "c.toml:9:14: error: \"quarantine\" cannot be \"scrach\"\n"
            "    did you mean \"scratch\"? possible: \"abort\", \"scratch\"\n"
            "c.toml:10:9: error: \"msi_x\" is no capability\n"
            "    did you mean \"msi-x\"?\n"
            "c.toml:10:18: error: \"0x100\" is no capability\n"
            "    write a name such as \"msi-x\", an ID such as \"0x11\", or \"ext 0x1\" for one of "
            "the extended list\n");
  EXPECT_THAT(complaints(kTop + domain("a", "[0]",
                                       device("01:00.0",
                                              "deny = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", "
                                              "\"7\", \"8\", \"9\"]\n"))),
              HasSubstr("more than 8 capabilities of one device are denied"));
}

// Covers: S3.33 S3.35
TEST_F(CheckRoles, DenyWinsOverAllowAndIsSaid) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]",
                                     device("01:00.0",
                                            "deny = [\"vendor-specific\"]\n"
                                            "capabilities = [{id = 9, length = 16}]\n"))),
            "c.toml:9:9: warning: \"vendor-specific\" is denied, so that it is not shown as "
            "`capabilities` asks\n"
            "    that is at line 10; take one of them out\n");
  EXPECT_TRUE(plan_);
}

}  // namespace
}  // namespace penstock::tool
