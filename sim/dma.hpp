// The way of a device's memory access through the simulated board.
//
// A PCI device sends to a DmaBus: the SMMU's untranslated side, or memory itself where the board
// has no SMMU. The SMMU translates and sends on to another DmaBus, on which `address` is
// machine-physical: memory, or a router that knows the ITS doorbell. The requester stays attached
// all the way, as the ITS needs it as its DeviceID.
#pragma once

#include <cstdint>
#include <span>

namespace penstock::sim {

class DmaBus {
 public:
  /// Reads `to.size()` bytes at `address` for the device with this requester ID (PCI routing ID,
  /// which is also the stream ID and the ITS DeviceID of the simulated board). False: the access
  /// was aborted, wholly or from some page on; the contents of `to` are then of no meaning.
  virtual bool read(std::uint32_t requester, std::uint64_t address, std::span<std::uint8_t> to) = 0;
  /// Writes, same conditions. On false the pages before the one that aborted have been written, as
  /// on hardware.
  virtual bool write(std::uint32_t requester, std::uint64_t address,
                     std::span<const std::uint8_t> from) = 0;

 protected:
  ~DmaBus() = default;
};

}  // namespace penstock::sim
