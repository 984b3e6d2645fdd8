// How much of a GIC the hypervisor uses. Everything here is set aside when the board starts.
#pragma once

#include <cstdint>

namespace penstock::msi {

/// Physical CPUs, and so collections of an ITS. One bit each in a 64-bit set.
inline constexpr unsigned kMaxCpus = 64;
/// INTID bits: LPIs 8192..16383. The configuration table then takes 8 KiB, a pending table 2 KiB
/// per CPU.
inline constexpr unsigned kLpiBits = 14;
inline constexpr std::uint32_t kFirstLpi = 8192;
inline constexpr std::uint32_t kLpiCount = (1U << kLpiBits) - kFirstLpi;
/// Functions that can be mapped at one ITS at once, virtual functions counted.
inline constexpr unsigned kMaxDevices = 128;
/// Vectors of one function: MSI-X cannot name more.
inline constexpr unsigned kMaxVectors = 2048;
/// The fewest events that a device's table has: those that are no vectors are watched (see
/// Its::map_device).
inline constexpr unsigned kMinEvents = 32;

/// How long any one wait on the GIC may take before it counts as dead.
inline constexpr std::uint64_t kWaitNs = 100'000'000;
/// Priority of every interrupt that the hypervisor takes; lower is more urgent. One level: none
/// preempts another.
inline constexpr std::uint8_t kPriority = 0xa0;

}  // namespace penstock::msi
