// Why a guest left its own code: counted per vCPU, reported per domain.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::vm {

enum class Exit : std::uint8_t {
  kHypercall,
  kSystemRegister,
  kIdRegister,
  kSgi,
  kDistributor,
  kRedistributor,
  kIts,
  kIommu,
  kUart,
  kGpio,
  kConfigSpace,
  kBar,
  kMsi,
  kTimer,
  kKick,
  kMaintenance,
  kBoardInterrupt,
  kAbort,
  kImpossible,
  kCount,
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Exit::kCount)> kExitNames = {
    "hypercall",   "system_register", "id_register",
    "sgi",         "distributor",     "redistributor",
    "its",         "iommu",           "uart",
    "gpio",        "config_space",    "bar",
    "msi",         "timer",           "kick",
    "maintenance", "board_interrupt", "abort",
    "impossible"};

/// Written by the vCPU's own CPU only; others may read a slightly old number.
class ExitCounts {
 public:
  void add(Exit reason) { ++counts_[static_cast<std::size_t>(reason)]; }
  [[nodiscard]] std::uint64_t of(std::size_t reason) const { return counts_[reason]; }

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(Exit::kCount)> counts_{};
};

}  // namespace penstock::vm
