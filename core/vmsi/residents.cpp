// List registers that are filled: what the guest has made of them, what others want of them, and
// how an interrupt comes back out.
//
// A list register's life, as seen from here (`used` bit, shadow `intid`):
//   empty      not used. put() -> filled
//   filled     used; the guest acknowledges, ends and deactivates it without us, except by
//              ICC_DIR_EL1. Pending in hardware may be added (merge()) or taken back (withdraw());
//              an active one may have to make room (evict()).
//   ended      still used, but invalid in hardware: noticed by fold_*(), which makes it empty and
//              lets a level-sensitive interrupt whose line is high become pending again.
#include <bit>

#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/hw/gic/lpi.hpp"
#include "core/vmsi/bit_positions.hpp"
#include "core/vmsi/list_register.hpp"
#include "core/vmsi/virtual_gic.hpp"
#include "core/vmsi/wired_bits.hpp"

namespace penstock::vmsi {

namespace {

namespace lpi_config = hw::gic::lpi_config;

std::uint32_t with_bit(std::uint32_t word, std::uint32_t bit, bool on) {
  return on ? word | bit : word & ~bit;
}

void note_seen(InterruptBank& bank, std::uint32_t bit, std::uint64_t value) {
  bank.seen_pending = with_bit(bank.seen_pending, bit, lr::pending(value));
  bank.seen_active = with_bit(bank.seen_active, bit, lr::active(value));
  if (!lr::pending(value)) bank.latched &= ~bit;
}

/// The bank's own state when the list register is gone.
void note_released(InterruptBank& bank, std::uint32_t bit) {
  for (std::uint32_t* field :
       {&bank.resident, &bank.seen_pending, &bank.seen_active, &bank.latched}) {
    *field &= ~bit;
  }
  if (!bank.has_requests()) return;
  bank.active |= bank.set_active & bit;
  for (std::uint32_t* field : {&bank.clear_pending, &bank.clear_active, &bank.set_active}) {
    *field &= ~bit;
  }
}

/// The pending state of a list register is here again. What nobody latched was pending because of
/// its line, which still says what it has to.
void note_returned(InterruptBank& bank, std::uint32_t bit, std::uint64_t value) {
  if (lr::tied(value)) bank.hardware |= bit;
  bank.pending |= bit & (lr::tied(value) ? bank.latched : bank.edge | bank.latched);
}

/// What is asked of the interrupt in list register `slot`; true when its pending state was cleared.
bool serve_bank(InterruptBank& bank, std::uint32_t bit, std::uint32_t intid,
                port::ListRegisters& own, unsigned slot) {
  const std::uint64_t before = own.read(slot);
  std::uint64_t value = before;
  const bool hardware = lr::tied(value);
  if ((bank.clear_active & bit) != 0 && lr::active(value)) {
    value &= ~lr::Active::kMask;
    if (hardware) own.deactivate_physical(intid);
  }
  if ((bank.set_active & bit) != 0 && !hardware) value |= lr::Active::kMask;
  const bool cleared = (bank.clear_pending & bit) != 0;
  if (cleared) bank.latched &= ~bit;
  bank.clear_active &= ~bit;
  bank.set_active &= ~bit;
  bank.clear_pending &= ~bit;
  if (!lr::valid(value)) value = 0;
  if (value != before) own.write(slot, value);
  return cleared && !hardware;  // the line of a physical PPI keeps it pending
}

}  // namespace

// ---- what the guest has done ----

/// Looks at every filled list register, and at what was ended without one.
void VirtualGic::fold(Vcpu& v, port::ListRegisters& own) {
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    fold_one(v, own, slot);
  }
  fold_unlisted(v, own);
}

/// Looks at those that hardware calls empty.
void VirtualGic::fold_empty(Vcpu& v, port::ListRegisters& own) {
  if (v.used.load(std::memory_order_relaxed) != 0) release_ended(v, own.empty_mask());
  fold_unlisted(v, own);
}

/// Empties the list registers of `ended`, those that hardware calls empty: no need to read them.
void VirtualGic::release_ended(Vcpu& v, std::uint32_t ended) {
  const std::uint32_t used = v.used.load(std::memory_order_relaxed);
  std::uint32_t mine = 0;
  for (const unsigned slot : BitPositions(used & ended & v.used_wired)) {
    const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
    if (intid < kFirstSpi) {
      mine |= wired_bit(intid);
    } else {
      release_slot(v, slot);
    }
  }
  v.used.store(used & ~ended, std::memory_order_relaxed);
  v.used_wired &= ~ended;
  if (mine == 0) return;
  note_released(v.bank, mine);
  v.freed |= kPrivate;
}

void VirtualGic::fold_one(Vcpu& v, port::ListRegisters& own, unsigned slot) {
  const std::uint64_t value = own.read(slot);
  const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
  if (is_spi(intid)) {
    const UnfairGuard guard(spi_lock_);
    note_seen(spis_, wired_bit(intid), value);
  } else if (intid < kFirstSpi) {
    note_seen(v.bank, wired_bit(intid), value);
    // A physical line that fell before the guest took the interrupt.
    if (lr::tied(value) && lr::pending(value) && !own.line_is_high(intid)) {
      withdraw(v, own, slot, false);
      return drop_low_lines(v, own, wired_bit(intid));
    }
  }
  if (lr::valid(value)) return;
  if (value != 0) own.write(slot, 0);  // an EOI maintenance request ends here
  release_slot(v, slot);
}

void VirtualGic::release_slot(Vcpu& v, unsigned slot) {
  const std::uint32_t slot_bit = 1U << slot;
  v.used.store(v.used.load(std::memory_order_relaxed) & ~slot_bit, std::memory_order_relaxed);
  v.used_wired &= ~slot_bit;
  const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
  const std::uint32_t bit = wired_bit(intid);
  if (intid < kFirstSpi) {
    note_released(v.bank, bit);
    v.freed |= kPrivate;
  } else if (is_spi(intid)) {
    const UnfairGuard guard(spi_lock_);
    note_released(spis_, bit);
    held_[v.index] &= ~bit;
    free_spi(v);
  }
}

/// An SPI of ours may come again, here or elsewhere.
void VirtualGic::free_spi(Vcpu& v) {
  v.freed |= kSpis;
  v.spis_due = true;
  announce_spis(v.index);
}

/// Ends that hardware has counted because no list register has the interrupt: the priority was
/// dropped, and where deactivation is a part of that, it is the most urgent ones that are over: the
/// guest ends what it acknowledged last, first (IHI 0069 H 4.8.3).
void VirtualGic::fold_unlisted(Vcpu& v, port::ListRegisters& own) {
  if (!v.ends_watched) return;
  for (unsigned n = own.take_unlisted_ends(); n != 0 && end_unlisted(v); --n) {
  }
}

/// The most urgent of those that are active and not listed; false when there is none.
bool VirtualGic::end_unlisted(Vcpu& v) {
  const UnfairGuard guard(spi_lock_);
  v.evicted &= v.bank.active;
  v.evicted_spis &= spis_.active;
  std::optional<Candidate> first;
  for (const unsigned i : BitPositions(v.evicted)) {
    if (!first || v.bank.priority[i] < first->priority) first = {i, v.bank.priority[i]};
  }
  for (const unsigned i : BitPositions(v.evicted_spis)) {
    if (!first || spis_.priority[i] < first->priority) first = {kFirstSpi + i, spis_.priority[i]};
  }
  if (!first) return false;
  const std::uint32_t bit = wired_bit(first->intid);
  if (is_spi(first->intid)) {
    v.evicted_spis &= ~bit;
    spis_.active &= ~bit;
    free_spi(v);
    return true;
  }
  v.evicted &= ~bit;
  v.bank.active &= ~bit;
  v.freed |= kPrivate;
  return true;
}

/// Of `which` physical PPIs that are pending here: those whose line is low by now are not.
void VirtualGic::drop_low_lines(Vcpu& v, port::ListRegisters& own, std::uint32_t which) {
  InterruptBank& bank = v.bank;
  for (const unsigned intid : BitPositions(which & bank.hardware & ~bank.active)) {
    if (own.line_is_high(intid)) continue;
    own.deactivate_physical(intid);
    bank.hardware &= ~(1U << intid);
  }
}

/// After list registers were looked at outside of a delivery: what has become deliverable by that
/// is delivered before the guest runs on.
void VirtualGic::announce_freed(Vcpu& v) {
  if (v.freed == 0) return;
  v.mail.fetch_or(v.freed, std::memory_order_relaxed);
  v.freed = 0;
}

// ---- what other places want of our list registers ----

void VirtualGic::serve_requests(Vcpu& v, port::ListRegisters& own) {
  fold(v, own);
  for (const unsigned slot : BitPositions(v.used.load(std::memory_order_relaxed))) {
    const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
    if (intid >= kFirstLpi) {
      serve_lpi(v, own, slot);
    } else if (is_spi(intid)) {
      serve_spi(v, own, slot);
    } else {
      serve_private(v, own, slot);
    }
  }
}

void VirtualGic::serve_lpi(Vcpu& v, port::ListRegisters& own, unsigned slot) {
  const std::uint32_t index = v.intid[slot].load(std::memory_order_relaxed) - kFirstLpi;
  const std::uint16_t route = lpis_[index].load(std::memory_order_relaxed);
  std::atomic<std::uint64_t>& clear = v.lpi_clear[index >> 6];
  bool cleared = (clear.load(std::memory_order_acquire) & lpi_bit(index)) != 0;
  if (cleared) clear.fetch_and(~lpi_bit(index), std::memory_order_relaxed);
  const bool stays = route >> 8 == v.index && (route & lpi_config::Enable::kMask) != 0 &&
                     v.lpis_open.load(std::memory_order_relaxed);
  if (cleared || route >> 8 == kNowhere) {
    withdraw(v, own, slot, true);
  } else if (!stays) {
    withdraw(v, own, slot, false);
  }
}

void VirtualGic::serve_private(Vcpu& v, port::ListRegisters& own, unsigned slot) {
  const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
  const std::uint32_t bit = wired_bit(intid);
  const bool cleared = serve_bank(v.bank, bit, intid, own, slot);
  if (cleared || (deliverable(v.bank) & bit) == 0) withdraw(v, own, slot, cleared);
  if ((v.used.load(std::memory_order_relaxed) & (1U << slot)) != 0) fold_one(v, own, slot);
}

void VirtualGic::serve_spi(Vcpu& v, port::ListRegisters& own, unsigned slot) {
  const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
  const std::uint32_t bit = wired_bit(intid);
  bool cleared = false;
  bool stays = false;
  {
    const UnfairGuard guard(spi_lock_);
    cleared = serve_bank(spis_, bit, intid, own, slot);
    const bool ours = (routed_[v.index] & bit) != 0 || lr::active(own.read(slot));
    const bool line_fell = ((spis_.edge | spis_.line | spis_.latched) & bit) == 0;
    stays = ours && !line_fell && (deliverable(spis_) & bit) != 0;
  }
  if (cleared || !stays) withdraw(v, own, slot, cleared);
  if ((v.used.load(std::memory_order_relaxed) & (1U << slot)) != 0) fold_one(v, own, slot);
}

// ---- out of a list register ----

/// Takes the pending state out of a list register; back to where it came from unless `drop`.
void VirtualGic::withdraw(Vcpu& v, port::ListRegisters& own, unsigned slot, bool drop) {
  const std::uint64_t value = own.read(slot);
  if (!lr::pending(value)) return;
  const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
  if (drop) {
    // Nothing of it is kept.
  } else if (intid >= kFirstLpi) {
    return_lpi(v, intid - kFirstLpi);
  } else if (is_spi(intid)) {
    const UnfairGuard guard(spi_lock_);
    note_returned(spis_, wired_bit(intid), value);
  } else {
    note_returned(v.bank, wired_bit(intid), value);
  }
  if (lr::active(value)) {
    own.write(slot, value & ~lr::Pending::kMask);
    fold_one(v, own, slot);
  } else {
    own.write(slot, 0);
    release_slot(v, slot);
  }
}

/// Empties a list register whatever its state, which is kept here. An LPI that hardware shows as
/// active has no such state (4.1.2).
void VirtualGic::evict(Vcpu& v, port::ListRegisters& own, unsigned slot) {
  withdraw(v, own, slot, false);
  if ((v.used.load(std::memory_order_relaxed) & (1U << slot)) == 0) return;
  const std::uint64_t value = own.read(slot);
  const std::uint32_t intid = v.intid[slot].load(std::memory_order_relaxed);
  const std::uint32_t bit = wired_bit(intid);
  if (lr::active(value) && is_spi(intid)) {
    const UnfairGuard guard(spi_lock_);
    spis_.active |= bit;
    v.evicted_spis |= bit;
  } else if (lr::active(value) && intid < kFirstSpi) {
    v.bank.active |= bit;
    if (lr::tied(value)) v.bank.hardware |= bit;
    v.evicted |= bit;
  }
  own.write(slot, 0);
  release_slot(v, slot);
}

/// An LPI is pending here again, or, where it has moved meanwhile, there.
void VirtualGic::return_lpi(Vcpu& v, std::uint32_t index) {
  // Pairs with route_locked(): it finds the bit here, or we find its new route.
  v.lpi_pending[index >> 6].fetch_or(lpi_bit(index), std::memory_order_acq_rel);
  v.deferred |= std::uint64_t{1} << (index >> 6);
  if (lpis_[index].load(std::memory_order_relaxed) >> 8 != v.index) forward_lpi(v, index);
}

}  // namespace penstock::vmsi
