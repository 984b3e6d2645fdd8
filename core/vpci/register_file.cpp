#include "core/vpci/register_file.hpp"

#include "core/base/address.hpp"

namespace penstock::vpci {

void RegisterFile::clear(std::uint32_t hidden) {
  image_.fill(hidden);
  for (unsigned dword = 0; dword < hw::pci::kHeaderSize / 4; ++dword) image_[dword] = 0;
  live_.fill(0);
  claimed_.fill(0);
  first_.fill(0);
  rules_.clear();
}

bool RegisterFile::claim(unsigned offset, unsigned length, unsigned end) {
  if (offset % 4 != 0 || offset < hw::pci::kHeaderSize || length == 0) return false;
  const unsigned whole = (length + 3) & ~3U;
  if (!fits(offset, whole, end) || end > hw::pci::kConfigSize) return false;
  const unsigned begin = offset / 4;
  const unsigned stop = begin + whole / 4;
  for (unsigned d = begin; d < stop; ++d) {
    if (((claimed_[d / 64] >> (d % 64)) & 1) != 0) return false;
  }
  for (unsigned d = begin; d < stop; ++d) {
    claimed_[d / 64] |= std::uint64_t{1} << (d % 64);
    image_[d] = 0;
  }
  return true;
}

void RegisterFile::keep_back(unsigned begin, unsigned end) {
  for (unsigned d = begin / 4; d < end / 4; ++d) claimed_[d / 64] |= std::uint64_t{1} << (d % 64);
}

Status RegisterFile::add(const Register& reg) {
  const bool width_ok = reg.width == 1 || reg.width == 2 || reg.width == 4;
  if (!width_ok || reg.offset % reg.width != 0) return fail(Code::kMisaligned, reg.offset);
  if (!fits(reg.offset, reg.width, hw::pci::kConfigSize) || !reg.masks.valid(reg.width)) {
    return fail(Code::kOutOfRange, reg.offset);
  }
  std::size_t place = 0;
  for (; place < rules_.size() && rules_[place].offset < reg.offset; ++place) {
  }
  for (const Register& other : rules_) {
    if (overlaps(reg.offset, reg.width, other.offset, other.width)) {
      return fail(Code::kOverlap, reg.offset);
    }
  }
  TRY(rules_.push_back(reg));
  for (std::size_t i = rules_.size() - 1; i > place; --i) rules_[i] = rules_[i - 1];
  rules_[place] = reg;
  set(reg.offset, reg.width, reg.reset);
  index();
  return {};
}

void RegisterFile::index() {
  first_.fill(0);
  live_.fill(0);
  for (std::size_t i = rules_.size(); i-- > 0;) {
    const unsigned dword = rules_[i].offset / 4U;
    first_[dword] = static_cast<std::uint8_t>(i + 1);
    if (rules_[i].masks.from_hw() != 0) live_[dword / 64] |= std::uint64_t{1} << (dword % 64);
  }
}

std::uint32_t RegisterFile::get(unsigned offset, unsigned width) const {
  return static_cast<std::uint32_t>((image_[offset / 4] >> (8 * (offset & 3))) & all_ones(width));
}

void RegisterFile::set(unsigned offset, unsigned width, std::uint32_t value) {
  const unsigned shift = 8 * (offset & 3);
  const auto mask = static_cast<std::uint32_t>(all_ones(width)) << shift;
  std::uint32_t& word = image_[offset / 4];
  word = (word & ~mask) | ((value << shift) & mask);
}

std::uint32_t RegisterFile::live_dword(unsigned dword, unsigned bytes,
                                       port::ConfigSpace& hw) const {
  std::uint32_t value = image_[dword];
  for (std::size_t i = first_[dword] - 1U; i < rules_.size(); ++i) {
    const Register& reg = rules_[i];
    if (reg.offset / 4U != dword) break;
    const unsigned lane = reg.offset & 3U;
    // Fetch only what the guest asked for: the neighbour's bits would cost a device access and be
    // thrown away.
    const unsigned lanes = ((1U << reg.width) - 1) << lane;
    if (reg.masks.from_hw() == 0 || (lanes & bytes) == 0) continue;
    const std::uint32_t mask = reg.masks.from_hw() << (8 * lane);
    value = (value & ~mask) | ((hw.read(reg.offset, reg.width) << (8 * lane)) & mask);
  }
  return value;
}

std::uint64_t RegisterFile::read_slowly(unsigned offset, unsigned size,
                                        port::ConfigSpace* hw) const {
  std::uint64_t value = all_ones(size);
  for (unsigned done = 0; done < size && done < 8;) {
    const unsigned at = offset + done;
    if (at >= hw::pci::kConfigSize) break;
    const unsigned lane = at & 3;
    const unsigned here = size - done < 4 - lane ? size - done : 4 - lane;
    const unsigned bytes = ((1U << here) - 1) << lane;
    const unsigned dword = at / 4;
    const std::uint32_t word =
        is_live(dword) && hw != nullptr ? live_dword(dword, bytes, *hw) : image_[dword];
    const std::uint64_t mask = all_ones(here) << (8 * done);
    value = (value & ~mask) | ((std::uint64_t{word >> (8 * lane)} << (8 * done)) & mask);
    done += here;
  }
  return value;
}

Changes RegisterFile::decode(unsigned offset, unsigned size, std::uint64_t value) const {
  Changes changes;
  const unsigned length = size < 8 ? size : 8;
  if (offset >= hw::pci::kConfigSize || length == 0) return changes;
  const unsigned last = offset + length - 1;
  for (unsigned dword = offset / 4; dword <= last / 4 && dword < kDwords; ++dword) {
    if (first_[dword] == 0) continue;
    for (std::size_t i = first_[dword] - 1U; i < rules_.size(); ++i) {
      const Register& reg = rules_[i];
      if (reg.offset / 4U != dword) break;
      Change change{.reg = &reg};
      for (unsigned byte = 0; byte < reg.width; ++byte) {
        const unsigned at = reg.offset + byte;
        if (at < offset || at > last) continue;
        change.mask |= 0xffU << (8 * byte);
        change.bits |= static_cast<std::uint32_t>((value >> (8 * (at - offset))) & 0xff)
                       << (8 * byte);
      }
      // At most one register per byte of the access, so the vector holds them all.
      if (change.mask != 0) static_cast<void>(changes.push_back(change));
    }
  }
  return changes;
}

void RegisterFile::reset() {
  for (const Register& reg : rules_) set(reg.offset, reg.width, reg.reset);
}

}  // namespace penstock::vpci
