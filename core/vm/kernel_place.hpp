// Where a guest's kernel goes in its RAM.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/base/address.hpp"
#include "core/base/result.hpp"

namespace penstock::vm {

/// The guest's device tree lies at the start of its RAM, where firmware looks for it.
inline constexpr std::uint64_t kTreeBytes = 64 * kKiB;

struct KernelPlace {
  std::uint64_t offset = 0;  // from the start of RAM; its first byte is the entry
  std::uint64_t bytes = 0;   // memory that it needs, at least its file
};

/// An arm64 Image says in its header where it wants to be; `raw_offset` is for a kernel without
/// one. kNoMemory (arg: bytes): it does not fit; kOutOfRange: a raw image would lie on the tree.
Result<KernelPlace> place_kernel(std::span<const std::uint8_t> kernel,
                                 std::optional<std::uint64_t> raw_offset, std::uint64_t ram_bytes);

}  // namespace penstock::vm
