// What goes into list registers: the way of every virtual interrupt to the guest.
//
// The most urgent of what is pending has a list register, always: a less urgent one that is only
// pending gives up its own for it, and where all are active, the least urgent of these. What still
// waits is looked at again as soon as the guest has taken all that is pending (NPIE), and an
// interrupt that is ended without a list register is counted by hardware (LRENPIE): so that a guest
// may have any number of interrupts active, nested or with EOImode = 1, as on hardware.
#include <bit>

#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/hw/gic/lpi.hpp"
#include "core/vmsi/bit_positions.hpp"
#include "core/vmsi/candidate_list.hpp"
#include "core/vmsi/list_register.hpp"
#include "core/vmsi/virtual_gic.hpp"
#include "core/vmsi/wired_bits.hpp"

namespace penstock::vmsi {

namespace {

namespace lpi_config = hw::gic::lpi_config;

/// Hardware implements at least the upper five bits of a priority (ICH_VTR_EL2.PRIbits); only these
/// are compared.
constexpr std::uint8_t kPriorityBits = 0xf8;

constexpr std::uint64_t lpi_register(std::uint32_t index, std::uint16_t route) {
  return lr::Pending::kMask | lr::Group::kMask |
         with<lr::Priority>(0, route & lpi_config::Priority::kMask) | (kFirstLpi + index);
}

/// Out of a bank and into a list register: its value.
std::uint64_t take_wired(InterruptBank& bank, const Candidate& candidate) {
  const std::uint32_t bit = wired_bit(candidate.intid);
  std::uint64_t value = with<lr::Priority>(candidate.intid, candidate.priority);
  value = with<lr::Group>(value, (bank.group1 & bit) != 0 ? 1 : 0);
  value = with<lr::Pending>(value, 1);
  if ((bank.hardware & bit) != 0) {
    value = with<lr::HW>(with<lr::PINTID>(value, candidate.intid), 1);
    bank.hardware &= ~bit;  // from here on the list register knows
  } else if (is_spi(candidate.intid) && (bank.edge & bit) == 0) {
    value = with<lr::EOI>(value, 1);  // the line is looked at again at the end
  }
  bank.latched |= bank.pending & bit;
  bank.pending &= ~bit;
  bank.seen_pending |= bit;
  bank.resident |= bit;
  return value;
}

/// The list register's new value for a new instance of the interrupt in it; 0: none.
std::uint64_t merge_wired(InterruptBank& bank, std::uint32_t intid, std::uint64_t value) {
  const std::uint32_t bit = wired_bit(intid);
  if ((bank.hardware & bit) != 0) {
    // Software made it pending before the physical one came. Pending and active with HW = 1 is not
    // allowed (12.4.8): an active one is waited for.
    if (lr::active(value)) return with<lr::EOI>(value, 1);
    bank.hardware &= ~bit;
    return with<lr::HW>(with<lr::PINTID>(value, intid), 1);
  }
  bank.pending &= ~bit;
  bank.latched |= bit;
  if (lr::tied(value) && lr::pending(value)) return value;
  if (lr::tied(value)) {
    // Software makes it pending while the physical one is active: from here on its deactivation is
    // ours, when it ends.
    bank.hardware |= bit;
    value = with<lr::EOI>(with<lr::PINTID>(with<lr::HW>(value, 0), 0), 1);
  }
  return with<lr::Pending>(value, 1);
}

}  // namespace

// ---- the short ways ----

/// False: it needs the long way. Part of the one hot path, hence no call of its own.
[[gnu::always_inline]] inline bool VirtualGic::deliver_lpi(Vcpu& v, port::ListRegisters& own,
                                                           std::uint32_t index,
                                                           std::uint32_t& used) {
  const std::uint16_t route = lpis_[index].load(std::memory_order_relaxed);
  if (route >> 8 != v.index) return false;                    // moved or discarded
  if ((route & lpi_config::Enable::kMask) == 0) return true;  // stays pending
  for (const unsigned slot : BitPositions(used)) {            // never twice: merge() decides
    if (v.intid[slot].load(std::memory_order_relaxed) == kFirstLpi + index) return false;
  }
  const std::uint32_t free = v.registers & ~used;
  if (free == 0) return false;
  const auto slot = static_cast<unsigned>(std::countr_zero(free));
  v.intid[slot].store(kFirstLpi + index, std::memory_order_relaxed);
  v.used.store(used | 1U << slot, std::memory_order_relaxed);
  if (!take_lpi(v, index)) {
    v.used.store(used, std::memory_order_relaxed);
    return true;
  }
  own.write(slot, lpi_register(index, route));
  used |= 1U << slot;
  return true;
}

/// Takes the pending bit of an LPI for a list register, which others can see to be its own already:
/// whoever clears, moves or disables it finds the bit, or knows whom to ask. False: it was faster.
[[gnu::always_inline]] inline bool VirtualGic::take_lpi(Vcpu& v, std::uint32_t index) {
  const unsigned word = index >> 6;
  // A request to clear it that is older than the bit (clear_lpi()) was about another instance.
  if ((v.lpi_clear[word].load(std::memory_order_relaxed) & lpi_bit(index)) != 0) [[unlikely]] {
    v.lpi_clear[word].fetch_and(~lpi_bit(index), std::memory_order_relaxed);
  }
  const std::uint64_t before =
      v.lpi_pending[word].fetch_and(~lpi_bit(index), std::memory_order_acq_rel);
  return (before & lpi_bit(index)) != 0;
}

/// When nothing but LPIs with room for each is at hand: no lock.
[[gnu::noinline]] void VirtualGic::deliver_lpis(Vcpu& v, port::ListRegisters& own) {
  if (!v.lpis_open.load(std::memory_order_relaxed)) {
    v.deferred = 0;  // refresh_lpi_gates() announces everything when it opens
    return;
  }
  std::uint32_t used = v.used.load(std::memory_order_relaxed);
  if (used != 0) {
    const std::uint32_t ended = used & own.empty_mask();
    if ((ended & v.used_wired) != 0) return deliver_slowly(v, own, 0);
    used &= ~ended;
  }
  v.used.store(used, std::memory_order_relaxed);
  bool done = true;
  while (v.deferred != 0 && done) {
    const auto word = static_cast<unsigned>(std::countr_zero(v.deferred));
    std::uint64_t bits = v.lpi_pending[word].load(std::memory_order_acquire);
    while (bits != 0 && done) {
      const std::uint32_t index = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
      bits &= bits - 1;
      done = deliver_lpi(v, own, index, used);
    }
    if (done) v.deferred &= v.deferred - 1;
  }
  if (!done) deliver_slowly(v, own, 0);
}

/// False: there is no room. What put() and fold_empty() do for any interrupt is done here for SGIs
/// and PPIs alone.
[[gnu::always_inline]] inline bool VirtualGic::fill_private(Vcpu& v, port::ListRegisters& own) {
  const UnfairGuard guard(v.lock);
  InterruptBank& bank = v.bank;
  const std::uint32_t ticked = v.ticked;  // their lines were high just now
  collect_arrivals(v);
  collect_ticks(v);
  if (v.used.load(std::memory_order_relaxed) != 0) release_ended(v, own.empty_mask());
  if (v.ends_watched) fold_unlisted(v, own);
  v.freed = 0;
  if ((bank.hardware & ~ticked) != 0) drop_low_lines(v, own, ~ticked);
  const std::uint32_t on = deliverable(bank);
  std::uint32_t used = v.used.load(std::memory_order_relaxed);
  for (const unsigned i : BitPositions(bank.wants() & on & ~bank.active & ~bank.resident)) {
    const std::uint32_t free = v.registers & ~used;
    if (free == 0) return false;
    const auto slot = static_cast<unsigned>(std::countr_zero(free));
    const std::uint64_t value = take_wired(bank, {i, bank.priority[i]});
    v.evicted &= ~(1U << i);
    v.intid[slot].store(i, std::memory_order_relaxed);
    used |= 1U << slot;
    v.used.store(used, std::memory_order_relaxed);
    v.used_wired |= 1U << slot;
    own.write(slot, value);
  }
  if ((bank.pending & on & bank.resident) != 0 || bank.hardware != 0) merge_private(v, own);
  return true;
}

/// New instances for the list registers that have the interrupts already.
[[gnu::noinline]] void VirtualGic::merge_private(Vcpu& v, port::ListRegisters& own) {
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
    if (intid < kFirstSpi && (merging(v.bank) & wired_bit(intid)) != 0) merge(v, own, slot);
  }
}

/// When SGIs and PPIs have room: only this vCPU's own lock, which nobody else wants as a rule. A
/// tick and an SGI are delivered so.
[[gnu::noinline]] void VirtualGic::deliver_private(Vcpu& v, port::ListRegisters& own) {
  if (!fill_private(v, own) || v.spis_due || v.deferred != 0) deliver_slowly(v, own, 0);
}

void VirtualGic::deliver(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  // Takes the mail; what it announces is visible after this (pairs with post() and post_lpi()).
  const std::uint64_t mail = v.mail.exchange(0, std::memory_order_acq_rel);
  v.deferred |= mail & kAllLpis;
  if ((mail & (kSpis | kFold)) != 0 || v.unsettled()) return deliver_slowly(v, own, mail);
  if ((mail & kPrivate) != 0) return deliver_private(v, own);
  deliver_lpis(v, own);
}

[[gnu::noinline]] void VirtualGic::deliver_slowly(Vcpu& v, port::ListRegisters& own,
                                                  std::uint64_t mail) {
  const UnfairGuard guard(v.lock);
  if ((mail & kSpis) != 0) v.spis_due = true;
  collect_arrivals(v);
  collect_ticks(v);
  if ((mail & kFold) != 0) {
    serve_requests(v, own);
  } else {
    fold_empty(v, own);
  }
  refill(v, own);
}

void VirtualGic::maintenance(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  const std::uint64_t mail = v.mail.exchange(0, std::memory_order_acq_rel);  // as in deliver()
  v.deferred |= mail & kAllLpis;
  const UnfairGuard guard(v.lock);
  if ((mail & kSpis) != 0) v.spis_due = true;
  collect_arrivals(v);
  collect_ticks(v);
  fold(v, own);
  if ((mail & kFold) != 0) serve_requests(v, own);
  refill(v, own);
}

void VirtualGic::collect_arrivals(Vcpu& v) {
  if (v.arrived.load(std::memory_order_relaxed) != 0) {
    v.bank.pending |= v.arrived.exchange(0, std::memory_order_relaxed);
  }
}

void VirtualGic::collect_ticks(Vcpu& v) {
  v.bank.hardware |= v.ticked;
  v.ticked = 0;
}

// ---- the long way ----

void VirtualGic::refill(Vcpu& v, port::ListRegisters& own) {
  drop_low_lines(v, own, ~0U);
  CandidateList list(own.count());
  collect_private(v, list);
  if (v.spis_due) collect_spis(v, list);
  collect_lpis(v, list);
  bool waiting = list.overflowed();
  for (const Candidate& candidate : list) {
    if (!place(v, own, candidate)) waiting = true;
  }
  // place() may have taken back less urgent ones: they wait as well.
  if (v.returned) waiting = true;
  v.returned = false;
  v.freed = 0;
  v.spis_due = waiting;
  if (!waiting) v.deferred = 0;
  watch(v, own, waiting);
}

void VirtualGic::watch(Vcpu& v, port::ListRegisters& own, bool waiting) {
  const bool ends = (v.evicted | v.evicted_spis) != 0;
  if (waiting == v.waiting && ends == v.ends_watched) return;
  own.set_maintenance(waiting, ends);
  v.waiting = waiting;
  v.ends_watched = ends;
}

void VirtualGic::collect_private(Vcpu& v, CandidateList& list) {
  for (const unsigned i : BitPositions(ready(v.bank) | merging(v.bank))) {
    list.add({i, v.bank.priority[i]});
  }
}

/// SPIs for this vCPU that are in no list register, and new edges of those in its own. A
/// level-sensitive one is looked at again when the guest ends it; until then nothing is added to
/// it.
void VirtualGic::collect_spis(Vcpu& v, CandidateList& list) {
  const UnfairGuard guard(spi_lock_);
  const std::uint32_t fresh = ready(spis_) & routed_[v.index];
  const std::uint32_t again = merging(spis_) & held_[v.index] & spis_.edge;
  for (const unsigned i : BitPositions(fresh | again)) {
    list.add({kFirstSpi + i, spis_.priority[i]});
  }
}

void VirtualGic::collect_lpis(Vcpu& v, CandidateList& list) {
  if (!v.lpis_open.load(std::memory_order_relaxed)) v.deferred = 0;
  for (const unsigned word : BitPositions(v.deferred)) {
    bool any = false;
    for (const unsigned i : BitPositions(v.lpi_pending[word].load(std::memory_order_acquire))) {
      const std::uint32_t index = word * 64 + i;
      const std::uint16_t route = lpis_[index].load(std::memory_order_relaxed);
      if (route >> 8 != v.index) {
        forward_lpi(v, index);
      } else if ((route & lpi_config::Enable::kMask) != 0) {
        list.add(
            {kFirstLpi + index, static_cast<std::uint8_t>(route & lpi_config::Priority::kMask)});
        any = true;
      }
    }
    if (!any) v.deferred &= ~(std::uint64_t{1} << word);
  }
}

/// False: there is no room for it.
bool VirtualGic::place(Vcpu& v, port::ListRegisters& own, const Candidate& candidate) {
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    if (v.intid[slot].load(std::memory_order_relaxed) != candidate.intid) continue;
    if (!lr::valid(own.read(slot))) {  // ended, with its EOI request unserved
      fold_one(v, own, slot);
      break;
    }
    merge(v, own, slot);
    return true;
  }
  const std::optional<unsigned> slot = make_room(v, own, candidate);
  if (!slot) return false;
  put(v, own, *slot, candidate);
  return true;
}

/// The list register that has the interrupt takes the new instance: there are never two with one
/// number.
void VirtualGic::merge(Vcpu& v, port::ListRegisters& own, unsigned slot) {
  const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
  const std::uint64_t value = own.read(slot);
  std::uint64_t merged = value;
  if (intid >= kFirstLpi) {
    if (take_lpi(v, intid - kFirstLpi)) merged = with<lr::Pending>(value, 1);
  } else if (is_spi(intid)) {
    const UnfairGuard guard(spi_lock_);
    merged = merge_wired(spis_, intid, value);
  } else {
    merged = merge_wired(v.bank, intid, value);
  }
  if (merged != value) own.write(slot, merged);
}

std::optional<unsigned> VirtualGic::make_room(Vcpu& v, port::ListRegisters& own,
                                              const Candidate& candidate) {
  const std::uint32_t used = v.used.load(std::memory_order_relaxed);
  const std::uint32_t free = v.registers & ~used;
  if (free != 0) return static_cast<unsigned>(std::countr_zero(free));
  std::optional<unsigned> pending;  // the least urgent that is only pending, if less than this one
  std::optional<unsigned> active;   // the least urgent that is active
  bool any_pending = false;
  std::uint64_t least = candidate.priority & kPriorityBits;
  std::uint64_t least_active = 0;
  for (const unsigned slot : BitPositions(used)) {
    const std::uint64_t value = own.read(slot);
    const std::uint64_t priority = get<lr::Priority>(value) & kPriorityBits;
    if (lr::active(value)) {
      if (!active || priority > least_active) {
        least_active = priority;
        active = slot;
      }
      continue;
    }
    any_pending = true;
    if (priority > least) {
      least = priority;
      pending = slot;
    }
  }
  if (pending) {
    withdraw(v, own, *pending, false);
    v.returned = true;
    return pending;
  }
  if (any_pending || !active) return std::nullopt;
  evict(v, own, *active);
  return active;
}

void VirtualGic::put(Vcpu& v, port::ListRegisters& own, unsigned slot, const Candidate& candidate) {
  const std::uint32_t used = v.used.load(std::memory_order_relaxed);
  v.intid[slot].store(candidate.intid, std::memory_order_relaxed);
  v.used.store(used | 1U << slot, std::memory_order_relaxed);
  const std::uint64_t value = take(v, candidate);
  if (value == 0) return v.used.store(used, std::memory_order_relaxed);
  own.write(slot, value);
  if (candidate.intid < kFirstLpi) v.used_wired |= 1U << slot;
}

/// Takes a candidate out of our state: what to write into its list register. 0 when it is gone by
/// now.
std::uint64_t VirtualGic::take(Vcpu& v, const Candidate& candidate) {
  const std::uint32_t intid = candidate.intid;
  const std::uint32_t bit = wired_bit(intid);
  if (intid >= kFirstLpi) {
    const std::uint32_t index = intid - kFirstLpi;
    return take_lpi(v, index) ? lpi_register(index, candidate.priority) : 0;
  }
  if (intid < kFirstSpi) {
    if ((ready(v.bank) & bit) == 0) return 0;
    v.evicted &= ~bit;
    return take_wired(v.bank, candidate);
  }
  const UnfairGuard guard(spi_lock_);
  if ((ready(spis_) & routed_[v.index] & bit) == 0) return 0;
  const std::uint64_t value = take_wired(spis_, candidate);
  v.evicted_spis &= ~bit;
  held_[v.index] |= bit;
  return value;
}

}  // namespace penstock::vmsi
