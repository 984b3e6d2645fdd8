// The ITS that one domain sees: registers, command queue, and who gets which message.
//
// Mapping state lives here, in fixed pools of the domain's own: the tables that a guest offers
// (GITS_BASER, ITT addresses) are accepted and never touched, so nothing in them can be forged or
// lie outside RAM (H50). Commands are copied out of the queue one by one, each once, and run under
// the lock; a command that the architecture calls an error (IHI 0069 H 5.3) is skipped and counted:
// no stall is advertised and no guest memory changes.
//
// A command is complete, and GITS_CREADR passes it, when the listener has followed it to the end: a
// guest that waits for it finds its messages on their new way.
//
// engine_ is held by the CPU that runs commands; others only try it: what they added is run by that
// one. lock_ protects all state here. It is held for one command or one register access: no loop
// over more than kMaxItsEvents. Ranks: engine_ before the listener's locks, these before lock_,
// that before VirtualGic's. GuestMem and VirtualGic are called under lock_, the listener under
// engine_ only.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "core/base/ids.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/port/guest_mem.hpp"
#include "core/vmsi/its_tables.hpp"
#include "core/vmsi/limits.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {

/// What may resolve differently now.
struct ItsChange {
  enum class Kind : std::uint8_t {
    kNone,
    kEvent,   // one event of one device
    kDevice,  // all events of one
    kAll,     // anything (MAPC, MOVALL, enable, reset)
  };
  Kind kind = Kind::kNone;
  GuestDeviceId device;
  GuestEventId event;
};

struct ItsProgress {
  unsigned units = 0;  // spent, see VirtualIts::run_commands()
  bool done = true;
};

/// Who follows it, with the board's own ITS.
class ItsListener {
 public:
  /// Follows a share of `change` that costs about `budget` units, at least a part of it. `first`:
  /// the change is new, whatever was under way before is over or a part of it. Then called with the
  /// same change until it is done; the command that made it is not complete before. Without the
  /// ITS's lock, on the CPU that runs the commands, one call at a time. Calls to resolve() from
  /// inside are allowed; writes to the ITS are not.
  virtual ItsProgress follow(const ItsChange& change, bool first, unsigned budget) = 0;

 protected:
  ~ItsListener() = default;
};

struct ItsLimits {
  unsigned devices = kMaxItsDevices;  // 1..kMaxItsDevices
  unsigned events = kMaxItsEvents;    // 1..kMaxItsEvents, over all devices
};

/// What guests did that the ITS did not follow. Read for reports; written under the lock.
struct ItsCounters {
  std::uint64_t commands = 0;    // taken from the queue
  std::uint64_t refused = 0;     // architectural errors
  std::uint64_t exhausted = 0;   // refused for want of the domain's own quota
  std::uint64_t unreadable = 0;  // queue entries that are not in RAM
};

class VirtualIts {
 public:
  static constexpr std::uint64_t kFrameBytes = 0x2'0000;  // control frame, then translation frame
  static constexpr std::uint64_t kTranslaterOffset = 0x1'0040;
  /// What a write to GITS_CWRITER runs at once, in the units of run_commands().
  static constexpr unsigned kCommandsPerTrap = 32;

  struct Target {
    VcpuIndex vcpu;
    GuestIntId lpi;
  };

  /// Before any other call. kOutOfRange for limits outside their ranges. The references must
  /// outlive the object.
  Status init(VirtualGic& gic, port::GuestMem& memory, ItsListener& listener,
              ItsLimits limits = {});

  /// Guest accesses: `offset` from the control frame, any value; `size` 1, 2, 4 or 8. What a
  /// register does not support reads 0 and ignores writes. GITS_TRANSLATER is for devices: a CPU
  /// has no DeviceID, its writes are ignored.
  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size);
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);

  /// True while enabled and GITS_CREADR != GITS_CWRITER, or while a change is followed: the caller
  /// lets the guest run, and calls run_commands() on its next entry, until this is false.
  /// Lock-free, for every trap: what another CPU does at this moment it sees the next time.
  [[nodiscard]] bool has_pending_commands() const {
    return backlog_.load(std::memory_order_relaxed);
  }
  /// Runs commands worth about `budget` units: 1 each, kHeavy for those that walk tables (MAPD,
  /// MAPC, MOVALL, INVALL), and what the listener spends on them, which may be left and resumed
  /// within a command. Nothing while another CPU is at it.
  void run_commands(unsigned budget);
  static constexpr unsigned kHeavy = 16;

  /// Where a message of (device, event) goes. kBadState while the ITS is disabled; kNotFound (arg:
  /// the number) for an unmapped device, event or collection. Two array look-ups and one search
  /// among at most kMaxItsDevices. Any CPU.
  [[nodiscard]] Result<Target> resolve(GuestDeviceId device, GuestEventId event);
  /// Delivers a message that software sends in a device's name: like INT, without the queue.
  /// Unmapped: dropped. Any CPU.
  void software_message(GuestDeviceId device, GuestEventId event);

  /// Back to the state after init(); no vCPU runs.
  void reset();

  [[nodiscard]] ItsCounters counters();

 private:
  using Command = std::array<std::uint64_t, 4>;
  enum class Verdict : std::uint8_t { kDone, kRefused, kExhausted };
  struct Outcome {
    Verdict verdict = Verdict::kDone;
    ItsChange change{};
  };

  // registers and queue (virtual_its.cpp)
  [[nodiscard]] std::uint64_t register64(std::uint64_t offset) const REQUIRES(lock_);
  void write_control(std::uint64_t value) EXCLUDES(lock_);
  void write_register64(std::uint64_t offset, std::uint64_t value) REQUIRES(lock_);
  void write_queue_base(std::uint64_t value) REQUIRES(lock_);
  void write_producer(std::uint64_t value) REQUIRES(lock_);
  void write_table(unsigned index, std::uint64_t value) REQUIRES(lock_);
  [[nodiscard]] std::uint64_t queue_bytes() const REQUIRES(lock_);
  void note_backlog() REQUIRES(lock_);
  [[nodiscard]] bool pending_locked() const REQUIRES(lock_);
  [[nodiscard]] Result<Command> fetch() REQUIRES(lock_);
  /// Runs one command, or follows a part of one; its cost in units, or 0 when there is none.
  [[nodiscard]] unsigned step(unsigned budget) EXCLUDES(lock_);
  [[nodiscard]] unsigned begin_command() REQUIRES(lock_);
  void end_command() REQUIRES(lock_);
  void reset_registers() REQUIRES(lock_);
  /// resolve() without regard to GITS_CTLR.Enabled.
  [[nodiscard]] Result<Target> target_of(GuestDeviceId device, GuestEventId event) const
      REQUIRES(lock_);

  // commands (its_commands.cpp)
  [[nodiscard]] Outcome execute(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome map_device(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome map_collection(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome map_event(const Command& command, std::uint32_t lpi) REQUIRES(lock_);
  [[nodiscard]] Outcome move_event(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome move_all(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome discard(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome clear(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome interrupt(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome invalidate(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome invalidate_all(const Command& command) REQUIRES(lock_);
  [[nodiscard]] Outcome synchronize(const Command& command) REQUIRES(lock_);
  void forget(GuestDeviceId device) REQUIRES(lock_);
  [[nodiscard]] std::optional<VcpuIndex> vcpu_of(std::uint64_t processor_number) const;
  [[nodiscard]] static unsigned cost_of(const Command& command);

  VirtualGic* gic_ = nullptr;
  port::GuestMem* memory_ = nullptr;
  ItsListener* listener_ = nullptr;

  SpinLock engine_;
  SpinLock lock_;
  // What the listener follows at the moment, and whether it was told; whether that is a command's.
  ItsChange change_ GUARDED_BY(lock_){};
  bool change_is_new_ GUARDED_BY(lock_) = false;
  bool command_open_ GUARDED_BY(lock_) = false;
  bool enabled_ GUARDED_BY(lock_) = false;
  std::uint64_t cbaser_ GUARDED_BY(lock_) = 0;
  std::uint64_t cwriter_ GUARDED_BY(lock_) = 0;  // byte offsets into the queue, multiples of 32
  std::uint64_t creadr_ GUARDED_BY(lock_) = 0;
  std::atomic<bool> backlog_{false};  // written under lock_, after all that makes it so
  std::array<std::uint64_t, 2> tables_ GUARDED_BY(lock_){};  // GITS_BASER0, GITS_BASER1
  ItsTables maps_ GUARDED_BY(lock_);
  ItsCounters counters_ GUARDED_BY(lock_);
};

}  // namespace penstock::vmsi
