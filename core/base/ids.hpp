// One type per kind of number that names something. No arithmetic, no conversion: a physical stream
// ID cannot be passed where a virtual one is meant, nor a requester ID where a stream ID is. "None"
// is std::optional, never a magic value.
#pragma once

#include <compare>
#include <cstdint>

namespace penstock {

template <typename Tag, typename Rep>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(const Id&, const Id&) = default;

 private:
  Rep value_ = 0;
};

/// PCI routing ID: bus << 8 | device << 3 | function (PCIe Base 2.2.4.2). The segment is the host
/// bridge's.
template <typename Tag>
class Bdf {
 public:
  constexpr Bdf() = default;
  constexpr explicit Bdf(std::uint16_t routing_id) : value_(routing_id) {}
  constexpr Bdf(unsigned bus, unsigned device, unsigned function)
      : value_(static_cast<std::uint16_t>((bus & 0xff) << 8 | (device & 0x1f) << 3 |
                                          (function & 7))) {}
  [[nodiscard]] constexpr std::uint16_t value() const { return value_; }
  [[nodiscard]] constexpr unsigned bus() const { return value_ >> 8; }
  [[nodiscard]] constexpr unsigned device() const { return (value_ >> 3) & 0x1fU; }
  [[nodiscard]] constexpr unsigned function() const { return value_ & 7U; }
  friend constexpr auto operator<=>(const Bdf&, const Bdf&) = default;

 private:
  std::uint16_t value_ = 0;
};

using HostBdf = Bdf<struct HostBdfTag>;    // on the board
using GuestBdf = Bdf<struct GuestBdfTag>;  // in a domain's virtual topology

using StreamId = Id<struct StreamIdTag, std::uint32_t>;            // physical SMMU
using GuestStreamId = Id<struct GuestStreamIdTag, std::uint32_t>;  // virtual IOMMU
using DeviceId = Id<struct DeviceIdTag, std::uint32_t>;            // physical ITS
using EventId = Id<struct EventIdTag, std::uint32_t>;  // physical ITS, within one DeviceId
using HostLpi = Id<struct HostLpiTag, std::uint32_t>;  // physical INTID >= 8192
using GuestDeviceId = Id<struct GuestDeviceIdTag, std::uint32_t>;
using GuestEventId = Id<struct GuestEventIdTag, std::uint32_t>;
using GuestIntId = Id<struct GuestIntIdTag, std::uint32_t>;  // virtual INTID of any kind
using Vmid = Id<struct VmidTag, std::uint16_t>;              // never 0: bypass entries use 0
using DomainId = Id<struct DomainIdTag, std::uint8_t>;       // index in the manifest, from 0
using CpuIndex = Id<struct CpuIndexTag, std::uint8_t>;       // physical CPU, in device-tree order
using VcpuIndex = Id<struct VcpuIndexTag, std::uint8_t>;     // within one domain, from 0

}  // namespace penstock
