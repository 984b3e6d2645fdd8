#include "core/assign/messages.hpp"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "core/assign/test_board.hpp"

namespace penstock::assign {
namespace {

using Commands = vmsi::fake::ItsGuest;
using Delivery = TestBoard::Delivery;
using Kind = Route::Kind;

constexpr GuestBdf kFirst{0, 1, 0};
constexpr GuestBdf kSecond{0, 2, 0};
constexpr std::uint64_t kBar = 0x1000'0000;
constexpr std::uint64_t kOtherBar = 0x1010'0000;
constexpr std::uint32_t kLpi = 8192;
constexpr unsigned kVectors = 4;

/// Two controllers in each of two domains, at the same places.
struct Messages : testing::Test {
  Messages() {
    EXPECT_TRUE(board.start());
    for (unsigned i = 0; i < 4; ++i) models[i] = &board.plug(i + 1, sim::nvme_like());
    EXPECT_TRUE(board.enumerate());
    for (unsigned i = 0; i < 4; ++i) {
      devices[i] = &board.device_of(i / 2, i + 1, {.guest = i % 2 == 0 ? kFirst : kSecond});
    }
    EXPECT_TRUE(board.ok);
    for (auto& domain : board.domains) {
      EXPECT_TRUE(domain->devices.assign_all());
      domain->start_its();
    }
  }
  ~Messages() override {
    EXPECT_EQ(board.violation(), "");
    EXPECT_TRUE(board.its_model.refusals().empty());
    for (unsigned i = 0; i < 4; ++i) expect_our_descriptors(i);
  }
  TestDomain& red() { return *board.domains[0]; }
  void drive_all() {
    for (auto& domain : board.domains) {
      domain->drive_nvme(kFirst, kBar, kVectors, kLpi);
      domain->drive_nvme(kSecond, kOtherBar, kVectors, kLpi + kVectors);
    }
  }
  /// The physical table says what we say, whatever guests did.
  void expect_our_descriptors(unsigned i) {
    const auto table = models[i]->bar_memory(0).subspan(0x2000);
    for (unsigned k = 0; k < 65; ++k) {
      EXPECT_EQ(load_le(table, k * 16, 8), board.its.doorbell_address());
      EXPECT_EQ(load_le(table, k * 16 + 8, 4), k);
    }
  }
  void send(unsigned i, std::uint32_t event) {
    std::array<std::uint8_t, 4> bytes{};
    store_le(bytes, 0, 4, event);
    EXPECT_TRUE(models[i]->dma_write(kGuestDoorbell, bytes));
  }

  TestBoard board;
  std::array<sim::PciFunction*, 4> models{};
  std::array<Device*, 4> devices{};
};

// Covers: S0.13 S0.14
TEST_F(Messages, TheSameMessageOfFourDevicesIsFourInterrupts) {
  drive_all();
  std::set<std::uint32_t> lpis;
  for (const Device* device : devices) {
    for (unsigned k = 0; k <= device->vectors; ++k) {
      EXPECT_TRUE(lpis.insert(device->first_lpi.value() + k).second);
    }
  }
  for (unsigned i = 0; i < 4; ++i) {
    ASSERT_TRUE(models[i]->raise(3));
    const Delivery expected{Kind::kGuest,         i / 2, 0, kLpi + kVectors * (i % 2) + 3,
                            i / 2 == 0 ? 0U : 2U, i};
    EXPECT_EQ(board.take_interrupts(), std::vector{expected}) << i;
  }
}

// Covers: S0.16 S0.7
TEST_F(Messages, OneMessageIsOneInterruptOfItsGuest) {
  drive_all();
  for (unsigned k = 0; k < kVectors; ++k) {
    ASSERT_TRUE(models[0]->raise(k));
    ASSERT_EQ(board.take_interrupts().size(), 1U);
    EXPECT_EQ(red().guest.take(0), kLpi + k);
    EXPECT_EQ(red().guest.take(0), std::nullopt);
    EXPECT_EQ(red().guest.take(1), std::nullopt);
    EXPECT_EQ(board.domains[1]->guest.take(0), std::nullopt);
  }
}

// Covers: S0.15
TEST_F(Messages, TheGuestReadsWhatItWrote) {
  red().place_bar(kFirst, 0, kBar);
  red().enable(kFirst);
  const Gpa table(kBar + 0x2000);
  red().write_entry(table, 1, 0x1234'5678, 0xfeed'0000'1234'5674);
  EXPECT_EQ(red().devices.bar_read(table + 16, 8), 0xfeed'0000'1234'5674U);
  EXPECT_EQ(red().devices.bar_read(table + 24, 4), 0x1234'5678U);
  EXPECT_EQ(red().devices.bar_read(table + 28, 4), 0U);
  EXPECT_EQ(red().devices.bar_read(table + 12, 4), 1U);
}

// Covers: S0.13
TEST_F(Messages, AddressesThatAreNotTheGuestsDoorbellNeverLeaveTheDevice) {
  drive_all();
  const Gpa table(kBar + 0x2000);
  for (const std::uint64_t address :
       {kGuestRam.value(), board.its.doorbell_address() + 0x1'0000, kGuestDoorbell + 4,
        kGuestDoorbellPage.value(), std::uint64_t{0}}) {
    red().write_entry(table, 0, 0, address);
    EXPECT_FALSE(models[0]->raise(0)) << address;
  }
  EXPECT_TRUE(board.take_interrupts().empty());
  // What it had to say is said once the guest has put it right.
  red().write_entry(table, 0, 0);
  EXPECT_EQ(board.take_interrupts().size(), 1U);
}

TEST_F(Messages, MasksHoldMessagesBack) {
  drive_all();
  (void)red().devices.bar_write(Gpa(kBar + 0x200c), 4, 1);
  EXPECT_FALSE(models[0]->raise(0));
  EXPECT_TRUE(board.take_interrupts().empty());
  EXPECT_EQ(red().devices.bar_read(Gpa(kBar + 0x3000), 8), 1U);
  (void)red().devices.bar_write(Gpa(kBar + 0x200c), 4, 0);
  EXPECT_EQ(board.take_interrupts().size(), 1U);
  const unsigned control = red().capability(kFirst, 0x11) + 2;
  red().set_config(kFirst, control, 2, 0xc000);
  EXPECT_FALSE(models[0]->raise(1));
  red().set_config(kFirst, control, 2, 0x8000);
  EXPECT_EQ(board.take_interrupts().size(), 1U);
}

/// Counts the batches that the board's ITS is given: each is waited for.
class Batches {
 public:
  explicit Batches(TestBoard& board) : board_(board) {
    const std::uint64_t cbaser = board.its_model.read64(0x80);
    ring_ = cbaser & 0x000f'ffff'ffff'f000U;
    bytes_ = ((cbaser & 0xff) + 1) * 4096;
    board.memory.on_observable([this](Hpa at, std::uint64_t) {
      if (at.value() - ring_ < bytes_) ++count_;
    });
  }
  ~Batches() { board_.memory.on_observable({}); }
  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;
  unsigned take() { return std::exchange(count_, 0U); }

 private:
  TestBoard& board_;
  std::uint64_t ring_ = 0;
  std::uint64_t bytes_ = 0;
  unsigned count_ = 0;
};

struct ManyVectors : Messages {
  ManyVectors() {
    drive_all();
    for (unsigned k = 0; k < kAll; ++k) red().write_entry(Gpa(kBar + 0x2000), k, 0);
    for (unsigned k = 0; k < kAll; ++k) red().write_entry(Gpa(kOtherBar + 0x2000), k, 1);
  }
  /// Each stay in the hypervisor gives the board's ITS a few batches at most, however many there
  /// are.
  void expect_slices(Batches& batches, unsigned in_all) {
    unsigned sum = batches.take();
    EXPECT_LE(sum, kMostInASlice);
    while (red().its.has_pending_commands()) {
      red().its.run_commands(vmsi::VirtualIts::kCommandsPerTrap);
      const unsigned slice = batches.take();
      EXPECT_LE(slice, kMostInASlice);
      sum += slice;
    }
    EXPECT_GE(sum, in_all);
  }
  void expect_all_at(unsigned vcpu) {
    for (unsigned i = 0; i < 2; ++i) {
      for (unsigned k = 0; k < kAll; ++k) {
        const Route route = board.routes.get(HostLpi(devices[i]->first_lpi.value() + k));
        ASSERT_EQ(route.kind, Kind::kGuest);
        ASSERT_EQ(route.vcpu, VcpuIndex(static_cast<std::uint8_t>(vcpu)));
        ASSERT_EQ(devices[i]->vector_cpu[k], board.domains[0]->owner.cpus[vcpu]);
      }
    }
  }
  static constexpr unsigned kAll = 64;
  static constexpr unsigned kMostInASlice =
      vmsi::VirtualIts::kCommandsPerTrap / DeviceSet::kMoveUnits + 1;
};

// Covers: H50
TEST_F(ManyVectors, OfOneEventMoveInSlices) {
  Batches batches(board);
  constexpr unsigned kCommands = 33;  // to vCPU 1 and back, and there it stays
  std::vector<Commands::Command> commands;
  for (unsigned i = 0; i < kCommands; ++i) {
    commands.push_back(Commands::movi(kFirst.value(), 0, (i + 1) % 2));
  }
  commands.push_back(Commands::movi(kSecond.value(), 1, 1));
  red().put_commands(commands);
  expect_slices(batches, kCommands * kAll);
  expect_all_at(1);
}

// Covers: H50
TEST_F(ManyVectors, OfAllDevicesMoveInSlicesWithTheirCollection) {
  Batches batches(board);
  red().put_commands({Commands::mapc(0, 1)});
  expect_slices(batches, 2 * kAll);
  expect_all_at(1);
  red().put_commands({Commands::mapc(0, 0)});
  expect_slices(batches, 2 * kAll);
  expect_all_at(0);
}

TEST_F(ManyVectors, ADeviceThatIsResetWhileItsVectorsMoveIsNoTrouble) {
  red().put_commands({Commands::mapc(0, 1)});
  ASSERT_TRUE(red().its.has_pending_commands());
  red().devices.take_all_back();
  while (red().its.has_pending_commands()) red().its.run_commands(1);
  ASSERT_TRUE(red().devices.assign_all());
}

// Covers: S0.16
TEST_F(Messages, MoviMovesThePhysicalInterruptToo) {
  drive_all();
  red().command(Commands::movi(kFirst.value(), 2, 1));
  ASSERT_TRUE(models[0]->raise(2));
  EXPECT_EQ(board.take_interrupts(), (std::vector<Delivery>{{Kind::kGuest, 0, 1, kLpi + 2, 1, 0}}));
  EXPECT_EQ(red().guest.take(1), kLpi + 2);
  ASSERT_TRUE(models[0]->raise(1));
  EXPECT_EQ(board.take_interrupts(), (std::vector<Delivery>{{Kind::kGuest, 0, 0, kLpi + 1, 0, 0}}));
  red().command(Commands::mapc(0, 1));  // the whole collection
  ASSERT_TRUE(models[0]->raise(1));
  EXPECT_EQ(board.take_interrupts(), (std::vector<Delivery>{{Kind::kGuest, 0, 1, kLpi + 1, 1, 0}}));
}

TEST_F(Messages, WhatIsDiscardedIsDropped) {
  drive_all();
  red().command(Commands::discard(kFirst.value(), 2));
  ASSERT_TRUE(models[0]->raise(2));
  auto seen = board.take_interrupts();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].kind, Kind::kUnwanted);
  red().command(Commands::mapd(kFirst.value(), 5, false));
  ASSERT_TRUE(models[0]->raise(1));
  seen = board.take_interrupts();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].kind, Kind::kUnwanted);
  EXPECT_EQ(red().guest.take(0), std::nullopt);
  red().map_events(kFirst, kVectors, kLpi + 100);
  ASSERT_TRUE(models[0]->raise(1));
  EXPECT_EQ(board.take_interrupts()[0].lpi, kLpi + 101);
}

/// Vectors that share one event, and an event that another vector had.
TEST_F(Messages, RoutesFollowTheGuestsDataNotTheVectorsNumber) {
  drive_all();
  const Gpa table(kBar + 0x2000);
  red().write_entry(table, 0, 3);
  red().write_entry(table, 3, 1);
  ASSERT_TRUE(models[0]->raise(0));
  EXPECT_EQ(board.take_interrupts()[0].lpi, kLpi + 3);
  ASSERT_TRUE(models[0]->raise(3));
  EXPECT_EQ(board.take_interrupts()[0].lpi, kLpi + 1);
  red().command(Commands::movi(kFirst.value(), 1, 1));
  ASSERT_TRUE(models[0]->raise(3));
  EXPECT_EQ(board.take_interrupts()[0].vcpu, 1U);
  ASSERT_TRUE(models[0]->raise(1));
  EXPECT_EQ(board.take_interrupts()[0].vcpu, 1U);
}

// Covers: S0.21 H4
TEST_F(Messages, AForgedEventIsSeenAsTheSendersStray) {
  drive_all();
  for (const std::uint32_t event : {65U, 66U, 127U}) {
    send(0, event);
    const auto seen = board.take_interrupts();
    ASSERT_EQ(seen.size(), 1U) << event;
    EXPECT_EQ(seen[0].kind, Kind::kStray);
    EXPECT_EQ(seen[0].device, 0U);
    EXPECT_EQ(seen[0].domain, 0U);
  }
  for (const std::uint32_t event : {128U, 0xffffU, ~0U}) {
    send(0, event);
    EXPECT_TRUE(board.take_interrupts().empty()) << event;
  }
  // Its own vectors are its own to raise, mapped by the guest or not; nobody else's are.
  send(0, 2);
  EXPECT_EQ(board.take_interrupts(), (std::vector<Delivery>{{Kind::kGuest, 0, 0, kLpi + 2, 0, 0}}));
  send(0, 20);
  EXPECT_EQ(board.take_interrupts()[0].kind, Kind::kUnwanted);
}

TEST_F(Messages, SwitchedOffNothingComes) {
  drive_all();
  red().enable_msix(kFirst, false);
  EXPECT_FALSE(models[0]->raise(0));
  send(0, 0);
  const auto seen = board.take_interrupts();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].kind, Kind::kUnwanted);
  red().enable_msix(kFirst);
  ASSERT_TRUE(models[0]->raise(0));
  EXPECT_EQ(board.take_interrupts()[0].lpi, kLpi);
}

/// Every way of writing to the table, then the check of ~Messages().
// Covers: S0.13 H17
TEST_F(Messages, NoWriteReachesThePhysicalTable) {
  drive_all();
  for (std::uint64_t at = 0; at < 65 * 16 + 32; ++at) {
    for (const unsigned size : {1U, 2U, 4U, 8U, 3U}) {
      (void)red().devices.bar_write(Gpa(kBar + 0x2000 + at), size, 0xdead'beef'dead'beef);
    }
  }
  const unsigned msix = red().capability(kFirst, 0x11);
  for (unsigned at = msix; at < msix + 12; ++at) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) red().set_config(kFirst, at, size, ~0ULL);
  }
}

/// More vectors than a guest is shown: those beyond may raise a stray and nothing else.
// Covers: S0.13 S0.14
TEST(LargeTable, VectorsThatTheGuestCannotSee) {
  TestBoard board;
  ASSERT_TRUE(board.start());
  auto part = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 1, 0x02'0000});
  part->add_bar(0, 0x4000, {});
  part->add_express(sim::PciPortType::kEndpoint, true);
  part->add_msix(200, 0, 0x2000, 0, 0x3000);
  auto& model = board.plug(1, std::move(part));
  ASSERT_TRUE(board.enumerate());
  const Device& device = board.device_of(0, 1, {.guest = kFirst});
  TestDomain& red = *board.domains[0];
  ASSERT_TRUE(red.devices.assign_all());
  EXPECT_EQ(device.vectors, 128U);
  red.start_its();
  red.drive_nvme(kFirst, kBar, kVectors, kLpi);
  red.write_entry(Gpa(kBar + 0x2000), 140, 0);
  EXPECT_EQ(red.devices.bar_read(Gpa(kBar + 0x2000 + 140 * 16), 8), 0U);
  EXPECT_FALSE(model.raise(140));  // masked
  store_le(model.bar_memory(0), 0x2000 + 150 * 16 + 12, 4, 0);
  ASSERT_TRUE(model.raise(150));  // a device that does not care
  const auto seen = board.take_interrupts();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].kind, Kind::kStray);
}

/// Conventional MSI with as many vectors as asked for, with and without mask bits.
struct PlainMsi : testing::TestWithParam<bool> {};

// Covers: S0.13 S0.14 H18
TEST_P(PlainMsi, VectorsAreConsecutiveEventsOfTheDevice) {
  const bool maskable = GetParam();
  TestBoard board;
  ASSERT_TRUE(board.start());
  auto part = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 1, 0x02'0000});
  part->add_bar(0, 0x1000, {});
  part->add_express(sim::PciPortType::kEndpoint, true);
  const unsigned msi = part->add_msi(3, maskable, maskable);
  auto& model = board.plug(1, std::move(part));
  ASSERT_TRUE(board.enumerate());
  Device& device = board.device_of(0, 1, {.guest = kFirst});
  TestDomain& red = *board.domains[0];
  ASSERT_TRUE(red.devices.assign_all());
  EXPECT_EQ(device.vectors, 8U);
  red.start_its();
  red.enable(kFirst);
  red.command(Commands::mapd(kFirst.value(), 6));
  for (unsigned k = 0; k < 4; ++k) {
    red.command(Commands::mapti(kFirst.value(), 0x20 + k, kLpi + k, k % 2));
  }
  red.set_config(kFirst, msi + 4, 4, kGuestDoorbell);
  const unsigned data = maskable ? 12 : 8;
  red.set_config(kFirst, msi + data, 2, 0x20);
  EXPECT_FALSE(model.raise(0));
  red.set_config(kFirst, msi + 2, 2, 0x21);  // on, with four messages
  for (unsigned k = 0; k < 4; ++k) {
    ASSERT_TRUE(model.raise(k));
    EXPECT_EQ(board.take_interrupts(),
              (std::vector<Delivery>{{Kind::kGuest, 0, k % 2, kLpi + k, k % 2, 0}}));
  }
  EXPECT_EQ(model.peek(msi + 4, 4), board.its.doorbell_address());
  EXPECT_EQ(model.peek(msi + data, 2), 0U);
  EXPECT_EQ(red.config(kFirst, msi + 4, 4), kGuestDoorbell);
  EXPECT_EQ(red.config(kFirst, msi + data, 2), 0x20U);
  if (maskable) {
    red.set_config(kFirst, msi + 16, 4, 0x4);
    EXPECT_EQ(model.peek(msi + 16, 4) & 0xf, 0x4U);
    // The guest cannot open what it has not been granted.
    EXPECT_EQ(model.peek(msi + 16, 4) & 0xf0, 0xf0U);
    EXPECT_FALSE(model.raise(2));
    EXPECT_EQ(red.config(kFirst, msi + 20, 4), 4U);
    red.set_config(kFirst, msi + 16, 4, 0);
    EXPECT_EQ(board.take_interrupts()[0].lpi, kLpi + 2);
  }
  // An address that is not its doorbell: off, not sent elsewhere.
  red.set_config(kFirst, msi + 4, 4, kGuestRam.value());
  EXPECT_FALSE(model.raise(0));
  red.set_config(kFirst, msi + 4, 4, kGuestDoorbell);
  EXPECT_TRUE(model.raise(0));
  red.devices.take_all_back();
  EXPECT_EQ(model.peek(msi + 2, 2) & 1U, 0U);
  EXPECT_EQ(board.violation(), "");
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutMasks, PlainMsi, testing::Bool());

// Covers: S0.14 H65
TEST(BigTable, EntriesThatTheGuestCannotSeeStayMaskedAndNameNoVector) {
  constexpr unsigned kEntries = 200;
  TestBoard board;
  ASSERT_TRUE(board.start());
  auto part = std::make_unique<sim::PciFunction>(sim::PciIdentity{0x1234, 0x0002, 0x02'0000});
  part->add_bar(0, 0x4000, {});
  part->add_express(sim::PciPortType::kEndpoint, true);
  part->add_msix(kEntries, 0, 0x2000, 0, 0x3000);
  sim::PciFunction& model = board.plug(1, std::move(part));
  ASSERT_TRUE(board.enumerate());
  const Device& device = board.device_of(0, 1, {.guest = GuestBdf(0, 1, 0)});
  ASSERT_TRUE(board.domains[0]->devices.assign_all());
  EXPECT_EQ(device.info.vectors, kEntries);
  EXPECT_EQ(device.vectors, vpci::kMaxVectors);
  const auto table = model.bar_memory(0).subspan(0x2000);
  for (unsigned k = 0; k < kEntries; ++k) {
    const unsigned event = k < vpci::kMaxVectors ? k : vpci::kMaxVectors;
    EXPECT_EQ(load_le(table, k * 16 + 8, 4), event);
    EXPECT_EQ(load_le(table, k * 16 + 12, 4), 1U);
  }
}

}  // namespace
}  // namespace penstock::assign
