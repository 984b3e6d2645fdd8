// From a requester ID to the number that an SMMU (stream ID) or an ITS (device ID) knows the
// function by: `iommu-map` and `msi-map` of the device-tree bindings.
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"

namespace penstock::pci {

class IdMap {
 public:
  /// Requester IDs [rid, rid + length) become out + (id - rid). kTableFull.
  Status add(std::uint32_t rid, std::uint32_t out, std::uint32_t length) {
    return entries_.push_back({rid, out, length});
  }
  /// kNotFound (arg: the ID): the bridge has no such function behind the SMMU or ITS.
  [[nodiscard]] Result<std::uint32_t> translate(std::uint32_t rid) const {
    for (const Entry& e : entries_) {
      if (rid >= e.rid && rid - e.rid < e.length) return e.out + (rid - e.rid);
    }
    return fail(Code::kNotFound, rid);
  }

 private:
  struct Entry {
    std::uint32_t rid = 0;
    std::uint32_t out = 0;
    std::uint32_t length = 0;
  };
  StaticVector<Entry, 8> entries_;
};

}  // namespace penstock::pci
