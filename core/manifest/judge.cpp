// What a board must offer before a domain may start on it.
#include "core/manifest/manifest.hpp"

namespace penstock::manifest {
namespace {

Error refuse(Problem& problem, Code code, std::string_view text, std::uint64_t value = 0) {
  problem.code = code;
  problem.text = text;
  problem.value = value;
  return fail(code, value);
}

bool in_ram(const Board& board, Hpa base, std::uint64_t bytes) {
  for (const MemoryRange& range : board.memory) {
    if (base >= range.base && fits(base - range.base, bytes, range.size)) return true;
  }
  return false;
}

Status judge_memory(const DomainConfig& domain, const Board& board, Problem& problem) {
  if (domain.memory_base) {
    if (!in_ram(board, *domain.memory_base, domain.memory_bytes)) {
      return refuse(problem, Code::kOutOfRange, "memory-base is not in the board's RAM",
                    domain.memory_base->value());
    }
    return {};
  }
  for (const MemoryRange& range : board.memory) {
    if (range.size >= domain.memory_bytes) return {};
  }
  return refuse(problem, Code::kOutOfRange, "the domain wants more memory than the board has",
                domain.memory_bytes);
}

Status judge_iommu(const DomainConfig& domain, const Board& board, Problem& problem) {
  if (domain.iommu == IommuKind::kNone) return {};
  if (!board.smmu) {
    // Whatever is accepted for its devices: a guest's SMMU that isolates nothing would be a lie.
    return refuse(problem, Code::kUnsupported,
                  "the board has no SMMUv3 that could serve the domain's iommu: set it to none");
  }
  return {};
}

Status judge_devices(const DomainConfig& domain, const Board& board, Problem& problem) {
  if (domain.devices.empty()) return {};
  if (!board.bridge) {
    return refuse(
        problem, Code::kUnsupported,
        "the board has no PCI host bridge that Penstock knows, but the domain has a device",
        domain.devices[0].host.value());
  }
  const bool checked_messages = board.gic && board.gic->its;
  for (const DeviceConfig& device : domain.devices) {
    if (device.accept_insecure) continue;
    if (!board.smmu) {
      return refuse(
          problem, Code::kNoIsolation,
          "the board has no SMMUv3: nothing would keep the device from other memory; accept "
          "\"no-isolation\" for it or take it out",
          device.host.value());
    }
    if (!checked_messages) {
      return refuse(problem, Code::kNoIsolation,
                    "the board has no ITS: nothing would check the device's interrupts; accept "
                    "\"no-isolation\" for it or take it out",
                    device.host.value());
    }
  }
  return {};
}

}  // namespace

Status judge(const Manifest& manifest, DomainId id, const Board& board, Problem& problem) {
  problem = {};
  if (id.value() >= manifest.domains.size()) {
    return refuse(problem, Code::kNotFound, "there is no such domain", id.value());
  }
  problem.domain = id;
  const DomainConfig& domain = manifest.domains[id.value()];
  for (const CpuIndex cpu : domain.cpus) {
    if (cpu.value() >= board.cpus.size()) {
      return refuse(problem, Code::kNotFound, "the board has no such CPU", cpu.value());
    }
  }
  TRY(judge_memory(domain, board, problem));
  TRY(judge_iommu(domain, board, problem));
  return judge_devices(domain, board, problem);
}

Status judge_created(const Manifest& manifest, Problem& problem) {
  const auto refuse = [&problem](std::optional<DomainId> domain, std::string_view text) {
    problem = {Code::kBadManifest, domain, text, 0};
    return fail(Code::kBadManifest);
  };
  for (std::size_t i = 0; i < manifest.domains.size(); ++i) {
    const DomainId id(static_cast<std::uint8_t>(i));
    if (manifest.domains[i].control) return refuse(id, "the control domain is the boot's");
    if (manifest.domains[i].hardware) return refuse(id, "the hardware domain is the boot's");
  }
  if (manifest.hidden.empty()) return {};
  return refuse(std::nullopt, "what is hidden is written where the board boots from");
}

}  // namespace penstock::manifest
