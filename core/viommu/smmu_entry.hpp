// A guest's stream table, as its SMMU reads it (IHI 0070, 3.3.1, 5.1, 5.2). Every word is copied
// once and judged from the copy; nothing here is trusted or remembered.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/hw/smmuv3/registers.hpp"
#include "core/hw/smmuv3/stream_table.hpp"
#include "core/port/guest_mem.hpp"

namespace penstock::viommu {

/// The guest's STRTAB_BASE and STRTAB_BASE_CFG, decoded. Sizes that the SMMU does not have are cut
/// to those that it has, reserved values behave as the architecture or the smallest choice says.
struct StreamTableShape {
  Gpa base;
  unsigned id_bits = 0;  // streams covered: 2^id_bits
  unsigned split = 0;    // bits of the level-2 index; meaningful with two_level
  bool two_level = false;
};
[[nodiscard]] StreamTableShape stream_table_shape(std::uint64_t base, std::uint32_t config);

/// What the guest wants of one stream, and, where that is kInvalid, the event that says why: type
/// C_BAD_STREAMID, F_STE_FETCH (with the address that could not be read) or C_BAD_STE.
struct JudgedEntry {
  hw::smmuv3::Stage1 stage1;
  std::uint8_t event = 0;
  Gpa fetch;
};

/// Reads at most two descriptors. Total: any table gives an answer.
[[nodiscard]] JudgedEntry read_stream_entry(port::GuestMem& memory, const StreamTableShape& shape,
                                            const hw::smmuv3::IdRegisters& ids,
                                            GuestStreamId stream);

/// The entry itself, sanitised bit by bit. `ids` are the guest's SMMU's.
[[nodiscard]] JudgedEntry judge_entry(const std::array<std::uint64_t, hw::smmuv3::kSteWords>& words,
                                      const hw::smmuv3::IdRegisters& ids);

}  // namespace penstock::viommu
