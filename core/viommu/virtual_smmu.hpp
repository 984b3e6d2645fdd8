// An Arm SMMUv3 as a guest sees it: stage 1 is the guest's, its context descriptors and tables stay
// in its memory and are walked by the board's SMMU, behind stage 2, which the guest knows nothing
// of (IHI 0070; register table: smmu_registers.hpp).
//
// The engine executes what the guest has asked for, on the guest's own CPUs, a slice at a time:
//
//     CR0 or GBPA written ----> every stream is stale --refresh--> acknowledged
//     CFGI_STE* in the queue -> those streams are stale --refresh--> the next command
//     CMDQ_PROD written ------> commands: collected into one batch for the board's SMMU, executed
//                               with one sync there before the guest's CMD_SYNC completes
//
// `refresh` reads the guest's stream-table entry, once, and gives the sanitised result to the host.
// A stream that the hypervisor has cut off (its device floods the board with faults) is known by
// the host's answer. Commands for it are dropped as for a stream without a device: they cannot
// change what it reaches, and an error would stop the queue for the guest's other devices, too
// (H56).
//
// What is left after a slice stays as work (VirtualIommu::has_work()); so does everything when
// another guest uses the board's SMMU at this moment: nobody waits for another guest here.
//
// Who may touch what
//   engine_     the streams, the position in the command queue, what of CR0 and GBPA is in effect.
//               Held for a slice by one CPU of the guest; the others only try. attach(), detach()
//               and reset() wait for it, for one slice at most.
//   registers_  the register values, writing of events, errors. Held for one access or event. Taken
//               under engine_, never the other way round. Under it: GuestMem, IrqSink.
//   atomics     CMDQ_PROD and CMDQ_CONS, so that producing and looking need no lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "core/base/lock.hpp"
#include "core/base/static_vector.hpp"
#include "core/viommu/smmu_entry.hpp"
#include "core/viommu/smmu_registers.hpp"
#include "core/viommu/stage1_host.hpp"
#include "core/viommu/virtual_iommu.hpp"

namespace penstock::viommu {

class VirtualSmmu final : public VirtualIommu {
 public:
  /// A slice ends when this many units are spent: 1 for a command, kRefreshUnits for a stream whose
  /// entry is read and published, kSyncUnits for a batch given to the board's SMMU. Measured:
  /// docs/benchmarks.md, "a slice".
  static constexpr unsigned kUnitsPerSlice = 64;
  static constexpr unsigned kRefreshUnits = 16;
  static constexpr unsigned kSyncUnits = 4;
  /// SPIs that it takes, from Surroundings::first_intid on: event queue, CMD_SYNC, global errors.
  static constexpr unsigned kInterrupts = 3;

  /// `physical` are the board's SMMU's registers; `host` outlives this object.
  VirtualSmmu(const hw::smmuv3::IdRegisters& physical, Stage1Host& host);
  VirtualSmmu(const VirtualSmmu&) = delete;
  VirtualSmmu& operator=(const VirtualSmmu&) = delete;

  void connect(const Surroundings& surroundings) override;
  [[nodiscard]] Description description() const override;
  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size) override;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) override;
  void run() override EXCLUDES(engine_);
  Status attach(GuestStreamId stream, StreamId physical) override EXCLUDES(engine_);
  void detach(GuestStreamId stream) override EXCLUDES(engine_);
  bool fault(const StreamFault& fault) override EXCLUDES(registers_);
  void reset() override EXCLUDES(engine_, registers_);

 private:
  struct Stream {
    GuestStreamId guest;
    StreamId physical;
    bool stale = false;
    bool cut_off = false;  // aborts until it is detached; never stale
  };
  /// Why a stream's entry is not valid, for the event that the board's SMMU will report.
  struct Reason {
    GuestStreamId guest;
    std::uint8_t event = 0;  // 0: it is valid, or aborts without an event
    Gpa fetch;
  };
  enum class Transition : std::uint8_t { kNone, kCr0, kGbpa };
  enum class Verdict : std::uint8_t { kNext, kAlone, kIllegal };
  /// Commands for the host. Not a StaticVector: emptying it need not clear what it held.
  struct Batch {
    std::array<hw::smmuv3::Command, Stage1Host::kMaxBatch> commands{};
    std::size_t count = 0;
    /// A slice has no more commands than there is room for.
    void add(const hw::smmuv3::Command& command) { commands[count++] = command; }
  };
  static_assert(kUnitsPerSlice <= Stage1Host::kMaxBatch);
  static constexpr unsigned kGroup = 16;  // commands copied at a time

  // virtual_smmu.cpp
  [[nodiscard]] std::uint64_t& value(Reg reg) REQUIRES(registers_) {
    return values_[static_cast<std::size_t>(reg)];
  }
  [[nodiscard]] std::uint64_t value(Reg reg) const REQUIRES(registers_) {
    return values_[static_cast<std::size_t>(reg)];
  }
  [[nodiscard]] std::uint64_t stored(Reg reg) const REQUIRES(registers_);
  [[nodiscard]] bool is_open(Gate gate, std::uint64_t written) const REQUIRES(registers_);
  void write_register(const RegisterRow& row, std::uint64_t written) REQUIRES(registers_);
  void write_errors_seen(std::uint64_t written) REQUIRES(registers_);
  void reset_registers() REQUIRES(registers_);
  void produce(std::uint32_t index);
  void raise_error(std::uint64_t bit) REQUIRES(registers_);
  /// A message to guest RAM, or the wired interrupt where the address is 0; false: it aborted.
  bool signal(std::uint64_t address, std::uint32_t data, unsigned wire);

  // smmu_engine.cpp
  [[nodiscard]] bool has_pending() const REQUIRES(engine_);
  [[nodiscard]] unsigned step(unsigned budget) REQUIRES(engine_) EXCLUDES(registers_);
  [[nodiscard]] bool begin_transition() REQUIRES(engine_) EXCLUDES(registers_);
  void finish_transition() REQUIRES(engine_) EXCLUDES(registers_);
  void make_stale(std::uint32_t id, unsigned ignored_bits) REQUIRES(engine_);
  [[nodiscard]] bool refresh(Stream& stream) REQUIRES(engine_) EXCLUDES(registers_);
  [[nodiscard]] bool refresh_one() REQUIRES(engine_) EXCLUDES(registers_);
  [[nodiscard]] JudgedEntry wanted(GuestStreamId stream) REQUIRES(engine_) EXCLUDES(registers_);
  [[nodiscard]] std::size_t lower_bound(GuestStreamId stream) const REQUIRES(engine_);
  [[nodiscard]] Stream* find(GuestStreamId stream) REQUIRES(engine_);
  [[nodiscard]] bool note_cut_off(const Error& why) REQUIRES(engine_);

  // smmu_commands.cpp
  [[nodiscard]] unsigned run_commands(unsigned budget) REQUIRES(engine_) EXCLUDES(registers_);
  [[nodiscard]] unsigned fetch(std::uint32_t at, unsigned most) REQUIRES(engine_);
  [[nodiscard]] Verdict collect(const hw::smmuv3::Command& command) REQUIRES(engine_);
  [[nodiscard]] Verdict collect_any(const hw::smmuv3::Command& command) REQUIRES(engine_);
  [[nodiscard]] Verdict collect_va(const hw::smmuv3::Command& command) REQUIRES(engine_);
  [[nodiscard]] Verdict collect_cd(hw::smmuv3::Command command) REQUIRES(engine_);
  void execute_alone(const hw::smmuv3::Command& command) REQUIRES(engine_) EXCLUDES(registers_);
  void complete_sync(const hw::smmuv3::Command& command) EXCLUDES(registers_);
  void consume(std::uint32_t to) REQUIRES(engine_);
  [[nodiscard]] bool forward() REQUIRES(engine_) EXCLUDES(registers_);
  [[nodiscard]] unsigned fail_at(std::uint32_t at, std::uint64_t error, unsigned spent)
      REQUIRES(engine_) EXCLUDES(registers_);
  void fail_command(std::uint64_t error) REQUIRES(engine_) EXCLUDES(registers_);
  /// Indices count modulo twice the queue's size: the bit above the index is the wrap bit.
  [[nodiscard]] std::uint32_t wrap(std::uint32_t index) const REQUIRES(engine_) {
    return index & (2 * entries_ - 1);
  }
  /// Of a number that only the engine's holder changes.
  static void count(std::atomic<std::uint64_t>& number, std::uint64_t more) {
    number.store(number.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }

  // smmu_events.cpp
  [[nodiscard]] bool is_guests(const StreamFault& fault, Reason& reason) REQUIRES(registers_);
  void record(const std::array<std::uint64_t, 4>& event) REQUIRES(registers_);
  void note_reason(GuestStreamId stream, const JudgedEntry& entry) REQUIRES(registers_);

  const hw::smmuv3::IdRegisters ids_;
  const std::uint64_t asid_mask_;  // bits of a command that hold an ASID
  Stage1Host& host_;
  Surroundings around_;

  std::atomic<std::uint32_t> cmdq_prod_{0};
  std::atomic<std::uint32_t> cmdq_cons_{0};   // RD, and ERR in its place
  std::atomic<bool> command_error_{false};    // until the guest acknowledges it
  std::atomic<std::uint32_t> cr0_wanted_{0};  // CR0 as written
  std::atomic<bool> gbpa_wanted_{false};      // GBPA.UPDATE is set

  SpinLock engine_;
  StaticVector<Stream, kMaxStreams> streams_ GUARDED_BY(engine_);  // sorted by guest's ID
  unsigned stale_ GUARDED_BY(engine_) = 0;                         // how many of them
  Transition transition_ GUARDED_BY(engine_) = Transition::kNone;
  std::uint32_t cr0_ GUARDED_BY(engine_) = 0;  // in effect, or coming into effect
  bool gbpa_abort_ GUARDED_BY(engine_) = false;
  StreamTableShape table_ GUARDED_BY(engine_);
  Gpa queue_ GUARDED_BY(engine_);
  std::uint32_t entries_ GUARDED_BY(engine_) = 1;
  std::array<hw::smmuv3::Command, kGroup> group_ GUARDED_BY(engine_){};  // copied, not yet judged
  Batch batch_ GUARDED_BY(engine_);  // judged, not yet executed; empty between slices

  SpinLock registers_;
  std::array<std::uint64_t, kRegCount> values_ GUARDED_BY(registers_){};
  StaticVector<Reason, kMaxStreams> reasons_ GUARDED_BY(registers_);
};

}  // namespace penstock::viommu
