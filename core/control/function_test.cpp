#include "core/control/function.hpp"

#include <gtest/gtest.h>

#include "core/control/fake_host.hpp"
#include "sim/memory.hpp"

namespace penstock::control {
namespace {

constexpr Hpa kWindow{0x4000'0000};
constexpr Hpa kPool = kWindow + kWindowBytes;
constexpr std::uint64_t kPoolBytes = 64 * kKiB;
constexpr Gpa kPlace{0x80'0000'0000};
constexpr Hpa kOther{0x9000'0000};

struct NoTlb final : port::Stage2Tlb {
  void invalidate(Gpa /*start*/, std::uint64_t /*size*/) override {}
};

struct ControlFunction : testing::Test {
  ControlFunction() {
    EXPECT_TRUE(pool.init(memory, kPool, kPoolBytes));
    EXPECT_TRUE(table.init(pool, memory, tlb));
    EXPECT_TRUE(function.init(
        {vpci::Window{Gpa(0x1000'0000), 64 * kMiB}, vpci::Window{kPlace, 512 * kGiB}}));
  }
  void write(unsigned offset, unsigned size, std::uint64_t value) {
    function.apply(function.view().config_write(offset, size, value));
  }
  /// The shared window, which is the second BAR that the function shows.
  void place(Gpa at) {
    write(kBar, 4, at.value() & 0xffff'ffff);
    write(kBar + 4, 4, at.value() >> 32);
  }
  static constexpr unsigned kBar = 0x18;
  sim::Memory memory{kWindow, kWindowBytes + kPoolBytes, sim::Memory::Coherency::kNonCoherent};
  FakeHost host;
  Server server{memory, kWindow, host};
  NoTlb tlb;
  mem::PagePool pool;
  mem::Stage2Table table;
  Function function{server, kWindow, table};
};

TEST_F(ControlFunction, ItsWindowWaitsForWhatIsInItsPlaceToLeave) {
  ASSERT_TRUE(table.map(kPlace, kOther, kPageSize, mem::Stage2Attributes::device()));
  place(kPlace);
  write(4, 2, 2);
  EXPECT_FALSE(function.shared());
  function.fill_gap();
  EXPECT_FALSE(function.shared());
  EXPECT_EQ(table.translate(kPlace).value().hpa, kOther);
  ASSERT_TRUE(table.unmap(kPlace, kPageSize));
  function.fill_gap();
  ASSERT_TRUE(function.shared());
  EXPECT_EQ(table.translate(kPlace).value().hpa, kWindow);
  function.fill_gap();  // it is there already
  EXPECT_EQ(function.shared()->gpa, kPlace);
  write(4, 2, 0);
  function.fill_gap();
  EXPECT_FALSE(function.shared()) << "its guest has switched it off";
}

}  // namespace
}  // namespace penstock::control
