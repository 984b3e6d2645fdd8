#include "hypervisor/boot_memory.hpp"

extern "C" const char _image_start[];
extern "C" const char _rodata_start[];
extern "C" const char _data_start[];
extern "C" const char _image_end[];

namespace penstock {
namespace {

Hpa address_of(const char* symbol) {
  return Hpa(reinterpret_cast<std::uintptr_t>(symbol));
}

Status map_device(arch::Stage1& stage1, const manifest::MemoryRange& range) {
  const Hpa start = range.base.align_down(kPageSize);
  return stage1.map(start, (range.base + range.size).align_up(kPageSize) - start,
                    arch::Right::kDevice);
}

Status map_image(arch::Stage1& stage1) {
  const Hpa text = address_of(_image_start);
  const Hpa rodata = address_of(_rodata_start);
  const Hpa data = address_of(_data_start);
  TRY(stage1.map(text, rodata - text, arch::Right::kReadExecute));
  TRY(stage1.map(rodata, data - rodata, arch::Right::kReadOnly));
  return stage1.map(data, address_of(_image_end) - data, arch::Right::kReadWrite);
}

/// RAM without the image, which has rights of its own.
Status map_ram(const manifest::Board& board, arch::Stage1& stage1) {
  const Hpa image = address_of(_image_start);
  const Hpa image_end = address_of(_image_end);
  for (const manifest::MemoryRange& range : board.memory) {
    const Hpa start = range.base.align_up(kPageSize);
    const Hpa end = (range.base + range.size).align_down(kPageSize);
    if (image >= start && image < end) {
      TRY(stage1.map(start, image - start, arch::Right::kReadWrite));
      TRY(stage1.map(image_end, end - image_end, arch::Right::kReadWrite));
    } else {
      TRY(stage1.map(start, end - start, arch::Right::kReadWrite));
    }
  }
  return {};
}

Status map_devices(const manifest::Board& board, arch::Stage1& stage1) {
  if (board.uart) TRY(map_device(stage1, board.uart->registers));
  if (board.gic) {
    TRY(map_device(stage1, board.gic->distributor));
    for (const manifest::MemoryRange& range : board.gic->redistributors) {
      TRY(map_device(stage1, range));
    }
    if (board.gic->its) TRY(map_device(stage1, *board.gic->its));
    for (const manifest::MemoryRange& range : board.gic->idle_its) TRY(map_device(stage1, range));
  }
  if (board.smmu) TRY(map_device(stage1, board.smmu->registers));
  for (const manifest::MemoryRange& range : board.idle_smmus) TRY(map_device(stage1, range));
  if (board.bridge) {
    TRY(map_device(stage1, board.bridge->ecam));
    for (const manifest::BridgeWindow& window : board.bridge->windows) {
      TRY(map_device(stage1, {window.host, window.size}));
    }
  }
  return {};
}

}  // namespace

Status lay_out_memory(const manifest::Board& board, const BootImage& image, port::PhysMem& memory,
                      mem::RamMap& free, mem::PagePool& pool, Hpa& pool_base) {
  for (const manifest::MemoryRange& range : board.memory) TRY(free.add({range.base, range.size}));
  for (const manifest::MemoryRange& range : board.reserved) {
    TRY(free.reserve({range.base, range.size}));
  }
  TRY(free.reserve({image.base, image.image_bytes + image.bundle_bytes}));
  TRY(free.reserve({image.tree, image.tree_bytes}));
  const std::uint64_t bytes = pool_bytes(board.cpus.size());
  pool_base = TRY(free.take_highest(bytes, 2 * kMiB));
  arch::add_memory_to_boot_map(pool_base);
  arch::add_memory_to_boot_map(pool_base + (bytes - 1));
  return pool.init(memory, pool_base, bytes);
}

Status build_address_space(const manifest::Board& board, mem::PagePool& pool,
                           arch::Stage1& stage1) {
  TRY(stage1.init(pool));
  TRY(map_image(stage1));
  TRY(map_ram(board, stage1));
  return map_devices(board, stage1);
}

}  // namespace penstock
