// Why an operation was refused or failed, for the person or program that must react.
//
// Every refusal inside the hypervisor is one of these codes plus one number that helps to find the
// cause (an address, an offset, an index: the text of the code says which). The caller that knows
// the domain and the device adds their names when it logs. What a *guest* observes (an abort,
// all-ones, an ignored command) is never an Error: emulation answers as the architecture says and
// counts the event.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock {

enum class Code : std::uint16_t {
  // Values are stable: they appear in traces and reports.
  kOk = 0,
  // exhaustion
  kNoMemory = 1,   // arg: bytes asked for
  kTableFull = 2,  // arg: capacity
  // arguments
  kMisaligned = 10,     // arg: the value
  kOutOfRange = 11,     // arg: the value
  kOverlap = 12,        // arg: address
  kNotMapped = 13,      // arg: address
  kAlreadyExists = 14,  // arg: id
  kNotFound = 15,       // arg: id
  kNotOwner = 16,       // arg: id
  kBadState = 17,       // arg: state
  kBusy = 18,           // nothing was done: another CPU is at it; try again
  // hardware
  kTimeout = 20,        // arg: register offset waited on
  kHardwareError = 21,  // arg: error register
  kUnsupported = 22,    // arg: feature register
  kNoReset = 23,        // arg: BDF
  kNoIsolation = 24,    // arg: BDF
  // descriptions
  kBadManifest = 30,    // arg: offset in the tree
  kBadDeviceTree = 31,  // arg: offset in the tree
  kBadChecksum = 32,    // arg: found
  kBadVersion = 33,     // arg: found
};

struct Error {
  Code code = Code::kOk;
  std::uint64_t arg = 0;
  friend constexpr bool operator==(const Error&, const Error&) = default;
};

/// One short English phrase for the code, without a final period. Never null, never allocates.
[[nodiscard]] std::string_view describe(Code code);

}  // namespace penstock
