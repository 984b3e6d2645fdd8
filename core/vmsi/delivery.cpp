// What goes into list registers: the way of every virtual interrupt to the guest.
//
// A list register's life, as seen from here (`used` bit, shadow `intid`):
//   empty      not used. fill() -> filled
//   filled     used; the guest acknowledges, ends and deactivates it without us. Pending in
//   hardware may be added
//              (merge()) or taken back (withdraw()).
//   ended      still used, but invalid in hardware: noticed by fold_*(), which makes it empty and
//   lets a
//              level-sensitive interrupt whose line is high become pending again.
#include <bit>

#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/vmsi/bit_positions.hpp"
#include "core/vmsi/candidate_list.hpp"
#include "core/vmsi/list_register.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

namespace {

namespace lpi_config = hw::gic::lpi_config;

/// Hardware implements at least the upper five bits of a priority (ICH_VTR_EL2.PRIbits); only these
/// are compared.
constexpr std::uint8_t kPriorityBits = 0xf8;

constexpr std::uint32_t wired_bit(std::uint32_t intid) {
  return 1U << (intid & 31);
}
constexpr bool is_spi(std::uint32_t intid) {
  return intid >= kFirstSpi && intid < kFirstLpi;
}
constexpr std::uint64_t lpi_bit(std::uint32_t index) {
  return std::uint64_t{1} << (index & 63);
}

constexpr std::uint64_t lpi_register(std::uint32_t index, std::uint16_t route) {
  return lr::Pending::kMask | lr::Group::kMask |
         with<lr::Priority>(0, route & lpi_config::Priority::kMask) | (kFirstLpi + index);
}

}  // namespace

/// False: it needs the long way. Part of the one hot path, hence no call of its own.
[[gnu::always_inline]] inline bool VirtualGic::deliver_lpi(Vcpu& v, unsigned self,
                                                           port::ListRegisters& own,
                                                           std::uint32_t index,
                                                           std::uint32_t& used) {
  const std::uint16_t route = lpis_[index].load(std::memory_order_relaxed);
  if (route >> 8 != self) return false;                       // moved or discarded
  if ((route & lpi_config::Enable::kMask) == 0) return true;  // stays pending
  for (const unsigned slot : BitPositions(used)) {            // never twice: merge() decides
    if (v.intid[slot] == kFirstLpi + index) return false;
  }
  const std::uint32_t free = v.registers & ~used;
  if (free == 0) return false;
  const auto slot = static_cast<unsigned>(std::countr_zero(free));
  v.lpi_pending[index >> 6].fetch_and(~lpi_bit(index), std::memory_order_relaxed);
  own.write(slot, lpi_register(index, route));
  v.intid[slot] = kFirstLpi + index;
  used |= 1U << slot;
  return true;
}

/// The short way, when nothing but LPIs with room for each is at hand: no lock. False: the rest
/// needs the long way.
[[gnu::always_inline]] inline bool VirtualGic::deliver_lpis(Vcpu& v, unsigned self,
                                                            port::ListRegisters& own) {
  if (!v.lpis_open.load(std::memory_order_relaxed)) {
    v.deferred = 0;  // refresh_lpi_gates() announces everything when it opens
    return true;
  }
  std::uint32_t used = v.used.load(std::memory_order_relaxed);
  if (used != 0) {
    const std::uint32_t ended = used & own.empty_mask();
    if ((ended & v.used_wired) != 0) return false;
    used &= ~ended;
  }
  bool done = true;
  while (v.deferred != 0 && done) {
    const auto word = static_cast<unsigned>(std::countr_zero(v.deferred));
    std::uint64_t bits = v.lpi_pending[word].load(std::memory_order_relaxed);
    while (bits != 0 && done) {
      const std::uint32_t index = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
      bits &= bits - 1;
      done = deliver_lpi(v, self, own, index, used);
    }
    if (done) v.deferred &= v.deferred - 1;
  }
  v.used.store(used, std::memory_order_relaxed);
  return done;
}

void VirtualGic::deliver(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  // Takes the mail; what it announces is visible after this (pairs with post() and post_lpi()).
  const std::uint64_t mail = v.mail.exchange(0, std::memory_order_acq_rel);
  v.deferred |= mail & kAllLpis;
  if ((mail & (kWired | kFold)) == 0 && !v.underflow_on && deliver_lpis(v, self.value(), own)) {
    return;
  }
  deliver_slowly(self.value(), own, (mail & kFold) != 0);
}

[[gnu::noinline]] void VirtualGic::deliver_slowly(unsigned self, port::ListRegisters& own,
                                                  bool requests) {
  const LockGuard guard(lock_);
  fold_empty(self, own);
  if (requests) serve_requests(self, own);
  refill(self, own);
}

void VirtualGic::maintenance(VcpuIndex self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self.value()];
  const std::uint64_t mail = v.mail.exchange(0, std::memory_order_acq_rel);  // as in deliver()
  v.deferred |= mail & kAllLpis;
  const LockGuard guard(lock_);
  fold(self.value(), own);
  if ((mail & kFold) != 0) serve_requests(self.value(), own);
  refill(self.value(), own);
}

// ---- from list registers back to us ----

/// Looks at every filled list register.
void VirtualGic::fold(unsigned self, port::ListRegisters& own) {
  for (const unsigned slot : BitPositions(vcpus_[self].used.load(std::memory_order_relaxed))) {
    fold_one(self, own, slot);
  }
}

/// Looks at those that hardware calls empty.
void VirtualGic::fold_empty(unsigned self, port::ListRegisters& own) {
  const std::uint32_t used = vcpus_[self].used.load(std::memory_order_relaxed);
  if (used == 0) return;
  for (const unsigned slot : BitPositions(used & own.empty_mask())) fold_one(self, own, slot);
}

void VirtualGic::fold_one(unsigned self, port::ListRegisters& own, unsigned slot) {
  Vcpu& v = vcpus_[self];
  const std::uint64_t value = own.read(slot);
  const std::uint32_t intid = v.intid[slot];
  if (intid < kFirstLpi) {
    InterruptBank& bank = bank_of(self, intid);
    const std::uint32_t bit = wired_bit(intid);
    bank.seen_pending = lr::pending(value) ? bank.seen_pending | bit : bank.seen_pending & ~bit;
    bank.seen_active = lr::active(value) ? bank.seen_active | bit : bank.seen_active & ~bit;
    if (!lr::pending(value)) bank.latched &= ~bit;
  }
  if (lr::valid(value)) return;
  if (value != 0) own.write(slot, 0);  // an EOI maintenance request ends here
  release_slot(self, slot);
}

void VirtualGic::release_slot(unsigned self, unsigned slot) {
  Vcpu& v = vcpus_[self];
  const std::uint32_t slot_bit = 1U << slot;
  v.used.store(v.used.load(std::memory_order_relaxed) & ~slot_bit, std::memory_order_relaxed);
  v.used_wired &= ~slot_bit;
  const std::uint32_t intid = v.intid[slot];
  if (intid >= kFirstLpi) return;
  InterruptBank& bank = bank_of(self, intid);
  const std::uint32_t bit = wired_bit(intid);
  bank.active |= bank.set_active & bit;
  for (std::uint32_t* field : {&bank.resident, &bank.seen_pending, &bank.seen_active, &bank.latched,
                               &bank.clear_pending, &bank.clear_active, &bank.set_active}) {
    *field &= ~bit;
  }
  if (!is_spi(intid)) return;
  held_[self] &= ~bit;
  if ((routed_[self] & bit) == 0) announce_spis();
}

/// Takes the pending state out of a list register; back to where it came from unless `drop`.
void VirtualGic::withdraw(unsigned self, port::ListRegisters& own, unsigned slot, bool drop) {
  Vcpu& v = vcpus_[self];
  const std::uint64_t value = own.read(slot);
  if (!lr::pending(value)) return;
  const std::uint32_t intid = v.intid[slot];
  if (intid >= kFirstLpi) {
    const std::uint32_t index = intid - kFirstLpi;
    if (!drop) {
      v.lpi_pending[index >> 6].fetch_or(lpi_bit(index), std::memory_order_acq_rel);
      v.deferred |= std::uint64_t{1} << (index >> 6);
    }
  } else if (!drop) {
    InterruptBank& bank = bank_of(self, intid);
    // A level-sensitive SPI that nobody latched was pending because of its line, which still says
    // what it has to.
    bank.pending |= wired_bit(intid) & (is_spi(intid) ? bank.edge | bank.latched : ~0U);
    if (lr::tied(value)) bank.hardware |= wired_bit(intid);
  }
  if (lr::active(value)) {
    own.write(slot, value & ~lr::Pending::kMask);
    fold_one(self, own, slot);
  } else {
    own.write(slot, 0);
    release_slot(self, slot);
  }
}

// ---- what other places want of our list registers ----

void VirtualGic::serve_requests(unsigned self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self];
  fold(self, own);
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    if (v.intid[slot] >= kFirstLpi) {
      serve_lpi(self, own, slot);
    } else {
      serve_wired(self, own, slot);
    }
  }
  for (auto& word : v.lpi_clear) {
    if (word.load(std::memory_order_relaxed) != 0) word.store(0, std::memory_order_relaxed);
  }
  drop_orphans(self, own);
}

void VirtualGic::serve_lpi(unsigned self, port::ListRegisters& own, unsigned slot) {
  Vcpu& v = vcpus_[self];
  const std::uint32_t index = v.intid[slot] - kFirstLpi;
  const std::uint16_t route = lpis_[index].load(std::memory_order_relaxed);
  const std::uint64_t cleared =
      v.lpi_clear[index >> 6].load(std::memory_order_relaxed) & lpi_bit(index);
  const bool stays = route >> 8 == self && (route & lpi_config::Enable::kMask) != 0 &&
                     v.lpis_open.load(std::memory_order_relaxed);
  if (cleared != 0 || route >> 8 == kNowhere) {
    withdraw(self, own, slot, true);
  } else if (!stays) {
    withdraw(self, own, slot, false);
  }
}

void VirtualGic::serve_wired(unsigned self, port::ListRegisters& own, unsigned slot) {
  const std::uint32_t intid = vcpus_[self].intid[slot];
  InterruptBank& bank = bank_of(self, intid);
  const std::uint32_t bit = wired_bit(intid);
  std::uint64_t value = own.read(slot);
  const bool hardware = lr::tied(value);
  if ((bank.clear_active & bit) != 0 && lr::active(value)) {
    value &= ~lr::Active::kMask;
    if (hardware) own.deactivate_physical(intid);
  }
  if ((bank.set_active & bit) != 0 && !hardware) value |= lr::Active::kMask;
  // The line of a PPI that is active in hardware is high as far as we know: clearing has no effect
  // (4.1.2).
  const bool drop = (bank.clear_pending & bit) != 0 && !hardware;
  bank.clear_active &= ~bit;
  bank.set_active &= ~bit;
  bank.clear_pending &= ~bit;
  if (!lr::valid(value)) value = 0;
  own.write(slot, value);

  const bool elsewhere = is_spi(intid) && (routed_[self] & bit) == 0 && !lr::active(value);
  const bool line_fell = is_spi(intid) && ((bank.edge | bank.line | bank.latched) & bit) == 0;
  if (drop || line_fell || elsewhere || (deliverable(bank) & bit) == 0) {
    withdraw(self, own, slot, drop);
  }
  if ((vcpus_[self].used.load(std::memory_order_relaxed) & (1U << slot)) != 0) {
    fold_one(self, own, slot);
  }
}

/// Physical PPIs that stayed active for a virtual one which is gone.
void VirtualGic::drop_orphans(unsigned self, port::ListRegisters& own) {
  InterruptBank& bank = private_[self];
  const std::uint32_t orphans = bank.hardware & ~(bank.pending | bank.active);
  for (const unsigned intid : BitPositions(orphans)) own.deactivate_physical(intid);
  bank.hardware &= ~orphans;
}

// ---- from us into list registers ----

void VirtualGic::refill(unsigned self, port::ListRegisters& own) {
  Vcpu& v = vcpus_[self];
  CandidateList list(own.count());
  collect_wired(self, list);
  collect_lpis(self, list);
  bool waiting = list.overflowed();
  for (const Candidate& candidate : list) {
    if (!place(self, own, candidate)) waiting = true;
  }
  // place() may have taken back less urgent ones: they wait as well.
  if (v.evicted) waiting = true;
  v.evicted = false;
  if (waiting) {
    watch_active(self, own);
  } else {
    v.deferred = 0;
  }
  if (waiting != v.underflow_on) {
    own.set_maintenance(waiting);
    v.underflow_on = waiting;
  }
}

/// Of a bank whose first interrupt is `base`: those of `fresh` that belong in a list register, and
/// those of `there` with a new instance for theirs.
void VirtualGic::add_wired(const InterruptBank& bank, std::uint32_t fresh, std::uint32_t there,
                           std::uint32_t base, CandidateList& list) const {
  const std::uint32_t ready = (bank.wants() & deliverable(bank) & ~bank.active) | bank.active;
  const std::uint32_t merging = bank.pending & deliverable(bank) & there;
  for (const unsigned i : BitPositions((ready & fresh) | merging)) {
    list.add({base + i, bank.priority[i]});
  }
}

/// Wired interrupts of this vCPU that belong in a list register and are not there, or whose new
/// edge belongs there.
void VirtualGic::collect_wired(unsigned self, CandidateList& list) {
  add_wired(private_[self], ~private_[self].resident, private_[self].resident, 0, list);
  // A level-sensitive SPI is looked at again when the guest ends it; until then nothing is added to
  // it.
  add_wired(spis_, routed_[self] & ~spis_.resident, held_[self] & spis_.edge, kFirstSpi, list);
}

void VirtualGic::collect_lpis(unsigned self, CandidateList& list) {
  Vcpu& v = vcpus_[self];
  if (!v.lpis_open.load(std::memory_order_relaxed)) v.deferred = 0;
  for (const unsigned word : BitPositions(v.deferred)) {
    bool any = false;
    for (const unsigned i : BitPositions(v.lpi_pending[word].load(std::memory_order_relaxed))) {
      const std::uint32_t index = word * 64 + i;
      const std::uint16_t route = lpis_[index].load(std::memory_order_relaxed);
      if (route >> 8 != self) {
        forward_lpi(self, index, static_cast<std::uint8_t>(route >> 8));
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
bool VirtualGic::place(unsigned self, port::ListRegisters& own, const Candidate& candidate) {
  Vcpu& v = vcpus_[self];
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    if (v.intid[slot] != candidate.intid) continue;
    if (!lr::valid(own.read(slot))) {  // ended, with its EOI request unserved
      fold_one(self, own, slot);
      break;
    }
    merge(self, own, slot);
    return true;
  }
  const std::optional<unsigned> slot = make_room(self, own, candidate);
  if (!slot) return false;
  const std::uint64_t value = take(self, candidate);
  if (value == 0) return true;
  own.write(*slot, value);
  v.intid[*slot] = candidate.intid;
  v.used.store(v.used.load(std::memory_order_relaxed) | 1U << *slot, std::memory_order_relaxed);
  if (candidate.intid < kFirstLpi) v.used_wired |= 1U << *slot;
  return true;
}

/// The list register that has the interrupt takes the new instance: there are never two with one
/// number.
void VirtualGic::merge(unsigned self, port::ListRegisters& own, unsigned slot) {
  Vcpu& v = vcpus_[self];
  const std::uint32_t intid = v.intid[slot];
  const std::uint64_t value = own.read(slot);
  if (intid >= kFirstLpi) {
    own.write(slot, with<lr::Pending>(value, 1));
    const std::uint32_t index = intid - kFirstLpi;
    v.lpi_pending[index >> 6].fetch_and(~lpi_bit(index), std::memory_order_relaxed);
    return;
  }
  InterruptBank& bank = bank_of(self, intid);
  const std::uint32_t bit = wired_bit(intid);
  if ((bank.hardware & bit) != 0 && !lr::tied(value)) {
    // Software made it pending before the physical one came. Pending and active with HW = 1 is not
    // allowed (12.4.8): an active one is waited for.
    if (lr::active(value)) return own.write(slot, with<lr::EOI>(value, 1));
    own.write(slot, with<lr::HW>(with<lr::PINTID>(value, intid), 1));
  } else if (!lr::tied(value)) {
    own.write(slot, with<lr::Pending>(value, 1));
  }  // else: the physical line makes itself heard after deactivation
  bank.pending &= ~bit;
  bank.hardware &= ~bit;
  bank.latched |= bit;
}

std::optional<unsigned> VirtualGic::make_room(unsigned self, port::ListRegisters& own,
                                              const Candidate& candidate) {
  Vcpu& v = vcpus_[self];
  const std::uint32_t used = v.used.load(std::memory_order_relaxed);
  const std::uint32_t free = v.registers & ~used;
  if (free != 0) return static_cast<unsigned>(std::countr_zero(free));
  std::optional<unsigned> victim;
  std::uint64_t least = candidate.priority & kPriorityBits;
  for (const unsigned slot : BitPositions(used)) {
    const std::uint64_t value = own.read(slot);
    const std::uint64_t priority = get<lr::Priority>(value) & kPriorityBits;
    const bool only_pending = lr::pending(value) && !lr::active(value);
    if (!only_pending || priority <= least) continue;
    least = priority;
    victim = slot;
  }
  if (!victim) return std::nullopt;
  withdraw(self, own, *victim, false);
  v.evicted = true;
  return victim;
}

/// Takes a candidate out of our state: what to write into its list register. 0 when it is gone by
/// now.
std::uint64_t VirtualGic::take(unsigned self, const Candidate& candidate) {
  if (candidate.intid >= kFirstLpi) {
    const std::uint32_t index = candidate.intid - kFirstLpi;
    const std::uint64_t before =
        vcpus_[self].lpi_pending[index >> 6].fetch_and(~lpi_bit(index), std::memory_order_acq_rel);
    if ((before & lpi_bit(index)) == 0) return 0;
    return lpi_register(index, candidate.priority);
  }
  InterruptBank& bank = bank_of(self, candidate.intid);
  const std::uint32_t bit = wired_bit(candidate.intid);
  const bool level_spi = is_spi(candidate.intid) && (bank.edge & bit) == 0;
  const bool hardware = (bank.hardware & bit) != 0;
  const bool active = (bank.active & bit) != 0;
  const bool pending =
      (bank.wants() & deliverable(bank) & bit) != 0 && !(active && (level_spi || hardware));
  std::uint64_t value = with<lr::Priority>(candidate.intid, candidate.priority);
  value = with<lr::Group>(value, (bank.group1 & bit) != 0 ? 1 : 0);
  value = with<lr::Pending>(value, pending ? 1 : 0);
  value = with<lr::Active>(value, active ? 1 : 0);
  if (hardware) {
    value = with<lr::HW>(with<lr::PINTID>(value, candidate.intid), 1);
    bank.hardware &= ~bit;  // from here on the list register knows
  } else if (level_spi) {
    value = with<lr::EOI>(value, 1);
  }
  if (pending) {
    bank.latched |= bank.pending & bit;
    bank.pending &= ~bit;
    bank.seen_pending |= bit;
  }
  if (active) bank.seen_active |= bit;
  bank.active &= ~bit;
  bank.resident |= bit;
  if (is_spi(candidate.intid)) held_[self] |= bit;
  return value;
}

/// Something waits and no list register is pending: they are all active, so the underflow condition
/// may be far. Every end counts then.
void VirtualGic::watch_active(unsigned self, port::ListRegisters& own) {
  const std::uint32_t used = vcpus_[self].used.load(std::memory_order_relaxed);
  for (const unsigned slot : BitPositions(used)) {
    if (lr::pending(own.read(slot))) return;
  }
  for (const unsigned slot : BitPositions(used)) {
    const std::uint64_t value = own.read(slot);
    if (!lr::tied(value)) own.write(slot, with<lr::EOI>(value, 1));
  }
}

}  // namespace penstock::vmsi
