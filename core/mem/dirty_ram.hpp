// Memory that had an owner and is nobody's yet: it is cleared first, slice by slice, so that
// whoever clears it can look at other things in between. Single-threaded, as RamMap is.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/static_vector.hpp"
#include "core/mem/ram_map.hpp"

namespace penstock::mem {

class DirtyRam {
 public:
  static constexpr std::uint64_t kSlice = 2 * kMiB;
  static constexpr std::size_t kMaxRanges = 16;

  /// kTableFull. `range.size` may be 0.
  Status add(RamMap::Range range) { return range.size == 0 ? Status{} : ranges_.push_back(range); }
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  /// The next piece, at most kSlice: whoever takes it clears it and gives it back to the RamMap.
  std::optional<RamMap::Range> take_slice() {
    if (ranges_.empty()) return {};
    RamMap::Range& first = ranges_[0];
    const RamMap::Range slice{first.base, first.size < kSlice ? first.size : kSlice};
    first.base = first.base + slice.size;
    first.size -= slice.size;
    if (first.size == 0) ranges_.erase(0);
    return slice;
  }

 private:
  StaticVector<RamMap::Range, kMaxRanges> ranges_;
};

}  // namespace penstock::mem
