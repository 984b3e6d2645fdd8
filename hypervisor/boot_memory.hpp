// Who gets which memory when the machine starts: the image, the hypervisor's pool, what is left for
// domains.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/manifest/board.hpp"
#include "core/mem/page_pool.hpp"
#include "core/mem/ram_map.hpp"
#include "core/port/phys_mem.hpp"
#include "hypervisor/arch/aarch64/stage1.hpp"

namespace penstock {

/// Everything of Penstock's own: tables, queues, stacks, domains. With the image it stays below 8
/// MiB on a board of 8 CPUs; each further one has a stack and a table of pending LPIs besides.
[[nodiscard]] constexpr std::uint64_t pool_bytes(std::size_t cpus) {
  constexpr std::size_t kFew = 8;
  constexpr std::uint64_t kPerCpu = 48 * kKiB;
  return 5 * kMiB + (cpus > kFew ? (cpus - kFew) * kPerCpu : 0);
}

struct BootImage {
  Hpa base;                    // where the loader put the image
  std::uint64_t image_bytes;   // image with its zero-initialised data
  std::uint64_t bundle_bytes;  // what `penstock build` appended, 0 when there is nothing
  Hpa tree;                    // the board's device tree
  std::uint64_t tree_bytes;
};

/// Fills `free` with the board's RAM except what is in use, and gives the top of it to `pool`.
/// kNoMemory, kTableFull: the board cannot run Penstock.
Status lay_out_memory(const manifest::Board& board, const BootImage& image, port::PhysMem& memory,
                      mem::RamMap& free, mem::PagePool& pool, Hpa& pool_base);

/// Builds the hypervisor's own address space: image by section (W^X), RAM, devices of the board.
Status build_address_space(const manifest::Board& board, mem::PagePool& pool, arch::Stage1& stage1);

}  // namespace penstock
