// A whole simulated board for the tests of this folder: RAM, SMMU, ITS with four CPUs, a PCI host
// bridge with devices of a test's choice, and two domains with one guest each.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/assign/audit.hpp"
#include "core/assign/device_set.hpp"
#include "core/assign/lifecycle.hpp"
#include "core/base/bytes.hpp"
#include "core/msi/gicv3.hpp"
#include "core/pci/enumerate.hpp"
#include "core/vmsi/its_fake.hpp"
#include "sim/clock.hpp"
#include "sim/its/distributor.hpp"
#include "sim/its/its.hpp"
#include "sim/memory.hpp"
#include "sim/pci/devices.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::assign {

class Lines final : public port::Log {
 public:
  void line(port::Severity /*severity*/, std::string_view text) override { all.emplace_back(text); }
  std::vector<std::string> all;
};

/// Behind the SMMU: memory, and the ITS's doorbell.
class Downstream final : public sim::DmaBus {
 public:
  Downstream(sim::Memory& memory, sim::Its& its) : memory_(memory), its_(its) {}
  bool read(std::uint32_t requester, std::uint64_t address, std::span<std::uint8_t> to) override {
    return memory_.read(requester, address, to);
  }
  bool write(std::uint32_t requester, std::uint64_t address,
             std::span<const std::uint8_t> from) override {
    if (address == its_.doorbell() && from.size() == 4) {
      (void)its_.message(requester, static_cast<std::uint32_t>(load_le(from, 0, 4)));
      return true;
    }
    return memory_.write(requester, address, from);
  }

 private:
  sim::Memory& memory_;
  sim::Its& its_;
};

struct CountingTlb final : port::Stage2Tlb {
  void invalidate(Gpa /*start*/, std::uint64_t /*size*/) override { ++count; }
  unsigned count = 0;
};

inline constexpr Hpa kPool{0x8000'0000};
inline constexpr std::uint64_t kPoolBytes = 1 * kMiB;
inline constexpr std::uint64_t kRamBytes = 512 * kKiB;  // of a domain
inline constexpr Gpa kGuestRam{0x4000'0000};
inline constexpr Gpa kGuestDoorbellPage{0x0809'0000};
inline constexpr std::uint64_t kGuestDoorbell = 0x0809'0040;
inline constexpr vpci::Window kWindow32{Gpa(0x1000'0000), 0x2eff'0000};
inline constexpr vpci::Window kWindow64{Gpa(0x80'0000'0000), 512 * kGiB};

/// A domain, and what its guest's drivers do. The queue of its ITS is in the fake guest's own RAM,
/// what devices reach is machine memory.
class TestDomain {
 public:
  using Commands = vmsi::fake::ItsGuest;

  TestDomain(iommu::Smmu& smmu, unsigned index)
      : ram(kPool + kPoolBytes + index * kRamBytes),
        index_(index),
        dma_tlb(smmu, vmid(0)),
        doorbell_tlb(smmu, vmid(1)) {}

  Status init(mem::PagePool& pool, port::PhysMem& memory, const Hardware& hw, Hpa doorbell) {
    TRY(cpu_table.init(pool, memory, cpu_tlb));
    TRY(cpu_table.map(kGuestRam, ram, kRamBytes, mem::Stage2Attributes::ram()));
    for (mem::Stage2Table* table : {&dma_table, &doorbell_table}) {
      TRY(table->init(pool, memory, table == &dma_table ? dma_tlb : doorbell_tlb));
      TRY(table->map(kGuestRam, ram, kRamBytes, mem::Stage2Attributes::dma_ram()));
    }
    TRY(doorbell_table.map(kGuestDoorbellPage, doorbell, kPageSize,
                           mem::Stage2Attributes::doorbell()));
    TRY(its.init(guest.gic, guest.ram, devices));
    owner.id = DomainId(static_cast<std::uint8_t>(index_));
    owner.name = index_ == 0 ? "red" : "blue";
    owner.cpu_table = &cpu_table;
    owner.dma = {vmid(0), dma_table.root()};
    owner.dma_with_doorbell = {vmid(1), doorbell_table.root()};
    owner.its = &its;
    owner.bar_windows = {kWindow32, kWindow64};
    owner.doorbell_page = kGuestDoorbellPage;
    for (unsigned i = 0; i < 2; ++i) {
      owner.cpus[i] = CpuIndex(static_cast<std::uint8_t>(2 * index_ + i));
    }
    return devices.init(hw, owner, 0);
  }

  // The guest's config space and BARs.

  std::uint64_t config(GuestBdf bdf, unsigned offset, unsigned size) {
    return devices.config_read(std::uint64_t{bdf.value()} << 12 | offset, size);
  }
  void set_config(GuestBdf bdf, unsigned offset, unsigned size, std::uint64_t value) {
    devices.config_write(std::uint64_t{bdf.value()} << 12 | offset, size, value);
  }
  unsigned capability(GuestBdf bdf, std::uint8_t id) {
    auto at = static_cast<unsigned>(config(bdf, 0x34, 1));
    while (at != 0 && at != 0xff && config(bdf, at, 1) != id) {
      at = static_cast<unsigned>(config(bdf, at + 1, 1));
    }
    return at;
  }
  void place_bar(GuestBdf bdf, unsigned bar, std::uint64_t at) {
    set_config(bdf, 0x10 + 4 * bar, 4, at & 0xffff'ffff);
    if (at >> 32 != 0) set_config(bdf, 0x14 + 4 * bar, 4, at >> 32);
  }
  /// Memory decoding and bus mastering.
  void enable(GuestBdf bdf) { set_config(bdf, 4, 2, 6); }

  // The guest's interrupts.

  void start_its() {
    guest.enable_all();
    its.write(0x80, 8, 1ULL << 63 | vmsi::fake::Ram::kBase);
    its.write(0x00, 4, 1);
    command(Commands::mapc(0, 0));
    command(Commands::mapc(1, 1));
  }
  /// Its ITS has no queue any more: start_its() begins a new one.
  void forget_queue() { next_ = 0; }
  void command(const Commands::Command& c) {
    std::memcpy(guest.ram.bytes().data() + next_ * 32, c.data(), 32);
    next_ = (next_ + 1) % 128;
    its.write(0x88, 8, next_ * 32);
    while (its.has_pending_commands()) its.run_commands(vmsi::VirtualIts::kCommandsPerTrap);
  }
  /// Hands several commands over in one write; its first slice is run by that.
  void put_commands(const std::vector<Commands::Command>& commands) {
    for (const Commands::Command& c : commands) {
      std::memcpy(guest.ram.bytes().data() + next_ * 32, c.data(), 32);
      next_ = (next_ + 1) % 128;
    }
    its.write(0x88, 8, next_ * 32);
  }
  /// MAPD, and events 0 .. count - 1 as LPIs from `lpi` on to vCPU 0.
  void map_events(GuestBdf bdf, unsigned count, std::uint32_t lpi) {
    command(Commands::mapd(bdf.value(), 5));
    for (unsigned k = 0; k < count; ++k) {
      command(Commands::mapti(bdf.value(), k, lpi + k, 0));
    }
  }
  /// Puts a message into entry k of the MSI-X table, which is at `table`, and unmasks it.
  void write_entry(Gpa table, unsigned k, std::uint32_t data,
                   std::uint64_t address = kGuestDoorbell) {
    const Gpa at = table + k * 16ULL;
    (void)devices.bar_write(at, 8, address);
    (void)devices.bar_write(at + 8, 4, data);
    (void)devices.bar_write(at + 12, 4, 0);
  }
  void enable_msix(GuestBdf bdf, bool on = true) {
    set_config(bdf, capability(bdf, 0x11) + 2, 2, on ? 0x8000 : 0);
  }
  /// All that a driver does: BAR 0 at `at`, decoding, `count` vectors with event k in entry k.
  void drive_nvme(GuestBdf bdf, std::uint64_t at, unsigned count, std::uint32_t lpi) {
    place_bar(bdf, 0, at);
    enable(bdf);
    map_events(bdf, count, lpi);
    enable_msix(bdf);
    for (unsigned k = 0; k < count; ++k) write_entry(Gpa(at + 0x2000), k, k);
  }

  /// As the hypervisor tells the audit of it.
  [[nodiscard]] AuditedDomain audited() {
    return {.id = owner.id,
            .name = owner.name,
            .devices = &devices,
            .cpu_table = &cpu_table,
            .dma = {&dma_table, vmid(0)},
            .with_doorbell = {&doorbell_table, vmid(1)},
            .ram = kGuestRam,
            .ram_home = ram,
            .ram_bytes = kRamBytes,
            .doorbell_page = kGuestDoorbellPage,
            .vcpus = 2};
  }
  [[nodiscard]] Vmid vmid(unsigned which) const {
    return Vmid(static_cast<std::uint16_t>(2 * index_ + 1 + which));
  }

  Hpa ram;

 private:
  unsigned index_;
  std::uint64_t next_ = 0;

 public:
  CountingTlb cpu_tlb;
  iommu::SmmuTlb dma_tlb;
  iommu::SmmuTlb doorbell_tlb;
  mem::Stage2Table cpu_table;
  mem::Stage2Table dma_table;
  mem::Stage2Table doorbell_table;
  vmsi::fake::Guest guest;
  vmsi::VirtualIts its;
  Owner owner;
  DeviceSet devices;
};

struct TestBoard {
  static constexpr unsigned kCpus = 4;

  /// What a failed or ended assignment must leave as it was.
  struct Holdings {
    std::uint64_t pool = 0;
    std::array<unsigned, 2> lpis{};
    unsigned its_devices = 0;
    unsigned routes = 0;   // that lead anywhere
    unsigned streams = 0;  // that do not abort
    friend bool operator==(const Holdings&, const Holdings&) = default;
  };
  /// What an LPI became.
  struct Delivery {
    Route::Kind kind = Route::Kind::kNone;
    unsigned domain = 0;
    unsigned vcpu = 0;
    std::uint32_t lpi = 0;
    unsigned cpu = 0;     // that took it
    unsigned device = 0;  // by Device::index
    friend bool operator==(const Delivery&, const Delivery&) = default;
  };

  explicit TestBoard(sim::Its::Options its_options = {})
      : its_model(memory, cpu_pointers, its_options) {}

  Status start() {
    TRY(pool.init(memory, kPool, kPoolBytes));
    TRY(gic.init(distributor, 0, clock));
    TRY(lpi_tables.init(pool, memory));
    for (std::uint8_t i = 0; i < kCpus; ++i) {
      TRY(gic.init_redistributor(cpus[i], CpuIndex(i), lpi_tables));
    }
    TRY(its.init(its_model, Hpa(0x808'0000), memory, pool, clock, log, lpi_tables));
    for (std::uint8_t i = 0; i < kCpus; ++i) {
      TRY(its.map_collection(CpuIndex(i), msi::Gicv3::processor_number(cpus[i]),
                             Hpa(cpus[i].base())));
    }
    TRY(smmu.init(smmu_model, memory, clock, pool, log));
    hw = {&smmu, &its, &lpis, &routes, &clock, &log};
    for (unsigned i = 0; i < 2; ++i) {
      TRY(lpis.set_quota(DomainId(static_cast<std::uint8_t>(i)), 1024));
      domains[i] = std::make_unique<TestDomain>(smmu, i);
      TRY(domains[i]->init(pool, memory, hw, its.doorbell_page()));
    }
    ecam.init(pci, sim::PciHost::kEcamBytes, 0, 255);
    return {};
  }

  /// A device on the root bus; before enumerate().
  template <typename T>
  T& plug(unsigned slot, std::unique_ptr<T> what) {
    return plug(pci.root(), slot, 0, std::move(what));
  }
  template <typename T>
  T& plug(sim::PciBus& bus, unsigned slot, unsigned function, std::unique_ptr<T> what) {
    T& plugged = *what;
    bus.plug(slot, function, plugged);
    parts.push_back(std::move(what));
    return plugged;
  }
  Status enumerate() {
    constexpr pci::HostWindow kMem32{0x1000'0000, Hpa(0x1000'0000), 0x2eff'0000};
    constexpr pci::HostWindow kMem64{0x80'0000'0000, Hpa(0x80'0000'0000), 512 * kGiB};
    pci::enumerate(ecam, std::array{kMem32, kMem64}, inventory);
    return {};
  }
  /// The quarantined device in `slot` of the root bus, not yet in a domain's set.
  Device& device(unsigned slot, const Placement& placement) {
    return device(HostBdf(0, slot, 0), placement);
  }
  Device& device(HostBdf bdf, const Placement& placement) {
    devices.push_back(std::make_unique<Device>());
    Device& d = *devices.back();
    for (const pci::FunctionInfo& info : inventory.functions) {
      if (info.bdf == bdf) d.info = info;
    }
    configs.push_back(std::make_unique<pci::EcamFunction>(ecam.function(d.info.bdf)));
    d.config = configs.back().get();
    for (std::size_t i = 0; i < d.bars.size(); ++i) {
      const pci::Bar& bar = d.info.bars[i];
      if (bar.size == 0 || bar.io) continue;
      windows.push_back(std::make_unique<sim::PciWindow>(pci, bar.bus));
      d.bars[i] = windows.back().get();
    }
    d.stream = StreamId(d.info.bdf.value());
    for (const std::uint16_t id : pci::requester_ids(inventory, d.info.bdf)) {
      if (!d.uses(StreamId(id))) ok = ok && d.aliases.push_back(StreamId(id));
    }
    d.device_id = DeviceId(pci::message_requester(inventory, d.info.bdf));
    d.shares_streams = !d.aliases.empty() || d.info.aliased;
    d.placement = placement;
    d.index = static_cast<std::uint8_t>(devices.size() - 1);
    ok = ok && quarantine(hw, d);
    return d;
  }
  /// The same, in the set of a domain.
  Device& device_of(unsigned domain, unsigned slot, const Placement& placement) {
    Device& d = device(slot, placement);
    ok = ok && domains[domain]->devices.add(d);
    return d;
  }

  /// Every CPU takes its interrupts, and the domains' GICs get what is theirs.
  std::vector<Delivery> take_interrupts() {
    std::vector<Delivery> seen;
    for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
      while (const auto lpi = cpus[cpu].acknowledge()) {
        const Route route = routes.get(HostLpi(*lpi));
        seen.push_back({route.kind, route.domain.value(), route.vcpu.value(), route.lpi.value(),
                        cpu, route.device});
        if (route.kind != Route::Kind::kGuest) continue;
        domains[route.domain.value()]->guest.gic.pend_lpi(route.vcpu, route.lpi);
      }
    }
    return seen;
  }

  [[nodiscard]] std::uint8_t byte(Hpa at) const { return memory.device_view()[at - memory.base()]; }

  [[nodiscard]] Holdings holdings() {
    struct Count final : iommu::StreamVisitor {
      void stream(const iommu::StreamView&) override { ++streams; }
      unsigned streams = 0;
    } count;
    smmu.audit(count);
    unsigned used = 0;
    for (std::uint32_t i = 0; i < kRouteCount; ++i) {
      used += routes.get(HostLpi(kFirstLpi + i)).kind != Route::Kind::kNone ? 1 : 0;
    }
    return {pool.used_bytes(),
            {lpis.held_by(DomainId(0)), lpis.held_by(DomainId(1))},
            its.devices(),
            used,
            count.streams};
  }
  /// The first thing that a model found to be against its specification; empty when nothing.
  [[nodiscard]] std::string violation() const {
    if (!smmu_model.misuses().empty()) return smmu_model.misuses().front();
    if (!its_model.violations().empty()) return its_model.violations().front();
    if (!pci.violations().empty()) return pci.violations().front();
    if (pool.bad_returns() != 0) return "a page was given back twice";
    return {};
  }

  static sim::Redistributor::Options cpu_options(std::uint16_t i) {
    return {.number = static_cast<std::uint16_t>(7 - i),
            .affinity = i,
            .base = 0x80a'0000 + i * 0x2'0000ULL};
  }

  // Models.
  sim::Memory memory{kPool, kPoolBytes + 2 * kRamBytes, sim::Memory::Coherency::kNonCoherent};
  sim::Clock clock{1'000'000};
  Lines log;
  sim::Distributor distributor;
  std::array<sim::Redistributor, kCpus> cpus{{{memory, cpu_options(0)},
                                              {memory, cpu_options(1)},
                                              {memory, cpu_options(2)},
                                              {memory, cpu_options(3)}}};
  std::array<sim::Redistributor*, kCpus> cpu_pointers{&cpus[0], &cpus[1], &cpus[2], &cpus[3]};
  sim::Its its_model;
  Downstream downstream{memory, its_model};
  sim::Smmu smmu_model{memory, downstream};
  sim::PciHost pci{smmu_model};

  // The hypervisor.
  mem::PagePool pool;
  msi::Gicv3 gic;
  msi::LpiTables lpi_tables;
  msi::Its its;
  msi::LpiAllocator lpis;
  iommu::Smmu smmu;
  LpiRoutes routes;
  Hardware hw;
  pci::Ecam ecam;
  pci::Inventory inventory;
  std::array<std::unique_ptr<TestDomain>, 2> domains;
  std::vector<std::unique_ptr<sim::PciFunction>> parts;
  std::vector<std::unique_ptr<pci::EcamFunction>> configs;
  std::vector<std::unique_ptr<sim::PciWindow>> windows;
  std::vector<std::unique_ptr<Device>> devices;
  bool ok = true;
};

}  // namespace penstock::assign
