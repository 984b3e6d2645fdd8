// Everything there is one of. main.cpp builds it, in order, in one function; nothing ever takes it
// apart.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "core/assign/lifecycle.hpp"
#include "core/assign/routes.hpp"
#include "core/iommu/smmuv3.hpp"
#include "core/manifest/board.hpp"
#include "core/manifest/boot_options.hpp"
#include "core/manifest/manifest.hpp"
#include "core/mem/dirty_ram.hpp"
#include "core/mem/page_pool.hpp"
#include "core/mem/ram_map.hpp"
#include "core/msi/gicv3.hpp"
#include "core/msi/its.hpp"
#include "core/pci/ecam.hpp"
#include "core/pci/enumerate.hpp"
#include "core/pci/id_map.hpp"
#include "core/pci/statement.hpp"
#include "hypervisor/arch/aarch64/cpu.hpp"
#include "hypervisor/arch/aarch64/stage1.hpp"
#include "hypervisor/boot_memory.hpp"
#include "hypervisor/partition.hpp"
#include "hypervisor/platform/console.hpp"
#include "hypervisor/platform/psci.hpp"
#include "hypervisor/ports/hw_memory.hpp"
#include "hypervisor/ports/hw_mmio.hpp"
#include "hypervisor/virtual_functions.hpp"

namespace penstock {

inline constexpr unsigned kKickSgi = 1;  // "look at your domain's state and pending interrupts"
inline constexpr unsigned kStopSgi = 2;  // "another CPU panics"
inline constexpr unsigned kMaintenanceIntId = 25;      // PPI 9 (Base System Architecture)
inline constexpr unsigned kHypervisorTimerIntId = 26;  // PPI 10
using arch::kPhysicalTimerIntId;
using arch::kVirtualTimerIntId;
inline constexpr unsigned kMaxDomains = 8;
inline constexpr unsigned kMaxDevices = 256;  // with virtual functions; an index has 8 bits

/// One physical function that the manifest names, with its windows.
struct DeviceObjects {
  pci::EcamFunction config;
  std::array<ports::HwMmio, hw::pci::kBarCount> bars;
  StaticVector<vpci::ExtraCapability, manifest::kMaxExtraCapabilities> extra;
  std::array<std::array<vpci::ExtraRegister, manifest::kMaxCapabilityRegisters>,
             manifest::kMaxExtraCapabilities>
      extra_registers;
  StaticVector<vpci::CapabilityName, manifest::kMaxDenied> denied;
  pci::Statement statement;  // as of the boot, or of when the function came
  bool told = false;         // it is in the log
  assign::SecondaryBus bus;  // of the first function of one that can be reset, with its bridge
  pci::EcamFunction bridge;
  assign::Device device;
};

struct Machine {
  platform::Console console;
  ports::HwPhysMem memory;
  ports::HwClock clock;
  platform::Psci psci;

  BootImage image{};
  manifest::Board board;
  bool probing = false;  // the boot looks which of the board's units answer
  manifest::BootOptions options;
  manifest::Manifest manifest;
  std::span<const std::uint8_t> bundle;

  mem::RamMap free_ram;         // the boot's, then of the control domain's request under way
  mem::DirtyRam dirty_ram;      // likewise: on its way there
  std::uint64_t ram_bytes = 0;  // that domains can have, all together
  Hpa pool_base;
  mem::PagePool pool;  // the hypervisor's own; each domain has a quota taken from it at boot
  arch::Stage1 stage1;
  std::array<arch::Cpu, arch::kMaxCpus> cpus{};
  unsigned cpu_count = 0;
  // That takes the board's interrupts, once they are enabled: its affinity. Changed by the boot and
  // by operations of the control domain.
  std::optional<std::uint64_t> housekeeper;

  ports::HwMmio distributor;
  msi::Gicv3 gic;
  msi::LpiTables lpi_tables;
  ports::HwMmio its_window;
  msi::Its its;
  bool has_its = false;
  ports::HwMmio smmu_window;
  iommu::Smmu smmu;
  bool has_smmu = false;
  ports::HwMmio ecam_window;
  pci::Ecam ecam;
  pci::Inventory inventory;
  pci::IdMap iommu_map;
  pci::IdMap msi_map;
  const std::array<const pci::IdMap*, 2> id_maps{&iommu_map, &msi_map};

  assign::LpiRoutes routes;
  msi::LpiAllocator lpis;
  std::array<assign::Device*, kMaxDevices> devices{};
  std::array<DeviceObjects*, kMaxDevices> device_objects{};  // that they are part of
  unsigned device_count = 0;
  /// Where they lie: as many as there are functions, and virtual ones that there can be.
  Hpa device_home;
  std::uint64_t device_bytes = 0;
  VirtualFunctions virtual_functions;
  assign::FaultCounts unowned_faults;
  assign::DeviceLimits unowned_limits;               // of all streams together that no device has
  std::atomic<std::uint64_t> event_queue_aborts{0};  // events that the SMMU could not write
  std::uint64_t event_losses = 0;  // these and overflows, as of the last look at the queue
  /// Held around every look at another domain than one's own, and while domains come and go: those
  /// that are listed stay while it is held. Rank: before every other lock.
  SpinLock life;
  std::array<Partition*, kMaxDomains> partitions{};  // by DomainId; null: there is none
  std::array<unsigned, kMaxDomains> generations{};   // how many domains have had this DomainId
  std::atomic<unsigned> domains_alive{0};
  unsigned input_focus = 0;    // domain, by its DomainId, that gets typed characters
  bool input_command = false;  // Ctrl-T was typed: the next character chooses

  /// Waits for work on this CPU; the stack starts afresh.
  [[noreturn]] void idle(arch::Cpu& cpu);
  /// A physical LPI arrived on `cpu`.
  void message(arch::Cpu& cpu, HostLpi lpi);
  /// A board interrupt that is the hypervisor's own: console, SMMU, timer.
  void board_interrupt(arch::Cpu& cpu, std::uint32_t intid);
  /// Raises a board interrupt by hand: there may be more to do than its next edge will tell of.
  void come_again(std::uint32_t intid);
  /// Forgets this CPU's private interrupts that belonged to a world which is gone.
  void drop_private_interrupts(arch::Cpu& cpu);
  /// One domain has ended for good; the last one switches the board off.
  void domain_ended();

  /// The reason why this machine will run nothing; switches the board off.
  [[noreturn]] void stop(std::string_view why);
  [[nodiscard]] assign::Hardware hardware();
  /// Whether the address is one at which a device that does not answer is no fault of ours.
  [[nodiscard]] bool may_abort(Hpa address) const;

  // report.cpp: machine-readable lines for `penstock run`, each about one event, rate-limited where
  // a guest causes them
  void report_memory();
  void report_domain(Partition& partition, std::string_view state);
  /// A domain of the configuration does not run: "left-out" at boot, or "not-started".
  void report_not_run(std::string_view domain, std::string_view state, std::string_view reason);
  void report_faults();
  void report_smmu_errors();
  void report_stray(HostLpi lpi, const assign::Route& route);
  // audit.cpp: compares the hardware's state with the configuration and tells the result. This CPU
  // holds no lock; guests may run; waits where a device is being reset.
  void report_audit();
  void audit(TextWriter& json);
};

/// The one machine. Valid from the first line of penstock_boot() on.
Machine& machine();

}  // namespace penstock
