// The life of a virtual GIC and of its vCPUs' parts: made, reset, a vCPU that comes on or goes off.
#include "core/hw/gic/cpu_interface.hpp"
#include "core/hw/gic/lpi.hpp"
#include "core/vmsi/bit_positions.hpp"
#include "core/vmsi/list_register.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

namespace {

using hw::gic::router_affinity;

constexpr std::uint32_t kSgis = 0xffff;

}  // namespace

Status VirtualGic::init(unsigned vcpus, std::span<const std::uint64_t> mpidrs,
                        port::GuestMem& memory, port::VcpuKick& kicks) {
  if (vcpus < 1 || vcpus > kMaxVcpus) return fail(Code::kOutOfRange, vcpus);
  if (mpidrs.size() < vcpus) return fail(Code::kOutOfRange, mpidrs.size());
  for (unsigned i = 0; i < vcpus; ++i) {
    for (unsigned j = 0; j < i; ++j) {
      if (router_affinity(mpidrs[i]) == router_affinity(mpidrs[j])) {
        return fail(Code::kAlreadyExists, mpidrs[i]);
      }
    }
  }
  vcpu_count_ = vcpus;
  memory_ = &memory;
  kicks_ = &kicks;
  for (unsigned i = 0; i < vcpus; ++i) {
    affinity_[i] = router_affinity(mpidrs[i]);
    vcpus_[i].index = static_cast<std::uint8_t>(i);
  }
  reset();
  return {};
}

void VirtualGic::reset() {
  reset_shared();
  for (unsigned i = 0; i < vcpu_count_; ++i) reset_private(i);
}

void VirtualGic::reset_shared() {
  groups_.store(0, std::memory_order_relaxed);
  for (auto& lpi : lpis_) lpi.store(std::uint16_t{kNowhere} << 8, std::memory_order_relaxed);
  const UnfairGuard guard(spi_lock_);
  spis_ = InterruptBank{};
  held_ = {};
  for (unsigned i = 0; i < kSpiCount; ++i) route_spi(i, affinity_[0]);
}

void VirtualGic::reset_private(unsigned vcpu) {
  Vcpu& v = vcpus_[vcpu];
  v.mail.store(0, std::memory_order_relaxed);
  v.arrived.store(0, std::memory_order_relaxed);
  v.group1.store(~0U, std::memory_order_relaxed);
  v.lpis_open.store(false, std::memory_order_relaxed);
  for (auto& word : v.lpi_pending) word.store(0, std::memory_order_relaxed);
  for (auto& word : v.lpi_clear) word.store(0, std::memory_order_relaxed);
  v.used.store(0, std::memory_order_relaxed);
  {
    const UnfairGuard guard(v.lock);
    v.bank = InterruptBank{};
    v.bank.edge = kSgis;
  }
  const UnfairGuard guard(lpi_lock_);
  redistributors_[vcpu] = {};
}

void VirtualGic::start_vcpu(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  for (unsigned slot = 0; slot < own.count(); ++slot) own.write(slot, 0);
  own.set_maintenance(false, false);
  v.registers = (1U << own.count()) - 1;
  v.used.store(0, std::memory_order_relaxed);
  v.used_wired = 0;
  v.ticked = 0;
  v.deferred = 0;
  v.spis_due = false;
  v.returned = false;
  v.freed = 0;
  v.waiting = false;
  v.evicted = 0;
  v.evicted_spis = 0;
  v.ends_watched = false;
  // From here on whoever posts finds the word empty, and kicks.
  v.mail.fetch_or(kEverything, std::memory_order_acq_rel);
  deliver(self, own);
}

void VirtualGic::park(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  const UnfairGuard guard(v.lock);
  collect_arrivals(v);
  collect_ticks(v);
  serve_requests(v, own);
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    if (lr::tied(own.read(slot))) {
      // Its line pends it again, if it still wants.
      own.deactivate_physical(v.intid[slot].load(std::memory_order_relaxed));
      own.write(slot, 0);
      release_slot(v, slot);
    } else {
      evict(v, own, slot);
    }
  }
  // What the physical interrupt has made active or pending goes with it.
  v.bank.active &= ~v.bank.hardware;
  for (const unsigned intid : BitPositions(v.bank.hardware)) own.deactivate_physical(intid);
  v.bank.hardware = 0;
  // Nobody ends what was acknowledged before: the running priorities do not outlive CPU_OFF.
  v.evicted = 0;
  v.evicted_spis = 0;
  v.waiting = false;
  v.ends_watched = false;
  own.set_maintenance(false, false);
}

}  // namespace penstock::vmsi
