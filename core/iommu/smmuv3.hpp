// The host's driver of one Arm SMMUv3 (IHI 0070): every DMA of every device passes it, and passes
// only where a stream was attached to a domain's stage-2 table.
//
// What a stream's traffic meets, and which call leads there:
//
//     never named ------------> aborted, event C_BAD_STREAMID (no level-2 table) or C_BAD_STE
//                               (entry not valid)
//     block(), detach() ------> aborted, without an event (STE.Config = abort)
//     silence() --------------> the same, for one that nobody names
//     quarantine(kScratch) ---> a page that is this stream's alone, at every address
//     attach_aborting() ------> aborted as well, until configure()
//     attach() ---------------> the domain's stage 2; what is not mapped there is aborted with
//                               F_TRANSLATION and the like
//     configure() ------------> what the owner's own stage 1 says, and then the domain's stage 2
//
//     never named, blocked, scratch --attach--> attached --detach, block--> blocked
//     any of them --block--> blocked            any of them --quarantine--> blocked or scratch
//
// Every arrow that leaves a table goes through an entry that aborts and is seen to.
//
// From the first register write of init() on there is no moment at which DMA bypasses: GBPA aborts
// while the SMMU is off.
//
// Locks: lock_ guards the stream table, the command queue and the list of streams; event_lock_
// guards the event queue's consumer. event_lock_ may be taken under lock_ (by init() alone), never
// the other way round. lock_ is taken under a Stage2Table's lock (through SmmuTlb) and above the
// page pool's. Both may be held for one hardware wait (kWaitNs at most, microseconds in practice).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/hw/smmuv3/registers.hpp"
#include "core/hw/smmuv3/stream_table.hpp"
#include "core/iommu/fault.hpp"
#include "core/iommu/smmuv3/command_queue.hpp"
#include "core/iommu/smmuv3/event_queue.hpp"
#include "core/iommu/smmuv3/stream_table.hpp"
#include "core/mem/page_pool.hpp"
#include "core/port/clock.hpp"
#include "core/port/log.hpp"
#include "core/port/mmio.hpp"
#include "core/port/phys_mem.hpp"
#include "core/port/tlb.hpp"

namespace penstock::iommu {

/// What a domain's devices share: the tag of their cached translations and the table that they
/// walk.
struct DmaContext {
  Vmid vmid;  // 1..65519, 1..239 where the SMMU has 8-bit VMIDs; one per domain
  Hpa root;   // mem::Stage2Table::root()
};

/// One stream that is not aborted, as the hardware's own table says it (read back for audits, not
/// remembered).
struct StreamView {
  StreamId stream;
  Vmid vmid;
  Hpa root;
  std::uint8_t config = 0;  // STE.Config: 6 is stage 2 only, 7 nested; anything else is a bug
  std::uint64_t stage1_word0 = 0;  // a guest's fields of a nested entry
  std::uint64_t stage1_word1 = 0;
  hw::smmuv3::Stage1 wanted;  // what configure() was asked for last
  bool exact = false;         // no bit of the entry is other than the driver writes it
  /// In quarantine with a scratch page: `vmid` and `root` are those of its own table, which leads
  /// nowhere but to that page. False for a quarantined stream whose table says anything else.
  bool scratch = false;
};

/// What a stream that nobody owns meets.
enum class QuarantineKind : std::uint8_t {
  kAbort,    // every access aborts: nothing is read, nothing is written
  kScratch,  // for devices that hang on aborts: every 40-bit address is one page of its own
};

class StreamVisitor {
 public:
  /// Called under the SMMU's lock; must not call back into it.
  virtual void stream(const StreamView& view) = 0;

 protected:
  ~StreamVisitor() = default;
};

class Smmu {
 public:
  static constexpr std::uint64_t kWindowBytes = 128 * kKiB;  // register pages 0 and 1
  static constexpr std::uint64_t kWaitNs = 1'000'000'000;    // as patient as the usual drivers
  static constexpr std::size_t kMaxStreams = 256;  // attached or blocked; one bus of functions
  static constexpr unsigned kMaxSilenced = 8;      // level-2 tables that silence() may take
  static constexpr std::size_t kMaxScratch = 16;   // streams with a scratch page at one time

  Smmu() = default;
  Smmu(const Smmu&) = delete;
  Smmu& operator=(const Smmu&) = delete;

  /// Brings the SMMU from any state, also from "enabled by firmware", to "enabled, every stream
  /// aborts", with the wired event and global-error interrupts on. `registers` is the window of
  /// kWindowBytes; all five objects outlive the Smmu. kUnsupported (arg: offset of the ID register
  /// that lacks something: IDR0 stage 2, AArch64 tables, little-endian, faults that end; IDR1
  /// preset tables or queues, tiny queues; IDR5 4 KiB granule, 40-bit output), kNoMemory, kTimeout
  /// (arg: register offset). After an error the SMMU aborts everything. Boot only, once
  /// (kBadState).
  Status init(port::Mmio& registers, port::PhysMem& memory, port::Clock& clock, mem::PagePool& pool,
              port::Log& log) EXCLUDES(lock_, event_lock_);

  /// Lets the stream walk the context's table. kAlreadyExists (arg: stream) when it is attached, to
  /// whichever domain; kNotOwner (arg: VMID) when the VMID is in use with another root; kOutOfRange
  /// (arg: stream or VMID; VMID 0 too); kMisaligned (arg: root, 8 KiB); kTableFull; kNoMemory;
  /// kBadState before init() or after stop(); kTimeout, kHardwareError: the stream is left blocked.
  Status attach(StreamId stream, const DmaContext& context) EXCLUDES(lock_);

  /// The same, but the stream goes on aborting, without events, until configure() says what its
  /// owner's stage 1 is. Nothing passes through stage 2 alone meanwhile.
  Status attach_aborting(StreamId stream, const DmaContext& context) EXCLUDES(lock_);

  /// Takes the stream from its domain: on success no access of it is translated any more, and where
  /// it was the last of its VMID, nothing is cached for that VMID. kNotFound (arg: stream) when it
  /// is not attached. On kTimeout or kHardwareError the entry aborts but may still be cached: the
  /// stream is "unconfirmed" until block() or an invalidate() of its VMID has succeeded, and memory
  /// of the domain must not change owner before (a Stage2Table gives none back before).
  Status detach(StreamId stream) EXCLUDES(lock_);

  /// Quarantine: the stream aborts without events, whatever it was before (a stream that is
  /// attached is detached).
  Status block(StreamId stream) EXCLUDES(lock_);

  /// A stream that was never named, of a device that nobody knows, causes events as fast as it
  /// sends: from here on it aborts without them. Nothing changes for one that was named. kTableFull
  /// (arg: stream): the level-2 tables that this may take, over the SMMU's life, are used up.
  Status silence(StreamId stream) EXCLUDES(lock_);

  /// The same, or (kScratch) with a zeroed page that the device may read and write at every address
  /// below 2^40, instead of aborts. The page and the table are this stream's alone, so that no
  /// quarantined device reads what another one wrote, nor what it wrote itself in an earlier
  /// quarantine; they come from the pool and go back when the stream is attached or blocked. On
  /// kTableFull (kMaxScratch) and kNoMemory the stream is left blocked; else as block().
  Status quarantine(StreamId stream, QuarantineKind kind) EXCLUDES(lock_);

  /// Changes what stage 1 does with an attached stream, never through a state that is neither the
  /// old nor the new one nor an abort. What is cached of the stream's configuration, context
  /// descriptors included, is forgotten, also where nothing changes. kBusy: another CPU uses the
  /// SMMU, nothing was done; kNotFound (arg: stream): it is not attached; kUnsupported: nesting()
  /// says why; kTimeout, kHardwareError: the stream is left aborting.
  Status configure(StreamId stream, const hw::smmuv3::Stage1& wanted) EXCLUDES(lock_);

  /// One batch of a guest's own invalidations (TLBI_NH_*, CFGI_CD, CFGI_CD_ALL; at most
  /// CommandQueue::kMaxBatch) and one sync, complete when it returns. The VMID is written over
  /// whatever the commands carry; streams are physical. kNotOwner (arg: stream) unless each is
  /// attached under this VMID, kOutOfRange (arg: opcode) for any other command: nothing was done.
  /// kBusy as above; kTimeout, kHardwareError, kBadState.
  Status forward(Vmid vmid, std::span<hw::smmuv3::Command> batch) EXCLUDES(lock_);
  /// What configure() has made of an attached stream.
  [[nodiscard]] std::optional<hw::smmuv3::Stage1> stage1(StreamId stream) const EXCLUDES(lock_);

  /// Whether guests can have a stage 1 of their own: kUnsupported (arg: offset of the ID register
  /// that says no); the text is for people.
  [[nodiscard]] Status nesting(std::string_view& why) const EXCLUDES(lock_);
  [[nodiscard]] hw::smmuv3::IdRegisters id_registers() const EXCLUDES(lock_);

  /// Forgets cached translations of [start, start + size) for the VMID and waits for completion:
  /// one batch, one sync. Before it, every stream of the VMID whose detach() was not confirmed is
  /// asked for again: on success none of them walks the VMID's table any more (H59). kOutOfRange
  /// (start + size beyond 2^40, VMID 0), kTimeout, kHardwareError, kBadState.
  Status invalidate(Vmid vmid, Gpa start, std::uint64_t size) EXCLUDES(lock_);

  /// Copies up to out.size() recorded events out of the queue, oldest first, and returns how many.
  /// Call it from the event interrupt and again while it returns out.size(): only where it returns
  /// less will the next event interrupt. Bounded by out.size().
  unsigned take_events(std::span<Fault> out) EXCLUDES(event_lock_);
  /// What is recorded from here on has this Fault::number or a higher one.
  [[nodiscard]] std::uint64_t next_event() EXCLUDES(event_lock_);
  /// How many times the hardware had to drop events because the queue was full.
  [[nodiscard]] std::uint64_t event_overflows() const EXCLUDES(event_lock_);

  /// Call from the global-error interrupt: acknowledges every active error, and logs the first ones
  /// and then fewer and fewer (devices can cause them). Returns the active GERROR bits; call it
  /// again until there are none, an error between two of its accesses may interrupt nobody.
  std::uint32_t handle_gerror() EXCLUDES(lock_);

  /// The last resort when isolation is in doubt: all DMA of all devices aborts from here on, until
  /// the next boot. kTimeout when the SMMU does not even acknowledge that.
  Status stop() EXCLUDES(lock_);

  /// The VMID that the stream is attached to, if any. O(log n).
  [[nodiscard]] std::optional<Vmid> owner(StreamId stream) const EXCLUDES(lock_);
  /// Every valid entry of the hardware's table that does not abort. Bounded by kMaxStreams and the
  /// table's size.
  void audit(StreamVisitor& visitor) const EXCLUDES(lock_);

 private:
  struct Stream {
    StreamId id;
    std::optional<Vmid> vmid;  // none: in quarantine
    // Of the table that walks may still begin from, because the SMMU has not confirmed that the
    // entry was seen to abort. Never together with a vmid.
    std::optional<Vmid> unconfirmed{};
    hw::smmuv3::Stage1 stage1{};
    std::uint8_t scratch = 0;  // with a scratch page: its place in scratch_, plus one
  };

  // smmuv3_boot.cpp
  Status abort_all() REQUIRES(lock_);
  Status check_features() REQUIRES(lock_);
  Status enable() REQUIRES(lock_) EXCLUDES(event_lock_);
  Status write_acknowledged(std::uint64_t reg, std::uint64_t ack, std::uint32_t value)
      REQUIRES(lock_);

  // smmuv3_nested.cpp
  Status reconfigure(Stream& stream, const hw::smmuv3::Stage1& wanted) REQUIRES(lock_);
  Status stop_stage1(const Stream& stream, const hw::smmuv3::Stage1& wanted) REQUIRES(lock_);
  Status start_stage1(const Stream& stream, const hw::smmuv3::Stage1& wanted) REQUIRES(lock_);
  Status configure_locked(StreamId id, const hw::smmuv3::Stage1& wanted) REQUIRES(lock_);
  Status forward_locked(Vmid vmid, std::span<hw::smmuv3::Command> batch) REQUIRES(lock_);
  Status check_forward(Vmid vmid, hw::smmuv3::Command& command) REQUIRES(lock_);

  // smmuv3_quarantine.cpp
  [[nodiscard]] Vmid scratch_vmid(std::size_t place) const REQUIRES(lock_);
  Status begin_scratch(Stream& stream) REQUIRES(lock_);
  Status end_scratch(Stream& stream) REQUIRES(lock_);
  [[nodiscard]] bool leads_to_scratch(const Stream& stream, const smmuv3::SteView& entry) const
      REQUIRES(lock_);

  // smmuv3.cpp
  Status prepare(StreamId stream, const DmaContext& context) REQUIRES(lock_);
  Status check_context(const DmaContext& context) const REQUIRES(lock_);
  Status make_abort(StreamId stream) REQUIRES(lock_);
  Status detach_locked(Stream& stream) REQUIRES(lock_);
  Status confirm(Stream& stream) REQUIRES(lock_);
  Status confirm_all(Vmid vmid) REQUIRES(lock_);
  [[nodiscard]] bool vmid_used(Vmid vmid) const REQUIRES(lock_);
  [[nodiscard]] std::size_t lower_bound(StreamId stream) const REQUIRES(lock_);
  [[nodiscard]] Stream* find(StreamId stream) REQUIRES(lock_);
  Status remember(StreamId stream) REQUIRES(lock_);

  port::Mmio* registers_ = nullptr;
  port::PhysMem* memory_ = nullptr;
  port::Clock* clock_ = nullptr;
  mem::PagePool* pool_ = nullptr;
  port::Log* log_ = nullptr;

  mutable SpinLock lock_;
  bool ready_ GUARDED_BY(lock_) = false;
  std::uint64_t global_errors_ GUARDED_BY(lock_) = 0;
  smmuv3::Features features_ GUARDED_BY(lock_);
  hw::smmuv3::IdRegisters ids_ GUARDED_BY(lock_);
  smmuv3::StreamTable table_ GUARDED_BY(lock_);
  smmuv3::CommandQueue commands_ GUARDED_BY(lock_);
  StaticVector<Stream, kMaxStreams> streams_ GUARDED_BY(lock_);  // sorted by id
  unsigned silenced_tables_ GUARDED_BY(lock_) = 0;
  std::array<Hpa, kMaxScratch> scratch_ GUARDED_BY(lock_);  // tables and page; 0: free

  mutable SpinLock event_lock_;
  smmuv3::EventQueue events_ GUARDED_BY(event_lock_);
};

/// One domain's share of the SMMU as the TLB of its DMA table. If the hardware does not complete an
/// invalidation, all DMA is stopped before invalidate() returns, because the table's owner is about
/// to free what is still cached.
class SmmuTlb final : public port::Stage2Tlb {
 public:
  SmmuTlb(Smmu& smmu, Vmid vmid) : smmu_(smmu), vmid_(vmid) {}
  void invalidate(Gpa start, std::uint64_t size) override;

 private:
  Smmu& smmu_;
  Vmid vmid_;
};

}  // namespace penstock::iommu
