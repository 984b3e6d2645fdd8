#include "core/mem/page_pool.hpp"

namespace penstock::mem {

Status PagePool::init(port::PhysMem& memory, Hpa base, std::uint64_t bytes) {
  if (memory_ != nullptr) return fail(Code::kBadState);
  if (!base.is_aligned(kPageSize)) return fail(Code::kMisaligned, base.value());
  if (bytes % kPageSize != 0) return fail(Code::kMisaligned, bytes);
  if (bytes == 0 || bytes > kMaxBytes) return fail(Code::kOutOfRange, bytes);
  if (!fits(base.value(), bytes, ~std::uint64_t{0})) return fail(Code::kOutOfRange, base.value());
  memory_ = &memory;
  base_ = base;
  pages_ = bytes / kPageSize;
  return {};
}

bool PagePool::taken(std::size_t page) const {
  return ((bitmap_[page / 64] >> (page % 64)) & 1) != 0;
}

void PagePool::set(std::size_t page, bool value) {
  const std::uint64_t bit = std::uint64_t{1} << (page % 64);
  if (value) {
    bitmap_[page / 64] |= bit;
  } else {
    bitmap_[page / 64] &= ~bit;
  }
}

bool PagePool::all(std::size_t first, std::size_t count, bool value) const {
  for (std::size_t page = first; page < first + count; ++page) {
    if (taken(page) != value) return false;
  }
  return true;
}

Result<std::size_t> PagePool::reserve(std::size_t count, std::uint64_t align) {
  LockGuard guard(lock_);
  const Hpa first_aligned = base_.align_up(align);
  if (first_aligned < base_) return fail(Code::kNoMemory, count * kPageSize);
  const std::size_t step = align / kPageSize;
  for (std::size_t page = (first_aligned - base_) / kPageSize; fits(page, count, pages_);
       page += step) {
    if (!all(page, count, false)) continue;
    for (std::size_t i = 0; i < count; ++i) set(page + i, true);
    used_ += count;
    if (used_ > high_water_) high_water_ = used_;
    return page;
  }
  return fail(Code::kNoMemory, count * kPageSize);
}

Result<Hpa> PagePool::take(std::uint64_t bytes, std::uint64_t align) {
  if (!is_power_of_two(align)) return fail(Code::kMisaligned, align);
  if (bytes == 0 || bytes > pages_ * kPageSize) return fail(Code::kNoMemory, bytes);
  const std::size_t count = penstock::align_up(bytes, kPageSize) / kPageSize;
  const std::size_t page = TRY(reserve(count, align < kPageSize ? kPageSize : align));
  const Hpa start = base_ + page * kPageSize;
  std::byte* memory = memory_->map(start, count * kPageSize);
  for (std::size_t i = 0; i < count * kPageSize; ++i) memory[i] = std::byte{0};
  memory_->make_observable(start, count * kPageSize);
  return start;
}

void PagePool::give_back(Hpa start, std::uint64_t bytes) {
  LockGuard guard(lock_);
  const bool inside = start.is_aligned(kPageSize) && start >= base_ && bytes != 0 &&
                      fits(start - base_, bytes, pages_ * kPageSize);
  const std::size_t first = inside ? (start - base_) / kPageSize : 0;
  const std::size_t count = inside ? penstock::align_up(bytes, kPageSize) / kPageSize : 0;
  if (!inside || !all(first, count, true)) {
    ++bad_returns_;
    return;
  }
  for (std::size_t i = 0; i < count; ++i) set(first + i, false);
  used_ -= count;
}

std::uint64_t PagePool::used_bytes() const {
  LockGuard guard(lock_);
  return used_ * kPageSize;
}

std::uint64_t PagePool::high_water() const {
  LockGuard guard(lock_);
  return high_water_ * kPageSize;
}

std::uint64_t PagePool::bad_returns() const {
  LockGuard guard(lock_);
  return bad_returns_;
}

}  // namespace penstock::mem
