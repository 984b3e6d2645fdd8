// Any registers at an HVC: the call decodes to one of the things that PSCI knows, 32-bit functions
// never see the upper halves of their arguments, and what PSCI_FEATURES denies is not supported.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/vm/psci.hpp"

namespace {

using penstock::vm::ArchFeatures;
using penstock::vm::kPsciNotSupported;
using penstock::vm::kPsciSuccess;
using penstock::vm::PsciCall;

void require(bool holds) {
  if (!holds) std::abort();
}

class Firmware final : public ArchFeatures {
 public:
  [[nodiscard]] std::int64_t arch_feature(std::uint32_t function) const override {
    return static_cast<std::int64_t>(function % 5) - 2;
  }
};

PsciCall decode_psci(std::uint64_t x0, std::uint64_t x1, std::uint64_t x2, std::uint64_t x3) {
  return penstock::vm::decode_psci(x0, x1, x2, x3, Firmware());
}

bool is_mitigation(std::uint64_t function) {
  switch (static_cast<std::uint32_t>(function)) {
    case 0x8000'0001:
    case penstock::vm::kArchWorkaround1:
    case penstock::vm::kArchWorkaround2:
    case penstock::vm::kArchWorkaround3: return true;
    default: return false;
  }
}

bool same(const PsciCall& a, const PsciCall& b) {
  return a.kind == b.kind && a.answer == b.answer && a.affinity == b.affinity &&
         a.entry == b.entry && a.context == b.context && a.function == b.function;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint64_t x[4] = {};
  std::memcpy(x, data, size < sizeof x ? size : sizeof x);
  const PsciCall call = decode_psci(x[0], x[1], x[2], x[3]);
  require(same(call, decode_psci(x[0] & 0xffff'ffff, x[1], x[2], x[3])));
  if ((x[0] & 0x4000'0000) == 0) {
    constexpr std::uint64_t kLow = 0xffff'ffff;
    require(same(call, decode_psci(x[0], x[1] & kLow, x[2] & kLow, x[3] & kLow)));
  }
  if (is_mitigation(x[0])) return 0;  // SMCCC_ARCH_FEATURES tells of those
  const std::int64_t feature = decode_psci(0x8400'000a, x[0], 0, 0).answer;
  require(feature == kPsciSuccess || feature == kPsciNotSupported);
  if (call.kind != PsciCall::Kind::kAnswer) require(feature == kPsciSuccess);
  if (feature == kPsciNotSupported) {
    require(call.kind == PsciCall::Kind::kAnswer && call.answer == kPsciNotSupported);
  }
  return 0;
}
