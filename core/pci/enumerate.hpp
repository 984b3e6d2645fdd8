// Finds every function behind a host bridge and makes it reachable: bus numbers, BARs, bridge
// windows (QEMU without firmware leaves everything empty). Boot, single-threaded.
#pragma once

#include "core/base/result.hpp"
#include "core/pci/ecam.hpp"
#include "core/pci/function_info.hpp"

namespace penstock::pci {

/// An outbound window of the host bridge: bus address `bus` is CPU address `host`. size 0: none.
struct HostWindow {
  std::uint64_t bus = 0;
  Hpa host;
  std::uint64_t size = 0;
};

/// Fills `inventory`. Afterwards bridges forward memory accesses and DMA, and endpoints decode
/// memory, master nothing and raise no INTx. What firmware may have assigned is replaced: one
/// layout for every board, and nobody uses the old one. A function for whose BARs the windows have
/// no room decodes nothing (FunctionInfo::placed). Functions and buses for which there is no room
/// are left out and counted (Inventory); the others are usable all the same.
void enumerate(Ecam& ecam, const HostWindow& mem32, const HostWindow& mem64, Inventory& inventory);

}  // namespace penstock::pci
