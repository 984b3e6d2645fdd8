#include "hypervisor/arch/aarch64/stage1.hpp"

#include "hypervisor/arch/aarch64/sysreg.hpp"

namespace penstock::arch {
namespace {

// DDI 0487 D8.3: VMSAv8-64 descriptors, 4 KiB granule; EL2 has one range of addresses and one
// privilege level.
constexpr std::uint64_t kTableOrPage = 3;
constexpr std::uint64_t kBlock = 1;
constexpr std::uint64_t kAccessFlag = 1ULL << 10;
constexpr std::uint64_t kInnerShareable = 3ULL << 8;
constexpr std::uint64_t kReadOnlyBit = 1ULL << 7;
constexpr std::uint64_t kRes1Ap1 = 1ULL << 6;
constexpr std::uint64_t kExecuteNever = 1ULL << 54;
constexpr std::uint64_t kAttrDevice = 0ULL << 2;
constexpr std::uint64_t kAttrNormal = 1ULL << 2;
constexpr std::uint64_t kAddressMask = 0x0000'ffff'ffff'f000;

constexpr std::uint64_t kBlockBytes = 2 * kMiB;

constexpr unsigned shift_of(unsigned level) {
  return 39 - 9 * level;
}
constexpr unsigned index_of(std::uint64_t va, unsigned level) {
  return static_cast<unsigned>(va >> shift_of(level)) & 511;
}

constexpr std::uint64_t attributes(Right right) {
  switch (right) {
    case Right::kReadExecute: return kAttrNormal | kInnerShareable | kReadOnlyBit;
    case Right::kReadOnly: return kAttrNormal | kInnerShareable | kReadOnlyBit | kExecuteNever;
    case Right::kReadWrite: return kAttrNormal | kInnerShareable | kExecuteNever;
    case Right::kDevice: return kAttrDevice | kExecuteNever;
  }
  return 0;
}

// The boot map has blocks of 2 MiB. Each region that it gets, of those in stage1.hpp, may need a
// table of either level of its own: image, tree, console, and both ends of the pool.
constexpr unsigned kBootRegions = 5;
alignas(4096) std::uint64_t boot_root[512];
alignas(4096) std::uint64_t boot_tables[2 * kBootRegions][512];
unsigned boot_tables_used = 0;

std::uint64_t* boot_table(std::uint64_t& entry) {
  if (entry == 0) {
    entry = reinterpret_cast<std::uintptr_t>(&boot_tables[boot_tables_used++]) | kTableOrPage;
  }
  return reinterpret_cast<std::uint64_t*>(entry & kAddressMask);
}

/// The blocks of the 1 GiB around the address.
std::uint64_t* boot_blocks(Hpa around) {
  std::uint64_t* level1 = boot_table(boot_root[index_of(around.value(), 0)]);
  return boot_table(level1[index_of(around.value(), 1)]);
}

constexpr std::uint64_t boot_block(Hpa start, std::uint64_t bits) {
  return start.value() | bits | kAccessFlag | kRes1Ap1 | kBlock;
}

/// What is there already stays: a device among memory.
void map_boot_gigabyte(Hpa around, std::uint64_t bits) {
  std::uint64_t* blocks = boot_blocks(around);
  for (unsigned i = 0; i < 512; ++i) {
    if (blocks[i] == 0) blocks[i] = boot_block(around.align_down(kGiB) + i * kBlockBytes, bits);
  }
}

void switch_to(std::uint64_t ttbr0, std::uint64_t sctlr) {
  PENSTOCK_WRITE_SYSREG(mair_el2, Stage1::mair());
  PENSTOCK_WRITE_SYSREG(tcr_el2, Stage1::tcr());
  PENSTOCK_WRITE_SYSREG(ttbr0_el2, ttbr0);
  complete_all();
  context_sync();
  asm volatile("tlbi alle2\n\tdsb sy\n\tisb" ::: "memory");
  PENSTOCK_WRITE_SYSREG(sctlr_el2, sctlr);
  context_sync();
}

constexpr std::uint64_t kSctlrRes1 = 0x30c5'0830;
constexpr std::uint64_t kSctlrMmu = 1ULL << 0;
constexpr std::uint64_t kSctlrCache = 1ULL << 2;
constexpr std::uint64_t kSctlrStackAlign = 1ULL << 3;
constexpr std::uint64_t kSctlrInstructionCache = 1ULL << 12;
constexpr std::uint64_t kSctlrWxn = 1ULL << 19;

}  // namespace

std::uint64_t Stage1::mair() {
  return 0xff04;
}  // 0: device-nGnRE, 1: normal, write-back

std::uint64_t Stage1::tcr() {
  const std::uint64_t pa_range = PENSTOCK_READ_SYSREG(id_aa64mmfr0_el1) & 0xf;
  const std::uint64_t ps = pa_range > 5 ? 5 : pa_range;  // 48 bits are enough for every table here
  return (1ULL << 31) | (1ULL << 23) | ps << 16 | 3ULL << 12 | 1ULL << 10 | 1ULL << 8 | 16;
}

std::uint64_t Stage1::sctlr() {
  return kSctlrRes1 | kSctlrMmu | kSctlrCache | kSctlrStackAlign | kSctlrInstructionCache |
         kSctlrWxn;
}

void enable_boot_map(Hpa image, Hpa tree) {
  map_boot_gigabyte(image, kAttrNormal | kInnerShareable);
  map_boot_gigabyte(tree, kAttrNormal | kInnerShareable);
  switch_to(reinterpret_cast<std::uintptr_t>(boot_root), Stage1::sctlr() & ~kSctlrWxn);
}

void add_device_to_boot_map(Hpa device) {
  std::uint64_t& block = boot_blocks(device)[index_of(device.value(), 2)];
  // Memory until now, where the image or the tree is in the same 1 GiB: break before make (DDI 0487
  // D8.16).
  block = 0;
  complete_all();
  asm volatile("tlbi alle2\n\tdsb sy\n\tisb" ::: "memory");
  block = boot_block(device.align_down(kBlockBytes), kAttrDevice | kExecuteNever);
  complete_all();
  context_sync();
}

void add_memory_to_boot_map(Hpa memory) {
  map_boot_gigabyte(memory, kAttrNormal | kInnerShareable | kExecuteNever);
  complete_all();
  context_sync();
}

Status Stage1::init(mem::PagePool& pool) {
  pool_ = &pool;
  root_ = TRY(pool.take(kPageSize));
  return {};
}

Result<std::uint64_t*> Stage1::descend(std::uint64_t* table, unsigned index) {
  if (table[index] == 0) {
    table[index] = TRY(pool_->take(kPageSize)).value() | kTableOrPage;
  } else if ((table[index] & 3) != kTableOrPage) {
    return fail(Code::kAlreadyExists, index);
  }
  return reinterpret_cast<std::uint64_t*>(table[index] & kAddressMask);
}

Status Stage1::map(Hpa start, std::uint64_t size, Right right) {
  if (!start.is_aligned(kPageSize) || size % kPageSize != 0) {
    return fail(Code::kMisaligned, start.value());
  }
  std::uint64_t va = start.value();
  const std::uint64_t end = va + size;
  while (va < end) {
    auto* table = reinterpret_cast<std::uint64_t*>(root_.value());
    unsigned level = 0;
    for (;;) {
      const std::uint64_t bytes = 1ULL << shift_of(level);
      if (level != 0 && va % bytes == 0 && end - va >= bytes) break;
      table = TRY(descend(table, index_of(va, level)));
      ++level;
    }
    std::uint64_t& entry = table[index_of(va, level)];
    if (entry != 0) return fail(Code::kAlreadyExists, va);
    entry = va | attributes(right) | kAccessFlag | kRes1Ap1 | (level == 3 ? kTableOrPage : kBlock);
    va += 1ULL << shift_of(level);
  }
  return {};
}

/// The same range, by a table of the next level.
Status Stage1::split(std::uint64_t& block, unsigned level) {
  const std::uint64_t rights = block & ~kAddressMask & ~kTableOrPage;
  const std::uint64_t kind = level + 1 == 3 ? kTableOrPage : kBlock;
  const Hpa table = TRY(pool_->take(kPageSize));
  auto* entries = reinterpret_cast<std::uint64_t*>(table.value());
  for (std::uint64_t i = 0; i < 512; ++i) {
    entries[i] = (block & kAddressMask) + (i << shift_of(level + 1)) | rights | kind;
  }
  block = table.value() | kTableOrPage;
  return {};
}

Status Stage1::leave_out(Hpa start, std::uint64_t size) {
  for (std::uint64_t va = start.value(); va < start.value() + size; va += kPageSize) {
    auto* table = reinterpret_cast<std::uint64_t*>(root_.value());
    for (unsigned level = 0; level < 3; ++level) {
      std::uint64_t& entry = table[index_of(va, level)];
      if (entry == 0) return fail(Code::kNotFound, va);
      if ((entry & kTableOrPage) == kBlock) TRY(split(entry, level));
      table = reinterpret_cast<std::uint64_t*>(entry & kAddressMask);
    }
    table[index_of(va, 3)] = 0;
  }
  return {};
}

void Stage1::activate() const {
  switch_to(ttbr0(), sctlr());
}

}  // namespace penstock::arch
