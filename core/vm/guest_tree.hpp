// The device tree that a guest starts with: the machine of address_map.hpp in the words of the
// Linux bindings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/chacha.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/viommu/description.hpp"

namespace penstock::vm {

struct GuestTreeConfig {
  StaticVector<std::uint64_t, 8> mpidrs;  // affinity of each virtual CPU
  std::uint64_t memory_bytes = 0;         // RAM from kGuestRam on
  std::string_view bootargs;
  Gpa initrd;  // meaningful when initrd_bytes != 0
  std::uint64_t initrd_bytes = 0;
  std::optional<Seed>
      rng_seed;  // this start's own; without it the guest must find its entropy itself
  std::uint64_t kaslr_seed = 0;              // 0: none
  bool has_pci = false;                      // a domain without devices has no host bridge
  bool dma_coherent = true;                  // devices' accesses to memory see CPUs' caches
  std::optional<viommu::Description> iommu;  // in front of the host bridge
};

/// Writes the tree into `out` and returns its bytes. kNoMemory (arg: out.size()) when it does not
/// fit; kBadDeviceTree (arg: libfdt's code). Boot and reset only: libfdt's compiled code may use
/// vector registers, so no guest's may be live.
[[nodiscard]] Result<std::size_t> build_guest_tree(const GuestTreeConfig& config,
                                                   std::span<std::uint8_t> out);

}  // namespace penstock::vm
