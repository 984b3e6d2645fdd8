#include "hypervisor/platform/psci.hpp"

namespace penstock::platform {

std::int64_t Psci::call(std::uint32_t function, std::uint64_t a, std::uint64_t b,
                        std::uint64_t c) const {
  register std::uint64_t x0 asm("x0") = function;
  register std::uint64_t x1 asm("x1") = a;
  register std::uint64_t x2 asm("x2") = b;
  register std::uint64_t x3 asm("x3") = c;
  switch (conduit_) {
    case PsciConduit::kNone: return -1;
    case PsciConduit::kSmc:
      asm volatile("smc #0"
                   : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                   :
                   : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                     "x14", "x15", "x16", "x17");
      break;
    case PsciConduit::kHvc:
      asm volatile("hvc #0"
                   : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                   :
                   : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                     "x14", "x15", "x16", "x17");
      break;
  }
  return static_cast<std::int64_t>(x0);
}

void Psci::probe() {
  // The way to SMCCC's version (DEN0028 appendix C): a PSCI that can be asked, then whether there
  // is such a function, then the function. SMCCC_ARCH_FEATURES came with version 1.1.
  constexpr std::int64_t kVersion1_0 = 0x1'0000;
  constexpr std::int64_t kVersion1_1 = 0x1'0001;
  constexpr std::uint32_t kSmcccVersion = 0x8000'0000;
  has_arch_features_ = call32(0x8400'0000, 0) >= kVersion1_0 &&
                       call32(0x8400'000a, kSmcccVersion) == vm::kPsciSuccess &&
                       call32(kSmcccVersion, 0) >= kVersion1_1;
}

std::int64_t Psci::arch_feature(std::uint32_t function) const {
  return has_arch_features_ ? call32(0x8000'0001, function) : vm::kPsciNotSupported;
}

/// A 32-bit function of firmware: its answer is w0, with a sign.
std::int64_t Psci::call32(std::uint32_t function, std::uint32_t argument) const {
  return static_cast<std::int32_t>(call(function, argument, 0, 0));
}

Status Psci::cpu_on(std::uint64_t affinity, std::uint64_t entry, std::uint64_t context) const {
  const std::int64_t answer = call(0xc400'0003, affinity, entry, context);
  if (answer != 0) return fail(Code::kHardwareError, static_cast<std::uint64_t>(answer));
  return {};
}

void Psci::system_off() const {
  (void)call(0x8400'0008, 0, 0, 0);
}
void Psci::system_reset() const {
  (void)call(0x8400'0009, 0, 0, 0);
}

}  // namespace penstock::platform
