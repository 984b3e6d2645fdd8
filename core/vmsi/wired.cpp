// SGIs, PPIs and SPIs of the virtual GIC: where they come from and who is told.
#include <bit>

#include "core/base/bits.hpp"
#include "core/hw/gic/cpu_interface.hpp"
#include "core/hw/gic/lpi.hpp"
#include "core/vmsi/bit_positions.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

namespace {

namespace sgi1r = hw::gic::icc_sgi1r;
using hw::gic::router_affinity;

}  // namespace

// ---- sources ----

void VirtualGic::send_sgi_to(unsigned vcpu, std::uint32_t bit) {
  Vcpu& v = vcpus_[vcpu];
  // This register sends Group 1 interrupts; the receiver's configuration decides (12.2.19).
  if ((v.group1.load(std::memory_order_relaxed) & bit) == 0) return;
  v.arrived.fetch_or(bit, std::memory_order_relaxed);  // published by post()
  post(vcpu, kPrivate);
}

/// To the vCPU of this affinity, if there is one.
void VirtualGic::send_sgi_at(std::uint64_t affinity, std::uint32_t bit) {
  if (const std::optional<unsigned> target = vcpu_of(affinity)) send_sgi_to(*target, bit);
}

void VirtualGic::send_sgi(VcpuIndex from, std::uint64_t value) {
  const std::uint32_t bit = 1U << get<sgi1r::INTID>(value);
  const std::uint64_t cluster = get<sgi1r::Aff3>(value) << 32 | get<sgi1r::Aff2>(value) << 16 |
                                get<sgi1r::Aff1>(value) << 8 | get<sgi1r::RS>(value) << 4;
  const std::uint64_t list = get<sgi1r::TargetList>(value);
  if (get<sgi1r::IRM>(value) != 0) return send_sgi_to_others(from, bit);
  if (!std::has_single_bit(list)) return send_sgi_to_list(cluster, list, bit);
  send_sgi_at(cluster | static_cast<unsigned>(std::countr_zero(list)), bit);
}

// Calls of their own, so that an SGI to one target saves no registers for them.

[[gnu::noinline]] void VirtualGic::send_sgi_to_others(VcpuIndex from, std::uint32_t bit) {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (i != from.value()) send_sgi_to(i, bit);
  }
}

[[gnu::noinline]] void VirtualGic::send_sgi_to_list(std::uint64_t cluster, std::uint64_t list,
                                                    std::uint32_t bit) {
  for (const unsigned i : BitPositions(list)) send_sgi_at(cluster | i, bit);
}

void VirtualGic::set_spi_level(unsigned intid, bool level) {
  if (intid < kFirstSpi || intid >= kFirstSpi + kSpiCount) return;
  const std::uint32_t bit = 1U << (intid - kFirstSpi);
  if (!spi_line_is(bit, level)) change_spi_line(bit, level);
}

/// As a rule it is, and nothing is called or saved.
bool VirtualGic::spi_line_is(std::uint32_t bit, bool level) {
  const UnfairGuard guard(spi_lock_);
  return ((spis_.line & bit) != 0) == level;
}

[[gnu::noinline]] void VirtualGic::change_spi_line(std::uint32_t bit, bool level) {
  const UnfairGuard guard(spi_lock_);
  if (((spis_.line & bit) != 0) == level) return;  // another was faster
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
  if (vcpu.value() >= vcpu_count_ || intid < 16 || intid >= kFirstSpi) return;
  vcpus_[vcpu.value()].arrived.fetch_or(1U << intid, std::memory_order_relaxed);
  post(vcpu.value(), kPrivate);
}

void VirtualGic::deactivate(VcpuIndex from, port::ListRegisters& own, std::uint32_t intid) {
  if (from.value() >= vcpu_count_ || !own.deactivates_apart()) return;
  if (intid < kFirstSpi) {
    Vcpu& v = vcpus_[from.value()];
    const UnfairGuard guard(v.lock);
    write_private_bits(v, BitRegister::kClearActive, 1U << intid, from.value(), own);
  } else if (intid < kFirstSpi + kSpiCount) {
    write_spi_bits(BitRegister::kClearActive, 1U << (intid - kFirstSpi), from.value(), own);
  }
}

// ---- who is told ----

void VirtualGic::announce_private(Vcpu& v) {
  if ((ready(v.bank) | merging(v.bank)) != 0) post(v.index, kPrivate);
}

/// To everybody `but` who looks anyway.
void VirtualGic::announce_spis(unsigned but) {
  const std::uint32_t fresh = ready(spis_);
  const std::uint32_t again = merging(spis_) & spis_.edge;
  if ((fresh | again) == 0) return;
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (i != but && ((fresh & routed_[i]) | (again & held_[i])) != 0) post(i, kSpis);
  }
}

/// Something about `which` interrupts of a vCPU changed that list registers must follow: at once
/// for our own.
void VirtualGic::request_private(Vcpu& v, std::uint32_t which, unsigned from,
                                 port::ListRegisters& own) {
  if ((which & (v.bank.resident | v.bank.hardware)) == 0) return;
  if (v.index == from) {
    serve_requests(v, own);
    announce_freed(v);
  } else {
    post(v.index, kFold);
  }
}

/// Asks those who have one of `which` in a list register to look; true when that is `from` itself.
bool VirtualGic::ask_holders(std::uint32_t which, unsigned from) {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (i != from && (held_[i] & which) != 0) post(i, kFold);
  }
  return (held_[from] & which) != 0;
}

void VirtualGic::serve_own(unsigned from, port::ListRegisters& own) {
  Vcpu& v = vcpus_[from];
  const UnfairGuard guard(v.lock);
  serve_requests(v, own);
  announce_freed(v);
}

/// Before software reads pending or active state: exact for our own list registers; another vCPU is
/// asked to look at its own, and what was seen there last is the answer. A reader that polls sees
/// the change.
void VirtualGic::look_private(Vcpu& v, unsigned from, port::ListRegisters& own) {
  collect_arrivals(v);
  if (v.index == from) {
    collect_ticks(v);
    fold(v, own);
    drop_low_lines(v, own, v.bank.hardware);
    announce_freed(v);
  } else if ((v.bank.resident | v.bank.hardware) != 0) {
    post(v.index, kFold);
  }
}

void VirtualGic::look_spis(unsigned from, port::ListRegisters& own) {
  Vcpu& v = vcpus_[from];
  bool ours = v.evicted_spis != 0;
  {
    const UnfairGuard guard(spi_lock_);
    if (ask_holders(~0U, from)) ours = true;
  }
  if (!ours) return;
  const UnfairGuard guard(v.lock);
  fold(v, own);
  announce_freed(v);
}

std::optional<unsigned> VirtualGic::vcpu_of(std::uint64_t affinity) const {
  const std::uint64_t wanted = router_affinity(affinity);
  const std::uint64_t guess = wanted & 0xff;  // Aff0 is the index, as a rule
  if (guess < vcpu_count_ && affinity_[guess] == wanted) return static_cast<unsigned>(guess);
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (affinity_[i] == wanted) return i;
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

}  // namespace penstock::vmsi
