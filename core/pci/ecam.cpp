#include "core/pci/ecam.hpp"

#include "core/base/bytes.hpp"

namespace penstock::pci {
namespace {

constexpr unsigned kFunctionBytes = 4096;
constexpr std::uint64_t kBusBytes = 1 << 20;

bool valid(unsigned offset, unsigned size) {
  return (size == 1 || size == 2 || size == 4) && offset % size == 0 && offset < kFunctionBytes;
}

}  // namespace

void Ecam::init(port::Mmio& window, std::uint64_t bytes, unsigned first, unsigned last) {
  window_ = &window;
  first_ = first;
  const std::uint64_t buses = bytes / kBusBytes;
  last_ = last < first + buses ? last : static_cast<unsigned>(first + buses - 1);
  if (buses == 0) window_ = nullptr;
}

EcamFunction Ecam::function(HostBdf bdf) {
  if (window_ == nullptr || bdf.bus() < first_ || bdf.bus() > last_) return {};
  const std::uint64_t routing = bdf.value() - (first_ << 8);
  return {window_, routing * kFunctionBytes};
}

std::uint32_t EcamFunction::read(unsigned offset, unsigned size) {
  if (window_ == nullptr || !valid(offset, size)) {
    return static_cast<std::uint32_t>(all_ones(size > 4 ? 4 : size));
  }
  switch (size) {
    case 1: return window_->read8(base_ + offset);
    case 2: return window_->read16(base_ + offset);
    default: return window_->read32(base_ + offset);
  }
}

void EcamFunction::write(unsigned offset, unsigned size, std::uint32_t value) {
  if (window_ == nullptr || !valid(offset, size)) return;
  switch (size) {
    case 1: window_->write8(base_ + offset, static_cast<std::uint8_t>(value)); return;
    case 2: window_->write16(base_ + offset, static_cast<std::uint16_t>(value)); return;
    default: window_->write32(base_ + offset, value); return;
  }
}

}  // namespace penstock::pci
