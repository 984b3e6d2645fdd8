// From the manifest to domains that run.
#include <new>

#include "core/assign/stage1.hpp"
#include "core/base/text.hpp"
#include "core/viommu/virtual_smmu.hpp"
#include "hypervisor/machine.hpp"
#include "hypervisor/platform/domain_console.hpp"
#include "hypervisor/ports/cpu_tlb.hpp"
#include "hypervisor/setup.hpp"

namespace penstock {
namespace {

/// Tables of one domain: 2 MiB blocks need one page per GiB of RAM, BARs a few pages each.
constexpr std::uint64_t kQuotaBytes = 256 * kKiB;

/// Interrupts of all devices of one domain, strays included.
constexpr unsigned kLpisPerDomain = 1024;

struct DomainObjects {
  DomainObjects(Machine& m, Vmid dma, Vmid with_doorbell)
      : dma_tlb(m.smmu, dma), doorbell_tlb(m.smmu, with_doorbell), domain(m.memory) {}
  ports::CpuTlb cpu_tlb;
  iommu::SmmuTlb dma_tlb;
  iommu::SmmuTlb doorbell_tlb;
  platform::DomainConsole console;
  vm::Domain domain;
  Partition partition;
};

/// VMIDs of a domain's two DMA tables in the SMMU; 0 is nobody's.
Vmid dma_vmid(DomainId id) {
  return Vmid(static_cast<std::uint16_t>(2 * id.value() + 1));
}
Vmid doorbell_vmid(DomainId id) {
  return Vmid(static_cast<std::uint16_t>(2 * id.value() + 2));
}

/// A guest's own SMMUv3 and what it asks of the board's.
struct SmmuObjects {
  SmmuObjects(Machine& m, Vmid vmid, std::string_view domain)
      : host(m.smmu, vmid, m.console, domain), iommu(m.smmu.id_registers(), host) {}
  assign::SmmuStage1 host;
  viommu::VirtualSmmu iommu;
};

template <typename T>
Result<void*> room_for(Machine& m) {
  const Hpa at = TRY(m.pool.take(sizeof(T)));
  return static_cast<void*>(m.memory.map(at, sizeof(T)));
}

void refuse(Machine& m, const manifest::DomainConfig& config, std::string_view what, Error why) {
  Text<240> text;
  text.text("domain ").text(config.name_view()).text(" is left out: ").text(what).text(": ");
  text.text(describe(why.code)).text(" (").hex(why.arg).ch(')');
  m.console.line(port::Severity::kError, text.view());
}

void refuse_device(Machine& m, const manifest::DomainConfig& config, HostBdf bdf, Error why) {
  Text<240> text;
  text.text("domain ").text(config.name_view()).text(": device ").bdf(bdf.value()).text(": ");
  text.text(describe(why.code));
  if (why.code == Code::kNotFound) text.text(" on this board");
  m.console.line(port::Severity::kError, text.view());
}

Result<Hpa> ram_for(Machine& m, const manifest::DomainConfig& config) {
  if (config.memory_base) {
    TRY(m.free_ram.take_at({*config.memory_base, config.memory_bytes}));
    return *config.memory_base;
  }
  if (config.memory_bytes >= kGiB) {  // 1 GiB blocks where the board's RAM allows
    const auto aligned = m.free_ram.take_highest(config.memory_bytes, kGiB);
    if (aligned) return aligned;
  }
  return m.free_ram.take_highest(config.memory_bytes, 2 * kMiB);
}

const pci::FunctionInfo* find_function(const Machine& m, HostBdf bdf) {
  for (const pci::FunctionInfo& info : m.inventory.functions) {
    if (info.bdf == bdf) return &info;
  }
  return nullptr;
}

/// The configuration's extra capabilities in the words of the policy. Registers that it does not
/// name are read-only copies.
std::span<const vpci::ExtraCapability> extra_of(Machine& m, const manifest::DeviceConfig& config,
                                                DeviceObjects& objects) {
  for (const manifest::ExtraCapability& wanted : m.manifest.capabilities_of(config)) {
    auto& registers = objects.extra_registers[objects.extra.size()];
    std::size_t count = 0;
    for (const manifest::CapabilityRegister& r : wanted.registers) {
      vpci::ExtraRegister& out = registers[count++];
      out = {r.offset, 4, 0, 0, r.write & ~r.w1c, r.w1c, 0};
      (r.live ? out.live : out.ro) = ~(r.write | r.w1c);
    }
    (void)objects.extra.push_back(
        {wanted.id, wanted.extended, wanted.length, {registers.data(), count}});
  }
  return {objects.extra.begin(), objects.extra.size()};
}

/// True when another function of the domain has the same device number: function 0 then has to say
/// so in its header.
bool shares_slot(const manifest::DomainConfig& domain, const manifest::DeviceConfig& config) {
  for (const manifest::DeviceConfig& other : domain.devices) {
    if (other.guest != config.guest && other.guest.device() == config.guest.device()) return true;
  }
  return false;
}

/// Functions that cannot be told apart, or can reach each other past the IOMMU, go to one domain or
/// to none (S3.26, H2).
Status check_isolation(Machine& m, const manifest::DeviceConfig& config,
                       const pci::FunctionInfo& info) {
  if (info.aliased && !config.accept_insecure) return fail(Code::kNoIsolation, info.bdf.value());
  for (unsigned i = 0; i < m.device_count; ++i) {
    const assign::Device& other = *m.devices[i];
    const bool same_domain = other.domain == m.partition_count;
    const bool both_accept = config.accept_insecure && other.placement.accept_insecure;
    if (other.info.group == info.group && !same_domain && !both_accept) {
      return fail(Code::kNoIsolation, info.bdf.value());
    }
  }
  return {};
}

Result<assign::Device*> device_for(Machine& m, const manifest::DomainConfig& domain,
                                   const manifest::DeviceConfig& config) {
  const pci::FunctionInfo* info = find_function(m, config.host);
  if (info == nullptr) return fail(Code::kNotFound, config.host.value());
  for (unsigned i = 0; i < m.device_count; ++i) {
    if (m.devices[i]->info.bdf == config.host) return fail(Code::kNotOwner, config.host.value());
  }
  TRY(check_isolation(m, config, *info));
  if (m.device_count == m.devices.size()) return fail(Code::kTableFull, m.devices.size());
  void* room = TRY(room_for<DeviceObjects>(m));
  auto& objects = *new (room) DeviceObjects;
  objects.config = m.ecam.function(config.host);
  assign::Device& device = objects.device;
  device.info = *info;
  device.config = &objects.config;
  for (std::size_t i = 0; i < device.bars.size(); ++i) {
    if (info->bars[i].size == 0 || info->bars[i].io) continue;
    objects.bars[i] = ports::HwMmio(info->bars[i].host.value());
    device.bars[i] = &objects.bars[i];
  }
  device.stream = StreamId(TRY(m.iommu_map.translate(config.host.value())));
  device.device_id = DeviceId(TRY(m.msi_map.translate(config.host.value())));
  device.placement = {config.guest, config.accept_no_reset, config.accept_insecure,
                      shares_slot(domain, config), extra_of(m, config, objects)};
  device.domain = m.partition_count;
  device.index = static_cast<std::uint8_t>(m.device_count);
  TRY(assign::quarantine(m.hardware(), device));
  m.devices[m.device_count++] = &device;
  return &device;
}

assign::Owner owner_of(DomainObjects& o, const vm::DomainParts& parts,
                       const manifest::DomainConfig& config) {
  assign::Owner owner;
  owner.id = parts.id;
  owner.name = parts.name;
  owner.cpu_table = &o.domain.cpu_table();
  owner.dma = {dma_vmid(parts.id), o.domain.dma_table().root()};
  owner.dma_with_doorbell = {doorbell_vmid(parts.id), o.domain.dma_doorbell_table().root()};
  owner.iommu = parts.iommu;
  if (owner.iommu != nullptr) owner.dma = owner.dma_with_doorbell;
  owner.its = &o.domain.its();
  owner.bar_windows = {vpci::Window{vm::kGuestMmio32, vm::kGuestMmio32Size},
                       vpci::Window{vm::kGuestMmio64, vm::kGuestMmio64Size}};
  owner.doorbell_page = vm::kGuestDoorbellPage;
  for (std::size_t i = 0; i < config.cpus.size(); ++i) owner.cpus[i] = config.cpus[i];
  return owner;
}

Status give_devices(Machine& m, DomainObjects& o, const vm::DomainParts& parts,
                    const manifest::DomainConfig& config) {
  o.domain.devices().init(m.hardware(), owner_of(o, parts, config));
  TRY(m.lpis.set_quota(parts.id, kLpisPerDomain));
  for (const manifest::DeviceConfig& wanted : config.devices) {
    const auto device = device_for(m, config, wanted);
    if (!device) {
      refuse_device(m, config, wanted.host, device.error());
      return device.error();
    }
    TRY(o.domain.devices().add(**device));
  }
  return o.domain.take_devices();
}

/// The guest's own IOMMU, where the configuration has one; says why when the board cannot.
Status give_iommu(Machine& m, vm::DomainParts& parts, const manifest::DomainConfig& config) {
  if (config.iommu == manifest::IommuKind::kNone) return {};
  std::string_view why = "the boot option viommu=off forbids it";
  Status possible = fail(Code::kUnsupported);
  if (m.options.viommu) possible = m.smmu.nesting(why);
  if (!possible) {
    Text<200> text;
    text.text("domain ").text(config.name_view()).text(": no iommu for its guest: ").text(why);
    m.console.line(port::Severity::kError, text.view());
    return possible;
  }
  void* room = TRY(room_for<SmmuObjects>(m));
  auto& objects = *new (room) SmmuObjects(m, doorbell_vmid(parts.id), config.name_view());
  parts.iommu = &objects.iommu;
  parts.dma_tlb = nullptr;  // one table for all its devices
  return {};
}

Status create(Machine& m, const manifest::DomainConfig& config, unsigned index) {
  const Vmid vmid(static_cast<std::uint16_t>(index + 1));
  void* room = TRY(room_for<DomainObjects>(m));
  const DomainId id(static_cast<std::uint8_t>(m.partition_count));
  auto& o = *new (room) DomainObjects(m, dma_vmid(id), doorbell_vmid(id));
  vm::DomainParts parts;
  parts.id = id;
  parts.name = config.name_view();
  parts.vmid = vmid;
  parts.vcpus = static_cast<unsigned>(config.cpus.size());
  parts.ram = TRY(ram_for(m, config));
  parts.ram_bytes = config.memory_bytes;
  parts.quota = TRY(m.pool.take(kQuotaBytes));
  parts.quota_bytes = kQuotaBytes;
  parts.memory = &m.memory;
  o.cpu_tlb.bind(o.domain.cpu_table(), vmid);
  parts.cpu_tlb = &o.cpu_tlb;
  if (!config.devices.empty()) {
    // Without an SMMU a device would reach all memory, and no guest address means anything to it
    // (invariant 9).
    if (!m.has_smmu || !m.has_its) return fail(Code::kNoIsolation, config.devices[0].host.value());
    parts.dma_tlb = &o.dma_tlb;
    parts.doorbell_tlb = &o.doorbell_tlb;
    parts.doorbell_page = m.its.doorbell_page();
    TRY(give_iommu(m, parts, config));
  }
  parts.kicks = &o.partition;
  const unsigned source = m.partition_count + 1;
  o.console.bind(m.console, source);
  m.console.name_source(source, config.name_view());
  parts.console = &o.console;
  parts.log = &m.console;
  TRY(o.domain.init(parts));
  o.partition.init(m, config, o.domain);
  if (!config.devices.empty()) TRY(give_devices(m, o, parts, config));
  m.partitions[m.partition_count++] = &o.partition;
  return {};
}

void announce(Machine& m, Partition& partition) {
  Text<200> text;
  text.text("domain ").text(partition.name()).text(": ").dec(partition.vcpu_count());
  text.text(" CPUs, ").dec(partition.domain().ram_bytes() / kMiB).text(" MiB, devices:");
  const assign::DeviceSet& devices = partition.domain().devices();
  for (std::size_t i = 0; i < devices.size(); ++i) {
    text.ch(' ').bdf(devices.device(i).info.bdf.value());
  }
  if (devices.empty()) text.text(" none");
  if (partition.domain().iommu() != nullptr) text.text(", with an IOMMU of its own");
  m.console.line(port::Severity::kInfo, text.view());
}

}  // namespace

void read_manifest(Machine& m) {
  if (m.image.bundle_bytes == 0) {
    m.console.line(port::Severity::kError,
                   "no bundle behind the image: nothing to run (make one with `penstock build`)");
    m.stop("no bundle");
  }
  m.bundle = {reinterpret_cast<const std::uint8_t*>((m.image.base + m.image.image_bytes).value()),
              m.image.bundle_bytes};
  manifest::Problem problem;
  if (manifest::parse(m.bundle, m.manifest, problem)) return;
  Text<240> text;
  manifest::describe(problem, m.manifest, text);
  m.console.line(port::Severity::kError, text.view());
  m.stop("the bundle is unusable");
}

void create_domains(Machine& m) {
  for (unsigned i = 0; i < m.manifest.domains.size(); ++i) {
    const manifest::DomainConfig& config = m.manifest.domains[i];
    manifest::Problem problem;
    if (!manifest::judge(m.manifest, DomainId(static_cast<std::uint8_t>(i)), m.board, problem)) {
      Text<240> text;
      manifest::describe(problem, m.manifest, text);
      m.console.line(port::Severity::kError, text.view());
      continue;
    }
    const Status created = create(m, config, i);
    if (!created) {
      refuse(m, config, "it cannot be built on this board", created.error());
      continue;
    }
    announce(m, *m.partitions[m.partition_count - 1]);
  }
  if (m.partition_count == 0) m.stop("no domain can run");
}

void start_domains(Machine& m) {
  unsigned started = 0;
  for (unsigned i = 0; i < m.partition_count; ++i) started += m.partitions[i]->config().autostart;
  if (started == 0) m.stop("no domain is to be started (autostart)");
  m.domains_alive.store(started, std::memory_order_release);
  for (unsigned i = 0; i < m.partition_count; ++i) {
    if (m.partitions[i]->config().autostart) m.partitions[i]->start();
  }
}

}  // namespace penstock
