// The board as its device tree describes it: what the hypervisor needs to know and nothing else.
//
// Bindings: Linux Documentation/devicetree (arm,gic-v3, arm,smmu-v3, pci-host-ecam-generic,
// arm,pl011, arm,psci). Addresses are machine-physical, sizes in bytes, interrupts GIC INTIDs (SPI
// n is 32 + n, PPI n is 16 + n).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/chacha.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"

namespace penstock::manifest {

struct MemoryRange {
  Hpa base;
  std::uint64_t size = 0;
};

/// One `ranges` entry of a host bridge: PCI bus address `bus` appears to CPUs at `host`.
struct BridgeWindow {
  std::uint64_t bus = 0;
  Hpa host;
  std::uint64_t size = 0;  // 0: the bridge has no such window
};

/// One entry of `iommu-map` or `msi-map`: requester IDs [rid, rid + length) become `out` + (id -
/// rid).
struct IdMapEntry {
  std::uint32_t rid = 0;
  std::uint32_t out = 0;
  std::uint32_t length = 0;
};

struct Uart {
  MemoryRange registers;
  unsigned intid = 0;
};

struct GicBoard {
  MemoryRange distributor;
  StaticVector<MemoryRange, 4> redistributors;
  std::optional<MemoryRange> its;
};

struct SmmuBoard {
  MemoryRange registers;
  unsigned event_intid = 0;
  unsigned gerror_intid = 0;
};

struct HostBridge {
  MemoryRange ecam;
  unsigned bus_first = 0;
  unsigned bus_last = 0;
  BridgeWindow mem32;
  BridgeWindow mem64;
  StaticVector<IdMapEntry, 8> iommu_map;
  StaticVector<IdMapEntry, 8> msi_map;
};

/// Memory that firmware uses through a PCI function, so that its mapping would have to stay
/// (/reserved-memory nodes with `iommu-addresses`, which ACPI calls RMR).
struct FirmwareMemory {
  MemoryRange memory;  // size 0: wherever the firmware has it
  /// On the root bus, device << 3 | function: through it, or what is behind it. Absent: through
  /// any.
  std::optional<std::uint8_t> devfn;
};

enum class Conduit { kNone, kSmc, kHvc };

struct Board {
  StaticVector<MemoryRange, 8> memory;
  StaticVector<MemoryRange, 16> reserved;  // /memreserve/ and /reserved-memory
  StaticVector<FirmwareMemory, 8> firmware_memory;
  StaticVector<std::uint64_t, 16> cpus;  // MPIDR affinities in tree order: index = CpuIndex
  Conduit psci = Conduit::kNone;
  std::optional<Uart> uart;
  std::optional<GicBoard> gic;
  std::optional<SmmuBoard> smmu;
  std::optional<HostBridge> bridge;
  std::uint64_t tree_bytes = 0;
  std::string_view bootargs;     // /chosen/bootargs: what the loader was told (boot_options.hpp)
  std::optional<Seed> rng_seed;  // /chosen/rng-seed: randomness from the loader, its first 32 bytes
};

/// Reads a flattened device tree of at most `blob.size()` bytes. Missing devices are absent
/// optionals, not errors: what a board cannot do is decided later, per domain. kBadDeviceTree (arg:
/// libfdt's code or the node's offset) when the tree is damaged or has no memory or no CPU;
/// kTableFull: more reserved memory than there is room for.
[[nodiscard]] Result<Board> parse_board(std::span<const std::uint8_t> blob);

}  // namespace penstock::manifest
