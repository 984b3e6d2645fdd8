#include "sim/its/distributor.hpp"

namespace penstock::sim {
namespace {
// IHI 0069 H, 12.9; decoded here on its own.
constexpr std::uint32_t kGroups = 0x3;
constexpr std::uint32_t kRouting = 1U << 4;
constexpr std::uint32_t kNoSecurity = 1U << 6;
constexpr std::uint32_t kBusy = 1U << 31;
}  // namespace

std::uint32_t Distributor::typer() const {
  return (options_.lines / 32 - 1) | options_.lpi_count_code << 11 |
         (options_.has_lpis ? 1U << 17 : 0) | (options_.intid_bits - 1) << 19 | 1U << 24;
}

std::uint64_t Distributor::read(std::uint64_t offset, unsigned size) {
  if (offset == 0xffe8 && size == 4) return options_.revision << 4 | 0xb;
  if (offset == 0x4 && size == 4) return typer();
  if (offset == 0x0 && size == 4) {
    const bool busy = busy_ != 0;
    if (busy && !options_.stuck) --busy_;
    return control_ | kNoSecurity | (busy ? kBusy : 0);
  }
  if (offset >= 0x80 && offset < 0x400 && size == 4) {
    return read_bits(offset & ~0x7fULL, static_cast<unsigned>(offset & 0x7f) * 8);
  }
  if (offset >= 0x400 && offset < 0x800 && (size == 4 || size == 1)) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
      value |= std::uint64_t{interrupts_[offset - 0x400 + i].priority} << (8 * i);
    }
    return value;
  }
  if (offset >= 0xc00 && offset < 0xd00 && size == 4) {
    const auto first = static_cast<unsigned>(offset - 0xc00) * 4;
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 16; ++i) {
      value |= interrupts_[first + i].edge ? 2U << (2 * i) : 0;
    }
    return value;
  }
  if (offset >= 0x6100 && offset < 0x8000 && size == 8) {
    return interrupts_[(offset - 0x6000) / 8].route;
  }
  return 0;
}

void Distributor::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const auto word = static_cast<std::uint32_t>(value);
  if (offset == 0x0 && size == 4) {
    write_control(word);
  } else if (offset >= 0x80 && offset < 0x400 && size == 4) {
    write_bits(offset & ~0x7fULL, static_cast<unsigned>(offset & 0x7f) * 8, word);
  } else if (offset >= 0x400 && offset < 0x800 && (size == 4 || size == 1)) {
    for (unsigned i = 0; i < size; ++i) {
      interrupts_[offset - 0x400 + i].priority = static_cast<std::uint8_t>(value >> (8 * i));
    }
  } else if (offset >= 0xc00 && offset < 0xd00 && size == 4) {
    write_config(static_cast<unsigned>(offset - 0xc00) * 4, word);
  } else if (offset >= 0x6100 && offset < 0x8000 && size == 8) {
    if ((control_ & kRouting) == 0) violation("GICD_IROUTER written without affinity routing");
    interrupts_[(offset - 0x6000) / 8].route = value;
  } else {
    violation("write to an offset or with a width that no distributor register has");
  }
}

void Distributor::write_control(std::uint32_t value) {
  const bool routed = (control_ & kRouting) != 0;
  const bool routing = (value & kRouting) != 0;
  if (routed != routing && (control_ & kGroups) != 0) {
    violation("affinity routing changed while a group is enabled");
  }
  if (routed && !routing) violation("affinity routing switched off");
  if (busy_ != 0) violation("GICD_CTLR written while RWP is set");
  control_ = value & (kGroups | (options_.can_route ? kRouting : 0));
  busy_ = options_.busy_looks;
}

void Distributor::write_config(unsigned first, std::uint32_t value) {
  for (unsigned i = 0; i < 16; ++i) {
    Interrupt& one = interrupts_[first + i];
    const bool edge = (value >> (2 * i) & 2) != 0;
    if (edge != one.edge && one.enabled) violation("trigger changed while enabled");
    one.edge = edge;
  }
}

void Distributor::write_bits(std::uint64_t array, unsigned first, std::uint32_t value) {
  for (unsigned i = 0; i < 32; ++i) {
    const bool set = (value >> i & 1) != 0;
    Interrupt& one = interrupts_[first + i];
    switch (array) {
      case 0x080: one.group1 = set; break;
      case 0x100: one.enabled = one.enabled || set; break;
      case 0x180: one.enabled = one.enabled && !set; break;
      case 0x200: one.pending = one.pending || set; break;
      case 0x280: one.pending = one.pending && !set; break;
      case 0x300: one.active = one.active || set; break;
      case 0x380: one.active = one.active && !set; break;
      default: break;
    }
  }
  if (array == 0x180) busy_ = options_.busy_looks;
}

std::uint32_t Distributor::read_bits(std::uint64_t array, unsigned first) const {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 32; ++i) {
    const Interrupt& one = interrupts_[first + i];
    bool set = false;
    switch (array) {
      case 0x080: set = one.group1; break;
      case 0x100:
      case 0x180: set = one.enabled; break;
      case 0x200:
      case 0x280: set = one.pending; break;
      case 0x300:
      case 0x380: set = one.active; break;
      default: break;
    }
    value |= set ? 1U << i : 0;
  }
  return value;
}

}  // namespace penstock::sim
