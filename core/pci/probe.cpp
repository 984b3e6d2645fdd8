#include "core/pci/probe.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;

constexpr std::uint32_t kBarIo = 1;
constexpr std::uint32_t kBarTypeMask = 6;
constexpr std::uint32_t kBarType64 = 4;
constexpr std::uint32_t kBarPrefetchable = 8;
constexpr std::uint64_t kMemoryFlags = 0xf;
constexpr std::uint32_t kCxlVendor = 0x1e98;  // Compute Express Link 8.1.1

std::uint32_t sized(port::ConfigSpace& config, unsigned at) {
  const std::uint32_t before = config.read(at, 4);
  config.write(at, 4, ~0U);
  const std::uint32_t mask = config.read(at, 4);
  config.write(at, 4, before);
  return mask;
}

/// Only layouts 0 and 1 are known; what other headers have in these places is not for sizing.
unsigned bar_count(port::ConfigSpace& config) {
  const auto layout = get<hp::header_type::Layout>(config.read(hp::kHeaderType, 1));
  if (layout == hp::header_type::kEndpoint) return hp::kBarCount;
  return layout == hp::header_type::kBridge ? 2 : 0;
}

/// The expansion ROM's window is measured and stays closed: nobody runs what is in it.
void probe_rom(port::ConfigSpace& config, FunctionInfo& info) {
  if (bar_count(config) == 0) return;
  const unsigned at = info.bridge ? hp::kBridgeRomBar : hp::kRomBar;
  config.write(at, 4, static_cast<std::uint32_t>(hp::rom_bar::Address::kMask));
  const std::uint32_t mask =
      config.read(at, 4) & static_cast<std::uint32_t>(hp::rom_bar::Address::kMask);
  config.write(at, 4, 0);
  const std::uint32_t size = ~mask + 1;
  if (mask != 0 && is_power_of_two(size)) info.rom_bytes = size;
}

void note_express(port::ConfigSpace& config, unsigned at, FunctionInfo& info) {
  info.express = true;
  info.express_at = static_cast<std::uint8_t>(at);
  const std::uint32_t caps = config.read(at + hp::express::kCapabilities, 2);
  info.port_type = static_cast<std::uint8_t>(get<hp::express::capabilities::Type>(caps));
  const std::uint32_t device = config.read(at + hp::express::kDeviceCapabilities, 4);
  info.flr_express = get<hp::express::device_capabilities::FunctionLevelReset>(device) != 0;
  info.flr |= info.flr_express;
  info.phantom =
      static_cast<std::uint8_t>(get<hp::express::device_capabilities::PhantomFunctions>(device));
}

void note_vectors(port::ConfigSpace& config, unsigned at, hp::CapabilityId id, FunctionInfo& info) {
  unsigned vectors = 0;
  if (id == hp::CapabilityId::kMsix) {
    const std::uint32_t control = config.read(at + hp::msix::kControl, 2);
    vectors = static_cast<unsigned>(get<hp::msix::control::TableSize>(control)) + 1;
  }
  if (id == hp::CapabilityId::kMsi) {
    const std::uint32_t control = config.read(at + hp::msi::kControl, 2);
    const auto log2 = static_cast<unsigned>(get<hp::msi::control::MultipleCapable>(control));
    vectors = 1U << (log2 < 5 ? log2 : 5);  // 32 at most (PCIe 7.7.1.2)
  }
  if (vectors > info.vectors) info.vectors = static_cast<std::uint16_t>(vectors);
}

void probe_capabilities(port::ConfigSpace& config, FunctionInfo& info) {
  const std::uint32_t status = config.read(hp::kStatus, 2);
  if (get<hp::status::CapabilityList>(status) == 0) return;
  unsigned at = config.read(hp::kCapabilities, 1) & hp::kCapabilityNextMask;
  for (unsigned n = 0; at >= 0x40 && n < hp::kMaxCapabilities; ++n) {
    const auto id = static_cast<hp::CapabilityId>(config.read(at, 1));
    const auto here = static_cast<std::uint8_t>(at);
    if (id == hp::CapabilityId::kPowerManagement) info.power = here;
    if (id == hp::CapabilityId::kMsi) info.msi = here;
    if (id == hp::CapabilityId::kMsix) info.msix = here;
    note_vectors(config, at, id, info);
    if (id == hp::CapabilityId::kExpress) note_express(config, at, info);
    if (id == hp::CapabilityId::kEnhancedAllocation) info.fixed_bars = true;
    if (id == hp::CapabilityId::kAdvancedFeatures) {
      info.advanced_features = here;
      const std::uint32_t caps = config.read(at + hp::advanced_features::kCaps, 1);
      info.flr |= get<hp::advanced_features::FlrCapable>(caps) != 0;
    }
    at = config.read(at + hp::kCapabilityNext, 1) & hp::kCapabilityNextMask;
  }
}

/// Whether these access control services send every request up to the IOMMU (PCIe 7.7.11.2). Only
/// ports with a link below them can check source IDs and forward upstream; functions of one device
/// need the redirections alone (PCIe 6.12.1).
bool keeps_apart(std::uint32_t services, const FunctionInfo& info) {
  constexpr std::uint64_t kRedirect =
      hp::acs::RequestRedirect::kMask | hp::acs::CompletionRedirect::kMask;
  constexpr std::uint64_t kPort =
      kRedirect | hp::acs::SourceValidation::kMask | hp::acs::UpstreamForwarding::kMask;
  const auto type = static_cast<hp::express::PortType>(info.port_type);
  const bool link_below =
      type == hp::express::PortType::kRootPort || type == hp::express::PortType::kDownstreamPort;
  const std::uint64_t needed = link_below ? kPort : kRedirect;
  return (services & needed) == needed;
}

void probe_extended(port::ConfigSpace& config, FunctionInfo& info) {
  if (!info.express) return;
  unsigned at = hp::kFirstExtendedCapability;
  for (unsigned n = 0; at >= hp::kFirstExtendedCapability && n < hp::kMaxExtendedCapabilities;
       ++n) {
    const std::uint32_t header = config.read(at, 4);
    if (header == 0 || header == ~0U) return;
    const auto id = static_cast<hp::ExtendedId>(get<hp::extended_header::Id>(header));
    if (id == hp::ExtendedId::kAccessControlServices) {
      info.acs_at = static_cast<std::uint16_t>(at);
      info.acs = keeps_apart(config.read(at + hp::acs::kCapability, 2), info);
    }
    info.ats |= id == hp::ExtendedId::kAddressTranslationServices;
    if (id == hp::ExtendedId::kAlternativeRoutingId) info.ari_at = static_cast<std::uint16_t>(at);
    // Designated Vendor-Specific, with the vendor in the next word (PCIe 7.9.6).
    if (id == hp::ExtendedId::kDesignatedVendorSpecific) {
      info.cxl |= config.read(at + 4, 2) == kCxlVendor;
    }
    if (id == hp::ExtendedId::kSingleRootIov) {
      info.sriov = true;
      info.sriov_at = static_cast<std::uint16_t>(at);
    }
    at = static_cast<unsigned>(get<hp::extended_header::Next>(header)) & ~3U;
  }
}

}  // namespace

void size_bars(port::ConfigSpace& config, unsigned first, std::span<Bar> bars) {
  for (unsigned i = 0; i < bars.size(); ++i) {
    const unsigned at = first + 4 * i;
    const std::uint32_t low = config.read(at, 4);
    const std::uint32_t mask = sized(config, at);
    Bar& bar = bars[i];
    if (mask == 0 || mask == ~0U) continue;
    if ((low & kBarIo) != 0) {
      bar.io = true;
      bar.size = (~(mask & ~3U) + 1) & 0xffff;
      continue;
    }
    bar.prefetchable = (low & kBarPrefetchable) != 0;
    bar.is64 = (low & kBarTypeMask) == kBarType64 && i + 1 < bars.size();
    std::uint64_t wide_mask = mask | ~std::uint64_t{0xffff'ffff};
    bar.bus = low & ~kMemoryFlags;
    if (bar.is64) {
      wide_mask = mask | std::uint64_t{sized(config, at + 4)} << 32;
      bar.bus |= std::uint64_t{config.read(at + 4, 4)} << 32;
      ++i;
    }
    const std::uint64_t size = ~(wide_mask & ~kMemoryFlags) + 1;
    bar.size = is_power_of_two(size) ? size : 0;
  }
}

FunctionInfo probe_vf(HostBdf bdf, port::ConfigSpace& config, const FunctionInfo& pf,
                      const SriovInfo& sriov) {
  FunctionInfo info;
  info.bdf = bdf;
  info.is_vf = true;
  info.pf = pf.bdf;
  info.vendor = pf.vendor;
  info.device = sriov.device;
  info.revision = static_cast<std::uint8_t>(config.read(hp::kRevisionId, 1));
  info.class_code = config.read(hp::kRevisionId, 4) >> 8;
  info.subsystem_vendor = static_cast<std::uint16_t>(config.read(hp::kSubsystemVendor, 2));
  info.subsystem = static_cast<std::uint16_t>(config.read(hp::kSubsystemId, 2));
  config.write(hp::kCommand, 2, 0);
  probe_capabilities(config, info);
  probe_extended(config, info);
  return info;
}

std::optional<FunctionInfo> probe(HostBdf bdf, port::ConfigSpace& config) {
  FunctionInfo info;
  info.bdf = bdf;
  info.group = bdf.value();
  info.vendor = static_cast<std::uint16_t>(config.read(hp::kVendorId, 2));
  if (info.vendor == hp::kNoVendor || info.vendor == 0) return std::nullopt;
  info.device = static_cast<std::uint16_t>(config.read(hp::kDeviceId, 2));
  info.revision = static_cast<std::uint8_t>(config.read(hp::kRevisionId, 1));
  info.class_code = config.read(hp::kRevisionId, 4) >> 8;
  const std::uint32_t type = config.read(hp::kHeaderType, 1);
  info.multi_function = get<hp::header_type::MultiFunction>(type) != 0;
  info.bridge = get<hp::header_type::Layout>(type) == hp::header_type::kBridge;
  config.write(hp::kCommand, 2, 0);  // no decoding while BARs are sized; DMA off
  size_bars(config, hp::kBar0, std::span(info.bars).first(bar_count(config)));
  probe_rom(config, info);
  probe_capabilities(config, info);
  probe_extended(config, info);
  if (info.bridge) {
    info.secondary = static_cast<std::uint8_t>(config.read(hp::kSecondaryBus, 1));
    info.subordinate = static_cast<std::uint8_t>(config.read(hp::kSubordinateBus, 1));
    // Bits 3:0 of the window's registers: 1, 64 bits (PCIe 7.5.1.3.9).
    info.prefetch64 = (config.read(hp::kPrefetchBase, 2) & 0xf) == 1;
  } else if (bar_count(config) != 0) {
    info.subsystem_vendor = static_cast<std::uint16_t>(config.read(hp::kSubsystemVendor, 2));
    info.subsystem = static_cast<std::uint16_t>(config.read(hp::kSubsystemId, 2));
  }
  return info;
}

}  // namespace penstock::pci
