// What core/vpci is told about a function when it is assigned: the facts of the hardware, measured
// once (H29), and the owner's wishes about what the guest may see.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/base/address.hpp"
#include "core/hw/pci/config.hpp"
#include "core/port/config_space.hpp"

namespace penstock::vpci {

/// Interrupt vectors that a guest is shown per function at most: it bounds the shadow table and the
/// events that a function can use. There are drivers that insist on 128; a larger hardware table is
/// cut in what is shown.
inline constexpr unsigned kMaxVectors = 128;

/// Index of the expansion ROM where a BAR index is meant.
inline constexpr unsigned kRomIndex = hw::pci::kBarCount;

struct BarFacts {
  Hpa host{};              // where the physical BAR decodes
  std::uint64_t size = 0;  // bytes, a power of two; 0: absent
  bool io = false;         // I/O space: never shown
  bool is64 = false;       // takes the next register too, whose facts are empty
  bool prefetchable = false;
  Gpa guest{};  // address the register holds after reset, 0: the guest assigns one
};

/// What the owner of a physical function is shown of its SR-IOV capability (PCIe 9.3.3). Its
/// virtual functions are devices of their own, which it has only where they are given to it.
struct SriovFacts {
  std::uint16_t vfs = 0;  // at most that many can be switched on; 0: the capability stays hidden
  /// Of one VF: the guest sizes and places them, and nothing is ever mapped there. Absent ones save
  /// it the room: `host` and `guest` do not matter.
  std::array<BarFacts, hw::pci::kBarCount> bars{};
};

struct FunctionFacts {
  std::array<BarFacts, hw::pci::kBarCount> bars{};
  BarFacts rom{};                   // shown only with PolicyOptions::show_rom
  port::ConfigSpace* hw = nullptr;  // outlives the VirtualFunction
  /// A virtual function: its own IDs read all-ones (PCIe 9.3.4.1.1), so the guest is shown these.
  bool is_vf = false;
  std::uint16_t vendor = 0;  // of any function: some capabilities are shown by vendor
  std::uint16_t device = 0;
};

/// One register of an extra capability. A bit belongs to at most one mask; a bit in none reads 0
/// and keeps in hardware what it has there.
struct ExtraRegister {
  std::uint16_t offset = 0;  // from the capability
  std::uint8_t width = 4;    // bytes: 1, 2, 4; offset is a multiple of it
  std::uint32_t ro = 0;      // as it was at assignment
  std::uint32_t live = 0;    // read from hardware each time
  std::uint32_t hw_rw = 0;   // live, and the guest's writes reach the hardware
  std::uint32_t hw_w1c = 0;  // live, and the guest may clear it by writing 1
  std::uint32_t rsvdz = 0;   // reads 0, written 0 to hardware: reserved, or W1C and not the guest's
};

/// A capability that this device's owner wants shown beside the built-in list (S3.34). Every
/// instance in the list is.
struct ExtraCapability {
  std::uint16_t id = 0;  // CapabilityId or ExtendedId
  bool extended = false;
  std::uint16_t length = 0;  // bytes, header included
  std::span<const ExtraRegister>
      registers{};  // what none of them names: read-only as at assignment
};

struct CapabilityName {
  std::uint16_t id = 0;
  bool extended = false;
};

/// A range of a memory BAR through which the device shows its own config space (H16, S3.37):
/// trapped, and answered from the virtual one. Offset and size in bytes, multiples of 8; size at
/// most 4096.
struct BarMirror {
  std::uint8_t bar = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};
inline constexpr unsigned kMaxMirrors = 4;

/// Where in the guest's address space BARs may be mapped. A BAR anywhere else is not mapped: the
/// guest cannot lay a device over its RAM, its interrupt controller or another window.
struct Window {
  Gpa base{};
  std::uint64_t size = 0;
};

/// What a register that the policy does not show reads as, from offset 0x40 on (reserved header
/// bytes are always 0). Zero is the default: Linux, EDK2 and U-Boot take a zero extended header as
/// "no extended capabilities", and a driver that pokes at vendor registers sees cleared bits rather
/// than a register that looks like a dead link. Absent *functions* always read all-ones, as
/// PCIe 2.3.2 asks.
enum class HiddenReads : std::uint8_t { kZero, kAllOnes };

/// S3.14. kVirtual: the guest moves BARs in its own address space. kFixed: they stay at
/// BarFacts::guest, and writing all-ones only shows the size. The physical BAR is written in
/// neither case.
enum class BarPolicy : std::uint8_t { kVirtual, kFixed };

struct PolicyOptions {
  HiddenReads hidden = HiddenReads::kZero;
  BarPolicy bars = BarPolicy::kVirtual;
  std::array<Window, 2> windows{};     // empty ones allow nothing
  unsigned max_vectors = kMaxVectors;  // at most kMaxVectors; 0 hides MSI and MSI-X
  bool multi_function = false;         // header bit 7: other functions share this device number
  bool show_rom = false;
  /// The guest finds the function directly on its root bus, where PCIe 7.5.3.2 knows only
  /// root-complex integrated endpoints: say so and show no link. False once a virtual root port
  /// stands above it.
  bool integrated_endpoint = true;
  /// For the hardware domain (S3.10): registers that the policy does not know are read and written
  /// as they are in hardware. What it does know stays virtual, what it never shows stays hidden,
  /// from its header to where the next capability begins. Ignored where the capability lists are
  /// broken, because then nobody knows where that is.
  bool full_access = false;
  /// Shown to the owner of a physical function that stands in a slot of its own (not
  /// integrated_endpoint: its VFs' places could be others'). Null: hidden. Read during init only.
  const SriovFacts* sriov = nullptr;
  std::span<const ExtraCapability> extra{};  // read during init only, like the next two
  std::span<const CapabilityName> deny{};    // wins over `extra` and over the built-in list (S3.33)
  std::span<const BarMirror> mirrors{};
};

}  // namespace penstock::vpci
