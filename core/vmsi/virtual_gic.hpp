// The GICv3 that one domain sees: distributor, redistributors, and what decides which interrupt its
// CPUs take next.
//
// A guest acknowledges, ends and deactivates interrupts in hardware (list registers); what traps is
// the distributor's and redistributors' frames and the sending of SGIs. One security state
// (GICD_CTLR.DS = 1), affinity routing always on.
//
// Who may touch what
//   inbox      any CPU, lock-free: `pending LPI` bits and one `mail` word per vCPU that says where
//   to look. Posting is
//              fetch_or on the bit, fetch_or on the mail word (release), a kick if the word was
//              empty; the owner takes the mail word with exchange (acquire) and reads the bits
//              after it. A bit stays set until it is in a list register, so that nothing is lost
//              between.
//   own        list registers and their shadow: only by the vCPU's own CPU, in deliver(),
//   maintenance(), the frame
//              accessors (parameter `own`) and reset_vcpu()/park().
//   lock_      everything about wired interrupts (SGIs, PPIs, SPIs) and the frames' registers. Held
//   for a bounded time:
//              at most 64 wired and kLpiCount message interrupts are looked at. Rank: below
//              VirtualIts's lock; under it only ListRegisters, GuestMem and VcpuKick are called.
//   LPI route  one atomic 16-bit word per LPI (target, priority, enable), written under lock_, read
//   by anyone.
// What another CPU wants of interrupts that sit in a vCPU's list registers (withdraw, clear, look)
// is left as a request under lock_ and a bit in the mail word; the owner serves it on its next
// entry, GICD_CTLR.RWP and GICR_CTLR.RWP read 1 until then.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/ids.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
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

  /// Before any other call; then reset_vcpu() on each vCPU's own CPU before its guest's first
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

  // ---- sources of interrupts ----

  /// The input line of an SPI. Any CPU. Level-sensitive while the guest configures it so: pending
  /// as long as the line is high, looked at again when the guest ends the interrupt. Numbers
  /// outside 32..63 are ignored.
  void set_spi_level(unsigned intid, bool level);
  /// Makes PPI 16..31 of `vcpu` pending once. Any CPU. Other numbers are ignored.
  void pend_private(VcpuIndex vcpu, unsigned intid);
  /// The physical PPI `intid` (16..31) of this CPU was taken for `self` and is now active (priority
  /// dropped, not deactivated): the guest's own deactivation of the virtual one ends it. Own CPU.
  /// If the guest never takes it (reset, ICACTIVER), ListRegisters::deactivate_physical is called.
  void pend_hardware_ppi(VcpuIndex self, unsigned intid);
  /// Makes an LPI pending at `target`. Any CPU, no lock. Numbers without an LPI are ignored; one
  /// that the guest disabled stays pending, one that is not mapped any more is dropped, one that
  /// has moved follows, all in deliver().
  void pend_lpi(VcpuIndex target, GuestIntId lpi) { post_lpi(target, lpi, true); }
  /// The same from the CPU of `self`, which is about to call deliver(): no kick.
  void pend_lpi_here(VcpuIndex self, GuestIntId lpi) { post_lpi(self, lpi, false); }

  // ---- delivery, on the CPU of `self` ----

  /// Something may have to go into list registers. One load; any CPU.
  [[nodiscard]] bool needs_delivery(VcpuIndex vcpu) const {
    return vcpu.value() < kMaxVcpus &&
           vcpus_[vcpu.value()].mail.load(std::memory_order_relaxed) != 0;
  }
  /// Moves what is pending, enabled and not active into list registers, the most urgent first.
  void deliver(VcpuIndex self, port::ListRegisters& own);
  /// The maintenance interrupt (physical PPI 25): looks at ended level interrupts again and
  /// refills. The caller acknowledges and ends the physical interrupt after this call; its cause is
  /// gone then.
  void maintenance(VcpuIndex self, port::ListRegisters& own);

  // ---- life cycle ----

  /// Back to the state after init(). No vCPU runs; afterwards each vCPU's CPU calls reset_vcpu()
  /// before its guest's first instruction.
  void reset();
  /// Empties this CPU's list registers and resets the vCPU's redistributor (domain start or reset).
  /// Own CPU.
  void reset_vcpu(VcpuIndex self, port::ListRegisters& own);
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
  static constexpr std::uint64_t kWired = std::uint64_t{1} << 62;  // the banks have something
  static constexpr std::uint64_t kFold = std::uint64_t{1} << 63;   // requests about list registers

  struct alignas(64) Vcpu {
    // inbox
    std::atomic<std::uint64_t> mail{0};
    std::atomic<bool> lpis_open{false};  // GICR_CTLR.EnableLPIs and GICD_CTLR.EnableGrp1
    std::array<std::atomic<std::uint64_t>, kLpiWords> lpi_pending{};
    std::array<std::atomic<std::uint64_t>, kLpiWords>
        lpi_clear{};  // requests to drop resident ones
    // own
    std::uint32_t registers = 0;  // one bit for each list register, from reset_vcpu() on
    std::uint64_t deferred = 0;   // LPI words that did not fit
    std::atomic<std::uint32_t> used{
        0};  // list registers not seen empty since they were filled; others only look
    std::uint32_t used_wired = 0;  // those that hold an interrupt of a bank
    bool evicted = false;          // refill() took something back to make room
    bool underflow_on = false;  // the maintenance interrupt is asked for: something waits for room
    std::array<std::uint32_t, kMaxListRegisters> intid{};
  };

  struct RedistributorRegisters {
    std::uint64_t mpidr = 0;
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
  void forward_lpi(unsigned from, std::uint32_t index, std::uint8_t target);
  [[nodiscard]] bool is_lpi_there(unsigned vcpu, std::uint32_t index);
  void route_locked(std::uint32_t index, std::uint8_t target) REQUIRES(lock_);
  void set_lpi_config(std::uint32_t index, std::uint8_t config) REQUIRES(lock_);
  void load_lpi_configs_locked(unsigned target) REQUIRES(lock_);
  [[nodiscard]] PropertyTable property_table(unsigned vcpu) const REQUIRES(lock_);

  // own (delivery.cpp)
  void deliver_slowly(unsigned self, port::ListRegisters& own, bool requests) EXCLUDES(lock_);
  [[nodiscard]] bool deliver_lpis(Vcpu& v, unsigned self, port::ListRegisters& own);
  [[nodiscard]] bool deliver_lpi(Vcpu& v, unsigned self, port::ListRegisters& own,
                                 std::uint32_t index, std::uint32_t& used);
  void refill(unsigned self, port::ListRegisters& own) REQUIRES(lock_);
  void add_wired(const InterruptBank& bank, std::uint32_t fresh, std::uint32_t there,
                 std::uint32_t base, CandidateList& list) const REQUIRES(lock_);
  void collect_wired(unsigned self, CandidateList& list) REQUIRES(lock_);
  void collect_lpis(unsigned self, CandidateList& list);
  [[nodiscard]] bool place(unsigned self, port::ListRegisters& own, const Candidate& candidate)
      REQUIRES(lock_);
  void merge(unsigned self, port::ListRegisters& own, unsigned slot) REQUIRES(lock_);
  [[nodiscard]] std::optional<unsigned> make_room(unsigned self, port::ListRegisters& own,
                                                  const Candidate& candidate) REQUIRES(lock_);
  [[nodiscard]] std::uint64_t take(unsigned self, const Candidate& candidate) REQUIRES(lock_);
  void fold(unsigned self, port::ListRegisters& own) REQUIRES(lock_);
  void fold_empty(unsigned self, port::ListRegisters& own) REQUIRES(lock_);
  void fold_one(unsigned self, port::ListRegisters& own, unsigned slot) REQUIRES(lock_);
  void serve_requests(unsigned self, port::ListRegisters& own) REQUIRES(lock_);
  void serve_wired(unsigned self, port::ListRegisters& own, unsigned slot) REQUIRES(lock_);
  void serve_lpi(unsigned self, port::ListRegisters& own, unsigned slot) REQUIRES(lock_);
  void withdraw(unsigned self, port::ListRegisters& own, unsigned slot, bool drop) REQUIRES(lock_);
  void release_slot(unsigned self, unsigned slot) REQUIRES(lock_);
  void drop_orphans(unsigned self, port::ListRegisters& own) REQUIRES(lock_);
  void watch_active(unsigned self, port::ListRegisters& own) REQUIRES(lock_);

  // wired interrupts (wired.cpp)
  [[nodiscard]] InterruptBank& bank_of(unsigned vcpu, std::uint32_t intid) REQUIRES(lock_) {
    return intid < kFirstSpi ? private_[vcpu] : spis_;
  }
  [[nodiscard]] std::uint32_t deliverable(const InterruptBank& bank) const REQUIRES(lock_);
  void announce_private(unsigned vcpu) REQUIRES(lock_);
  void announce_spis() REQUIRES(lock_);
  void request_private(unsigned vcpu, std::uint32_t which, unsigned from, port::ListRegisters& own)
      REQUIRES(lock_);
  void request_spis(std::uint32_t which, unsigned from, port::ListRegisters& own) REQUIRES(lock_);
  void look_private(unsigned vcpu, unsigned from, port::ListRegisters& own) REQUIRES(lock_);
  void look_spis(unsigned from, port::ListRegisters& own) REQUIRES(lock_);
  void route_spi(unsigned spi, std::uint64_t affinity) REQUIRES(lock_);
  void pend_wired(unsigned vcpu, unsigned intid, bool hardware) EXCLUDES(lock_);
  [[nodiscard]] bool fold_asked(unsigned vcpu) const {
    return (vcpus_[vcpu].mail.load(std::memory_order_relaxed) & kFold) != 0 &&
           vcpus_[vcpu].used.load(std::memory_order_relaxed) != 0;
  }
  void refresh_lpi_gates() REQUIRES(lock_);
  [[nodiscard]] std::optional<unsigned> vcpu_of(std::uint64_t affinity) const REQUIRES(lock_);

  // frames (distributor.cpp, redistributor.cpp)
  [[nodiscard]] std::uint32_t distributor_word(std::uint64_t offset, unsigned from,
                                               port::ListRegisters& own) REQUIRES(lock_);
  void write_distributor_word(std::uint64_t offset, std::uint32_t value, unsigned from,
                              port::ListRegisters& own) REQUIRES(lock_);
  [[nodiscard]] std::uint32_t distributor_control(unsigned from) const REQUIRES(lock_);
  void write_distributor_control(std::uint32_t value) REQUIRES(lock_);
  void write_route(unsigned spi, std::uint64_t value, unsigned from, port::ListRegisters& own)
      REQUIRES(lock_);
  [[nodiscard]] std::uint64_t lpi_frame_read(unsigned vcpu, std::uint64_t offset, unsigned size)
      REQUIRES(lock_);
  void lpi_frame_write(unsigned vcpu, std::uint64_t offset, unsigned size, std::uint64_t value)
      REQUIRES(lock_);
  [[nodiscard]] std::uint64_t sgi_frame_read(unsigned vcpu, unsigned from, port::ListRegisters& own,
                                             std::uint64_t offset, unsigned size) REQUIRES(lock_);
  void sgi_frame_write(unsigned vcpu, unsigned from, port::ListRegisters& own, std::uint64_t offset,
                       unsigned size, std::uint64_t value) REQUIRES(lock_);
  [[nodiscard]] std::uint64_t redistributor_type(unsigned vcpu) const REQUIRES(lock_);
  void write_redistributor_control(unsigned vcpu, std::uint64_t value) REQUIRES(lock_);
  void reset_private(unsigned vcpu) REQUIRES(lock_);
  void reset_shared() REQUIRES(lock_);

  unsigned vcpu_count_ = 0;
  port::GuestMem* memory_ = nullptr;
  port::VcpuKick* kicks_ = nullptr;
  std::array<Vcpu, kMaxVcpus> vcpus_{};
  std::array<std::atomic<std::uint16_t>, kLpiCount> lpis_{};  // target << 8 | configuration byte

  SpinLock lock_;
  bool group0_on_ GUARDED_BY(lock_) = false;
  bool group1_on_ GUARDED_BY(lock_) = false;
  std::array<InterruptBank, kMaxVcpus> private_ GUARDED_BY(lock_){};
  InterruptBank spis_ GUARDED_BY(lock_){};
  std::array<std::uint64_t, kSpiCount> spi_route_ GUARDED_BY(lock_){};  // GICD_IROUTER as written
  std::array<std::uint32_t, kMaxVcpus> routed_ GUARDED_BY(lock_){};     // SPIs by target
  std::array<std::uint32_t, kMaxVcpus> held_
      GUARDED_BY(lock_){};  // SPIs by whose registers they are in
  std::array<RedistributorRegisters, kMaxVcpus> redistributors_ GUARDED_BY(lock_){};
};

}  // namespace penstock::vmsi
