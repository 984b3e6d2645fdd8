#include "core/manifest/manifest.hpp"

#include <libfdt.h>

#include "core/base/bytes.hpp"
#include "core/manifest/bundle.hpp"
#include "core/manifest/tree.hpp"

namespace penstock::manifest {
namespace {

constexpr std::uint64_t kTreeAlign = 8;  // libfdt reads the tree's words in place
constexpr unsigned kConfigSpaceBytes = 256;
constexpr unsigned kExtendedSpaceBytes = 4096;

/// A property as big-endian cells or as text. Absent: data == nullptr.
struct Property {
  const std::uint8_t* data = nullptr;
  unsigned bytes = 0;

  [[nodiscard]] bool present() const { return data != nullptr; }
  [[nodiscard]] unsigned cells() const { return bytes / 4; }
  [[nodiscard]] std::uint32_t cell(unsigned i) const {
    const std::uint8_t* b = data + std::size_t{4} * i;
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  }
  [[nodiscard]] std::uint64_t pair(unsigned i) const {
    return std::uint64_t{cell(i)} << 32 | cell(i + 1);
  }
  /// The text without its terminating zero; empty when it has none or holds another zero before the
  /// end.
  [[nodiscard]] std::string_view text() const {
    if (bytes == 0 || data[bytes - 1] != 0) return {};
    const std::string_view all(reinterpret_cast<const char*>(data), bytes - 1);
    return all.find('\0') == std::string_view::npos ? all : std::string_view{};
  }
};

class Reader {
 public:
  Reader(std::span<const std::uint8_t> bundle, Manifest& manifest, Problem& problem)
      : bundle_(bundle), manifest_(manifest), problem_(problem) {}

  Status read();

 private:
  Error refuse(Code code, std::string_view text, std::uint64_t value = 0) {
    problem_.code = code;
    problem_.text = text;
    problem_.value = value;
    return fail(code, value);
  }
  [[nodiscard]] Property property(int node, const char* name) const {
    int length = 0;
    const void* data = fdt_getprop(tree_, node, name, &length);
    if (data == nullptr || length < 0) return {};
    return {static_cast<const std::uint8_t*>(data), static_cast<unsigned>(length)};
  }
  [[nodiscard]] bool is_named(int node, std::string_view prefix) const {
    int length = 0;
    const char* name = fdt_get_name(tree_, node, &length);
    if (name == nullptr || length < 0 || static_cast<std::size_t>(length) < prefix.size())
      return false;
    return std::string_view(name, prefix.size()) == prefix;
  }
  Status one_cell(int node, const char* name, std::uint32_t& out, std::string_view text) {
    const Property p = property(node, name);
    if (!p.present() || p.bytes != 4) return refuse(Code::kBadManifest, text);
    out = p.cell(0);
    return {};
  }

  Status read_header();
  Status read_root();
  Status read_domain(int node, DomainConfig& domain);
  Status read_name(int node, DomainConfig& domain);
  Status read_cpus(int node, DomainConfig& domain);
  Status read_memory(int node, DomainConfig& domain);
  Status read_payloads(int node, DomainConfig& domain);
  Status read_blob(int node, const char* name, Blob& blob);
  Status read_policy(int node, DomainConfig& domain);
  Status read_iommu(int node, DomainConfig& domain);
  Status read_after(int node, const char* name, AfterStop& out);
  Status read_devices(int node, DomainConfig& domain);
  Status read_device(int node, const DomainConfig& domain, DeviceConfig& device);
  Status read_capability(int node, ExtraCapability& capability);
  [[nodiscard]] bool cpu_taken(CpuIndex cpu) const;
  [[nodiscard]] bool device_taken(HostBdf host) const;

  std::span<const std::uint8_t> bundle_;  // cut to total_bytes by read_header()
  Manifest& manifest_;
  Problem& problem_;
  const void* tree_ = nullptr;
  std::uint64_t payloads_ = 0;  // offset behind the manifest
};

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
  const int check = fdt_check_full(tree.data(), tree.size());
  if (check != 0) {
    return refuse(Code::kBadManifest, "the manifest is no valid device tree",
                  static_cast<std::uint64_t>(-check));
  }
  tree_ = tree.data();
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
  return {};
}

Status Reader::read_domain(int node, DomainConfig& domain) {
  TRY(read_name(node, domain));
  TRY(read_cpus(node, domain));
  TRY(read_memory(node, domain));
  TRY(read_payloads(node, domain));
  TRY(read_policy(node, domain));
  TRY(read_devices(node, domain));
  if (domain.iommu != IommuKind::kNone && domain.devices.empty()) {
    return refuse(Code::kBadManifest, "a domain has an iommu but no device behind it");
  }
  return {};
}

bool name_character(char c, bool first) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '_'));
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

Status Reader::read_payloads(int node, DomainConfig& domain) {
  TRY(read_blob(node, tree::kKernel, domain.kernel));
  TRY(read_blob(node, tree::kInitrd, domain.initrd));
  if (domain.kernel.size == 0) return refuse(Code::kBadManifest, "a domain needs a kernel");
  if (!is_arm64_image(bundle_.subspan(domain.kernel.offset, domain.kernel.size))) {
    return refuse(Code::kBadManifest, "a domain's kernel is no arm64 Image");
  }
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

Status Reader::read_policy(int node, DomainConfig& domain) {
  const Property autostart = property(node, tree::kAutostart);
  if (autostart.present()) {
    if (autostart.bytes != 4 || autostart.cell(0) > 1) {
      return refuse(Code::kBadManifest, "autostart must be 0 or 1");
    }
    domain.autostart = autostart.cell(0) == 1;
  }
  TRY(read_iommu(node, domain));
  TRY(read_after(node, tree::kOnReboot, domain.on_reboot));
  return read_after(node, tree::kOnCrash, domain.on_crash);
}

Status Reader::read_devices(int node, DomainConfig& domain) {
  for (int sub = fdt_first_subnode(tree_, node); sub >= 0; sub = fdt_next_subnode(tree_, sub)) {
    if (!is_named(sub, tree::kDevice)) {
      return refuse(Code::kBadManifest, "a domain has a node that is no device",
                    static_cast<std::uint64_t>(sub));
    }
    if (domain.devices.full()) {
      return refuse(Code::kTableFull, "a domain has more devices than it can",
                    kMaxDevicesPerDomain);
    }
    DeviceConfig device;
    TRY(read_device(sub, domain, device));
    (void)domain.devices.push_back(device);
  }
  return {};
}

bool Reader::device_taken(HostBdf host) const {
  for (const DomainConfig& domain : manifest_.domains) {
    for (const DeviceConfig& device : domain.devices) {
      if (device.host == host) return true;
    }
  }
  return false;
}

Status Reader::read_device(int node, const DomainConfig& domain, DeviceConfig& device) {
  std::uint32_t host = 0;
  std::uint32_t guest = 0;
  TRY(one_cell(node, tree::kHost, host, "a device has no host address"));
  TRY(one_cell(node, tree::kGuest, guest, "a device has no guest address"));
  if (host > 0xffff) return refuse(Code::kOutOfRange, "a device's host address is wrong", host);
  device.host = HostBdf(static_cast<std::uint16_t>(host));
  if (device_taken(device.host)) {
    return refuse(Code::kAlreadyExists, "a device is given twice (routing ID)", host);
  }
  if (guest > 0xff || guest < 8) {  // bus 0; device 0 is the virtual host bridge
    return refuse(Code::kOutOfRange, "a device's guest address must be 00:01.0 to 00:1f.7", guest);
  }
  device.guest = GuestBdf(static_cast<std::uint16_t>(guest));
  for (const DeviceConfig& other : domain.devices) {
    if (other.guest == device.guest) {
      return refuse(Code::kAlreadyExists, "two devices have the same guest address", guest);
    }
  }
  device.accept_no_reset = property(node, tree::kAcceptNoReset).present();
  device.accept_insecure = property(node, tree::kAcceptNoIsolation).present();
  device.first_capability = static_cast<std::uint8_t>(manifest_.capabilities.size());
  for (int sub = fdt_first_subnode(tree_, node); sub >= 0; sub = fdt_next_subnode(tree_, sub)) {
    if (!is_named(sub, tree::kCapability)) {
      return refuse(Code::kBadManifest, "a device has a node that is no capability",
                    static_cast<std::uint64_t>(sub));
    }
    if (manifest_.capabilities.full()) {
      return refuse(Code::kTableFull, "there are too many extra capabilities",
                    kMaxExtraCapabilities);
    }
    ExtraCapability capability;
    TRY(read_capability(sub, capability));
    (void)manifest_.capabilities.push_back(capability);
    ++device.capability_count;
  }
  return {};
}

Status Reader::read_capability(int node, ExtraCapability& capability) {
  std::uint32_t id = 0;
  std::uint32_t length = 0;
  TRY(one_cell(node, tree::kId, id, "an extra capability has no id"));
  TRY(one_cell(node, tree::kLength, length, "an extra capability has no length"));
  capability.extended = property(node, tree::kExtended).present();
  if (id == 0 || id > (capability.extended ? 0xffffU : 0xffU)) {
    return refuse(Code::kOutOfRange, "an extra capability's id is wrong", id);
  }
  const unsigned space =
      capability.extended ? kExtendedSpaceBytes - kConfigSpaceBytes : kConfigSpaceBytes - 0x40;
  if (length < 4 || length % 4 != 0 || length > space) {
    return refuse(Code::kOutOfRange,
                  "an extra capability's length must be a multiple of 4 that fits", length);
  }
  capability.id = static_cast<std::uint16_t>(id);
  capability.length = static_cast<std::uint16_t>(length);
  const Property registers = property(node, tree::kRegisters);
  if (!registers.present()) return {};
  if (registers.bytes % (4 * tree::kRegisterCells) != 0) {
    return refuse(Code::kBadManifest,
                  "an extra capability's registers are described in a wrong way");
  }
  for (unsigned i = 0; i < registers.cells(); i += tree::kRegisterCells) {
    const std::uint32_t offset = registers.cell(i);
    const std::uint32_t write = registers.cell(i + 2);
    const std::uint32_t w1c = registers.cell(i + 3);
    if (offset % 4 != 0 || offset + 4 > length || offset >= length) {
      return refuse(Code::kOutOfRange, "a capability's register lies outside of it", offset);
    }
    // The header (ID and next pointer) is the virtual list's and never the device's.
    const std::uint32_t header = capability.extended ? 0xffff'ffffU : 0xffffU;
    if ((w1c & ~write) != 0 || (offset == 0 && (write & header) != 0)) {
      return refuse(Code::kOutOfRange, "a capability's register has impossible masks", offset);
    }
    if (capability.registers.full()) {
      return refuse(Code::kTableFull, "an extra capability has too many registers",
                    kMaxCapabilityRegisters);
    }
    (void)capability.registers.push_back(
        {static_cast<std::uint16_t>(offset), registers.cell(i + 1) != 0, write, w1c});
  }
  return {};
}

}  // namespace

Status parse(std::span<const std::uint8_t> bundle, Manifest& manifest, Problem& problem) {
  manifest.domains.clear();
  manifest.capabilities.clear();
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
