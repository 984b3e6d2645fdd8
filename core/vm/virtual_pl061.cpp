#include "core/vm/virtual_pl061.hpp"

#include "core/hw/pl061/registers.hpp"

namespace penstock::vm {
namespace {

using namespace hw::pl061;

constexpr std::uint32_t kLines = 0xff;
constexpr std::uint32_t kPower = 1U << VirtualPl061::kPowerLine;

constexpr std::uint32_t lines_meant(std::uint64_t offset) {
  return static_cast<std::uint32_t>(offset >> 2) & kLines;
}

}  // namespace

std::uint32_t VirtualPl061::raw() const {
  return edges_ | (level_ & ~direction_ & ~(inputs_ ^ event_) & kLines);
}

void VirtualPl061::drive(std::uint32_t inputs) {
  const std::uint32_t changed = (inputs ^ inputs_) & ~direction_ & ~level_;
  edges_ |= changed & (both_edges_ | ~(inputs ^ event_));
  inputs_ = inputs;
}

void VirtualPl061::press() {
  // A guest that does not look at the line before the second press gets its edge all the same.
  drive(inputs_ & ~kPower);
  drive(inputs_ | kPower);
}

std::uint32_t VirtualPl061::read_data(std::uint32_t lines) {
  const std::uint32_t seen = ((outputs_ & direction_) | (inputs_ & ~direction_)) & lines;
  // Not before the interrupt is acknowledged: two edges would be one interrupt.
  const bool is_noticed = (edges_ & enabled_ & kPower) == 0;
  if ((seen & ~direction_ & kPower) != 0 && is_noticed) drive(inputs_ & ~kPower);
  return seen;
}

std::uint64_t VirtualPl061::read(std::uint64_t offset, unsigned size) {
  if (offset % 4 != 0 || size > 4) return 0;
  if (offset < kDataEnd) return read_data(lines_meant(offset));
  if (offset >= kPeriphId && offset < kPeriphId + 4 * kIdentification.size()) {
    return kIdentification[(offset - kPeriphId) / 4];
  }
  switch (offset) {
    case kDir: return direction_;
    case kIs: return level_;
    case kIbe: return both_edges_;
    case kIev: return event_;
    case kIe: return enabled_;
    case kRis: return raw();
    case kMis: return raw() & enabled_;
    case kAfsel: return hardware_;
    default: return 0;
  }
}

void VirtualPl061::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (offset % 4 != 0 || size > 4) return;
  const std::uint32_t v = static_cast<std::uint32_t>(value) & kLines;
  if (offset < kDataEnd) {
    const std::uint32_t meant = lines_meant(offset) & direction_;  // inputs cannot be written
    outputs_ = (outputs_ & ~meant) | (v & meant);
    return;
  }
  switch (offset) {
    case kDir: direction_ = v; return;
    case kIs:
      level_ = v;
      edges_ &= ~v;
      return;
    case kIbe: both_edges_ = v; return;
    case kIev: event_ = v; return;
    case kIe: enabled_ = v; return;
    case kIc: edges_ &= ~v; return;
    case kAfsel: hardware_ = v; return;
    default: return;
  }
}

}  // namespace penstock::vm
