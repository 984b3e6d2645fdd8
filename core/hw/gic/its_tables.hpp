// What software writes into the memory that it gives to an ITS (Arm IHI 0069 H, 5.2 and 12.19.1):
// page sizes of its tables, and the first level of a two-level one. Everything else in there is the
// ITS's own.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::gic::its_tables {

/// Bytes of a page for the encoding in GITS_BASER<n>.Page_Size (0, 1, 2).
[[nodiscard]] constexpr std::uint64_t page_bytes(std::uint64_t encoding) {
  return std::uint64_t{0x1000} << (2 * encoding);
}

/// Entry of level 1: one for each page of level 2.
namespace level1 {
using Res0A = Field<11, 0>;
using Address = Field<51, 12>;  // bits 51:12, aligned to the table's page size
using Res0B = Field<62, 52>;
using Valid = Field<63, 63>;
static_assert(covers_exactly<64, Res0A, Address, Res0B, Valid>());
inline constexpr std::uint64_t kEntryBytes = 8;
}  // namespace level1

/// ITTs are aligned to this; MAPD holds bits 51:8 of the address.
inline constexpr std::uint64_t kIttAlignment = 256;

}  // namespace penstock::hw::gic::its_tables
