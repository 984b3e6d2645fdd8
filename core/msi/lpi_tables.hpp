// The memory that redistributors need for LPIs (Arm IHI 0069 H, 5.1): one configuration table for
// all, one pending table per CPU. Configuration bytes are ours to write; pending tables belong to
// the hardware once it has them.
//
// No lock of its own: init() and prepare() run at boot, one CPU at a time; configure() is called by
// Its under its lock.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/mem/page_pool.hpp"
#include "core/msi/limits.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::msi {

class LpiTables {
 public:
  /// Takes the configuration table from `pool`, every LPI disabled. kNoMemory; kBadState when
  /// called twice. Boot only.
  Status init(mem::PagePool& pool, port::PhysMem& memory);

  /// Makes sure that `cpu` has a zeroed pending table. kOutOfRange (arg: cpu), kNoMemory, kBadState
  /// before init().
  Status prepare(CpuIndex cpu);

  /// Values for GICR_PROPBASER and, after prepare(cpu), GICR_PENDBASER: inner shareable,
  /// write-back.
  [[nodiscard]] std::uint64_t propbaser() const;
  [[nodiscard]] std::uint64_t pendbaser(CpuIndex cpu) const;

  /// Writes the configuration byte of `lpi` (contains(lpi)); redistributors follow only after INV
  /// or INVALL.
  void configure(HostLpi lpi, bool enabled, std::uint8_t priority);
  /// The configuration byte as it stands in memory.
  [[nodiscard]] bool enabled(HostLpi lpi) const;
  [[nodiscard]] std::uint8_t priority(HostLpi lpi) const;
  [[nodiscard]] static constexpr bool contains(HostLpi lpi) {
    return lpi.value() >= kFirstLpi && lpi.value() - kFirstLpi < kLpiCount;
  }

 private:
  [[nodiscard]] std::byte* byte_of(HostLpi lpi) const;

  mem::PagePool* pool_ = nullptr;
  port::PhysMem* memory_ = nullptr;
  Hpa configuration_;
  std::array<Hpa, kMaxCpus> pending_{};
  std::uint64_t prepared_ = 0;  // bit n: CPU n has its table
};

}  // namespace penstock::msi
