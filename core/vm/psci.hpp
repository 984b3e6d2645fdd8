// What a guest's PSCI or SMCCC call asks for (DEN0022 1.1, DEN0028), decided without touching
// anything.
#pragma once

#include <cstdint>

namespace penstock::vm {

// Return values of PSCI functions.
inline constexpr std::int64_t kPsciSuccess = 0;
inline constexpr std::int64_t kPsciNotSupported = -1;
inline constexpr std::int64_t kPsciInvalidParameters = -2;
inline constexpr std::int64_t kPsciAlreadyOn = -4;
inline constexpr std::int64_t kPsciOnPending = -5;
inline constexpr std::int64_t kPsciInternalFailure = -6;
inline constexpr std::int64_t kPsciInvalidAddress = -9;

struct PsciCall {
  enum class Kind {
    kAnswer,        // nothing to do: return `answer`
    kCpuOn,         // start `affinity` at `entry` with x0 = `context`
    kCpuOff,        // stop the caller; does not return
    kAffinityInfo,  // state of `affinity`
    kSystemOff,
    kSystemReset,
  };
  Kind kind = Kind::kAnswer;
  std::int64_t answer = kPsciNotSupported;
  std::uint64_t affinity = 0;
  std::uint64_t entry = 0;
  std::uint64_t context = 0;
};

/// `function` is w0, the arguments x1..x3 of the HVC or SMC #0. 32-bit functions see the low halves
/// of their arguments.
[[nodiscard]] PsciCall decode_psci(std::uint64_t function, std::uint64_t x1, std::uint64_t x2,
                                   std::uint64_t x3);

}  // namespace penstock::vm
