// The configuration as the hypervisor receives it: domains, what each owns, and where its payloads
// lie in the bundle.
//
// The host tool has checked all of this before; the hypervisor does not rely on it and parse()
// validates again. What only the board can tell (is there such a CPU, such memory, an IOMMU) is
// judge()'s, per domain, so that one wrong domain does not keep the others from starting. Whether a
// device exists and can be reset is found out by core/pci at assignment.
//
// The same reader serves domains that a control domain makes later (judge_created()): it works on a
// copy that nobody else can write, and its work is bounded by the limits below, whatever the bundle
// says. Single-threaded; nothing here allocates. Texts are views into the bundle, which stays where
// it is as long as the domain does.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/base/text.hpp"
#include "core/manifest/board.hpp"

namespace penstock::manifest {

inline constexpr std::size_t kMaxDomains = 8;
inline constexpr std::size_t kMaxCpusPerDomain = 8;
inline constexpr std::size_t kMaxDevicesPerDomain = 32;
inline constexpr std::size_t kMaxExtraCapabilities = 16;   // of all devices together
inline constexpr std::size_t kMaxCapabilityRegisters = 4;  // of one: those with rules of their own
inline constexpr std::size_t kMaxDenied = 8;               // of one device
inline constexpr std::size_t kMaxDeniedAltogether = 32;    // of all devices together
inline constexpr std::size_t kMaxHidden = 32;
inline constexpr unsigned kMaxSlots = 15;         // root ports of a domain's guest, one slot each
inline constexpr unsigned kMaxInterrupts = 8192;  // message interrupts of all domains together
inline constexpr std::size_t kMaxName = 31;
inline constexpr std::size_t kMaxCommandLine = 1024;
inline constexpr std::uint64_t kMemoryGranule = 2 * kMiB;
inline constexpr std::uint64_t kMaxMemory =
    255 * kGiB;  // guest RAM ends below the virtual ECAM window
inline constexpr std::uint64_t kMaxAddress = std::uint64_t{1} << 48;
inline constexpr unsigned kMaxCpuNumber = 255;

/// A payload in the bundle: bytes [offset, offset + size) from the bundle's start. size 0: there is
/// none.
struct Blob {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint32_t first_page_crc = 0;
  std::uint32_t last_page_crc = 0;
  std::uint32_t crc = 0;  // of the whole payload; not checked at boot (bundle.hpp)
};

/// One 32-bit register of an extra capability that is more than a read-only copy.
struct CapabilityRegister {
  std::uint16_t offset = 0;  // bytes from the capability's start, multiple of 4
  // Masks of bits; what is in none of them is a copy made at assignment.
  std::uint32_t live = 0;   // read from the hardware each time; what may be written always is
  std::uint32_t write = 0;  // that a guest may write through to the device
  std::uint32_t w1c = 0;    // of these, bits that a written 1 clears: never written back as read
};

/// A capability beyond the built-in allow-list that one device may show. Registers not named are a
/// read-only copy.
struct ExtraCapability {
  std::uint16_t id = 0;
  bool extended = false;     // in the list that starts at 0x100
  std::uint16_t length = 0;  // bytes with the header, multiple of 4
  StaticVector<CapabilityRegister, kMaxCapabilityRegisters> registers;
};

/// A capability that one device does not show, whoever would allow it: the built-in list, an extra
/// capability, or full access (S3.33).
struct DeniedCapability {
  std::uint16_t id = 0;
  bool extended = false;
};

struct DeviceConfig {
  HostBdf host;
  GuestBdf guest;  // bus 0 of the domain, never 00:00.0, or function 0 in slot bus - 1
  bool accept_no_reset = false;
  bool accept_insecure = false;  // no IOMMU, shared isolation group, doorbell without sender check
  bool scratch = false;          // in quarantine it sees a page of its own instead of aborts
  std::uint8_t first_capability = 0;  // in Manifest::capabilities; see Manifest::capabilities_of()
  std::uint8_t capability_count = 0;
  std::uint8_t first_denied = 0;  // in Manifest::denied; see Manifest::denied_of()
  std::uint8_t denied_count = 0;
};

enum class AfterStop : std::uint8_t { kStop, kRestart };

/// The IOMMU that a domain's guest sees, to isolate its own devices from each other.
enum class IommuKind : std::uint8_t { kNone, kSmmuv3 };

/// Where a raw image may lie, from the start of RAM: behind the guest's device tree, on a page.
inline constexpr std::uint64_t kMinKernelOffset = 64 * kKiB;
[[nodiscard]] constexpr bool is_kernel_offset(std::uint64_t offset) {
  return offset >= kMinKernelOffset && offset % kPageSize == 0;
}

/// May be kept when the manifest is gone, but for what capabilities_of() and denied_of() say of its
/// devices; `cmdline` needs the bundle.
struct DomainConfig {
  std::array<char, kMaxName + 1> name{};           // zero-terminated; letters, digits, '-', '_'
  StaticVector<CpuIndex, kMaxCpusPerDomain> cpus;  // physical; the n-th is virtual CPU n
  std::uint64_t memory_bytes = 0;                  // multiple of 2 MiB
  std::optional<Hpa> memory_base;                  // absent: the hypervisor chooses
  Blob kernel;                                     // an arm64 Image, or a raw image
  std::optional<std::uint64_t> kernel_offset;      // of a raw image, from the start of RAM
  Blob initrd;                                     // size 0: none
  std::string_view cmdline;                        // printable ASCII, up to kMaxCommandLine bytes
  StaticVector<DeviceConfig, kMaxDevicesPerDomain> devices;
  bool autostart = true;  // of a domain that is made later: start it at once
  AfterStop on_reboot = AfterStop::kRestart;
  AfterStop on_crash = AfterStop::kStop;
  IommuKind iommu = IommuKind::kNone;
  bool control = false;          // has the control interface; one domain of a board at most
  bool hardware = false;         // gets the devices that nobody else was given; one at most
  std::uint8_t slots = 0;        // root ports, for devices that come and go
  std::uint16_t interrupts = 0;  // that all its devices may have; 0: as many as they need

  [[nodiscard]] std::string_view name_view() const { return {name.data()}; }
  [[nodiscard]] std::string_view cmdline_view() const { return cmdline; }
};

struct Manifest {
  std::string_view board;  // the board that the host tool checked against; for messages
  StaticVector<DomainConfig, kMaxDomains> domains;
  StaticVector<ExtraCapability, kMaxExtraCapabilities> capabilities;
  StaticVector<DeniedCapability, kMaxDeniedAltogether> denied;
  StaticVector<HostBdf, kMaxHidden> hidden;  // nobody's, and nobody is told of them

  /// The extra capabilities of one device of this manifest (S3.34).
  [[nodiscard]] std::span<const ExtraCapability> capabilities_of(const DeviceConfig& device) const {
    return {capabilities.begin() + device.first_capability, device.capability_count};
  }
  /// What it does not show although it could (S3.33); at most kMaxDenied.
  [[nodiscard]] std::span<const DeniedCapability> denied_of(const DeviceConfig& device) const {
    return {denied.begin() + device.first_denied, device.denied_count};
  }
};
static_assert(sizeof(Manifest) < 8 * kKiB);

/// What is wrong, for a person: `text` is a whole clause that says what to change, `value` the
/// number it is about.
struct Problem {
  Code code = Code::kOk;
  std::optional<DomainId> domain;
  std::string_view text;
  std::uint64_t value = 0;
};

/// Reads and validates `bundle` (bundle.hpp), which must start 8-byte aligned and may be longer
/// than the bundle says. Offsets in `manifest` count from bundle.data(). On an error `manifest` is
/// unspecified and `problem` says what is wrong: kMisaligned, kBadVersion, kBadChecksum,
/// kBadManifest, kOverlap, kAlreadyExists, kOutOfRange, kTableFull. `manifest` (about 7 KiB)
/// belongs into static storage rather than on a boot stack.
Status parse(std::span<const std::uint8_t> bundle, Manifest& manifest, Problem& problem);

/// Can `board` run this domain? Checks CPUs, fixed memory, that a domain with devices has a host
/// bridge, and an IOMMU and an ITS unless the configuration accepts for each of the devices that
/// there is none (H7, S0.22), and that a domain with an IOMMU of its own has the board's behind it,
/// whatever is accepted. Whether the board's can nest is its driver's to say. kNotFound,
/// kOutOfRange, kUnsupported, kNoIsolation.
Status judge(const Manifest& manifest, DomainId domain, const Board& board, Problem& problem);

/// May a control domain make these domains while the board runs? Control and hardware domain and
/// what is hidden are the boot's. kBadManifest. judge() has its say besides.
Status judge_created(const Manifest& manifest, Problem& problem);

/// Writes "domain net: memory must be a multiple of 2 MiB (0x100000)".
void describe(const Problem& problem, const Manifest& manifest, TextWriter& out);

}  // namespace penstock::manifest
