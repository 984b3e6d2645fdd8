// What a guest's write asks of the outside world. core/vpci changes its own state and says here
// what must follow; it never touches stage-2 tables, interrupt routes or the hardware's command,
// BAR and interrupt registers itself.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/static_vector.hpp"

namespace penstock::vpci {

struct Effect {
  enum class Kind : std::uint8_t {
    /// bar, gpa: take the BAR out of stage 2 and invalidate, before anything else happens.
    kUnmapBar,
    /// bar, gpa: map VirtualFunction::mappable(bar) at gpa; the rest of the BAR traps.
    kMapBar,
    /// enable, count: MSI is on with `count` messages, or off. On: program all from vector().
    kMsiEnable,
    /// enable, masked, count: MSI-X is on (masked: with its function mask set), or off. On: program
    /// all from vector(); entries changed while it was off were not told.
    kMsixEnable,
    /// first, count, message: vector() answers anew, in its address or data if `message`, else in
    /// its mask alone.
    kVectorChanged,
    /// enable: the function may, or may no longer, master the bus.
    kBusMaster,
    /// offset, size, value: write this config register of the physical function, exactly so.
    kHardwareWrite,
    /// The guest began a function-level reset; the virtual state has been reset already.
    kFunctionReset,
    /// count: switch that many virtual functions on. Where that cannot be, or one of them does not
    /// come, say so by vfs_lost().
    kSriovEnable,
    /// Take the virtual functions back from whoever has them, then switch them off; before a reset
    /// of their physical function.
    kSriovDisable,
  };

  Kind kind = Kind::kUnmapBar;
  std::uint8_t bar = 0;  // index 0..5, or kRomIndex
  bool enable = false;
  bool masked = false;
  bool message = false;
  std::uint8_t size = 0;     // bytes: 1, 2 or 4
  std::uint16_t offset = 0;  // config space
  std::uint16_t first = 0;   // vector
  std::uint16_t count = 0;   // vectors, or virtual functions
  std::uint32_t value = 0;
  Gpa gpa{};  // where the BAR is (kMapBar) or was until now (kUnmapBar)
};

/// In the order in which they must be applied. Capacity: the worst single write is a function-level
/// reset (virtual functions, 6 BARs, one interrupt kind, bus mastering, the reset) that spans one
/// more register; a write of 8 bytes over eight one-byte registers of an extra capability gives 8.
using Effects = StaticVector<Effect, 16>;

}  // namespace penstock::vpci
