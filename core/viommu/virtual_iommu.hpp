// What a guest's IOMMU is to the rest of its domain, whatever kind it is. The vSMMUv3 is the first
// kind (virtual_smmu.hpp); a paravirtual one needs the same of its domain.
//
// Who calls what: the domain's traps call read() and write(), each CPU of the guest calls run()
// while has_work() says so, assignment attaches and detaches devices, and whoever takes the
// physical IOMMU's events calls fault().
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/port/guest_mem.hpp"
#include "core/port/irq_sink.hpp"
#include "core/viommu/description.hpp"

namespace penstock::viommu {

/// The most devices that one virtual IOMMU serves.
inline constexpr std::size_t kMaxStreams = 32;

/// Where the guest finds it and what it may use of the domain. References outlive it.
struct Surroundings {
  Gpa base;
  GuestIntId first_intid;  // of consecutive SPIs, as many as the description names
  port::GuestMem* memory = nullptr;
  port::IrqSink* irqs = nullptr;
};

/// An access that the physical IOMMU stopped, for its guest's eyes: nothing of it is physical.
struct StreamFault {
  GuestStreamId stream;
  std::uint8_t type = 0;  // as an SMMUv3's event record numbers it (IHI 0070, 7.3)
  bool stage2 = false;    // stopped by what is not the guest's
  bool stalled = false;
  bool write = false;
  bool privileged = false;
  bool instruction = false;
  std::uint8_t cls = 0;  // 0 context descriptor, 1 table, 2 the address itself
  std::optional<std::uint32_t> substream;
  Iova address;
};

/// Since the guest's start. Slightly old numbers may be read by anyone.
struct IommuCounters {
  std::atomic<std::uint64_t> commands{0};  // executed
  std::atomic<std::uint64_t> rejected{0};  // answered with a command error
  std::atomic<std::uint64_t> slices{0};    // times that work was done
  std::atomic<std::uint64_t> events{0};    // written to the guest's queue
  std::atomic<std::uint64_t> lost_events{0};
};

class VirtualIommu {
 public:
  /// Before any other call, once.
  virtual void connect(const Surroundings& surroundings) = 0;
  /// What the guest's device tree says of it.
  [[nodiscard]] virtual Description description() const = 0;

  /// Guest accesses: `offset` in bytes from the window's start, any value; `size` 1, 2, 4 or 8.
  /// What a register does not support reads 0 and ignores writes.
  [[nodiscard]] virtual std::uint64_t read(std::uint64_t offset, unsigned size) = 0;
  virtual void write(std::uint64_t offset, unsigned size, std::uint64_t value) = 0;

  /// The guest has asked for something that is not done yet. One load; any CPU.
  [[nodiscard]] bool has_work() const { return work_.load(std::memory_order_acquire); }
  /// Does a bounded share of it, or nothing where another CPU is at it. Never waits for another
  /// guest. Any CPU of the guest.
  virtual void run() = 0;

  /// The guest's device `stream` is `physical` on the board, whose stage 2 is in place, and which
  /// aborts. It goes on to do so while this IOMMU is on, until run() has read what the guest wants
  /// of it; otherwise it passes from here on. kTableFull, kAlreadyExists (arg: stream).
  virtual Status attach(GuestStreamId stream, StreamId physical) = 0;
  /// Nothing is asked for that device any more when this returns.
  virtual void detach(GuestStreamId stream) = 0;

  /// Tells the guest, if that is its business; false: it is not, the operator must know. Any CPU,
  /// bounded.
  virtual bool fault(const StreamFault& fault) = 0;

  /// The state after power-on. No CPU of the guest runs.
  virtual void reset() = 0;

  [[nodiscard]] const IommuCounters& counters() const { return counters_; }

 protected:
  ~VirtualIommu() = default;
  void add_work() { work_.store(true, std::memory_order_release); }
  /// What was added before is seen by the caller.
  void take_work() { work_.exchange(false, std::memory_order_acq_rel); }

  IommuCounters counters_;

 private:
  std::atomic<bool> work_{false};
};

}  // namespace penstock::viommu
