// A physical function and the domain that has it, if any.
//
// A device's life, and the function that makes each step (lifecycle.cpp):
//
//     kQuarantined --hand_over()--> kAssigned --cut_off()--> kLeaving --settle()--> kQuarantined
//                        |                                       |
//                        '--- a step fails: kQuarantined ---.    '--> kBroken: no working reset
//
// - kQuarantined: bus mastering off, stream aborts, no routes, no BAR in any table: nobody's,
//   harmless.
// - kAssigned: one domain drives it: stream in the domain's DMA table, BARs where its guest put
//   them.
// - kLeaving: as harmless as in quarantine, but not reset yet; under the lock of its DeviceSet.
// - kBroken: quarantined for good: it did not come back from its reset.
// - kAbsent: a virtual function that its physical function has not switched on (sriov.hpp).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/assign/routes.hpp"
#include "core/assign/secondary_bus.hpp"
#include "core/assign/sriov.hpp"
#include "core/base/allowance.hpp"
#include "core/base/ids.hpp"
#include "core/iommu/smmuv3.hpp"
#include "core/mem/stage2_table.hpp"
#include "core/msi/its.hpp"
#include "core/msi/lpi_allocator.hpp"
#include "core/pci/function_info.hpp"
#include "core/pci/isolation.hpp"
#include "core/port/clock.hpp"
#include "core/port/config_space.hpp"
#include "core/port/log.hpp"
#include "core/port/mmio.hpp"
#include "core/viommu/virtual_iommu.hpp"
#include "core/vmsi/virtual_its.hpp"
#include "core/vpci/function.hpp"

namespace penstock::assign {

enum class DeviceState : std::uint8_t { kQuarantined, kAssigned, kLeaving, kBroken, kAbsent };

struct Device;
inline constexpr std::size_t kMaxDevicesPerDomain = 32;
using DeviceList = StaticVector<Device*, kMaxDevicesPerDomain>;

/// What assignment acts on; one per machine.
struct Hardware {
  iommu::Smmu* smmu = nullptr;
  msi::Its* its = nullptr;
  msi::LpiAllocator* lpis = nullptr;
  LpiRoutes* routes = nullptr;
  port::Clock* clock = nullptr;
  port::Log* log = nullptr;
  SriovHost* sriov = nullptr;  // absent: no device's VFs are shown
};

/// The domain's side; outlives its devices' assignment.
struct Owner {
  DomainId id;
  std::string_view name;
  mem::Stage2Table* cpu_table = nullptr;
  // What devices see: the domain's RAM, and for those whose guest has switched MSI or MSI-X on, the
  // doorbell too (S0.19).
  iommu::DmaContext dma;
  iommu::DmaContext dma_with_doorbell;
  // The guest's own, if it has one. Its devices then always see the table with the doorbell: what
  // they reach of it is up to the guest's stage 1, and one tag names all that is cached for it.
  viommu::VirtualIommu* iommu = nullptr;
  vmsi::VirtualIts* its = nullptr;
  vmsi::VirtualGic* gic = nullptr;  // for interrupts of the guest's root ports
  bool full_access = false;  // the hardware domain: registers that the policy does not know (S3.10)
  std::array<vpci::Window, 2> bar_windows{};
  Gpa doorbell_page;  // where the guest's devices send their messages
  std::array<CpuIndex, vmsi::kMaxVcpus> cpus{};
  /// All that are or will be its own, under the lock of its DeviceSet: some may send under one
  /// requester ID. Null: no two of them do.
  const DeviceList* devices = nullptr;
};

/// Where in a domain the device appears and what its configuration accepts.
struct Placement {
  GuestBdf guest;
  bool accept_no_reset = false;
  bool accept_insecure =
      false;  // may share its isolation group with another domain's that accepts it too
  bool multi_function = false;  // other functions of the domain share its device number
  // Shown beside the policy's own list (S3.34), and taken off it (S3.33); both outlive the device's
  // stay.
  std::span<const vpci::ExtraCapability> extra{};
  std::span<const vpci::CapabilityName> denied{};
  bool scratch = false;  // its quarantine: a page of its own instead of aborts
};

struct FaultCounts {
  std::uint64_t total = 0;
  std::uint64_t last_page = 0;  // of the address that was aimed at
};

/// What a device may cost the others, over its life. No new owner and no hand-over renews it (H58).
/// Guarded by whoever takes the IOMMU's events, where nothing else is said.
struct DeviceLimits {
  // Events of the IOMMU: 4096 at once and 4096 a second; once that was too little, 64 a second
  // until all of it is back.
  static constexpr std::uint64_t kFaults = 4096;
  Allowance faults{kFaults, 1'000'000'000 / kFaults, 1'000'000'000 / 64};
  // Log lines that its guest causes (H14): 8, and one more a minute. Under the DeviceSet's lock.
  Allowance lines{8, 60'000'000'000};
  Allowance cut_off_lines{8, 60'000'000'000};
  std::uint64_t told_faults = 0;  // of these and forged messages ever fewer are told
  std::uint64_t told_strays = 0;  // (worth_a_line.hpp); faults in a row in one page are one
};

/// What a guest asked of its physical function and waits to be done without locks
/// (DeviceSet::do_work()).
struct SriovWork {
  enum class Kind : std::uint8_t { kNone, kEnable, kDisable };
  Kind kind = Kind::kNone;
  std::uint16_t count = 0;  // to enable
  bool then_reset = false;  // of kDisable: the guest reset the function besides
  bool busy = false;        // being done right now
  bool frozen = false;      // it is on its way out: its guest gets no more of them
};

inline constexpr unsigned kNobody = 0xff;  // Device::domain: no domain's

struct Device {
  DeviceState state = DeviceState::kQuarantined;
  std::uint8_t index = 0;  // in the machine's table of devices
  pci::FunctionInfo info;
  port::ConfigSpace* config = nullptr;
  std::array<port::Mmio*, hw::pci::kBarCount> bars{};
  StreamId stream;  // of its own requester ID
  /// Of the other requester IDs that its requests may carry (pci::requester_ids()). The owner's DMA
  /// table is behind all of its streams, or behind none (H2, H38).
  StaticVector<StreamId, pci::RequesterIds::capacity()> aliases;
  /// Another function of the board may send under one of these IDs, too.
  bool shares_streams = false;
  DeviceId device_id;  // of its messages
  Placement placement;
  // That it is meant for, by DomainId: set by whoever gives devices to domains, forgotten by the
  // DeviceSet that lets go of it.
  std::atomic<unsigned> domain{kNobody};
  SecondaryBus* bus = nullptr;              // that can be reset, if there is one
  std::atomic<bool> clean{false};           // was reset, and nobody has had it since
  bool failed_reset_told = false;           // it was given to somebody all the same
  bool detaching = false;                   // its guest was asked to let go
  const vpci::SriovFacts* sriov = nullptr;  // of a physical function that can have virtual ones
  SriovWork work;
  bool hidden = false;  // nobody's until that is taken back
  vpci::VirtualFunction view;

  HostLpi first_lpi;  // of `vectors` consecutive ones: event k is LPI first + k
  HostLpi stray_lpi;  // every other event of this device
  unsigned vectors = 0;
  bool doorbell_open = false;
  std::array<CpuIndex, vpci::kMaxVectors> vector_cpu{};  // where the physical ITS sends event k
  std::array<std::uint64_t, vpci::kMaxVectors> vector_address{};  // where descriptor k writes
  unsigned stale_from = vpci::kMaxVectors;  // vectors whose routes the virtual ITS may have changed
  std::array<bool, hw::pci::kBarCount> bar_mapped{};
  std::uint64_t strays = 0;  // forged messages seen
  // Fault::number of the first event that can be its present owner's: what it caused before is
  // nobody else's business. Read by whoever takes the IOMMU's events.
  std::atomic<std::uint64_t> first_event{0};
  FaultCounts faults;  // accesses that the IOMMU stopped
  DeviceLimits limits;
  std::atomic<std::uint64_t> interrupts{0};  // messages delivered

  /// Its own stream is the first one.
  [[nodiscard]] std::size_t stream_count() const { return aliases.size() + 1; }
  [[nodiscard]] StreamId stream_at(std::size_t i) const { return i == 0 ? stream : aliases[i - 1]; }
  [[nodiscard]] bool uses(StreamId which) const {
    for (std::size_t i = 0; i < stream_count(); ++i) {
      if (stream_at(i) == which) return true;
    }
    return false;
  }
  [[nodiscard]] GuestDeviceId guest_device_id() const {
    return GuestDeviceId(placement.guest.value());  // the guest's msi-map is the identity
  }
  [[nodiscard]] GuestStreamId guest_stream() const {
    return GuestStreamId(placement.guest.value());  // and so is its iommu-map
  }
};

}  // namespace penstock::assign
