// LPIs of the virtual GIC: the lock-free inbox, where each one goes, and its configuration.
#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

namespace {

namespace gicr = hw::gic::gicr;
namespace lpi_config = hw::gic::lpi_config;

constexpr std::uint64_t bit_of(std::uint32_t index) {
  return std::uint64_t{1} << (index & 63);
}
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
  // Pairs with set_lpi_config(): one of the two sees the other's change.
  v.lpi_pending[index >> 6].fetch_or(bit_of(index), std::memory_order_acq_rel);
  if (kick) {
    post(target.value(), word_bit_of(index));
  } else {
    v.mail.fetch_or(word_bit_of(index), std::memory_order_acq_rel);  // pairs with deliver()
  }
}

void VirtualGic::post_all(std::uint64_t mail) {
  for (unsigned i = 0; i < vcpu_count_; ++i) post(i, mail);
}

/// A pending bit that turned up at a vCPU where the LPI does not belong: on to `target`, or
/// dropped.
void VirtualGic::forward_lpi(unsigned from, std::uint32_t index, std::uint8_t target) {
  const std::uint64_t before =
      vcpus_[from].lpi_pending[index >> 6].fetch_and(~bit_of(index), std::memory_order_acq_rel);
  if ((before & bit_of(index)) == 0 || target == kNowhere) return;
  post_lpi(VcpuIndex(target), GuestIntId(kFirstLpi + index), true);
}

void VirtualGic::route_lpi(GuestIntId lpi, std::optional<VcpuIndex> target) {
  if (!is_lpi(lpi) || (target && target->value() >= vcpu_count_)) return;
  const LockGuard guard(lock_);
  route_locked(lpi.value() - kFirstLpi, target ? target->value() : kNowhere);
}

void VirtualGic::route_locked(std::uint32_t index, std::uint8_t target) {
  const std::uint16_t before = lpis_[index].load(std::memory_order_relaxed);
  const std::uint8_t old = target_of(before);
  lpis_[index].store(static_cast<std::uint16_t>(target << 8 | (before & 0xff)),
                     std::memory_order_release);
  if (old == target || old == kNowhere) return;
  // The old owner forwards or drops what is pending, wherever it sits there.
  if (is_lpi_there(old, index)) post(old, word_bit_of(index) | kFold);
}

bool VirtualGic::is_lpi_there(unsigned vcpu, std::uint32_t index) {
  Vcpu& v = vcpus_[vcpu];
  // An update that changes nothing orders this look against post_lpi(), whose bit we see or whose
  // owner sees what we stored before.
  return (v.lpi_pending[index >> 6].fetch_or(0, std::memory_order_acq_rel) & bit_of(index)) != 0 ||
         v.used.load(std::memory_order_relaxed) != 0;
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
  const LockGuard guard(lock_);
  for (std::uint32_t i = 0; i < kLpiCount; ++i) {
    if (target_of(lpis_[i].load(std::memory_order_relaxed)) == from.value()) {
      route_locked(i, to.value());
    }
  }
}

void VirtualGic::clear_lpi(GuestIntId lpi) {
  if (!is_lpi(lpi)) return;
  const std::uint32_t index = lpi.value() - kFirstLpi;
  const LockGuard guard(lock_);
  const std::uint8_t target = target_of(lpis_[index].load(std::memory_order_relaxed));
  if (target == kNowhere) return;
  Vcpu& v = vcpus_[target];
  v.lpi_pending[index >> 6].fetch_and(~bit_of(index), std::memory_order_acq_rel);
  if (v.used.load(std::memory_order_relaxed) == 0) return;
  v.lpi_clear[index >> 6].fetch_or(bit_of(index), std::memory_order_relaxed);
  post(target, kFold);
}

void VirtualGic::configure_lpi(GuestIntId lpi, bool enabled, std::uint8_t priority) {
  if (!is_lpi(lpi)) return;
  const LockGuard guard(lock_);
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
  if (is_lpi_there(target, index)) {
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
  const LockGuard guard(lock_);
  const std::uint8_t target = target_of(lpis_[index].load(std::memory_order_relaxed));
  if (target == kNowhere) return set_lpi_config(index, 0);
  const PropertyTable table = property_table(target);
  std::array<std::uint8_t, 1> byte{};
  if (index >= table.lpis || !memory_->read(table.address + index, byte)) byte[0] = 0;
  set_lpi_config(index, byte[0]);
}

void VirtualGic::load_lpi_configs(VcpuIndex target) {
  if (target.value() >= vcpu_count_) return;
  const LockGuard guard(lock_);
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
    const bool open = redistributors_[i].enable_lpis && group1_on_;
    if (vcpus_[i].lpis_open.exchange(open, std::memory_order_acq_rel) == open) continue;
    post(i, kAllLpis | kFold);
  }
}

}  // namespace penstock::vmsi
