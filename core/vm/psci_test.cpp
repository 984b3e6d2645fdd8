#include "core/vm/psci.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

using Kind = PsciCall::Kind;

TEST(Psci, VersionAndFeatures) {
  EXPECT_EQ(decode_psci(0x84000000, 0, 0, 0).answer, 0x10001);
  EXPECT_EQ(decode_psci(0x80000000, 0, 0, 0).answer, 0x10001);
  EXPECT_EQ(decode_psci(0x8400000a, 0xc4000003, 0, 0).answer, kPsciSuccess);
  EXPECT_EQ(decode_psci(0x8400000a, 0xc4000001, 0, 0).answer, kPsciNotSupported);
}

TEST(Psci, ArgumentsOf32BitCallsAreTruncated) {
  const PsciCall narrow = decode_psci(0x84000003, 0xffffffff00000001, 0x1'4020'0000, 7);
  EXPECT_EQ(narrow.kind, Kind::kCpuOn);
  EXPECT_EQ(narrow.affinity, 1u);
  EXPECT_EQ(narrow.entry, 0x4020'0000u);
  const PsciCall wide = decode_psci(0xc4000003, 1, 0x1'4020'0000, 7);
  EXPECT_EQ(wide.entry, 0x1'4020'0000u);
  EXPECT_EQ(wide.context, 7u);
}

TEST(Psci, EveryFunctionNumberHasADefinedAnswer) {
  for (std::uint64_t high : {0x80000000ULL, 0x84000000ULL, 0xc4000000ULL, 0xc6000000ULL, 0ULL}) {
    for (std::uint64_t low = 0; low < 0x200; ++low) {
      for (std::uint64_t arg : {0ULL, 1ULL, ~0ULL}) {
        const PsciCall call = decode_psci(high | low, arg, arg, arg);
        if (call.kind == Kind::kAnswer) {
          EXPECT_TRUE(call.answer < 0 || call.answer == 0 || call.answer == 2 ||
                      call.answer == 0x10001);
        }
      }
    }
  }
  EXPECT_EQ(decode_psci(0xc4000012, 1, 0, 0).answer, kPsciInvalidParameters);
  EXPECT_EQ(decode_psci(0xc4000012, 0, 0, 0).kind, Kind::kSystemReset);
  EXPECT_EQ(decode_psci(0xc4000004, 1, 1, 0).answer, kPsciInvalidParameters);
}

}  // namespace
}  // namespace penstock::vm
