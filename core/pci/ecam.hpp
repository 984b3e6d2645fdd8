// Config space of the board's functions through the enhanced configuration access mechanism
// (PCIe 7.2.2). No state but the window; naturally aligned accesses of one CPU are atomic, so no
// lock is needed here.
#pragma once

#include <cstdint>

#include "core/base/ids.hpp"
#include "core/port/config_space.hpp"
#include "core/port/mmio.hpp"

namespace penstock::pci {

class Ecam;

/// One function's 4096 bytes; a value that names a place in the window.
class EcamFunction final : public port::ConfigSpace {
 public:
  EcamFunction() = default;
  EcamFunction(port::Mmio* window, std::uint64_t base) : window_(window), base_(base) {}
  /// All-ones for a function outside the bridge's buses or a misaligned access; neither touches the
  /// hardware.
  std::uint32_t read(unsigned offset, unsigned size) override;
  void write(unsigned offset, unsigned size, std::uint32_t value) override;

 private:
  port::Mmio* window_ = nullptr;
  std::uint64_t base_ = 0;
};

class Ecam {
 public:
  /// `window` of `bytes` begins with bus `first`; buses beyond it do not exist. The window outlives
  /// the object.
  void init(port::Mmio& window, std::uint64_t bytes, unsigned first, unsigned last);
  [[nodiscard]] EcamFunction function(HostBdf bdf);
  [[nodiscard]] unsigned first_bus() const { return first_; }
  [[nodiscard]] unsigned last_bus() const { return last_; }

 private:
  port::Mmio* window_ = nullptr;
  unsigned first_ = 0;
  unsigned last_ = 0;
};

}  // namespace penstock::pci
