#include "core/vm/exception_entry.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

// Bits and values by their places in the manual, not by the names of the code.
constexpr std::uint64_t bit(unsigned n) {
  return std::uint64_t{1} << n;
}
constexpr std::uint64_t kEl0 = 0x0, kEl1t = 0x4, kEl1h = 0x5, kUser32 = 0x10;
constexpr std::uint64_t kDaif = 0x3c0;
constexpr std::uint64_t kSpan = bit(23), kDssbs = bit(44), kNmi = bit(61), kSpIntMask = bit(62);
constexpr std::uint64_t kPan = bit(22), kSsbs = bit(12), kTco = bit(25), kAllInt = bit(13);
constexpr std::uint64_t kDit = bit(24), kUao = bit(23), kSs = bit(21), kIl = bit(20);
constexpr std::uint64_t kBtype = bit(11) | bit(10), kNzcv = 0xf000'0000;
constexpr PstateFeatures kNone{};
constexpr PstateFeatures kAll{.pan = true, .ssbs = true, .mte = true, .nmi = true};

// Covers: H64
TEST(ExceptionEntry, VectorIsThatOfTheInterruptedCode) {
  EXPECT_EQ(take_to_el1(kEl1t, kSpan, kNone).vector_offset, 0x000u);
  EXPECT_EQ(take_to_el1(kEl1h, kSpan, kNone).vector_offset, 0x200u);
  EXPECT_EQ(take_to_el1(kEl0, kSpan, kNone).vector_offset, 0x400u);
  EXPECT_EQ(take_to_el1(kUser32, kSpan, kNone).vector_offset, 0x600u);
  // 32-bit state with flags where 64-bit state has its level: Thumb, big-endian, masked.
  EXPECT_EQ(take_to_el1(kUser32 | 0x3e0, kSpan, kNone).vector_offset, 0x600u);
}

// Covers: H64
TEST(ExceptionEntry, HandlerRunsAtEl1WithItsOwnStackAndEverythingMasked) {
  for (const std::uint64_t from : {kEl0, kEl1t, kEl1h, kUser32}) {
    EXPECT_EQ(take_to_el1(from, kSpan, kNone).pstate, kEl1h | kDaif);
  }
}

TEST(ExceptionEntry, FlagsDitAndPanStayAndTheRestOfTheOldStateIsGone) {
  const std::uint64_t old = kNzcv | kDit | kPan | kUao | kSs | kIl | kBtype | kSsbs | kTco | kEl0;
  EXPECT_EQ(take_to_el1(old, kSpan, kNone).pstate, kNzcv | kDit | kPan | kDaif | kEl1h);
  EXPECT_EQ(take_to_el1(kEl0, kSpan, kAll).pstate, kTco | kAllInt | kDaif | kEl1h);
}

TEST(ExceptionEntry, ThirtyTwoBitStateLeavesNothingOfItsOwn) {
  // IT, GE, E and T; saturation Q is bit 27.
  const std::uint64_t old =
      kUser32 | bit(5) | bit(9) | 0xfc00 | 0xf0000 | bit(25) | bit(26) | bit(27) | kNzcv;
  EXPECT_EQ(take_to_el1(old, kSpan, kNone).pstate, kNzcv | kDaif | kEl1h);
}

TEST(ExceptionEntry, SpanClearSetsPanWhereTheCpuHasIt) {
  EXPECT_EQ(take_to_el1(kEl0, 0, kAll).pstate & kPan, kPan);
  EXPECT_EQ(take_to_el1(kEl0, kSpan, kAll).pstate & kPan, 0u);
  EXPECT_EQ(take_to_el1(kEl0, 0, kNone).pstate & kPan, 0u);
}

TEST(ExceptionEntry, SsbsIsWhatSctlrSaysWhereTheCpuHasIt) {
  EXPECT_EQ(take_to_el1(kEl0, kSpan | kDssbs, kAll).pstate & kSsbs, kSsbs);
  EXPECT_EQ(take_to_el1(kEl0 | kSsbs, kSpan, kAll).pstate & kSsbs, 0u);
  EXPECT_EQ(take_to_el1(kEl0, kSpan | kDssbs, kNone).pstate & kSsbs, 0u);
}

// Whether SCTLR_EL1.NMI is set makes no difference to what is written, only to what it means.
TEST(ExceptionEntry, AllInterruptsAreMaskedUnlessTheStackPointerDecides) {
  EXPECT_EQ(take_to_el1(kEl0, kSpan | kNmi, kAll).pstate & kAllInt, kAllInt);
  EXPECT_EQ(take_to_el1(kEl0, kSpan | kNmi | kSpIntMask, kAll).pstate & kAllInt, 0u);
  EXPECT_EQ(take_to_el1(kEl0, kSpan, kAll).pstate & kAllInt, kAllInt);
  EXPECT_EQ(take_to_el1(kEl0 | kAllInt, kSpan | kSpIntMask, kAll).pstate & kAllInt, 0u);
  EXPECT_EQ(take_to_el1(kEl0, kSpan | kNmi, kNone).pstate & kAllInt, 0u);
}

constexpr std::uint64_t kDataAbort = std::uint64_t{0x24} << 26;
constexpr std::uint64_t kFetchAbort = std::uint64_t{0x20} << 26;
constexpr std::uint64_t kLong = bit(25);

// Covers: H64
TEST(AbortSyndrome, IsAnExternalAbortOfTheLevelThatMadeTheAccess) {
  EXPECT_EQ(abort_syndrome(kDataAbort | kLong | 0x06, kEl0), kDataAbort | kLong | 0x10);
  EXPECT_EQ(abort_syndrome(kDataAbort | kLong | 0x06, kUser32), kDataAbort | kLong | 0x10);
  EXPECT_EQ(abort_syndrome(kDataAbort | kLong | 0x06, kEl1h), kDataAbort | bit(26) | kLong | 0x10);
  EXPECT_EQ(abort_syndrome(kFetchAbort | kLong | 0x06, kEl0), kFetchAbort | kLong | 0x10);
  EXPECT_EQ(abort_syndrome(kFetchAbort | kLong | 0x0f, kEl1t),
            kFetchAbort | bit(26) | kLong | 0x10);
}

TEST(AbortSyndrome, TellsNothingOfStage2) {
  // ISV, SAS, SSE, SRT, SF, AR, VNCR, SET, FnV, EA, S1PTW: everything that is not the guest's.
  const std::uint64_t all = 0x01ff'ffff & ~0x3fULL;
  EXPECT_EQ(abort_syndrome(kDataAbort | all | 0x07, kEl0), kDataAbort | bit(8) | bit(6) | 0x10);
  EXPECT_EQ(abort_syndrome(kFetchAbort | all | 0x07, kEl0), kFetchAbort | 0x10);
  EXPECT_EQ(abort_syndrome(kDataAbort | (bit(56) - bit(32)) | 0x07, kEl0), kDataAbort | 0x10);
}

TEST(AbortSyndrome, KeepsWriteCacheOperationAndInstructionLength) {
  EXPECT_EQ(abort_syndrome(kDataAbort | bit(6) | 0x05, kEl0), kDataAbort | bit(6) | 0x10);
  EXPECT_EQ(abort_syndrome(kDataAbort | kLong | bit(8) | bit(6) | 0x05, kEl0),
            kDataAbort | kLong | bit(8) | bit(6) | 0x10);
}

TEST(AbortSyndrome, AlignmentFaultStaysOne) {
  EXPECT_EQ(abort_syndrome(kDataAbort | kLong | bit(6) | 0x21, kEl0),
            kDataAbort | kLong | bit(6) | 0x21);
}

}  // namespace
}  // namespace penstock::vm
