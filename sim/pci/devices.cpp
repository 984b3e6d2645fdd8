#include "sim/pci/devices.hpp"

#include <algorithm>
#include <span>

namespace penstock::sim {
namespace {

// The teaching device's registers, DMA addresses of its own buffer, and bits of the command.
constexpr std::uint64_t kEduBuffer = 0x4'0000;
constexpr std::uint64_t kEduStart = 1;
constexpr std::uint64_t kEduToMemory = 2;
constexpr std::uint64_t kEduInterrupt = 4;
constexpr std::uint32_t kEduDmaDone = 0x100;

}  // namespace

std::unique_ptr<PciFunction> nvme_like() {
  auto f = std::make_unique<PciFunction>(PciIdentity{0x1b36, 0x0010, 0x01'0802});
  f->add_bar(0, 0x4000, {.is64 = true});
  f->add_power(true);
  f->add_express(PciPortType::kEndpoint, true);
  f->add_msix(65, 0, 0x2000, 0, 0x3000);
  f->add_extended(0x0001, 0x48);
  return f;
}

std::unique_ptr<PciFunction> igb_like() {
  auto f = std::make_unique<PciFunction>(PciIdentity{0x8086, 0x10c9, 0x02'0000});
  f->add_bar(0, 0x2'0000, {});
  f->add_bar(1, 0x2'0000, {});
  f->add_bar(2, 0x20, {.io = true});
  f->add_bar(3, 0x4000, {});
  f->add_rom(0x1'0000);
  f->add_power(false);
  f->add_msi(0, true, true);
  f->add_express(PciPortType::kEndpoint, true);
  f->add_msix(10, 3, 0, 3, 0x2000);
  f->add_extended(0x0001, 0x48);
  f->add_extended(0x000e, 8);
  f->add_extended(0x0010, 0x40);
  return f;
}

EduLike::EduLike() : PciFunction({0x1234, 0x11e8, 0x00'ff00}) {
  add_bar(0, 0x10'0000, {});
  add_msi(0, true, false);
}

std::uint64_t EduLike::bar_read(unsigned bar, std::uint64_t at, unsigned size) {
  if (bar != 0 || size < 4) return 0;
  switch (at) {
    case 0x00: return 0x0100'00ed;
    case 0x04: return ~live_;
    case 0x24: return interrupt_;
    case 0x80: return from_;
    case 0x88: return to_;
    case 0x90: return count_;
    default: return 0;
  }
}

void EduLike::bar_write(unsigned bar, std::uint64_t at, unsigned size, std::uint64_t value) {
  if (bar != 0 || size < 4) return;
  switch (at) {
    case 0x04: live_ = static_cast<std::uint32_t>(value); return;
    case 0x60:
      interrupt_ |= static_cast<std::uint32_t>(value);
      (void)raise(0);
      return;
    case 0x64: interrupt_ &= ~static_cast<std::uint32_t>(value); return;
    case 0x80: from_ = value; return;
    case 0x88: to_ = value; return;
    case 0x90: count_ = value; return;
    case 0x98: transfer(value); return;
    default: return;
  }
}

void EduLike::transfer(std::uint64_t command) {
  if ((command & kEduStart) == 0) return;
  const bool to_memory = (command & kEduToMemory) != 0;
  const std::uint64_t own = to_memory ? from_ : to_;
  arrived_ = false;
  if (own < kEduBuffer || own - kEduBuffer > buffer_.size()) return;
  const std::uint64_t room = buffer_.size() - (own - kEduBuffer);
  const auto bytes = std::span(buffer_).subspan(own - kEduBuffer, std::min(count_, room));
  arrived_ = to_memory ? dma_write(to_, bytes) : dma_read(from_, bytes);
  if ((command & kEduInterrupt) == 0) return;
  interrupt_ |= kEduDmaDone;
  (void)raise(0);
}

std::unique_ptr<PciBridge> pcie_root_port(PciHost& host, std::uint16_t acs) {
  auto bridge = std::make_unique<PciBridge>(host, PciIdentity{0x1b36, 0x000c, 0x06'0400});
  const unsigned express = bridge->add_express(PciPortType::kRootPort, false);
  bridge->poke(express + 0x24, 4, 0x20);  // can forward to any function number
  if (acs != 0) bridge->add_acs(acs);
  return bridge;
}

std::unique_ptr<PciBridge> pcie_pci_bridge(PciHost& host) {
  auto bridge = std::make_unique<PciBridge>(host, PciIdentity{0x1b36, 0x000e, 0x06'0400});
  bridge->add_bar(0, 0x100, {.is64 = true});
  bridge->add_express(PciPortType::kPcieToPci, false);
  return bridge;
}

}  // namespace penstock::sim
