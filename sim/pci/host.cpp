#include "sim/pci/host.hpp"

#include <utility>

#include "core/base/bytes.hpp"

namespace penstock::sim {
void PciBus::plug(unsigned device, unsigned function, PciFunction& what) {
  const unsigned devfn = device << 3 | function;
  functions_[devfn] = &what;
  what.plug(this, devfn);
}

unsigned PciBus::number() const {
  return bridge_ == nullptr ? 0 : bridge_->secondary();
}

bool PciBus::upstream(std::uint32_t& requester) const {
  for (const PciBridge* bridge = bridge_; bridge != nullptr; bridge = bridge->bus()->bridge_) {
    if (!bridge->bus_master()) return false;
    if (bridge->is_express() && bridge->port_type() == PciPortType::kPcieToPci) {
      // What conventional devices send leaves as the bridge's secondary bus, device 0 (PCIe to PCI
      // Bridge 2.3).
      requester = bridge->secondary() << 8;
    } else if (!bridge->is_express()) {
      requester = bridge->bus()->number() << 8 | bridge->devfn();
    }
  }
  return true;
}

bool PciBus::dma_read(const PciFunction& from, std::uint64_t iova, std::span<std::uint8_t> to) {
  std::uint32_t requester = number() << 8 | from.devfn();
  return upstream(requester) && host_.dma().read(requester, iova, to);
}

bool PciBus::dma_write(const PciFunction& from, std::uint64_t iova,
                       std::span<const std::uint8_t> bytes) {
  std::uint32_t requester = number() << 8 | from.devfn();
  return upstream(requester) && host_.dma().write(requester, iova, bytes);
}

PciBridge::PciBridge(PciHost& host, const PciIdentity& identity)
    : PciFunction(identity), bus_(host, this) {
  poke(0x0e, 1, 1);
  set_writable(0x18, 4, 0x00ff'ffff);  // bus numbers
  set_writable(0x20, 4, 0xfff0'fff0);  // memory window
  poke(0x24, 4, 0x0001'0001);          // prefetchable window, 64 bits wide
  set_writable(0x24, 4, 0xfff0'fff0);
  set_writable(0x28, 4, ~0U);
  set_writable(0x2c, 4, ~0U);
  set_writable(0x3e, 2, 0x0073);
}

void PciBridge::follow_bus_reset() {
  const bool on = (peek(0x3e, 2) & 0x40) != 0;
  if (on == resetting_) return;
  resetting_ = on;
  for (PciFunction* function : bus_.functions()) {
    if (function != nullptr) function->hold_in_reset(on);
  }
}

void PciBridge::config_write(unsigned offset, unsigned size, std::uint32_t value) {
  PciFunction::config_write(offset, size, value);
  follow_bus_reset();
}

void PciBridge::reset() {
  PciFunction::reset();
  for (PciFunction* function : bus_.functions()) {
    if (function != nullptr) function->reset();
  }
}

bool PciBridge::forwards(std::uint64_t address) const {
  if (!memory_enabled()) return false;
  const std::uint64_t base = std::uint64_t{peek(0x20, 2) & 0xfff0U} << 16;
  const std::uint64_t limit = std::uint64_t{peek(0x22, 2) & 0xfff0U} << 16 | 0xf'ffff;
  if (base <= limit && address >= base && address <= limit) return true;
  const bool wide = (peek(0x24, 2) & 0xf) == 1;
  const std::uint64_t base64 = std::uint64_t{peek(0x24, 2) & 0xfff0U} << 16 |
                               (wide ? std::uint64_t{peek(0x28, 4)} << 32 : 0);
  const std::uint64_t limit64 = std::uint64_t{peek(0x26, 2) & 0xfff0U} << 16 | 0xf'ffff |
                                (wide ? std::uint64_t{peek(0x2c, 4)} << 32 : 0);
  return base64 <= limit64 && address >= base64 && address <= limit64;
}

bool PciBridge::ari_forwarding() const {
  return is_express() && (peek(express_at() + 0x28, 2) & 0x20) != 0;
}

PciFunction* PciHost::find(unsigned bus, unsigned devfn) {
  return find_below(root_, bus, devfn);
}

PciFunction* PciHost::find_below(PciBus& bus, unsigned number, unsigned devfn) {
  if (bus.number() == number) return bus.at(devfn);
  PciFunction* found = nullptr;
  bool claimed = false;
  for (PciFunction* function : bus.functions()) {
    if (function == nullptr || !function->is_bridge()) continue;
    auto& bridge = static_cast<PciBridge&>(*function);
    if (bridge.secondary() == 0 || number < bridge.secondary()) continue;
    if (number > bridge.subordinate()) continue;
    if (std::exchange(claimed, true)) violation("two bridges claim one bus number");
    // A port's link has one device on it (PCIe 7.3.1), with eight functions or 256.
    const bool link = bridge.is_express() && bridge.port_type() != PciPortType::kPcieToPci;
    if (link && number == bridge.secondary() && devfn >= 8 && !bridge.ari_forwarding()) continue;
    found = find_below(bridge.secondary_bus(), number, devfn);
  }
  return found;
}

PciFunction* PciHost::config_target(std::uint64_t offset, unsigned size) {
  ++config_accesses_;
  if (offset >= kEcamBytes || size == 8 || offset % size != 0) {
    violation("config access outside the window, misaligned or wide");
    return nullptr;
  }
  return find(static_cast<unsigned>(offset >> 20), static_cast<unsigned>(offset >> 12) & 0xff);
}

std::uint64_t PciHost::read(std::uint64_t offset, unsigned size) {
  PciFunction* function = config_target(offset, size);
  if (function == nullptr) return all_ones(size);
  return function->config_read(static_cast<unsigned>(offset & 0xfff), size);
}

void PciHost::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  PciFunction* function = config_target(offset, size);
  if (function == nullptr) return;
  function->config_write(static_cast<unsigned>(offset & 0xfff), size,
                         static_cast<std::uint32_t>(value));
}

void PciHost::claim(PciBus& bus, std::uint64_t address, unsigned size, Target& target) {
  for (PciFunction* function : bus.functions()) {
    if (function == nullptr) continue;
    Target here;
    if (function->decodes(address, size, here.bar, here.at)) {
      if (target.function != nullptr) violation("two functions decode one address");
      here.function = function;
      target = here;
    }
    if (!function->is_bridge()) continue;
    auto& bridge = static_cast<PciBridge&>(*function);
    if (bridge.forwards(address)) claim(bridge.secondary_bus(), address, size, target);
  }
}

PciHost::Target PciHost::route(std::uint64_t address, unsigned size) {
  Target target;
  claim(root_, address, size, target);
  if (target.function == nullptr) ++unclaimed_;
  return target;
}

std::uint64_t PciHost::memory_read(std::uint64_t address, unsigned size) {
  const Target target = route(address, size);
  if (target.function == nullptr) return all_ones(size);
  return target.function->bar_read(target.bar, target.at, size);
}

void PciHost::memory_write(std::uint64_t address, unsigned size, std::uint64_t value) {
  const Target target = route(address, size);
  if (target.function == nullptr) return;
  target.function->bar_write(target.bar, target.at, size, value);
}

}  // namespace penstock::sim
