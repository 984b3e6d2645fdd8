#include "core/vpci/topology.hpp"

#include "core/base/bytes.hpp"

namespace penstock::vpci {
namespace {

constexpr unsigned kRegisterMask = hw::pci::kConfigSize - 1;

}  // namespace

Status Topology::add(GuestBdf bdf, VirtualFunction* function) {
  if (function == nullptr || bdf.bus() != 0) return fail(Code::kOutOfRange, bdf.value());
  VirtualFunction*& place = by_devfn_[bdf.value()];
  if (place != nullptr) return fail(Code::kAlreadyExists, bdf.value());
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

std::uint64_t Topology::config_read(std::uint64_t ecam_offset, unsigned size) const {
  const VirtualFunction* function = find(ecam_offset);
  if (function == nullptr) return all_ones(size);
  return function->config_read(static_cast<unsigned>(ecam_offset) & kRegisterMask, size);
}

Effects Topology::config_write(std::uint64_t ecam_offset, unsigned size, std::uint64_t value) {
  VirtualFunction* function = find(ecam_offset);
  if (function == nullptr) return {};
  return function->config_write(static_cast<unsigned>(ecam_offset) & kRegisterMask, size, value);
}

std::optional<BarHit> Topology::find_bar(Gpa address) const {
  for (unsigned devfn = 0; devfn < by_devfn_.size(); ++devfn) {
    VirtualFunction* function = by_devfn_[devfn];
    if (function == nullptr) continue;
    for (unsigned index = 0; index <= kRomIndex; ++index) {
      const BarView view = function->bar(index);
      if (!view.mapped || address < view.gpa || address - view.gpa >= view.size) continue;
      return BarHit{.function = function,
                    .bdf = GuestBdf(static_cast<std::uint16_t>(devfn)),
                    .bar = index,
                    .offset = address - view.gpa};
    }
  }
  return std::nullopt;
}

}  // namespace penstock::vpci
