// The guest's one PCI bus: from an offset in its ECAM window, or an address in its MMIO windows, to
// a function.
//
// Bus 0 alone is populated; the window covers buses 0..255 (PCIe 7.2.2) and everything else reads
// all-ones. Built at domain creation, then read by every vCPU: adding or removing needs the domain
// stopped or the caller's lock.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {

struct BarHit {
  VirtualFunction* function = nullptr;
  GuestBdf bdf;
  unsigned bar = 0;
  std::uint64_t offset = 0;  // bytes from the BAR's start
};

class Topology {
 public:
  /// A bus with a host bridge at 00:00.0 and nothing else: vendor 1b36, device 0008, class 0600, as
  /// on QEMU's `virt`.
  Topology() {
    bridge_.init_host_bridge(0x1b36, 0x0008);
    by_devfn_[0] = &bridge_;
  }
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;

  /// kOutOfRange: not on bus 0. kAlreadyExists: the place is taken (00:00.0 always is). arg:
  /// routing ID. The function outlives its stay here.
  Status add(GuestBdf bdf, VirtualFunction* function);
  /// kNotFound (arg: routing ID).
  Status remove(GuestBdf bdf);

  /// The function whose config space holds `ecam_offset` (bytes from the window's start), or null.
  /// Constant time.
  [[nodiscard]] VirtualFunction* find(std::uint64_t ecam_offset) const {
    const std::uint64_t function =
        ecam_offset >> 12;  // PCIe 7.2.2: bus 27:20, device 19:15, function 14:12
    return function < by_devfn_.size() ? by_devfn_[function] : nullptr;
  }

  /// find() and the access; an absent function reads all-ones and drops writes. `size` 1..8.
  [[nodiscard]] std::uint64_t config_read(std::uint64_t ecam_offset, unsigned size) const;
  [[nodiscard]] Effects config_write(std::uint64_t ecam_offset, unsigned size, std::uint64_t value);

  /// The mapped BAR (or shown ROM) that holds `address`; where two overlap, the lower function and
  /// BAR. Linear in the number of functions on the bus, for accesses that trapped.
  [[nodiscard]] std::optional<BarHit> find_bar(Gpa address) const;

 private:
  VirtualFunction bridge_;
  std::array<VirtualFunction*, 256> by_devfn_{};  // index: device << 3 | function
};

}  // namespace penstock::vpci
