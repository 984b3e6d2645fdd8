// The composition root: every object of the hypervisor is built here, in this order, and never
// taken apart.
#include <new>

#include "core/base/bytes.hpp"
#include "core/base/text.hpp"
#include "core/manifest/bundle.hpp"
#include "hypervisor/arch/aarch64/branch_history.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/arch/aarch64/gic_cpu.hpp"
#include "hypervisor/arch/aarch64/panic.hpp"
#include "hypervisor/arch/aarch64/world.hpp"
#include "hypervisor/machine.hpp"
#include "hypervisor/setup.hpp"

extern "C" const char _image_start[];
extern "C" const char _image_end[];

namespace penstock {
namespace {

constexpr std::uint64_t kLargestTree = 2 * kMiB;  // what the arm64 boot protocol allows
constexpr std::uint64_t kLargestBundle = 2 * kGiB;
constexpr std::uint64_t kCpuStartNs = 1'000'000'000;

alignas(Machine) std::byte machine_storage[sizeof(Machine)];

void require(Machine& m, const Status& status, std::string_view what) {
  if (status) return;
  Text<160> text;
  text.text(what).text(": ").text(describe(status.error().code)).text(" (");
  text.hex(status.error().arg).ch(')');
  m.console.line(port::Severity::kError, text.view());
  arch::panic("cannot go on");
}

void warn(Machine& m, std::string_view what, Error why) {
  Text<200> text;
  text.text(what).text(": ").text(describe(why.code)).text(" (").hex(why.arg).ch(')');
  m.console.line(port::Severity::kWarning, text.view());
}

std::span<const std::uint8_t> memory_at(Hpa pa, std::uint64_t size) {
  return {reinterpret_cast<const std::uint8_t*>(pa.value()), size};
}

/// What the header behind the image claims (bundle.hpp), 0 when there is none. parse() checks it
/// later; until then it only keeps the memory from being given away.
std::uint64_t bundle_bytes(std::span<const std::uint8_t> header) {
  for (std::size_t i = 0; i < manifest::kBundleMagic.size(); ++i) {
    if (header[i] != static_cast<std::uint8_t>(manifest::kBundleMagic[i])) return 0;
  }
  const std::uint64_t bytes = load_le(header, manifest::header::kTotalBytes, 8);
  return bytes <= kLargestBundle ? bytes : 0;
}

/// The CPUs and their stacks: each in the upper half of a piece of memory (cpu.hpp: kStackBit).
void list_cpus(Machine& m) {
  for (const std::uint64_t affinity : m.board.cpus) {
    if (m.cpu_count == m.cpus.size()) break;
    arch::Cpu& cpu = m.cpus[m.cpu_count];
    cpu.index = CpuIndex(static_cast<std::uint8_t>(m.cpu_count++));
    cpu.affinity = affinity;
    cpu.sgi_target = arch::sgi_target(affinity);
    const auto piece = m.pool.take(2 * arch::kStackBytes, 2 * arch::kStackBytes);
    require(m, piece ? Status{} : Status{piece.error()}, "stack");
    cpu.stack_top = piece->value() + 2 * arch::kStackBytes;
  }
}

/// Whoever runs over the end of its stack meets nothing (vectors.S says so on another one).
void guard_stacks(Machine& m) {
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    const Hpa below(m.cpus[i].stack_top - 2 * arch::kStackBytes);
    require(m, m.stage1.leave_out(below, arch::kStackBytes), "stack");
  }
}

/// What the tree has and cannot be used, as the parser comes to it.
class FindingsOnConsole final : public manifest::Findings {
 public:
  FindingsOnConsole(Machine& m, std::span<const std::uint8_t> tree) : m_(m), tree_(tree) {}

  void add(int node, manifest::Weight weight, std::string_view what) override {
    Text<480> text;
    manifest::write_path(text.text("board "), tree_, node);
    text.text(": ").text(what);
    m_.console.line(
        weight == manifest::Weight::kRemark ? port::Severity::kInfo : port::Severity::kWarning,
        text.view());
  }

 private:
  Machine& m_;
  std::span<const std::uint8_t> tree_;
};

/// The console first: a board that cannot go on says why.
void find_console(Machine& m, std::span<const std::uint8_t> tree) {
  m.console.name_source(0, "penstock");
  const auto uart = manifest::find_console(tree);
  if (!uart) return;
  arch::add_device_to_boot_map(uart->registers.base);
  m.console.attach(*uart, m.clock);
}

/// The board's tree, its console, memory and our own address space.
void start_machine(Machine& m, Hpa image, Hpa tree) {
  arch::enable_boot_map(image, tree);
  const auto blob = memory_at(tree, kLargestTree);
  find_console(m, blob);
  FindingsOnConsole findings(m, blob);
  require(m, manifest::parse_board(blob, m.board, findings), "the board's device tree");
  if (!m.board.boots) arch::panic("Penstock cannot run on this board");
  // What the tree puts where something else is was told there, and is mapped no longer.
  if (!m.board.uart) m.console.detach();
  if (m.board.memory.empty()) arch::panic("the board's device tree has no memory");
  m.options = manifest::boot_options(m.board.bootargs);
  m.psci = platform::Psci(m.board.psci == manifest::Conduit::kSmc   ? platform::PsciConduit::kSmc
                          : m.board.psci == manifest::Conduit::kHvc ? platform::PsciConduit::kHvc
                                                                    : platform::PsciConduit::kNone);
  m.psci.probe();
  if (!arch::cpu_is_suitable()) {
    arch::panic("the CPU lacks 40-bit addresses, 4 KiB pages or GICv3 system registers");
  }
  m.image.base = image;
  m.image.image_bytes = static_cast<std::uint64_t>(_image_end - _image_start);
  m.image.bundle_bytes = bundle_bytes(memory_at(image + m.image.image_bytes, kPageSize));
  m.image.tree = tree;
  m.image.tree_bytes = m.board.tree_bytes;
  require(m, lay_out_memory(m.board, m.image, m.memory, m.free_ram, m.pool, m.pool_base), "memory");
  m.ram_bytes = m.free_ram.free_bytes();
  list_cpus(m);
  require(m, build_address_space(m.board, m.pool, m.stage1), "address space");
  guard_stacks(m);
  m.stage1.activate();
}

void describe_starts(Machine& m) {
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    arch::Cpu& cpu = m.cpus[i];
    cpu.start = {m.stage1.ttbr0(),      arch::Stage1::tcr(), arch::Stage1::mair(),
                 arch::Stage1::sctlr(), cpu.stack_top,       &cpu};
    m.memory.make_observable(Hpa(reinterpret_cast<std::uintptr_t>(&cpu.start)), sizeof(cpu.start));
  }
}

arch::Cpu& boot_cpu(Machine& m) {
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    if (m.cpus[i].affinity == arch::own_affinity()) return m.cpus[i];
  }
  arch::panic("the boot CPU is not in the board's device tree");
}

void find_redistributors(Machine& m) {
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    for (const manifest::MemoryRange& region : m.board.gic->redistributors) {
      ports::HwMmio frames(region.base.value());
      const auto at = msi::Gicv3::find_redistributor(frames, region.size, m.cpus[i].affinity);
      if (at) m.cpus[i].redistributor = region.base.value() + *at;
    }
  }
}

void start_interrupts(Machine& m) {
  if (!m.board.gic) arch::panic("the board has no GICv3: Penstock cannot deliver interrupts");
  find_redistributors(m);
  m.distributor = ports::HwMmio(m.board.gic->distributor.base.value());
  require(m, m.gic.init(m.distributor, arch::own_affinity(), m.clock), "GIC distributor");
  require(m, m.lpi_tables.init(m.pool, m.memory), "LPI tables");
}

/// What every CPU does for itself, the boot CPU included.
void start_own_cpu(Machine& m, arch::Cpu& cpu) {
  arch::set_own_cpu(cpu);
  PENSTOCK_WRITE_SYSREG(vbar_el2, reinterpret_cast<std::uintptr_t>(arch::exception_vectors));
  if (m.options.spectre_bhb) {
    constexpr std::int64_t kNeeded = 0;
    arch::install_clearing_vectors(cpu, m.psci.arch_feature(vm::kArchWorkaround3) == kNeeded);
  }
  PENSTOCK_WRITE_SYSREG(hcr_el2, 1ULL << 31 | 7ULL << 3);
  arch::context_sync();
  if (cpu.redistributor == 0) arch::panic("a CPU has no redistributor");
  ports::HwMmio frame(cpu.redistributor);
  require(m, m.gic.init_redistributor(frame, cpu.index, m.lpi_tables), "redistributor");
  for (const unsigned own : {kKickSgi, kStopSgi, kMaintenanceIntId, kHypervisorTimerIntId,
                             kVirtualTimerIntId, kPhysicalTimerIntId}) {
    require(m, m.gic.enable_ppi(frame, own), "private interrupts");
  }
  arch::init_gic_cpu_interface();
  cpu.online.store(true, std::memory_order_release);
}

void start_other_cpus(Machine& m, const arch::Cpu& self) {
  const auto entry = reinterpret_cast<std::uintptr_t>(&arch::secondary_cpu_entry);
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    arch::Cpu& cpu = m.cpus[i];
    if (&cpu == &self) continue;
    const Status asked =
        m.psci.cpu_on(cpu.affinity, entry, reinterpret_cast<std::uintptr_t>(&cpu.start));
    port::Deadline deadline(m.clock, kCpuStartNs);
    while (asked && !cpu.online.load(std::memory_order_acquire) && !deadline.expired()) {
    }
    if (!cpu.online.load(std::memory_order_acquire)) {
      Text<64> text;
      text.text("cpu ").dec(i).text(" does not start");
      warn(m, text.view(), asked ? fail(Code::kTimeout) : asked.error());
    }
  }
}

void greet(Machine& m) {
  Text<200> text;
  text.text("Penstock: ")
      .dec(m.board.cpus.size())
      .text(" CPUs, ")
      .dec(m.free_ram.free_bytes() / kMiB);
  text.text(" MiB for domains, image ").dec(m.image.image_bytes / kKiB).text(" KiB");
  m.console.line(port::Severity::kInfo, text.view());
  if (m.options.unknown.empty()) return;
  Text<200> unknown;
  unknown.text("boot option \"").text(m.options.unknown.substr(0, 60));
  unknown.text("\" is not known: there is viommu=on|off");
  m.console.line(port::Severity::kWarning, unknown.view());
}

[[noreturn]] void boot_on_own_stack(void* boot_cpu) {
  Machine& m = machine();
  auto& self = *static_cast<arch::Cpu*>(boot_cpu);
  start_interrupts(m);
  start_own_cpu(m, self);
  m.probing = true;
  stop_idle_units(m);
  start_its(m);
  start_smmu(m);
  m.probing = false;
  find_devices(m);
  read_manifest(m);
  create_domains(m);
  start_other_cpus(m, self);
  enable_board_interrupts(m);
  m.report_memory();
  m.console.boot_is_over();
  start_domains(m);
  m.idle(self);
}

}  // namespace

Machine& machine() {
  return *std::launder(reinterpret_cast<Machine*>(machine_storage));
}

extern "C" [[noreturn]] void penstock_boot(std::uint64_t image, std::uint64_t tree) {
  PENSTOCK_WRITE_SYSREG(tpidr_el2, 0);
  PENSTOCK_WRITE_SYSREG(vbar_el2, reinterpret_cast<std::uintptr_t>(arch::exception_vectors));
  Machine& m = *new (machine_storage) Machine;
  start_machine(m, Hpa(image), Hpa(tree));
  greet(m);
  describe_starts(m);
  arch::Cpu& self = boot_cpu(m);
  arch::restart_on_stack(reinterpret_cast<void*>(self.stack_top), boot_on_own_stack, &self);
}

extern "C" [[noreturn]] void penstock_secondary(arch::Cpu* cpu) {
  start_own_cpu(machine(), *cpu);
  machine().idle(*cpu);
}

}  // namespace penstock
