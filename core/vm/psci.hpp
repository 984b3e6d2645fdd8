// What a guest's PSCI or SMCCC call asks for (DEN0022 1.1, DEN0028 1.1), decided without touching
// anything but a question to firmware.
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

// Mitigations that firmware has for some CPUs (DEN0028 7.5 and after): calls of a guest that reach
// it.
inline constexpr std::uint32_t kArchWorkaround1 = 0x8000'8000;  // CVE-2017-5715
inline constexpr std::uint32_t kArchWorkaround2 = 0x8000'7fff;  // CVE-2018-3639
inline constexpr std::uint32_t kArchWorkaround3 = 0x8000'3fff;  // CVE-2022-23960

/// The firmware below the hypervisor.
class ArchFeatures {
 public:
  /// SMCCC_ARCH_FEATURES of one of the mitigations, on this CPU: kPsciNotSupported where firmware
  /// does not know it, or is too old to be asked.
  [[nodiscard]] virtual std::int64_t arch_feature(std::uint32_t function) const = 0;

 protected:
  ~ArchFeatures() = default;
};

struct PsciCall {
  enum class Kind {
    kAnswer,        // nothing to do: return `answer`
    kWorkaround,    // call `function` of firmware; nothing is returned
    kSuspend,       // wait for an interrupt, then return `answer`
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
  std::uint32_t function = 0;
};

/// `function` is w0, the arguments x1..x3 of the HVC or SMC #0. 32-bit functions see the low halves
/// of their arguments.
[[nodiscard]] PsciCall decode_psci(std::uint64_t function, std::uint64_t x1, std::uint64_t x2,
                                   std::uint64_t x3, const ArchFeatures& firmware);

}  // namespace penstock::vm
