#include "core/msi/its_memory.hpp"

#include "core/base/bits.hpp"
#include "core/hw/gic/its_frame.hpp"
#include "core/hw/gic/its_tables.hpp"
#include "core/hw/gic/lpi.hpp"

namespace penstock::msi {
namespace {

namespace gic = hw::gic;
namespace gits = hw::gic::gits;
namespace level1 = hw::gic::its_tables::level1;

constexpr std::uint64_t kMaxPages = 256;  // GITS_BASER<n>.Size has 8 bits
constexpr std::uint64_t offset_of(unsigned n) {
  return gits::kBaser + 8ULL * n;
}

constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t by) {
  return (value + by - 1) / by;
}

/// With 64 KiB pages bits 15:12 of the register hold bits 51:48 of the address (12.19.1); other
/// sizes reach 48 bits.
std::uint64_t with_address(std::uint64_t baser, Hpa base) {
  return with<gits::BaAddress>(baser, (base.value() >> 12) | ((base.value() >> 48) & 0xf));
}
bool reachable(Hpa base, std::uint64_t page_code) {
  return (base.value() >> (page_code == 2 ? 52 : 48)) == 0;
}

void store(std::byte* to, std::uint64_t value) {
  for (unsigned i = 0; i < 8; ++i) {
    to[i] = std::byte{static_cast<std::uint8_t>(value >> (8 * i))};
  }
}
std::uint64_t load(const std::byte* from) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  return value;
}

}  // namespace

Status ItsMemory::init(port::Mmio& gits, port::PhysMem& memory, mem::PagePool& pool,
                       unsigned device_bits, unsigned collections, unsigned held) {
  gits_ = &gits;
  memory_ = &memory;
  pool_ = &pool;
  bool has_devices = false;
  bool has_collections = held >= collections;
  for (unsigned n = 0; n < kBasers; ++n) {
    const std::uint64_t baser = gits.read64(offset_of(n));
    const std::uint64_t type = get<gits::BaType>(baser);
    if (type == gits::kTypeDevices && !has_devices) {
      TRY(make_devices(n, baser, std::uint64_t{1} << device_bits));
      has_devices = true;
    } else if (type == gits::kTypeCollections) {
      TRY(make_collections(n, baser, collections));
      has_collections = true;
    } else if (type != 0) {
      gits.write64(offset_of(n),
                   0);  // not used by physical LPIs: no memory behind it, whatever firmware left
    }
  }
  if (!has_devices || !has_collections) return fail(Code::kUnsupported);
  for (unsigned n = 0; n < kBasers; ++n) basers_[n] = gits.read64(offset_of(n));
  return {};
}

/// The smallest page size that GITS_BASER<n> keeps.
std::uint64_t ItsMemory::choose_page(unsigned n) {
  for (std::uint64_t code = 0; code < 2; ++code) {
    gits_->write64(offset_of(n), with<gits::BaPageSize>(0, code));
    if (get<gits::BaPageSize>(gits_->read64(offset_of(n))) == code) return code;
  }
  return 2;
}

bool ItsMemory::takes_two_levels(unsigned n, std::uint64_t page) {
  gits_->write64(offset_of(n), with<gits::BaIndirect>(with<gits::BaPageSize>(0, page), 1));
  return get<gits::BaIndirect>(gits_->read64(offset_of(n))) != 0;
}

Status ItsMemory::install(unsigned n, Table& table, std::uint64_t page_code) {
  table.base = TRY(pool_->take(table.bytes, table.page_bytes));
  if (!reachable(table.base, page_code)) return fail(Code::kOutOfRange, table.base.value());
  std::uint64_t base = with<gits::BaSize>(0, table.bytes / table.page_bytes - 1);
  base = with<gits::BaPageSize>(base, page_code);
  base = with<gits::BaIndirect>(base, table.two_levels ? 1 : 0);
  base = with<gits::BaValid>(with_address(base, table.base), 1);
  std::uint64_t shared = with<gits::BaShareability>(base, gic::kInnerShareable);
  shared = with<gits::BaInnerCache>(shared, gic::kWriteBackReadWriteAllocate);
  gits_->write64(offset_of(n), shared);
  std::uint64_t kept = gits_->read64(offset_of(n));
  if (get<gits::BaShareability>(kept) == gic::kNonShareable) {
    gits_->write64(offset_of(n), with<gits::BaInnerCache>(base, gic::kNonCacheable));
    kept = gits_->read64(offset_of(n));
  }
  constexpr std::uint64_t kCompared = gits::BaSize::kMask | gits::BaPageSize::kMask |
                                      gits::BaAddress::kMask | gits::BaIndirect::kMask |
                                      gits::BaValid::kMask;
  if (((kept ^ base) & kCompared) != 0) return fail(Code::kUnsupported, kept);
  table.baser = kept;
  return {};
}

Status ItsMemory::make_devices(unsigned n, std::uint64_t baser, std::uint64_t count) {
  const std::uint64_t page = choose_page(n);
  Table& table = devices_;
  table.page_bytes = gic::its_tables::page_bytes(page);
  table.entry_bytes = get<gits::BaEntrySize>(baser) + 1;
  const std::uint64_t per_page = table.page_bytes / table.entry_bytes;
  const std::uint64_t pages = divide_up(count, per_page);
  // One page holds it all: a second level would only add a look-up.
  table.two_levels = pages > 1 && takes_two_levels(n, page);
  if (table.two_levels) {
    const std::uint64_t wanted =
        align_up(pages * level1::kEntryBytes, table.page_bytes) / table.page_bytes;
    const std::uint64_t budget = kMaxFlatBytes / table.page_bytes;
    const std::uint64_t kept = wanted < budget ? wanted : budget;
    table.bytes = (kept < kMaxPages ? kept : kMaxPages) * table.page_bytes;
    const std::uint64_t reach = table.bytes / level1::kEntryBytes * per_page;
    device_count_ = count < reach ? count : reach;
  } else {
    const std::uint64_t budget = kMaxFlatBytes / table.page_bytes;
    const std::uint64_t kept = pages < budget ? pages : budget;
    table.bytes = (kept < kMaxPages ? kept : kMaxPages) * table.page_bytes;
    const std::uint64_t reach = table.bytes / table.page_bytes * per_page;
    device_count_ = count < reach ? count : reach;
  }
  return install(n, table, page);
}

Status ItsMemory::make_collections(unsigned n, std::uint64_t baser, unsigned collections) {
  const std::uint64_t page = choose_page(n);
  Table table;
  table.page_bytes = gic::its_tables::page_bytes(page);
  table.entry_bytes = get<gits::BaEntrySize>(baser) + 1;
  const std::uint64_t per_page = table.page_bytes / table.entry_bytes;
  table.bytes = divide_up(collections, per_page) * table.page_bytes;
  return install(n, table, page);
}

Status ItsMemory::reserve(DeviceId device) {
  if (device.value() >= device_count_) return fail(Code::kOutOfRange, device.value());
  if (!devices_.two_levels) return {};
  const std::uint64_t per_page = devices_.page_bytes / devices_.entry_bytes;
  const Hpa at = devices_.base + device.value() / per_page * level1::kEntryBytes;
  std::byte* entry = memory_->map(at, level1::kEntryBytes);
  if (get<level1::Valid>(load(entry)) != 0) return {};
  const Hpa page = TRY(pool_->take(devices_.page_bytes, devices_.page_bytes));
  // The page is zeroed and observable already; the entry must be before the MAPD that makes the ITS
  // read it.
  const auto linked = with<level1::Valid>(with<level1::Address>(0, page.value() >> 12), 1);
  store(entry, linked);
  memory_->make_observable(at, level1::kEntryBytes);
  level1_check_ ^= linked;
  return {};
}

bool ItsMemory::intact() const {
  if (gits_ == nullptr) return true;
  for (unsigned n = 0; n < kBasers; ++n) {
    if (gits_->read64(offset_of(n)) != basers_[n]) return false;
  }
  if (!devices_.two_levels) return true;
  const std::byte* table = memory_->map(devices_.base, devices_.bytes);
  std::uint64_t check = 0;
  for (std::uint64_t at = 0; at < devices_.bytes; at += level1::kEntryBytes) {
    check ^= load(table + at);
  }
  return check == level1_check_;
}

}  // namespace penstock::msi
