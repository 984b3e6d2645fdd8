// The capability lists of a physical function, walked once. The device is not trusted: pointers may
// loop, leave the space or land in the header, and the walk still ends after at most one visit to
// each dword.
#pragma once

#include <cstdint>

#include "core/base/static_vector.hpp"
#include "core/port/config_space.hpp"

namespace penstock::vpci {

struct Capability {
  std::uint16_t id = 0;  // CapabilityId or ExtendedId
  std::uint16_t offset = 0;
  std::uint8_t version = 0;  // extended ones only
  bool extended = false;
};

/// More extended capabilities than this and the rest stays hidden: devices have about ten.
inline constexpr unsigned kMaxListed = 48;
using CapabilityArray = StaticVector<Capability, kMaxListed>;

struct CapabilityLists {
  CapabilityArray standard;
  CapabilityArray extended;  // empty unless the function has a PCI Express capability (PCIe 7.6.1)
  std::uint8_t malformed = 0;  // lists cut short, 0..2
};

[[nodiscard]] CapabilityLists walk_capabilities(port::ConfigSpace& hw);

}  // namespace penstock::vpci
