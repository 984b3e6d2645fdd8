// What enumeration found out about a physical function. Measured once, at boot, while nobody uses
// it.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/static_vector.hpp"
#include "core/hw/pci/config.hpp"

namespace penstock::pci {

struct Bar {
  Hpa host;                // where CPUs reach it
  std::uint64_t bus = 0;   // what the register holds
  std::uint64_t size = 0;  // bytes, 0: absent, or the upper half of a 64-bit one
  bool io = false;         // I/O space: never assigned
  bool is64 = false;
  bool prefetchable = false;
};

struct FunctionInfo {
  HostBdf bdf;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint16_t subsystem_vendor = 0;  // endpoints only
  std::uint16_t subsystem = 0;
  std::uint32_t class_code = 0;  // class << 16 | subclass << 8 | interface
  std::uint8_t revision = 0;
  bool bridge = false;
  bool multi_function = false;
  bool express = false;  // has a PCI Express capability; without: conventional PCI
  std::array<Bar, hw::pci::kBarCount> bars{};
  bool placed = true;  // false: its BARs are nowhere, so it decodes none of them
  /// It says itself where its BARs are, for good (Enhanced Allocation, PCIe 7.8.5): never placed.
  bool fixed_bars = false;
  std::uint64_t rom_bytes = 0;  // size of the expansion ROM's window, which stays closed

  std::uint16_t vectors = 0;  // messages that it can have, of either kind

  // Capability offsets in config space, 0: absent.
  std::uint8_t power = 0;
  std::uint8_t msi = 0;
  std::uint8_t msix = 0;
  std::uint8_t express_at = 0;
  std::uint8_t advanced_features = 0;
  std::uint16_t acs_at = 0;
  std::uint16_t ari_at = 0;
  std::uint16_t sriov_at = 0;
  bool flr = false;          // by PCI Express or by Advanced Features
  bool flr_express = false;  // by PCI Express
  bool ats = false;
  bool sriov = false;
  bool cxl = false;  // Compute Express Link: caches or memory besides what PCI Express has
  bool acs = false;  // with all services that keep its functions, or what is behind it, apart

  // Bridges only.
  std::uint8_t secondary = 0;
  std::uint8_t subordinate = 0;
  std::uint8_t port_type = 0;  // hw::pci::express::PortType
  bool prefetch64 = false;     // its prefetchable window reaches beyond 4 GiB

  bool ari = false;    // of a port: forwards to any function number (PCIe 6.13)
  bool is_vf = false;  // an SR-IOV virtual function
  HostBdf pf;          // of a virtual function: its physical one
  std::uint8_t phantom =
      0;  // bits of the function number that it could use for more tags; kept off

  /// All functions of one group can reach each other, or are seen as one another, without passing
  /// the IOMMU: the routing ID of one of them, which may be a bridge (isolation.hpp).
  std::uint16_t group = 0;
  /// Its requests carry a bridge's requester ID (H2): it cannot be told from its neighbours.
  bool aliased = false;
};

inline constexpr std::size_t kMaxFunctions = 256;
inline constexpr std::size_t kMaxPhysicalFunctions = 8;  // with SR-IOV
inline constexpr unsigned kMaxVfs = 64;                  // of one physical function

/// Why a physical function can have fewer virtual functions than it says.
enum class VfLimit : std::uint8_t {
  kNone,
  kOurs,      // kMaxVfs
  kBusRange,  // the next would be on a bus that is not behind the ports above it
  kNoAri,     // the port above cannot forward to function numbers beyond 7
  kNoRoom,    // the windows have no room for their BARs
  kBroken,    // the capability contradicts itself
};

/// The SR-IOV capability of a physical function, measured with VF Enable off (sriov.hpp).
struct SriovInfo {
  HostBdf pf;
  std::uint16_t at = 0;      // the capability's offset
  std::uint16_t device = 0;  // device ID of its VFs
  std::uint16_t offset = 0;  // routing ID of VF 0, from the PF's; with NumVFs = `usable`
  std::uint16_t stride = 0;  // from one VF to the next
  std::uint16_t total = 0;   // what the function says
  std::uint16_t usable = 0;  // what can be reached and placed
  VfLimit limit = VfLimit::kNone;
  bool ari = false;           // the port above forwards to any function number
  std::uint16_t numbers = 0;  // device and function numbers that are reached on the PF's bus
  std::uint8_t last_bus = 0;  // that routing IDs of VFs may have
  std::array<Bar, hw::pci::kBarCount> bars{};  // of VF 0; the others' follow it, `size` apart
};

/// Bus addresses that a bridge forwards: nothing where start and end are the same.
struct Forwarded {
  std::uint64_t start32 = 0;
  std::uint64_t end32 = 0;
  std::uint64_t start64 = 0;
  std::uint64_t end64 = 0;
};

struct Inventory {
  StaticVector<FunctionInfo, kMaxFunctions>
      functions;  // in order of discovery: a bridge before what is behind it
  StaticVector<SriovInfo, kMaxPhysicalFunctions> sriov;  // more PFs than that have no VFs
  std::array<Forwarded, kMaxFunctions> forwarded{};      // by the index of a bridge in `functions`

  /// What did not fit. These functions decode nothing and master nothing; nothing is behind bridges
  /// among them.
  struct Left {
    unsigned count = 0;
    HostBdf first;
  };
  Left functions_left;  // beyond kMaxFunctions
  Left sriov_left;      // beyond kMaxPhysicalFunctions: they have no VFs
  Left bridges_left;    // for whose buses there was no number, or too deep; closed
};

}  // namespace penstock::pci
