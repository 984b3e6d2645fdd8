#include "core/vm/psci.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

using Kind = PsciCall::Kind;

/// Firmware that gives one answer to every question, and counts them.
class Firmware final : public ArchFeatures {
 public:
  explicit Firmware(std::int64_t answer = kPsciNotSupported) : answer_(answer) {}
  [[nodiscard]] std::int64_t arch_feature(std::uint32_t /*function*/) const override {
    return answer_;
  }

 private:
  std::int64_t answer_;
};

constexpr std::uint64_t kArchFeatures = 0x8000'0001;
constexpr std::uint64_t kPsciFeatures = 0x8400'000a;
constexpr std::uint64_t kCpuSuspend32 = 0x8400'0001;
constexpr std::uint64_t kCpuSuspend64 = 0xc400'0001;
constexpr std::int64_t kNotRequired = -2;

PsciCall decode_psci(std::uint64_t function, std::uint64_t x1, std::uint64_t x2, std::uint64_t x3,
                     std::int64_t firmware = kPsciNotSupported) {
  return vm::decode_psci(function, x1, x2, x3, Firmware(firmware));
}

TEST(Psci, VersionAndFeatures) {
  EXPECT_EQ(decode_psci(0x84000000, 0, 0, 0).answer, 0x10001);
  EXPECT_EQ(decode_psci(0x80000000, 0, 0, 0).answer, 0x10001);
  EXPECT_EQ(decode_psci(0x8400000a, 0xc4000003, 0, 0).answer, kPsciSuccess);
  EXPECT_EQ(decode_psci(0x8400000a, 0xc400000e, 0, 0).answer, kPsciNotSupported);
}

TEST(Psci, EveryMandatoryFunctionOfVersion1_1IsThere) {
  for (const std::uint64_t function : std::initializer_list<std::uint64_t>{
           0x84000000ULL, kCpuSuspend32, kCpuSuspend64, 0x84000002ULL, 0x84000003ULL, 0xc4000003ULL,
           0x84000004ULL, 0xc4000004ULL, 0x84000008ULL, 0x84000009ULL, kPsciFeatures}) {
    EXPECT_EQ(decode_psci(kPsciFeatures, function, 0, 0).answer, kPsciSuccess) << function;
  }
}

TEST(Psci, SuspendIsAStandbyOfThisCpu) {
  for (std::uint64_t function : {kCpuSuspend32, kCpuSuspend64}) {
    const PsciCall call = decode_psci(function, 0, 0x4020'0000, 7);
    EXPECT_EQ(call.kind, Kind::kSuspend);
    EXPECT_EQ(call.answer, kPsciSuccess);
  }
}

TEST(Psci, SuspendToAStateThatIsNotDescribedIsRefused) {
  constexpr std::uint64_t kPowerDown = 1ULL << 16;
  constexpr std::uint64_t kCluster = 1ULL << 24;
  constexpr std::uint64_t kReserved = 1ULL << 31;
  for (const std::uint64_t state :
       std::initializer_list<std::uint64_t>{kPowerDown, kCluster, kReserved, 1}) {
    EXPECT_EQ(decode_psci(kCpuSuspend64, state, 0, 0).answer, kPsciInvalidParameters);
    EXPECT_EQ(decode_psci(kCpuSuspend64, state, 0, 0).kind, Kind::kAnswer);
  }
}

TEST(Smccc, ArchFeaturesKnowsItselfAndTheVersion) {
  EXPECT_EQ(decode_psci(kArchFeatures, kArchFeatures, 0, 0).answer, kPsciSuccess);
  EXPECT_EQ(decode_psci(kArchFeatures, 0x8000'0000, 0, 0).answer, kPsciSuccess);
  EXPECT_EQ(decode_psci(kArchFeatures, 0x8000'0002, 0, 0).answer, kPsciNotSupported);  // SOC_ID
}

TEST(Smccc, MitigationsThatFirmwareHasAreOfferedAndReachIt) {
  for (std::uint32_t function : {kArchWorkaround1, kArchWorkaround3}) {
    EXPECT_EQ(decode_psci(kArchFeatures, function, 0, 0, 0).answer, 0);
    const PsciCall call = decode_psci(function, 0, 0, 0, 0);
    EXPECT_EQ(call.kind, Kind::kWorkaround);
    EXPECT_EQ(call.function, function);
  }
}

TEST(Smccc, MitigationThatThisCpuDoesNotNeedIsNotPassedOn) {
  for (std::uint32_t function : {kArchWorkaround1, kArchWorkaround3}) {
    EXPECT_EQ(decode_psci(kArchFeatures, function, 0, 0, 1).answer, 1);
    EXPECT_EQ(decode_psci(function, 0, 0, 0, 1).kind, Kind::kAnswer);
    EXPECT_EQ(decode_psci(function, 0, 0, 0, 1).answer, kPsciSuccess);
  }
}

TEST(Smccc, MitigationThatFirmwareDoesNotKnowIsNotSupported) {
  for (std::uint32_t function : {kArchWorkaround1, kArchWorkaround2, kArchWorkaround3}) {
    EXPECT_EQ(decode_psci(kArchFeatures, function, 0, 0).answer, kPsciNotSupported);
    EXPECT_EQ(decode_psci(function, 0, 0, 0).answer, kPsciNotSupported);
    EXPECT_EQ(decode_psci(function, 0, 0, 0).kind, Kind::kAnswer);
  }
}

// It would switch the mitigation off for EL2, too, and for the CPU's next owner.
TEST(Smccc, SpeculativeStoreBypassStaysMitigatedWhateverAGuestAsksFor) {
  EXPECT_EQ(decode_psci(kArchFeatures, kArchWorkaround2, 0, 0, 0).answer, kNotRequired);
  for (std::uint64_t wanted : {0ULL, 1ULL}) {
    EXPECT_EQ(decode_psci(kArchWorkaround2, wanted, 0, 0, 0).kind, Kind::kAnswer);
  }
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
