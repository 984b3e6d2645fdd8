// The tables that an ITS keeps in our memory (GITS_BASER<n>, Arm IHI 0069 H, 5.2 and 12.19.1):
// devices, collections. The device table has two levels where the hardware can: a board with 2^16
// DeviceIDs then costs a page, and another page for each group of DeviceIDs in use. Pages of level
// 2 stay once they are there. Not locked: its owner's lock.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/mem/page_pool.hpp"
#include "core/port/mmio.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::msi {

class ItsMemory {
 public:
  /// The most that a device table of one level may cost; DeviceIDs beyond are then out of range.
  static constexpr std::uint64_t kMaxFlatBytes = 512 * kKiB;

  /// Gives the disabled ITS behind `gits` its tables, for DeviceIDs of `device_bits` bits and
  /// `collections` collections, of which it holds `held` itself. kUnsupported (arg: GITS_BASER<n>),
  /// kNoMemory.
  Status init(port::Mmio& gits, port::PhysMem& memory, mem::PagePool& pool, unsigned device_bits,
              unsigned collections, unsigned held);

  /// Makes sure that `device` has an entry. kOutOfRange (arg: DeviceID), kNoMemory.
  Status reserve(DeviceId device);

  /// For audits: GITS_BASER<n> and the first level of the device table say what was written there
  /// last. What the ITS itself keeps behind them is implementation defined.
  [[nodiscard]] bool intact() const;

 private:
  static constexpr unsigned kBasers = 8;

  struct Table {
    std::uint64_t baser = 0;  // as GITS_BASER<n> reads back
    Hpa base;
    std::uint64_t page_bytes = 0;
    std::uint64_t entry_bytes = 0;
    std::uint64_t bytes = 0;  // of what GITS_BASER<n> points at
    bool two_levels = false;
  };

  Status make_devices(unsigned n, std::uint64_t baser, std::uint64_t count);
  Status make_collections(unsigned n, std::uint64_t baser, unsigned collections);
  [[nodiscard]] std::uint64_t choose_page(unsigned n);
  [[nodiscard]] bool takes_two_levels(unsigned n, std::uint64_t page);
  Status install(unsigned n, Table& table, std::uint64_t page_code);

  port::Mmio* gits_ = nullptr;
  port::PhysMem* memory_ = nullptr;
  mem::PagePool* pool_ = nullptr;
  Table devices_;
  std::array<std::uint64_t, kBasers> basers_{};  // as they read back when all was set up
  std::uint64_t level1_check_ = 0;               // all entries of the first level, XORed
  std::uint64_t device_count_ = 0;               // DeviceIDs 0 .. device_count_ - 1 can be used
};

}  // namespace penstock::msi
