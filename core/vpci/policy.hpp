// What a guest may see of a passed-through function and what it may write: one table, deny unless
// listed (S3.12, S3.33). The code that builds a virtual config space and the text in
// docs/vpci-policy.md are both made from it (S3.38).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/text.hpp"

namespace penstock::vpci {

/// Whose register a row describes.
enum class Owner : std::uint8_t {
  kHeader,
  kPower,
  kMsi,
  kExpress,
  kMsix,
  kAdvancedFeatures,
  kSerial,
  kSriov,  // shown behind a virtual root port alone
};

/// When a row applies: where MSI registers lie depends on the capability's own bits (PCIe 7.7.1),
/// and an integrated endpoint has no link.
enum class Condition : std::uint8_t {
  kAlways,
  kMsi64,  // 64-bit address
  kMsi32,
  kMsiMasks64,  // per-vector masks, 64-bit address
  kMsiMasks32,
  kExpressLink,  // not shown as an integrated endpoint
  kExpress2,     // version 2 of the capability
  kExpress2Link,
};

/// Who looks at a write after the masks have been applied, and who shapes the value at assignment.
enum class Handler : std::uint8_t {
  kPlain,
  kCommand,
  kBar,  // masks follow from the BAR's size
  kRom,
  kPower,       // unsupported states are ignored
  kMsiControl,  // messages granted are cut to those capable; not while MSI-X is on
  kMsi,
  kMsiVectors,     // one bit per vector shown
  kMsixControl,    // table size is cut; not while MSI is on
  kExpressType,    // an endpoint on the root bus is shown as an integrated one
  kDeviceControl,  // bit 15 starts a function-level reset where the device has one
  kFlrControl,     // bit 0 does, in Advanced Features
  kHeaderType,     // bit 7 as the topology is
  kStatus,         // bit 4 as the virtual list is
  kFirstCapability,
  kSriovControl,  // VFs on and off are effects
  kSriovTotal,    // cut to what a domain may have
  kSriovNumVfs,   // still while VFs are on, like the next
  kSriovBar,      // masks follow from the BAR's size
};

/// The bits of a register, by what the guest can do with them. A bit is in at most one mask; a bit
/// in none reads 0 and is written back to hardware as it is there.
struct Masks {
  std::uint32_t ro = 0;      // as read at assignment
  std::uint32_t one = 0;     // reads 1
  std::uint32_t rw = 0;      // the guest's own bit: kept here, never in hardware
  std::uint32_t live = 0;    // read from hardware each time
  std::uint32_t hw_rw = 0;   // live, writes reach the hardware
  std::uint32_t hw_w1c = 0;  // live, writing 1 reaches the hardware
  std::uint32_t rsvdz = 0;   // reads 0, hardware is always written 0

  [[nodiscard]] constexpr std::uint32_t from_hw() const { return live | hw_rw | hw_w1c; }
  [[nodiscard]] constexpr std::uint32_t to_hw() const { return hw_rw | hw_w1c; }
  /// No bit twice, none beyond `width` bytes.
  [[nodiscard]] constexpr bool valid(unsigned width) const {
    std::uint32_t seen = 0;
    for (const std::uint32_t mask : {ro, one, rw, live, hw_rw, hw_w1c, rsvdz}) {
      if ((seen & mask) != 0) return false;
      seen |= mask;
    }
    return width >= 4 || (seen >> (8 * width)) == 0;
  }
};

struct Row {
  Owner owner;
  std::uint8_t offset;  // from the capability, or from the start of config space for the header
  std::uint8_t width;   // bytes: 1, 2 or 4; offset is a multiple of it
  Condition condition;
  Handler handler;
  Masks masks;
  std::string_view name;
  std::string_view reason;
};

/// Every register that is shown. All others read as PolicyOptions::hidden says and drop writes.
[[nodiscard]] std::span<const Row> policy();

struct Denied {
  std::uint16_t id;
  bool extended;
  std::string_view name;
  std::string_view reason;
};

/// Never shown, not even as an extra capability or to the hardware domain.
[[nodiscard]] std::span<const Denied> never_shown();

/// Not shown by full access either, but allowed as an extra capability.
[[nodiscard]] std::span<const Denied> kept_back();

/// A vendor-specific capability that is shown for what its vendor says it is: a read-only copy,
/// made at assignment. Its third byte is its length (PCIe 7.9.4), its fourth the kind.
struct VendorCapability {
  std::uint16_t vendor;
  std::uint16_t first_device;
  std::uint16_t last_device;
  std::uint8_t kind;
  bool shown;          // false: not even by full access, nor where a configuration asks for it
  std::uint8_t least;  // bytes that make sense
  std::uint8_t most;   // what lies behind is something else
  std::string_view name;
  std::string_view reason;
};

[[nodiscard]] std::span<const VendorCapability> vendor_capabilities();

/// Who owns the rows of a capability, if it is on the list.
[[nodiscard]] bool built_in(std::uint16_t id, bool extended, Owner& owner);

/// The table as Markdown, for people. `out` cuts what does not fit; 16 KiB are enough.
void render_policy(TextWriter& out);

}  // namespace penstock::vpci
