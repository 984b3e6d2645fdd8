// Single Root I/O Virtualization extended capability: PCIe 9.3.3. Offsets from it, in bytes.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::pci::sriov {

// clang-format off
//                                               offset  bytes  access
inline constexpr unsigned kCapabilities        = 0x04;  // 4    RO
inline constexpr unsigned kControl             = 0x08;  // 2    RW
inline constexpr unsigned kStatus              = 0x0a;  // 2    RW1C, VF migration only
inline constexpr unsigned kInitialVfs          = 0x0c;  // 2    RO
inline constexpr unsigned kTotalVfs            = 0x0e;  // 2    RO
inline constexpr unsigned kNumVfs              = 0x10;  // 2    RW while VF Enable is clear
inline constexpr unsigned kFunctionDependency  = 0x12;  // 1    RO
inline constexpr unsigned kFirstVfOffset       = 0x14;  // 2    RO, may change with NumVFs and ARI
inline constexpr unsigned kVfStride            = 0x16;  // 2    RO, likewise
inline constexpr unsigned kVfDeviceId          = 0x1a;  // 2    RO
inline constexpr unsigned kSupportedPageSizes  = 0x1c;  // 4    RO, bit n: 2^(n + 12) bytes
inline constexpr unsigned kSystemPageSize      = 0x20;  // 4    RW while VF Enable is clear, one bit
inline constexpr unsigned kVfBar0              = 0x24;  // 6x4  RW while VF Enable is clear
inline constexpr unsigned kVfMigrationArray    = 0x3c;  // 4    RO
inline constexpr unsigned kSize                = 0x40;
// clang-format on

namespace capabilities {  // PCIe 9.3.3.2
using VfMigration = Field<0, 0>;
using AriPreserved = Field<1, 1>;
using TenBitTagRequester = Field<2, 2>;
using Reserved = Field<20, 3>;
using VfMigrationMessage = Field<31, 21>;
static_assert(covers_exactly<32, VfMigration, AriPreserved, TenBitTagRequester, Reserved,
                             VfMigrationMessage>());
}  // namespace capabilities

namespace control {  // PCIe 9.3.3.3
using VfEnable = Field<0, 0>;
using VfMigrationEnable = Field<1, 1>;
using VfMigrationInterrupt = Field<2, 2>;
using VfMemorySpace = Field<3, 3>;
using AriHierarchy = Field<4, 4>;  // RW in the lowest-numbered PF of a device alone
using TenBitTagRequester = Field<5, 5>;
using Reserved = Field<15, 6>;
static_assert(covers_exactly<16, VfEnable, VfMigrationEnable, VfMigrationInterrupt, VfMemorySpace,
                             AriHierarchy, TenBitTagRequester, Reserved>());
}  // namespace control

/// Pages of 4 KiB, in the two page size registers; every PF has them (PCIe 9.3.3.12).
inline constexpr std::uint32_t kPages4K = 1;

/// VFs need not answer earlier after VF Enable was set (PCIe 9.3.3.3.1).
inline constexpr std::uint64_t kEnableNs = 100'000'000;
/// After VF Enable was cleared nothing of the capability may be read or set for this long
/// (PCIe 9.3.3.3.1).
inline constexpr std::uint64_t kDisableNs = 1'000'000'000;

}  // namespace penstock::hw::pci::sriov
