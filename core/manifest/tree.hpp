// Names of nodes and properties of the manifest's tree, shared by the reader (manifest.cpp) and the
// host tool's writer.
//
//     / {
//       compatible = "penstock,manifest";
//       version = <1>;
//       board = "qemu-virt-gicv3-smmuv3";
//       hidden = <0x0300>;                           // optional; routing IDs
//       domain-0 {
//         name = "store";
//         cpus = <0 1>;
//         memory = /bits/ 64 <0x20000000>;
//         memory-base = /bits/ 64 <0x80000000>;      // optional
//         kernel = <offset-high offset-low size-high size-low first-crc last-crc crc>;
//         kernel-offset = /bits/ 64 <0x80000>;       // of a raw image, and only of one
//         initrd = <the same>;                       // optional
//         bootargs = "console=ttyAMA0";              // optional
//         autostart = <1>; on-reboot = "restart"; on-crash = "stop";
//         control; hardware;                         // present or not
//         slots = <4>;                               // optional
//         device-0 {
//           host = <0x0100>; guest = <0x0008>;       // routing IDs
//           accept-no-reset; accept-no-isolation;    // present or not
//           scratch;                                 // present or not: its quarantine
//           deny = <id extended ...>;                // optional
//           capability-0 { id = <0x09>; extended; length = <16>; registers = <offset live write w1c
//           ...>; };
//         };
//       };
//     };
//
// Cells are big-endian 32-bit numbers as in every flattened device tree.
#pragma once

#include <cstdint>

namespace penstock::manifest::tree {

inline constexpr std::uint32_t kVersionNumber = 1;
inline constexpr const char* kCompatibleValue = "penstock,manifest";
inline constexpr const char* kCompatible = "compatible";
inline constexpr const char* kVersion = "version";
inline constexpr const char* kBoard = "board";
inline constexpr const char* kHidden = "hidden";
inline constexpr const char* kDomain = "domain-";  // followed by the index
inline constexpr const char* kName = "name";
inline constexpr const char* kCpus = "cpus";
inline constexpr const char* kMemory = "memory";
inline constexpr const char* kMemoryBase = "memory-base";
inline constexpr const char* kKernel = "kernel";
inline constexpr const char* kKernelOffset = "kernel-offset";
inline constexpr const char* kInitrd = "initrd";
inline constexpr const char* kBootargs = "bootargs";
inline constexpr const char* kAutostart = "autostart";
inline constexpr const char* kOnReboot = "on-reboot";
inline constexpr const char* kOnCrash = "on-crash";
inline constexpr const char* kIommu = "iommu";
inline constexpr const char* kIommuNone = "none";
inline constexpr const char* kIommuSmmuv3 = "smmuv3";
inline constexpr const char* kControl = "control";
inline constexpr const char* kHardware = "hardware";
inline constexpr const char* kSlots = "slots";
inline constexpr const char* kInterrupts = "interrupts";
inline constexpr const char* kRestart = "restart";
inline constexpr const char* kStop = "stop";
inline constexpr const char* kDevice = "device-";
inline constexpr const char* kHost = "host";
inline constexpr const char* kGuest = "guest";
inline constexpr const char* kAcceptNoReset = "accept-no-reset";
inline constexpr const char* kAcceptNoIsolation = "accept-no-isolation";
inline constexpr const char* kScratch = "scratch";
inline constexpr const char* kDeny = "deny";
inline constexpr const char* kCapability = "capability-";
inline constexpr const char* kId = "id";
inline constexpr const char* kExtended = "extended";
inline constexpr const char* kLength = "length";
inline constexpr const char* kRegisters = "registers";

inline constexpr unsigned kBlobCells = 7;
inline constexpr unsigned kRegisterCells = 4;
inline constexpr unsigned kDenyCells = 2;

}  // namespace penstock::manifest::tree
