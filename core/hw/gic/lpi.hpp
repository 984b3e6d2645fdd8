// INTID ranges, and the attributes of the tables that redistributors and ITSs keep in memory (Arm
// IHI 0069 H, 2.2, 5.1 and 12.11.34). The configuration byte of an LPI is lpi_config in
// gicv3_frames.hpp.
#pragma once

#include <cstdint>

namespace penstock::hw::gic {

inline constexpr std::uint32_t kFirstPpiIntid = 16;  // 0..15 are SGIs
inline constexpr std::uint32_t kFirstSpiIntid = 32;
inline constexpr std::uint32_t kSpiIntidEnd = 1020;  // one past the last SPI
inline constexpr std::uint32_t kSpuriousIntid =
    1023;  // what an acknowledge returns when nothing is pending
inline constexpr std::uint32_t kFirstLpiIntid = 8192;

/// Shareability fields of PROPBASER, PENDBASER, CBASER and GITS_BASER<n>. Hardware that supports
/// only one value reads back that one.
inline constexpr std::uint64_t kNonShareable = 0;
inline constexpr std::uint64_t kInnerShareable = 1;
inline constexpr std::uint64_t kOuterShareable = 2;

/// InnerCache fields. OuterCache 0 means: same as inner.
inline constexpr std::uint64_t kDeviceMemory = 0;
inline constexpr std::uint64_t kNonCacheable = 1;
inline constexpr std::uint64_t kWriteBackReadWriteAllocate = 7;

/// MPIDR_EL1's affinity fields where GICD_IROUTER<n> has them: Aff3 in 39:32, Aff2.Aff1.Aff0 in
/// 23:0.
[[nodiscard]] constexpr std::uint64_t router_affinity(std::uint64_t mpidr) {
  return mpidr & 0xff'00ff'ffff;
}
/// The same packed as GICR_TYPER has them in 63:32: Aff3.Aff2.Aff1.Aff0.
[[nodiscard]] constexpr std::uint32_t packed_affinity(std::uint64_t mpidr) {
  return static_cast<std::uint32_t>((mpidr & 0xff'ffff) | (((mpidr >> 32) & 0xff) << 24));
}

}  // namespace penstock::hw::gic
