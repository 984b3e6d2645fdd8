// Which machine memory nobody owns yet. Used at boot, before domains run; single-threaded.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"

namespace penstock::mem {

class RamMap {
 public:
  struct Range {
    Hpa base;
    std::uint64_t size = 0;  // bytes
  };
  static constexpr std::size_t kMaxRanges = 32;

  /// Adds memory, shrunk to whole 4 KiB pages. kTableFull; kOverlap (arg: base) when it is known
  /// already.
  Status add(Range range);
  /// Takes away what may not be used, grown to whole pages; parts that are not free are ignored.
  /// kTableFull.
  Status reserve(Range range);
  /// The highest free place for `size` bytes (multiple of 4 KiB) aligned to `align`. kNoMemory
  /// (arg: size).
  Result<Hpa> take_highest(std::uint64_t size, std::uint64_t align);
  /// The lowest free place. kNoMemory (arg: size).
  Result<Hpa> take_lowest(std::uint64_t size, std::uint64_t align);
  /// Exactly this place. kOverlap (arg: base) unless it is wholly free.
  Status take_at(Range range);
  [[nodiscard]] std::uint64_t free_bytes() const;

 private:
  StaticVector<Range, kMaxRanges> free_;
};

}  // namespace penstock::mem
