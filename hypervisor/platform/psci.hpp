// The firmware below us: PSCI (DEN0022) by SMC or HVC, as the board's device tree says.
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "core/vm/psci.hpp"

namespace penstock::platform {

enum class PsciConduit { kNone, kSmc, kHvc };

class Psci final : public vm::ArchFeatures {
 public:
  explicit Psci(PsciConduit conduit) : conduit_(conduit) {}
  Psci() = default;
  /// Asks firmware what it is. Before that, it has none of the mitigations. Once, at boot.
  void probe();
  [[nodiscard]] std::int64_t arch_feature(std::uint32_t function) const override;
  /// A mitigation for which arch_feature() says that it is needed, on this CPU.
  void workaround(std::uint32_t function) const { (void)call(function, 0, 0, 0); }
  /// Starts a CPU at physical address `entry` with x0 = context. kHardwareError (arg: PSCI code)
  /// when firmware refuses.
  Status cpu_on(std::uint64_t affinity, std::uint64_t entry, std::uint64_t context) const;
  /// Both return only when firmware has no such function.
  void system_off() const;
  void system_reset() const;

 private:
  [[nodiscard]] std::int64_t call32(std::uint32_t function, std::uint32_t argument) const;
  [[nodiscard]] std::int64_t call(std::uint32_t function, std::uint64_t a, std::uint64_t b,
                                  std::uint64_t c) const;
  PsciConduit conduit_ = PsciConduit::kNone;
  bool has_arch_features_ = false;
};

}  // namespace penstock::platform
