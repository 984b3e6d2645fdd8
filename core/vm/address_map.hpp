// A guest's view of the machine: the memory map of QEMU's `virt` board, so that images made for it
// run unchanged (QEMU docs/system/arm/virt; hw/arm/virt.c's base_memmap gives the numbers).
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"

namespace penstock::vm {

enum class Region : std::uint8_t {
  kDistributor,
  kIts,
  kRedistributor,
  kUart,
  kGpio,
  kIommu,
  kEcam
};

// clang-format off
inline constexpr Gpa kGuestDistributor {0x0800'0000};  inline constexpr std::uint64_t kGuestDistributorSize = 64 * kKiB;
inline constexpr Gpa kGuestIts         {0x0808'0000};  inline constexpr std::uint64_t kGuestItsSize = 128 * kKiB;
inline constexpr Gpa kGuestRedist      {0x080a'0000};  inline constexpr std::uint64_t kGuestRedistStride = 128 * kKiB;
inline constexpr Gpa kGuestUart        {0x0900'0000};  inline constexpr std::uint64_t kGuestUartSize = 4 * kKiB;
inline constexpr Gpa kGuestGpio        {0x0903'0000};  inline constexpr std::uint64_t kGuestGpioSize = 4 * kKiB;
inline constexpr Gpa kGuestIommu       {0x0905'0000};  inline constexpr std::uint64_t kGuestIommuSize = 128 * kKiB;
inline constexpr Gpa kGuestMmio32      {0x1000'0000};  inline constexpr std::uint64_t kGuestMmio32Size = 0x2eff'0000;
inline constexpr Gpa kGuestRam         {0x4000'0000};
inline constexpr Gpa kGuestEcam        {0x40'1000'0000}; inline constexpr std::uint64_t kGuestEcamSize = 256 * kMiB;
inline constexpr Gpa kGuestMmio64      {0x80'0000'0000}; inline constexpr std::uint64_t kGuestMmio64Size = 512 * kGiB;
// clang-format on

inline constexpr unsigned kGuestUartIntId = 33;
inline constexpr unsigned kGuestGpioIntId = 39;
inline constexpr unsigned kGuestIommuFirstIntId = 42;  // as many from here as the IOMMU's kind has
/// Page that holds the virtual GITS_TRANSLATER: where the guest's devices send their messages.
inline constexpr Gpa kGuestDoorbellPage{0x0809'0000};
/// Where the control domain finds the control interface.
inline constexpr GuestBdf kGuestControl{0x1f << 3};
/// RAM ends below the ECAM window.
inline constexpr std::uint64_t kGuestRamLimit = kGuestEcam.value() - kGuestRam.value();

struct MmioTarget {
  Region region;
  std::uint64_t offset;
};

/// Where BARs can be.
[[nodiscard]] constexpr bool is_in_pci_window(Gpa at, unsigned size) {
  return (at >= kGuestMmio32 && fits(at - kGuestMmio32, size, kGuestMmio32Size)) ||
         (at >= kGuestMmio64 && fits(at - kGuestMmio64, size, kGuestMmio64Size));
}

/// The emulated region that holds the whole access; nothing for an access that crosses a region's
/// end (H13). The busiest come first; part of every access that traps, and therefore not a call.
[[nodiscard, gnu::always_inline]] constexpr std::optional<MmioTarget> find_region(Gpa at,
                                                                                  unsigned size,
                                                                                  unsigned vcpus,
                                                                                  bool has_iommu) {
  const auto is_in = [at, size](Gpa base, std::uint64_t bytes) {
    return at >= base && fits(at - base, size, bytes);
  };
  if (has_iommu && is_in(kGuestIommu, kGuestIommuSize)) {
    return MmioTarget{Region::kIommu, at - kGuestIommu};
  }
  if (is_in(kGuestEcam, kGuestEcamSize)) return MmioTarget{Region::kEcam, at - kGuestEcam};
  if (is_in(kGuestUart, kGuestUartSize)) return MmioTarget{Region::kUart, at - kGuestUart};
  if (is_in(kGuestIts, kGuestItsSize)) return MmioTarget{Region::kIts, at - kGuestIts};
  if (is_in(kGuestDistributor, kGuestDistributorSize)) {
    return MmioTarget{Region::kDistributor, at - kGuestDistributor};
  }
  if (is_in(kGuestRedist, kGuestRedistStride * vcpus)) {
    return MmioTarget{Region::kRedistributor, at - kGuestRedist};
  }
  if (is_in(kGuestGpio, kGuestGpioSize)) return MmioTarget{Region::kGpio, at - kGuestGpio};
  return std::nullopt;
}

}  // namespace penstock::vm
