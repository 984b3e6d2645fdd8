#include "core/manifest/manifest.hpp"

#include "core/base/bytes.hpp"
#include "core/manifest/bundle.hpp"
#include "core/manifest/reader.hpp"

namespace penstock::manifest {
namespace {

constexpr std::uint64_t kTreeAlign = 8;     // libfdt reads the tree's words in place
constexpr std::uint32_t kTreeVersion = 17;  // of the format; what libfdt writes

bool name_character(char c, bool first) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '_'));
}

}  // namespace

Status Reader::read() {
  TRY(read_header());
  TRY(read_root());
  const int root = 0;
  for (int node = fdt_first_subnode(tree_, root); node >= 0; node = fdt_next_subnode(tree_, node)) {
    if (!is_named(node, tree::kDomain)) {
      return refuse(Code::kBadManifest, "the manifest has a node that is no domain",
                    static_cast<std::uint64_t>(node));
    }
    if (manifest_.domains.full()) {
      return refuse(Code::kTableFull, "there are more domains than the hypervisor can run",
                    kMaxDomains);
    }
    problem_.domain = DomainId(static_cast<std::uint8_t>(manifest_.domains.size()));
    (void)manifest_.domains.push_back({});
    TRY(read_domain(node, manifest_.domains.back()));
    problem_.domain.reset();
  }
  if (manifest_.domains.empty()) {
    return refuse(Code::kBadManifest, "the manifest has no domain: write at least one [[domain]]");
  }
  return {};
}

Status Reader::read_header() {
  if (reinterpret_cast<std::uintptr_t>(bundle_.data()) % kTreeAlign != 0) {
    return refuse(Code::kMisaligned, "the bundle does not start on an 8-byte boundary");
  }
  if (bundle_.size() < kBundleHeaderBytes) {
    return refuse(Code::kBadManifest, "the bundle is cut off inside its header: build it again",
                  bundle_.size());
  }
  for (std::size_t i = 0; i < kBundleMagic.size(); ++i) {
    if (bundle_[header::kMagic + i] != static_cast<std::uint8_t>(kBundleMagic[i])) {
      return refuse(Code::kBadManifest,
                    "there is no bundle behind the image: boot what `penstock build` wrote");
    }
  }
  const auto crc = static_cast<std::uint32_t>(load_le(bundle_, header::kHeaderCrc, 4));
  if (crc != crc32(bundle_.first(header::kHeaderCrc))) {
    return refuse(Code::kBadChecksum, "the bundle's header is damaged: build it again", crc);
  }
  const std::uint64_t version = load_le(bundle_, header::kVersion, 4);
  if (version != kBundleVersion ||
      load_le(bundle_, header::kHeaderBytes, 4) != kBundleHeaderBytes) {
    return refuse(Code::kBadVersion, "the bundle was built for another version of Penstock",
                  version);
  }
  const std::uint64_t total = load_le(bundle_, header::kTotalBytes, 8);
  if (total < kBundleHeaderBytes || total > bundle_.size()) {
    return refuse(Code::kBadManifest, "the bundle is cut off: build or copy it again", total);
  }
  bundle_ = bundle_.first(total);
  const std::uint64_t offset = load_le(bundle_, header::kManifestOffset, 4);
  const std::uint64_t bytes = load_le(bundle_, header::kManifestBytes, 4);
  if (offset < kBundleHeaderBytes || offset % kTreeAlign != 0 || bytes > kMaxManifestBytes ||
      !fits(offset, bytes, total)) {
    return refuse(Code::kBadManifest, "the manifest lies outside the bundle", offset);
  }
  const std::span<const std::uint8_t> tree = bundle_.subspan(offset, bytes);
  const auto tree_crc = static_cast<std::uint32_t>(load_le(bundle_, header::kManifestCrc, 4));
  if (tree_crc != crc32(tree)) {
    return refuse(Code::kBadChecksum, "the manifest is damaged: build the bundle again", tree_crc);
  }
  // Before libfdt looks: its check follows a null pointer in trees of versions before 16, and reads
  // a property's name to its end for each property, through all the names if need be.
  const void* const blob = tree.data();
  if (bytes < sizeof(fdt_header) || fdt_version(blob) != kTreeVersion) {
    return refuse(Code::kBadManifest, "the manifest is a device tree of another version");
  }
  if (fdt_size_dt_strings(blob) > kMaxManifestStrings) {
    return refuse(Code::kBadManifest, "the manifest's property names are too long",
                  fdt_size_dt_strings(blob));
  }
  const int check = fdt_check_full(blob, tree.size());
  if (check != 0) {
    return refuse(Code::kBadManifest, "the manifest is no valid device tree",
                  static_cast<std::uint64_t>(-check));
  }
  tree_ = blob;
  payloads_ = offset + bytes;
  return {};
}

Status Reader::read_root() {
  if (property(0, tree::kCompatible).text() != tree::kCompatibleValue) {
    return refuse(Code::kBadManifest, "the manifest does not say that it is Penstock's");
  }
  std::uint32_t version = 0;
  TRY(one_cell(0, tree::kVersion, version, "the manifest has no version"));
  if (version != tree::kVersionNumber) {
    return refuse(Code::kBadVersion, "the manifest was made for another version of Penstock",
                  version);
  }
  manifest_.board = property(0, tree::kBoard).text();
  return read_hidden(0);
}

Status Reader::read_domain(int node, DomainConfig& domain) {
  TRY(read_name(node, domain));
  TRY(read_cpus(node, domain));
  TRY(read_memory(node, domain));
  TRY(read_payloads(node, domain));
  TRY(read_policy(node, domain));
  TRY(read_devices(node, domain));
  const bool comes_later = domain.slots != 0 || domain.hardware;
  if (domain.iommu != IommuKind::kNone && domain.devices.empty() && !comes_later) {
    return refuse(Code::kBadManifest, "a domain has an iommu but no device behind it");
  }
  return {};
}

Status Reader::read_name(int node, DomainConfig& domain) {
  const std::string_view name = property(node, tree::kName).text();
  if (name.empty() || name.size() > kMaxName) {
    return refuse(Code::kBadManifest, "a domain's name must have 1 to 31 characters", name.size());
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (!name_character(name[i], i == 0)) {
      return refuse(Code::kBadManifest,
                    "a domain's name must start with a letter and hold letters, digits, - and _",
                    i);
    }
  }
  if (name == "penstock") {
    return refuse(Code::kAlreadyExists, "a domain cannot be called penstock: the console needs it");
  }
  for (std::size_t i = 0; i + 1 < manifest_.domains.size(); ++i) {
    if (manifest_.domains[i].name_view() == name) {
      return refuse(Code::kAlreadyExists, "two domains have the same name", i);
    }
  }
  for (std::size_t i = 0; i < name.size(); ++i) domain.name[i] = name[i];
  return {};
}

bool Reader::cpu_taken(CpuIndex cpu) const {
  for (const DomainConfig& domain : manifest_.domains) {
    for (const CpuIndex other : domain.cpus) {
      if (other == cpu) return true;
    }
  }
  return false;
}

Status Reader::read_cpus(int node, DomainConfig& domain) {
  const Property cpus = property(node, tree::kCpus);
  if (!cpus.present() || cpus.bytes == 0 || cpus.bytes % 4 != 0) {
    return refuse(Code::kBadManifest, "a domain needs at least one CPU");
  }
  if (cpus.cells() > kMaxCpusPerDomain) {
    return refuse(Code::kTableFull, "a domain has more CPUs than it can", cpus.cells());
  }
  for (unsigned i = 0; i < cpus.cells(); ++i) {
    if (cpus.cell(i) > kMaxCpuNumber) {
      return refuse(Code::kOutOfRange, "a CPU's number is too large", cpus.cell(i));
    }
    const CpuIndex cpu(static_cast<std::uint8_t>(cpus.cell(i)));
    if (cpu_taken(cpu)) {
      return refuse(Code::kAlreadyExists, "a CPU is given twice", cpu.value());
    }
    (void)domain.cpus.push_back(cpu);
  }
  return {};
}

Status Reader::read_memory(int node, DomainConfig& domain) {
  const Property memory = property(node, tree::kMemory);
  if (!memory.present() || memory.bytes != 8) {
    return refuse(Code::kBadManifest, "a domain needs memory");
  }
  const std::uint64_t bytes = memory.pair(0);
  if (bytes == 0 || bytes > kMaxMemory) {
    return refuse(Code::kOutOfRange, "a domain's memory must be 2 MiB to 255 GiB", bytes);
  }
  if (bytes % kMemoryGranule != 0) {
    return refuse(Code::kMisaligned, "a domain's memory must be a multiple of 2 MiB", bytes);
  }
  domain.memory_bytes = bytes;
  const Property base = property(node, tree::kMemoryBase);
  if (!base.present()) return {};
  if (base.bytes != 8 || base.pair(0) % kMemoryGranule != 0) {
    return refuse(Code::kMisaligned, "memory-base must be a multiple of 2 MiB");
  }
  if (!fits(base.pair(0), bytes, kMaxAddress)) {
    return refuse(Code::kOutOfRange, "memory-base is beyond what the CPU can address",
                  base.pair(0));
  }
  for (const DomainConfig& other : manifest_.domains) {
    if (other.memory_base &&
        overlaps(other.memory_base->value(), other.memory_bytes, base.pair(0), bytes)) {
      return refuse(Code::kOverlap, "two domains' memory overlaps", base.pair(0));
    }
  }
  domain.memory_base = Hpa(base.pair(0));
  return {};
}

Status Reader::read_blob(int node, const char* name, Blob& blob) {
  const Property p = property(node, name);
  if (!p.present()) return {};
  if (p.bytes != tree::kBlobCells * 4) {
    return refuse(Code::kBadManifest, "a payload is described in a wrong way");
  }
  blob = {p.pair(0), p.pair(2), p.cell(4), p.cell(5), p.cell(6)};
  if (blob.size == 0 || blob.offset < payloads_ || blob.offset % kPayloadAlign != 0 ||
      !fits(blob.offset, blob.size, bundle_.size())) {
    return refuse(Code::kBadManifest, "a payload lies outside the bundle", blob.offset);
  }
  const auto bytes = bundle_.subspan(blob.offset, blob.size);
  if (crc32_first_page(bytes) != blob.first_page_crc ||
      crc32_last_page(bytes) != blob.last_page_crc) {
    return refuse(Code::kBadChecksum, "a payload is damaged: build the bundle again", blob.offset);
  }
  return {};
}

/// An Image says itself where it wants to be; a raw image needs to be told.
Status Reader::read_kernel_offset(int node, DomainConfig& domain) {
  const Property p = property(node, tree::kKernelOffset);
  const bool is_image = is_arm64_image(bundle_.subspan(domain.kernel.offset, domain.kernel.size));
  if (!p.present()) {
    if (is_image) return {};
    return refuse(Code::kBadManifest, "a domain's kernel is no arm64 Image");
  }
  if (is_image || p.bytes != 8 || !is_kernel_offset(p.pair(0))) {
    return refuse(Code::kBadManifest, "kernel-offset is for a raw image, a page from 64 KiB on");
  }
  if (!fits(p.pair(0), domain.kernel.size, domain.memory_bytes)) {
    return refuse(Code::kOutOfRange, "a raw image lies beyond the domain's memory", p.pair(0));
  }
  domain.kernel_offset = p.pair(0);
  return {};
}

Status Reader::read_payloads(int node, DomainConfig& domain) {
  TRY(read_blob(node, tree::kKernel, domain.kernel));
  TRY(read_blob(node, tree::kInitrd, domain.initrd));
  if (domain.kernel.size == 0) return refuse(Code::kBadManifest, "a domain needs a kernel");
  TRY(read_kernel_offset(node, domain));
  if (domain.kernel.size + domain.initrd.size >= domain.memory_bytes) {
    return refuse(Code::kOutOfRange, "kernel and initrd are larger than the domain's memory",
                  domain.kernel.size + domain.initrd.size);
  }
  const Property bootargs = property(node, tree::kBootargs);
  if (!bootargs.present()) return {};
  domain.cmdline = bootargs.text();
  if (bootargs.bytes != domain.cmdline.size() + 1 || domain.cmdline.size() > kMaxCommandLine) {
    return refuse(Code::kOutOfRange, "a command line may have up to 1024 characters",
                  bootargs.bytes);
  }
  for (std::size_t i = 0; i < domain.cmdline.size(); ++i) {
    if (domain.cmdline[i] < ' ' || domain.cmdline[i] > '~') {
      return refuse(Code::kBadManifest, "a command line must be printable ASCII", i);
    }
  }
  return {};
}

Status Reader::read_after(int node, const char* name, AfterStop& out) {
  const Property p = property(node, name);
  if (!p.present()) return {};
  if (p.text() == tree::kRestart) {
    out = AfterStop::kRestart;
  } else if (p.text() == tree::kStop) {
    out = AfterStop::kStop;
  } else {
    return refuse(Code::kBadManifest, "on-reboot and on-crash must be restart or stop");
  }
  return {};
}

Status Reader::read_iommu(int node, DomainConfig& domain) {
  const Property p = property(node, tree::kIommu);
  if (!p.present() || p.text() == tree::kIommuNone) return {};
  if (p.text() != tree::kIommuSmmuv3) {
    return refuse(Code::kBadManifest, "iommu must be none or smmuv3");
  }
  domain.iommu = IommuKind::kSmmuv3;
  return {};
}

Status Reader::read_roles(int node, DomainConfig& domain) {
  domain.control = property(node, tree::kControl).present();
  domain.hardware = property(node, tree::kHardware).present();
  for (const DomainConfig& other : manifest_.domains) {
    if (&other == &domain) continue;
    if (domain.control && other.control) {
      return refuse(Code::kAlreadyExists, "two domains are to be the control domain");
    }
    if (domain.hardware && other.hardware) {
      return refuse(Code::kAlreadyExists, "two domains are to be the hardware domain");
    }
  }
  TRY(read_interrupts(node, domain));
  const Property slots = property(node, tree::kSlots);
  if (!slots.present()) return {};
  if (slots.bytes != 4 || slots.cell(0) > kMaxSlots) {
    return refuse(Code::kOutOfRange, "a domain may have 0 to 15 slots",
                  slots.bytes == 4 ? slots.cell(0) : slots.bytes);
  }
  domain.slots = static_cast<std::uint8_t>(slots.cell(0));
  return {};
}

Status Reader::read_interrupts(int node, DomainConfig& domain) {
  const Property p = property(node, tree::kInterrupts);
  if (!p.present()) return {};
  if (p.bytes != 4 || p.cell(0) == 0 || p.cell(0) > kMaxInterrupts) {
    return refuse(Code::kOutOfRange, "a domain may have 1 to 8192 interrupts",
                  p.bytes == 4 ? p.cell(0) : p.bytes);
  }
  domain.interrupts = static_cast<std::uint16_t>(p.cell(0));
  return {};
}

Status Reader::read_hidden(int node) {
  const Property hidden = property(node, tree::kHidden);
  if (hidden.bytes % 4 != 0 || hidden.cells() > kMaxHidden) {
    return refuse(Code::kTableFull, "too many devices are hidden", hidden.cells());
  }
  for (unsigned i = 0; i < hidden.cells(); ++i) {
    if (hidden.cell(i) > 0xffff) {
      return refuse(Code::kOutOfRange, "a hidden device's address is wrong", hidden.cell(i));
    }
    // Not full: counted above.
    (void)manifest_.hidden.push_back(HostBdf(static_cast<std::uint16_t>(hidden.cell(i))));
  }
  return {};
}

Status Reader::read_policy(int node, DomainConfig& domain) {
  const Property autostart = property(node, tree::kAutostart);
  if (autostart.present()) {
    if (autostart.bytes != 4 || autostart.cell(0) > 1) {
      return refuse(Code::kBadManifest, "autostart must be 0 or 1");
    }
    domain.autostart = autostart.cell(0) == 1;
  }
  TRY(read_iommu(node, domain));
  TRY(read_roles(node, domain));
  TRY(read_after(node, tree::kOnReboot, domain.on_reboot));
  return read_after(node, tree::kOnCrash, domain.on_crash);
}

Status parse(std::span<const std::uint8_t> bundle, Manifest& manifest, Problem& problem) {
  manifest.domains.clear();
  manifest.capabilities.clear();
  manifest.denied.clear();
  manifest.hidden.clear();
  manifest.board = {};
  problem = {};
  return Reader(bundle, manifest, problem).read();
}

void describe(const Problem& problem, const Manifest& manifest, TextWriter& out) {
  if (problem.domain) {
    out.text("domain ");
    const std::size_t index = problem.domain->value();
    if (index < manifest.domains.size() && !manifest.domains[index].name_view().empty()) {
      out.text(manifest.domains[index].name_view());
    } else {
      out.dec(index);
    }
    out.text(": ");
  }
  out.text(problem.text).text(" (").hex(problem.value).text(")");
}

}  // namespace penstock::manifest
