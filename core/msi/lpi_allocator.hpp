// Who owns which physical LPI: contiguous blocks, accounted to the domain they are for, within that
// domain's quota.
//
// lock_ protects everything; rank: a leaf, nothing is taken under it. Work per call is at most one
// pass over kLpiCount bytes, and only when devices are assigned or released.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/msi/limits.hpp"

namespace penstock::msi {

class LpiAllocator {
 public:
  static constexpr unsigned kMaxOwners = 255;  // DomainId 0..254

  /// The most LPIs that `owner` may hold; 0 until set. Lowering it below what is held refuses only
  /// further ones. kOutOfRange (arg: owner) beyond kMaxOwners.
  Status set_quota(DomainId owner, unsigned lpis) EXCLUDES(lock_);

  /// `count` consecutive LPIs, the first free ones, for `owner`. kOutOfRange (arg: count or owner):
  /// 0 or beyond limits; kTableFull (arg: the quota): the owner's quota is used up; kNoMemory (arg:
  /// count): no such hole. Nothing changes on an error.
  Result<HostLpi> take(DomainId owner, unsigned count) EXCLUDES(lock_);

  /// Returns LPIs [first, first + count). kOutOfRange (arg: first); kNotOwner (arg: the first LPI
  /// that is not `owner`'s), with nothing changed. No ITS may map them any more.
  Status give_back(DomainId owner, HostLpi first, unsigned count) EXCLUDES(lock_);

  [[nodiscard]] std::optional<DomainId> owner_of(HostLpi lpi) const EXCLUDES(lock_);
  [[nodiscard]] unsigned held_by(DomainId owner) const EXCLUDES(lock_);

 private:
  mutable SpinLock lock_;
  std::array<std::uint8_t, kLpiCount> owner_ GUARDED_BY(lock_){};  // DomainId + 1; 0: free
  std::array<std::uint16_t, kMaxOwners> held_ GUARDED_BY(lock_){};
  std::array<std::uint16_t, kMaxOwners> quota_ GUARDED_BY(lock_){};
};

}  // namespace penstock::msi
