// `@ audit`: what the hardware holds against what the configuration says (core/assign/audit.hpp),
// on the CPU that takes the console's interrupt when the operator asks, and before the board goes
// off.
#include "core/assign/audit.hpp"

#include "hypervisor/machine.hpp"

namespace penstock {
namespace {

using Forbidden = StaticVector<assign::ForbiddenRange, manifest::kMaxRedistributorRegions +
                                                           2 * manifest::kMaxIdleUnits + 8>;

void forbid(Forbidden& all, Hpa start, std::uint64_t size, std::string_view what) {
  if (size != 0) (void)all.push_back({start, size, what});  // sized for all below
}

/// Nothing of this is ever a guest's (S2.27). The ITS's doorbell page is the one exception, which
/// the audit knows.
Forbidden forbidden(const Machine& m) {
  Forbidden all;
  forbid(all, m.image.base, m.image.image_bytes + m.image.bundle_bytes, "maps the image");
  forbid(all, m.pool_base, pool_bytes(m.board.cpus.size()), "maps the hypervisor's memory");
  forbid(all, m.device_home, m.device_bytes, "maps the hypervisor's devices");
  if (m.board.smmu) {
    forbid(all, m.board.smmu->registers.base, m.board.smmu->registers.size, "maps the SMMU");
  }
  for (const manifest::MemoryRange& range : m.board.idle_smmus) {
    forbid(all, range.base, range.size, "maps an SMMU");
  }
  if (m.board.gic) {
    const manifest::GicBoard& gic = *m.board.gic;
    forbid(all, gic.distributor.base, gic.distributor.size, "maps the GIC's distributor");
    for (const manifest::MemoryRange& range : gic.redistributors) {
      forbid(all, range.base, range.size, "maps the GIC's redistributors");
    }
    for (const manifest::MemoryRange& range : gic.idle_its) {
      forbid(all, range.base, range.size, "maps an ITS");
    }
    if (gic.its) forbid(all, gic.its->base, msi::Its::kFrameBytes, "maps the ITS");
  }
  if (m.board.bridge) {
    forbid(all, m.board.bridge->ecam.base, m.board.bridge->ecam.size, "maps the ECAM");
  }
  if (m.board.uart) {
    forbid(all, m.board.uart->registers.base, m.board.uart->registers.size, "maps the UART");
  }
  return all;
}

const mem::Stage2Table* table_at(vm::Domain& domain, Hpa root) {
  if (domain.dma_doorbell_table().root() == root) return &domain.dma_doorbell_table();
  return &domain.dma_table();
}

assign::AuditedDomain describe(Partition& partition) {
  vm::Domain& domain = partition.domain();
  assign::AuditedDomain out;
  out.id = domain.id();
  out.name = partition.name();
  out.devices = &domain.devices();
  out.cpu_table = &domain.cpu_table();
  out.ram = vm::kGuestRam;
  out.ram_home = domain.ram();
  out.ram_bytes = domain.ram_bytes();
  out.doorbell_page = vm::kGuestDoorbellPage;
  out.vcpus = partition.vcpu_count();
  if (domain.dma_doorbell_table().root().value() == 0) return out;  // it has no DMA tables
  const assign::Owner& owner = domain.devices().owner();
  out.dma = {table_at(domain, owner.dma.root), owner.dma.vmid};
  out.with_doorbell = {table_at(domain, owner.dma_with_doorbell.root),
                       owner.dma_with_doorbell.vmid};
  out.has_stage1 = owner.iommu != nullptr;
  return out;
}

/// What is neither a domain's nor the ITS's.
void check_machine(Machine& m, assign::AuditReport& report) {
  for (unsigned i = 0; i < m.cpu_count; ++i) {
    const arch::Cpu& cpu = m.cpus[i];
    if (!cpu.online.load(std::memory_order_acquire)) continue;
    ports::HwMmio frame(cpu.redistributor);
    if (!msi::Gicv3::has_tables(frame, cpu.index, m.lpi_tables)) {
      report.violation("a redistributor has other LPI tables than at boot");
    }
  }
  if (m.pool.bad_returns() != 0) report.violation("a page of the pool was given back twice");
  for (Partition* partition : m.partitions) {
    if (partition == nullptr || partition->domain().quota().bad_returns() == 0) continue;
    report.violation("a page of a domain's quota was given back twice");
  }
}

}  // namespace

void Machine::audit(TextWriter& json) {
  const Forbidden ranges = forbidden(*this);
  StaticVector<assign::AuditedDomain, kMaxDomains> domains;
  // No domain comes or goes meanwhile, either: for that, too, this lock is held.
  const LockGuard still(virtual_functions.lock());
  for (Partition* partition : partitions) {
    if (partition != nullptr)
      (void)domains.push_back(describe(*partition));  // as many as there can be
  }
  assign::Hardware hw = hardware();
  if (!has_smmu) hw.smmu = nullptr;
  if (!has_its) hw.its = nullptr;
  assign::AuditReport report;
  assign::audit({hw, {domains.begin(), domains.size()}, {ranges.begin(), ranges.size()}}, report);
  check_machine(*this, report);
  report.write_json(json);
}

void Machine::report_audit() {
  Text<assign::AuditReport::kJsonBytes> json;
  audit(json);
  console.event("audit", json.view());
}

}  // namespace penstock
