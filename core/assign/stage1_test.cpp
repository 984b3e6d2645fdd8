// A guest's own SMMUv3 from end to end, on the simulated board: its tables lie in its RAM, its
// driver's commands go through the virtual SMMU to ours, ours programs the board's, and devices
// write to memory through both stages.
#include "core/assign/stage1.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "core/assign/test_board.hpp"
#include "core/viommu/virtual_smmu.hpp"

namespace penstock::assign {
namespace {

constexpr GuestBdf kA{0, 5, 0};
constexpr GuestBdf kB{0, 6, 0};
constexpr std::uint64_t kBar = 0x1000'0000;
constexpr std::uint64_t kOtherBar = 0x1010'0000;
constexpr std::uint64_t kIova = 0x1'0000'0000;  // where guests map their buffers
constexpr std::uint64_t kRam = kGuestRam.value();

/// A domain's RAM as its emulated devices see it.
class GuestRam final : public port::GuestMem {
 public:
  GuestRam(sim::Memory& memory, Hpa ram) : memory_(memory), ram_(ram) {}
  Status read(Gpa from, std::span<std::uint8_t> to) override {
    if (!holds(from, to.size())) return fail(Code::kNotMapped, from.value());
    std::memcpy(to.data(), memory_.map(at(from), to.size()), to.size());
    return {};
  }
  Status write(Gpa to, std::span<const std::uint8_t> from) override {
    if (!holds(to, from.size())) return fail(Code::kNotMapped, to.value());
    std::memcpy(memory_.map(at(to), from.size()), from.data(), from.size());
    memory_.make_observable(at(to), from.size());
    return {};
  }
  Status store32(Gpa to, std::uint32_t value) override {
    if (!to.is_aligned(4)) return fail(Code::kMisaligned, to.value());
    std::array<std::uint8_t, 4> bytes{};
    store_le(bytes, 0, 4, value);
    return write(to, bytes);
  }
  void put(std::uint64_t gpa, std::uint64_t value) {
    std::array<std::uint8_t, 8> bytes{};
    store_le(bytes, 0, 8, value);
    EXPECT_TRUE(write(Gpa(gpa), bytes)) << std::hex << gpa;
  }
  std::uint64_t get(std::uint64_t gpa) {
    std::array<std::uint8_t, 8> bytes{};
    EXPECT_TRUE(read(Gpa(gpa), bytes)) << std::hex << gpa;
    return load_le(bytes, 0, 8);
  }

 private:
  [[nodiscard]] Hpa at(Gpa gpa) const { return ram_ + (gpa - kGuestRam); }
  [[nodiscard]] static bool holds(Gpa gpa, std::uint64_t size) {
    return gpa >= kGuestRam && fits(gpa - kGuestRam, size, kRamBytes);
  }
  sim::Memory& memory_;
  Hpa ram_;
};

struct CountingIrqs final : port::IrqSink {
  void pulse(GuestIntId /*intid*/) override { ++pulses; }
  void send_event() override {}
  unsigned pulses = 0;
};

/// The guest's driver: a linear stream table, one context descriptor and one set of tables per
/// device (39 bits, 4 KiB), all of it in its own RAM.
class Driver {
 public:
  static constexpr std::uint64_t kTable = kRam + 0x1'0000;
  static constexpr std::uint64_t kQueue = kRam + 0x2'0000;
  static constexpr std::uint64_t kEvents = kRam + 0x2'1000;
  static constexpr std::uint64_t kContexts = kRam + 0x3'0000;  // 64 bytes each
  static constexpr std::uint64_t kTables = kRam + 0x3'1000;    // three pages each
  static constexpr std::uint64_t kData = kRam + 0x4'0000;

  Driver(TestBoard& board, TestDomain& domain)
      : memory(board.memory, domain.ram),
        host(board.smmu, domain.vmid(1), board.log, domain.owner.name),
        vsmmu(board.smmu.id_registers(), host) {
    vsmmu.connect({Gpa(0x0905'0000), GuestIntId(42), &memory, &irqs});
    domain.owner.iommu = &vsmmu;
    EXPECT_TRUE(domain.devices.init(board.hw, domain.owner, 0));
  }
  void run() {
    for (unsigned i = 0; vsmmu.has_work() && i < 1000; ++i) vsmmu.run();
    EXPECT_FALSE(vsmmu.has_work());
  }
  void start() {
    vsmmu.write(0x80, 8, kTable);
    vsmmu.write(0x88, 4, 8);
    vsmmu.write(0x90, 8, kQueue | 8);
    vsmmu.write(0xa0, 8, kEvents | 4);
    vsmmu.write(0x50, 4, 5);
    vsmmu.write(0x20, 4, 13);
    run();
    EXPECT_EQ(vsmmu.read(0x24, 4), 13u);
  }
  void stop() {
    vsmmu.write(0x20, 4, 0);
    run();
    EXPECT_EQ(vsmmu.read(0x24, 4), 0u);
  }
  void queue(std::uint64_t word0, std::uint64_t word1) {
    memory.put(kQueue + (prod_ & 0xff) * 16, word0);
    memory.put(kQueue + (prod_ & 0xff) * 16 + 8, word1);
    prod_ = (prod_ + 1) & 0x1ff;
  }
  /// The command and a sync, executed.
  void issue(std::uint64_t word0, std::uint64_t word1 = 0) {
    queue(word0, word1);
    queue(0x46, 0);
    vsmmu.write(0x98, 4, prod_);
    run();
    EXPECT_EQ(vsmmu.read(0x9c, 4), prod_);
  }
  void write_entry(GuestBdf device, std::uint64_t word0, std::uint64_t word1 = 0) {
    memory.put(kTable + device.value() * 64ULL + 8, word1);
    memory.put(kTable + device.value() * 64ULL, word0);
  }
  void set_entry(GuestBdf device, std::uint64_t word0, std::uint64_t word1 = 0) {
    write_entry(device, word0, word1);
    issue(0x03 | std::uint64_t{device.value()} << 32, 1);
  }
  static constexpr std::uint64_t context(unsigned i) { return kContexts + i * 64; }
  static constexpr std::uint64_t translate(unsigned i) { return 0xb | context(i); }
  static constexpr std::uint64_t asid(unsigned i) { return i + 1; }
  /// Context `i` and its empty tables.
  void make_context(unsigned i) {
    // T0SZ 25, EPD1, V, IPS 40 bits, AA64, R, A, ASET, ASID
    memory.put(context(i), 25 | 1ULL << 30 | 1ULL << 31 | 2ULL << 32 | 1ULL << 41 | 1ULL << 45 |
                               1ULL << 46 | 1ULL << 47 | asid(i) << 48);
    memory.put(context(i) + 8, root(i));
    for (const std::uint64_t gib : {1ULL, 4ULL}) memory.put(root(i) + gib * 8, mid(i) | 3);
    memory.put(mid(i), last(i) | 3);
  }
  /// Page `page` of the context's 2 MiB, which appear at 0 of the first and the fourth GiB.
  void map(unsigned i, unsigned page, std::uint64_t ipa, bool writable = true) {
    memory.put(last(i) + page * 8, ipa | (writable ? 0x40 : 0xc0) | 0x400 | 3);
  }
  void unmap(unsigned i, unsigned page) { memory.put(last(i) + page * 8, 0); }
  void forget(unsigned i, std::uint64_t iova) { issue(0x12 | asid(i) << 48, iova | 1); }
  [[nodiscard]] std::array<std::uint64_t, 4> event(unsigned n) {
    std::array<std::uint64_t, 4> words{};
    for (unsigned k = 0; k < 4; ++k) words[k] = memory.get(kEvents + n % 16 * 32 + k * 8);
    return words;
  }
  [[nodiscard]] std::uint64_t event_count() { return vsmmu.read(0x1'00a8, 4); }

  GuestRam memory;
  CountingIrqs irqs;
  SmmuStage1 host;
  viommu::VirtualSmmu vsmmu;

 private:
  static constexpr std::uint64_t root(unsigned i) { return kTables + i * 0x3000; }
  static constexpr std::uint64_t mid(unsigned i) { return root(i) + 0x1000; }
  static constexpr std::uint64_t last(unsigned i) { return root(i) + 0x2000; }
  std::uint32_t prod_ = 0;
};

/// Red has two controllers, blue one at the same place; each guest has an SMMU of its own.
struct OwnStage1 : testing::Test {
  OwnStage1() {
    EXPECT_TRUE(board.start());
    for (unsigned i = 0; i < 3; ++i) models[i] = &board.plug(i + 1, sim::nvme_like());
    EXPECT_TRUE(board.enumerate());
    for (unsigned i = 0; i < 2; ++i) {
      drivers[i] = std::make_unique<Driver>(board, *board.domains[i]);
    }
    devices[0] = &board.device_of(0, 1, {.guest = kA});
    devices[1] = &board.device_of(0, 2, {.guest = kB});
    devices[2] = &board.device_of(1, 3, {.guest = kA});
    EXPECT_TRUE(board.ok);
    for (auto& domain : board.domains) {
      EXPECT_TRUE(domain->devices.assign_all());
      domain->start_its();
    }
    drive(red(), kA, kBar);
    drive(red(), kB, kOtherBar);
    drive(blue(), kA, kBar);
    for (auto& driver : drivers) driver->run();
  }
  ~OwnStage1() override { EXPECT_EQ(board.violation(), ""); }

  static void drive(TestDomain& domain, GuestBdf bdf, std::uint64_t bar) {
    domain.place_bar(bdf, 0, bar);
    domain.enable(bdf);
  }
  TestDomain& red() { return *board.domains[0]; }
  TestDomain& blue() { return *board.domains[1]; }
  Driver& driver() { return *drivers[0]; }
  /// One byte into memory, as the device `i` (A, B, blue's) does it.
  bool write(unsigned i, std::uint64_t at, std::uint8_t value = 1) {
    return models[i]->dma_write(at, std::span<const std::uint8_t>(&value, 1));
  }
  std::uint8_t red_byte(std::uint64_t gpa) { return board.byte(red().ram + (gpa - kRam)); }
  /// Contexts 0 and 1 for A and B, both translating.
  void start_both() {
    driver().make_context(0);
    driver().make_context(1);
    driver().write_entry(kA, Driver::translate(0));
    driver().write_entry(kB, Driver::translate(1));
    driver().start();
  }
  std::vector<iommu::Fault> faults() {
    std::array<iommu::Fault, 64> out;
    const unsigned n = board.smmu.take_events(out);
    return {out.begin(), out.begin() + n};
  }

  TestBoard board;
  std::array<sim::PciFunction*, 3> models{};
  std::array<Device*, 3> devices{};
  std::array<std::unique_ptr<Driver>, 2> drivers;
};

// Covers: S2.1 S2.3 S1.11
TEST_F(OwnStage1, ADeviceGoesThroughBothStages) {
  EXPECT_TRUE(write(0, Driver::kData, 0x11));  // before: its memory as it lies
  EXPECT_EQ(red_byte(Driver::kData), 0x11);
  EXPECT_FALSE(write(0, kIova));

  driver().make_context(0);
  driver().map(0, 0, Driver::kData + 0x1000);
  driver().map(0, 1, Driver::kData + 0x2000, false);
  driver().write_entry(kA, Driver::translate(0));
  driver().start();
  EXPECT_TRUE(write(0, kIova + 5, 0x22));
  EXPECT_EQ(red_byte(Driver::kData + 0x1005), 0x22);
  EXPECT_FALSE(write(0, kIova + 0x1000)) << "read-only in stage 1";
  std::array<std::uint8_t, 1> byte{};
  EXPECT_TRUE(models[0]->dma_read(kIova + 0x1000, byte));
  EXPECT_FALSE(write(0, kIova + 0x2000)) << "not mapped";
  EXPECT_FALSE(write(0, Driver::kData)) << "what it reached before";
  EXPECT_FALSE(write(1, Driver::kData)) << "its entry is not valid";

  driver().stop();  // and after
  EXPECT_TRUE(write(0, Driver::kData, 0x33));
  EXPECT_EQ(red_byte(Driver::kData), 0x33);
  EXPECT_FALSE(write(0, kIova));
}

// Covers: S2.1 S0.19
TEST_F(OwnStage1, StageTwoLimitsWhateverStageOneSays) {
  start_both();
  unsigned page = 0;
  const auto reach = [&](std::uint64_t ipa) {
    driver().map(0, ++page, ipa);
    return write(0, kIova + page * 0x1000);
  };
  EXPECT_TRUE(reach(Driver::kData));
  EXPECT_FALSE(reach(kRam + kRamBytes));    // beyond its RAM
  EXPECT_FALSE(reach(red().ram.value()));   // machine addresses: its own,
  EXPECT_FALSE(reach(blue().ram.value()));  // another's,
  EXPECT_FALSE(reach(kPool.value()));       // ours,
  EXPECT_FALSE(reach(0x0905'0000));         // the SMMU that it sees,
  EXPECT_FALSE(reach(0x0808'0000));         // the ITS's registers
  EXPECT_FALSE(reach(kGuestDoorbellPage.value() + 0x1000));
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 7u);
  for (const iommu::Fault& fault : seen) {
    EXPECT_TRUE(fault.stage2);
    EXPECT_FALSE(tell_guest(driver().vsmmu, *devices[0], fault));
  }
  EXPECT_EQ(driver().event_count(), 0u);
  // The doorbell can be written, not read.
  driver().map(0, 100, kGuestDoorbellPage.value());
  std::array<std::uint8_t, 4> bytes{};
  EXPECT_FALSE(models[0]->dma_read(kIova + 100 * 0x1000 + 0x40, bytes));
}

// Context descriptors and tables that themselves lie outside.
// Covers: S2.1 S2.3 H52
TEST_F(OwnStage1, TablesAreWalkedBehindStageTwo) {
  driver().start();
  driver().set_entry(kA, 0xb | blue().ram.value());
  EXPECT_FALSE(write(0, kIova));
  driver().make_context(0);
  driver().memory.put(Driver::context(0) + 8, kPool.value());
  driver().set_entry(kA, Driver::translate(0));
  EXPECT_FALSE(write(0, kIova));
  for (const iommu::Fault& fault : faults()) EXPECT_TRUE(fault.stage2);
}

// Covers: S2.2 S2.10 S2.7 S2.26
TEST_F(OwnStage1, TwoDevicesOfOneGuestAreApart) {
  start_both();
  driver().map(0, 0, Driver::kData);
  driver().map(1, 0, Driver::kData + 0x8000);
  driver().map(0, 1, Driver::kData + 0x1000);  // A's alone
  EXPECT_TRUE(write(0, kIova, 0xaa));
  EXPECT_TRUE(write(1, kIova, 0xbb));
  EXPECT_TRUE(write(0, kIova + 0x1000, 0xcc));
  EXPECT_FALSE(write(1, kIova + 0x1000, 0xdd));
  EXPECT_FALSE(write(1, Driver::kData + 0x1000, 0xdd));
  EXPECT_EQ(red_byte(Driver::kData), 0xaa);
  EXPECT_EQ(red_byte(Driver::kData + 0x8000), 0xbb);
  EXPECT_EQ(red_byte(Driver::kData + 0x1000), 0xcc);
  EXPECT_EQ(board.smmu.owner(devices[0]->stream), board.smmu.owner(devices[1]->stream));

  // The guest is told, in its own terms.
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 2u);
  for (const iommu::Fault& fault : seen) {
    EXPECT_EQ(fault.stream, devices[1]->stream);
    EXPECT_TRUE(tell_guest(driver().vsmmu, *devices[1], fault));
  }
  ASSERT_EQ(driver().event_count(), 2u);
  EXPECT_EQ(driver().event(0)[0], 0x10 | std::uint64_t{kB.value()} << 32);
  EXPECT_EQ(driver().event(0)[1], 2ULL << 40);  // a write, of the address itself
  EXPECT_EQ(driver().event(0)[2], kIova + 0x1000);
  EXPECT_EQ(driver().event(1)[2], Driver::kData + 0x1000);
  EXPECT_EQ(driver().irqs.pulses, 1u);
  EXPECT_EQ(drivers[1]->event_count(), 0u);
}

// Covers: S2.26 S2.7
TEST_F(OwnStage1, FaultsInOnePage_AreOneEventForTheGuest) {
  start_both();
  for (unsigned i = 0; i < 50; ++i) EXPECT_FALSE(write(0, kIova + i));
  EXPECT_EQ(board.smmu_model.events_merged(), 49u);
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(tell_guest(driver().vsmmu, *devices[0], seen[0]));
  EXPECT_EQ(driver().event_count(), 1u);
}

// Covers: S2.7
TEST_F(OwnStage1, AnEntryThatIsNotValidIsTheGuestsToHearOf) {
  driver().start();
  EXPECT_FALSE(write(0, kIova));
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(tell_guest(driver().vsmmu, *devices[0], seen[0]));
  EXPECT_EQ(driver().event(0),
            (std::array<std::uint64_t, 4>{0x04 | std::uint64_t{kA.value()} << 32, 0, 0, 0}));
  driver().set_entry(kA, 1);  // abort: silent
  EXPECT_FALSE(write(0, kIova));
  EXPECT_TRUE(faults().empty());
}

// Covers: S2.8
TEST_F(OwnStage1, ARemapIsSeenFromItsInvalidationOn) {
  start_both();
  driver().map(0, 0, Driver::kData);
  EXPECT_TRUE(write(0, kIova, 1));
  driver().map(0, 0, Driver::kData + 0x1000);
  EXPECT_TRUE(write(0, kIova, 2));
  EXPECT_EQ(red_byte(Driver::kData), 2) << "the TLB of the model does go stale";
  driver().forget(0, kIova);
  EXPECT_TRUE(write(0, kIova, 3));
  EXPECT_EQ(red_byte(Driver::kData + 0x1000), 3);

  driver().unmap(0, 0);
  driver().issue(0x11 | Driver::asid(1) << 48);  // of another ASID
  EXPECT_TRUE(write(0, kIova, 4));
  for (const std::uint64_t command :
       {0x11 | Driver::asid(0) << 48, std::uint64_t{0x10}, std::uint64_t{0x30}}) {
    driver().issue(command);
    EXPECT_FALSE(write(0, kIova)) << std::hex << command;
    driver().map(0, 0, Driver::kData);
    EXPECT_TRUE(write(0, kIova));
    driver().unmap(0, 0);
    EXPECT_TRUE(write(0, kIova));
  }
}

// Covers: S2.8 S2.10
TEST_F(OwnStage1, AContextDescriptorCountsFromItsCommandOn) {
  start_both();
  driver().map(0, 0, Driver::kData);
  driver().map(1, 0, Driver::kData + 0x8000);
  EXPECT_TRUE(write(0, kIova, 1));
  // A's descriptor becomes that of the second set of tables.
  const std::uint64_t other = driver().memory.get(Driver::context(1) + 8);
  driver().memory.put(Driver::context(0) + 8, other);
  driver().issue(0x11 | Driver::asid(0) << 48);
  EXPECT_TRUE(write(0, kIova, 2));
  EXPECT_EQ(red_byte(Driver::kData), 2) << "the descriptor is cached";
  driver().issue(0x05 | std::uint64_t{kB.value()} << 32, 1);  // another device's
  driver().issue(0x11 | Driver::asid(0) << 48);
  EXPECT_TRUE(write(0, kIova, 3));
  EXPECT_EQ(red_byte(Driver::kData), 3);
  driver().issue(0x05 | std::uint64_t{kA.value()} << 32, 1);
  driver().issue(0x11 | Driver::asid(0) << 48);
  EXPECT_TRUE(write(0, kIova, 4));
  EXPECT_EQ(red_byte(Driver::kData + 0x8000), 4);
}

// Both guests use the same stream IDs, ASIDs and addresses.
// Covers: S2.8 S2.10 H51 H53
TEST_F(OwnStage1, OneGuestsInvalidationsDoNotTouchAnothers) {
  start_both();
  Driver& other = *drivers[1];
  other.make_context(0);
  other.write_entry(kA, Driver::translate(0));
  other.start();
  other.map(0, 0, Driver::kData);
  driver().map(0, 0, Driver::kData);
  EXPECT_TRUE(write(0, kIova, 1));
  EXPECT_TRUE(write(2, kIova, 2));
  other.unmap(0, 0);  // and is not invalidated: what is cached still works
  const std::uint64_t blues = blue().vmid(1).value();
  board.smmu_model.forget_commands();
  driver().issue(0x10 | blues << 32);
  driver().issue(0x30);
  driver().issue(0x11 | blues << 32 | Driver::asid(0) << 48);
  driver().issue(0x12 | blues << 32 | Driver::asid(0) << 48, kIova);
  driver().issue(0x13 | blues << 32, kIova);
  driver().issue(0x03 | std::uint64_t{devices[2]->stream.value()} << 32);
  driver().issue(0x06 | std::uint64_t{devices[2]->stream.value()} << 32);
  driver().issue(0x04, 31);
  EXPECT_TRUE(write(2, kIova, 3)) << "its entries are gone from the TLB";
  for (const auto& command : board.smmu_model.commands()) {
    const std::uint64_t op = command[0] & 0xff;
    if (op >= 0x10 && op < 0x40) {
      EXPECT_EQ((command[0] >> 32) & 0xffff, red().vmid(1).value());
      EXPECT_LT(op, 0x20u);
    } else if (op != 0x46) {
      EXPECT_NE(command[0] >> 32, devices[2]->stream.value());
      EXPECT_NE(op, 4u);
    }
  }
  other.forget(0, kIova);
  EXPECT_FALSE(write(2, kIova));
}

// ---- from one entry to another ----

struct Target {
  const char* name;
  std::uint64_t word0;
  std::uint64_t word1;
  std::uint64_t leads_to;  // the IPA of the probed address; 0: nowhere
};

constexpr std::uint64_t kProbe = Driver::kData;  // an IOVA that means something in every mode
constexpr unsigned kProbePage = (kProbe - kRam) >> 12;

// At each moment that the board could look, the device meets the old entry, the new one, or none.
// Covers: S2.17 H30 H37
TEST_F(OwnStage1, EntriesAreNeverTorn) {
  const Target targets[] = {
      {"bypass", 0x9, 0, kProbe},
      {"abort", 0x1, 0, 0},
      {"invalid", 0, 0, 0},
      {"first context", Driver::translate(0), 0, Driver::kData + 0x1000},
      {"second context", Driver::translate(1), 0, Driver::kData + 0x2000},
      {"second, other attributes", Driver::translate(1), 0xfc, Driver::kData + 0x2000},
      {"nothing mapped", Driver::translate(2), 0x54, 0},
  };
  for (unsigned i = 0; i < 3; ++i) driver().make_context(i);
  driver().map(0, kProbePage, Driver::kData + 0x1000);
  driver().map(1, kProbePage, Driver::kData + 0x2000);
  driver().start();
  const std::uint32_t stream = devices[0]->stream.value();
  const auto machine = [&](std::uint64_t ipa) { return ipa - kRam + red().ram.value(); };
  std::function<void()> look = [] {};
  board.memory.on_observable([&](Hpa, std::uint64_t) { look(); });
  board.smmu_model.before_sync([&] { look(); });
  for (const Target& from : targets) {
    for (const Target& to : targets) {
      driver().set_entry(kA, from.word0, from.word1);
      unsigned looks = 0;
      look = [&] {
        ++looks;
        const auto out = board.smmu_model.translate(stream, kProbe, true);
        if (!out.ok) return;
        EXPECT_TRUE((from.leads_to != 0 && out.pa == machine(from.leads_to)) ||
                    (to.leads_to != 0 && out.pa == machine(to.leads_to)))
            << from.name << " -> " << to.name << " " << std::hex << out.pa;
      };
      driver().set_entry(kA, to.word0, to.word1);
      look = [] {};
      EXPECT_GE(looks, 2u);
      const auto out = board.smmu_model.translate(stream, kProbe, true);
      EXPECT_EQ(out.ok, to.leads_to != 0) << from.name << " -> " << to.name;
      if (out.ok) EXPECT_EQ(out.pa, machine(to.leads_to)) << from.name << " -> " << to.name;
      (void)faults();
    }
  }
}

// Nothing of an abandoned stage 1 is served afterwards.
// Covers: S2.17 H36 H37
TEST_F(OwnStage1, WhatTheOldEntryGaveIsForgotten) {
  start_both();
  driver().map(0, 0, Driver::kData);
  for (const std::uint64_t next :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{9}, Driver::translate(1)}) {
    driver().set_entry(kA, Driver::translate(0));
    EXPECT_TRUE(write(0, kIova));
    driver().set_entry(kA, next);
    EXPECT_FALSE(write(0, kIova)) << std::hex << next;
  }
}

// The guest's stage-2 fields, VMID and reserved bits do not count.
// Covers: S2.4
TEST_F(OwnStage1, ThePhysicalEntryIsOursButForStageOne) {
  start_both();
  for (unsigned word = 2; word < 8; ++word) {
    driver().memory.put(Driver::kTable + kA.value() * 64ULL + word * 8, ~0ULL);
  }
  driver().map(0, 0, Driver::kData);
  driver().set_entry(kA, Driver::translate(0), ~0ULL & ~(1ULL << 27));
  EXPECT_TRUE(write(0, kIova));
  struct Visitor final : iommu::StreamVisitor {
    void stream(const iommu::StreamView& view) override { views.push_back(view); }
    std::vector<iommu::StreamView> views;
  } visitor;
  board.smmu.audit(visitor);
  ASSERT_EQ(visitor.views.size(), 3u);
  const iommu::StreamView& view = visitor.views[0];
  EXPECT_EQ(view.stream, devices[0]->stream);
  EXPECT_EQ(view.vmid, red().vmid(1));
  EXPECT_EQ(view.root, red().doorbell_table.root());
  EXPECT_EQ(view.config, 7);
  EXPECT_EQ(view.stage1_word0, Driver::context(0));
  EXPECT_EQ(view.stage1_word1, 0xfcu);
  EXPECT_EQ(view.wanted,
            (hw::smmuv3::Stage1{hw::smmuv3::Stage1Mode::kTranslate, Driver::context(0), 0xfc}));
}

// Covers: S2.3
TEST_F(OwnStage1, TheGuestsTablesAreReadAndNeverWritten) {
  start_both();
  driver().map(0, 0, Driver::kData);
  const auto bytes = [&](std::uint64_t from, std::uint64_t to) {
    const auto view = board.memory.cpu_view();
    const std::uint64_t start = red().ram - board.memory.base() + (from - kRam);
    return std::vector<std::uint8_t>(view.begin() + static_cast<std::ptrdiff_t>(start),
                                     view.begin() + static_cast<std::ptrdiff_t>(start + to - from));
  };
  const auto before = bytes(Driver::kContexts, Driver::kData);
  const auto table = bytes(Driver::kTable, Driver::kQueue);
  EXPECT_TRUE(write(0, kIova));
  EXPECT_FALSE(write(1, kIova));
  for (const iommu::Fault& fault : faults()) {
    (void)tell_guest(driver().vsmmu, *devices[1], fault);
  }
  driver().issue(0x04, 31);
  driver().issue(0x30);
  red().devices.take_all_back();
  EXPECT_EQ(bytes(Driver::kContexts, Driver::kData), before);
  EXPECT_EQ(bytes(Driver::kTable, Driver::kQueue), table);
}

// ---- messages ----

// Covers: S0.13 S0.19 S2.1
TEST_F(OwnStage1, AMessageBehindStageOneReachesItsCpu) {
  start_both();
  constexpr std::uint64_t kPage = kIova + 7 * 0x1000;  // where the guest maps its doorbell
  red().map_events(kA, 2, 8192);
  red().enable_msix(kA);
  red().write_entry(Gpa(kBar + 0x2000), 0, 0, kPage + 0x40);
  red().write_entry(Gpa(kBar + 0x2000), 1, 1, kPage + 0x40);
  EXPECT_FALSE(models[0]->raise(1)) << "the guest has not mapped it yet";
  EXPECT_EQ(faults().size(), 1u);
  EXPECT_TRUE(board.take_interrupts().empty());
  driver().map(0, 7, kGuestDoorbellPage.value());
  ASSERT_TRUE(models[0]->raise(1));
  const auto seen = board.take_interrupts();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].kind, Route::Kind::kGuest);
  EXPECT_EQ(seen[0].domain, 0u);
  EXPECT_EQ(seen[0].lpi, 8193u);
  EXPECT_EQ(seen[0].device, devices[0]->index);

  // The other device has no such mapping.
  std::array<std::uint8_t, 4> message{};
  EXPECT_FALSE(models[1]->dma_write(kPage + 0x40, message));
  // With stage 1 off again, the doorbell lies where the guest sees it.
  driver().stop();
  red().write_entry(Gpa(kBar + 0x2000), 0, 0);
  EXPECT_TRUE(models[0]->raise(0));
  EXPECT_EQ(board.take_interrupts().size(), 1u);
}

// ---- a device's life ----

// Covers: H27 H36 H37 S2.6
TEST_F(OwnStage1, ADeviceThatIsTakenBackIsHarmlessAndComesBackAsFromPowerOn) {
  start_both();
  driver().map(0, 0, Driver::kData);
  EXPECT_TRUE(write(0, kIova));
  red().devices.take_all_back();
  models[0]->config_write(4, 2, 6);
  EXPECT_FALSE(write(0, kIova));
  EXPECT_FALSE(write(0, Driver::kData));
  // Commands for it are nobody's now.
  driver().issue(0x03 | std::uint64_t{kA.value()} << 32, 1);
  driver().issue(0x06 | std::uint64_t{kA.value()} << 32);
  EXPECT_FALSE(write(0, kIova));
  EXPECT_FALSE(board.smmu.stage1(devices[0]->stream));

  driver().vsmmu.reset();
  EXPECT_TRUE(red().devices.assign_all());
  driver().run();
  drive(red(), kA, kBar);
  EXPECT_TRUE(write(0, Driver::kData));
  EXPECT_FALSE(write(0, kIova));
}

// A reset of the guest's SMMU alone, as a reboot or a kexec makes it.
// Covers: S1.11 S2.6
TEST_F(OwnStage1, AfterAResetDevicesSeeTheirMemoryAgain) {
  start_both();
  EXPECT_FALSE(write(0, Driver::kData));
  (void)faults();
  driver().vsmmu.reset();
  driver().run();
  EXPECT_TRUE(write(0, Driver::kData));
  EXPECT_TRUE(write(1, Driver::kData));
  EXPECT_TRUE(faults().empty());
}

// The hypervisor cuts a device off that floods the board with faults, behind its guest's back. The
// guest's commands for it do nothing; those for its other devices count as ever.
// Covers: H56 S1.15 S2.18
TEST_F(OwnStage1, CommandsForADeviceThatWasCutOff_AreDroppedAndOthersAreExecuted) {
  start_both();
  driver().map(0, 0, Driver::kData);
  driver().map(1, 0, Driver::kData);
  EXPECT_TRUE(write(1, kIova, 1));
  ASSERT_TRUE(board.smmu.block(devices[0]->stream));
  const std::size_t lines = board.log.all.size();

  // As a driver lets go of A, amid its work for B.
  driver().unmap(1, 0);
  driver().queue(0x12 | Driver::asid(1) << 48, kIova | 1);
  driver().issue(0x05 | std::uint64_t{kA.value()} << 32, 1);
  EXPECT_EQ(driver().vsmmu.read(0x60, 4), driver().vsmmu.read(0x64, 4)) << "a command error";
  EXPECT_FALSE(write(1, kIova, 2)) << "the page was unmapped and invalidated";

  // Whatever the guest asks for A later, A stays cut off.
  driver().issue(0x06 | std::uint64_t{kA.value()} << 32);
  driver().set_entry(kA, 0x9);
  driver().issue(0x04, 31);
  EXPECT_EQ(driver().vsmmu.read(0x60, 4), driver().vsmmu.read(0x64, 4));
  EXPECT_FALSE(write(0, Driver::kData));
  EXPECT_FALSE(board.smmu.owner(devices[0]->stream));
  driver().stop();
  driver().vsmmu.reset();
  driver().run();
  EXPECT_FALSE(write(0, Driver::kData));
  EXPECT_TRUE(write(1, Driver::kData));
  EXPECT_EQ(board.log.all.size(), lines) << board.log.all.back();
}

// The first that the guest asks for after the cut-off is a new stream-table entry.
// Covers: H56
TEST_F(OwnStage1, ADeviceThatWasCutOff_IsKnownFromTheFirstConfigurationOn) {
  start_both();
  ASSERT_TRUE(board.smmu.block(devices[0]->stream));
  driver().set_entry(kA, Driver::translate(1));
  driver().issue(0x05 | std::uint64_t{kA.value()} << 32, 1);
  EXPECT_EQ(driver().vsmmu.read(0x60, 4), driver().vsmmu.read(0x64, 4));
  // Handed over anew, it is a device like any other.
  ASSERT_TRUE(red().devices.detach(*devices[0], true));
  devices[0]->domain = 0;
  ASSERT_TRUE(red().devices.attach(*devices[0]));
  drive(red(), kA, kBar);
  driver().map(1, 0, Driver::kData);
  driver().set_entry(kA, Driver::translate(1));
  EXPECT_TRUE(write(0, kIova));
}

// The SMMU refuses the one CFGI_STE that takes a device from its domain. The domain ends; what was
// its tables is the next one's before long.
// Covers: H59 H27 H36
TEST_F(OwnStage1, ADetachThatTheSmmuRefused_LeavesADeviceThatReachesNoMemoryOfTheNextDomain) {
  EXPECT_TRUE(write(0, kRam, 0x01));
  EXPECT_TRUE(write(1, kRam, 0x01));
  board.smmu_model.reject_next(0x03);
  red().devices.take_all_back();
  EXPECT_TRUE(devices[0]->state == DeviceState::kBroken ||
              devices[1]->state == DeviceState::kBroken);
  const Hpa old_root = red().doorbell_table.root();
  red().dma_table.destroy();
  red().doorbell_table.destroy();
  // First fit: tables of a new domain come to lie there.
  std::vector<std::unique_ptr<mem::Stage2Table>> next;
  do {
    next.push_back(std::make_unique<mem::Stage2Table>());
    ASSERT_TRUE(next.back()->init(board.pool, board.memory, blue().dma_tlb));
  } while (next.back()->root() != old_root && next.size() < 40);
  ASSERT_EQ(next.back()->root(), old_root);
  ASSERT_TRUE(next.back()->map(kGuestRam, blue().ram, kRamBytes, mem::Stage2Attributes::dma_ram()));
  for (unsigned i = 0; i < 2; ++i) {
    models[i]->config_write(4, 2, 6);  // devices that do as they like
    EXPECT_FALSE(write(i, kRam, 0x66));
  }
  EXPECT_TRUE(board.smmu_model.enabled());
  for (auto& table : next) table->destroy();
}

// What an owner's devices did is in the SMMU's queue when the next one gets them.
// Covers: H27 S2.7
TEST_F(OwnStage1, AFaultOfAnEarlierOwner_IsToldToNoGuest) {
  start_both();
  drivers[1]->start();
  EXPECT_FALSE(write(0, kIova + 0x123'4000));  // an address that is red's own business
  ASSERT_TRUE(red().devices.detach(*devices[0], true));
  ASSERT_TRUE(blue().devices.detach(*devices[2], true));
  devices[0]->domain = 1;
  ASSERT_TRUE(blue().devices.attach(*devices[0]));
  drive(blue(), kA, kBar);
  drivers[1]->run();
  EXPECT_FALSE(write(0, kIova + 0x567'8000));  // and this is blue's
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_TRUE(is_old(*devices[0], seen[0]));
  EXPECT_FALSE(tell_guest(drivers[1]->vsmmu, *devices[0], seen[0]));
  EXPECT_EQ(drivers[1]->event_count(), 0u);
  EXPECT_FALSE(is_old(*devices[0], seen[1]));
  EXPECT_TRUE(tell_guest(drivers[1]->vsmmu, *devices[0], seen[1]));
  EXPECT_EQ(drivers[1]->event_count(), 1u);
}

// Covers: H27 S2.7
TEST_F(OwnStage1, AFaultOfTheGuestsEarlierLife_IsNotToldAfterItsRestart) {
  start_both();
  EXPECT_FALSE(write(0, kIova));
  red().devices.take_all_back();
  driver().vsmmu.reset();
  ASSERT_TRUE(red().devices.assign_all());
  const auto seen = faults();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_FALSE(tell_guest(driver().vsmmu, *devices[0], seen[0]));
}

// The queue wraps, and what was taken out of it counts on.
TEST_F(OwnStage1, FaultsAreNumberedAcrossTheQueuesEnd) {
  start_both();
  std::uint64_t next = board.smmu.next_event();
  for (unsigned i = 0; i < 1000; ++i) {
    EXPECT_FALSE(write(i % 2, kIova + i * 0x1000));
    EXPECT_EQ(board.smmu.next_event(), ++next);
    if (i % 40 != 0) continue;
    for (const iommu::Fault& fault : faults()) EXPECT_LT(fault.number, next);
    EXPECT_EQ(board.smmu.next_event(), next);
  }
}

// A device that is plugged into a guest whose SMMU is on.
// Covers: S2.2 S2.17 H27
TEST_F(OwnStage1, AHotPluggedDevice_AbortsUntilItsEntryIsRead) {
  driver().make_context(1);
  driver().map(1, 0, Driver::kData);
  driver().write_entry(kA, 0x9);
  driver().write_entry(kB, Driver::translate(1));
  driver().start();
  ASSERT_TRUE(red().devices.detach(*devices[1], true));
  models[1]->config_write(4, 2, 6);  // it does as it likes, from the first moment on
  bool passed = false;
  board.smmu_model.before_sync([&] { passed = passed || write(1, Driver::kData, 0x77); });
  devices[1]->domain = 0;
  ASSERT_TRUE(red().devices.attach(*devices[1]));
  models[1]->config_write(4, 2, 6);
  EXPECT_FALSE(passed || write(1, Driver::kData, 0x77)) << "through stage 2 alone";
  EXPECT_FALSE(write(1, kIova, 0x77)) << "nothing has been read for it yet";
  EXPECT_TRUE(faults().empty());
  driver().run();
  board.smmu_model.before_sync({});
  EXPECT_TRUE(write(1, kIova, 0x77));
  EXPECT_FALSE(passed || write(1, Driver::kData, 0x77));
}

// Covers: S1.11
TEST_F(OwnStage1, AHotPluggedDevice_PassesAtOnceWhileItsGuestsSmmuIsOff) {
  ASSERT_TRUE(red().devices.detach(*devices[1], true));
  devices[1]->domain = 0;
  ASSERT_TRUE(red().devices.attach(*devices[1]));
  drive(red(), kB, kOtherBar);
  EXPECT_TRUE(write(1, Driver::kData));
  // Off, and everything is to abort (GBPA.ABORT).
  driver().vsmmu.write(0x44, 4, 1U << 31 | 1U << 20);
  driver().run();
  ASSERT_TRUE(red().devices.detach(*devices[1], true));
  devices[1]->domain = 0;
  ASSERT_TRUE(red().devices.attach(*devices[1]));
  drive(red(), kB, kOtherBar);
  EXPECT_FALSE(write(1, Driver::kData));
}

// Stage 2 is unmapped under a stream that is nested: what stage 1 and stage 2 gave together goes,
// too.
// Covers: H8 H37 S2.8
TEST_F(OwnStage1, WhatIsUnmappedOfStageTwo_IsNotReachedThroughStageOneEither) {
  start_both();
  driver().map(0, 0, Driver::kData);
  driver().map(1, 0, Driver::kData);
  EXPECT_TRUE(write(0, kIova, 0x11));
  EXPECT_TRUE(write(1, kIova, 0x11));
  driver().set_entry(kB, 0x9);  // no longer nested; what was cached for it is as stale
  ASSERT_TRUE(red().doorbell_table.unmap(Gpa(Driver::kData), kPageSize));
  EXPECT_FALSE(write(0, kIova, 0x22));
  EXPECT_FALSE(write(1, Driver::kData, 0x22));
  driver().set_entry(kB, Driver::translate(1));
  EXPECT_FALSE(write(1, kIova, 0x22));
}

// An address that is not aligned to the granule of its range is undefined on the board's SMMU.
// Covers: S2.8 S2.15 H51
TEST_F(OwnStage1, RangesAreForwardedAlignedToTheirGranule) {
  start_both();
  driver().map(0, 0, Driver::kData);
  EXPECT_TRUE(write(0, kIova));
  driver().unmap(0, 0);
  for (const std::uint64_t tg : {2ULL, 3ULL}) {
    driver().issue(0x12 | 1ULL << 12 | Driver::asid(0) << 48, 0x1001 | tg << 10);
    EXPECT_EQ(board.smmu_model.commands().rbegin()[1][1] & ~0xfffULL, 0u);
    EXPECT_EQ(board.smmu_model.commands().rbegin()[1][1] & 0xfff, 1 | tg << 10);
  }
  EXPECT_EQ(board.violation(), "");
  driver().issue(0x12 | 1ULL << 12 | Driver::asid(0) << 48, kIova | 1 | 1ULL << 10);
  EXPECT_FALSE(write(0, kIova)) << "two pages of 4 KiB";
}

// Covers: H33 S2.17
TEST_F(OwnStage1, ABoardThatDoesNotAnswerCutsTheDeviceOffAndSaysSoAFewTimes) {
  start_both();
  driver().map(0, 0, Driver::kData);
  EXPECT_TRUE(write(0, kIova));
  const std::size_t lines = board.log.all.size();
  board.smmu_model.stop_commands(true);
  for (unsigned i = 0; i < 30; ++i) {
    driver().queue(0x03 | std::uint64_t{kA.value()} << 32, 1);
    driver().vsmmu.write(0x98, 4, i + 1);
    driver().run();
  }
  EXPECT_FALSE(write(0, kIova + 0x1000));
  EXPECT_LE(board.log.all.size() - lines, 70u);
  unsigned ours = 0;
  for (std::size_t i = lines; i < board.log.all.size(); ++i) {
    ours += board.log.all[i].find("cut off") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(ours, 8u);
  board.smmu_model.stop_commands(false);
}

}  // namespace
}  // namespace penstock::assign
