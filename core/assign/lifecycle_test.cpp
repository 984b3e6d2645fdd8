#include "core/assign/lifecycle.hpp"

#include <gtest/gtest.h>

#include "core/assign/test_board.hpp"

namespace penstock::assign {
namespace {

using Kind = Route::Kind;

constexpr GuestBdf kNvmeAt{0, 1, 0};
constexpr GuestBdf kEduAt{0, 2, 0};
constexpr std::uint64_t kBar = 0x1000'0000;

/// A controller for one domain and a device without reset for the other.
struct Lifecycle : testing::Test {
  Lifecycle() {
    EXPECT_TRUE(board.start());
    nvme_model = &board.plug(1, sim::nvme_like());
    edu_model = &board.plug(2, std::make_unique<sim::EduLike>());
    EXPECT_TRUE(board.enumerate());
    nvme = &board.device_of(0, 1, {.guest = kNvmeAt});
    edu = &board.device_of(1, 2, {.guest = kEduAt, .accept_no_reset = true});
    EXPECT_TRUE(board.ok);
    // The ITS keeps a page of its device table from the first device on.
    EXPECT_TRUE(red().devices.assign_all());
    red().devices.take_all_back();
    before = board.holdings();
  }
  ~Lifecycle() override { EXPECT_EQ(board.violation(), ""); }
  TestDomain& red() { return *board.domains[0]; }
  TestDomain& blue() { return *board.domains[1]; }
  bool write(sim::PciFunction& device, std::uint64_t at, std::uint8_t value) {
    return device.dma_write(at, std::span<const std::uint8_t>(&value, 1));
  }
  /// Whatever the device may have been told, nothing of it reaches anybody.
  void expect_harmless(sim::PciFunction& device) {
    EXPECT_FALSE(device.bus_master());
    device.config_write(4, 2, 6);  // it masters the bus all the same
    EXPECT_FALSE(write(device, kGuestRam.value(), 1));
    EXPECT_FALSE(write(device, kGuestDoorbell, 1));
    EXPECT_FALSE(write(device, red().ram.value(), 1));
    EXPECT_TRUE(board.take_interrupts().empty());
  }

  TestBoard board;
  sim::PciFunction* nvme_model = nullptr;
  sim::EduLike* edu_model = nullptr;
  Device* nvme = nullptr;
  Device* edu = nullptr;
  TestBoard::Holdings before;
};

// Covers: H27
TEST_F(Lifecycle, AQuarantinedDeviceIsHarmless) {
  expect_harmless(*nvme_model);
  expect_harmless(*edu_model);
  EXPECT_EQ(nvme->state, DeviceState::kQuarantined);
}

/// A kind of IOMMU that there is not: it only remembers what its domain asked of it.
class OtherKind final : public viommu::VirtualIommu {
 public:
  void connect(const viommu::Surroundings& /*surroundings*/) override {}
  [[nodiscard]] viommu::Description description() const override { return {}; }
  [[nodiscard]] std::uint64_t read(std::uint64_t /*offset*/, unsigned /*size*/) override {
    return 0;
  }
  void write(std::uint64_t /*offset*/, unsigned /*size*/, std::uint64_t /*value*/) override {}
  void run() override {}
  Status attach(GuestStreamId stream, StreamId physical) override {
    if (refuses) return fail(Code::kTableFull);
    attached.emplace_back(stream.value(), physical.value());
    return {};
  }
  void detach(GuestStreamId stream) override { detached.push_back(stream.value()); }
  bool fault(const viommu::StreamFault& /*fault*/) override { return false; }
  void reset() override {}
  std::vector<std::pair<std::uint32_t, std::uint32_t>> attached;
  std::vector<std::uint32_t> detached;
  bool refuses = false;
};

// Covers: S1.19 S2.11
TEST_F(Lifecycle, AnyKindOfIommuServesADomainBehindOneInterface) {
  OtherKind kind;
  red().owner.iommu = &kind;
  ASSERT_TRUE(red().devices.init(board.hw, red().owner, 0));
  ASSERT_TRUE(red().devices.assign_all());
  ASSERT_EQ(kind.attached.size(), 1u);
  EXPECT_EQ(kind.attached[0].first, kNvmeAt.value());
  EXPECT_EQ(kind.attached[0].second, nvme->stream.value());
  EXPECT_EQ(board.smmu.owner(nvme->stream), red().vmid(1));
  red().devices.take_all_back();
  EXPECT_EQ(kind.detached, std::vector<std::uint32_t>{kNvmeAt.value()});
  expect_harmless(*nvme_model);
}

// Covers: H38 S2.11
TEST_F(Lifecycle, AnIommuThatRefusesADeviceLeavesItInQuarantine) {
  OtherKind kind;
  kind.refuses = true;
  red().owner.iommu = &kind;
  ASSERT_TRUE(red().devices.init(board.hw, red().owner, 0));
  EXPECT_FALSE(red().devices.assign_all());
  EXPECT_FALSE(board.smmu.owner(nvme->stream).has_value());
  expect_harmless(*nvme_model);
}

// Covers: S1.9 S2.27
TEST_F(Lifecycle, DmaLandsInTheOwnersRamAtItsAddressesAndNowhereElse) {
  ASSERT_TRUE(red().devices.assign_all());
  ASSERT_TRUE(blue().devices.assign_all());
  red().enable(kNvmeAt);
  blue().enable(kEduAt);
  EXPECT_TRUE(write(*nvme_model, kGuestRam.value() + 0x123, 0xaa));
  EXPECT_TRUE(write(*edu_model, kGuestRam.value() + 0x123, 0xbb));
  EXPECT_EQ(board.byte(red().ram + 0x123), 0xaa);
  EXPECT_EQ(board.byte(blue().ram + 0x123), 0xbb);
  for (const std::uint64_t at :
       {kGuestRam.value() + kRamBytes, kGuestRam.value() - 1, red().ram.value(), blue().ram.value(),
        kPool.value(), std::uint64_t{0x905'0000}, nvme->info.bars[0].bus,
        std::uint64_t{0xffff'ffff'ffff}}) {
    EXPECT_FALSE(write(*nvme_model, at, 1)) << at;
    EXPECT_FALSE(write(*edu_model, at, 1)) << at;
  }
  std::array<std::uint8_t, 1> byte{};
  EXPECT_TRUE(nvme_model->dma_read(kGuestRam.value() + 0x123, byte));
  EXPECT_EQ(byte[0], 0xaa);
}

// Covers: S2.27 S0.20
TEST_F(Lifecycle, TablesHoldRamBarsAndTheDoorbellAlone) {
  ASSERT_TRUE(red().devices.assign_all());
  red().start_its();
  red().drive_nvme(kNvmeAt, kBar, 2, 8192);
  struct Audit final : mem::MappingVisitor {
    void mapping(const mem::Stage2Mapping& leaf) override {
      const bool is_ram = leaf.hpa >= ram && fits(leaf.hpa - ram, leaf.size, kRamBytes);
      const bool is_bar =
          bar.size != 0 && leaf.hpa >= bar.host && fits(leaf.hpa - bar.host, leaf.size, bar.size);
      const bool is_doorbell = leaf.hpa == doorbell && leaf.size == kPageSize;
      const auto expected = is_ram ? ram_as : mem::Stage2Attributes::device();
      EXPECT_TRUE(is_ram || is_bar || is_doorbell) << leaf.hpa.value();
      EXPECT_EQ(leaf.attributes, is_doorbell ? mem::Stage2Attributes::doorbell() : expected);
      bars += is_bar ? leaf.size : 0;
      doorbells += is_doorbell ? 1 : 0;
    }
    Hpa ram;
    mem::Stage2Attributes ram_as = mem::Stage2Attributes::dma_ram();
    pci::Bar bar{};
    Hpa doorbell;
    std::uint64_t bars = 0;
    unsigned doorbells = 0;
  };
  Audit cpu;
  cpu.ram = red().ram;
  cpu.ram_as = mem::Stage2Attributes::ram();
  cpu.bar = nvme->info.bars[0];
  red().cpu_table.audit(cpu);
  EXPECT_EQ(cpu.bars, 0x2000U);  // all but the pages of the MSI-X table and its pending bits
  Audit dma;
  dma.ram = red().ram;
  red().dma_table.audit(dma);
  Audit with_doorbell;
  with_doorbell.ram = red().ram;
  with_doorbell.doorbell = Hpa(0x809'0000);
  red().doorbell_table.audit(with_doorbell);
  EXPECT_EQ(with_doorbell.doorbells, 1U);
}

// Covers: S0.19
TEST_F(Lifecycle, TheDoorbellOpensWithTheFirstMessageCapabilityAndIsWriteOnly) {
  ASSERT_TRUE(red().devices.assign_all());
  red().place_bar(kNvmeAt, 0, kBar);
  red().enable(kNvmeAt);
  const std::array<std::uint8_t, 4> event{};
  EXPECT_FALSE(nvme_model->dma_write(kGuestDoorbell, event));
  EXPECT_EQ(board.smmu.owner(nvme->stream), red().vmid(0));
  red().enable_msix(kNvmeAt);
  EXPECT_EQ(board.smmu.owner(nvme->stream), red().vmid(1));
  EXPECT_TRUE(nvme_model->dma_write(kGuestDoorbell, event));
  std::array<std::uint8_t, 4> read{};
  EXPECT_FALSE(nvme_model->dma_read(kGuestDoorbell, read));
  EXPECT_FALSE(nvme_model->dma_write(kGuestDoorbell - 0x1000, event));  // the ITS's registers
  EXPECT_FALSE(nvme_model->dma_write(kGuestDoorbell + 0x1000, event));
  EXPECT_FALSE(nvme_model->dma_write(board.its.doorbell_address() + 0x1'0000, event));
  EXPECT_TRUE(write(*nvme_model, kGuestRam.value(), 7));
}

TEST_F(Lifecycle, ADriverThatSwitchesItsMessagesOffAndOnLosesNoDma) {
  ASSERT_TRUE(red().devices.assign_all());
  red().enable(kNvmeAt);
  red().enable_msix(kNvmeAt);
  board.smmu_model.forget_commands();
  for (unsigned i = 0; i < 3; ++i) {
    red().enable_msix(kNvmeAt, false);
    red().enable_msix(kNvmeAt);
  }
  EXPECT_TRUE(board.smmu_model.commands().empty());
  EXPECT_TRUE(write(*nvme_model, kGuestRam.value(), 7));
}

// Covers: H27 H34 S3.22
TEST_F(Lifecycle, TakenBackItIsAsItWasBefore) {
  for (unsigned round = 0; round < 3; ++round) {
    ASSERT_TRUE(red().devices.assign_all());
    red().start_its();
    red().drive_nvme(kNvmeAt, kBar, 4, 8192);
    ASSERT_TRUE(nvme_model->raise(1));
    EXPECT_EQ(board.take_interrupts().size(), 1U);
    nvme_model->bar_memory(0)[0x100] = 0x5a;
    ASSERT_TRUE(nvme_model->raise(2));  // pending when the domain ends
    red().devices.take_all_back();
    red().its.reset();
    EXPECT_EQ(nvme->state, DeviceState::kQuarantined);
    EXPECT_EQ(board.holdings(), before);
    EXPECT_FALSE(red().cpu_table.translate(Gpa(kBar)));
    EXPECT_EQ(nvme_model->bar_memory(0)[0x100], 0);
    EXPECT_EQ(nvme_model->bar_address(0), nvme->info.bars[0].bus);
    EXPECT_EQ(red().config(kNvmeAt, 0, 4), 0xffff'ffffU);
    expect_harmless(*nvme_model);
    EXPECT_TRUE(board.take_interrupts().empty());
  }
}

// Covers: H27
TEST_F(Lifecycle, BeforeItsStreamIsCutNothingOfItReachesTheGuestAndTheResetComesLast) {
  ASSERT_TRUE(red().devices.assign_all());
  red().start_its();
  red().drive_nvme(kNvmeAt, kBar, 1, 8192);
  const unsigned resets = nvme_model->resets();
  unsigned syncs = 0;
  board.smmu_model.before_sync([&] {
    ++syncs;
    EXPECT_FALSE(nvme_model->bus_master());
    EXPECT_EQ(nvme_model->resets(), resets);
    EXPECT_EQ(board.routes.get(nvme->first_lpi).kind, Kind::kUnwanted);
    EXPECT_FALSE(red().cpu_table.translate(Gpa(kBar)));
  });
  ASSERT_TRUE(take_back(board.hw, red().owner, *nvme));
  EXPECT_GT(syncs, 0U);
  EXPECT_EQ(nvme_model->resets(), resets + 1);
}

// Covers: H27
TEST_F(Lifecycle, ADeviceThatMastersTheBusUnaskedIsSilencedBeforeItsStreamIsCut) {
  ASSERT_TRUE(red().devices.assign_all());
  nvme_model->config_write(4, 2, 6);  // its guest has not switched it on
  unsigned syncs = 0;
  board.smmu_model.before_sync([&] {
    ++syncs;
    EXPECT_FALSE(nvme_model->bus_master());
  });
  ASSERT_TRUE(take_back(board.hw, red().owner, *nvme));
  EXPECT_GT(syncs, 0U);
}

// Covers: S3.11
TEST_F(Lifecycle, AVirtualFunctionShowsTheIdsThatItsPfSays) {
  nvme->info.is_vf = true;
  nvme->info.vendor = 0x8086;
  nvme->info.device = 0x10ca;
  ASSERT_TRUE(red().devices.assign_all());
  EXPECT_EQ(red().config(kNvmeAt, 0, 4), 0x10ca'8086U);
}

// Covers: S3.22
TEST_F(Lifecycle, AResetThatDidNothingIsNoReset) {
  ASSERT_TRUE(red().devices.assign_all());
  nvme_model->ignore_reset();
  EXPECT_EQ(take_back(board.hw, red().owner, *nvme).error().code, Code::kHardwareError);
  EXPECT_EQ(nvme->state, DeviceState::kBroken);
  EXPECT_EQ(board.holdings(), before);
  expect_harmless(*nvme_model);
}

// Covers: H34
TEST_F(Lifecycle, TheNextOwnerGetsNothingOfTheLast) {
  ASSERT_TRUE(red().devices.assign_all());
  red().start_its();
  red().drive_nvme(kNvmeAt, kBar, 4, 8192);
  red().devices.take_all_back();
  ASSERT_TRUE(hand_over(board.hw, blue().owner, *nvme));
  nvme_model->config_write(4, 2, 6);
  EXPECT_TRUE(write(*nvme_model, kGuestRam.value() + 9, 0x77));
  EXPECT_EQ(board.byte(red().ram + 9), 0);
  EXPECT_EQ(board.byte(blue().ram + 9), 0x77);
  EXPECT_FALSE(write(*nvme_model, kGuestDoorbell, 0));
  EXPECT_EQ(nvme->view.config_read(4, 2), 0U);
  EXPECT_EQ(nvme->view.bar(0).mapped, false);
  ASSERT_TRUE(take_back(board.hw, blue().owner, *nvme));
  EXPECT_EQ(board.holdings(), before);
}

// Covers: S3.22
TEST_F(Lifecycle, WithoutResetItIsRefusedUnlessAccepted) {
  edu->placement.accept_no_reset = false;
  EXPECT_EQ(blue().devices.assign_all().error(), fail(Code::kNoReset, edu->info.bdf.value()));
  EXPECT_EQ(edu->state, DeviceState::kQuarantined);
  EXPECT_EQ(board.holdings(), before);
  expect_harmless(*edu_model);
  edu_model->config_write(4, 2, 2);

  edu->placement.accept_no_reset = true;
  ASSERT_TRUE(blue().devices.assign_all());
  EXPECT_FALSE(edu_model->bus_master());
  edu->placement.accept_no_reset = false;
  EXPECT_EQ(take_back(board.hw, blue().owner, *edu).error().code, Code::kNoReset);
  EXPECT_EQ(edu->state, DeviceState::kBroken);
  EXPECT_EQ(hand_over(board.hw, blue().owner, *edu).error().code, Code::kBadState);
  EXPECT_EQ(board.holdings(), before);
  expect_harmless(*edu_model);
}

// Covers: S3.22 H31
TEST_F(Lifecycle, OneThatDiesAtItsResetIsNeverGivenAgain) {
  ASSERT_TRUE(red().devices.assign_all());
  nvme_model->die_at_reset();
  red().devices.take_all_back();
  EXPECT_EQ(nvme->state, DeviceState::kBroken);
  EXPECT_EQ(board.holdings(), before);
  EXPECT_EQ(red().devices.assign_all().error(), fail(Code::kBadState, nvme->info.bdf.value()));
  EXPECT_FALSE(board.log.all.empty());
}

// Covers: H45
TEST_F(Lifecycle, DecodingOffUnmapsAndTheHardwareGoesOnDecoding) {
  ASSERT_TRUE(red().devices.assign_all());
  red().place_bar(kNvmeAt, 0, kBar);
  red().enable(kNvmeAt);
  ASSERT_TRUE(red().cpu_table.translate(Gpa(kBar)));
  EXPECT_EQ(red().cpu_table.translate(Gpa(kBar)).value().hpa, nvme->info.bars[0].host);
  const unsigned flushed = red().cpu_tlb.count;
  red().set_config(kNvmeAt, 4, 2, 4);
  EXPECT_FALSE(red().cpu_table.translate(Gpa(kBar)));
  EXPECT_GT(red().cpu_tlb.count, flushed);
  EXPECT_TRUE(nvme_model->memory_enabled());
  EXPECT_FALSE(red().devices.bar_read(Gpa(kBar + 0x2000), 4));
  EXPECT_FALSE(red().devices.bar_write(Gpa(kBar + 0x2000), 4, 0));
  red().enable(kNvmeAt);
  EXPECT_TRUE(red().cpu_table.translate(Gpa(kBar)));
}

// Covers: H43
TEST_F(Lifecycle, ABarBeyondFourGigabytesGoesAwayWholly) {
  ASSERT_TRUE(red().devices.assign_all());
  constexpr Gpa kHigh{0x80'4000'0000};
  red().place_bar(kNvmeAt, 0, kHigh.value());
  red().enable(kNvmeAt);
  ASSERT_TRUE(red().cpu_table.translate(kHigh));
  red().devices.take_all_back();
  EXPECT_FALSE(red().cpu_table.translate(kHigh));
  EXPECT_EQ(board.holdings(), before);
}

TEST_F(Lifecycle, BarsOverEverythingElseAreNotMapped) {
  ASSERT_TRUE(red().devices.assign_all());
  red().enable(kNvmeAt);
  for (const std::uint64_t at : {kGuestRam.value(), kGuestDoorbellPage.value() - 0x1000,
                                 std::uint64_t{0x0800'0000}, std::uint64_t{0x40'1000'0000}}) {
    red().place_bar(kNvmeAt, 0, at);
    const auto found = red().cpu_table.translate(Gpa(at));
    EXPECT_TRUE(!found || found.value().hpa == red().ram) << at;
  }
  red().place_bar(kNvmeAt, 0, kBar);
  red().set_config(kNvmeAt, 0x14, 4, 0);
  EXPECT_TRUE(red().cpu_table.translate(Gpa(kBar)));
}

// Covers: S0.15 H45
TEST_F(Lifecycle, AGuestsResetUndoesEverythingAndTheDeviceComesBack) {
  ASSERT_TRUE(red().devices.assign_all());
  red().start_its();
  red().drive_nvme(kNvmeAt, kBar, 2, 8192);
  const unsigned resets = nvme_model->resets();
  const unsigned express = red().capability(kNvmeAt, 0x10);
  red().set_config(kNvmeAt, express + 8, 2, 0x8000);
  EXPECT_EQ(nvme_model->resets(), resets + 1);
  EXPECT_FALSE(red().cpu_table.translate(Gpa(kBar)));
  EXPECT_FALSE(nvme_model->bus_master());
  EXPECT_EQ(nvme_model->bar_address(0), nvme->info.bars[0].bus);
  EXPECT_FALSE(nvme_model->raise(0));
  red().drive_nvme(kNvmeAt, kBar, 2, 8192);
  ASSERT_TRUE(nvme_model->raise(1));
  ASSERT_EQ(board.take_interrupts().size(), 1U);
  EXPECT_EQ(red().guest.take(0), 8193U);
}

/// A set of one domain that is asked to take what the other has.
TEST_F(Lifecycle, ADeviceOfAnotherDomainIsRefusedAndStaysWhereItIs) {
  ASSERT_TRUE(red().devices.assign_all());
  red().start_its();
  red().drive_nvme(kNvmeAt, kBar, 2, 8192);
  ASSERT_TRUE(blue().devices.add(*nvme));
  EXPECT_EQ(blue().devices.assign_all().error(), fail(Code::kBadState, nvme->info.bdf.value()));
  EXPECT_EQ(edu->state, DeviceState::kQuarantined);
  EXPECT_EQ(nvme->state, DeviceState::kAssigned);
  EXPECT_TRUE(red().cpu_table.translate(Gpa(kBar)));
  EXPECT_TRUE(write(*nvme_model, kGuestRam.value(), 7));
  ASSERT_TRUE(nvme_model->raise(0));
  const auto seen = board.take_interrupts();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].domain, 0U);
}

// Covers: H2 H38
TEST_F(Lifecycle, AllDevicesOfADomainOrNone) {
  Device& other = board.device_of(0, 2, {.guest = kEduAt});  // cannot be reset
  ASSERT_TRUE(board.ok);
  EXPECT_EQ(red().devices.assign_all().error(), fail(Code::kNoReset, other.info.bdf.value()));
  EXPECT_EQ(nvme->state, DeviceState::kQuarantined);
  EXPECT_EQ(board.holdings(), before);
  EXPECT_EQ(red().config(kNvmeAt, 0, 2), 0xffffU);
  expect_harmless(*nvme_model);
}

TEST_F(Lifecycle, TwoDevicesInOnePlaceAreRefused) {
  board.device_of(0, 2, {.guest = kNvmeAt, .accept_no_reset = true});
  EXPECT_EQ(red().devices.assign_all().error().code, Code::kAlreadyExists);
  EXPECT_EQ(board.holdings(), before);
  expect_harmless(*nvme_model);
}

}  // namespace
}  // namespace penstock::assign
