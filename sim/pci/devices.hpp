// Ready-made functions, shaped like the ones that QEMU's `virt` board has: same BARs, same
// capabilities, a small part of the behaviour.
#pragma once

#include <cstdint>
#include <memory>

#include "sim/pci/host.hpp"

namespace penstock::sim {

/// NVMe controller: one 64-bit BAR with the MSI-X table and PBA beside its registers, PM, PCI
/// Express with FLR.
[[nodiscard]] std::unique_ptr<PciFunction> nvme_like();

/// Gigabit Ethernet: register BAR, I/O BAR, MSI-X in a BAR of its own, FLR, SR-IOV and ARI
/// capabilities, option ROM.
[[nodiscard]] std::unique_ptr<PciFunction> igb_like();

/// Conventional teaching device without any reset: 1 MiB BAR, MSI, and a DMA engine that reaches
/// any address.
class EduLike final : public PciFunction {
 public:
  EduLike();
  std::uint64_t bar_read(unsigned bar, std::uint64_t at, unsigned size) override;
  void bar_write(unsigned bar, std::uint64_t at, unsigned size, std::uint64_t value) override;
  /// The outcome of the last transfer.
  [[nodiscard]] bool last_dma_arrived() const { return arrived_; }

 private:
  void transfer(std::uint64_t command);
  std::uint32_t live_ = 0;
  std::uint32_t interrupt_ = 0;
  std::uint64_t from_ = 0;
  std::uint64_t to_ = 0;
  std::uint64_t count_ = 0;
  bool arrived_ = false;
  std::array<std::uint8_t, 4096> buffer_{};
};

/// Root port; `acs` is the set of ACS services that it has (0: no such capability).
[[nodiscard]] std::unique_ptr<PciBridge> pcie_root_port(PciHost& host, std::uint16_t acs = 0x1f);
/// Bridge to a conventional bus, behind which requests lose their own requester IDs.
[[nodiscard]] std::unique_ptr<PciBridge> pcie_pci_bridge(PciHost& host);

}  // namespace penstock::sim
