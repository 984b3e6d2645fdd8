// A function on a guest's bus that has no hardware: Penstock itself answers.
#pragma once

#include <cstdint>
#include <optional>

#include "core/mem/stage2_table.hpp"
#include "core/vpci/function.hpp"

namespace penstock::assign {

/// Called under the lock of the domain's DeviceSet; must not call back into it.
class BuiltIn {
 public:
  /// Its config space; outlives its stay on the bus.
  virtual vpci::VirtualFunction& view() = 0;
  /// An access of 1..8 bytes at any offset of a BAR that the guest has mapped and that traps.
  virtual std::uint64_t bar_read(unsigned bar, std::uint64_t offset, unsigned size) = 0;
  virtual void bar_write(unsigned bar, std::uint64_t offset, unsigned size,
                         std::uint64_t value) = 0;
  /// What a write to the config space asks for.
  virtual void apply(const vpci::Effects& effects) = 0;
  /// Something has left the guest's address space: what could not be mapped there now can.
  virtual void fill_gap() = 0;
  /// The domain stopped: as after power-on.
  virtual void reset() = 0;
  /// The memory that it shows the guest, and where; nothing while the guest has not mapped it.
  [[nodiscard]] virtual std::optional<mem::Stage2Mapping> shared() const = 0;

 protected:
  ~BuiltIn() = default;
};

}  // namespace penstock::assign
