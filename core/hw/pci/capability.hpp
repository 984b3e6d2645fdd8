// Capability lists and the identifiers in them: PCIe 7.5.3 and 7.6 to 7.9, PCI Code and ID
// Assignment Specification.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::pci {

/// Capabilities in the first 256 bytes (PCI Code and ID Assignment, chapter 2).
enum class CapabilityId : std::uint8_t {
  kNull = 0x00,
  kPowerManagement = 0x01,
  kAgp = 0x02,
  kVpd = 0x03,
  kSlotId = 0x04,
  kMsi = 0x05,
  kCompactPciHotSwap = 0x06,
  kPciX = 0x07,
  kHyperTransport = 0x08,
  kVendorSpecific = 0x09,
  kDebugPort = 0x0a,
  kCompactPciResource = 0x0b,
  kHotPlug = 0x0c,
  kBridgeSubsystem = 0x0d,
  kAgp8x = 0x0e,
  kSecureDevice = 0x0f,
  kExpress = 0x10,
  kMsix = 0x11,
  kSata = 0x12,
  kAdvancedFeatures = 0x13,
  kEnhancedAllocation = 0x14,
  kFlatteningPortalBridge = 0x15,
};

/// Capabilities from byte 256 on (same document, chapter 3).
enum class ExtendedId : std::uint16_t {
  kNull = 0x0000,
  kAdvancedErrorReporting = 0x0001,
  kVirtualChannel = 0x0002,
  kDeviceSerialNumber = 0x0003,
  kPowerBudgeting = 0x0004,
  kRootComplexLink = 0x0005,
  kVendorSpecific = 0x000b,
  kAccessControlServices = 0x000d,
  kAlternativeRoutingId = 0x000e,
  kAddressTranslationServices = 0x000f,
  kSingleRootIov = 0x0010,
  kPageRequest = 0x0013,
  kResizableBar = 0x0015,
  kDynamicPowerAllocation = 0x0016,
  kTphRequester = 0x0017,
  kLatencyToleranceReporting = 0x0018,
  kSecondaryExpress = 0x0019,
  kProcessAddressSpaceId = 0x001b,
  kDownstreamPortContainment = 0x001d,
  kL1PmSubstates = 0x001e,
  kPrecisionTime = 0x001f,
  kDesignatedVendorSpecific = 0x0023,
};

/// The first two bytes of every capability. `Next` is an offset, its low two bits are reserved; 0
/// ends the list.
inline constexpr unsigned kCapabilityId = 0x0;
inline constexpr unsigned kCapabilityNext = 0x1;
inline constexpr unsigned kCapabilityNextMask = 0xfc;
/// Longest list that can exist: one capability per dword above the header. Bounds every walk.
inline constexpr unsigned kMaxCapabilities = (256 - 0x40) / 4;

inline constexpr unsigned kFirstExtendedCapability = 0x100;
inline constexpr unsigned kMaxExtendedCapabilities = (4096 - 0x100) / 4;
/// A vendor-specific capability (0x09) has its own length, header included, in its third byte.
inline constexpr unsigned kVendorSpecificLength = 0x2;

namespace extended_header {  // PCIe 7.6.3
using Id = Field<15, 0>;
using Version = Field<19, 16>;
using Next = Field<31, 20>;  // its low two bits are reserved; 0 ends the list
static_assert(covers_exactly<32, Id, Version, Next>());
}  // namespace extended_header

// Conventional PCI's own FLR: Advanced Capabilities for Conventional PCI ECN.
namespace advanced_features {
inline constexpr unsigned kLength = 0x2;   // 1 byte, value 6
inline constexpr unsigned kCaps = 0x3;     // 1 byte
inline constexpr unsigned kControl = 0x4;  // 1 byte
inline constexpr unsigned kStatus = 0x5;   // 1 byte
inline constexpr unsigned kSize = 6;
using TransactionsPendingCapable = Field<0, 0>;  // in kCaps
using FlrCapable = Field<1, 1>;                  // in kCaps
using InitiateFlr = Field<0, 0>;                 // in kControl
using TransactionsPending = Field<0, 0>;         // in kStatus
}  // namespace advanced_features

namespace acs {                               // PCIe 7.7.11, offsets from the extended capability
inline constexpr unsigned kCapability = 0x4;  // 2 bytes
inline constexpr unsigned kControl = 0x6;     // 2 bytes, the same bits
using SourceValidation = Field<0, 0>;
using TranslationBlocking = Field<1, 1>;
using RequestRedirect = Field<2, 2>;
using CompletionRedirect = Field<3, 3>;
using UpstreamForwarding = Field<4, 4>;
using EgressControl = Field<5, 5>;
using DirectTranslated = Field<6, 6>;
using Enhanced = Field<7, 7>;
}  // namespace acs

namespace ari {                               // PCIe 7.8.8
inline constexpr unsigned kCapability = 0x4;  // 2 bytes
inline constexpr unsigned kControl = 0x6;     // 2 bytes
using NextFunction = Field<15, 8>;            // in kCapability
}  // namespace ari

namespace ats {                               // PCIe 10.5.1
inline constexpr unsigned kCapability = 0x4;  // 2 bytes
inline constexpr unsigned kControl = 0x6;     // 2 bytes
using Enable = Field<15, 15>;                 // in kControl
}  // namespace ats

namespace serial_number {               // PCIe 7.9.3
inline constexpr unsigned kLow = 0x4;   // 4 bytes
inline constexpr unsigned kHigh = 0x8;  // 4 bytes
inline constexpr unsigned kSize = 0xc;
}  // namespace serial_number

}  // namespace penstock::hw::pci
