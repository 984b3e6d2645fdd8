// The configuration space of one physical PCI function.
#pragma once

#include <cstdint>

namespace penstock::port {

/// 4096 bytes of registers, little-endian. A conventional function answers all-ones beyond byte
/// 255, an absent one everywhere. Accesses have exactly the width named and are performed in
/// program order. Any context; implementations that need an index register take their own lock.
class ConfigSpace {
 public:
  /// The register at `offset`. `size` is 1, 2 or 4 bytes; `offset` is a multiple of `size` and
  /// below 4096.
  virtual std::uint32_t read(unsigned offset, unsigned size) = 0;
  /// Writes the low `size` bytes of `value`; same conditions. Only the bytes named are enabled on
  /// the bus.
  virtual void write(unsigned offset, unsigned size, std::uint32_t value) = 0;

 protected:
  ~ConfigSpace() = default;
};

}  // namespace penstock::port
