// SGIs, PPIs and SPIs of the virtual GIC: where they come from, who is told, and the life cycle of
// the whole.
#include "core/base/bits.hpp"
#include "core/hw/gic/cpu_interface.hpp"
#include "core/hw/gic/lpi.hpp"
#include "core/vmsi/bit_positions.hpp"
#include "core/vmsi/list_register.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

namespace {

namespace sgi1r = hw::gic::icc_sgi1r;
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
  const LockGuard guard(lock_);
  for (unsigned i = 0; i < vcpus; ++i) redistributors_[i].mpidr = router_affinity(mpidrs[i]);
  reset_shared();
  for (unsigned i = 0; i < vcpus; ++i) reset_private(i);
  return {};
}

// ---- sources ----

void VirtualGic::send_sgi(VcpuIndex from, std::uint64_t value) {
  const std::uint32_t bit = 1U << get<sgi1r::INTID>(value);
  const bool all_others = get<sgi1r::IRM>(value) != 0;
  const std::uint64_t cluster = get<sgi1r::Aff3>(value) << 32 | get<sgi1r::Aff2>(value) << 16 |
                                get<sgi1r::Aff1>(value) << 8 | get<sgi1r::RS>(value) << 4;
  const LockGuard guard(lock_);
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    const std::uint64_t affinity = redistributors_[i].mpidr;
    const bool listed = (affinity & ~std::uint64_t{0xf}) == cluster &&
                        (get<sgi1r::TargetList>(value) >> (affinity & 0xf) & 1) != 0;
    if (all_others ? i == from.value() : !listed) continue;
    // This register sends Group 1 interrupts; the receiver's configuration decides (12.2.19).
    if ((private_[i].group1 & bit) == 0) continue;
    private_[i].pending |= bit;
    announce_private(i);
  }
}

void VirtualGic::set_spi_level(unsigned intid, bool level) {
  if (intid < kFirstSpi || intid >= kFirstSpi + kSpiCount) return;
  const std::uint32_t bit = 1U << (intid - kFirstSpi);
  const LockGuard guard(lock_);
  if (((spis_.line & bit) != 0) == level) return;
  if (level) {
    spis_.line |= bit;
    spis_.pending |= bit & spis_.edge;
    announce_spis();
    return;
  }
  spis_.line &= ~bit;
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if ((held_[i] & bit & ~spis_.edge) != 0) post(i, kFold);
  }
}

void VirtualGic::pend_private(VcpuIndex vcpu, unsigned intid) {
  pend_wired(vcpu.value(), intid, false);
}

void VirtualGic::pend_hardware_ppi(VcpuIndex self, unsigned intid) {
  pend_wired(self.value(), intid, true);
}

void VirtualGic::pend_wired(unsigned vcpu, unsigned intid, bool hardware) {
  if (vcpu >= vcpu_count_ || intid < 16 || intid >= kFirstSpi) return;
  const std::uint32_t bit = 1U << intid;
  const LockGuard guard(lock_);
  private_[vcpu].pending |= bit;
  if (hardware) private_[vcpu].hardware |= bit;
  announce_private(vcpu);
}

// ---- who is told ----

/// Those whose pending state the distributor forwards: enabled, and their group is on (4.1.2).
std::uint32_t VirtualGic::deliverable(const InterruptBank& bank) const {
  const std::uint32_t groups = (group1_on_ ? bank.group1 : 0U) | (group0_on_ ? ~bank.group1 : 0U);
  return bank.enabled & groups;
}

void VirtualGic::announce_private(unsigned vcpu) {
  const InterruptBank& bank = private_[vcpu];
  const std::uint32_t ready = bank.wants() & deliverable(bank) & ~bank.active;
  if ((ready | (bank.active & ~bank.resident)) != 0) post(vcpu, kWired);
}

void VirtualGic::announce_spis() {
  const std::uint32_t ready = (spis_.wants() & deliverable(spis_) & ~spis_.active) | spis_.active;
  const std::uint32_t merging = spis_.pending & deliverable(spis_) & spis_.edge;
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    const std::uint32_t fresh = ready & ~spis_.resident & routed_[i];
    if ((fresh | (merging & held_[i])) != 0) post(i, kWired);
  }
}

/// Something about `which` interrupts of a vCPU changed that list registers must follow: at once
/// for our own.
void VirtualGic::request_private(unsigned vcpu, std::uint32_t which, unsigned from,
                                 port::ListRegisters& own) {
  const InterruptBank& bank = private_[vcpu];
  if ((which & (bank.resident | bank.hardware)) == 0) return;
  if (vcpu == from) {
    serve_requests(from, own);
  } else {
    post(vcpu, kFold);
  }
}

void VirtualGic::request_spis(std::uint32_t which, unsigned from, port::ListRegisters& own) {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if ((held_[i] & which) == 0) continue;
    if (i == from) {
      serve_requests(from, own);
    } else {
      post(i, kFold);
    }
  }
}

/// Before software reads pending or active state: exact for our own list registers; another vCPU is
/// asked to look at its own, and what was seen there last is the answer. A reader that polls sees
/// the change.
void VirtualGic::look_private(unsigned vcpu, unsigned from, port::ListRegisters& own) {
  if (private_[vcpu].resident == 0) return;
  if (vcpu == from) {
    fold(from, own);
  } else {
    post(vcpu, kFold);
  }
}

void VirtualGic::look_spis(unsigned from, port::ListRegisters& own) {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (held_[i] == 0) continue;
    if (i == from) {
      fold(from, own);
    } else {
      post(i, kFold);
    }
  }
}

std::optional<unsigned> VirtualGic::vcpu_of(std::uint64_t affinity) const {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (redistributors_[i].mpidr == router_affinity(affinity)) return i;
  }
  return std::nullopt;
}

/// An SPI whose affinity names nobody is delivered to nobody (12.9.22).
void VirtualGic::route_spi(unsigned spi, std::uint64_t affinity) {
  spi_route_[spi] = router_affinity(affinity);
  const std::uint32_t bit = 1U << spi;
  for (std::uint32_t& mask : routed_) mask &= ~bit;
  if (const std::optional<unsigned> target = vcpu_of(affinity)) routed_[*target] |= bit;
}

// ---- life cycle ----

void VirtualGic::reset_shared() {
  group0_on_ = false;
  group1_on_ = false;
  spis_ = InterruptBank{};
  held_ = {};
  for (unsigned i = 0; i < kSpiCount; ++i) route_spi(i, redistributors_[0].mpidr);
  for (auto& lpi : lpis_) lpi.store(std::uint16_t{kNowhere} << 8, std::memory_order_relaxed);
}

void VirtualGic::reset_private(unsigned vcpu) {
  InterruptBank& bank = private_[vcpu];
  const std::uint32_t hardware = bank.hardware;  // drop_orphans() deactivates them on their own CPU
  bank = InterruptBank{};
  bank.edge = kSgis;
  bank.hardware = hardware;
  RedistributorRegisters& r = redistributors_[vcpu];
  r = RedistributorRegisters{.mpidr = r.mpidr};
  Vcpu& v = vcpus_[vcpu];
  v.lpis_open.store(false, std::memory_order_relaxed);
  for (auto& word : v.lpi_pending) word.store(0, std::memory_order_relaxed);
  for (auto& word : v.lpi_clear) word.store(0, std::memory_order_relaxed);
}

void VirtualGic::reset() {
  const LockGuard guard(lock_);
  reset_shared();
  for (unsigned i = 0; i < vcpu_count_; ++i) reset_private(i);
}

void VirtualGic::reset_vcpu(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  const LockGuard guard(lock_);
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    const std::uint64_t value = own.read(slot);
    if (lr::tied(value) && lr::valid(value)) own.deactivate_physical(v.intid[slot]);
  }
  for (unsigned slot = 0; slot < own.count(); ++slot) own.write(slot, 0);
  own.set_maintenance(false);
  v.registers = (1U << own.count()) - 1;
  v.used.store(0, std::memory_order_relaxed);
  v.used_wired = 0;
  v.underflow_on = false;
  v.evicted = false;
  v.deferred = 0;
  spis_.resident &= ~held_[self.value()];
  held_[self.value()] = 0;
  reset_private(self.value());
  drop_orphans(self.value(), own);
  v.mail.store(0, std::memory_order_relaxed);
  announce_spis();
}

void VirtualGic::park(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  const LockGuard guard(lock_);
  serve_requests(self.value(), own);
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    const std::uint64_t value = own.read(slot);
    const std::uint32_t intid = v.intid[slot];
    const bool hardware = lr::tied(value);
    if (hardware) own.deactivate_physical(intid);  // its line pends it again, if it still wants
    if (lr::active(value) && !hardware && intid < kFirstLpi) {
      bank_of(self.value(), intid).active |= 1U << (intid & 31);
    }
    withdraw(self.value(), own, slot, hardware);
    if ((v.used.load(std::memory_order_relaxed) & 1U << slot) == 0) continue;
    own.write(slot, 0);
    release_slot(self.value(), slot);
  }
  InterruptBank& bank = private_[self.value()];
  bank.pending &= ~bank.hardware;
  drop_orphans(self.value(), own);
  own.set_maintenance(false);
  v.underflow_on = false;
  v.deferred = 0;
  // Everything is looked at again when the vCPU comes back.
  v.mail.fetch_or(kAllLpis | kWired, std::memory_order_acq_rel);
}

}  // namespace penstock::vmsi
