#include "sim/its/redistributor.hpp"

#include <span>

namespace penstock::sim {
namespace {
// IHI 0069 H, 12.10, 12.11 and 5.1; decoded here on its own.
constexpr std::uint32_t kFirst = 8192;
constexpr std::uint64_t kPropMask = 0x070f'ffff'ffff'ff9f;
constexpr std::uint64_t kPendMask = 0x470f'ffff'ffff'0f80;
constexpr std::uint64_t kShareable = 3ULL << 10;
constexpr std::uint64_t prop_address(std::uint64_t reg) {
  return reg & 0x000f'ffff'ffff'f000;
}
constexpr std::uint64_t pend_address(std::uint64_t reg) {
  return reg & 0x000f'ffff'ffff'0000;
}
/// One past the INTIDs that the tables hold; the model has 16 bits of them.
constexpr std::uint32_t intid_end(std::uint64_t propbaser) {
  const std::uint64_t bits = (propbaser & 0x1f) + 1;
  return 1U << (bits < 16 ? bits : 16);
}
}  // namespace

std::uint64_t Redistributor::typer() const {
  return (options_.has_lpis ? 1U : 0U) | (options_.has_vlpis ? 2U : 0U) |
         (options_.last ? 1U << 4 : 0U) | std::uint64_t{options_.number} << 8 |
         std::uint64_t{options_.affinity} << 32;
}

std::uint64_t Redistributor::read(std::uint64_t offset, unsigned size) {
  if (offset == 0x00 && size == 4) return control_ | (options_.clearable ? 2U : 0U);
  if (offset == 0x08 && size == 8) return typer();
  if (offset == 0x14 && size == 4) return waker_;
  if (offset == 0x70 && size == 8) return propbaser_;
  if (offset == 0x78 && size == 8) return pendbaser_ & ~(1ULL << 62);
  if (offset == 0xffe8 && size == 4) return 0x3b;
  if ((offset == 0x10100 || offset == 0x10180) && size == 4) return enabled_;
  if (offset >= 0x10000 && offset < 0x20000 && size == 4) return local(offset - 0x10000);
  return 0;
}

void Redistributor::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (offset == 0x00 && size == 4) {
    write_control(static_cast<std::uint32_t>(value));
  } else if (offset == 0x14 && size == 4) {
    const bool sleep = (value & 2) != 0 || options_.never_wakes;
    waker_ = (value & 2) != 0 ? 6 : sleep ? 4 : 0;
  } else if (offset == 0x70 && size == 8) {
    if (options_.keeps_tables) write_table(propbaser_, value & kPropMask);
  } else if (offset == 0x78 && size == 8) {
    write_table(pendbaser_, value & kPendMask);
  } else if (offset >= 0x10000 && offset < 0x20000 && size == 4) {
    write_local(offset - 0x10000, static_cast<std::uint32_t>(value));
  } else {
    violation("write to an offset or with a width that no redistributor register has");
  }
}

void Redistributor::write_local(std::uint64_t offset, std::uint32_t value) {
  if (asleep()) violation("SGIs and PPIs set up while the redistributor sleeps");
  local_[offset / 4] = value;
  if (offset == 0x100) enabled_ |= value;
  if (offset == 0x180) enabled_ &= ~value;
}

void Redistributor::write_table(std::uint64_t& reg, std::uint64_t value) {
  if (lpis_on()) violation("LPI table changed while LPIs are on");
  reg = options_.shareable ? value : value & ~kShareable;
}

void Redistributor::write_control(std::uint32_t value) {
  const bool on = (value & 1) != 0;
  if (!on && lpis_on() && !options_.clearable) return;
  if (on && !lpis_on()) {
    if ((pendbaser_ & 1ULL << 62) == 0) violation("LPIs turned on without PTZ");
    cache_.clear();
  }
  control_ = on ? 1 : 0;
}

void Redistributor::leave_on(std::uint64_t propbaser, std::uint64_t pendbaser) {
  propbaser_ = propbaser;
  pendbaser_ = pendbaser;
  control_ = 1;
}

bool Redistributor::in_table(std::uint32_t lpi) const {
  return lpi >= kFirst && lpi < intid_end(propbaser_);
}

std::uint8_t Redistributor::configuration(std::uint32_t lpi) {
  const auto known = cache_.find(lpi);
  if (known != cache_.end()) return known->second;
  std::uint8_t byte = 0;
  if (!memory_.device_read(prop_address(propbaser_) + (lpi - kFirst), std::span(&byte, 1))) {
    violation("LPI configuration table outside RAM");
  }
  cache_[lpi] = byte;
  return byte;
}

std::uint8_t Redistributor::pending_byte(std::uint32_t lpi) const {
  std::uint8_t byte = 0;
  static_cast<void>(memory_.device_read(pend_address(pendbaser_) + lpi / 8, std::span(&byte, 1)));
  return byte;
}

void Redistributor::write_pending(std::uint32_t lpi, bool pending) {
  const auto bit = static_cast<std::uint8_t>(1U << (lpi % 8));
  const std::uint8_t old = pending_byte(lpi);
  const auto byte = static_cast<std::uint8_t>(pending ? old | bit : old & ~bit);
  if (!memory_.device_write(pend_address(pendbaser_) + lpi / 8, std::span(&byte, 1))) {
    violation("LPI pending table outside RAM");
  }
}

void Redistributor::set_pending(std::uint32_t lpi) {
  if (!lpis_on() || !in_table(lpi)) {
    ++dropped_;
    return;
  }
  static_cast<void>(configuration(lpi));  // from here on it is cached
  write_pending(lpi, true);
}

void Redistributor::clear_pending(std::uint32_t lpi) {
  if (lpis_on() && in_table(lpi)) write_pending(lpi, false);
}

bool Redistributor::is_pending(std::uint32_t lpi) const {
  return lpis_on() && in_table(lpi) && (pending_byte(lpi) >> (lpi % 8) & 1) != 0;
}

void Redistributor::sync() {
  for (const std::uint32_t lpi : stale_) {
    if (lpi == kAll) {
      cache_.clear();
    } else {
      cache_.erase(lpi);
    }
  }
  stale_.clear();
  touched_ = 0;
}

std::vector<std::uint32_t> Redistributor::all_pending() const {
  std::vector<std::uint32_t> lpis;
  if (!lpis_on()) return lpis;
  const std::uint32_t end = intid_end(propbaser_);
  std::vector<std::uint8_t> table(end / 8);
  if (!memory_.device_read(pend_address(pendbaser_), table)) return lpis;
  for (std::uint32_t i = kFirst / 8; i < end / 8; ++i) {
    if (table[i] == 0) continue;
    for (std::uint32_t bit = 0; bit < 8; ++bit) {
      if ((table[i] >> bit & 1) != 0) lpis.push_back(8 * i + bit);
    }
  }
  return lpis;
}

void Redistributor::move_all(Redistributor& to) {
  for (const std::uint32_t lpi : all_pending()) {
    clear_pending(lpi);
    to.set_pending(lpi);
  }
}

std::optional<std::uint32_t> Redistributor::acknowledge() {
  std::optional<std::uint32_t> best;
  unsigned urgency = 256;
  for (const std::uint32_t lpi : all_pending()) {
    const std::uint8_t byte = configuration(lpi);
    if ((byte & 1) == 0 || (byte & 0xfcU) >= urgency) continue;
    urgency = byte & 0xfcU;
    best = lpi;
  }
  if (best) {
    write_pending(*best, false);
    taken_.push_back(*best);
  }
  return best;
}

}  // namespace penstock::sim
