// The configuration header of a PCI function: PCI Local Bus 3.0 chapter 6, PCI Express Base
// (PCIe) 7.5.1. Offsets are in bytes from the start of the function's configuration space; fields
// are within one register.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::pci {

inline constexpr unsigned kConfigSize = 4096;             // PCIe extended configuration space
inline constexpr unsigned kConventionalConfigSize = 256;  // the part every PCI function has
inline constexpr unsigned kHeaderSize = 0x40;  // registers at and above it are the capabilities'
inline constexpr unsigned kBarCount = 6;       // type 0; a type 1 header has 2

// clang-format off
// Registers of both header types            offset   bytes  access
inline constexpr unsigned kVendorId         = 0x00;  // 2    RO, 0xffff: no function here
inline constexpr unsigned kDeviceId         = 0x02;  // 2    RO
inline constexpr unsigned kCommand          = 0x04;  // 2    RW
inline constexpr unsigned kStatus           = 0x06;  // 2    RO and RW1C
inline constexpr unsigned kRevisionId       = 0x08;  // 1    RO
inline constexpr unsigned kClassCode        = 0x09;  // 3    RO, interface, subclass, class
inline constexpr unsigned kCacheLineSize    = 0x0c;  // 1    RW, no effect in PCIe
inline constexpr unsigned kLatencyTimer     = 0x0d;  // 1    RO 0 in PCIe
inline constexpr unsigned kHeaderType       = 0x0e;  // 1    RO
inline constexpr unsigned kBist             = 0x0f;  // 1    RW
inline constexpr unsigned kBar0             = 0x10;  // 4    RW, six (type 0) or two (type 1)
inline constexpr unsigned kCapabilities     = 0x34;  // 1    RO, first capability or 0
inline constexpr unsigned kInterruptLine    = 0x3c;  // 1    RW, for software only
inline constexpr unsigned kInterruptPin     = 0x3d;  // 1    RO, 0: no INTx, 1..4: INTA..INTD
// Type 0 (endpoints)
inline constexpr unsigned kCardbusCis       = 0x28;  // 4    RO
inline constexpr unsigned kSubsystemVendor  = 0x2c;  // 2    RO
inline constexpr unsigned kSubsystemId      = 0x2e;  // 2    RO
inline constexpr unsigned kRomBar           = 0x30;  // 4    RW
inline constexpr unsigned kMinGrant         = 0x3e;  // 1    RO 0 in PCIe
inline constexpr unsigned kMaxLatency       = 0x3f;  // 1    RO 0 in PCIe
// Type 1 (bridges)
inline constexpr unsigned kPrimaryBus       = 0x18;  // 1    RW
inline constexpr unsigned kSecondaryBus     = 0x19;  // 1    RW
inline constexpr unsigned kSubordinateBus   = 0x1a;  // 1    RW
inline constexpr unsigned kSecondaryLatency = 0x1b;  // 1    RO 0 in PCIe
inline constexpr unsigned kIoBase           = 0x1c;  // 1    RW
inline constexpr unsigned kIoLimit          = 0x1d;  // 1    RW
inline constexpr unsigned kSecondaryStatus  = 0x1e;  // 2    RW1C
inline constexpr unsigned kMemoryBase       = 0x20;  // 2    RW, bits 15:4 are address bits 31:20
inline constexpr unsigned kMemoryLimit      = 0x22;  // 2    RW
inline constexpr unsigned kPrefetchBase     = 0x24;  // 2    RW, as above, bit 0: 64-bit
inline constexpr unsigned kPrefetchLimit    = 0x26;  // 2    RW
inline constexpr unsigned kPrefetchBaseHi   = 0x28;  // 4    RW
inline constexpr unsigned kPrefetchLimitHi  = 0x2c;  // 4    RW
inline constexpr unsigned kIoBaseHi         = 0x30;  // 2    RW
inline constexpr unsigned kIoLimitHi        = 0x32;  // 2    RW
inline constexpr unsigned kBridgeRomBar     = 0x38;  // 4    RW
inline constexpr unsigned kBridgeControl    = 0x3e;  // 2    RW
// clang-format on

inline constexpr std::uint16_t kNoVendor = 0xffff;
/// What a vendor ID reads as while its function asks to be asked again (PCIe 2.3.2).
inline constexpr std::uint16_t kRetryVendor = 0x0001;

/// Offset of base address register `index` (0..5).
[[nodiscard]] constexpr unsigned bar_offset(unsigned index) {
  return kBar0 + 4 * index;
}

namespace command {  // PCIe 7.5.1.1.3
using IoSpace = Field<0, 0>;
using MemorySpace = Field<1, 1>;
using BusMaster = Field<2, 2>;
using SpecialCycles = Field<3, 3>;
using MemoryWriteInvalidate = Field<4, 4>;
using VgaSnoop = Field<5, 5>;
using ParityErrorResponse = Field<6, 6>;
using IdselStepping = Field<7, 7>;
using SerrEnable = Field<8, 8>;
using FastBackToBack = Field<9, 9>;
using InterruptDisable = Field<10, 10>;
using Reserved = Field<15, 11>;
static_assert(covers_exactly<16, IoSpace, MemorySpace, BusMaster, SpecialCycles,
                             MemoryWriteInvalidate, VgaSnoop, ParityErrorResponse, IdselStepping,
                             SerrEnable, FastBackToBack, InterruptDisable, Reserved>());
}  // namespace command

namespace status {  // PCIe 7.5.1.1.4
using ImmediateReadiness = Field<0, 0>;
using Reserved0 = Field<2, 1>;
using InterruptStatus = Field<3, 3>;
using CapabilityList = Field<4, 4>;
using Capable66MHz = Field<5, 5>;
using Reserved1 = Field<6, 6>;
using FastBackToBack = Field<7, 7>;
using MasterDataParityError = Field<8, 8>;  // RW1C
using DevselTiming = Field<10, 9>;
using SignaledTargetAbort = Field<11, 11>;  // RW1C
using ReceivedTargetAbort = Field<12, 12>;  // RW1C
using ReceivedMasterAbort = Field<13, 13>;  // RW1C
using SignaledSystemError = Field<14, 14>;  // RW1C
using DetectedParityError = Field<15, 15>;  // RW1C
static_assert(covers_exactly<16, ImmediateReadiness, Reserved0, InterruptStatus, CapabilityList,
                             Capable66MHz, Reserved1, FastBackToBack, MasterDataParityError,
                             DevselTiming, SignaledTargetAbort, ReceivedTargetAbort,
                             ReceivedMasterAbort, SignaledSystemError, DetectedParityError>());
}  // namespace status

namespace header_type {  // PCIe 7.5.1.1.9
using Layout = Field<6, 0>;
using MultiFunction = Field<7, 7>;
static_assert(covers_exactly<8, Layout, MultiFunction>());
inline constexpr std::uint64_t kEndpoint = 0;
inline constexpr std::uint64_t kBridge = 1;
inline constexpr std::uint64_t kCardbus = 2;
}  // namespace header_type

namespace bar {  // PCIe 7.5.1.2.1, the low bits of a base address register
using IoSpace = Field<0, 0>;
// memory
using Type = Field<2, 1>;
using Prefetchable = Field<3, 3>;
using Address = Field<31, 4>;
static_assert(covers_exactly<32, IoSpace, Type, Prefetchable, Address>());
inline constexpr std::uint64_t kType32 = 0;
inline constexpr std::uint64_t kType64 = 2;
inline constexpr std::uint32_t kMemoryFlags = 0xf;
// I/O
using IoReserved = Field<1, 1>;
using IoAddress = Field<31, 2>;
static_assert(covers_exactly<32, IoSpace, IoReserved, IoAddress>());
inline constexpr std::uint32_t kIoFlags = 0x3;
}  // namespace bar

namespace rom_bar {  // PCIe 7.5.1.2.4
using Enable = Field<0, 0>;
using Validation = Field<10, 1>;  // reserved before PCIe 5.0
using Address = Field<31, 11>;
static_assert(covers_exactly<32, Enable, Validation, Address>());
}  // namespace rom_bar

namespace bridge_control {  // PCIe 7.5.1.3.13
using ParityErrorResponse = Field<0, 0>;
using SerrEnable = Field<1, 1>;
using IsaEnable = Field<2, 2>;
using VgaEnable = Field<3, 3>;
using Vga16BitDecode = Field<4, 4>;
using MasterAbortMode = Field<5, 5>;
using SecondaryBusReset = Field<6, 6>;
using FastBackToBack = Field<7, 7>;
using PrimaryDiscardTimer = Field<8, 8>;
using SecondaryDiscardTimer = Field<9, 9>;
using DiscardTimerStatus = Field<10, 10>;
using DiscardTimerSerr = Field<11, 11>;
using Reserved = Field<15, 12>;
static_assert(
    covers_exactly<16, ParityErrorResponse, SerrEnable, IsaEnable, VgaEnable, Vga16BitDecode,
                   MasterAbortMode, SecondaryBusReset, FastBackToBack, PrimaryDiscardTimer,
                   SecondaryDiscardTimer, DiscardTimerStatus, DiscardTimerSerr, Reserved>());
}  // namespace bridge_control

// PCIe 7.2.2: the byte offset of a register in the memory-mapped configuration window.
namespace ecam {
using Register = Field<11, 0>;
using Function = Field<14, 12>;
using Device = Field<19, 15>;
using Bus = Field<27, 20>;
static_assert(covers_exactly<28, Register, Function, Device, Bus>());
}  // namespace ecam

}  // namespace penstock::hw::pci
