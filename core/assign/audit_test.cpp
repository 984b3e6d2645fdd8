#include "core/assign/audit.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "core/assign/test_board.hpp"
#include "core/hw/smmuv3/registers.hpp"

namespace penstock::assign {
namespace {

constexpr GuestBdf kNvmeAt{0, 1, 0};
constexpr GuestBdf kOtherAt{0, 2, 0};
constexpr std::uint64_t kBar = 0x1000'0000;
constexpr Hpa kSmmuRegisters{0x905'0000};

/// Two domains with a controller each, both at work, and a device that nobody has.
struct Audit : testing::Test {
  Audit() {
    EXPECT_TRUE(board.start());
    board.plug(1, sim::nvme_like());
    board.plug(2, sim::nvme_like());
    board.plug(3, sim::nvme_like());
    EXPECT_TRUE(board.enumerate());
    nvme = &board.device_of(0, 1, {.guest = kNvmeAt});
    other = &board.device_of(1, 2, {.guest = kOtherAt});
    nobodys = &board.device(3, {.guest = kNvmeAt});
    EXPECT_TRUE(board.ok);
    forbidden = {{{kPool, kPoolBytes, "maps the hypervisor's memory"},
                  {kSmmuRegisters, 128 * kKiB, "maps the SMMU"},
                  {Hpa(0x808'0000), 128 * kKiB, "maps the ITS"}}};
    for (unsigned i = 0; i < 2; ++i) domains[i] = board.domains[i]->audited();
  }
  TestDomain& red() { return *board.domains[0]; }
  TestDomain& blue() { return *board.domains[1]; }

  void drive() {
    ASSERT_TRUE(red().devices.assign_all());
    ASSERT_TRUE(blue().devices.assign_all());
    red().start_its();
    red().drive_nvme(kNvmeAt, kBar, 4, 8192);
    blue().start_its();
    blue().drive_nvme(kOtherAt, kBar, 2, 8192);
  }
  AuditReport look() {
    AuditReport report;
    audit({board.hw, domains, forbidden}, report);
    return report;
  }
  /// "" when all is well, else what was found first.
  std::string found() {
    const AuditReport report = look();
    EXPECT_EQ(report.ok(), report.texts() == 0);
    return report.ok() ? "" : std::string(report.text(0));
  }
  /// What is found after `harm`, all texts joined; nothing before it.
  std::string after(const std::function<void()>& harm) {
    EXPECT_EQ(found(), "");
    harm();
    const AuditReport report = look();
    std::string all;
    for (std::size_t i = 0; i < report.texts(); ++i) all += std::string(report.text(i)) + "\n";
    return all;
  }
  /// Word `n` of a stream-table entry, found as the SMMU finds it (IHI 0070, 3.3.2): two levels
  /// with 256 entries each.
  std::uint64_t& entry(StreamId stream, unsigned n) {
    const std::uint64_t base = board.smmu_model.read64(0x80) & 0x000f'ffff'ffff'ffc0;
    const std::uint64_t level1 = word(base + (stream.value() >> 8) * 8);
    return word((level1 & 0x00ff'ffff'ffff'ffc0) + (stream.value() & 0xff) * 64 + n * 8);
  }
  std::uint64_t& word(std::uint64_t at) {
    return *reinterpret_cast<std::uint64_t*>(board.memory.map(Hpa(at), 8));
  }

  TestBoard board;
  Device* nvme = nullptr;
  Device* other = nullptr;
  Device* nobodys = nullptr;
  std::array<AuditedDomain, 2> domains;
  std::array<ForbiddenRange, 3> forbidden;
};

bool says(const std::string& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}

// Covers: S2.27 H27 H34
TEST_F(Audit, ADevicesWholeLifeIsInOrder) {
  EXPECT_EQ(found(), "");
  EXPECT_EQ(look().streams, 0U);
  EXPECT_EQ(look().lpis, 0U);
  ASSERT_TRUE(red().devices.assign_all());
  EXPECT_EQ(found(), "");
  ASSERT_TRUE(blue().devices.assign_all());
  red().start_its();
  red().drive_nvme(kNvmeAt, kBar, 4, 8192);
  EXPECT_EQ(found(), "");
  const AuditReport report = look();
  EXPECT_EQ(report.streams, 2U);
  EXPECT_EQ(report.lpis, 2U * (nvme->vectors + 1));
  EXPECT_GT(report.mappings, 6U);
  red().set_config(kNvmeAt, red().capability(kNvmeAt, 0x10) + 8, 2, 0x8000);  // its guest resets it
  EXPECT_EQ(found(), "");
  red().drive_nvme(kNvmeAt, kBar + 0x10'0000, 2, 8200);
  red().enable_msix(kNvmeAt, false);
  EXPECT_EQ(found(), "");
  red().devices.take_all_back();
  EXPECT_EQ(found(), "");
  EXPECT_EQ(look().streams, 1U);
  blue().devices.take_all_back();
  EXPECT_EQ(found(), "");
  EXPECT_EQ(look().lpis, 0U);
}

// Covers: H34
TEST_F(Audit, ADeviceThatWasCutOffIsInOrder) {
  drive();
  ASSERT_TRUE(board.smmu.block(nvme->stream));
  EXPECT_EQ(found(), "");
  EXPECT_EQ(look().streams, 1U);
}

TEST_F(Audit, StreamTableEntries) {
  drive();
  struct Harm {
    unsigned word;
    std::uint64_t value;  // XORed
    std::string_view text;
  };
  const Harm harms[] = {
      {0, 1 << 1, "red: stream 0x8 has a wrong STE.Config"},  // nested
      {0, 1 << 2, "red: stream 0x8 has a wrong STE.Config"},  // bypasses
      {0, 1, "red: stream 0x8 aborts, and should not"},       // not valid
      {0, 0b110 << 1, "red: stream 0x8 aborts"},              // aborts
      {2, 7, "red: stream 0x8 has a VMID that is not its owner's"},
      {3, 0x2000, "red: stream 0x8 walks a table not its owner's"},
  };
  for (const Harm& harm : harms) {
    EXPECT_PRED2(says, after([&] { entry(nvme->stream, harm.word) ^= harm.value; }), harm.text);
    entry(nvme->stream, harm.word) ^= harm.value;
  }
}

// Covers: H34
TEST_F(Audit, AStreamWithSomebodyElsesTables) {
  drive();
  const std::uint64_t before = entry(nvme->stream, 2);
  entry(nvme->stream, 2) = entry(other->stream, 2);
  entry(nvme->stream, 3) = entry(other->stream, 3);
  const AuditReport report = look();
  EXPECT_EQ(report.violations(), 3U);  // VMID and table; and the other domain sees a stranger
  EXPECT_EQ(report.text(2), "blue: stream 0x8 walks its tables, being none of its");
  entry(nvme->stream, 2) = before;
}

// Covers: H27
TEST_F(Audit, AStreamOfADeviceThatIsNotAssigned) {
  ASSERT_TRUE(blue().devices.assign_all());
  EXPECT_PRED2(says, after([&] { ASSERT_TRUE(board.smmu.attach(nvme->stream, red().owner.dma)); }),
               "red: stream 0x8 is let through, and its device is not assigned");
  ASSERT_TRUE(board.smmu.detach(nvme->stream));
  EXPECT_PRED2(says,
               after([&] { ASSERT_TRUE(board.smmu.attach(nobodys->stream, red().owner.dma)); }),
               "red: stream 0x18 walks its tables, being none of its");
}

TEST_F(Audit, AStreamOfNobodysDeviceWithATableOfNobodys) {
  ASSERT_TRUE(blue().devices.assign_all());
  ASSERT_TRUE(board.smmu.attach(nobodys->stream, {Vmid(77), red().dma_table.root()}));
  EXPECT_EQ(found(), "stream 0x18 of no domain's device is let through");
}

// Covers: S2.27
TEST_F(Audit, MappingsThatDoNotBelong) {
  drive();
  constexpr Gpa kHole{0x3000'0000};
  struct Harm {
    mem::Stage2Table* table;
    Gpa at;
    Hpa to;
    std::string_view text;
  };
  const auto device = mem::Stage2Attributes::device();
  const Hpa doorbell = board.its.doorbell_page();
  const Harm harms[] = {
      {&red().cpu_table, kHole, Hpa(0xa000'0000), "red: CPU table maps what is not the domain's"},
      {&red().cpu_table, kHole, kSmmuRegisters, "red: CPU table maps the SMMU: 0x30000000 to 0x90"},
      {&red().dma_table, kHole, kSmmuRegisters + 0x1000, "red: DMA table maps the SMMU"},
      {&red().cpu_table, kHole, kPool + 0x4000, "maps the hypervisor's memory"},
      {&blue().dma_table, kHole, red().ram, "blue: DMA table maps another domain's RAM"},
      {&red().cpu_table, kGuestRam + kRamBytes, red().ram, "maps what is not the domain's"},
      {&red().cpu_table, kGuestDoorbellPage, doorbell, "red: CPU table maps the ITS"},
      {&red().dma_table, kGuestDoorbellPage, doorbell, "red: DMA table maps what is not"},
      {&red().doorbell_table, kGuestDoorbellPage + 0x1000, doorbell, "with doorbell maps the ITS"},
      {&red().cpu_table, kHole, other->info.bars[0].host, "maps what is not the domain's"},
      {&red().cpu_table, kHole, nvme->info.bars[0].host, "maps what is not the domain's"},
      {&red().dma_table, kHole, nvme->info.bars[0].host, "maps what is not the domain's"},
      {&red().cpu_table, Gpa(kBar + 0x2000), nvme->info.bars[0].host + 0x2000, "not the domain's"},
  };
  for (const Harm& harm : harms) {
    EXPECT_PRED2(says,
                 after([&] { ASSERT_TRUE(harm.table->map(harm.at, harm.to, kPageSize, device)); }),
                 harm.text);
    ASSERT_TRUE(harm.table->unmap(harm.at, kPageSize));
  }
}

TEST_F(Audit, MappingsThatAreMissing) {
  drive();
  EXPECT_PRED2(says, after([&] { ASSERT_TRUE(red().cpu_table.unmap(Gpa(kBar), kPageSize)); }),
               "red: CPU table has 0x1000 bytes of BARs, not 0x2000");
  ASSERT_TRUE(red().cpu_table.map(Gpa(kBar), nvme->info.bars[0].host, kPageSize,
                                  mem::Stage2Attributes::device()));
  EXPECT_PRED2(says, after([&] { ASSERT_TRUE(blue().dma_table.unmap(kGuestRam, kPageSize)); }),
               "blue: DMA table has 0x7f000 bytes of RAM, not 0x80000");
  ASSERT_TRUE(
      blue().dma_table.map(kGuestRam, blue().ram, kPageSize, mem::Stage2Attributes::dma_ram()));
  EXPECT_PRED2(
      says, after([&] { ASSERT_TRUE(red().doorbell_table.unmap(kGuestDoorbellPage, kPageSize)); }),
      "red: DMA table without the doorbell");
}

// Covers: S0.20
TEST_F(Audit, MappingsInTheWrongPlaceOrWithWrongRights) {
  drive();
  ASSERT_TRUE(red().doorbell_table.unmap(kGuestDoorbellPage, kPageSize));
  ASSERT_TRUE(red().doorbell_table.map(kGuestDoorbellPage, board.its.doorbell_page(), kPageSize,
                                       mem::Stage2Attributes::device()));
  EXPECT_PRED2(says, found(), "red: DMA table with doorbell has wrong rights: 0x8090000");
  ASSERT_TRUE(blue().dma_table.unmap(kGuestRam, kPageSize));
  ASSERT_TRUE(blue().dma_table.map(kGuestRam, blue().ram + kPageSize, kPageSize,
                                   mem::Stage2Attributes::ram()));
  const AuditReport report = look();
  EXPECT_EQ(report.violations(), 3U);
  EXPECT_PRED2(says, std::string(report.text(1)), "blue: DMA table leads to the wrong place");
  EXPECT_PRED2(says, std::string(report.text(2)), "blue: DMA table has wrong rights");
}

// Covers: H34
TEST_F(Audit, ABarThatIsLeftBehind) {
  drive();
  red().devices.take_all_back();
  EXPECT_PRED2(says, after([&] {
                 ASSERT_TRUE(red().cpu_table.map(Gpa(kBar), nvme->info.bars[0].host, kPageSize,
                                                 mem::Stage2Attributes::device()));
               }),
               "red: CPU table maps what is not the domain's: 0x10000000");
}

TEST_F(Audit, WhatIsTwoDomains) {
  drive();
  domains[1].ram_home = domains[0].ram_home;
  EXPECT_GT(look().violations(), 3U);
  domains[1].ram_home = blue().ram;
  EXPECT_EQ(found(), "");
  red().devices.take_all_back();
  blue().devices.take_all_back();
  ASSERT_TRUE(blue().devices.add(*nvme));
  EXPECT_EQ(found(), "red and blue have a device in common");
}

// Covers: H3
TEST_F(Audit, LpisThatAreOnOrOffAndShouldNot) {
  drive();
  const HostLpi foreign(16000);
  const std::uint64_t enabled = look().lpis;
  EXPECT_PRED2(says, after([&] { board.lpi_tables.configure(foreign, true, 0xa0); }),
               "LPI 16000 of no device is configured");
  EXPECT_EQ(look().lpis, enabled + 1);
  board.lpi_tables.configure(foreign, false, 0xa0);
  EXPECT_PRED2(says, after([&] { board.lpi_tables.configure(foreign, false, 0x20); }),
               "LPI 16000 of no device is configured");
  EXPECT_EQ(look().lpis, enabled) << "configured, and not enabled";
  board.lpi_tables.configure(foreign, false, 0xa0);
  EXPECT_PRED2(says, after([&] { board.lpi_tables.configure(nvme->stray_lpi, false, 0xa0); }),
               "has a wrong configuration byte");
  board.lpi_tables.configure(nvme->stray_lpi, true, 0xa0);
  EXPECT_PRED2(says, after([&] { board.lpi_tables.configure(nvme->first_lpi, true, 0); }),
               "has a wrong configuration byte");
}

// Covers: H27 H34
TEST_F(Audit, RoutesThatLeadNowhereGood) {
  drive();
  const Route into{Route::Kind::kGuest, DomainId(0), VcpuIndex(0), nvme->index, GuestIntId(8192)};
  const HostLpi foreign(16000);
  struct Harm {
    HostLpi lpi;
    Route route;
    std::string_view text;
  };
  Route nowhere = into;
  nowhere.domain = DomainId(7);
  Route absent = into;
  absent.vcpu = VcpuIndex(2);
  Route no_lpi = into;
  no_lpi.lpi = GuestIntId(27);
  const Harm harms[] = {
      {foreign, into, "red: LPI 16000 leads into the domain, and should not"},
      {foreign, nowhere, "LPI 16000 leads to no domain"},
      {other->first_lpi, into, "leads into the domain, and should not"},
      {nvme->first_lpi, absent, "leads into the domain, and should not"},
      {nvme->first_lpi, no_lpi, "leads into the domain, and should not"},
      {nvme->stray_lpi, into, "leads into the domain, and should not"},
      {nvme->stray_lpi, {}, "does not lead to its owner"},
  };
  for (const Harm& harm : harms) {
    const Route before = board.routes.get(harm.lpi);
    EXPECT_PRED2(says, after([&] { board.routes.set(harm.lpi, harm.route); }), harm.text);
    board.routes.set(harm.lpi, before);
  }
  red().devices.take_all_back();
  EXPECT_PRED2(says, after([&] { board.routes.set(HostLpi(8192), into); }),
               "red: LPI 8192 leads into the domain, and should not");
}

// Covers: H27
TEST_F(Audit, DevicesAtTheIts) {
  drive();
  const auto lpis = board.lpis.take(DomainId(1), 3);
  ASSERT_TRUE(lpis);
  EXPECT_PRED2(says, found(), "blue: its devices have");
  const msi::DeviceEvents events{2, *lpis, HostLpi(lpis->value() + 2)};
  ASSERT_TRUE(board.its.map_device(nobodys->device_id, events, CpuIndex(0)));
  const AuditReport report = look();
  EXPECT_PRED2(says, std::string(report.text(report.texts() - 1)), "DeviceID 0x18 of no domain");
  ASSERT_TRUE(board.its.unmap_device(nobodys->device_id));
  ASSERT_TRUE(board.lpis.give_back(DomainId(1), *lpis, 3));
  EXPECT_PRED2(says, after([&] { ASSERT_TRUE(board.its.unmap_device(nvme->device_id)); }),
               "red: 0000:00:01.0 has no table at the ITS");
}

TEST_F(Audit, AnItsThatIsOffOrHasOtherTables) {
  drive();
  EXPECT_PRED2(says, after([&] { board.its_model.write32(0, 0); }), "the ITS is off");
  board.its_model.write64(0x100, 0);
  board.its_model.write32(0, 1);
  EXPECT_PRED2(says, found(), "the ITS is off or has other tables");
}

// Covers: S2.9
TEST_F(Audit, AGuestsOwnStage1) {
  drive();
  domains[0].has_stage1 = true;
  using Mode = hw::smmuv3::Stage1Mode;
  const StreamId stream = nvme->stream;
  EXPECT_EQ(found(), "");
  for (const Mode mode : {Mode::kAbort, Mode::kInvalid}) {
    ASSERT_TRUE(board.smmu.configure(stream, {mode, 0, 0}));
    EXPECT_EQ(found(), "");
  }
  const hw::smmuv3::Stage1 nested{Mode::kTranslate, 0x4000'1000, 0x54};
  ASSERT_TRUE(board.smmu.configure(stream, nested));
  EXPECT_EQ(found(), "");
  EXPECT_EQ(look().streams, 2U);
  EXPECT_PRED2(says, after([&] { entry(stream, 0) ^= 0x1'0000; }),
               "red: stream 0x8 has other stage-1 fields than asked for");
  entry(stream, 0) ^= 0x1'0000;
  EXPECT_PRED2(says, after([&] { entry(stream, 1) ^= 0x10; }),
               "red: stream 0x8 has other stage-1 fields than asked for");
  entry(stream, 1) ^= 0x10;
  EXPECT_PRED2(says, after([&] { entry(stream, 0) ^= 2; }),
               "red: stream 0x8 has a wrong STE.Config");
  entry(stream, 0) ^= 2;
  EXPECT_PRED2(says, after([&] { entry(stream, 0) = 1; }), "red: stream 0x8 aborts");
  ASSERT_TRUE(board.smmu.configure(stream, {Mode::kAbort, 0, 0}));
  EXPECT_PRED2(says, after([&] { entry(stream, 0) = 1 | 7 << 1; }),
               "red: stream 0x8 does not abort, as stage 1 wants it");
}

TEST_F(Audit, OnlyADomainWithItsOwnIommuHasAStage1) {
  drive();
  const hw::smmuv3::Stage1 nested{hw::smmuv3::Stage1Mode::kTranslate, 0x4000'1000, 0};
  ASSERT_TRUE(board.smmu.configure(nvme->stream, nested));
  EXPECT_EQ(found(), "red: stream 0x8 has a wrong STE.Config");
}

TEST_F(Audit, ABoardWithoutSmmuAndIts) {
  board.hw.smmu = nullptr;
  board.hw.its = nullptr;
  for (AuditedDomain& domain : domains) domain.dma = domain.with_doorbell = {};
  EXPECT_EQ(found(), "");
}

TEST(AuditReport, IsOneLineOfJson) {
  AuditReport report;
  report.streams = 3;
  report.mappings = 12;
  Text<AuditReport::kJsonBytes> good;
  report.write_json(good);
  EXPECT_EQ(good.view(), R"({"ok":true,"streams":3,"mappings":12,"lpis":0,"violations":[]})");
  for (unsigned i = 0; i < AuditReport::kTexts + 3; ++i) {
    report.violation(std::string(2 * AuditReport::kTextBytes, '"'));
  }
  Text<AuditReport::kJsonBytes> bad;
  report.write_json(bad);
  EXPECT_TRUE(bad.view().starts_with(R"({"ok":false,"streams":3,"mappings":12,"lpis":0,"viol)"));
  EXPECT_TRUE(bad.view().ends_with(R"(???","and 3 more"]})"));
}

}  // namespace
}  // namespace penstock::assign
