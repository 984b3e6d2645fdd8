// Which machine memory nobody owns. Single-threaded: used at boot, then by one request of the
// control domain at a time.
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
  static constexpr std::size_t kMaxRanges = 384;  // every reserved range splits another one

  /// Adds memory, shrunk to whole 4 KiB pages. kTableFull; kOverlap (arg: base) when it is known
  /// already; kOutOfRange (arg: base) when it does not end below 2^64.
  Status add(Range range);
  /// Takes away what may not be used, grown to whole pages; parts that are not free are ignored. A
  /// range beyond 2^64 goes up to there. kTableFull.
  Status reserve(Range range);
  /// The highest free place for `size` bytes aligned to `align`. kNoMemory (arg: size). Here and
  /// below kMisaligned (arg: base or size): no whole pages, or none.
  Result<Hpa> take_highest(std::uint64_t size, std::uint64_t align);
  /// The lowest free place. kNoMemory (arg: size).
  Result<Hpa> take_lowest(std::uint64_t size, std::uint64_t align);
  /// Exactly this place. kOverlap (arg: base) unless it is wholly free.
  Status take_at(Range range);
  /// What a take_...() gave, wholly or in part, is nobody's again. kOverlap (arg: base) when some
  /// of it is free already; kTableFull.
  Status give_back(Range range);
  [[nodiscard]] std::uint64_t free_bytes() const;

 private:
  StaticVector<Range, kMaxRanges> free_;
};

}  // namespace penstock::mem
