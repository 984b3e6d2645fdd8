// The hypervisor's own address space: VA = PA for everything that is mapped at all, write xor
// execute everywhere.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/mem/page_pool.hpp"

namespace penstock::arch {

enum class Right { kReadExecute, kReadOnly, kReadWrite, kDevice };

/// A first map for the boot CPU before the device tree can be read: the 1 GiB around the image and
/// the one around the tree, normal memory. It is writable and executable until Stage1::activate()
/// replaces it, before any guest exists.
void enable_boot_map(Hpa image, Hpa tree);

/// Adds the 2 MiB around the console's registers to the boot map, so that it can speak early. Once.
void add_device_to_boot_map(Hpa device);
/// Adds the 1 GiB around memory that the real map is built in, but for a device in it. Twice at
/// most.
void add_memory_to_boot_map(Hpa memory);

class Stage1 {
 public:
  Status init(mem::PagePool& pool);
  /// 4 KiB aligned; blocks where they fit. Mapping a page twice is kAlreadyExists.
  Status map(Hpa start, std::uint64_t size, Right right);
  /// Before activate(): nothing is mapped in these pages after all.
  Status leave_out(Hpa start, std::uint64_t size);
  /// Switches this CPU to the table.
  void activate() const;
  [[nodiscard]] std::uint64_t ttbr0() const { return root_.value(); }
  static std::uint64_t tcr();
  static std::uint64_t mair();
  static std::uint64_t sctlr();

 private:
  Result<std::uint64_t*> descend(std::uint64_t* table, unsigned index);
  Status split(std::uint64_t& block, unsigned level);

  mem::PagePool* pool_ = nullptr;
  Hpa root_;
};

}  // namespace penstock::arch
