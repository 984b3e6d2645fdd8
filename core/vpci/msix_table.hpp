// The guest's MSI-X table: a shadow of what it wrote (PCIe 7.7.2.5 to .8). The physical table is
// never read, nor written from here; the pending bits alone come from the device.
#pragma once

#include <array>
#include <cstdint>

#include "core/hw/pci/msi.hpp"
#include "core/port/mmio.hpp"
#include "core/vpci/facts.hpp"

namespace penstock::vpci {

/// Where the device keeps its table and pending bits, as its capability said at assignment (H29).
/// Bytes.
struct MsixLocation {
  unsigned table_bar = 0;
  std::uint64_t table_offset = 0;
  unsigned pba_bar = 0;
  std::uint64_t pba_offset = 0;
  unsigned hw_vectors = 0;  // 1..2048
  unsigned vectors = 0;     // shown to the guest: 0..kMaxVectors, at most hw_vectors; 0: no MSI-X
};

class MsixTable {
 public:
  struct Entry {
    std::uint64_t address = 0;  // bits 1:0 are zero
    std::uint32_t data = 0;
    bool masked = true;
  };
  enum class Region : std::uint8_t { kOther, kTable, kPba };
  struct Written {
    unsigned vector = 0;
    bool changed = false;
    bool message = false;  // address or data, not the mask alone
  };

  /// Bytes that the hardware's table and pending bits take.
  [[nodiscard]] static constexpr std::uint64_t table_bytes(const MsixLocation& at) {
    return std::uint64_t{at.hw_vectors} * hw::pci::msix::entry::kSize;
  }
  [[nodiscard]] static constexpr std::uint64_t pba_bytes(const MsixLocation& at) {
    return hw::pci::msix::pba_bytes(at.hw_vectors);
  }

  void init(const MsixLocation& location);
  void reset();

  /// What lies at `offset` of `bar`. Both regions are those of the hardware, beyond the vectors
  /// shown too: the guest must not reach a physical entry that it cannot see. They begin and end at
  /// multiples of 8 bytes.
  [[nodiscard]] Region region(unsigned bar, std::uint64_t offset) const;
  /// True when the 4 KiB page at `page` of `bar` holds a byte of either.
  [[nodiscard]] bool touches_page(unsigned bar, std::uint64_t page) const;

  /// A naturally aligned access of 1, 2, 4 or 8 bytes within Region::kTable. Entries beyond those
  /// shown read 0 and drop writes, as do reserved bits. PCIe wants 4 or 8 bytes; narrower accesses
  /// act on the bytes named.
  [[nodiscard]] std::uint64_t read_table(std::uint64_t offset, unsigned size) const;
  Written write_table(std::uint64_t offset, unsigned size, std::uint64_t value);
  /// The same within Region::kPba, live from the device with 4-byte reads, bits of shown vectors
  /// only.
  [[nodiscard]] std::uint64_t read_pba(std::uint64_t offset, unsigned size,
                                       port::Mmio& hw_bar) const;

  [[nodiscard]] const Entry& entry(unsigned vector) const { return entries_[vector]; }
  [[nodiscard]] const MsixLocation& location() const { return at_; }
  [[nodiscard]] unsigned vectors() const { return at_.vectors; }

 private:
  [[nodiscard]] std::uint32_t dword(std::uint64_t table_offset) const;

  MsixLocation at_{};
  std::array<Entry, kMaxVectors> entries_{};
};

}  // namespace penstock::vpci
