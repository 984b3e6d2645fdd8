#include "core/mem/ram_map.hpp"

#include <optional>

namespace penstock::mem {
namespace {

/// The end of the last page whose end can be written as an address.
constexpr std::uint64_t kTop = ~(kPageSize - 1);

/// Where the pages end that the range touches.
Hpa end_of(const RamMap::Range& range) {
  if (!fits(range.base.value(), range.size, kTop)) return Hpa(kTop);
  return (range.base + range.size).align_up(kPageSize);
}

Status check_pages(std::uint64_t size) {
  if (size == 0 || size % kPageSize != 0) return fail(Code::kMisaligned, size);
  return {};
}

Status check_pages(const RamMap::Range& range) {
  TRY(check_pages(range.size));
  if (!range.base.is_aligned(kPageSize)) return fail(Code::kMisaligned, range.base.value());
  if (!fits(range.base.value(), range.size, kTop)) {
    return fail(Code::kMisaligned, range.base.value());
  }
  return {};
}

}  // namespace

Status RamMap::add(Range range) {
  if (!fits(range.base.value(), range.size, kTop)) {
    return fail(Code::kOutOfRange, range.base.value());
  }
  const Hpa start = range.base.align_up(kPageSize);
  const Hpa end = (range.base + range.size).align_down(kPageSize);
  if (end <= start) return {};
  for (const Range& other : free_) {
    if (overlaps(start.value(), end - start, other.base.value(), other.size)) {
      return fail(Code::kOverlap, start.value());
    }
  }
  return free_.push_back({start, end - start});
}

Status RamMap::reserve(Range range) {
  const Hpa start = range.base.align_down(kPageSize);
  const Hpa end = end_of(range);
  if (end <= start) return {};
  for (std::size_t i = 0; i < free_.size();) {
    const Range current = free_[i];
    const Hpa current_end = current.base + current.size;
    if (!overlaps(start.value(), end - start, current.base.value(), current.size)) {
      ++i;
      continue;
    }
    const bool before = current.base < start;
    const bool after = end < current_end;
    if (before && after) {
      TRY(free_.push_back({end, current_end - end}));
      free_[i].size = start - current.base;
      ++i;
    } else if (before) {
      free_[i].size = start - current.base;
      ++i;
    } else if (after) {
      free_[i] = {end, current_end - end};
      ++i;
    } else {
      free_.erase(i);
    }
  }
  return {};
}

Result<Hpa> RamMap::take_highest(std::uint64_t size, std::uint64_t align) {
  TRY(check_pages(size));
  std::optional<Hpa> best;
  for (const Range& range : free_) {
    if (range.size < size) continue;
    const Hpa at = (range.base + (range.size - size)).align_down(align);
    if (at >= range.base && (!best || at > *best)) best = at;
  }
  if (!best) return fail(Code::kNoMemory, size);
  TRY(reserve({*best, size}));
  return *best;
}

Result<Hpa> RamMap::take_lowest(std::uint64_t size, std::uint64_t align) {
  TRY(check_pages(size));
  std::optional<Hpa> best;
  for (const Range& range : free_) {
    const Hpa at = range.base.align_up(align);
    if (at >= range.base && fits(at - range.base, size, range.size) && (!best || at < *best)) {
      best = at;
    }
  }
  if (!best) return fail(Code::kNoMemory, size);
  TRY(reserve({*best, size}));
  return *best;
}

Status RamMap::take_at(Range range) {
  TRY(check_pages(range));
  for (const Range& free : free_) {
    if (range.base >= free.base && fits(range.base - free.base, range.size, free.size)) {
      return reserve(range);
    }
  }
  return fail(Code::kOverlap, range.base.value());
}

Status RamMap::give_back(Range range) {
  TRY(check_pages(range));
  for (const Range& other : free_) {
    if (overlaps(range.base.value(), range.size, other.base.value(), other.size)) {
      return fail(Code::kOverlap, range.base.value());
    }
  }
  for (std::size_t i = 0; i < free_.size();) {
    const Range other = free_[i];
    const bool before = other.base + other.size == range.base;
    if (!before && range.base + range.size != other.base) {
      ++i;
      continue;
    }
    range = {before ? other.base : range.base, range.size + other.size};
    free_.erase(i);
  }
  return free_.push_back(range);
}

std::uint64_t RamMap::free_bytes() const {
  std::uint64_t sum = 0;
  for (const Range& range : free_) sum += range.size;
  return sum;
}

}  // namespace penstock::mem
