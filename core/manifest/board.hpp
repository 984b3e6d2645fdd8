// The board as its device tree describes it: what the hypervisor needs to know and nothing else.
//
// Bindings: Linux Documentation/devicetree (arm,gic-v3, arm,smmu-v3, pci-host-ecam-generic,
// pci-iommu, pci-msi, arm,psci). Addresses are machine-physical, sizes in bytes, interrupts GIC
// INTIDs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/chacha.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/base/text.hpp"
#include "core/manifest/device_tree.hpp"

namespace penstock::manifest {

inline constexpr std::size_t kMaxBoardCpus = 64;
inline constexpr std::size_t kMaxMemoryRanges = 64;
inline constexpr std::size_t kMaxReservedRanges = 256;
inline constexpr std::size_t kMaxRedistributorRegions = 32;
inline constexpr std::size_t kMaxBridgeWindows = 16;
inline constexpr std::size_t kMaxIdMapEntries = 64;
inline constexpr std::size_t kMaxIdleUnits = 16;

/// A memory window of a host bridge: PCI bus address `bus` appears to CPUs at `host`.
struct BridgeWindow {
  std::uint64_t bus = 0;
  Hpa host;
  std::uint64_t size = 0;
  bool prefetchable = false;
};

/// One entry of `iommu-map` or `msi-map`: requester IDs [rid, rid + length), after the map's mask,
/// become `out` + (id - rid) at the unit that the board uses.
struct IdMapEntry {
  std::uint32_t rid = 0;
  std::uint32_t out = 0;
  std::uint32_t length = 0;
  bool elsewhere = false;  // at another unit, which nobody drives: they have no ID
};

/// The first entry that has a requester ID counts.
struct IdMapBoard {
  StaticVector<IdMapEntry, kMaxIdMapEntries> entries;
  std::uint32_t mask = ~0U;
};

enum class UartKind : std::uint8_t { kPl011, kSbsa, k8250, kImx, kImxLpuart, kGeni };

struct Uart {
  MemoryRange registers;
  unsigned intid = 0;  // 0: none that can be used
  int node = 0;        // its offset in the tree
  UartKind kind = UartKind::kPl011;
  std::uint8_t shift = 0;  // of an 8250: register n at n << shift,
  std::uint8_t width = 1;  // accessed with so many bytes
};

struct GicBoard {
  MemoryRange distributor;
  StaticVector<MemoryRange, kMaxRedistributorRegions> redistributors;
  std::optional<MemoryRange> its;  // the one that the host bridge's messages go to
  StaticVector<MemoryRange, kMaxIdleUnits> idle_its;
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
  StaticVector<BridgeWindow, kMaxBridgeWindows> windows;
  IdMapBoard iommu_map;
  IdMapBoard msi_map;
  bool coherent = false;  // its devices' accesses to memory see CPUs' caches (dma-coherent)
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
  StaticVector<MemoryRange, kMaxMemoryRanges> memory;      // empty: firmware has to tell it
  StaticVector<MemoryRange, kMaxReservedRanges> reserved;  // /memreserve/ and /reserved-memory
  StaticVector<FirmwareMemory, 8> firmware_memory;
  StaticVector<std::uint64_t, kMaxBoardCpus> cpus;  // MPIDR affinities in tree order
  Conduit psci = Conduit::kNone;
  std::optional<Uart> uart;
  std::optional<GicBoard> gic;
  std::optional<SmmuBoard> smmu;                        // the one that the host bridge is behind
  StaticVector<MemoryRange, kMaxIdleUnits> idle_smmus;  // those that nobody will drive
  std::optional<HostBridge> bridge;
  bool boots = true;     // nothing was found that Penstock cannot run with
  bool assigns = false;  // devices of the bridge can be given out, behind `smmu` and `its`
  std::uint64_t tree_bytes = 0;
  std::string_view model;        // of the board, for people
  std::string_view bootargs;     // /chosen/bootargs: what the loader was told (boot_options.hpp)
  std::optional<Seed> rng_seed;  // /chosen/rng-seed: randomness from the loader, its first 32 bytes
};

/// What a finding means for the board.
enum class Weight : std::uint8_t {
  kRemark,     // something is not used
  kNoDevices,  // no PCI device can be given out
  kNoBoot,     // nothing can run
};
inline constexpr std::size_t kWeights = 3;
inline constexpr unsigned kMostFindings = 32;  // of one weight; how many more there are is one more

/// Is told everything that the tree has and Penstock does not use, and why.
class Findings {
 public:
  /// `node`: offset in the tree, 0 for the board as a whole. `what`: one clause without a period.
  virtual void add(int node, Weight weight, std::string_view what) = 0;

 protected:
  ~Findings() = default;
};

/// Reads a flattened device tree of at most `blob.size()` bytes into `board`, which is fresh.
/// Missing devices are absent optionals, not errors. kBadDeviceTree (arg: libfdt's code): the tree
/// is damaged.
[[nodiscard]] Status parse_board(std::span<const std::uint8_t> blob, Board& board,
                                 Findings& findings);

/// The node's path, for people.
void write_path(TextWriter& out, std::span<const std::uint8_t> blob, int node);

/// Only the console, for whoever has to say that the rest of the tree cannot be used.
[[nodiscard]] std::optional<Uart> find_console(std::span<const std::uint8_t> blob);

}  // namespace penstock::manifest
