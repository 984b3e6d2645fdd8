// From a configuration to a domain, and back to nothing.
#include <new>

#include "core/base/text.hpp"
#include "core/pci/reset.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/device_table.hpp"
#include "hypervisor/domain_objects.hpp"
#include "hypervisor/setup.hpp"

namespace penstock {
namespace {

/// Tables of one domain: 2 MiB blocks need one page per GiB of RAM, BARs a few pages each.
constexpr std::uint64_t kQuotaBytes = 256 * kKiB;

/// Interrupts of all devices of one domain, strays included, where the configuration says nothing
/// and its devices need no more.
constexpr unsigned kLpisPerDomain = 1024;

/// VMIDs of a domain's tables; 0 is nobody's. CPUs and SMMU number them apart.
Vmid cpu_vmid(DomainId id) {
  return Vmid(static_cast<std::uint16_t>(id.value() + 1));
}
Vmid dma_vmid(DomainId id) {
  return Vmid(static_cast<std::uint16_t>(2 * id.value() + 1));
}
Vmid doorbell_vmid(DomainId id) {
  return Vmid(static_cast<std::uint16_t>(2 * id.value() + 2));
}

/// Device numbers below the root ports'.
constexpr std::uint8_t kPlacesOnBus0 = 16;

template <typename T, typename... Arguments>
Result<T*> make(Machine& m, Arguments&&... arguments) {
  const Hpa at = TRY(m.pool.take(sizeof(T)));
  return new (m.memory.map(at, sizeof(T))) T(static_cast<Arguments&&>(arguments)...);
}

template <typename T>
void unmake(Machine& m, T* object) {
  if (object == nullptr) return;
  object->~T();
  m.pool.give_back(Hpa(reinterpret_cast<std::uintptr_t>(object)), sizeof(T));
}

Result<RamPart> take_ram(Machine& m, std::uint64_t bytes, std::optional<Hpa> base) {
  if (base) {
    TRY(m.free_ram.take_at({*base, bytes}));
    return RamPart{*base, bytes};
  }
  if (bytes >= kGiB) {  // 1 GiB blocks where the board's RAM allows
    const auto aligned = m.free_ram.take_highest(bytes, kGiB);
    if (aligned) return RamPart{*aligned, bytes};
  }
  return RamPart{TRY(m.free_ram.take_highest(bytes, 2 * kMiB)), bytes};
}

/// Why the domain has no memory.
void say_no_memory(Machine& m, const manifest::DomainConfig& config, TextWriter& why) {
  if (config.memory_base) {
    why.text("its memory at ").hex(config.memory_base->value()).text(" (");
    why.dec(config.memory_bytes / kMiB)
        .text(" MiB) is taken, wholly or in part: by Penstock, the ");
    why.text("bundle, the board's tree, firmware or another domain");
    return;
  }
  why.text("no memory for it: ").dec(m.free_ram.free_bytes() / kMiB).text(" MiB are free, not ");
  why.dec(config.memory_bytes / kMiB).text(" in one piece");
}

/// True when another function of the domain has the same device number: function 0 then has to say
/// so in its header.
bool shares_slot(const manifest::DomainConfig& domain, const manifest::DeviceConfig& config) {
  for (const manifest::DeviceConfig& other : domain.devices) {
    const bool same_device =
        other.guest.bus() == config.guest.bus() && other.guest.device() == config.guest.device();
    if (other.guest != config.guest && same_device) return true;
  }
  return false;
}

/// The configuration's extra capabilities in the words of the policy. Registers that it does not
/// name are read-only copies.
std::span<const vpci::ExtraCapability> extra_of(const manifest::Manifest& manifest,
                                                const manifest::DeviceConfig& config,
                                                DeviceObjects& objects) {
  objects.extra.clear();
  for (const manifest::ExtraCapability& wanted : manifest.capabilities_of(config)) {
    auto& registers = objects.extra_registers[objects.extra.size()];
    std::size_t count = 0;
    for (const manifest::CapabilityRegister& r : wanted.registers) {
      vpci::ExtraRegister& out = registers[count++];
      out = {.offset = r.offset,
             .ro = ~(r.live | r.write),
             .live = r.live & ~r.write,
             .hw_rw = r.write & ~r.w1c,
             .hw_w1c = r.w1c};
    }
    (void)objects.extra.push_back(
        {wanted.id, wanted.extended, wanted.length, {registers.data(), count}});
  }
  return {objects.extra.begin(), objects.extra.size()};
}

std::span<const vpci::CapabilityName> denied_of(const manifest::Manifest& manifest,
                                                const manifest::DeviceConfig& config,
                                                DeviceObjects& objects) {
  objects.denied.clear();
  for (const manifest::DeniedCapability& each : manifest.denied_of(config)) {
    (void)objects.denied.push_back({each.id, each.extended});  // as many as a configuration has
  }
  return {objects.denied.begin(), objects.denied.size()};
}

assign::Owner owner_of(DomainObjects& o, const vm::DomainParts& parts) {
  assign::Owner owner;
  owner.id = parts.id;
  owner.name = parts.name;
  owner.cpu_table = &o.domain.cpu_table();
  owner.dma = {dma_vmid(parts.id), o.domain.dma_table().root()};
  owner.dma_with_doorbell = {doorbell_vmid(parts.id), o.domain.dma_doorbell_table().root()};
  owner.iommu = parts.iommu;
  owner.full_access = o.config.hardware;
  if (owner.iommu != nullptr) owner.dma = owner.dma_with_doorbell;
  owner.its = &o.domain.its();
  owner.gic = &o.domain.gic();
  owner.bar_windows = {vpci::Window{vm::kGuestMmio32, vm::kGuestMmio32Size},
                       vpci::Window{vm::kGuestMmio64, vm::kGuestMmio64Size}};
  owner.doorbell_page = vm::kGuestDoorbellPage;
  for (std::size_t i = 0; i < o.config.cpus.size(); ++i) owner.cpus[i] = o.config.cpus[i];
  return owner;
}

Status give_device(Machine& m, DomainObjects& o, const DomainPlan& plan,
                   const manifest::DeviceConfig& config, TextWriter& why) {
  const Claim claim{config.host,
                    config.guest,
                    config.accept_no_reset,
                    config.accept_insecure,
                    shares_slot(o.config, config),
                    o.smmu != nullptr};
  assign::Device* device = TRY(claim_device(m, o.domain.id(), claim, why));
  DeviceObjects& objects = *m.device_objects[device->index];
  device->placement.extra = extra_of(plan.manifest, config, objects);
  device->placement.denied = denied_of(plan.manifest, config, objects);
  device->placement.scratch = config.scratch;
  const Status added = o.domain.devices().add(*device);
  if (!added) release_device(*device);
  return added;
}

bool is_named(const manifest::Manifest& manifest, HostBdf bdf) {
  for (const manifest::DomainConfig& domain : manifest.domains) {
    for (const manifest::DeviceConfig& device : domain.devices) {
      if (device.host == bdf) return true;
    }
  }
  return false;
}

/// Interrupts of all that it has, strays included; nothing where they are more than it may have, or
/// than are left.
Status give_interrupts(Machine& m, DomainObjects& o, TextWriter& why) {
  unsigned needed = 0;
  for (const assign::Device* device : o.domain.devices().members()) {
    needed += assign::interrupts_of(*device);
  }
  const unsigned usual = needed > kLpisPerDomain ? needed : kLpisPerDomain;
  const unsigned quota = o.config.interrupts != 0 ? o.config.interrupts : usual;
  if (needed > quota) {
    why.text("its devices need ").dec(needed).text(" interrupts, and it may have ").dec(quota);
    return fail(Code::kTableFull, needed);
  }
  unsigned left = msi::kLpiCount;
  for (unsigned id = 0; id < kMaxDomains; ++id) {
    left -= m.lpis.held_by(DomainId(static_cast<std::uint8_t>(id)));
  }
  if (needed > left) {
    why.text("its devices need ").dec(needed).text(" interrupts, and the board has ").dec(left);
    return fail(Code::kTableFull, needed);
  }
  return m.lpis.set_quota(o.domain.id(), quota);
}

Status give_unnamed(Machine& m, DomainObjects& o, assign::Device& device, TextWriter& why) {
  auto place = o.domain.devices().free_slot();
  if (!place) place = o.domain.devices().free_place(kPlacesOnBus0);
  if (!place) {
    why.text("it has no place left");
    return fail(Code::kTableFull, device.info.bdf.value());
  }
  if (m.device_objects[device.index]->statement.reset == pci::ResetMethod::kNone) {
    why.text("it has no reset");
    return fail(Code::kNoReset, device.info.bdf.value());
  }
  (void)TRY(claim_device(
      m, o.domain.id(),
      {.host = device.info.bdf, .guest = *place, .behind_stage1 = o.smmu != nullptr}, why));
  const Status added = o.domain.devices().add(device);
  if (added) return added;
  release_device(device);
  why.text("it has as many devices as it can");
  return added;
}

/// The hardware domain's: what no domain is given by name, where it can be isolated and has a
/// place.
void give_the_rest(Machine& m, DomainObjects& o, const DomainPlan& plan) {
  for (unsigned i = 0; i < m.device_count; ++i) {
    assign::Device& device = *m.devices[i];
    // A virtual function that is still to come is absent.
    if (device.state == assign::DeviceState::kAbsent || device.info.is_vf) continue;
    if (device.domain != kNobody || device.hidden) continue;
    if (is_named(plan.manifest, device.info.bdf)) continue;
    Text<120> reason;
    if (give_unnamed(m, o, device, reason)) continue;
    Text<200> text;
    text.text(o.config.name_view()).text(" does not get ").bdf(device.info.bdf.value()).text(": ");
    m.console.line(port::Severity::kWarning, text.text(reason.view()).view());
  }
}

Status give_devices(Machine& m, DomainObjects& o, const vm::DomainParts& parts,
                    const DomainPlan& plan, TextWriter& why) {
  TRY(o.domain.devices().init(m.hardware(), owner_of(o, parts), o.config.slots));
  for (const manifest::DeviceConfig& wanted : o.config.devices) {
    Text<120> reason;
    const Status given = give_device(m, o, plan, wanted, reason);
    if (given) continue;
    why.text("device ").bdf(wanted.host.value()).text(": ");
    why.text(reason.view().empty() ? describe(given.error().code) : reason.view());
    return given;
  }
  if (o.config.hardware) give_the_rest(m, o, plan);
  TRY(give_interrupts(m, o, why));
  const Status taken = o.domain.take_devices();
  if (!taken) {
    why.text("device ").bdf(static_cast<std::uint16_t>(taken.error().arg)).text(": ");
    why.text(describe(taken.error().code));
  }
  return taken;
}

/// The guest's own IOMMU, where the configuration has one; says why when the board cannot.
Status give_iommu(Machine& m, DomainObjects& o, vm::DomainParts& parts, TextWriter& why) {
  if (o.config.iommu == manifest::IommuKind::kNone) return {};
  std::string_view reason = "the boot option viommu=off forbids it";
  Status possible = fail(Code::kUnsupported);
  if (m.options.viommu) possible = m.smmu.nesting(reason);
  if (!possible) {
    why.text("no iommu for its guest: ").text(reason);
    return possible;
  }
  o.smmu = TRY(make<SmmuObjects>(m, m, doorbell_vmid(parts.id), o.config.name_view()));
  parts.iommu = &o.smmu->iommu;
  parts.dma_tlb = nullptr;  // one table for all its devices
  return {};
}

Status give_control(Machine& m, DomainObjects& o, vm::DomainParts& parts) {
  if (!o.config.control) return {};
  o.window = TRY(take_ram(m, control::kWindowBytes, std::nullopt));
  o.control = TRY(make<ControlObjects>(m, m, o.window.base, parts.id, o.domain.cpu_table()));
  parts.control = &o.control->function;
  return o.control->function.init({vpci::Window{vm::kGuestMmio32, vm::kGuestMmio32Size},
                                   vpci::Window{vm::kGuestMmio64, vm::kGuestMmio64Size}});
}

Status check_cpus(Machine& m, const manifest::DomainConfig& config, TextWriter& why) {
  for (const CpuIndex cpu : config.cpus) {
    if (cpu.value() >= m.cpu_count) {
      why.text("cpu ").dec(cpu.value()).text(" does not exist on this board");
      return fail(Code::kNotFound, cpu.value());
    }
    if (m.cpus[cpu.value()].owner.assigned() != nullptr) {
      why.text("cpu ").dec(cpu.value()).text(" belongs to another domain");
      return fail(Code::kNotOwner, cpu.value());
    }
  }
  return {};
}

bool wants_devices(const manifest::DomainConfig& config) {
  return !config.devices.empty() || config.slots != 0 || config.hardware;
}

Status fill(Machine& m, DomainObjects& o, DomainId id, const DomainPlan& plan, TextWriter& why) {
  TRY(check_cpus(m, o.config, why));
  vm::DomainParts parts;
  parts.id = id;
  parts.dma_coherent = m.board.bridge && m.board.bridge->coherent;
  parts.name = o.config.name_view();
  parts.vmid = cpu_vmid(id);
  parts.vcpus = static_cast<unsigned>(o.config.cpus.size());
  const auto ram = take_ram(m, o.config.memory_bytes, o.config.memory_base);
  if (!ram) {
    say_no_memory(m, o.config, why);
    return ram.error();
  }
  o.ram = *ram;
  parts.ram = o.ram.base;
  parts.ram_bytes = o.ram.size;
  o.quota = TRY(m.pool.take(kQuotaBytes));
  parts.quota = o.quota;
  parts.quota_bytes = kQuotaBytes;
  parts.memory = &m.memory;
  o.cpu_tlb.bind(o.domain.cpu_table(), parts.vmid);
  parts.cpu_tlb = &o.cpu_tlb;
  if (wants_devices(o.config)) {
    // Without an SMMU a device would reach all memory, and no guest address means anything to it
    // (invariant 9).
    if (!m.has_smmu || !m.has_its) {
      why.text("its devices cannot be isolated: the board has no usable ");
      why.text(m.has_smmu ? "ITS" : "SMMU");
      return fail(Code::kNoIsolation);
    }
    parts.dma_tlb = &o.dma_tlb;
    parts.doorbell_tlb = &o.doorbell_tlb;
    parts.doorbell_page = m.its.doorbell_page();
    TRY(give_iommu(m, o, parts, why));
  }
  TRY(give_control(m, o, parts));
  parts.has_bus = wants_devices(o.config) || o.config.control;
  parts.kicks = &o.partition;
  const unsigned source = id.value() + 1U;
  o.console.bind(m.console, source);
  m.console.name_source(source, parts.name);
  parts.console = &o.console;
  parts.log = &m.console;
  TRY(o.domain.init(parts));
  if (wants_devices(o.config)) TRY(give_devices(m, o, parts, plan, why));
  return {};
}

/// Gives back what fill() had come to. No CPU and no device reaches any of it.
void drain(Machine& m, DomainObjects& o, DomainId id) {
  o.domain.devices().take_all_back();
  o.domain.devices().release_all([](assign::Device& device) { release_device(device); });
  o.domain.destroy();
  (void)m.lpis.set_quota(id, 0);
  unmake(m, o.smmu);
  unmake(m, o.control);
  if (o.quota.value() != 0) m.pool.give_back(o.quota, kQuotaBytes);
  give_ram_back(m, o.ram);
  give_ram_back(m, o.window);
  retire_ram(m, o.bundle_home);
  unmake(m, &o);
}

void say_lost(Machine& m) {
  m.console.line(port::Severity::kError, "memory of a domain that ended is lost");
}

}  // namespace

void give_ram_back(Machine& m, const RamPart& part) {
  if (part.size != 0 && !m.free_ram.give_back({part.base, part.size})) say_lost(m);
}

void retire_ram(Machine& m, const RamPart& part) {
  if (!m.dirty_ram.add({part.base, part.size})) say_lost(m);
}

Status build_domain(Machine& m, DomainId id, const DomainPlan& plan, TextWriter& why) {
  const LockGuard still(m.virtual_functions.lock());  // none of its devices vanishes meanwhile
  auto& o = *TRY(make<DomainObjects>(m, m, dma_vmid(id), doorbell_vmid(id)));
  o.config = plan.manifest.domains[plan.index];
  o.bundle = plan.bundle;
  const Status filled = fill(m, o, id, plan, why);
  if (!filled) {
    if (why.view().empty()) why.text(describe(filled.error().code));
    drain(m, o, id);
    return filled;
  }
  o.bundle_home = plan.bundle_home;
  o.generation = ++m.generations[id.value()];
  o.partition.init(m, o.config, o.bundle, o.domain);
  place_board_interrupts(m);
  const LockGuard guard(m.life);
  m.partitions[id.value()] = &o.partition;
  return {};
}

bool discard_domain(Machine& m, Partition& partition) {
  bool free = true;
  for (unsigned i = 0; i < partition.vcpu_count(); ++i) {
    Vcpu& vcpu = partition.vcpu(i);
    if (vcpu.cpu->owner.withdraw(&vcpu)) continue;
    arch::send_sgi(vcpu.cpu->sgi_target, kKickSgi);
    free = false;
  }
  if (!free) return false;
  const LockGuard still(m.virtual_functions.lock());
  const DomainId id = partition.domain().id();
  {
    const LockGuard guard(m.life);
    m.partitions[id.value()] = nullptr;
  }
  drain(m, partition.objects(), id);
  place_board_interrupts(m);
  return true;
}

void announce(Machine& m, Partition& partition) {
  Text<600> text;  // of 32 devices
  text.text("domain ").text(partition.name()).text(": ").dec(partition.vcpu_count());
  text.text(" CPUs, ").dec(partition.domain().ram_bytes() / kMiB).text(" MiB, devices:");
  const auto devices = partition.domain().devices().members();
  for (const assign::Device* device : devices) text.ch(' ').bdf(device->info.bdf.value());
  if (devices.empty()) text.text(" none");
  if (partition.domain().iommu() != nullptr) text.text(", with an IOMMU of its own");
  m.console.line(port::Severity::kInfo, text.view());
}

}  // namespace penstock
