// The board's interrupt translation service: which LPI, on which CPU, a (DeviceID, EventID) pair
// raises.
//
// The hypervisor chooses every event. A device with V vectors has LPIs first .. first + V - 1:
// event n is LPI first + n, always, so nothing that a guest does can make one event another's
// interrupt. What is mapped of that, and to which CPU, changes at run time:
//
//             map_device            map_event(s)              unmap_device
//   (absent) ------------> mapped <--------------> delivering ------------> (absent)
//                              \    discard_event   |  ^ move_event
//                               \                   +--+ clear_event, configure
//                                --> lost: the ITS failed in between. Its table and LPIs are
//                                    never used again, because the hardware may still write to
//                                    the one and raise the others.
//
// Events beyond V, up to the size of the device's table (a power of two, at least kMinEvents,
// always > V), all raise one "stray" LPI: a device that forges EventIDs is seen and counted as
// itself. EventIDs beyond the table are dropped by the ITS without a trace.
//
// Everything is checked before the first command is queued, and hardware that does not answer or
// refuses is an error, after which the ITS's state and ours agree again: a batch is undone as a
// whole. One that stops answering is dead for good: every later call fails at once, without another
// wait.
//
// lock_ protects everything below it, command queue and configuration table included. It is held
// while the ITS works through one batch (kWaitNs at most for a queue full of commands). Rank: above
// PagePool's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/mem/page_pool.hpp"
#include "core/msi/its_memory.hpp"
#include "core/msi/its_queue.hpp"
#include "core/msi/limits.hpp"
#include "core/msi/lpi_tables.hpp"
#include "core/port/clock.hpp"
#include "core/port/log.hpp"
#include "core/port/mmio.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::msi {

/// The interrupts of one device. All LPIs must be the caller's own (LpiAllocator) and not in use by
/// another device.
struct DeviceEvents {
  unsigned vectors = 0;  // 1..kMaxVectors
  HostLpi first;         // of `vectors` consecutive LPIs: event n raises first + n
  HostLpi stray;         // outside that block: what every other event raises
};

/// What audits read back of one device that has a table at the ITS.
struct ItsDeviceView {
  DeviceId device;
  DeviceEvents events;
  bool lost = false;
};
/// An LPI that belongs to a device's table, or that the configuration table says anything about but
/// "disabled".
struct LpiView {
  HostLpi lpi;
  bool enabled = false;
  std::uint8_t priority = 0;
  std::optional<ItsDeviceView> device;
};

class ItsVisitor {
 public:
  /// Called under the ITS's lock; must not call back into it.
  virtual void device(const ItsDeviceView& view) = 0;
  virtual void lpi(const LpiView& view) = 0;

 protected:
  ~ItsVisitor() = default;
};

class Its {
 public:
  static constexpr std::uint64_t kFrameBytes = 0x2'0000;

  /// Takes over the ITS behind `gits` (128 KiB: control and translation frame, at machine-physical
  /// `base`), whatever state firmware left it in. `lpis` is initialised. Boot only, once per
  /// object; references outlive the object. kUnsupported (arg: GITS_TYPER or GITS_BASER<n>): no
  /// physical LPIs, tables that cannot be used; kTimeout (arg: GITS_CTLR's offset) when it does not
  /// come to rest; kNoMemory; kBadState.
  Status init(port::Mmio& gits, Hpa base, port::PhysMem& memory, mem::PagePool& pool,
              port::Clock& clock, port::Log& log, LpiTables& lpis) EXCLUDES(lock_);

  /// Switches off an ITS that nobody will drive, so that it uses no table that firmware left in
  /// memory. kNotFound: nobody answers there; kTimeout (arg: GITS_CTLR's offset).
  static Status stop_idle(port::Mmio& gits, port::Clock& clock);

  /// Makes `cpu` a target of events. `processor_number` from Gicv3::processor_number() and
  /// `rd_base`, the machine-physical address of its redistributor: which of them the ITS wants,
  /// GITS_TYPER.PTA tells. kOutOfRange (arg: cpu); kAlreadyExists (arg: cpu).
  Status map_collection(CpuIndex cpu, std::uint16_t processor_number, Hpa rd_base) EXCLUDES(lock_);

  /// Gives `device` a table, with no vector mapped, all vectors disabled, and stray events going to
  /// `cpu` as an enabled LPI of kPriority. kAlreadyExists (arg: DeviceID, or an LPI that another
  /// device has); kOutOfRange (arg: the value): DeviceID, vectors or LPIs; kNotFound (arg: cpu)
  /// without collection; kTableFull; kNoMemory; hardware errors.
  Status map_device(DeviceId device, const DeviceEvents& events, CpuIndex cpu) EXCLUDES(lock_);

  /// Lets vector `event` raise its LPI on `cpu`. kNotFound (arg: DeviceID or cpu), kOutOfRange
  /// (arg: event; strays are not vectors), kAlreadyExists (arg: event).
  Status map_event(DeviceId device, EventId event, CpuIndex cpu) EXCLUDES(lock_);
  /// The same for every vector that is not mapped yet, as one batch: all of them, or on an error
  /// none.
  Status map_events(DeviceId device, CpuIndex cpu) EXCLUDES(lock_);

  /// Sends a mapped vector to `cpu` from now on; if it is pending it moves along. kNotFound (arg:
  /// DeviceID, event or cpu).
  Status move_event(DeviceId device, EventId event, CpuIndex cpu) EXCLUDES(lock_);

  /// Unmaps a mapped vector; if it is pending it is forgotten. A later message of it is dropped.
  /// kNotFound.
  Status discard_event(DeviceId device, EventId event) EXCLUDES(lock_);

  /// Forgets a mapped vector's pending state. kNotFound.
  Status clear_event(DeviceId device, EventId event) EXCLUDES(lock_);

  /// Takes everything away from `device`: events discarded, table unmapped, LPIs disabled, and only
  /// then given back. After success none of its LPIs is pending anywhere and no message of it has
  /// any effect. On a hardware error the device is lost: its LPIs and memory must not be used
  /// again. kNotFound (arg: DeviceID).
  Status unmap_device(DeviceId device) EXCLUDES(lock_);

  /// Configures an LPI of a mapped device, strays included; the hardware follows before this
  /// returns. kNotFound (arg: INTID).
  Status configure(HostLpi lpi, bool enabled, std::uint8_t priority = kPriority) EXCLUDES(lock_);

  /// What a device writes its EventID to, machine-physical: GITS_TRANSLATER, and the 4 KiB page
  /// that holds it and nothing else that can be written. After init().
  [[nodiscard]] std::uint64_t doorbell_address() const { return doorbell_.value(); }
  [[nodiscard]] Hpa doorbell_page() const { return doorbell_.align_down(kPageSize); }

  /// True once the hardware stopped answering.
  [[nodiscard]] bool dead() EXCLUDES(lock_);
  /// Devices mapped now, and those lost to hardware errors.
  [[nodiscard]] unsigned devices() EXCLUDES(lock_);
  [[nodiscard]] unsigned lost_devices() EXCLUDES(lock_);

  /// Every device that has a table, then every LPI worth a word, as one consistent state. Bounded
  /// by kMaxDevices and kLpiCount.
  void audit(ItsVisitor& visitor) EXCLUDES(lock_);
  /// The ITS is on and has the tables and the command queue that it was given, their first level
  /// included. Entries of devices, events and collections are in a form of its own and cannot be
  /// read back. True before init().
  [[nodiscard]] bool intact() EXCLUDES(lock_);

 private:
  // Values of cpu_ that are no CPU.
  static constexpr std::uint8_t kUnmapped = 0xff;
  static constexpr std::uint8_t kMapping = 0xfe;  // while a batch of map_event(s) is under way

  struct Device {
    enum class State : std::uint8_t { kFree, kMapped, kLost };
    State state = State::kFree;
    DeviceId id;
    std::uint8_t event_bits = 0;
    std::uint8_t stray_cpu = 0;
    DeviceEvents events;
    Hpa itt;
    std::uint64_t itt_bytes = 0;
  };
  struct Target {
    bool mapped = false;
    std::uint64_t rd_base = 0;  // value of an RDbase field
  };
  /// CPUs whose redistributor a batch has touched: one SYNC each at its end.
  using CpuSet = std::uint64_t;

  // Look-ups and checks: nothing changes.
  [[nodiscard]] Status ready() const REQUIRES(lock_);
  [[nodiscard]] Result<unsigned> find(DeviceId device) const REQUIRES(lock_);
  [[nodiscard]] Result<unsigned> find_vector(DeviceId device, EventId event) const REQUIRES(lock_);
  [[nodiscard]] Result<unsigned> find_mapped(DeviceId device, EventId event) const REQUIRES(lock_);
  [[nodiscard]] Result<unsigned> free_slot() const REQUIRES(lock_);
  [[nodiscard]] Status check_target(CpuIndex cpu) const REQUIRES(lock_);
  [[nodiscard]] Status check_lpis(const DeviceEvents& events) const REQUIRES(lock_);
  [[nodiscard]] static std::size_t index(HostLpi lpi) { return lpi.value() - kFirstLpi; }
  [[nodiscard]] std::uint8_t& cpu_of(const Device& device, EventId event) REQUIRES(lock_);

  // Batches. push_* queue, commit() adds the SYNCs and waits.
  Status push_strays(const Device& device) REQUIRES(lock_);
  Status push_device(const Device& device, bool valid) REQUIRES(lock_);
  Status push_sync(CpuSet cpus) REQUIRES(lock_);
  Status commit(CpuSet cpus) REQUIRES(lock_);
  Status send_map_device(const Device& device) REQUIRES(lock_);
  Status send_map_events(const Device& device, CpuIndex cpu) REQUIRES(lock_);
  Status settle(const Device& device, Status sent, CpuIndex cpu) REQUIRES(lock_);
  Status send_discards(const Device& device) REQUIRES(lock_);
  Status send_take_table(const Device& device) REQUIRES(lock_);

  void claim(unsigned slot) REQUIRES(lock_);
  void release(unsigned slot) REQUIRES(lock_);
  void lose(unsigned slot) REQUIRES(lock_);
  [[nodiscard]] unsigned count(Device::State state) const REQUIRES(lock_);
  static Status rest(port::Mmio& gits, port::Clock& clock);

  Hpa doorbell_;  // set once by init()

  SpinLock lock_;
  port::Mmio* gits_ GUARDED_BY(lock_) = nullptr;
  mem::PagePool* pool_ GUARDED_BY(lock_) = nullptr;
  port::Log* log_ GUARDED_BY(lock_) = nullptr;
  LpiTables* lpis_ GUARDED_BY(lock_) = nullptr;
  std::uint64_t typer_ GUARDED_BY(lock_) = 0;
  ItsMemory tables_ GUARDED_BY(lock_);
  ItsQueue queue_ GUARDED_BY(lock_);
  std::array<Target, kMaxCpus> targets_ GUARDED_BY(lock_){};
  std::array<Device, kMaxDevices> devices_ GUARDED_BY(lock_){};
  std::array<std::uint8_t, kLpiCount> owner_
      GUARDED_BY(lock_){};  // slot + 1 of the device; 0: no device
  std::array<std::uint8_t, kLpiCount> cpu_
      GUARDED_BY(lock_){};  // of a mapped vector, else kUnmapped
};

}  // namespace penstock::msi
