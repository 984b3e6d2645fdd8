// How much of a GIC one domain gets. All of it is set aside when the domain is created.
#pragma once

#include <cstdint>

namespace penstock::vmsi {

/// Virtual CPUs of a domain; their Aff0 values need not be 0..7 (the domain's MPIDRs are given to
/// VirtualGic::init).
inline constexpr unsigned kMaxVcpus = 8;
/// SPIs: INTIDs 32..63 (the virtual PL011 is 33). One 32-bit rank in every distributor register
/// array.
inline constexpr unsigned kSpiCount = 32;
inline constexpr std::uint32_t kFirstSpi = 32;
/// LPIs: INTIDs 8192..10239, which GICD_TYPER.num_LPIs announces.
inline constexpr unsigned kLpiCount = 2048;
inline constexpr std::uint32_t kFirstLpi = 8192;
/// Devices that a virtual ITS keeps mapped at once, and events over all of them.
inline constexpr unsigned kMaxItsDevices = 64;
inline constexpr unsigned kMaxItsEvents = 2048;
/// DeviceIDs and EventIDs: GITS_TYPER.Devbits and .ID_bits. 2048 events are the most that MSI-X can
/// name.
inline constexpr unsigned kDeviceIdBits = 16;
inline constexpr unsigned kEventIdBits = 11;
/// Collections: GITS_TYPER.CIDbits. Stock drivers use one per CPU.
inline constexpr unsigned kCollectionIdBits = 4;

}  // namespace penstock::vmsi
