// Everything that one domain is made of, and how it comes into being and goes.
#pragma once

#include <span>

#include "core/assign/stage1.hpp"
#include "core/control/function.hpp"
#include "core/control/server.hpp"
#include "core/viommu/virtual_smmu.hpp"
#include "hypervisor/machine.hpp"
#include "hypervisor/platform/domain_console.hpp"
#include "hypervisor/ports/cpu_tlb.hpp"
#include "hypervisor/toolstack.hpp"

namespace penstock {

/// A guest's own SMMUv3 and what it asks of the board's.
struct SmmuObjects {
  SmmuObjects(Machine& m, Vmid vmid, std::string_view domain)
      : host(m.smmu, vmid, m.console, domain), iommu(m.smmu.id_registers(), host) {}
  assign::SmmuStage1 host;
  viommu::VirtualSmmu iommu;
};

/// The control domain's interface.
struct ControlObjects {
  ControlObjects(Machine& m, Hpa window, DomainId self, mem::Stage2Table& table)
      : toolstack(m, self), server(m.memory, window, toolstack), function(server, window, table) {}
  Toolstack toolstack;
  control::Server server;
  control::Function function;
};

/// Machine memory and what of it is taken.
struct RamPart {
  Hpa base;
  std::uint64_t size = 0;  // bytes, 0: none
};

struct DomainObjects {
  DomainObjects(Machine& m, Vmid dma, Vmid with_doorbell)
      : dma_tlb(m.smmu, dma),
        doorbell_tlb(m.smmu, with_doorbell),
        domain(m.memory),
        partition(*this) {}

  manifest::DomainConfig config;         // a copy; its texts lie in the bundle
  std::span<const std::uint8_t> bundle;  // as long as the domain
  RamPart bundle_home;                   // of a domain made at run time; the boot's has none
  unsigned generation = 0;               // of its DomainId
  RamPart ram;
  RamPart window;  // of the control interface
  Hpa quota;       // 0: not taken yet
  SmmuObjects* smmu = nullptr;
  ControlObjects* control = nullptr;

  ports::CpuTlb cpu_tlb;
  iommu::SmmuTlb dma_tlb;
  iommu::SmmuTlb doorbell_tlb;
  platform::DomainConsole console;
  vm::Domain domain;
  Partition partition;
};

/// Nobody reaches this memory any more, and it holds nothing of anybody's.
void give_ram_back(Machine& m, const RamPart& part);
/// Nobody reaches it any more; it is cleared before anybody has it (Toolstack::ready()).
void retire_ram(Machine& m, const RamPart& part);

/// What a domain is built from.
struct DomainPlan {
  const manifest::Manifest& manifest;
  unsigned index;                        // of the domain in it
  std::span<const std::uint8_t> bundle;  // that `manifest` was read from
  RamPart bundle_home;                   // becomes the domain's when it was built
};

/// Builds the domain with this free DomainId and hands its devices over; it is then off and listed
/// in `partitions`. On an error nothing is left and `why` names what was wrong. The boot, or the
/// request of a control domain under way.
Status build_domain(Machine& m, DomainId id, const DomainPlan& plan, TextWriter& why);

/// Takes a domain apart that is kDead and gives back all that it had; false: one of its CPUs has
/// not let go of it yet.
bool discard_domain(Machine& m, Partition& partition);

/// One line about a domain that was built.
void announce(Machine& m, Partition& partition);

}  // namespace penstock
