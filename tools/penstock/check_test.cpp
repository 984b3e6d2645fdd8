// Golden messages: what `penstock check` says to a mistake, word for word.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/pci/statement.hpp"
#include "tools/penstock/check_fixture.hpp"

namespace penstock::tool {
namespace {

using ::testing::HasSubstr;

using test::domain;
using test::kTop;
class Check : public test::Check {};

TEST_F(Check, AcceptsAGoodConfiguration) {
  const std::string said =
      complaints(kTop +
                 domain("store", "[0, 1]",
                        "[[domain.device]]\nhost = \"0000:01:00.0\"\nguest = \"00:02.0\"\n") +
                 domain("net", "[2]",
                        "initrd = \"initrd\"\ncmdline = \"quiet\"\n"
                        "[[domain.device]]\nhost = \"02:00.0\"\n"
                        "[[domain.device]]\nhost = \"0000:00:03.0\"\naccept = [\"no-reset\"]\n"));
  EXPECT_EQ(said, "");
  ASSERT_TRUE(plan_);
  EXPECT_EQ(plan_->domains[0].devices[0].guest, GuestBdf(0, 2, 0));
  EXPECT_EQ(plan_->domains[1].devices[0].guest, GuestBdf(0, 1, 0));
  EXPECT_EQ(plan_->domains[1].devices[1].guest, GuestBdf(0, 2, 0));
  EXPECT_EQ(plan_->domains[1].cmdline, "quiet");
}

TEST_F(Check, SyntaxErrorHasAPlace) {
  EXPECT_THAT(complaints("board = \n"), HasSubstr("c.toml:1:9: error: no valid TOML: "));
}

TEST_F(Check, UnknownKeys) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "memroy_base = 0\nzzz = 1\n")),
            "c.toml:7:1: error: unknown key \"memroy_base\" in [domain]\n"
            "    did you mean \"memory_base\"?\n"
            "c.toml:8:1: error: unknown key \"zzz\" in [domain]\n"
            "    known here: name, cpus, memory, memory_base, kernel, kernel_offset, initrd, "
            "cmdline, autostart, "
            "on_reboot, on_crash, iommu, control, hardware, slots, interrupts, device\n");
}

TEST_F(Check, MissingKeysAndWrongTypes) {
  EXPECT_EQ(complaints(std::string(kTop) + "[[domain]]\nname = 5\ncpus = 0\nmemory = true\n"),
            "c.toml:2:1: error: \"kernel\" is missing in [domain]\n"
            "    write kernel = ..., a text such as \"abc\"\n"
            "c.toml:3:8: error: \"name\" must be a text such as \"abc\", not a number\n"
            "c.toml:4:8: error: \"cpus\" must be a list of numbers such as [0, 1], not a number\n"
            "c.toml:5:10: error: \"memory\" must be a size such as \"512M\" or \"2G\", not true or "
            "false\n");
}

TEST_F(Check, OneBracketInsteadOfTwo) {
  EXPECT_THAT(complaints(std::string(kTop) + "[domain]\nname = \"a\"\n"),
              HasSubstr("error: \"domain\" must be a list of tables, not a table\n"
                        "    write [[domain]] with two brackets\n"));
}

TEST_F(Check, UnknownBoard) {
  EXPECT_EQ(complaints("board = \"test-bord\"\n" + domain("a", "[0]")),
            "c.toml:1:9: error: there is no board \"test-bord\"\n"
            "    did you mean \"test-board\"?\n");
}

TEST_F(Check, Names) {
  EXPECT_EQ(complaints(kTop + domain("1st", "[0]") + domain("a", "[1]") + domain("a", "[2]") +
                       domain("penstock", "[3]")),
            "c.toml:3:8: error: \"1st\" cannot be a domain's name\n"
            "    write 1 to 31 letters, digits, '-' and '_', a letter first\n"
            "c.toml:13:8: error: two domains are called \"a\"\n"
            "    the other one is at line 8; choose another name\n"
            "c.toml:18:8: error: a domain cannot be called \"penstock\": that is the hypervisor's "
            "console\n"
            "    choose another name\n");
}

TEST_F(Check, Cpus) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0, 4]") + domain("b", "[0]") + domain("c", "[]")),
            "c.toml:4:12: error: the board has no CPU 4\n"
            "    write numbers from 0 to 3\n"
            "c.toml:9:9: error: CPU 0 is given twice\n"
            "    domain \"a\" has it already, at line 4; free: 1, 2, 3\n"
            "c.toml:12:1: error: domain \"c\" has no CPU\n"
            "    write cpus = [...] with at least one\n");
}

TEST_F(Check, MemorySizes) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "", "memory = \"3M\"") +
                       domain("b", "[1]", "", "memory = \"lots\"") +
                       domain("c", "[2]", "", "memory = \"2G\"")),
            "c.toml:5:10: error: 3 MiB is not a multiple of 2 MiB\n"
            "    write memory = \"4M\"\n"
            "c.toml:10:10: error: \"lots\" is no size\n"
            "    write memory as a size such as \"512M\" or \"2G\"\n"
            "c.toml:15:10: error: domain \"c\" wants 2 GiB, but the board has 1 GiB\n"
            "    give it less, or the board more\n");
}

TEST_F(Check, MemoryPlaces) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "memory_base = 0x50000000\n") +
                       domain("b", "[1]", "memory_base = 0x57e00000\n") +
                       domain("c", "[2]", "memory_base = 0x78010000\n") +
                       domain("d", "[3]", "memory_base = 0x7e000000\n")),
            "c.toml:13:15: error: the memory of domain \"b\" overlaps that of domain \"a\"\n"
            "    that one is 0x50000000 to 0x57ffffff (line 7); or leave memory_base out\n"
            "c.toml:19:15: error: 0x78010000 is not a multiple of 2 MiB\n"
            "    write memory_base = 0x78000000\n"
            "c.toml:25:15: error: 128 MiB at 0x7e000000 is not in the board's RAM\n"
            "    the RAM is 0x40000000 to 0x7fffffff; or leave memory_base out\n");
}

TEST_F(Check, MemoryPlacesThatAreTakenBeforeAnyDomain) {
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]", "memory_base = 0x40000000\n") +
                 domain("b", "[1]", "memory_base = 0x48000000\n") +
                 domain("c", "[2]", "memory_base = 0x50000000\n") +
                 domain("d", "[3]", "memory_base = 0x78000000\n")),
      "c.toml:7:15: error: the memory of domain \"a\" is where the hypervisor's image with the "
      "payloads is\n"
      "    that is 0x40000000 to 0x403fffff; write another place, or leave memory_base out\n"
      "c.toml:13:15: error: the memory of domain \"b\" is where the board's device tree, as "
      "QEMU loads it, is\n"
      "    that is 0x48000000 to 0x481fffff; write another place, or leave memory_base out\n"
      "c.toml:25:15: error: the memory of domain \"d\" is where the hypervisor's own is\n"
      "    that is 0x7f400000 to 0x7fffffff; write another place, or leave memory_base out\n");
}

TEST_F(Check, InterruptsAreAsManyAsTheDevicesNeed) {
  const std::string drive = "[[domain.device]]\nhost = \"0000:01:00.0\"\n";
  const auto with = [&](const std::string& interrupts) {
    return complaints(std::string(kTop) + domain("a", "[0]", interrupts) + drive);
  };
  EXPECT_EQ(with(""), "");
  EXPECT_EQ(with("interrupts = 66\n"), "");
  EXPECT_EQ(with("interrupts = 65\n"),
            "c.toml:7:14: error: the devices of domain \"a\" need 66 interrupts\n"
            "    write interrupts = 66, or leave it out\n");
  EXPECT_EQ(with("interrupts = 0\n"),
            "c.toml:7:14: error: a domain cannot have 0 interrupts\n    write 1 to 8192\n");
}

TEST_F(Check, MemoryInTotal) {
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]", "", "memory = \"512M\"") +
                 domain("b", "[1]", "", "memory = \"512M\"")),
      "c.toml:10:10: error: the domains, their payloads and the hypervisor need 1039 MiB, but "
      "the board has 1 GiB\n"
      "    give the domains 16 MiB less\n");
}

TEST_F(Check, Payloads) {
  const std::string said =
      complaints(std::string(kTop) +
                 "[[domain]]\nname = \"a\"\ncpus = [0]\nmemory = \"128M\"\nkernel = \"Imgae\"\n"
                 "[[domain]]\nname = \"b\"\ncpus = [1]\nmemory = \"128M\"\nkernel = \"elf\"\n" +
                 domain("c", "[2]", "initrd = \"nothing\"\n"));
  EXPECT_EQ(
      said,
      "c.toml:6:10: error: the kernel Imgae cannot be read\n"
      "    relative paths start at the configuration's folder\n"
      "c.toml:11:10: error: elf is neither an arm64 Image nor a raw image\n"
      "    give arch/arm64/boot/Image or Image.gz, or what `objcopy -O binary` makes of an ELF "
      "file\n"
      "c.toml:17:10: error: the initrd nothing cannot be read\n"
      "    relative paths start at the configuration's folder\n");
}

TEST_F(Check, RawImageIsSaidToBeOne) {
  folder_.write("raw", std::string("\x1f\x20\x03\xd5", 4));
  const std::string head =
      "[[domain]]\nname = \"a\"\ncpus = [0]\nmemory = \"128M\"\nkernel = \"raw\"\n";
  EXPECT_EQ(complaints(kTop + head),
            "c.toml:6:10: warning: raw has no arm64 Image's header: it is taken for a raw image, "
            "lies 512 KiB after the start of RAM and is entered at its first byte\n"
            "    kernel_offset = \"512K\" says that this is meant\n");
  EXPECT_EQ(plan_->domains[0].kernel_offset, 0x8'0000U);
  EXPECT_EQ(complaints(kTop + head + "kernel_offset = \"64K\"\n"), "");
  EXPECT_THAT(ownership_text(*plan_), testing::HasSubstr("raw (raw, at 0x10000)"));
  EXPECT_EQ(ownership_json(*plan_)["domains"][0]["kernel_kind"], "raw");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]")), "");
  EXPECT_EQ(ownership_json(*plan_)["domains"][0]["kernel_kind"], "image");
}

TEST_F(Check, RawImageHasAPlaceThatThereIs) {
  folder_.write("raw", std::string("code"));
  const std::string head =
      "[[domain]]\nname = \"a\"\ncpus = [0]\nmemory = \"128M\"\nkernel = \"raw\"\n";
  for (const char* wrong : {"0", "\"60K\"", "65537"}) {
    EXPECT_THAT(complaints(kTop + head + "kernel_offset = " + wrong + "\n"),
                testing::HasSubstr("c.toml:7:17: error: a kernel cannot lie at"));
  }
  EXPECT_EQ(complaints(kTop + head + "kernel_offset = \"128M\"\n"),
            "c.toml:7:17: error: the kernel of domain \"a\" would end beyond its memory\n");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "kernel_offset = \"64K\"\n")),
            "c.toml:7:17: error: Image is an arm64 Image, whose header says where it goes\n"
            "    leave kernel_offset out\n");
}

TEST_F(Check, PayloadsLargerThanTheMemory) {
  folder_.write("big", std::string(std::size_t{2} << 20, 'x'));
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "initrd = \"big\"\n", "memory = \"2M\"")),
            "c.toml:5:10: error: kernel and initrd of domain \"a\" are larger than its memory\n"
            "    together they have 3 MiB\n");
}

TEST_F(Check, CommandLine) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "cmdline = \"" + std::string(1025, 'x') + "\"\n") +
                       domain("b", "[1]", "cmdline = \"a\\nb\"\n")),
            "c.toml:7:11: error: the command line has 1025 characters\n"
            "    write at most 1024\n"
            "c.toml:13:11: error: the command line has a character that is not printable ASCII\n");
}

// Covers: H4
TEST_F(Check, DevicesThatAreMissingOrTaken) {
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]", "[[domain.device]]\nhost = \"0000:01:00.0\"\n") +
                 domain("b", "[1]",
                        "[[domain.device]]\nhost = \"0000:01:00.0\"\n"
                        "[[domain.device]]\nhost = \"0000:09:00.0\"\n"
                        "[[domain.device]]\nhost = \"somewhere\"\n")),
      "c.toml:15:8: error: device 0000:01:00.0 is given twice\n"
      "    domain \"a\" has it already, at line 8\n"
      "c.toml:17:8: error: the board has no device 0000:09:00.0\n"
      "    it has 0000:01:00.0 (NVMe drive), 0000:02:00.0 (network card), 0000:00:03.0 (edu), "
      "0000:03:00.0 (old card)\n"
      "c.toml:19:8: error: \"somewhere\" is no PCI address on segment 0\n"
      "    write it like \"0000:01:00.0\", as lspci -D prints it\n");
}

TEST_F(Check, DevicePlaces) {
  EXPECT_EQ(complaints(kTop +
                       domain("a", "[0]",
                              "[[domain.device]]\nhost = \"01:00.0\"\nguest = \"00:01.0\"\n"
                              "[[domain.device]]\nhost = \"02:00.0\"\nguest = \"00:01.0\"\n") +
                       domain("b", "[1]",
                              "[[domain.device]]\nhost = \"00:03.0\"\nguest = \"00:05.3\"\n"
                              "accept = [\"no-reset\"]\n"
                              "[[domain.device]]\nhost = \"03:00.0\"\nguest = \"00:00.0\"\n"
                              "accept = [\"no-isolation\"]\n")),
            "c.toml:12:9: error: domain \"a\" has two devices at 00:01.0\n"
            "    the other one is at line 9; leave \"guest\" out to get the next free slot\n"
            "c.toml:20:9: error: nothing is at 00:05.0: a guest looks for function 0 first\n"
            "    write guest = \"00:05.0\"\n"
            "c.toml:24:9: error: \"00:00.0\" is no place in the domain's topology\n"
            "    write \"00:01.0\" to \"00:1f.7\", or \"01:00.0\" to \"0f:00.0\" for a slot, or "
            "leave it out; 00:00 is the host bridge\n");
}

TEST_F(Check, DeviceWithoutReset) {
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0]", "[[domain.device]]\nhost = \"0000:00:03.0\"\n")),
      "c.toml:8:8: error: 0000:00:03.0 has no reset: its next owner would find it as the last "
      "one left it\n"
      "    take it out, or write accept = [\"no-reset\"] for it and live with that\n");
}

TEST_F(Check, UnknownRisk) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]",
                                     "[[domain.device]]\nhost = \"0000:00:03.0\"\n"
                                     "accept = [\"no-rest\", \"no-reset\"]\n")),
            "c.toml:9:11: error: \"no-rest\" is no risk that can be accepted\n"
            "    did you mean \"no-reset\"?\n");
}

// As the boot does it (tests/target/test_refusals.py).
// Covers: H7 S0.22
TEST_F(Check, DomainsWithDevices_OnABoardThatCannotIsolate_AreRefusedWhateverIsAccepted) {
  struct Lack {
    std::string is, instead, name;
  };
  for (const Lack& lack :
       {Lack{"\"smmuv3\"", "\"none\"", "SMMUv3"}, Lack{"\"its\"", "\"none\"", "ITS"},
        Lack{"\"its\"", "\"gicv2m\"", "ITS"}}) {
    std::string board = test::kBoard;
    board.replace(board.find(lack.is), lack.is.size(), lack.instead);
    folder_.write("bare.toml", board);
    board_ = "bare";
    const std::string refused =
        " error: domain \"a\" would not run: its devices cannot be isolated, as the board has no " +
        lack.name +
        "\n    leave out its devices, slots and role; accepting \"no-isolation\" does not stand in "
        "for it\n";
    const std::string device = "[[domain.device]]\nhost = \"0000:01:00.0\"\n";
    EXPECT_EQ(complaints(kTop + domain("a", "[0]", device)), "c.toml:8:8:" + refused);
    EXPECT_EQ(complaints(kTop + domain("a", "[0]", device + "accept = [\"no-isolation\"]\n")),
              "c.toml:8:8:" + refused);
    EXPECT_EQ(complaints(kTop + domain("a", "[0]", "slots = 2\n")), "c.toml:7:9:" + refused);
    EXPECT_EQ(complaints(kTop + domain("a", "[0]", "hardware = true\n")), "c.toml:7:12:" + refused);
    EXPECT_EQ(complaints(kTop + domain("a", "[0]")), "");
  }
}

// What the configuration accepted is called insecure wherever it is said.
// Covers: S0.21 S0.22
TEST_F(Check, WhatWasAcceptedIsSpelledOut) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]",
                                     "[[domain.device]]\nhost = \"03:00.0\"\n"
                                     "accept = [\"no-isolation\"]\n")),
            "");
  ASSERT_TRUE(plan_);
  EXPECT_THAT(ownership_text(*plan_),
              HasSubstr("INSECURE 0000:03:00.0 (a): its neighbours and it can reach each other "
                        "without passing the IOMMU; accepted by the configuration\n"));
  const auto json = ownership_json(*plan_);
  EXPECT_EQ(json["domains"][0]["devices"][0]["exposed"].size(), 1U);
  EXPECT_EQ(json["domains"][0]["devices"][0]["accepted"][0], "no-isolation");
}

// The hypervisor asks pci::refusal_of() of what it finds; this is the same with the same risks.
// Covers: S0.22
TEST_F(Check, EachRisk_IsRefusedAndAcceptedAsTheBootDoes) {
  for (const pci::RiskRow& row : pci::risk_table()) {
    // These two are the board's, and not of one device.
    if (row.risk == pci::Risk::kNoIommu || row.risk == pci::Risk::kUncheckedMessages) continue;
    std::string board = test::kBoard;
    board +=
        "[[device]]\nbdf = \"0000:05:00.0\"\nname = \"x\"\nreset = \"flr\"\nisolation = \"acs\"\n"
        "risks = [\"" +
        std::string(row.name) + "\"]\n";
    folder_.write("risky.toml", board);
    board_ = "risky";
    pci::Risks risks;
    risks.add(row.risk);
    for (const bool no_reset : {false, true}) {
      for (const bool no_isolation : {false, true}) {
        const std::string accepted = std::string(no_reset ? "\"no-reset\", " : "") +
                                     (no_isolation ? "\"no-isolation\"" : "");
        const std::string said = complaints(
            kTop + domain("a", "[0]",
                          "[[domain.device]]\nhost = \"05:00.0\"\naccept = [" + accepted + "]\n"));
        const bool boots = !pci::refusal_of(risks, {no_reset, no_isolation, false});
        EXPECT_EQ(said.empty(), boots) << row.name << ": " << accepted << "\n" << said;
      }
    }
  }
}

TEST_F(Check, ABridgeIsGivenToNobody) {
  std::string board = test::kBoard;
  const std::string driver = "driver = \"igb\"\n";
  board.insert(board.find(driver) + driver.size(), "class = \"060400\"\n");
  folder_.write("bridge.toml", board);
  board_ = "bridge";
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "[[domain.device]]\nhost = \"02:00.0\"\n")),
            "c.toml:8:8: error: 0000:02:00.0 is given to nobody: it is a bridge, which the "
            "hypervisor keeps\n    take it out; there is no word that accepts this\n");
}

TEST_F(Check, SharedGroupIsRefusedUnlessAccepted) {
  EXPECT_THAT(complaints(kTop + domain("a", "[0]", "[[domain.device]]\nhost = \"03:00.0\"\n")),
              HasSubstr("can reach each other without passing the IOMMU"));
}

// Covers: S0.21
TEST_F(Check, OwnershipTable) {
  EXPECT_EQ(complaints(kTop + domain("net", "[2, 3]",
                                     "[[domain.device]]\nhost = \"0000:00:03.0\"\n"
                                     "accept = [\"no-reset\"]\n")),
            "");
  EXPECT_EQ(
      ownership_text(*plan_),
      "board test-board: 4 CPUs, 1 GiB at 0x40000000\n"
      "A board for tests\n"
      "\n"
      "domain  CPUs  memory   at        kernel  devices\n"
      "net     2,3   128 MiB  anywhere  Image   1\n"
      "\n"
      "device        owner   as       memory access                                    interrupts"
      "                   reset           neighbours                    what\n"
      "0000:00:03.0  net     00:01.0  stage 2 of the SMMUv3: only its domain's memory  the ITS "
      "checks"
      " the DeviceID  INSECURE: none  root complex function, alone  edu\n"
      "0000:01:00.0  nobody  -        none: its stream aborts                          -"
      "                            -               -                             NVMe drive\n"
      "0000:02:00.0  nobody  -        none: its stream aborts                          -"
      "                            -               -                             network card\n"
      "0000:03:00.0  nobody  -        none: its stream aborts                          -"
      "                            -               -                             old card\n"
      "\n"
      "support 0000:00:03.0 (net): not-supported (other device: no-reset)\n"
      "INSECURE 0000:00:03.0 (net): its next owner finds it as the last one left it: it has no "
      "reset; accepted by the configuration\n"
      "note 0000:00:03.0 (net): its DMA engine goes where its driver says\n");
}

constexpr const char* kDrive = "[[domain.device]]\nhost = \"0000:01:00.0\"\n";

// Covers: S2.12 S2.22
TEST_F(Check, AnIommuIsSaidInTheReport) {
  EXPECT_EQ(complaints(kTop + domain("lab", "[0]", std::string("iommu = \"smmuv3\"\n") + kDrive) +
                       domain("net", "[1]",
                              "iommu = \"none\"\n"
                              "[[domain.device]]\nhost = \"0000:02:00.0\"\n")),
            "");
  ASSERT_TRUE(plan_);
  const std::string text = ownership_text(*plan_);
  EXPECT_THAT(text, HasSubstr("lab     00:01.0  the guest's stage 1, then stage 2 of the SMMUv3: "
                              "only its domain's memory  the ITS checks the DeviceID; the address "
                              "is the guest's IOVA, bounded by stage 2; the event is ours  "));
  EXPECT_THAT(text,
              HasSubstr("net     00:01.0  stage 2 of the SMMUv3: only its domain's memory  "));
  EXPECT_THAT(text, HasSubstr("\ndomain lab: its guest's own SMMUv3 (stage 1) keeps its devices "
                              "from each other, as far as the guest uses it; the board's (stage 2) "
                              "keeps them in the guest's memory, whatever the guest does\n"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("domain net:")));
  const auto json = ownership_json(*plan_);
  EXPECT_EQ(json["domains"][0]["iommu"], "smmuv3");
  EXPECT_TRUE(json["domains"][0].contains("isolation"));
  EXPECT_EQ(json["domains"][1]["iommu"], "none");
  EXPECT_FALSE(json["domains"][1].contains("isolation"));
}

// Covers: S2.12
TEST_F(Check, IommusThatCannotBe) {
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "iommu = \"smmuv2\"\n")),
            "c.toml:7:9: error: \"iommu\" cannot be \"smmuv2\"\n"
            "    did you mean \"smmuv3\"? possible: \"none\", \"smmuv3\"\n");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "iommu = \"virtio\"\n")),
            "c.toml:7:9: error: \"iommu\" cannot be \"virtio\"\n"
            "    write one of \"none\", \"smmuv3\"\n");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "iommu = \"smmuv3\"\n")),
            "c.toml:7:9: error: domain \"a\" has an iommu but no device behind it\n"
            "    leave iommu out, or give the domain a device or slots\n");
}

// Covers: S2.12
TEST_F(Check, AnIommuNeedsABoardThatNests) {
  const std::string lab = kTop + domain("a", "[0]", std::string("iommu = \"smmuv3\"\n") + kDrive);
  std::string board = test::kBoard;
  board.replace(board.find("iommu_stages = 2"), 16, "iommu_stages = 1");
  folder_.write("old.toml", board);
  board_ = "old";
  const std::string one_stage =
      "c.toml:7:9: error: domain \"a\" cannot have an iommu: the board's SMMUv3 translates in one "
      "stage, and that one is Penstock's\n"
      "    write iommu = \"none\", or iommu_stages = 2 in the board's description if it can do "
      "both\n";
  EXPECT_EQ(complaints(lab), one_stage);
  board.erase(board.find("iommu_stages = 1"), 16);
  folder_.write("old.toml", board);
  EXPECT_EQ(complaints(lab), one_stage);  // one stage is what a description means that says nothing
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", kDrive)), "");

  board.replace(board.find("\"smmuv3\""), 8, "\"none\"");
  folder_.write("bare.toml", board);
  board_ = "bare";
  EXPECT_EQ(complaints(lab + "accept = [\"no-isolation\"]\n"),
            "c.toml:7:9: error: domain \"a\" cannot have an iommu: the board has no SMMUv3\n"
            "    write iommu = \"none\"; accepting \"no-isolation\" does not stand in for it\n");
}

TEST_F(Check, ABoardHasOneOrTwoStages) {
  std::string board = test::kBoard;
  board.replace(board.find("iommu_stages = 2"), 16, "iommu_stages = 3");
  folder_.write("odd.toml", board);
  board_ = "odd";
  EXPECT_THAT(complaints(kTop + domain("a", "[0]")),
              HasSubstr("odd.toml:7:16: error: an SMMU has no 3 stages\n"
                        "    write 1, or 2 when a stream can have both at once\n"));
}

TEST_F(Check, RunTable) {
  EXPECT_EQ(
      complaints(kTop + domain("a", "[0, 1]") + "[run]\ncpus = 2\n[run.backend]\nnvme0 = \"-x\"\n"),
      "");
  EXPECT_EQ(plan_->board.cpus, 2U);
  EXPECT_EQ(complaints(kTop + domain("a", "[0]") + "[run.backend]\nnvme1 = \"-drive x\"\n"),
            "c.toml:8:9: error: no device of the board has the back end \"nvme1\"\n"
            "    did you mean \"nvme0\"?\n");
  EXPECT_EQ(complaints(kTop + domain("a", "[0]", "[[domain.device]]\nhost = \"05:00.0\"\n") +
                       "[[run.device]]\nbdf = \"05:00.0\"\nname = \"x\"\nreset = \"flr\"\n"
                       "isolation = \"acs\"\nqemu = \"e1000e\"\n"),
            "");
}

TEST_F(Check, MissingFile) {
  Diagnostics out;
  EXPECT_FALSE(check("/nowhere.toml", {}, out));
  EXPECT_THAT(to_text(out), HasSubstr("/nowhere.toml: error: cannot be read"));
}

}  // namespace
}  // namespace penstock::tool
