// The control interface as its user sees it: a PCI function with registers in BAR 0 and a window of
// memory in BAR 2. Both sides compile this file; nothing in it changes its meaning without a new
// version.
//
// How a request is made: write it to the window (kRequestOffset, RequestHeader and its arguments),
// write its sequence number to kDoorbell, wait until kFinished reads that number, read the response
// (kResponseOffset, ResponseHeader and its results). One request at a time; a response that carries
// another sequence number is somebody else's: make the request again. All numbers are
// little-endian, structures have no padding, reserved fields are written as 0 and ignored when
// read.
#pragma once

#include <cstdint>

namespace penstock::control {

// Not a number that the PCI-SIG has given out: a user finds the function by these and checks
// kMagic.
inline constexpr std::uint16_t kVendorId = 0x5053;
inline constexpr std::uint16_t kDeviceId = 0x0001;
inline constexpr std::uint32_t kClassCode = 0xff'0000;  // no class of its own

// BAR 0: registers of 32 bits, 4 KiB. An access of another width or place reads 0 and writes
// nothing.
inline constexpr unsigned kRegisterBar = 0;
inline constexpr std::uint64_t kRegisterBytes = 4096;
inline constexpr std::uint64_t kMagic = 0x00;  // RO: kMagicValue
inline constexpr std::uint64_t kVersion =
    0x04;  // RO: major << 16 | minor; another major: do not go on
inline constexpr std::uint64_t kDoorbell = 0x08;  // WO: the sequence number (not 0) of the request
inline constexpr std::uint64_t kFinished =
    0x0c;  // RO: sequence number of the newest response, 0: none
inline constexpr std::uint32_t kMagicValue = 0x5453'4e50;  // "PNST"
inline constexpr std::uint32_t kVersionValue = 0x0001'0001;

// BAR 2: memory, shared with the hypervisor, 64-bit prefetchable.
inline constexpr unsigned kWindowBar = 2;
inline constexpr std::uint64_t kWindowBytes = 2 * 1024 * 1024;
inline constexpr std::uint64_t kRequestOffset = 0;
inline constexpr std::uint64_t kRequestBytes = 4096;  // at most, header included
inline constexpr std::uint64_t kResponseOffset = 0x1'0000;
inline constexpr std::uint64_t kResponseBytes = 0x1'0000;  // at most, header included
inline constexpr std::uint64_t kDataOffset = 0x2'0000;     // what kBundleWrite copies from
inline constexpr std::uint64_t kDataBytes = kWindowBytes - kDataOffset;

enum class Opcode : std::uint32_t {
  kHello = 0,        // -> HelloResult
  kListDomains = 1,  // -> ListResult, DomainRecord[]
  kListDevices = 2,  // -> ListResult, DeviceRecord[]
  kCounters = 3,     // DomainArgument -> ListResult, CounterRecord[]
  kBundleBegin = 4,  // BundleArgument (bytes) -> BundleResult
  kBundleWrite = 5,  // BundleArgument (handle, offset, bytes): from the data area
  kBundleDrop = 6,   // BundleArgument (handle)
  kCreate = 7,    // BundleArgument (handle; the bundle is the domains' from now on) -> CreateResult
  kStart = 8,     // DomainArgument: a domain that is off, or was created
  kPause = 9,     // DomainArgument
  kUnpause = 10,  // DomainArgument
  kShutdown = 11,      // DomainArgument: presses the guest's power button; it may take its time
  kDestroy = 12,       // DomainArgument: begins; the domain is gone when it is not listed any more
  kAttach = 13,        // DeviceArgument -> AttachResult
  kDetach = 14,        // DeviceArgument: begins; done when the device's state is kFree or kBroken
  kReset = 15,         // DeviceArgument: a device that is nobody's
  kHide = 16,          // DeviceArgument: a device that is nobody's
  kUnhide = 17,        // DeviceArgument
  kConsoleRead = 18,   // ConsoleArgument -> ConsoleResult, bytes of text
  kConsoleWrite = 19,  // ConsoleArgument, bytes of text
  kLog = 20,           // ConsoleArgument (domain ignored) -> ConsoleResult, bytes of text
  kAudit = 21,         // -> text: the JSON object of the console's "@ audit" line
  kReport = 22,        // -> text: a JSON object, the security statement of every device
};
inline constexpr std::uint32_t kOpcodeCount = 23;

enum class Result : std::uint32_t {
  kOk = 0,
  kUnknownOpcode = 1,
  kBadRequest = 2,  // sizes or reserved values that contradict the operation
  kNotFound = 3,    // no such domain, device, bundle
  kBadState = 4,    // the domain or device is not in the state that the operation needs
  kBusy = 5,        // it will be, later
  kNoMemory = 6,
  kNotOwner = 7,  // the device is somebody else's
  kRefused = 8,   // policy or the board forbids it; the text says what
  kFailed = 9,    // tried, and the hardware did not do it
};

struct RequestHeader {
  std::uint32_t sequence;
  Opcode opcode;
  std::uint32_t bytes;  // with this header
  std::uint32_t reserved;
};

/// After an error the results are a text: one line for a person that names domain, device and
/// reason.
struct ResponseHeader {
  std::uint32_t sequence;
  Result result;
  std::uint32_t bytes;  // with this header
  std::uint32_t reserved;
};

/// Names a domain that lived once and no other: slot (low 8 bits) and how often the slot was used.
using DomainHandle = std::uint32_t;
inline constexpr DomainHandle kNoDomain = 0xffff'ffff;
inline constexpr std::uint16_t kNoBdf = 0xffff;

struct HelloResult {
  std::uint32_t version;
  std::uint32_t cpus;
  std::uint64_t memory_bytes;       // for domains, on this board
  std::uint64_t memory_free_bytes;  // of it
  std::uint64_t pool_bytes;         // the hypervisor's own
  std::uint64_t pool_used_bytes;
  std::uint64_t now_ns;  // since an arbitrary moment before the first domain
  DomainHandle self;     // the caller
  std::uint32_t max_domains;
};

struct ListResult {
  std::uint32_t count;
  std::uint32_t record_bytes;  // of each; a newer version may have longer ones
};

enum class DomainState : std::uint32_t {
  kOff = 0,  // built, not running: before its first start, or powered off
  kRunning = 1,
  kPaused = 2,
  kStopping = 3,  // on its way to off, to a restart, or to nothing
  kCrashed = 4,   // off, because of something that it did
  kDying = 5,     // being destroyed
};

namespace domain_flag {
inline constexpr std::uint32_t kControl = 1;   // has this interface
inline constexpr std::uint32_t kHardware = 2;  // has the devices that nobody else was given
inline constexpr std::uint32_t kIommu = 4;     // its guest has an IOMMU of its own
}  // namespace domain_flag

struct DomainRecord {
  DomainHandle domain;
  DomainState state;
  std::uint32_t flags;  // domain_flag
  std::uint32_t vcpus;
  std::uint64_t memory_bytes;
  std::uint64_t cpus;  // physical, one bit each
  std::uint32_t restarts;
  std::uint32_t devices;
  std::uint64_t exits;       // traps of all vCPUs
  std::uint64_t interrupts;  // messages of its devices
  std::uint64_t faults;      // accesses of its devices that the IOMMU stopped
  std::uint64_t own_bytes;   // hypervisor memory in use for it
  char name[32];             // zero-terminated
};
static_assert(sizeof(DomainRecord) == 104);

enum class DeviceState : std::uint32_t {
  kFree = 0,  // quarantined, nobody's
  kAssigned = 1,
  kDetaching = 2,  // its guest was asked to let go
  kHidden = 3,     // quarantined, and nobody is told of it
  kBroken = 4,     // quarantined for good: it did not come back from its reset
};

namespace device_flag {
inline constexpr std::uint32_t kVirtualFunction = 1;   // SR-IOV; `physical` is its PF
inline constexpr std::uint32_t kPhysicalFunction = 2;  // has an SR-IOV capability
inline constexpr std::uint32_t kBridge = 4;            // never assigned
}  // namespace device_flag

struct DeviceRecord {
  std::uint16_t bdf;    // on the board
  std::uint16_t guest;  // in its domain, kNoBdf: in none
  DeviceState state;
  DomainHandle domain;  // kNoDomain: nobody's
  std::uint32_t flags;  // device_flag
  std::uint16_t vendor;
  std::uint16_t device;
  std::uint32_t class_code;
  std::uint16_t group;     // isolation group: devices with the same number belong together
  std::uint16_t physical;  // the PF of a VF, else kNoBdf
  std::uint32_t risks;     // one bit for each of the statement's lines, in its order
  std::uint64_t interrupts;
  std::uint64_t faults;
  std::uint64_t strays;  // forged messages
  char reset[16];        // method that its next reset uses, "none" without one; zero-terminated
};
static_assert(sizeof(DeviceRecord) == 72);

struct CounterRecord {
  char name[24];  // zero-terminated
  std::uint64_t value;
};
static_assert(sizeof(CounterRecord) == 32);

struct DomainArgument {
  DomainHandle domain;
  std::uint32_t reserved;
};

/// A bundle as `penstock build` makes it (manifest/bundle.hpp), with the domains to create and
/// their payloads; no image before it.
struct BundleArgument {
  std::uint32_t handle;
  std::uint32_t reserved;
  std::uint64_t offset;  // in the bundle
  std::uint64_t bytes;
};
struct BundleResult {
  std::uint32_t handle;
  std::uint32_t reserved;
};

struct CreateResult {
  std::uint32_t count;
  DomainHandle domains[8];
};

namespace device_argument {
inline constexpr std::uint32_t kForce = 1;          // detach: do not ask the guest
inline constexpr std::uint32_t kAcceptNoReset = 2;  // attach: as `accept` in the configuration
inline constexpr std::uint32_t kAcceptInsecure = 4;
inline constexpr std::uint32_t kAll = 7;
inline constexpr std::uint32_t kMethod = 0xf00;  // reset: ResetMethod, since version 1.1
inline constexpr unsigned kMethodShift = 8;
}  // namespace device_argument

/// That method or none.
enum class ResetMethod : std::uint32_t {
  kAny = 0,       // the device's own order
  kFlr = 1,       // PCI Express function-level reset
  kAdvanced = 2,  // the same for conventional PCI
  kPower = 3,     // D3hot to D0
  kBus = 4,       // of everything behind the bridge
  kSpecific = 5,  // what is known of this device alone
};
inline constexpr std::uint32_t kResetMethodCount = 6;

struct DeviceArgument {
  DomainHandle domain;  // attach: to whom; else reserved
  std::uint16_t bdf;
  std::uint16_t guest;  // attach: where; kNoBdf: a free slot
  std::uint32_t flags;  // device_argument
  std::uint32_t reserved;
};
struct AttachResult {
  std::uint16_t guest;
  std::uint16_t reserved;
};

/// A console is a stream of bytes from position 0; the hypervisor keeps the newest.
struct ConsoleArgument {
  DomainHandle domain;
  std::uint32_t bytes;     // write: of text behind this structure, at most 256
  std::uint64_t position;  // read: the first byte wanted
};
struct ConsoleResult {
  std::uint64_t position;  // of the first byte that follows: later than wanted when those are gone
  std::uint64_t end;       // of the stream, for now
};

}  // namespace penstock::control
