// A function of Penstock's own beside the devices, and many CPUs at a domain's devices.
#include "core/assign/built_in.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "core/assign/test_slot_board.hpp"
#include "core/vpci/fake_function.hpp"

namespace penstock::assign {
namespace {

constexpr GuestBdf kOwn{0, 8, 0};
constexpr GuestBdf kCard = vpci::card_of(0);
constexpr std::uint64_t kAt = 0x1000'0000;
constexpr Hpa kWindow{0x9000'0000};

/// Registers that answer with their place, and a page shared with the guest.
class FakeBuiltIn final : public BuiltIn {
 public:
  explicit FakeBuiltIn(mem::Stage2Table& table) : table_(table) {
    config_.put(0x00, 4, 0x0001'1b36);
    config_.put(0x08, 4, 0xff00'0000);
    vpci::FunctionFacts facts;
    facts.hw = &config_;
    facts.bars[0] = {.host = kWindow, .size = kPageSize};
    facts.bars[1] = {.host = kWindow, .size = kPageSize};
    vpci::PolicyOptions options;
    options.windows = {kWindow32, kWindow64};
    EXPECT_TRUE(view_.init(facts, options));
  }
  vpci::VirtualFunction& view() override { return view_; }
  std::uint64_t bar_read(unsigned bar, std::uint64_t offset, unsigned size) override {
    return std::uint64_t{bar} << 32 | offset << 8 | size;
  }
  void bar_write(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value) override {
    written.push_back({bar, offset, size, value});
  }
  void apply(const vpci::Effects& effects) override {
    for (const vpci::Effect& effect : effects) {
      if (effect.bar != 1) continue;
      if (effect.kind == vpci::Effect::Kind::kMapBar) {
        EXPECT_TRUE(table_.map(effect.gpa, kWindow, kPageSize, mem::Stage2Attributes::ram()));
        shown = effect.gpa;
      }
      if (effect.kind == vpci::Effect::Kind::kUnmapBar) unmap();
    }
  }
  void fill_gap() override { ++gaps; }
  void reset() override {
    unmap();
    (void)view_.reset();
    ++resets;
  }
  [[nodiscard]] std::optional<mem::Stage2Mapping> shared() const override {
    if (!shown) return std::nullopt;
    return mem::Stage2Mapping{*shown, kWindow, kPageSize, mem::Stage2Attributes::ram()};
  }

  std::vector<std::array<std::uint64_t, 4>> written;
  std::optional<Gpa> shown;
  unsigned resets = 0;
  unsigned gaps = 0;

 private:
  void unmap() {
    if (shown) EXPECT_TRUE(table_.unmap(*shown, kPageSize));
    shown.reset();
  }
  mem::Stage2Table& table_;
  vpci::test::FakeConfig config_;
  vpci::VirtualFunction view_;
};

struct BuiltInFunction : testing::Test {
  BuiltInFunction() {
    EXPECT_TRUE(board.start_with_slots());
    for (unsigned i = 0; i < 2; ++i) board.plug(i + 1, sim::nvme_like());
    EXPECT_TRUE(board.enumerate());
    for (unsigned i = 0; i < 2; ++i) devices[i] = &board.device(i + 1, {});
    own.emplace(red().cpu_table);
    EXPECT_TRUE(red().devices.add_built_in(kOwn, *own));
    red().start_its();
    EXPECT_TRUE(red().devices.assign_all());
    PortDriver(board, 0, 0).number_buses();
  }
  ~BuiltInFunction() override {
    EXPECT_EQ(board.wrong(), "");
    EXPECT_EQ(board.violation(), "");
  }
  TestDomain& red() { return *board.domains[0]; }

  SlotBoard board;
  std::array<Device*, 2> devices{};
  std::optional<FakeBuiltIn> own;
};

// Covers: S3.19
TEST_F(BuiltInFunction, ItsAccessesReachItAndNoDevice) {
  ASSERT_TRUE(board.attach(0, *devices[0], kCard));
  EXPECT_EQ(red().config(kOwn, 0, 4), 0x0001'1b36U);
  red().place_bar(kOwn, 0, kAt);
  red().place_bar(kOwn, 1, kAt + kPageSize);
  EXPECT_EQ(red().devices.bar_read(Gpa(kAt), 4), std::nullopt);  // not decoded yet
  red().enable(kOwn);
  EXPECT_EQ(red().devices.bar_read(Gpa(kAt + 0x18), 4), 0x1804U);
  EXPECT_TRUE(red().devices.bar_write(Gpa(kAt + 0x20), 8, 7));
  ASSERT_EQ(own->written.size(), 1U);
  EXPECT_EQ(own->written[0], (std::array<std::uint64_t, 4>{0, 0x20, 8, 7}));
  EXPECT_EQ(own->shown, Gpa(kAt + kPageSize));
  EXPECT_TRUE(red().cpu_table.translate(Gpa(kAt + kPageSize)));
  EXPECT_EQ(board.wrong(), "");
  red().drive_nvme(kCard, kWindow64.base.value(), 2, 8200);
  EXPECT_EQ(own->written.size(), 1U);
  EXPECT_EQ(board.wrong(), "");
  // Where the two lie in one place, the lower function answers.
  red().place_bar(kOwn, 0, kAt + 0x10'0000);
  EXPECT_EQ(red().devices.bar_read(Gpa(kAt), 4), std::nullopt);
  EXPECT_EQ(red().devices.bar_read(Gpa(kAt + 0x10'0010), 4), 0x1004U);
  // The other domain has none.
  EXPECT_EQ(board.domains[1]->config(kOwn, 0, 4), 0xffff'ffffU);
}

TEST_F(BuiltInFunction, ItStaysAndIsResetWithItsDomain) {
  red().place_bar(kOwn, 1, kAt);
  red().enable(kOwn);
  EXPECT_TRUE(own->shown);
  red().devices.take_all_back();
  EXPECT_EQ(own->resets, 1U);
  EXPECT_FALSE(red().cpu_table.translate(Gpa(kAt)));
  EXPECT_EQ(board.wrong(), "");
  ASSERT_TRUE(red().devices.assign_all());
  EXPECT_EQ(red().config(kOwn, 0, 4), 0x0001'1b36U);
  EXPECT_EQ(red().config(kOwn, 4, 2), 0U);
}

TEST_F(BuiltInFunction, ThereIsOneAndItsPlaceIsTaken) {
  FakeBuiltIn second(red().cpu_table);
  EXPECT_EQ(red().devices.add_built_in(GuestBdf(0, 9, 0), second).error().code,
            Code::kAlreadyExists);
  EXPECT_FALSE(board.attach(0, *devices[0], kOwn));
  EXPECT_EQ(devices[0]->state, DeviceState::kQuarantined);
  EXPECT_EQ(red().config(kOwn, 0, 4), 0x0001'1b36U);
  EXPECT_FALSE(board.domains[1]->devices.add_built_in(GuestBdf(0, 16, 0), second));
  EXPECT_EQ(board.domains[1]->devices.built_in(), nullptr);
}

/// A guest's CPU reads and writes what is on its bus, and another one audits, while devices come
/// and go.
// Covers: H22 H44
TEST_F(BuiltInFunction, WhoWaitsForAPlaceComesWhenTheOtherLeavesIt) {
  const Gpa place(kAt);
  red().place_bar(kOwn, 1, kAt);
  red().enable(kOwn);
  ASSERT_EQ(own->shown, place);
  ASSERT_TRUE(board.attach(0, *devices[0], kCard));
  red().place_bar(kCard, 0, kAt);
  red().enable(kCard);
  EXPECT_EQ(red().cpu_table.translate(place).value().hpa, kWindow);
  red().place_bar(kOwn, 1, kAt + 0x10'0000);
  EXPECT_EQ(red().cpu_table.translate(place).value().hpa, devices[0]->info.bars[0].host);
  const unsigned before = own->gaps;
  red().set_config(kCard, 4, 2, 0);
  EXPECT_GT(own->gaps, before);
}

TEST_F(BuiltInFunction, DevicesComeAndGoWhileCpusUseTheBus) {
  std::atomic<bool> over{false};
  std::atomic<unsigned> strange{0};
  const auto guest = [&] {
    while (!over.load()) {
      const std::uint64_t id = red().config(kCard, 0, 4);
      if (id != 0xffff'ffff && id != 0x0010'1b36) ++strange;
      red().place_bar(kCard, 0, kWindow64.base.value());
      red().enable(kCard);
      (void)red().devices.bar_read(kWindow64.base + 0x2000, 4);
      (void)red().devices.bar_write(kWindow64.base + 0x200c, 4, 0);
      if (red().config(kOwn, 0, 4) != 0x0001'1b36) ++strange;
      using Kind = vmsi::ItsChange::Kind;
      const GuestDeviceId card(kCard.value());
      (void)red().devices.follow({Kind::kEvent, card, GuestEventId(0)}, true, ~0U);
      (void)red().devices.follow({Kind::kAll, {}, {}}, true, ~0U);
    }
  };
  std::thread one(guest);
  std::thread two([&] {
    while (!over.load()) strange += board.wrong().empty() ? 0 : 1;
  });
  for (unsigned i = 0; i < 12; ++i) {
    Device& device = *devices[i % 2];
    EXPECT_TRUE(board.attach(0, device, kCard));
    EXPECT_EQ(red().devices.free_slot(), vpci::card_of(1));
    EXPECT_TRUE(red().devices.detach(device, true));
    EXPECT_FALSE(red().cpu_table.translate(kWindow64.base));
  }
  over = true;
  one.join();
  two.join();
  EXPECT_EQ(strange.load(), 0U);
  EXPECT_EQ(board.holdings().streams, 0U);
  EXPECT_EQ(board.holdings().routes, 0U);
}

}  // namespace
}  // namespace penstock::assign
