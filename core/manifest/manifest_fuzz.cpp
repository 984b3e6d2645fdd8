// Any bytes as a bundle, and any bytes as the tree of a bundle whose checksums are right. What
// parse() accepts must hold everything that the hypervisor relies on.
#include <cstdlib>
#include <span>

#include "core/manifest/boot_options.hpp"
#include "core/manifest/manifest.hpp"
#include "core/manifest/test_bundle.hpp"

namespace penstock::manifest {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_device(const Manifest& m, const DomainConfig& domain, const DeviceConfig& device) {
  const bool on_bus0 = device.guest.bus() == 0 && device.guest.device() != 0 &&
                       (domain.slots == 0 || device.guest.device() < 0x10) &&
                       (!domain.control || device.guest.device() != 0x1f);
  const bool in_slot = device.guest.bus() != 0 && device.guest.bus() <= domain.slots &&
                       (device.guest.value() & 0xff) == 0;
  require(on_bus0 || in_slot);
  for (const HostBdf hidden : m.hidden) require(hidden != device.host);
  require(device.first_denied + device.denied_count <= m.denied.size());
  require(device.denied_count <= kMaxDenied);
  for (const DeniedCapability& c : m.denied_of(device)) {
    require(c.id != 0 && (c.extended || c.id <= 0xff));
  }
  unsigned same_host = 0;
  for (const DomainConfig& other : m.domains) {
    for (const DeviceConfig& d : other.devices) same_host += d.host == device.host ? 1 : 0;
  }
  unsigned same_guest = 0;
  for (const DeviceConfig& d : domain.devices) same_guest += d.guest == device.guest ? 1 : 0;
  require(same_host == 1 && same_guest == 1);
  require(device.first_capability + device.capability_count <= m.capabilities.size());
  for (const ExtraCapability& c : m.capabilities_of(device)) {
    require(c.length >= 4 && c.length % 4 == 0 && c.length <= (c.extended ? 3840 : 192));
    for (const CapabilityRegister& r : c.registers) {
      require(r.offset != 0 && r.offset % 4 == 0 && r.offset + 4 <= c.length &&
              (r.w1c & ~r.write) == 0);
    }
  }
}

void check_domain(const Manifest& m, const DomainConfig& domain, std::uint64_t bundle_bytes) {
  require(!domain.name_view().empty() && domain.name_view().size() <= kMaxName);
  require(!domain.cpus.empty() && domain.cmdline.size() <= kMaxCommandLine);
  require(domain.memory_bytes % kMemoryGranule == 0 && domain.memory_bytes <= kMaxMemory);
  for (const Blob& blob : {domain.kernel, domain.initrd}) {
    require(fits(blob.offset, blob.size, bundle_bytes) && blob.offset % kPayloadAlign == 0);
  }
  require(domain.kernel.size + domain.initrd.size < domain.memory_bytes);
  unsigned same_name = 0;
  for (const DomainConfig& other : m.domains) {
    same_name += other.name_view() == domain.name_view() ? 1 : 0;
    if (&other == &domain) continue;
    for (const CpuIndex cpu : other.cpus) {
      for (const CpuIndex own : domain.cpus) require(cpu != own);
    }
    require(!other.memory_base || !domain.memory_base ||
            !overlaps(other.memory_base->value(), other.memory_bytes, domain.memory_base->value(),
                      domain.memory_bytes));
  }
  require(same_name == 1);
  require(domain.slots <= kMaxSlots);
  require(domain.iommu == IommuKind::kNone || !domain.devices.empty() || domain.slots != 0 ||
          domain.hardware);
  for (const DeviceConfig& device : domain.devices) check_device(m, domain, device);
}

/// What is complained about is one whole word of the text, and the first such one.
void read_options(std::string_view text) {
  const BootOptions options = boot_options(text);
  if (options.unknown.empty()) return;
  require(options.unknown.data() >= text.data() &&
          options.unknown.data() + options.unknown.size() <= text.data() + text.size());
  require(options.unknown.find(' ') == std::string_view::npos);
  const auto before = static_cast<std::size_t>(options.unknown.data() - text.data());
  require(boot_options(text.substr(0, before)).unknown.empty());
}

void parse_and_check(std::span<const std::uint8_t> bundle) {
  Manifest manifest;
  Problem problem;
  const Status status = parse(bundle, manifest, problem);
  Text<300> text;
  describe(problem, manifest, text);
  if (!status) {
    require(problem.code == status.error().code && !problem.text.empty());
    return;
  }
  require(!manifest.domains.empty());
  unsigned control = 0;
  unsigned hardware = 0;
  for (const DomainConfig& domain : manifest.domains) {
    control += domain.control ? 1 : 0;
    hardware += domain.hardware ? 1 : 0;
  }
  require(control <= 1 && hardware <= 1);
  const bool created = judge_created(manifest, problem).has_value();
  require(created == (control == 0 && hardware == 0 && manifest.hidden.empty()));
  for (const DomainConfig& domain : manifest.domains) {
    check_domain(manifest, domain, bundle.size());
  }
}

}  // namespace
}  // namespace penstock::manifest

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  using namespace penstock::manifest;
  const test::Bytes raw(data, data + size);
  parse_and_check(raw);
  read_options({reinterpret_cast<const char*>(data), size});
  if (size > 4096 || size < 40) return 0;
  test::Bytes bundle = test::wrap(raw, 12288);
  const test::Bytes kernel = test::kernel_page();
  std::copy(kernel.begin(), kernel.end(), bundle.begin() + 8192);
  parse_and_check(bundle);
  return 0;
}
