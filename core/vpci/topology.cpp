#include "core/vpci/topology.hpp"

#include "core/base/bytes.hpp"

namespace penstock::vpci {
namespace {

constexpr unsigned kRegisterMask = hw::pci::kConfigSize - 1;

std::optional<BarHit> bar_at(VirtualFunction& function, GuestBdf bdf, Gpa address) {
  for (unsigned index = 0; index <= kRomIndex; ++index) {
    const BarView view = function.bar(index);
    if (!view.mapped || address < view.gpa || address - view.gpa >= view.size) continue;
    return BarHit{.function = &function, .bdf = bdf, .bar = index, .offset = address - view.gpa};
  }
  return std::nullopt;
}

}  // namespace

Status Topology::init_slots(unsigned slots) {
  if (slots > kMaxSlots) return fail(Code::kOutOfRange, slots);
  for (unsigned devfn = kFirstPortDevice << 3; devfn < (kFirstPortDevice + slots) << 3; ++devfn) {
    if (by_devfn_[devfn] != nullptr) return fail(Code::kAlreadyExists, devfn);
  }
  for (unsigned slot = 0; slot < slots; ++slot) ports_[slot].init(slot);
  slots_ = static_cast<std::uint8_t>(slots);
  return {};
}

Status Topology::add(GuestBdf bdf, VirtualFunction* function) {
  if (function == nullptr || bdf.bus() != 0) return fail(Code::kOutOfRange, bdf.value());
  VirtualFunction*& place = by_devfn_[bdf.value()];
  const bool is_port = bdf.device() >= kFirstPortDevice && bdf.device() - kFirstPortDevice < slots_;
  if (place != nullptr || is_port) return fail(Code::kAlreadyExists, bdf.value());
  place = function;
  return {};
}

Status Topology::remove(GuestBdf bdf) {
  if (bdf.bus() != 0 || bdf.value() == 0 || by_devfn_[bdf.value()] == nullptr) {
    return fail(Code::kNotFound, bdf.value());
  }
  by_devfn_[bdf.value()] = nullptr;
  return {};
}

Status Topology::plug(unsigned slot, VirtualFunction* function) {
  if (slot >= slots_ || function == nullptr) return fail(Code::kNotFound, slot);
  if (cards_[slot] != nullptr) return fail(Code::kAlreadyExists, slot);
  cards_[slot] = function;
  ports_[slot].plug();
  note(slot);
  return {};
}

Status Topology::request_removal(unsigned slot) {
  if (slot >= slots_ || cards_[slot] == nullptr) return fail(Code::kNotFound, slot);
  if (ports_[slot].state() != SlotState::kOccupied) return {};
  ports_[slot].request_removal();
  note(slot);
  return {};
}

Status Topology::unplug(unsigned slot) {
  if (slot >= slots_ || cards_[slot] == nullptr) return fail(Code::kNotFound, slot);
  cards_[slot] = nullptr;
  ports_[slot].unplug();
  note(slot);
  return {};
}

void Topology::restart() {
  for (unsigned slot = 0; slot < slots_; ++slot) ports_[slot].reset();
  news_ = static_cast<std::uint16_t>((1U << slots_) - 1);
}

std::optional<PortEvent> Topology::take_event() {
  for (unsigned slot = 0; news_ != 0 && slot < slots_; ++slot) {
    const auto bit = static_cast<std::uint16_t>(1U << slot);
    if ((news_ & bit) == 0) continue;
    news_ &= static_cast<std::uint16_t>(~bit);
    if (const std::optional<PortEvent> event = ports_[slot].take_event()) return event;
  }
  return std::nullopt;
}

VirtualFunction* Topology::find_card(std::uint64_t function) const {
  constexpr std::uint64_t kFunctionsPerBus = 256;
  const std::uint64_t slot = function / kFunctionsPerBus - 1;  // bus 0 was seen to
  if (function % kFunctionsPerBus != 0 || slot >= slots_) return nullptr;
  return ports_[slot].forwards() ? cards_[slot] : nullptr;
}

std::optional<unsigned> Topology::port_at(std::uint64_t ecam_offset) const {
  const std::uint64_t function = ecam_offset >> 12;
  const std::uint64_t device = function >> 3;
  if (device < kFirstPortDevice || device - kFirstPortDevice >= slots_) return std::nullopt;
  if ((function & 7) != 0) return std::nullopt;
  return static_cast<unsigned>(device - kFirstPortDevice);
}

const VirtualFunction* Topology::find_pf(std::uint64_t ecam_offset) const {
  const std::uint64_t number = (ecam_offset >> 12) & 0xff;
  const VirtualFunction* card = find_card((ecam_offset >> 12) - number);
  return card != nullptr && number != 0 && number <= card->vfs() ? card : nullptr;
}

std::uint64_t Topology::config_read(std::uint64_t ecam_offset, unsigned size) const {
  const unsigned offset = static_cast<unsigned>(ecam_offset) & kRegisterMask;
  if (const VirtualFunction* function = find(ecam_offset)) {
    return function->config_read(offset, size);
  }
  if (const std::optional<unsigned> slot = port_at(ecam_offset)) {
    return ports_[*slot].config_read(offset, size);
  }
  const VirtualFunction* pf = find_pf(ecam_offset);
  return pf != nullptr ? pf->vf_placeholder_read(offset, size) : all_ones(size);
}

Effects Topology::config_write(std::uint64_t ecam_offset, unsigned size, std::uint64_t value) {
  const unsigned offset = static_cast<unsigned>(ecam_offset) & kRegisterMask;
  if (VirtualFunction* function = find(ecam_offset)) {
    return function->config_write(offset, size, value);
  }
  if (const std::optional<unsigned> slot = port_at(ecam_offset)) {
    ports_[*slot].config_write(offset, size, value);
    note(*slot);
  }
  return {};
}

std::optional<BarHit> Topology::find_bar(Gpa address) const {
  for (unsigned devfn = 0; devfn < by_devfn_.size(); ++devfn) {
    if (by_devfn_[devfn] == nullptr) continue;
    const GuestBdf bdf(static_cast<std::uint16_t>(devfn));
    if (const auto hit = bar_at(*by_devfn_[devfn], bdf, address)) return hit;
  }
  for (unsigned slot = 0; slot < slots_; ++slot) {
    if (!ports_[slot].has_card()) continue;
    if (const auto hit = bar_at(*cards_[slot], card_of(slot), address)) return hit;
  }
  return std::nullopt;
}

}  // namespace penstock::vpci
