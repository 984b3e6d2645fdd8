// What a guest's device tree says of its IOMMU, whatever kind it is.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/static_vector.hpp"

namespace penstock::viommu {

/// An edge-triggered SPI and its name in `interrupt-names`.
struct Interrupt {
  std::string_view name;
  GuestIntId intid;
};

struct Description {
  std::string_view node;        // without its unit address
  std::string_view compatible;  // the binding's
  Gpa base;
  std::uint64_t size = 0;  // bytes
  StaticVector<Interrupt, 4> interrupts;
  bool coherent = false;
  std::uint32_t iommu_cells = 1;
};

}  // namespace penstock::viommu
