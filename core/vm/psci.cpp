#include "core/vm/psci.hpp"

namespace penstock::vm {
namespace {

// clang-format off
constexpr std::uint32_t kSmcccVersion      = 0x8000'0000;
constexpr std::uint32_t kArchFeatures      = 0x8000'0001;
constexpr std::uint32_t kPsciVersion       = 0x8400'0000;
constexpr std::uint32_t kCpuSuspend        = 0x8400'0001;
constexpr std::uint32_t kCpuOff            = 0x8400'0002;
constexpr std::uint32_t kCpuOn             = 0x8400'0003;
constexpr std::uint32_t kAffinityInfo      = 0x8400'0004;
constexpr std::uint32_t kMigrateInfoType   = 0x8400'0006;
constexpr std::uint32_t kSystemOff         = 0x8400'0008;
constexpr std::uint32_t kSystemReset       = 0x8400'0009;
constexpr std::uint32_t kPsciFeatures      = 0x8400'000a;
constexpr std::uint32_t kSystemReset2      = 0x8400'0012;
constexpr std::uint32_t kSmc64             = 0x4000'0000;  // the same function with 64-bit arguments
// clang-format on

constexpr std::int64_t kVersion1_1 = 0x1'0001;
constexpr std::int64_t kNoMigrationNeeded = 2;
// Answers of SMCCC_ARCH_FEATURES to a mitigation: this CPU needs it (0); it can be called and does
// nothing (1); no CPU needs it from the caller.
constexpr std::int64_t kArchNeeded = 0;
constexpr std::int64_t kArchNotRequired = -2;

bool implemented(std::uint32_t function) {
  switch (function) {
    case kSmcccVersion:
    case kPsciVersion:
    case kCpuSuspend:
    case kCpuSuspend | kSmc64:
    case kCpuOff:
    case kCpuOn:
    case kCpuOn | kSmc64:
    case kAffinityInfo:
    case kAffinityInfo | kSmc64:
    case kMigrateInfoType:
    case kSystemOff:
    case kSystemReset:
    case kPsciFeatures:
    case kSystemReset2:
    case kSystemReset2 | kSmc64: return true;
    default: return false;
  }
}

PsciCall answer(std::int64_t value) {
  return {PsciCall::Kind::kAnswer, value, 0, 0, 0, 0};
}

/// Whether a guest should call a mitigation, and can.
std::int64_t arch_feature(std::uint32_t function, const ArchFeatures& firmware) {
  switch (function) {
    case kSmcccVersion:
    case kArchFeatures: return kPsciSuccess;
    case kArchWorkaround1:
    case kArchWorkaround3: return firmware.arch_feature(function);
    case kArchWorkaround2: {
      // A switch for the whole CPU, EL2 included, which firmware leaves on "mitigated": there it
      // stays, so that a guest has no switch and needs none.
      const std::int64_t physical = firmware.arch_feature(function);
      return physical == kArchNeeded ? kArchNotRequired : physical;
    }
    default: return kPsciNotSupported;
  }
}

/// SMCCC_ARCH_FEATURES. Like what follows a call of its own, so that decode_psci() saves nothing.
[[gnu::noinline]] PsciCall arch_features(std::uint32_t function, const ArchFeatures& firmware) {
  return answer(arch_feature(function, firmware));
}

/// The call of a mitigation itself, which returns nothing. Of one that does nothing here, too.
[[gnu::noinline]] PsciCall workaround(std::uint32_t function, const ArchFeatures& firmware) {
  const std::int64_t feature = arch_feature(function, firmware);
  if (feature == kPsciNotSupported) return answer(kPsciNotSupported);
  if (feature != kArchNeeded) return answer(kPsciSuccess);
  return {PsciCall::Kind::kWorkaround, kPsciSuccess, 0, 0, 0, function};
}

/// CPU_SUSPEND, original format of power_state (DEN0022 5.4.2): the only state is a standby of this
/// CPU alone, StateID 0. The device tree tells of none.
PsciCall suspend(std::uint64_t power_state) {
  if (static_cast<std::uint32_t>(power_state) != 0) return answer(kPsciInvalidParameters);
  return {PsciCall::Kind::kSuspend, kPsciSuccess, 0, 0, 0, 0};
}

}  // namespace

PsciCall decode_psci(std::uint64_t function, std::uint64_t x1, std::uint64_t x2, std::uint64_t x3,
                     const ArchFeatures& firmware) {
  const auto id = static_cast<std::uint32_t>(function);
  if ((id & kSmc64) == 0) {
    x1 &= 0xffff'ffff;
    x2 &= 0xffff'ffff;
    x3 &= 0xffff'ffff;
  }
  switch (id) {
    case kSmcccVersion:
    case kPsciVersion: return answer(kVersion1_1);
    case kArchFeatures: return arch_features(static_cast<std::uint32_t>(x1), firmware);
    case kArchWorkaround1:
    case kArchWorkaround2:
    case kArchWorkaround3: return workaround(id, firmware);
    case kCpuSuspend:
    case kCpuSuspend | kSmc64: return suspend(x1);
    case kMigrateInfoType: return answer(kNoMigrationNeeded);
    case kPsciFeatures:
      return answer(implemented(static_cast<std::uint32_t>(x1)) ? kPsciSuccess : kPsciNotSupported);
    case kCpuOff: return {PsciCall::Kind::kCpuOff, 0, 0, 0, 0, 0};
    case kCpuOn:
    case kCpuOn | kSmc64: return {PsciCall::Kind::kCpuOn, 0, x1, x2, x3, 0};
    case kAffinityInfo:
    case kAffinityInfo | kSmc64:
      if (x2 != 0) return answer(kPsciInvalidParameters);  // only affinity level 0 exists
      return {PsciCall::Kind::kAffinityInfo, 0, x1, 0, 0, 0};
    case kSystemOff: return {PsciCall::Kind::kSystemOff, 0, 0, 0, 0, 0};
    case kSystemReset: return {PsciCall::Kind::kSystemReset, 0, 0, 0, 0, 0};
    case kSystemReset2:
    case kSystemReset2 | kSmc64:
      // Only the architected warm reset (0) exists; a warm reset here is the same as a cold one.
      if (static_cast<std::uint32_t>(x1) != 0) return answer(kPsciInvalidParameters);
      return {PsciCall::Kind::kSystemReset, 0, 0, 0, 0, 0};
    default: return answer(kPsciNotSupported);
  }
}

}  // namespace penstock::vm
