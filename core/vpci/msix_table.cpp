#include "core/vpci/msix_table.hpp"

#include "core/base/address.hpp"
#include "core/base/bytes.hpp"
#include "core/hw/pci/msi.hpp"

namespace penstock::vpci {
namespace {

namespace msix = hw::pci::msix;

}  // namespace

void MsixTable::init(const MsixLocation& location) {
  at_ = location;
  reset();
}

void MsixTable::reset() {
  entries_.fill(Entry{});
}

MsixTable::Region MsixTable::region(unsigned bar, std::uint64_t offset) const {
  if (at_.vectors == 0) return Region::kOther;
  if (bar == at_.table_bar && overlaps(offset, 1, at_.table_offset, table_bytes(at_))) {
    return Region::kTable;
  }
  if (bar == at_.pba_bar && overlaps(offset, 1, at_.pba_offset, pba_bytes(at_))) {
    return Region::kPba;
  }
  return Region::kOther;
}

bool MsixTable::touches_page(unsigned bar, std::uint64_t page) const {
  if (at_.vectors == 0) return false;
  const std::uint64_t begin = align_down(page, kPageSize);
  return (bar == at_.table_bar && overlaps(begin, kPageSize, at_.table_offset, table_bytes(at_))) ||
         (bar == at_.pba_bar && overlaps(begin, kPageSize, at_.pba_offset, pba_bytes(at_)));
}

std::uint32_t MsixTable::dword(std::uint64_t table_offset) const {
  const std::uint64_t k = table_offset / msix::entry::kSize;
  if (k >= at_.vectors) return 0;
  const Entry& entry = entries_[k];
  switch (table_offset % msix::entry::kSize) {
    case msix::entry::kAddressLow: return static_cast<std::uint32_t>(entry.address);
    case msix::entry::kAddressHigh: return static_cast<std::uint32_t>(entry.address >> 32);
    case msix::entry::kData: return entry.data;
    case msix::entry::kControl: return entry.masked ? 1 : 0;
    default: return 0;
  }
}

std::uint64_t MsixTable::read_table(std::uint64_t offset, unsigned size) const {
  const std::uint64_t at = offset - at_.table_offset;
  if (size == 8) return dword(at) | std::uint64_t{dword(at + 4)} << 32;
  return (dword(align_down(at, 4)) >> (8 * (at & 3))) & all_ones(size);
}

MsixTable::Written MsixTable::write_table(std::uint64_t offset, unsigned size,
                                          std::uint64_t value) {
  const std::uint64_t at = offset - at_.table_offset;
  const std::uint64_t k = at / msix::entry::kSize;
  if (k >= at_.vectors) return {};
  Entry& entry = entries_[k];
  const Entry before = entry;
  // The entry as its 16 bytes, changed where the guest wrote, judged as a whole: one rule for every
  // width.
  std::array<std::uint8_t, msix::entry::kSize> bytes{};
  store_le(bytes, msix::entry::kAddressLow, 8, entry.address);
  store_le(bytes, msix::entry::kData, 4, entry.data);
  store_le(bytes, msix::entry::kControl, 4, entry.masked ? 1 : 0);
  store_le(bytes, at % msix::entry::kSize, size, value);
  entry.address = load_le(bytes, msix::entry::kAddressLow, 8) & ~std::uint64_t{3};
  entry.data = static_cast<std::uint32_t>(load_le(bytes, msix::entry::kData, 4));
  entry.masked = get<msix::entry::Masked>(load_le(bytes, msix::entry::kControl, 4)) != 0;
  const bool message = entry.address != before.address || entry.data != before.data;
  return {.vector = static_cast<unsigned>(k),
          .changed = message || entry.masked != before.masked,
          .message = message};
}

std::uint64_t MsixTable::read_pba(std::uint64_t offset, unsigned size, port::Mmio& hw_bar) const {
  std::uint64_t value = 0;
  for (unsigned done = 0; done < size;) {
    const std::uint64_t at = offset + done;
    const std::uint64_t word = align_down(at, 4);
    const std::uint64_t first = (word - at_.pba_offset) * 8;  // vector of the word's lowest bit
    std::uint32_t pending = 0;
    if (first < at_.vectors) {
      pending = hw_bar.read32(word) &
                static_cast<std::uint32_t>(low_mask(static_cast<unsigned>(at_.vectors - first)));
    }
    const unsigned here = size < 4 ? size : 4;
    value |= ((std::uint64_t{pending} >> (8 * (at & 3))) & all_ones(here)) << (8 * done);
    done += here;
  }
  return value;
}

}  // namespace penstock::vpci
