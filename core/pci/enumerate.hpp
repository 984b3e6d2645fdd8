// Finds every function behind a host bridge and makes it reachable: bus numbers, BARs, bridge
// windows (QEMU without firmware leaves everything empty). Boot, single-threaded.
#pragma once

#include <span>

#include "core/pci/ecam.hpp"
#include "core/pci/function_info.hpp"

namespace penstock::pci {

/// An outbound memory window of the host bridge: bus address `bus` is CPU address `host`.
struct HostWindow {
  std::uint64_t bus = 0;
  Hpa host;
  std::uint64_t size = 0;
  bool prefetchable = false;  // for BARs that may be prefetched, and nothing else
};
inline constexpr std::size_t kMaxHostWindows = 16;

/// Fills `inventory`. Afterwards bridges forward memory accesses and DMA, and endpoints decode
/// memory, master nothing and raise no INTx. What firmware may have assigned is replaced: one
/// layout for every board, and nobody uses the old one. Of windows only the first kMaxHostWindows
/// are used; what is behind a bridge of the root bus comes from one below 4 GiB and one above. A
/// function for whose BARs the windows have no room decodes nothing (FunctionInfo::placed).
/// Functions and buses for which there is no room are left out and counted (Inventory); the others
/// are usable all the same.
void enumerate(Ecam& ecam, std::span<const HostWindow> windows, Inventory& inventory);

}  // namespace penstock::pci
