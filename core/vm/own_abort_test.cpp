#include "core/vm/own_abort.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

constexpr std::uint64_t kAbort = 0x25ULL << 26 | 1ULL << 25 | 0x10;

// Covers: H45 H54
TEST(OwnAbort, AnExternalAbortIsKnownWhateverIss2Says) {
  EXPECT_TRUE(is_own_external_abort(kAbort));
  EXPECT_TRUE(is_own_external_abort(kAbort | 1ULL << 6));  // a write
  for (unsigned bit = 32; bit < 56; ++bit) {
    EXPECT_TRUE(is_own_external_abort(kAbort | 1ULL << bit)) << bit;
  }
}

TEST(OwnAbort, AnyOtherExceptionIsNone) {
  EXPECT_FALSE(is_own_external_abort(0x24ULL << 26 | 0x10));  // a guest's
  EXPECT_FALSE(is_own_external_abort(0x21ULL << 26 | 0x10));  // an instruction fetch
  EXPECT_FALSE(is_own_external_abort(0x25ULL << 26 | 0x05));  // a translation fault
  EXPECT_FALSE(is_own_external_abort(0x25ULL << 26 | 0x14));  // of a table walk
}

TEST(OwnAbort, OnlyTheHypervisorsOwnStateIsReturnedTo) {
  EXPECT_TRUE(is_own_state(0x3c9));
  EXPECT_TRUE(is_own_state(0x6000'03c9));
  for (const std::uint64_t guest : {0x3c5ULL, 0x3c4ULL, 0x0ULL, 0x10ULL, 0x3c8ULL, 0x3d9ULL}) {
    EXPECT_FALSE(is_own_state(guest)) << guest;
  }
}

TEST(OwnAbort, AnErrorIsSurvivedUnlessItSaysThatTheCpuIsNotSound) {
  constexpr std::uint64_t kError = 0x2fULL << 26 | 1ULL << 25;
  EXPECT_TRUE(is_survivable_error(kError));                       // nothing is said
  EXPECT_TRUE(is_survivable_error(kError | 1ULL << 24 | 0x11));   // in words of the maker's own
  EXPECT_FALSE(is_survivable_error(kError | 0x11));               // uncontainable
  EXPECT_FALSE(is_survivable_error(kError | 0x11 | 1ULL << 10));  // unrecoverable
  EXPECT_TRUE(is_survivable_error(kError | 0x11 | 2ULL << 10));   // restartable
  EXPECT_TRUE(is_survivable_error(kError | 0x11 | 3ULL << 10));   // recoverable
  EXPECT_TRUE(is_survivable_error(kError | 0x11 | 6ULL << 10));   // corrected
}

struct Case {
  std::uint32_t instruction;
  bool load;
  unsigned reg;
  std::uint64_t value;
};

// Covers: H45
TEST(OwnAbort, ALoadGetsAllOnesOfItsSize) {
  const Case cases[] = {
      {0x39400003, true, 3, 0xff},          // ldrb w3, [x0]
      {0x7940'0c43, true, 3, 0xffff},       // ldrh w3, [x2, #6]
      {0xb9400020, true, 0, 0xffff'ffff},   // ldr w0, [x1]
      {0xf9400020, true, 0, ~0ULL},         // ldr x0, [x1]
      {0xb8626820, true, 0, 0xffff'ffff},   // ldr w0, [x1, x2]
      {0xb8404020, true, 0, 0xffff'ffff},   // ldur w0, [x1, #4]
      {0x39800020, true, 0, ~0ULL},         // ldrsb x0, [x1]
      {0x39c00020, true, 0, 0xffff'ffff},   // ldrsb w0, [x1]
      {0xb9800020, true, 0, ~0ULL},         // ldrsw x0, [x1]
      {0xb940003f, true, 31, 0xffff'ffff},  // ldr wzr, [x1]
      {0xb9000020, false, 31, 0},           // str w0, [x1]
      {0x39000020, false, 31, 0},           // strb w0, [x1]
  };
  for (const Case& each : cases) {
    const auto forgiven = forgive_access(each.instruction);
    ASSERT_TRUE(forgiven) << std::hex << each.instruction;
    EXPECT_EQ(forgiven->load, each.load) << std::hex << each.instruction;
    EXPECT_EQ(forgiven->reg, each.reg) << std::hex << each.instruction;
    EXPECT_EQ(forgiven->value, each.value) << std::hex << each.instruction;
  }
}

TEST(OwnAbort, NoOtherInstructionIsForgiven) {
  const std::uint32_t others[] = {
      0xb8404420,  // ldr w0, [x1], #4
      0xb8404c20,  // ldr w0, [x1, #4]!
      0xa9400420,  // ldp x0, x1, [x1]
      0x885f7c20,  // ldxr w0, [x1]
      0x3dc00020,  // ldr q0, [x1]
      0xb8200020,  // ldadd w0, w0, [x1]
      0xf9800020,  // prfm pldl1keep, [x1]
      0xd503201f,  // nop
      0,
  };
  for (const std::uint32_t each : others) EXPECT_FALSE(forgive_access(each)) << std::hex << each;
}

}  // namespace
}  // namespace penstock::vm
