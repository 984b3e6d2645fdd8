// The board's interrupt translation, IOMMU and PCI, made ready and harmless.
#include "core/base/text.hpp"
#include "core/iommu/smmuv3_idle.hpp"
#include "hypervisor/machine.hpp"
#include "hypervisor/setup.hpp"

namespace penstock {
namespace {

void lacking(Machine& m, std::string_view what) {
  Text<200> text;
  text.text("the board has no ").text(what).text(": domains with devices will be left out");
  m.console.line(port::Severity::kWarning, text.view());
}

void unusable(Machine& m, std::string_view what, Error why) {
  Text<200> text;
  text.text(what).text(" is unusable: ").text(describe(why.code)).text(" (").hex(why.arg);
  text.text("): domains with devices will be left out");
  m.console.line(port::Severity::kWarning, text.view());
}

Status map_collections(Machine& m) {
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    if (m.cpus[i].redistributor == 0) continue;
    ports::HwMmio frame(m.cpus[i].redistributor);
    TRY(m.its.map_collection(m.cpus[i].index, msi::Gicv3::processor_number(frame),
                             Hpa(m.cpus[i].redistributor)));
  }
  return {};
}

static_assert(pci::IdMap::kMaxEntries >= manifest::kMaxIdMapEntries);
static_assert(pci::kMaxHostWindows >= manifest::kMaxBridgeWindows);

void fill(pci::IdMap& map, const manifest::IdMapBoard& board) {
  map.set_mask(board.mask);
  for (const manifest::IdMapEntry& e : board.entries) {
    (void)(e.elsewhere ? map.add_elsewhere(e.rid, e.length) : map.add(e.rid, e.out, e.length));
  }
}

/// Units that no device is behind which is given out: nothing behind them bypasses, and none of
/// them uses memory that firmware gave it.
void tell_idle(Machine& m, std::string_view what, Hpa base, const Status& stopped) {
  Text<200> text;
  text.text(what).text(" at ").hex(base.value());
  if (stopped) {
    text.text(" is not used: it is switched off");
  } else if (stopped.error().code == Code::kNotFound) {
    text.text(" does not answer: it is left as firmware had it");
  } else {
    text.text(" cannot be switched off: ").text(describe(stopped.error().code));
  }
  m.console.line(stopped ? port::Severity::kInfo : port::Severity::kWarning, text.view());
}

void announce(Machine& m, const pci::FunctionInfo& info) {
  Text<120> text;
  text.text("pci ").bdf(info.bdf.value()).text(" ").hex(info.vendor, 4).ch(':').hex(info.device, 4);
  text.text(" class ").hex(info.class_code, 6);
  m.console.line(port::Severity::kInfo, text.view());
}

void name_left(Machine& m, const pci::Inventory::Left& left, std::string_view what,
               std::size_t limit) {
  if (left.count == 0) return;
  Text<160> text;
  text.text("pci ").bdf(left.first.value()).ch(' ').text(what).ch(' ').dec(limit);
  m.console.line(port::Severity::kWarning, text.text(" (").dec(left.count).ch(')').view());
}

void warn_of(Machine& m, const manifest::FirmwareMemory& used) {
  Text<160> text;
  text.text("firmware uses memory at ").hex(used.memory.base.value()).text(" (");
  text.hex(used.memory.size).text(" bytes) through ");
  if (used.devfn) {
    text.text("pci ").bdf(*used.devfn).text(" or what is behind it: not assigned");
  } else {
    text.text("PCI: no device can be assigned");
  }
  m.console.line(port::Severity::kWarning, text.view());
}

/// The tree may name a line that this controller does not have.
void enable_spi(Machine& m, std::string_view whose, unsigned intid, std::uint64_t affinity,
                bool edge) {
  const Status enabled = m.gic.enable_spi(intid, affinity, edge);
  if (enabled) return;
  Text<160> text;
  text.text(whose).text(" interrupt ").dec(intid).text(" cannot be used: ");
  text.text(describe(enabled.error().code));
  m.console.line(port::Severity::kWarning, text.view());
}

/// A CPU that no domain owns takes the board's interrupts where there is one: faults and typing
/// then cost no domain time.
std::uint64_t housekeeping_affinity(const Machine& m) {
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    const arch::Cpu& cpu = m.cpus[i];
    if (cpu.owner.assigned() == nullptr && cpu.online.load(std::memory_order_acquire))
      return cpu.affinity;
  }
  return arch::own_affinity();
}

}  // namespace

void stop_idle_units(Machine& m) {
  for (const manifest::MemoryRange& unit : m.board.idle_smmus) {
    ports::HwMmio registers(unit.base.value());
    tell_idle(m, "an SMMUv3", unit.base, iommu::stop_idle_smmu(registers, m.clock));
  }
  for (const manifest::MemoryRange& unit : m.board.gic->idle_its) {
    ports::HwMmio registers(unit.base.value());
    tell_idle(m, "an ITS", unit.base, msi::Its::stop_idle(registers, m.clock));
  }
}

void start_its(Machine& m) {
  if (!m.board.gic->its) return lacking(m, "GICv3 ITS");
  const Hpa base = m.board.gic->its->base;
  m.its_window = ports::HwMmio(base.value());
  Status ready = m.its.init(m.its_window, base, m.memory, m.pool, m.clock, m.console, m.lpi_tables);
  if (ready) ready = map_collections(m);
  if (!ready) return unusable(m, "the ITS", ready.error());
  m.has_its = true;
}

void start_smmu(Machine& m) {
  if (!m.board.smmu) return lacking(m, "SMMUv3");
  m.smmu_window = ports::HwMmio(m.board.smmu->registers.base.value());
  const Status ready = m.smmu.init(m.smmu_window, m.memory, m.clock, m.pool, m.console);
  if (!ready) return unusable(m, "the SMMU", ready.error());
  // A device whose faults nobody hears of would never be cut off: nothing bypasses the SMMU from
  // here on, and no device is given out.
  for (const unsigned intid : {m.board.smmu->event_intid, m.board.smmu->gerror_intid}) {
    if (intid >= m.gic.spi_end()) {
      return unusable(m, "the SMMU's interrupt", fail(Code::kOutOfRange, intid));
    }
  }
  m.has_smmu = true;
}

void find_devices(Machine& m) {
  if (!m.board.bridge) return lacking(m, "PCI host bridge with a generic ECAM");
  const manifest::HostBridge& bridge = *m.board.bridge;
  fill(m.iommu_map, bridge.iommu_map);
  fill(m.msi_map, bridge.msi_map);
  m.ecam_window = ports::HwMmio(bridge.ecam.base.value());
  m.ecam.init(m.ecam_window, bridge.ecam.size, bridge.bus_first, bridge.bus_last);
  StaticVector<pci::HostWindow, pci::kMaxHostWindows> windows;
  for (const manifest::BridgeWindow& w : bridge.windows) {
    (void)windows.push_back({w.bus, w.host, w.size, w.prefetchable});
  }
  pci::enumerate(m.ecam, {windows.begin(), windows.end()}, m.inventory);
  pci::find_groups(m.inventory, m.id_maps);
  for (const pci::FunctionInfo& info : m.inventory.functions) announce(m, info);
  name_left(m, m.inventory.functions_left, "and what is beyond are left out: more functions than",
            pci::kMaxFunctions);
  name_left(m, m.inventory.sriov_left, "and what is beyond have no virtual functions: more than",
            pci::kMaxPhysicalFunctions);
  name_left(m, m.inventory.bridges_left, "and what is beyond stay closed: more buses than",
            bridge.bus_last - bridge.bus_first + 1U);
  for (const manifest::FirmwareMemory& each : m.board.firmware_memory) warn_of(m, each);
}

void enable_board_interrupts(Machine& m) {
  const std::uint64_t here = housekeeping_affinity(m);
  m.housekeeper = here;
  if (m.board.uart && m.board.uart->intid != 0) {
    enable_spi(m, "the console's", m.board.uart->intid, here, false);
    m.console.enable_receive_interrupt();
  }
  if (!m.has_smmu) return;
  for (const unsigned intid : {m.board.smmu->event_intid, m.board.smmu->gerror_intid}) {
    if (intid == 0) continue;
    enable_spi(m, "the SMMU's", intid, here, true);
    // The SMMU works since before its line was edge-triggered: whatever a device that firmware left
    // running has caused meanwhile made its one edge when nobody looked (H57).
    m.come_again(intid);
  }
}

void place_board_interrupts(Machine& m) {
  const std::uint64_t here = housekeeping_affinity(m);
  // Before enable_board_interrupts() there is nothing to move.
  if (!m.housekeeper || *m.housekeeper == here) return;
  m.housekeeper = here;
  if (m.board.uart && m.board.uart->intid != 0) (void)m.gic.move_spi(m.board.uart->intid, here);
  if (!m.has_smmu) return;
  for (const unsigned intid : {m.board.smmu->event_intid, m.board.smmu->gerror_intid}) {
    if (intid != 0) (void)m.gic.move_spi(intid, here);
  }
}

}  // namespace penstock
