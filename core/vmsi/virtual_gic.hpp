// The GICv3 that one domain sees: distributor, redistributors, and what decides which interrupt its
// CPUs take next.
//
// A guest acknowledges, ends and deactivates interrupts in hardware (list registers); what traps is
// the distributor's and redistributors' frames and the sending of SGIs. One security state
// (GICD_CTLR.DS = 1), affinity routing always on.
//
// Who may touch what
//   inbox      any CPU, lock-free: `arrived` and the pending bits of LPIs, and one `mail` word per
//              vCPU that says where to look. Posting is fetch_or on the bit, fetch_or on the mail
//              word (release), a kick if the word was empty; the owner takes the mail word with
//              exchange (acquire) and reads the bits after it.
//   own        list registers and their shadow: only by the vCPU's own CPU, in deliver(),
//              maintenance(), the frame accessors (parameter `own`), deactivate(), start_vcpu() and
//              park(). Of the shadow, others look at `used` and `intid`.
//   Vcpu::lock SGIs and PPIs of one vCPU. Taken by its own CPU at each delivery, by another only
//              for an access to that vCPU's redistributor.
//   spi_lock_  the SPIs. Taken for the distributor's frame, a change of a line, and by a CPU that
//              has an SPI to deliver or to end.
//   lpi_lock_  the redistributors' LPI registers, and who changes where LPIs go.
//   LPI route  one atomic 16-bit word per LPI (target, priority, enable), written under lpi_lock_,
//              read by anyone.
// Ranks: below VirtualIts's lock; Vcpu::lock before spi_lock_ or lpi_lock_, never two of a kind and
// never these two together. Under them only ListRegisters, GuestMem and VcpuKick are called. Each
// is held for a bounded time: at most 64 wired and kLpiCount message interrupts are looked at. A
// tick of the timer, an SGI and a message to a CPU meet no lock that another CPU needs for its own.
//
// What another CPU wants of interrupts that sit in a vCPU's list registers (withdraw, clear, look)
// is left as a request and a bit in the mail word; the owner serves it on its next entry,
// GICD_CTLR.RWP and GICR_CTLR.RWP read 1 until then.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/base/unfair_lock.hpp"
#include "core/port/guest_mem.hpp"
#include "core/port/list_registers.hpp"
#include "core/port/vcpu_kick.hpp"
#include "core/vmsi/candidate_list.hpp"
#include "core/vmsi/interrupt_bank.hpp"
#include "core/vmsi/limits.hpp"

namespace penstock::vmsi {

class VirtualGic {
 public:
  static constexpr std::uint64_t kDistributorBytes = 0x1'0000;
  static constexpr std::uint64_t kRedistributorBytes =
      0x2'0000;  // per vCPU: RD_base, then SGI_base

  /// Before any other call; then start_vcpu() on each vCPU's own CPU before its guest's first
  /// instruction. `mpidrs[i]` holds Aff3.Aff2.Aff1.Aff0 of vCPU i in MPIDR_EL1's layout, each
  /// different. kOutOfRange unless 1 <= vcpus <= kMaxVcpus and mpidrs.size() >= vcpus;
  /// kAlreadyExists (arg: MPIDR) on a double one. The references must outlive the object.
  Status init(unsigned vcpus, std::span<const std::uint64_t> mpidrs, port::GuestMem& memory,
              port::VcpuKick& kicks);

  // ---- traps of the guest, on the CPU of `from`; `own` are that CPU's list registers ----
  // `offset` is in bytes from the start of the frame(s), any value; `size` is 1, 2, 4 or 8. An
  // access that the register does not support (width, alignment, reserved place, beyond the end)
  // reads 0 and ignores writes. After these calls: `if (needs_delivery(from)) deliver(from, own)`
  // before the guest runs on.

  [[nodiscard]] std::uint64_t distributor_read(VcpuIndex from, port::ListRegisters& own,
                                               std::uint64_t offset, unsigned size);
  void distributor_write(VcpuIndex from, port::ListRegisters& own, std::uint64_t offset,
                         unsigned size, std::uint64_t value);
  /// `offset` in the whole region of vcpus * kRedistributorBytes; a vCPU may access another's
  /// frame.
  [[nodiscard]] std::uint64_t redistributor_read(VcpuIndex from, port::ListRegisters& own,
                                                 std::uint64_t offset, unsigned size);
  void redistributor_write(VcpuIndex from, port::ListRegisters& own, std::uint64_t offset,
                           unsigned size, std::uint64_t value);
  /// A write to ICC_SGI1R_EL1 (IHI 0069 H 12.2.19). Targets that do not exist are ignored.
  void send_sgi(VcpuIndex from, std::uint64_t icc_sgi1r_value);
  /// A write of `intid` to ICC_DIR_EL1: of an interrupt that any CPU may have acknowledged, and
  /// that no list register need hold. Ignored while the guest deactivates at the end (12.2.11).
  void deactivate(VcpuIndex from, port::ListRegisters& own, std::uint32_t intid);

  // ---- sources of interrupts ----

  /// The input line of an SPI. Any CPU. Level-sensitive while the guest configures it so: pending
  /// as long as the line is high, looked at again when the guest ends the interrupt. Numbers
  /// outside 32..63 are ignored.
  void set_spi_level(unsigned intid, bool level);
  /// Makes PPI 16..31 of `vcpu` pending once. Any CPU. Other numbers are ignored.
  void pend_private(VcpuIndex vcpu, unsigned intid);
  /// The physical PPI `intid` (16..31) of this CPU was taken for `self` and is now active (priority
  /// dropped, not deactivated): the guest's own deactivation of the virtual one ends it. It is
  /// pending for as long as its line is high, whether the guest has it enabled or not; the line is
  /// looked at when it becomes deliverable and when software looks. If the guest never takes it
  /// (line low, park, ICACTIVER), ListRegisters::deactivate_physical is called. Own CPU, which is
  /// about to call deliver().
  void pend_hardware_ppi(VcpuIndex self, unsigned intid) {
    if (self.value() >= vcpu_count_ || intid < 16 || intid >= kFirstSpi) return;
    Vcpu& v = vcpus_[self.value()];
    v.ticked |= 1U << intid;
    v.mail.fetch_or(kPrivate, std::memory_order_relaxed);
  }
  /// Makes an LPI pending at `target`. Any CPU, no lock unless the LPI has moved meanwhile. Numbers
  /// without an LPI are ignored; one that the guest disabled stays pending, one that is not mapped
  /// any more is dropped, one that has moved follows.
  void pend_lpi(VcpuIndex target, GuestIntId lpi) { post_lpi(target, lpi, true); }
  /// The same from the CPU of `self`, which is about to call deliver(): no kick.
  void pend_lpi_here(VcpuIndex self, GuestIntId lpi) { post_lpi(self, lpi, false); }

  // ---- delivery, on the CPU of `self` ----

  /// Something may have to go into list registers. One load; any CPU.
  [[nodiscard]] bool needs_delivery(VcpuIndex vcpu) const {
    return vcpu.value() < kMaxVcpus &&
           vcpus_[vcpu.value()].mail.load(std::memory_order_relaxed) != 0;
  }
  /// What needs_delivery() looks at: not 0.
  [[nodiscard]] const std::atomic<std::uint64_t>& mail_of(VcpuIndex vcpu) const {
    return vcpus_[vcpu.value()].mail;
  }
  /// Moves what is pending, enabled and not active into list registers, the most urgent first.
  void deliver(VcpuIndex self, port::ListRegisters& own);
  /// The maintenance interrupt (physical PPI 25): looks at ended interrupts and refills. The caller
  /// acknowledges and ends the physical interrupt after this call; its cause is gone then.
  void maintenance(VcpuIndex self, port::ListRegisters& own);

  // ---- life cycle ----

  /// Back to the state after init(). No vCPU runs; those that ran are parked.
  void reset();
  /// The vCPU comes on (start of the domain, PSCI CPU_ON): its list registers are empty, and what
  /// its redistributor and the distributor have for it is delivered. What other CPUs have set in
  /// its redistributor before is not touched. Own CPU.
  void start_vcpu(VcpuIndex self, port::ListRegisters& own);
  /// The vCPU goes off (PSCI CPU_OFF): its interrupts go back from the list registers to the
  /// redistributor and distributor, which keep their state as on hardware and deliver after the
  /// next CPU_ON. Own CPU.
  void park(VcpuIndex self, port::ListRegisters& own);

  // ---- for the virtual ITS (under its lock) ----

  /// Where an LPI goes: `target`, or nowhere (pending instances are dropped). Pending instances
  /// move along.
  void route_lpi(GuestIntId lpi, std::optional<VcpuIndex> target);
  /// Where it goes now; none for numbers without an LPI.
  [[nodiscard]] std::optional<VcpuIndex> lpi_target(GuestIntId lpi) const;
  /// Enable and priority (only bits 7:2 count). What became pending while disabled is delivered on
  /// enable.
  void configure_lpi(GuestIntId lpi, bool enabled, std::uint8_t priority);
  /// Reads the LPI's byte of the guest's configuration table (IHI 0069 H 5.1.1); disabled when
  /// there is no table or it does not lie in RAM.
  void load_lpi_config(GuestIntId lpi);
  /// The same for every LPI that goes to `target` (INVALL, enabling of LPIs): at most kLpiCount
  /// bytes are read.
  void load_lpi_configs(VcpuIndex target);
  /// Takes the pending state away (CLEAR, DISCARD).
  void clear_lpi(GuestIntId lpi);
  /// Every LPI of `from` goes to `to` from now on, pending ones too (MOVALL).
  void move_lpis(VcpuIndex from, VcpuIndex to);

  [[nodiscard]] unsigned vcpus() const { return vcpu_count_; }
  [[nodiscard]] static constexpr bool is_lpi(GuestIntId id) {
    return id.value() >= kFirstLpi && id.value() - kFirstLpi < kLpiCount;
  }

 private:
  static constexpr unsigned kLpiWords = kLpiCount / 64;
  static constexpr unsigned kMaxListRegisters = 16;
  static constexpr std::uint8_t kNowhere = 0xff;

  // The mail word: bit w says that LPI pending word w is worth a look.
  static_assert(kLpiWords <= 60);
  static constexpr std::uint64_t kAllLpis = (std::uint64_t{1} << kLpiWords) - 1;
  static constexpr std::uint64_t kPrivate = std::uint64_t{1} << 61;  // `arrived` or the bank
  static constexpr std::uint64_t kSpis = std::uint64_t{1} << 62;     // an SPI for this vCPU
  static constexpr std::uint64_t kFold = std::uint64_t{1} << 63;  // requests about list registers
  static constexpr std::uint64_t kEverything = kAllLpis | kPrivate | kSpis;

  // What GICD_CTLR switches on, in groups_.
  static constexpr std::uint8_t kGroup0 = 1;
  static constexpr std::uint8_t kGroup1 = 2;

  struct alignas(64) Vcpu {
    // inbox
    std::atomic<std::uint64_t> mail{0};
    std::atomic<std::uint32_t> arrived{0};   // SGIs and PPIs on their way into `bank`
    std::atomic<std::uint32_t> group1{~0U};  // bank.group1, for who sends an SGI
    std::atomic<bool> lpis_open{false};      // GICR_CTLR.EnableLPIs and GICD_CTLR.EnableGrp1
    std::array<std::atomic<std::uint64_t>, kLpiWords> lpi_pending{};
    // Requests to drop LPIs that are in list registers. A new message of one makes its request
    // void.
    std::array<std::atomic<std::uint64_t>, kLpiWords> lpi_clear{};
    // own
    std::uint8_t index = 0;
    std::uint32_t registers = 0;         // one bit for each list register, from start_vcpu() on
    std::uint32_t ticked = 0;            // physical PPIs taken, on their way into `bank`
    std::uint64_t deferred = 0;          // LPI words that did not fit
    bool spis_due = false;               // SPIs that did not fit, or were not looked for yet
    std::atomic<std::uint32_t> used{0};  // list registers not seen empty since they were filled
    std::uint32_t used_wired = 0;        // those that hold an interrupt of a bank
    bool returned = false;               // refill() took something back to make room
    std::uint64_t freed = 0;             // mail to ourselves, see announce_freed()
    bool waiting = false;                // something waits for room
    // Active interrupts that gave up their list register, by the bank's bits: the guest ends them
    // without a match.
    std::uint32_t evicted = 0;
    std::uint32_t evicted_spis = 0;
    bool ends_watched = false;  // the maintenance interrupt for such an end is asked for
    std::array<std::atomic<std::uint32_t>, kMaxListRegisters> intid{};
    // SGIs and PPIs
    UnfairLock lock;
    InterruptBank bank GUARDED_BY(lock);

    /// Something waits that only the long way can deliver.
    [[nodiscard]] bool unsettled() const { return waiting || spis_due; }
  };

  struct RedistributorRegisters {
    std::uint64_t propbaser = 0;
    std::uint64_t pendbaser = 0;
    bool enable_lpis = false;
    bool asleep = true;
  };

  struct PropertyTable {
    Gpa address;
    std::uint32_t lpis = 0;
  };

  // inbox (lpi.cpp)
  void post(unsigned vcpu, std::uint64_t mail) {
    if (vcpus_[vcpu].mail.fetch_or(mail, std::memory_order_acq_rel) == 0) {
      kicks_->kick(VcpuIndex(static_cast<std::uint8_t>(vcpu)));
    }
  }
  void post_lpi(VcpuIndex target, GuestIntId lpi, bool kick);
  void post_all(std::uint64_t mail);
  void forward_lpi(Vcpu& from, std::uint32_t index) EXCLUDES(lpi_lock_);
  void move_pending(Vcpu& from, std::uint32_t index) REQUIRES(lpi_lock_);
  [[nodiscard]] static bool holds(const Vcpu& v, std::uint32_t intid);
  void route_locked(std::uint32_t index, std::uint8_t target) REQUIRES(lpi_lock_);
  void set_lpi_config(std::uint32_t index, std::uint8_t config) REQUIRES(lpi_lock_);
  void load_lpi_configs_locked(unsigned target) REQUIRES(lpi_lock_);
  [[nodiscard]] PropertyTable property_table(unsigned vcpu) const REQUIRES(lpi_lock_);
  void refresh_lpi_gates() REQUIRES(lpi_lock_);

  // from us into list registers (delivery.cpp)
  void deliver_private(Vcpu& v, port::ListRegisters& own) EXCLUDES(v.lock);
  [[nodiscard]] bool fill_private(Vcpu& v, port::ListRegisters& own) EXCLUDES(v.lock);
  void merge_private(Vcpu& v, port::ListRegisters& own) REQUIRES(v.lock);
  void deliver_lpis(Vcpu& v, port::ListRegisters& own) EXCLUDES(v.lock);
  [[nodiscard]] bool deliver_lpi(Vcpu& v, port::ListRegisters& own, std::uint32_t index,
                                 std::uint32_t& used);
  [[nodiscard]] static bool take_lpi(Vcpu& v, std::uint32_t index);
  void deliver_slowly(Vcpu& v, port::ListRegisters& own, std::uint64_t mail) EXCLUDES(v.lock);
  void release_ended(Vcpu& v, std::uint32_t ended) REQUIRES(v.lock);
  void collect_arrivals(Vcpu& v) REQUIRES(v.lock);
  void collect_ticks(Vcpu& v) REQUIRES(v.lock);
  void refill(Vcpu& v, port::ListRegisters& own) REQUIRES(v.lock);
  void watch(Vcpu& v, port::ListRegisters& own, bool waiting);
  void collect_private(Vcpu& v, CandidateList& list) REQUIRES(v.lock);
  void collect_spis(Vcpu& v, CandidateList& list) EXCLUDES(spi_lock_);
  void collect_lpis(Vcpu& v, CandidateList& list);
  [[nodiscard]] bool place(Vcpu& v, port::ListRegisters& own, const Candidate& candidate)
      REQUIRES(v.lock);
  void merge(Vcpu& v, port::ListRegisters& own, unsigned slot) REQUIRES(v.lock);
  [[nodiscard]] std::optional<unsigned> make_room(Vcpu& v, port::ListRegisters& own,
                                                  const Candidate& candidate) REQUIRES(v.lock);
  void put(Vcpu& v, port::ListRegisters& own, unsigned slot, const Candidate& candidate)
      REQUIRES(v.lock);
  [[nodiscard]] std::uint64_t take(Vcpu& v, const Candidate& candidate) REQUIRES(v.lock);

  // from list registers back to us (residents.cpp)
  void fold(Vcpu& v, port::ListRegisters& own) REQUIRES(v.lock);
  void fold_empty(Vcpu& v, port::ListRegisters& own) REQUIRES(v.lock);
  void fold_one(Vcpu& v, port::ListRegisters& own, unsigned slot) REQUIRES(v.lock);
  void fold_unlisted(Vcpu& v, port::ListRegisters& own) REQUIRES(v.lock);
  [[nodiscard]] bool end_unlisted(Vcpu& v) REQUIRES(v.lock) EXCLUDES(spi_lock_);
  void free_spi(Vcpu& v) REQUIRES(spi_lock_);
  static void announce_freed(Vcpu& v);
  void drop_low_lines(Vcpu& v, port::ListRegisters& own, std::uint32_t which) REQUIRES(v.lock);
  void serve_requests(Vcpu& v, port::ListRegisters& own) REQUIRES(v.lock);
  void serve_private(Vcpu& v, port::ListRegisters& own, unsigned slot) REQUIRES(v.lock);
  void serve_spi(Vcpu& v, port::ListRegisters& own, unsigned slot) REQUIRES(v.lock);
  void serve_lpi(Vcpu& v, port::ListRegisters& own, unsigned slot) REQUIRES(v.lock);
  void withdraw(Vcpu& v, port::ListRegisters& own, unsigned slot, bool drop) REQUIRES(v.lock);
  void evict(Vcpu& v, port::ListRegisters& own, unsigned slot) REQUIRES(v.lock);
  void return_lpi(Vcpu& v, std::uint32_t index);
  void release_slot(Vcpu& v, unsigned slot) REQUIRES(v.lock);

  // wired interrupts (wired.cpp)
  [[nodiscard]] std::uint32_t deliverable(const InterruptBank& bank) const {
    const std::uint8_t on = groups_.load(std::memory_order_relaxed);
    return bank.enabled &
           (((on & kGroup1) != 0 ? bank.group1 : 0U) | ((on & kGroup0) != 0 ? ~bank.group1 : 0U));
  }
  /// Pending here, and what the distributor forwards at once (IHI 0069 H 4.1.2).
  [[nodiscard]] std::uint32_t ready(const InterruptBank& bank) const {
    return bank.wants() & deliverable(bank) & ~bank.active & ~bank.resident;
  }
  /// A new instance for the list register that has the interrupt already.
  [[nodiscard]] std::uint32_t merging(const InterruptBank& bank) const {
    return (bank.pending | bank.hardware) & deliverable(bank) & bank.resident;
  }
  void send_sgi_to(unsigned vcpu, std::uint32_t bit);
  void send_sgi_at(std::uint64_t affinity, std::uint32_t bit);
  [[nodiscard]] bool spi_line_is(std::uint32_t bit, bool level) EXCLUDES(spi_lock_);
  void change_spi_line(std::uint32_t bit, bool level) EXCLUDES(spi_lock_);
  void send_sgi_to_others(VcpuIndex from, std::uint32_t bit);
  void send_sgi_to_list(std::uint64_t cluster, std::uint64_t list, std::uint32_t bit);
  void announce_private(Vcpu& v) REQUIRES(v.lock);
  void announce_spis(unsigned but = kMaxVcpus) REQUIRES(spi_lock_);
  void request_private(Vcpu& v, std::uint32_t which, unsigned from, port::ListRegisters& own)
      REQUIRES(v.lock);
  void look_private(Vcpu& v, unsigned from, port::ListRegisters& own) REQUIRES(v.lock);
  [[nodiscard]] bool ask_holders(std::uint32_t which, unsigned from) REQUIRES(spi_lock_);
  void serve_own(unsigned from, port::ListRegisters& own) EXCLUDES(spi_lock_);
  void look_spis(unsigned from, port::ListRegisters& own) EXCLUDES(spi_lock_);
  void route_spi(unsigned spi, std::uint64_t affinity) REQUIRES(spi_lock_);
  [[nodiscard]] bool fold_asked(unsigned vcpu) const {
    return (vcpus_[vcpu].mail.load(std::memory_order_relaxed) & kFold) != 0 &&
           vcpus_[vcpu].used.load(std::memory_order_relaxed) != 0;
  }
  [[nodiscard]] std::optional<unsigned> vcpu_of(std::uint64_t affinity) const;

  // frames (distributor.cpp, redistributor.cpp)
  [[nodiscard]] std::uint32_t distributor_word(std::uint64_t offset, unsigned from,
                                               port::ListRegisters& own) EXCLUDES(spi_lock_);
  void write_distributor_word(std::uint64_t offset, std::uint32_t value, unsigned from,
                              port::ListRegisters& own) EXCLUDES(spi_lock_);
  [[nodiscard]] std::uint32_t distributor_control(unsigned from) const;
  void write_distributor_control(std::uint32_t value) EXCLUDES(lpi_lock_);
  void write_spi_bits(BitRegister which, std::uint32_t value, unsigned from,
                      port::ListRegisters& own) EXCLUDES(spi_lock_);
  void write_route(unsigned spi, std::uint64_t offset, unsigned size, std::uint64_t value,
                   unsigned from, port::ListRegisters& own) EXCLUDES(spi_lock_);
  [[nodiscard]] std::uint64_t lpi_frame_read(unsigned vcpu, std::uint64_t offset, unsigned size)
      EXCLUDES(lpi_lock_);
  void lpi_frame_write(unsigned vcpu, std::uint64_t offset, unsigned size, std::uint64_t value)
      EXCLUDES(lpi_lock_);
  [[nodiscard]] std::uint64_t sgi_frame_read(unsigned vcpu, unsigned from, port::ListRegisters& own,
                                             std::uint64_t offset, unsigned size);
  void sgi_frame_write(unsigned vcpu, unsigned from, port::ListRegisters& own, std::uint64_t offset,
                       unsigned size, std::uint64_t value);
  void write_private_bits(Vcpu& v, BitRegister which, std::uint32_t value, unsigned from,
                          port::ListRegisters& own) REQUIRES(v.lock);
  [[nodiscard]] std::uint64_t redistributor_type(unsigned vcpu) const;
  void write_redistributor_control(unsigned vcpu, std::uint64_t value) REQUIRES(lpi_lock_);

  // life cycle (life.cpp)
  void reset_private(unsigned vcpu);
  void reset_shared();

  unsigned vcpu_count_ = 0;
  port::GuestMem* memory_ = nullptr;
  port::VcpuKick* kicks_ = nullptr;
  std::array<std::uint64_t, kMaxVcpus> affinity_{};  // set once by init()
  std::array<Vcpu, kMaxVcpus> vcpus_{};
  std::array<std::atomic<std::uint16_t>, kLpiCount> lpis_{};  // target << 8 | configuration byte
  std::atomic<std::uint8_t> groups_{0};

  UnfairLock spi_lock_;
  InterruptBank spis_ GUARDED_BY(spi_lock_){};
  std::array<std::uint64_t, kSpiCount> spi_route_ GUARDED_BY(spi_lock_){};  // IROUTER as written
  std::array<std::uint32_t, kMaxVcpus> routed_ GUARDED_BY(spi_lock_){};     // SPIs by target
  std::array<std::uint32_t, kMaxVcpus> held_
      GUARDED_BY(spi_lock_){};  // SPIs by whose registers they are in

  UnfairLock lpi_lock_;
  std::array<RedistributorRegisters, kMaxVcpus> redistributors_ GUARDED_BY(lpi_lock_){};
};

}  // namespace penstock::vmsi
