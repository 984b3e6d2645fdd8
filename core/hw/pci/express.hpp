// PCI Express capability: PCIe 7.5.3. Offsets from the capability, in bytes.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::pci::express {

// clang-format off
//                                                offset  bytes  access
inline constexpr unsigned kCapabilities         = 0x02;  // 2    RO
inline constexpr unsigned kDeviceCapabilities   = 0x04;  // 4    RO
inline constexpr unsigned kDeviceControl        = 0x08;  // 2    RW
inline constexpr unsigned kDeviceStatus         = 0x0a;  // 2    RO and RW1C
inline constexpr unsigned kLinkCapabilities     = 0x0c;  // 4    RO
inline constexpr unsigned kLinkControl          = 0x10;  // 2    RW
inline constexpr unsigned kLinkStatus           = 0x12;  // 2    RO and RW1C
inline constexpr unsigned kSlotCapabilities     = 0x14;  // 4    RO
inline constexpr unsigned kSlotControl          = 0x18;  // 2    RW
inline constexpr unsigned kSlotStatus           = 0x1a;  // 2    RO and RW1C
inline constexpr unsigned kRootControl          = 0x1c;  // 2    RW
inline constexpr unsigned kRootCapabilities     = 0x1e;  // 2    RO
inline constexpr unsigned kRootStatus           = 0x20;  // 4    RO and RW1C
inline constexpr unsigned kDeviceCapabilities2  = 0x24;  // 4    RO
inline constexpr unsigned kDeviceControl2       = 0x28;  // 2    RW
inline constexpr unsigned kDeviceStatus2        = 0x2a;  // 2    reserved
inline constexpr unsigned kLinkCapabilities2    = 0x2c;  // 4    RO
inline constexpr unsigned kLinkControl2         = 0x30;  // 2    RW
inline constexpr unsigned kLinkStatus2          = 0x32;  // 2    RO and RW1C
inline constexpr unsigned kSlotCapabilities2    = 0x34;  // 4    reserved
inline constexpr unsigned kSlotControl2         = 0x38;  // 2    reserved
inline constexpr unsigned kSlotStatus2          = 0x3a;  // 2    reserved
inline constexpr unsigned kSizeVersion1Endpoint = 0x14;  // version 1: as long as its type needs
inline constexpr unsigned kSizeVersion2         = 0x3c;
// clang-format on

enum class PortType : std::uint8_t {  // PCIe 7.5.3.2
  kEndpoint = 0x0,
  kLegacyEndpoint = 0x1,
  kRootPort = 0x4,
  kUpstreamPort = 0x5,
  kDownstreamPort = 0x6,
  kPcieToPciBridge = 0x7,
  kPciToPcieBridge = 0x8,
  kRootComplexEndpoint = 0x9,
  kRootComplexEventCollector = 0xa,
};

namespace capabilities {
using Version = Field<3, 0>;
using Type = Field<7, 4, PortType>;
using SlotImplemented = Field<8, 8>;
using InterruptMessage = Field<13, 9>;
using Undefined = Field<14, 14>;
using FlitModeSupported = Field<15, 15>;
static_assert(covers_exactly<16, Version, Type, SlotImplemented, InterruptMessage, Undefined,
                             FlitModeSupported>());
}  // namespace capabilities

namespace device_capabilities {  // PCIe 7.5.3.3
using MaxPayloadSupported = Field<2, 0>;
using PhantomFunctions = Field<4, 3>;
using ExtendedTag = Field<5, 5>;
using L0sLatency = Field<8, 6>;
using L1Latency = Field<11, 9>;
using Undefined = Field<14, 12>;
using RoleBasedErrors = Field<15, 15>;
using ErrCorSubclass = Field<16, 16>;
using RxMpsFixed = Field<17, 17>;
using SlotPowerValue = Field<25, 18>;
using SlotPowerScale = Field<27, 26>;
using FunctionLevelReset = Field<28, 28>;
using MixedMps = Field<29, 29>;
using TeeIo = Field<30, 30>;
using Reserved = Field<31, 31>;
static_assert(
    covers_exactly<32, MaxPayloadSupported, PhantomFunctions, ExtendedTag, L0sLatency, L1Latency,
                   Undefined, RoleBasedErrors, ErrCorSubclass, RxMpsFixed, SlotPowerValue,
                   SlotPowerScale, FunctionLevelReset, MixedMps, TeeIo, Reserved>());
}  // namespace device_capabilities

namespace device_control {  // PCIe 7.5.3.4
using CorrectableEnable = Field<0, 0>;
using NonFatalEnable = Field<1, 1>;
using FatalEnable = Field<2, 2>;
using UnsupportedEnable = Field<3, 3>;
using RelaxedOrdering = Field<4, 4>;
using MaxPayload = Field<7, 5>;
using ExtendedTag = Field<8, 8>;
using PhantomFunctions = Field<9, 9>;
using AuxPower = Field<10, 10>;
using NoSnoop = Field<11, 11>;
using MaxReadRequest = Field<14, 12>;
using InitiateFlr = Field<15, 15>;  // reads 0; Bridge Configuration Retry in a PCIe-to-PCI bridge
static_assert(covers_exactly<16, CorrectableEnable, NonFatalEnable, FatalEnable, UnsupportedEnable,
                             RelaxedOrdering, MaxPayload, ExtendedTag, PhantomFunctions, AuxPower,
                             NoSnoop, MaxReadRequest, InitiateFlr>());
}  // namespace device_control

namespace device_status {                 // PCIe 7.5.3.5
using CorrectableDetected = Field<0, 0>;  // RW1C
using NonFatalDetected = Field<1, 1>;     // RW1C
using FatalDetected = Field<2, 2>;        // RW1C
using UnsupportedDetected = Field<3, 3>;  // RW1C
using AuxPowerDetected = Field<4, 4>;
using TransactionsPending = Field<5, 5>;
using EmergencyPowerReduction = Field<6, 6>;  // RW1C
using Reserved = Field<15, 7>;
static_assert(
    covers_exactly<16, CorrectableDetected, NonFatalDetected, FatalDetected, UnsupportedDetected,
                   AuxPowerDetected, TransactionsPending, EmergencyPowerReduction, Reserved>());
}  // namespace device_status

namespace link_capabilities {  // PCIe 7.5.3.6
using MaxSpeed = Field<3, 0>;
using MaxWidth = Field<9, 4>;
using Aspm = Field<11, 10>;
using L0sExitLatency = Field<14, 12>;
using L1ExitLatency = Field<17, 15>;
using ClockPower = Field<18, 18>;
using SurpriseDownReporting = Field<19, 19>;
using DataLinkActiveReporting = Field<20, 20>;
using BandwidthNotification = Field<21, 21>;
using AspmOptionality = Field<22, 22>;
using Reserved = Field<23, 23>;
using PortNumber = Field<31, 24>;
static_assert(covers_exactly<32, MaxSpeed, MaxWidth, Aspm, L0sExitLatency, L1ExitLatency,
                             ClockPower, SurpriseDownReporting, DataLinkActiveReporting,
                             BandwidthNotification, AspmOptionality, Reserved, PortNumber>());
}  // namespace link_capabilities

namespace link_control {  // PCIe 7.5.3.7, what a host needs
using AspmControl = Field<1, 0>;
using LinkDisable = Field<4, 4>;
using RetrainLink = Field<5, 5>;
}  // namespace link_control

namespace link_status {  // PCIe 7.5.3.8, what a host needs
using Speed = Field<3, 0>;
using Width = Field<9, 4>;
using Training = Field<11, 11>;
using SlotClock = Field<12, 12>;
using DataLinkActive = Field<13, 13>;
}  // namespace link_status

namespace slot_capabilities {  // PCIe 7.5.3.9
using AttentionButton = Field<0, 0>;
using PowerController = Field<1, 1>;
using MrlSensor = Field<2, 2>;
using AttentionIndicator = Field<3, 3>;
using PowerIndicator = Field<4, 4>;
using HotPlugSurprise = Field<5, 5>;
using HotPlugCapable = Field<6, 6>;
using PowerLimitValue = Field<14, 7>;
using PowerLimitScale = Field<16, 15>;
using Interlock = Field<17, 17>;
using NoCommandCompleted = Field<18, 18>;
using SlotNumber = Field<31, 19>;
static_assert(covers_exactly<32, AttentionButton, PowerController, MrlSensor, AttentionIndicator,
                             PowerIndicator, HotPlugSurprise, HotPlugCapable, PowerLimitValue,
                             PowerLimitScale, Interlock, NoCommandCompleted, SlotNumber>());
}  // namespace slot_capabilities

namespace slot_control {  // PCIe 7.5.3.10
enum class Indicator : std::uint8_t { kReserved = 0, kOn = 1, kBlink = 2, kOff = 3 };
using AttentionButtonEnable = Field<0, 0>;
using PowerFaultEnable = Field<1, 1>;
using MrlSensorEnable = Field<2, 2>;
using PresenceEnable = Field<3, 3>;
using CommandCompletedEnable = Field<4, 4>;
using InterruptEnable = Field<5, 5>;
using AttentionIndicator = Field<7, 6, Indicator>;
using PowerIndicator = Field<9, 8, Indicator>;
using PowerOff = Field<10, 10>;
using Interlock = Field<11, 11>;
using LinkStateEnable = Field<12, 12>;
using PowerLimitDisable = Field<13, 13>;
using InBandPresenceDisable = Field<14, 14>;
using Reserved = Field<15, 15>;
static_assert(covers_exactly<
              16, AttentionButtonEnable, PowerFaultEnable, MrlSensorEnable, PresenceEnable,
              CommandCompletedEnable, InterruptEnable, AttentionIndicator, PowerIndicator, PowerOff,
              Interlock, LinkStateEnable, PowerLimitDisable, InBandPresenceDisable, Reserved>());
}  // namespace slot_control

namespace slot_status {                      // PCIe 7.5.3.11
using AttentionButtonPressed = Field<0, 0>;  // RW1C
using PowerFault = Field<1, 1>;              // RW1C
using MrlSensorChanged = Field<2, 2>;        // RW1C
using PresenceChanged = Field<3, 3>;         // RW1C
using CommandCompleted = Field<4, 4>;        // RW1C
using MrlSensorOpen = Field<5, 5>;
using Present = Field<6, 6>;
using InterlockEngaged = Field<7, 7>;
using LinkStateChanged = Field<8, 8>;  // RW1C
using Reserved = Field<15, 9>;
static_assert(covers_exactly<16, AttentionButtonPressed, PowerFault, MrlSensorChanged,
                             PresenceChanged, CommandCompleted, MrlSensorOpen, Present,
                             InterlockEngaged, LinkStateChanged, Reserved>());
}  // namespace slot_status

namespace device_capabilities2 {  // PCIe 7.5.3.15, what a host needs
using AriForwarding = Field<5, 5>;
}  // namespace device_capabilities2

namespace device_control2 {  // PCIe 7.5.3.16
using CompletionTimeout = Field<3, 0>;
using CompletionTimeoutDisable = Field<4, 4>;
using AriForwarding = Field<5, 5>;
using AtomicRequester = Field<6, 6>;
using AtomicEgressBlocking = Field<7, 7>;
using IdoRequest = Field<8, 8>;
using IdoCompletion = Field<9, 9>;
using LtrEnable = Field<10, 10>;
using EmergencyPowerReduction = Field<11, 11>;
using TenBitTagRequester = Field<12, 12>;
using Obff = Field<14, 13>;
using EndToEndPrefixBlocking = Field<15, 15>;
static_assert(
    covers_exactly<16, CompletionTimeout, CompletionTimeoutDisable, AriForwarding, AtomicRequester,
                   AtomicEgressBlocking, IdoRequest, IdoCompletion, LtrEnable,
                   EmergencyPowerReduction, TenBitTagRequester, Obff, EndToEndPrefixBlocking>());
}  // namespace device_control2

/// After an FLR a function may need this long before it answers (PCIe 6.6.2).
inline constexpr std::uint64_t kFlrNs = 100'000'000;
/// With Configuration RRS the wait may last up to a second (PCIe 6.6.1).
inline constexpr std::uint64_t kReadyAfterResetNs = 1'000'000'000;

}  // namespace penstock::hw::pci::express
