// What is below a domain in the manifest's tree: devices and their capabilities.
#include "core/manifest/reader.hpp"

namespace penstock::manifest {
namespace {

constexpr unsigned kConfigSpaceBytes = 256;
constexpr unsigned kExtendedSpaceBytes = 4096;

}  // namespace

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

Status Reader::read_place(int node, const DomainConfig& domain, DeviceConfig& device) {
  std::uint32_t guest = 0;
  TRY(one_cell(node, tree::kGuest, guest, "a device has no guest address"));
  // On bus 0 device 0 is the virtual host bridge, 0x1f the control interface, and root ports begin
  // at 0x10; slot n is bus n + 1 with one function.
  constexpr std::uint32_t kFirstPort = 0x10 << 3;
  const std::uint32_t end_of_bus0 = domain.slots != 0 ? kFirstPort : domain.control ? 0xf8 : 0x100;
  const bool on_bus0 = guest >= 8 && guest < end_of_bus0;
  const bool in_slot = guest >> 8 != 0 && guest >> 8 <= domain.slots && (guest & 0xff) == 0;
  if (!on_bus0 && !in_slot) {
    return refuse(Code::kOutOfRange,
                  "a device's guest address is neither free on bus 0 nor one of the domain's slots",
                  guest);
  }
  device.guest = GuestBdf(static_cast<std::uint16_t>(guest));
  for (const DeviceConfig& other : domain.devices) {
    if (other.guest == device.guest) {
      return refuse(Code::kAlreadyExists, "two devices have the same guest address", guest);
    }
  }
  return {};
}

Status Reader::read_denied(int node, DeviceConfig& device) {
  const Property deny = property(node, tree::kDeny);
  const unsigned count = deny.cells() / tree::kDenyCells;
  if (deny.bytes % (4 * tree::kDenyCells) != 0 || count > kMaxDenied) {
    return refuse(Code::kTableFull, "a device may deny up to 8 capabilities", count);
  }
  device.first_denied = static_cast<std::uint8_t>(manifest_.denied.size());
  device.denied_count = static_cast<std::uint8_t>(count);
  for (unsigned i = 0; i < deny.cells(); i += tree::kDenyCells) {
    const std::uint32_t id = deny.cell(i);
    const bool extended = deny.cell(i + 1) == 1;
    if (id == 0 || id > (extended ? 0xffffU : 0xffU) || deny.cell(i + 1) > 1) {
      return refuse(Code::kOutOfRange, "a denied capability's ID is wrong", id);
    }
    if (!manifest_.denied.push_back({static_cast<std::uint16_t>(id), extended})) {
      return refuse(Code::kTableFull, "there are too many denied capabilities",
                    kMaxDeniedAltogether);
    }
  }
  return {};
}

Status Reader::read_device(int node, const DomainConfig& domain, DeviceConfig& device) {
  std::uint32_t host = 0;
  TRY(one_cell(node, tree::kHost, host, "a device has no host address"));
  if (host > 0xffff) return refuse(Code::kOutOfRange, "a device's host address is wrong", host);
  device.host = HostBdf(static_cast<std::uint16_t>(host));
  if (device_taken(device.host)) {
    return refuse(Code::kAlreadyExists, "a device is given twice (routing ID)", host);
  }
  for (const HostBdf hidden : manifest_.hidden) {
    if (hidden == device.host) {
      return refuse(Code::kAlreadyExists, "a device is given and hidden (routing ID)", host);
    }
  }
  TRY(read_place(node, domain, device));
  device.scratch = property(node, tree::kScratch).present();
  TRY(read_denied(node, device));
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
    // The first 4 bytes have the header (ID and next pointer), which is the virtual list's.
    if (offset == 0 || offset % 4 != 0 || offset + 4 > length || offset >= length) {
      return refuse(Code::kOutOfRange, "a capability's register lies outside of it", offset);
    }
    for (const CapabilityRegister& other : capability.registers) {
      if (other.offset == offset) {
        return refuse(Code::kAlreadyExists, "a capability's register has two rules", offset);
      }
    }
    if ((w1c & ~write) != 0) {
      return refuse(Code::kOutOfRange, "a capability's register has impossible masks", offset);
    }
    if (capability.registers.full()) {
      return refuse(Code::kTableFull, "an extra capability has too many registers",
                    kMaxCapabilityRegisters);
    }
    (void)capability.registers.push_back(
        {static_cast<std::uint16_t>(offset), registers.cell(i + 1), write, w1c});
  }
  return {};
}

}  // namespace penstock::manifest
