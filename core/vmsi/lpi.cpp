// LPIs of the virtual GIC: the lock-free inbox, where each one goes, and its configuration.
//
// A pending LPI is one bit, at one vCPU: in its word there, or in a list register. An owner that
// takes the bit has named the list register before (take_lpi()); one that gives it back sets the
// bit before it empties the list register. Whoever clears, moves or disables an LPI changes the
// route first and then the bit, so that it finds the bit or sees who holds the LPI; and whoever
// sets a bit looks at the route afterwards.
#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/vmsi/bit_positions.hpp"
#include "core/vmsi/virtual_gic.hpp"
#include "core/vmsi/wired_bits.hpp"

namespace penstock::vmsi {

namespace {

namespace gicr = hw::gic::gicr;
namespace lpi_config = hw::gic::lpi_config;

constexpr std::uint64_t word_bit_of(std::uint32_t index) {
  return std::uint64_t{1} << (index >> 6);
}
constexpr std::uint8_t target_of(std::uint16_t route) {
  return static_cast<std::uint8_t>(route >> 8);
}
constexpr bool enabled_in(std::uint16_t route) {
  return (route & lpi_config::Enable::kMask) != 0;
}

}  // namespace

void VirtualGic::post_lpi(VcpuIndex target, GuestIntId lpi, bool kick) {
  const std::uint32_t index = lpi.value() - kFirstLpi;
  if (index >= kLpiCount || target.value() >= vcpu_count_) return;
  Vcpu& v = vcpus_[target.value()];
  // Pairs with set_lpi_config() and route_locked(): one of the two sees the other's change.
  v.lpi_pending[index >> 6].fetch_or(lpi_bit(index), std::memory_order_acq_rel);
  if (target_of(lpis_[index].load(std::memory_order_relaxed)) != v.index) [[unlikely]] {
    return forward_lpi(v, index);
  }
  if (kick) {
    post(target.value(), word_bit_of(index));
  } else {
    v.mail.fetch_or(word_bit_of(index), std::memory_order_acq_rel);  // pairs with deliver()
  }
}

void VirtualGic::post_all(std::uint64_t mail) {
  for (unsigned i = 0; i < vcpu_count_; ++i) post(i, mail);
}

/// A pending bit that turned up at a vCPU where the LPI does not belong: on to where it does, or
/// dropped.
void VirtualGic::forward_lpi(Vcpu& from, std::uint32_t index) {
  const UnfairGuard guard(lpi_lock_);
  move_pending(from, index);
}

void VirtualGic::move_pending(Vcpu& from, std::uint32_t index) {
  const std::uint8_t target = target_of(lpis_[index].load(std::memory_order_relaxed));
  if (target == from.index) return;
  const std::uint64_t before =
      from.lpi_pending[index >> 6].fetch_and(~lpi_bit(index), std::memory_order_acq_rel);
  if ((before & lpi_bit(index)) == 0 || target == kNowhere) return;
  vcpus_[target].lpi_pending[index >> 6].fetch_or(lpi_bit(index), std::memory_order_acq_rel);
  post(target, word_bit_of(index));
}

/// It is in one of the vCPU's list registers, or is about to be, or was until a moment ago.
bool VirtualGic::holds(const Vcpu& v, std::uint32_t intid) {
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    if (v.intid[slot].load(std::memory_order_relaxed) == intid) return true;
  }
  return false;
}

void VirtualGic::route_lpi(GuestIntId lpi, std::optional<VcpuIndex> target) {
  if (!is_lpi(lpi) || (target && target->value() >= vcpu_count_)) return;
  const UnfairGuard guard(lpi_lock_);
  route_locked(lpi.value() - kFirstLpi, target ? target->value() : kNowhere);
}

/// What is pending moves along now, also where the CPU that has it is off; what is in a list
/// register comes back to be forwarded or dropped.
void VirtualGic::route_locked(std::uint32_t index, std::uint8_t target) {
  const std::uint16_t before = lpis_[index].load(std::memory_order_relaxed);
  const std::uint8_t old = target_of(before);
  lpis_[index].store(static_cast<std::uint16_t>(target << 8 | (before & 0xff)),
                     std::memory_order_release);
  if (old == target || old == kNowhere) return;
  move_pending(vcpus_[old], index);
  if (holds(vcpus_[old], kFirstLpi + index)) post(old, kFold);
}

std::optional<VcpuIndex> VirtualGic::lpi_target(GuestIntId lpi) const {
  if (!is_lpi(lpi)) return std::nullopt;
  const std::uint8_t target =
      target_of(lpis_[lpi.value() - kFirstLpi].load(std::memory_order_relaxed));
  if (target == kNowhere) return std::nullopt;
  return VcpuIndex(target);
}

void VirtualGic::move_lpis(VcpuIndex from, VcpuIndex to) {
  if (from.value() >= vcpu_count_ || to.value() >= vcpu_count_ || from == to) return;
  const UnfairGuard guard(lpi_lock_);
  for (std::uint32_t i = 0; i < kLpiCount; ++i) {
    if (target_of(lpis_[i].load(std::memory_order_relaxed)) == from.value()) {
      route_locked(i, to.value());
    }
  }
}

/// At every vCPU: one that had it before it moved may not have looked since.
void VirtualGic::clear_lpi(GuestIntId lpi) {
  if (!is_lpi(lpi)) return;
  const std::uint32_t index = lpi.value() - kFirstLpi;
  const UnfairGuard guard(lpi_lock_);
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    Vcpu& v = vcpus_[i];
    v.lpi_pending[index >> 6].fetch_and(~lpi_bit(index), std::memory_order_acq_rel);
    if (!holds(v, lpi.value())) continue;
    // After the bit: a request that take_lpi() finds is older than the bit that it takes.
    v.lpi_clear[index >> 6].fetch_or(lpi_bit(index), std::memory_order_release);
    post(i, kFold);
  }
}

void VirtualGic::configure_lpi(GuestIntId lpi, bool enabled, std::uint8_t priority) {
  if (!is_lpi(lpi)) return;
  const UnfairGuard guard(lpi_lock_);
  set_lpi_config(lpi.value() - kFirstLpi,
                 static_cast<std::uint8_t>((priority & lpi_config::Priority::kMask) |
                                           (enabled ? lpi_config::Enable::kMask : 0)));
}

void VirtualGic::set_lpi_config(std::uint32_t index, std::uint8_t config) {
  const std::uint16_t before = lpis_[index].load(std::memory_order_relaxed);
  const auto kept =
      static_cast<std::uint8_t>(config & (lpi_config::Priority::kMask | lpi_config::Enable::kMask));
  lpis_[index].store(static_cast<std::uint16_t>((before & 0xff00U) | kept),
                     std::memory_order_release);
  const std::uint8_t target = target_of(before);
  if (target == kNowhere || enabled_in(before) == enabled_in(kept)) return;
  // Enabled: what waits is to be delivered. Disabled: what sits in a list register is to come back.
  Vcpu& v = vcpus_[target];
  // An update that changes nothing orders this look against post_lpi() and take_lpi().
  const bool there =
      (v.lpi_pending[index >> 6].fetch_or(0, std::memory_order_acq_rel) & lpi_bit(index)) != 0;
  if (there || holds(v, kFirstLpi + index)) {
    post(target, enabled_in(kept) ? word_bit_of(index) : kFold);
  }
}

/// The configuration table as `vcpu`'s redistributor knows it: its address and how many LPIs it
/// covers, none while LPIs are off there.
VirtualGic::PropertyTable VirtualGic::property_table(unsigned vcpu) const {
  const RedistributorRegisters& r = redistributors_[vcpu];
  const std::uint64_t intids = std::uint64_t{2} << get<gicr::PropIdBits>(r.propbaser);
  if (!r.enable_lpis || intids <= kFirstLpi) return {};
  const std::uint64_t lpis = intids - kFirstLpi;
  return {Gpa(r.propbaser & gicr::PropAddress::kMask),
          static_cast<std::uint32_t>(lpis < kLpiCount ? lpis : kLpiCount)};
}

void VirtualGic::load_lpi_config(GuestIntId lpi) {
  if (!is_lpi(lpi)) return;
  const std::uint32_t index = lpi.value() - kFirstLpi;
  const UnfairGuard guard(lpi_lock_);
  const std::uint8_t target = target_of(lpis_[index].load(std::memory_order_relaxed));
  if (target == kNowhere) return set_lpi_config(index, 0);
  const PropertyTable table = property_table(target);
  std::array<std::uint8_t, 1> byte{};
  if (index >= table.lpis || !memory_->read(table.address + index, byte)) byte[0] = 0;
  set_lpi_config(index, byte[0]);
}

void VirtualGic::load_lpi_configs(VcpuIndex target) {
  if (target.value() >= vcpu_count_) return;
  const UnfairGuard guard(lpi_lock_);
  load_lpi_configs_locked(target.value());
}

void VirtualGic::load_lpi_configs_locked(unsigned target) {
  const PropertyTable table = property_table(target);
  std::array<std::uint8_t, 64> bytes{};
  for (std::uint32_t first = 0; first < kLpiCount; first += 64) {
    bool read = false;
    for (std::uint32_t i = first; i < first + 64; ++i) {
      if (target_of(lpis_[i].load(std::memory_order_relaxed)) != target) continue;
      if (!read) {
        if (first + 64 > table.lpis || !memory_->read(table.address + first, bytes)) bytes.fill(0);
        read = true;
      }
      set_lpi_config(i, bytes[i - first]);
    }
  }
}

void VirtualGic::refresh_lpi_gates() {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    const bool open =
        redistributors_[i].enable_lpis && (groups_.load(std::memory_order_relaxed) & kGroup1) != 0;
    if (vcpus_[i].lpis_open.exchange(open, std::memory_order_acq_rel) == open) continue;
    post(i, kAllLpis | kFold);
  }
}

}  // namespace penstock::vmsi
