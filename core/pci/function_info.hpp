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
  bool placed = true;  // false: the windows had no room for a BAR, so it decodes none of them
  std::uint64_t rom_bytes = 0;  // size of the expansion ROM's window, which stays closed

  // Capability offsets in config space, 0: absent.
  std::uint8_t power = 0;
  std::uint8_t msi = 0;
  std::uint8_t msix = 0;
  std::uint8_t express_at = 0;
  std::uint8_t advanced_features = 0;
  std::uint16_t acs_at = 0;
  bool flr = false;          // by PCI Express or by Advanced Features
  bool flr_express = false;  // by PCI Express
  bool ats = false;
  bool sriov = false;
  bool acs = false;  // with all services that keep its functions, or what is behind it, apart

  // Bridges only.
  std::uint8_t secondary = 0;
  std::uint8_t subordinate = 0;
  std::uint8_t port_type = 0;  // hw::pci::express::PortType
  bool prefetch64 = false;     // its prefetchable window reaches beyond 4 GiB

  /// All functions of one group can reach each other, or are seen as one another, without passing
  /// the IOMMU: the routing ID of one of them, which may be a bridge (isolation.hpp).
  std::uint16_t group = 0;
  /// Its requests carry a bridge's requester ID (H2): it cannot be told from its neighbours.
  bool aliased = false;
};

inline constexpr std::size_t kMaxFunctions = 64;

struct Inventory {
  StaticVector<FunctionInfo, kMaxFunctions>
      functions;  // in order of discovery: a bridge before what is behind it
};

}  // namespace penstock::pci
