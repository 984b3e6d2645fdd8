// Accesses to BARs that trapped: the MSI-X table and pending bits, config-space mirrors, and the
// registers that have the bad luck to share a page with them.
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

/// The widest naturally aligned access that starts at `offset` and is at most `left` bytes.
unsigned piece_size(std::uint64_t offset, unsigned left) {
  unsigned size = 8;
  while (size > left || (offset & (size - 1)) != 0) size /= 2;
  return size;
}

std::uint64_t forward_read(port::Mmio& hw_bar, std::uint64_t offset, unsigned size) {
  switch (size) {
    case 1: return hw_bar.read8(offset);
    case 2: return hw_bar.read16(offset);
    case 4: return hw_bar.read32(offset);
    default: return hw_bar.read64(offset);
  }
}

void forward_write(port::Mmio& hw_bar, std::uint64_t offset, unsigned size, std::uint64_t value) {
  switch (size) {
    case 1: return hw_bar.write8(offset, static_cast<std::uint8_t>(value));
    case 2: return hw_bar.write16(offset, static_cast<std::uint16_t>(value));
    case 4: return hw_bar.write32(offset, static_cast<std::uint32_t>(value));
    default: return hw_bar.write64(offset, value);
  }
}

}  // namespace

const BarMirror* VirtualFunction::mirror_at(unsigned bar, std::uint64_t offset) const {
  for (const BarMirror& mirror : mirrors_) {
    if (mirror.bar == bar && overlaps(offset, 1, mirror.offset, mirror.size)) return &mirror;
  }
  return nullptr;
}

bool VirtualFunction::is_trapped(unsigned bar, std::uint64_t page_offset) const {
  if (bar >= kRomIndex || !bars_[bar].shown) return true;
  const std::uint64_t size = bars_[bar].facts.size;
  // A page that holds a small BAR and whatever the board put behind it cannot be mapped.
  if (size < kPageSize || page_offset >= size) return true;
  const std::uint64_t page = align_down(page_offset, kPageSize);
  if (msix_.touches_page(bar, page)) return true;
  for (const BarMirror& mirror : mirrors_) {
    if (mirror.bar == bar && overlaps(page, kPageSize, mirror.offset, mirror.size)) return true;
  }
  return false;
}

PageRanges VirtualFunction::mappable(unsigned bar) const {
  PageRanges ranges;
  if (bar >= kRomIndex || !bars_[bar].shown || bars_[bar].facts.size < kPageSize) return ranges;
  const std::uint64_t size = bars_[bar].facts.size;

  // What traps, as whole pages: at most the table, the PBA and the mirrors.
  StaticVector<PageRange, 2 + kMaxMirrors> holes;
  const auto add_hole = [&](unsigned in_bar, std::uint64_t offset, std::uint64_t length) {
    if (in_bar != bar || length == 0) return;
    const std::uint64_t begin = align_down(offset, kPageSize);
    const std::uint64_t end = align_up(offset + length, kPageSize);
    static_cast<void>(holes.push_back({begin, end - begin}));  // sized for all of them
  };
  if (msix_.vectors() != 0) {
    const MsixLocation& at = msix_.location();
    add_hole(at.table_bar, at.table_offset, MsixTable::table_bytes(at));
    add_hole(at.pba_bar, at.pba_offset, MsixTable::pba_bytes(at));
  }
  for (const BarMirror& mirror : mirrors_) add_hole(mirror.bar, mirror.offset, mirror.size);

  // Each step leaves a hole behind or ends at one, so there are at most twice as many steps as
  // holes, and one.
  for (std::uint64_t at = 0; at < size;) {
    std::uint64_t next = size;
    std::uint64_t hole_end = 0;
    for (const PageRange& hole : holes) {
      if (overlaps(at, 1, hole.offset, hole.size)) hole_end = hole.offset + hole.size;
      if (hole.offset > at && hole.offset < next) next = hole.offset;
    }
    if (hole_end != 0) {
      at = hole_end;
      continue;
    }
    static_cast<void>(ranges.push_back({at, next - at}));  // one more than holes at most
    at = next;
  }
  return ranges;
}

std::uint64_t VirtualFunction::bar_read(unsigned bar, std::uint64_t offset, unsigned size,
                                        port::Mmio& hw_bar) const {
  std::uint64_t value = all_ones(size);
  if (bar >= bars_.size() || !bars_[bar].shown) return value;
  const std::uint64_t end = bars_[bar].facts.size;
  for (unsigned done = 0; done < size && done < 8;) {
    if (!fits(offset, done + 1, end)) break;  // outside reads all-ones, as nobody answers there
    const std::uint64_t at = offset + done;
    const unsigned piece = piece_size(at, size - done);
    const std::uint64_t mask = all_ones(piece) << (8 * done);
    value = (value & ~mask) | ((read_piece(bar, at, piece, hw_bar) << (8 * done)) & mask);
    done += piece;
  }
  return value;
}

Effects VirtualFunction::bar_write(unsigned bar, std::uint64_t offset, unsigned size,
                                   std::uint64_t value, port::Mmio& hw_bar) {
  Effects effects;
  if (bar >= bars_.size() || !bars_[bar].shown) return effects;
  const std::uint64_t end = bars_[bar].facts.size;
  for (unsigned done = 0; done < size && done < 8;) {
    if (!fits(offset, done + 1, end)) break;
    const std::uint64_t at = offset + done;
    const unsigned piece = piece_size(at, size - done);
    write_piece(bar, at, piece, (value >> (8 * done)) & all_ones(piece), hw_bar, effects);
    done += piece;
  }
  return effects;
}

/// A naturally aligned piece lies in one region only: all of them begin and end at multiples of 8.
std::uint64_t VirtualFunction::read_piece(unsigned bar, std::uint64_t offset, unsigned size,
                                          port::Mmio& hw_bar) const {
  if (const BarMirror* mirror = mirror_at(bar, offset)) {
    return config_read(static_cast<unsigned>(offset - mirror->offset), size);
  }
  switch (msix_.region(bar, offset)) {
    case MsixTable::Region::kTable: return msix_.read_table(offset, size);
    case MsixTable::Region::kPba: return msix_.read_pba(offset, size, hw_bar);
    case MsixTable::Region::kOther: return forward_read(hw_bar, offset, size);
  }
  return all_ones(size);
}

void VirtualFunction::write_piece(unsigned bar, std::uint64_t offset, unsigned size,
                                  std::uint64_t value, port::Mmio& hw_bar, Effects& effects) {
  if (bar == kRomIndex) return;
  if (const BarMirror* mirror = mirror_at(bar, offset)) {
    const unsigned at = static_cast<unsigned>(offset - mirror->offset);
    for (const Effect& effect : config_write(at, size, value)) {
      static_cast<void>(
          effects.push_back(effect));  // pieces of 8 bytes reach what one such write would
    }
    return;
  }
  switch (msix_.region(bar, offset)) {
    case MsixTable::Region::kTable: {
      const MsixTable::Written written = msix_.write_table(offset, size, value);
      if (!written.changed || kind() != MsiKind::kMsix) return;
      static_cast<void>(effects.push_back({.kind = Effect::Kind::kVectorChanged,
                                           .message = written.message,
                                           .first = static_cast<std::uint16_t>(written.vector),
                                           .count = 1}));
      return;
    }
    case MsixTable::Region::kPba: return;  // read-only (PCIe 7.7.2.9)
    case MsixTable::Region::kOther: forward_write(hw_bar, offset, size, value);
  }
}

}  // namespace penstock::vpci
