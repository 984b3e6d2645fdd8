#include "core/vm/emulated_instruction.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

constexpr std::uint64_t kStep = 1ULL << 21;
constexpr std::uint64_t kUser = 0x10;
constexpr std::uint64_t kThumb = 0x30;
constexpr std::uint64_t kZ = 1ULL << 30;
constexpr bool kShort = false;
constexpr bool kLong = true;

/// PSTATE of Thumb code in an IT block: IT[7:2] in bits 15..10, IT[1:0] in bits 26..25.
std::uint64_t thumb_with_it(std::uint64_t it) {
  return kThumb | (it >> 2) << 10 | (it & 3) << 25;
}

TEST(EmulatedInstruction, A64IsFourBytesLong) {
  const InstructionState after = after_instruction({0xffff'0000'4000'0000, 0x3c5}, kLong);
  EXPECT_EQ(after.pc, 0xffff'0000'4000'0004u);
  EXPECT_EQ(after.pstate, 0x3c5u);
}

TEST(EmulatedInstruction, A32IsFourBytesLongAndThumbWhatTheSyndromeSays) {
  EXPECT_EQ(after_instruction({0x1000, kUser}, kLong).pc, 0x1004u);
  EXPECT_EQ(after_instruction({0x1000, kThumb}, kShort).pc, 0x1002u);
  EXPECT_EQ(after_instruction({0x1000, kThumb}, kLong).pc, 0x1004u);
  EXPECT_EQ(after_instruction({0xffff'fffe, kThumb}, kShort).pc, 0u);
}

TEST(EmulatedInstruction, StepIsMade) {
  EXPECT_EQ(after_instruction({0, kStep | 0x3c5}, kLong).pstate, 0x3c5u);
  EXPECT_EQ(after_instruction({0, kStep | kUser}, kLong).pstate, kUser);
}

// ITTE EQ: the first of three instructions, then the others, then none.
TEST(EmulatedInstruction, ItBlockCountsDown) {
  const std::uint64_t first = 0x06;  // EQ, then EQ, then NE
  const std::uint64_t second = 0x0c;
  const std::uint64_t third = 0x18;
  EXPECT_EQ(after_instruction({0, thumb_with_it(first)}, kShort).pstate, thumb_with_it(second));
  EXPECT_EQ(after_instruction({0, thumb_with_it(second)}, kShort).pstate, thumb_with_it(third));
  EXPECT_EQ(after_instruction({0, thumb_with_it(third)}, kShort).pstate, kThumb);
  EXPECT_EQ(after_instruction({0, kThumb}, kShort).pstate, kThumb);
}

TEST(EmulatedInstruction, FieldsOfAArch64ThatLieWhereItDoesAreKept) {
  constexpr std::uint64_t kTcoSsbsBtype = 1ULL << 25 | 1ULL << 12 | 3ULL << 10;
  EXPECT_EQ(after_instruction({0, kTcoSsbsBtype | 0x3c5}, kLong).pstate, kTcoSsbsBtype | 0x3c5);
}

TEST(EmulatedInstruction, EndiannessIsThatOfTheInterruptedLevel) {
  constexpr std::uint64_t kEe = 1ULL << 25;
  constexpr std::uint64_t kE0e = 1ULL << 24;
  constexpr std::uint64_t kE = 1ULL << 9;
  EXPECT_TRUE(is_big_endian(0x3c5, kEe));
  EXPECT_TRUE(is_big_endian(0x3c4, kEe));
  EXPECT_FALSE(is_big_endian(0x3c5, kE0e));
  EXPECT_TRUE(is_big_endian(0x3c0, kE0e));
  EXPECT_FALSE(is_big_endian(0x3c0, kEe));
  EXPECT_TRUE(is_big_endian(kUser | kE, 0));
  EXPECT_FALSE(is_big_endian(kUser, kEe | kE0e));
}

TEST(EmulatedInstruction, BytesAreSwappedWithinTheAccess) {
  constexpr std::uint64_t kValue = 0x0102'0304'0506'0708;
  EXPECT_EQ(swap_bytes(kValue, 1), 0x08u);
  EXPECT_EQ(swap_bytes(kValue, 2), 0x0807u);
  EXPECT_EQ(swap_bytes(kValue, 4), 0x0807'0605u);
  EXPECT_EQ(swap_bytes(kValue, 8), 0x0807'0605'0403'0201u);
}

std::uint64_t esr_with_condition(std::uint64_t condition) {
  return 1ULL << 24 | condition << 20;
}

TEST(EmulatedInstruction, ConditionsAreThoseOfTheFlags) {
  struct Row {
    std::uint64_t nzcv;
    std::uint64_t holding;  // bit n: condition n holds
  };
  // By hand from the table of conditions (DDI 0487 F1.3.1); AL and 15 always hold.
  constexpr Row kRows[] = {
      {0b0000, 0xd6aa}, {0b0100, 0xe6a9}, {0b0010, 0xd5a6},
      {0b1001, 0xd65a}, {0b1000, 0xea9a}, {0b0001, 0xea6a},
  };
  for (const Row& row : kRows) {
    for (std::uint64_t condition = 0; condition < 16; ++condition) {
      EXPECT_EQ(condition_holds(esr_with_condition(condition), kUser | row.nzcv << 28),
                (row.holding >> condition & 1) != 0)
          << row.nzcv << " " << condition;
    }
  }
}

TEST(EmulatedInstruction, ConditionOfThumbIsThatOfItsItBlock) {
  constexpr std::uint64_t kNoCondition = 0;
  constexpr std::uint64_t kItEq = 0x08;
  constexpr std::uint64_t kItNe = 0x18;
  EXPECT_TRUE(condition_holds(kNoCondition, kThumb));
  EXPECT_TRUE(condition_holds(kNoCondition, thumb_with_it(kItEq) | kZ));
  EXPECT_FALSE(condition_holds(kNoCondition, thumb_with_it(kItEq)));
  EXPECT_FALSE(condition_holds(kNoCondition, thumb_with_it(kItNe) | kZ));
}

}  // namespace
}  // namespace penstock::vm
