#include "core/msi/lpi_allocator.hpp"

namespace penstock::msi {

Status LpiAllocator::set_quota(DomainId owner, unsigned lpis) {
  if (owner.value() >= kMaxOwners) return fail(Code::kOutOfRange, owner.value());
  const LockGuard guard(lock_);
  quota_[owner.value()] = static_cast<std::uint16_t>(lpis < kLpiCount ? lpis : kLpiCount);
  return {};
}

Result<HostLpi> LpiAllocator::take(DomainId owner, unsigned count) {
  if (owner.value() >= kMaxOwners) return fail(Code::kOutOfRange, owner.value());
  if (count == 0 || count > kLpiCount) return fail(Code::kOutOfRange, count);
  const LockGuard guard(lock_);
  const unsigned quota = quota_[owner.value()];
  const unsigned held = held_[owner.value()];
  if (held > quota || count > quota - held) return fail(Code::kTableFull, quota);
  unsigned run = 0;
  for (unsigned i = 0; i < kLpiCount; ++i) {
    run = owner_[i] == 0 ? run + 1 : 0;
    if (run < count) continue;
    const unsigned first = i + 1 - count;
    for (unsigned n = first; n <= i; ++n) {
      owner_[n] = static_cast<std::uint8_t>(owner.value() + 1);
    }
    held_[owner.value()] = static_cast<std::uint16_t>(held + count);
    return HostLpi(kFirstLpi + first);
  }
  return fail(Code::kNoMemory, count);
}

Status LpiAllocator::give_back(DomainId owner, HostLpi first, unsigned count) {
  if (owner.value() >= kMaxOwners) return fail(Code::kOutOfRange, owner.value());
  if (count == 0 || first.value() < kFirstLpi ||
      !fits(first.value() - kFirstLpi, count, kLpiCount)) {
    return fail(Code::kOutOfRange, first.value());
  }
  const unsigned start = first.value() - kFirstLpi;
  const LockGuard guard(lock_);
  for (unsigned i = start; i < start + count; ++i) {
    if (owner_[i] != owner.value() + 1) return fail(Code::kNotOwner, kFirstLpi + i);
  }
  for (unsigned i = start; i < start + count; ++i) owner_[i] = 0;
  held_[owner.value()] = static_cast<std::uint16_t>(held_[owner.value()] - count);
  return {};
}

std::optional<DomainId> LpiAllocator::owner_of(HostLpi lpi) const {
  const std::uint32_t i = lpi.value() - kFirstLpi;  // below kFirstLpi wraps beyond kLpiCount
  if (i >= kLpiCount) return std::nullopt;
  const LockGuard guard(lock_);
  if (owner_[i] == 0) return std::nullopt;
  return DomainId(static_cast<std::uint8_t>(owner_[i] - 1));
}

unsigned LpiAllocator::held_by(DomainId owner) const {
  if (owner.value() >= kMaxOwners) return 0;
  const LockGuard guard(lock_);
  return held_[owner.value()];
}

}  // namespace penstock::msi
