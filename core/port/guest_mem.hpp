// A domain's RAM as its emulated devices may touch it: by copy only, so nothing can change between
// check and use (H50).
#pragma once

#include <cstdint>
#include <span>

#include "core/base/address.hpp"
#include "core/base/result.hpp"

namespace penstock::port {

class GuestMem {
 public:
  /// Copies out of the domain's RAM. kNotMapped (arg: the Gpa) unless the whole range is RAM of
  /// that domain.
  virtual Status read(Gpa from, std::span<std::uint8_t> to) = 0;
  /// Copies into the domain's RAM, same conditions; nothing is written on an error.
  virtual Status write(Gpa to, std::span<const std::uint8_t> from) = 0;
  /// One single-copy atomic store of four bytes after everything written before, as a device's
  /// message is. kMisaligned (arg: the Gpa); kNotMapped as above.
  virtual Status store32(Gpa to, std::uint32_t value) = 0;

 protected:
  ~GuestMem() = default;
};

}  // namespace penstock::port
