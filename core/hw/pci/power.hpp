// Power management capability: PCI Bus Power Management Interface 1.2 chapter 3, PCIe 7.5.2.
// Offsets from it, in bytes.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::pci::power {

inline constexpr unsigned kCapabilities = 0x2;   // 2 bytes
inline constexpr unsigned kControlStatus = 0x4;  // 2 bytes
inline constexpr unsigned kBridgeSupport = 0x6;  // 1 byte
inline constexpr unsigned kData = 0x7;           // 1 byte
inline constexpr unsigned kSize = 8;

namespace capabilities {
using Version = Field<2, 0>;
using PmeClock = Field<3, 3>;
using ImmediateReadiness = Field<4, 4>;
using DeviceSpecificInit = Field<5, 5>;
using AuxCurrent = Field<8, 6>;
using D1Support = Field<9, 9>;
using D2Support = Field<10, 10>;
using PmeSupport = Field<15, 11>;
static_assert(covers_exactly<16, Version, PmeClock, ImmediateReadiness, DeviceSpecificInit,
                             AuxCurrent, D1Support, D2Support, PmeSupport>());
}  // namespace capabilities

namespace control_status {
using PowerState = Field<1, 0>;
using Reserved0 = Field<2, 2>;
using NoSoftReset = Field<3, 3>;
using Reserved1 = Field<7, 4>;
using PmeEnable = Field<8, 8>;
using DataSelect = Field<12, 9>;
using DataScale = Field<14, 13>;
using PmeStatus = Field<15, 15>;  // RW1C
static_assert(covers_exactly<16, PowerState, Reserved0, NoSoftReset, Reserved1, PmeEnable,
                             DataSelect, DataScale, PmeStatus>());
inline constexpr std::uint64_t kD0 = 0;
inline constexpr std::uint64_t kD3Hot = 3;
}  // namespace control_status

/// The longest a function may need from D3hot to D0 (PCIe 5.3.1.4).
inline constexpr std::uint64_t kD3HotToD0Ns = 10'000'000;

}  // namespace penstock::hw::pci::power
