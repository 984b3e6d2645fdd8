// Full access, for the hardware domain: what the policy neither knows nor forbids goes to the
// hardware as it comes (S3.10). Ownership is per dword, because capabilities begin at dwords.
#include "core/base/bytes.hpp"
#include "core/hw/pci/capability.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

namespace pci = hw::pci;

constexpr unsigned kAllLanes = 0xf;
constexpr unsigned kUpperLanes = 0xc;

bool names(std::span<const Denied> list, const Capability& found) {
  for (const Denied& denied : list) {
    if (denied.id == found.id && denied.extended == found.extended) return true;
  }
  return false;
}

}  // namespace

/// Where a list is broken, what lies beyond the break is unknown, and it may be anything.
void VirtualFunction::init_full_access(const CapabilityLists& lists, const PolicyOptions& options) {
  full_access_ = options.full_access && lists.malformed == 0;
  if (!full_access_) return;
  // Without a PCI Express capability nobody has looked at the extended space.
  bool express = false;
  for (const Capability& found : lists.standard) {
    express |= found.id == static_cast<std::uint16_t>(pci::CapabilityId::kExpress);
  }
  raw_dwords_ = (express ? pci::kConfigSize : pci::kConventionalConfigSize) / 4;
}

bool VirtualFunction::passes_through(const Capability& found, const PolicyOptions& options) const {
  Owner owner{};
  if (built_in(found.id, found.extended, owner)) return false;
  if (names(never_shown(), found) || names(kept_back(), found)) return false;
  const VendorCapability* vendors = vendor_row(found);
  if (vendors != nullptr && !vendors->shown) return false;
  for (const CapabilityName& name : options.deny) {
    if (name.id == found.id && name.extended == found.extended) return false;
  }
  return true;
}

/// Its links are ours, the rest is the hardware's.
void VirtualFunction::show_through(const Capability& found) {
  if (found.extended) {
    registers_.keep_back(found.offset, found.offset + 4U);
  } else {
    registers_.set(found.offset, 4, 0);
    raw_headers_ |= std::uint64_t{1} << (found.offset / 4);
  }
  link(found);
}

/// How long it is only its own specification knows, so it ends where the next one begins.
void VirtualFunction::keep_back(const Capability& found, const CapabilityArray& list) {
  unsigned end = found.extended ? pci::kConfigSize : pci::kConventionalConfigSize;
  for (const Capability& other : list) {
    if (other.offset > found.offset && other.offset < end) end = other.offset;
  }
  registers_.keep_back(found.offset, end);
}

/// The bytes of a dword that are the hardware's.
unsigned VirtualFunction::raw_lanes(unsigned dword) const {
  if (dword >= raw_dwords_ || registers_.is_taken(dword)) return 0;
  const bool header = dword < 64 && ((raw_headers_ >> dword) & 1) != 0;
  return header ? kUpperLanes : kAllLanes;
}

std::uint64_t VirtualFunction::read_through(unsigned offset, unsigned size) const {
  std::uint64_t value = registers_.read(offset, size, hw_);
  for (unsigned done = 0; done < size && done < 8;) {
    const unsigned at = offset + done;
    if (at >= pci::kConfigSize) break;
    const unsigned lane = at & 3;
    const unsigned here = size - done < 4 - lane ? size - done : 4 - lane;
    const unsigned lanes = raw_lanes(at / 4) & (((1U << here) - 1) << lane);
    const std::uint32_t word = lanes != 0 ? hw_->read(at & ~3U, 4) : 0;
    for (unsigned byte = lane; byte < lane + here; ++byte) {
      if (((lanes >> byte) & 1) == 0) continue;
      const unsigned shift = 8 * (done + byte - lane);
      value &= ~(std::uint64_t{0xff} << shift);
      value |= std::uint64_t{(word >> (8 * byte)) & 0xff} << shift;
    }
    done += here;
  }
  return value;
}

/// In pieces as wide as alignment lets them be: at most four for eight bytes, and a header cuts off
/// at most one more.
void VirtualFunction::write_through(unsigned offset, unsigned size, std::uint64_t value,
                                    Effects& effects) const {
  const unsigned end = offset + (size < 8 ? size : 8);
  for (unsigned at = offset; at < end && at < pci::kConfigSize;) {
    const unsigned lanes = raw_lanes(at / 4);
    if (((lanes >> (at & 3)) & 1) == 0) {
      ++at;
      continue;
    }
    unsigned piece = 4;
    while ((at & (piece - 1)) != 0 || at + piece > end) piece /= 2;
    const std::uint64_t bits = (value >> (8 * (at - offset))) & all_ones(piece);
    // Room for all effects of a write: effect.hpp.
    static_cast<void>(effects.push_back({.kind = Effect::Kind::kHardwareWrite,
                                         .size = static_cast<std::uint8_t>(piece),
                                         .offset = static_cast<std::uint16_t>(at),
                                         .value = static_cast<std::uint32_t>(bits)}));
    at += piece;
  }
}

}  // namespace penstock::vpci
