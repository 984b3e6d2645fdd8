#include "core/mem/guest_ram.hpp"

#include <gtest/gtest.h>

#include "sim/memory.hpp"

namespace penstock::mem {
namespace {

constexpr Hpa kHost{0x8000'0000};
constexpr Gpa kGuest{0x4000'0000};

struct Ram : testing::Test {
  Ram() {
    EXPECT_TRUE(ram.add({kGuest, kHost + 8 * kKiB, 8 * kKiB}));
    EXPECT_TRUE(ram.add({kGuest + 8 * kKiB, kHost, 8 * kKiB}));
  }
  sim::Memory memory{kHost, 16 * kKiB};
  GuestRam ram{memory};
};

TEST_F(Ram, CopiesAcrossRegions) {
  const std::array<std::uint8_t, 4> in = {1, 2, 3, 4};
  ASSERT_TRUE(ram.write(kGuest + (8 * kKiB - 2), in));
  std::array<std::uint8_t, 4> out{};
  ASSERT_TRUE(ram.read(kGuest + (8 * kKiB - 2), out));
  EXPECT_EQ(in, out);
  EXPECT_EQ(memory.map(kHost, 2)[0], std::byte{3});
  std::array<std::uint8_t, 12 * kKiB> to_the_end{};
  EXPECT_TRUE(ram.read(kGuest + 4 * kKiB, to_the_end)) << "the last region's last byte";
}

// Covers: H26 H50
TEST_F(Ram, NothingOutsideIsTouched) {
  std::array<std::uint8_t, 8> bytes{};
  for (const Gpa at : {kGuest - 1, kGuest + (16 * kKiB - 7), kGuest + 16 * kKiB, Gpa(0), Gpa(~0ULL),
                       Gpa(~0ULL - 7), Gpa(kHost.value())}) {
    EXPECT_EQ(ram.read(at, bytes).error().code, Code::kNotMapped) << at.value();
    EXPECT_EQ(ram.write(at, bytes).error().code, Code::kNotMapped) << at.value();
  }
  EXPECT_TRUE(ram.read(kGuest + (16 * kKiB - 8), bytes));
  EXPECT_FALSE(ram.translate(kGuest + 16 * kKiB));
  EXPECT_EQ(ram.translate(kGuest).value(), kHost + 8 * kKiB);
}

TEST_F(Ram, AWordIsStoredAtItsPlaceOrNotAtAll) {
  ASSERT_TRUE(ram.store32(kGuest + 4, 0x0403'0201));
  std::array<std::uint8_t, 4> out{};
  ASSERT_TRUE(ram.read(kGuest + 4, out));
  EXPECT_EQ(out, (std::array<std::uint8_t, 4>{1, 2, 3, 4}));
  EXPECT_EQ(ram.store32(kGuest + 2, 1).error().code, Code::kMisaligned);
  EXPECT_EQ(ram.store32(kGuest + 16 * kKiB, 1).error().code, Code::kNotMapped);
}

TEST(GuestRam, RegionsMayNotOverlap) {
  sim::Memory memory{kHost, 64 * kKiB};
  GuestRam ram{memory};
  ASSERT_TRUE(ram.add({kGuest, kHost, 8 * kKiB}));
  EXPECT_EQ(ram.add({kGuest + 4 * kKiB, kHost + 16 * kKiB, 8 * kKiB}).error().code, Code::kOverlap);
  EXPECT_EQ(ram.add({kGuest + kMiB, kHost + 4 * kKiB, 8 * kKiB}).error().code, Code::kOverlap);
  EXPECT_EQ(ram.add({kGuest + 1, kHost + kMiB, 8 * kKiB}).error().code, Code::kMisaligned);
  EXPECT_EQ(ram.add({kGuest + kMiB, kHost + kMiB, 0}).error().code, Code::kOutOfRange);
}

}  // namespace
}  // namespace penstock::mem
