#include "core/vpci/capability_list.hpp"

#include <array>

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/config.hpp"

namespace penstock::vpci {
namespace {

using namespace hw::pci;

/// Which dwords a walk has been to.
class Visited {
 public:
  /// False when it has been here before.
  bool enter(unsigned offset) {
    std::uint64_t& word = seen_[offset / 4 / 64];
    const std::uint64_t bit = std::uint64_t{1} << (offset / 4 % 64);
    const bool fresh = (word & bit) == 0;
    word |= bit;
    return fresh;
  }

 private:
  std::array<std::uint64_t, kConfigSize / 4 / 64> seen_{};
};

/// PCI 3.0 section 6.7. Returns false when the list does not end as it should.
bool walk_standard(port::ConfigSpace& hw, CapabilityArray& out) {
  if (get<status::CapabilityList>(hw.read(kStatus, 2)) == 0) return true;
  Visited visited;
  unsigned at = hw.read(kCapabilities, 1) & kCapabilityNextMask;
  while (at != 0) {
    if (at < kHeaderSize || !visited.enter(at)) return false;
    const std::uint32_t header = hw.read(at, 2);
    const auto id = static_cast<std::uint16_t>(header & 0xff);
    if (id == 0xff) return false;  // nobody answers
    const Capability found{.id = id, .offset = static_cast<std::uint16_t>(at)};
    if (!out.push_back(found)) return false;
    at = (header >> 8) & kCapabilityNextMask;
  }
  return true;
}

/// PCIe 7.6.1. Null capabilities (7.9.28) are links and nothing else.
bool walk_extended(port::ConfigSpace& hw, CapabilityArray& out) {
  Visited visited;
  unsigned at = kFirstExtendedCapability;
  while (at != 0) {
    if (at < kFirstExtendedCapability || !visited.enter(at)) return false;
    const std::uint32_t header = hw.read(at, 4);
    if (header == 0 || header == 0xffffffff) return at == kFirstExtendedCapability;
    Capability found{.id = static_cast<std::uint16_t>(get<extended_header::Id>(header)),
                     .offset = static_cast<std::uint16_t>(at),
                     .version = static_cast<std::uint8_t>(get<extended_header::Version>(header)),
                     .extended = true};
    const bool null = found.id == static_cast<std::uint16_t>(ExtendedId::kNull);
    if (!null && !out.push_back(found)) return false;
    at = static_cast<unsigned>(get<extended_header::Next>(header)) & ~3U;
  }
  return true;
}

}  // namespace

CapabilityLists walk_capabilities(port::ConfigSpace& hw) {
  CapabilityLists lists;
  if (!walk_standard(hw, lists.standard)) ++lists.malformed;
  bool express = false;
  for (const Capability& found : lists.standard) {
    express |= found.id == static_cast<std::uint16_t>(CapabilityId::kExpress);
  }
  if (express && !walk_extended(hw, lists.extended)) ++lists.malformed;
  return lists;
}

}  // namespace penstock::vpci
