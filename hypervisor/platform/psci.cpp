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
