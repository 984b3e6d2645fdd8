#include "core/base/error.hpp"

namespace penstock {

std::string_view describe(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kNoMemory: return "out of memory set aside for this purpose";
    case Code::kTableFull: return "table is full";
    case Code::kMisaligned: return "misaligned value";
    case Code::kOutOfRange: return "value out of range";
    case Code::kOverlap: return "overlaps what is there already";
    case Code::kNotMapped: return "nothing is mapped there";
    case Code::kAlreadyExists: return "exists already";
    case Code::kNotFound: return "not found";
    case Code::kNotOwner: return "belongs to somebody else";
    case Code::kBadState: return "not possible in the present state";
    case Code::kBusy: return "another CPU is at it";
    case Code::kTimeout: return "hardware did not answer in time";
    case Code::kHardwareError: return "hardware reports an error";
    case Code::kUnsupported: return "hardware lacks a feature that is needed";
    case Code::kNoReset: return "device cannot be reset";
    case Code::kNoIsolation: return "device cannot be isolated";
    case Code::kBadManifest: return "configuration in the bundle is wrong";
    case Code::kBadDeviceTree: return "device tree is wrong";
    case Code::kBadChecksum: return "checksum does not match";
    case Code::kBadVersion: return "version is not known";
  }
  return "unknown error";
}

}  // namespace penstock
