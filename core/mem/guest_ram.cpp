#include "core/mem/guest_ram.hpp"

#include <atomic>
#include <cstddef>

namespace penstock::mem {

Status GuestRam::add(const Region& region) {
  if (!region.gpa.is_aligned(kPageSize)) return fail(Code::kMisaligned, region.gpa.value());
  if (!region.hpa.is_aligned(kPageSize)) return fail(Code::kMisaligned, region.hpa.value());
  if (region.size % kPageSize != 0) return fail(Code::kMisaligned, region.size);
  constexpr std::uint64_t kLimit = ~std::uint64_t{0};
  if (region.size == 0) return fail(Code::kOutOfRange, region.size);
  if (!fits(region.gpa.value(), region.size, kLimit)) {
    return fail(Code::kOutOfRange, region.gpa.value());
  }
  if (!fits(region.hpa.value(), region.size, kLimit)) {
    return fail(Code::kOutOfRange, region.hpa.value());
  }
  for (const Region& other : regions_) {
    if (overlaps(region.gpa.value(), region.size, other.gpa.value(), other.size)) {
      return fail(Code::kOverlap, region.gpa.value());
    }
    if (overlaps(region.hpa.value(), region.size, other.hpa.value(), other.size)) {
      return fail(Code::kOverlap, region.hpa.value());
    }
  }
  if (Status ok = regions_.push_back(region); !ok) return ok;
  homes_[regions_.size() - 1] = memory_.map(region.hpa, region.size);
  return {};
}

const GuestRam::Region* GuestRam::find(Gpa gpa) const {
  for (const Region& region : regions_) {
    if (gpa >= region.gpa && gpa - region.gpa < region.size) return &region;
  }
  return nullptr;
}

Status GuestRam::check(Gpa start, std::uint64_t size) const {
  // At most one step per region: each step reaches the end of a region, and regions do not overlap.
  std::uint64_t done = 0;
  while (done < size) {
    const Gpa at = start + done;
    const Region* region = find(at);
    if (region == nullptr || at < start) return fail(Code::kNotMapped, at.value());
    done += region->size - (at - region->gpa);
  }
  return {};
}

/// Where [start, start + size) lies in machine memory if one region holds all of it, as it nearly
/// always does; else null.
std::byte* GuestRam::within_one(Gpa start, std::uint64_t size) const {
  const Region* region = find(start);
  if (region == nullptr || !fits(start - region->gpa, size, region->size)) return nullptr;
  return homes_[static_cast<std::size_t>(region - regions_.begin())] + (start - region->gpa);
}

Status GuestRam::read(Gpa from, std::span<std::uint8_t> to) {
  if (const std::byte* whole = within_one(from, to.size())) {
    __builtin_memcpy(to.data(), whole, to.size());
    return {};
  }
  if (Status ok = check(from, to.size()); !ok) return ok;
  for (std::size_t done = 0; done < to.size();) {
    const Region& region = *find(from + done);
    const std::uint64_t offset = (from + done) - region.gpa;
    const std::uint64_t room = region.size - offset;
    const std::size_t count = room < to.size() - done ? room : to.size() - done;
    __builtin_memcpy(to.data() + done, memory_.map(region.hpa + offset, count), count);
    done += count;
  }
  return {};
}

Status GuestRam::write(Gpa to, std::span<const std::uint8_t> from) {
  if (std::byte* whole = within_one(to, from.size())) {
    __builtin_memcpy(whole, from.data(), from.size());
    return {};
  }
  if (Status ok = check(to, from.size()); !ok) return ok;
  for (std::size_t done = 0; done < from.size();) {
    const Region& region = *find(to + done);
    const std::uint64_t offset = (to + done) - region.gpa;
    const std::uint64_t room = region.size - offset;
    const std::size_t count = room < from.size() - done ? room : from.size() - done;
    __builtin_memcpy(memory_.map(region.hpa + offset, count), from.data() + done, count);
    done += count;
  }
  return {};
}

Status GuestRam::store32(Gpa to, std::uint32_t value) {
  if (!to.is_aligned(4)) return fail(Code::kMisaligned, to.value());
  std::byte* at = within_one(to, 4);
  if (at == nullptr) return fail(Code::kNotMapped, to.value());
  auto* word = reinterpret_cast<std::uint32_t*>(at);
  std::atomic_ref<std::uint32_t>(*word).store(value, std::memory_order_release);
  return {};
}

Result<Hpa> GuestRam::translate(Gpa gpa) const {
  const Region* region = find(gpa);
  if (region == nullptr) return fail(Code::kNotMapped, gpa.value());
  return region->hpa + (gpa - region->gpa);
}

}  // namespace penstock::mem
