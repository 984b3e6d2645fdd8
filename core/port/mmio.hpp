// A window of device registers. Hardware, the simulated board and tracing wrappers implement it.
#pragma once

#include <cstdint>

namespace penstock::port {

/// Accesses have exactly the width named, are naturally aligned, little-endian, and are performed
/// in program order with respect to one another (device-nGnRE). `offset` is in bytes from the start
/// of the window; the caller keeps offset + width inside it. May be called from any context.
class Mmio {
 public:
  virtual std::uint8_t read8(std::uint64_t offset) = 0;
  virtual std::uint16_t read16(std::uint64_t offset) = 0;
  virtual std::uint32_t read32(std::uint64_t offset) = 0;
  virtual std::uint64_t read64(std::uint64_t offset) = 0;
  virtual void write8(std::uint64_t offset, std::uint8_t value) = 0;
  virtual void write16(std::uint64_t offset, std::uint16_t value) = 0;
  virtual void write32(std::uint64_t offset, std::uint32_t value) = 0;
  virtual void write64(std::uint64_t offset, std::uint64_t value) = 0;

 protected:
  ~Mmio() = default;
};

}  // namespace penstock::port
