// From a requester ID to the number that an SMMU (stream ID) or an ITS (device ID) knows the
// function by: `iommu-map` and `msi-map` of the device-tree bindings.
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"

namespace penstock::pci {

class IdMap {
 public:
  static constexpr std::size_t kMaxEntries = 64;

  /// Bits of a requester ID that are looked at: functions that differ in others alone share an ID.
  void set_mask(std::uint32_t mask) { mask_ = mask; }
  /// Requester IDs [rid, rid + length), after the mask, become out + (id - rid). The first entry
  /// that has an ID counts. kTableFull.
  Status add(std::uint32_t rid, std::uint32_t out, std::uint32_t length) {
    return entries_.push_back({rid, out, length, true});
  }
  /// These are known to another unit, which is not driven: they have no ID. kTableFull.
  Status add_elsewhere(std::uint32_t rid, std::uint32_t length) {
    return entries_.push_back({rid, 0, length, false});
  }
  /// kNotFound (arg: the ID): the bridge has no such function behind the SMMU or ITS.
  [[nodiscard]] Result<std::uint32_t> translate(std::uint32_t rid) const {
    const std::uint32_t masked = rid & mask_;
    for (const Entry& e : entries_) {
      if (masked < e.rid || masked - e.rid >= e.length) continue;
      if (!e.here) break;
      return e.out + (masked - e.rid);
    }
    return fail(Code::kNotFound, rid);
  }

 private:
  struct Entry {
    std::uint32_t rid = 0;
    std::uint32_t out = 0;
    std::uint32_t length = 0;
    bool here = false;
  };
  StaticVector<Entry, kMaxEntries> entries_;
  std::uint32_t mask_ = ~0U;
};

}  // namespace penstock::pci
