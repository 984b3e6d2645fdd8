// What a domain's devices may be, where they are, and what they show.
#include <algorithm>
#include <array>

#include "core/manifest/manifest.hpp"
#include "core/pci/risk.hpp"
#include "core/vpci/facts.hpp"
#include "tools/penstock/capability_names.hpp"
#include "tools/penstock/checker.hpp"
#include "tools/penstock/values.hpp"

namespace penstock::tool {
namespace {

constexpr unsigned kFirstPort = 0x10;      // device number of slot 1's root port
constexpr unsigned kControlDevice = 0x1f;  // of the control interface

bool has_risk(const BoardDevice& device, pci::Risk risk) {
  const auto& named = device.risks;
  return std::find(named.begin(), named.end(), pci::name_of(risk)) != named.end();
}

}  // namespace

void Checker::check_capabilities(const DeviceSpec& device) {
  for (const CapabilitySpec& capability : device.capabilities) {
    if (++capabilities_ == manifest::kMaxExtraCapabilities + 1) {
      out_.error(capability.at, fmt::format("there are more than {} extra capabilities",
                                            manifest::kMaxExtraCapabilities));
    }
    check_capability(capability);
    check_registers(capability);
  }
  check_denied(device);
}

void Checker::check_capability(const CapabilitySpec& capability) {
  const std::uint64_t limit = capability.extended ? 0xffff : 0xff;
  if (capability.id == 0 || capability.id > limit) {
    out_.error(capability.at, fmt::format("{:#x} is no capability ID", capability.id),
               fmt::format("write 1 to {:#x}", limit));
  } else if (const auto* known =
                 find_capability(static_cast<std::uint16_t>(capability.id), capability.extended);
             known != nullptr && known->built_in) {
    out_.error(capability.at,
               fmt::format("\"{}\" is on the built-in list, with masks of its own", known->name),
               "take it out: it is shown already");
  }
  const std::uint64_t space = capability.extended ? 4096 - 256 : 256 - 64;
  if (capability.length < 4 || capability.length % 4 != 0 || capability.length > space) {
    out_.error(capability.at, fmt::format("a capability cannot have {} bytes", capability.length),
               fmt::format("write a multiple of 4 from 4 to {}", space));
  }
}

void Checker::check_registers(const CapabilitySpec& capability) {
  if (capability.registers.size() > manifest::kMaxCapabilityRegisters) {
    out_.error(capability.at, fmt::format("a capability has more than {} registers of its own",
                                          manifest::kMaxCapabilityRegisters));
  }
  std::map<std::uint64_t, Position> known;
  for (const RegisterSpec& r : capability.registers) {
    if (r.offset == 0 || r.offset % 4 != 0 || r.offset >= capability.length) {
      out_.error(r.at, fmt::format("there is no register at {}", r.offset),
                 "write a multiple of 4 from 4 on, below the capability's length; the first 4 "
                 "bytes hold its header");
    } else if (r.live > 0xffff'ffff || r.write > 0xffff'ffff || (r.w1c & ~r.write) != 0) {
      out_.error(r.at, "impossible masks",
                 "\"live\" and \"write\" have up to 32 bits, and \"w1c\" lies within \"write\"");
    } else if (const auto [other, is_new] = known.insert({r.offset, r.at}); !is_new) {
      out_.error(r.at, fmt::format("the register at {} has two rules", r.offset),
                 fmt::format("the other one is at {}", said_at(other->second)));
    }
  }
}

/// Deny wins over allow (S3.33): what is both is said, not refused.
void Checker::check_denied(const DeviceSpec& device) {
  if (device.denied.size() > manifest::kMaxDenied) {
    out_.error(
        device.denied[manifest::kMaxDenied].at,
        fmt::format("more than {} capabilities of one device are denied", manifest::kMaxDenied));
  }
  for (const auto& [denied, at] : device.denied) {
    if (++denied_ == manifest::kMaxDeniedAltogether + 1) {
      out_.error(at, fmt::format("there are more than {} denied capabilities",
                                 manifest::kMaxDeniedAltogether));
    }
    for (const CapabilitySpec& shown : device.capabilities) {
      if (shown.id != denied.id || shown.extended != denied.extended) continue;
      out_.warning(at,
                   fmt::format("\"{}\" is denied, so that it is not shown as `capabilities` asks",
                               format_capability(denied.id, denied.extended)),
                   fmt::format("that is at {}; take one of them out", said_at(shown.at)));
    }
  }
}

void Checker::check_on_board(const DeviceSpec& device, const BoardDevice& on_board) {
  const SecurityStatement security = state_security(plan_.board, on_board);
  const std::string who = format_bdf(*on_board.bdf);
  if (const std::string_view why = refused_anyway(plan_.board, on_board); !why.empty()) {
    out_.error(device.host->at, fmt::format("{} is given to nobody: {}", who, why),
               "take it out; there is no word that accepts this");
    return;
  }
  const bool is_told = !isolation_lacks(plan_.board).empty();  // of the whole domain
  if (!is_told && needs_no_isolation(plan_.board, on_board) && !device.accept_no_isolation) {
    std::string why;
    for (const std::string& e : security.exposed) {
      if (e.find("no reset") == std::string::npos) why += (why.empty() ? "" : "; ") + e;
    }
    out_.error(device.host->at, fmt::format("{} cannot be isolated: {}", who, why),
               "take it out, or write accept = [\"no-isolation\"] for it and live with that");
  }
  if (needs_no_reset(on_board) && !device.accept_no_reset) {
    out_.error(
        device.host->at,
        fmt::format("{} has no reset: its next owner would find it as the last one left it", who),
        "take it out, or write accept = [\"no-reset\"] for it and live with that");
  }
}

/// The boot leaves out a domain that is to have devices where nothing would bound them.
void Checker::check_isolation(const DomainSpec& domain) {
  const std::string_view lacks = isolation_lacks(plan_.board);
  const bool is_told = plan_.board.bridge == "none" ||
                       (domain.iommu.value != "none" && plan_.board.iommu != "smmuv3");
  if (lacks.empty() || is_told) return;
  const auto refuse = [&](const Position& at) {
    out_.error(
        at,
        fmt::format("{} would not run: its devices cannot be isolated, as the board has no "
                    "{}",
                    label(domain), lacks),
        "leave out its devices, slots and role; accepting \"no-isolation\" does not stand in "
        "for it");
  };
  if (!domain.devices.empty()) {
    const auto& first = domain.devices.front().host;
    refuse(first ? first->at : domain.at);
  } else if (domain.slots.value != 0) {
    refuse(domain.slots.at);
  } else if (domain.hardware.value) {
    refuse(domain.hardware.at);
  }
}

/// Functions behind one bridge that takes ownership have one requester ID, so one owner, whatever
/// is accepted; and one of them alone can have message interrupts, which the ITS tells by that ID.
void Checker::check_aliases() {
  struct Alias {
    const PlannedDomain* owner;
    const PlannedDevice* device;
    bool sends;
  };
  std::map<unsigned, std::vector<Alias>> buses;
  for (const PlannedDomain& domain : plan_.domains) {
    for (const PlannedDevice& device : domain.devices) {
      const BoardDevice& on_board = *plan_.board.find(device.host);
      if (!has_risk(on_board, pci::Risk::kAliasedRequester)) continue;
      std::vector<Alias>& known = buses[device.host.bus()];
      for (const Alias& other : known) {
        const Position& at = devices_[device.host.value()].first;
        if (other.owner != &domain) {
          out_.error(
              at,
              fmt::format("{} sends under the same requester ID as {}, which domain \"{}\" has",
                          format_bdf(device.host), format_bdf(other.device->host),
                          other.owner->name),
              "give both to one domain");
        } else if (other.sends && on_board.vectors != 0) {
          out_.error(at,
                     fmt::format("{} sends interrupts under the same ID as {}",
                                 format_bdf(device.host), format_bdf(other.device->host)),
                     "take one of them out");
        }
      }
      known.push_back({&domain, &device, on_board.vectors != 0});
    }
  }
}

/// Functions that only a reset of their bus resets have one owner, as at boot.
void Checker::check_buses() {
  for (const PlannedDomain& domain : plan_.domains) {
    for (const PlannedDevice& device : domain.devices) {
      const BoardDevice* on_board = plan_.board.find(device.host);
      const bool needs_bus =
          on_board != nullptr && on_board->reset == Reset::kBus && !device.accept_no_reset;
      if (!needs_bus) continue;
      for (const PlannedDomain& other : plan_.domains) {
        if (&other == &domain) continue;
        for (const PlannedDevice& neighbour : other.devices) {
          if (neighbour.host.bus() != device.host.bus()) continue;
          out_.error(devices_[device.host.value()].first,
                     fmt::format("{} can only be reset with its bus, where domain \"{}\" has {}",
                                 format_bdf(device.host), other.name, format_bdf(neighbour.host)),
                     "give both to one domain, or write accept = [\"no-reset\"] for it");
        }
      }
    }
  }
}

/// A guest's own IOMMU shows one requester ID for each device.
void Checker::check_ids(const DomainSpec& domain, const DeviceSpec& device,
                        const BoardDevice& on_board) {
  if (domain.iommu.value == "none") return;
  if (!has_risk(on_board, pci::Risk::kAliasedRequester) &&
      !has_risk(on_board, pci::Risk::kForeignId)) {
    return;
  }
  out_.error(device.host->at,
             fmt::format("{} sends under other requester IDs, too, which the iommu of {}'s guest "
                         "could not show",
                         format_bdf(*on_board.bdf), label(domain)),
             "write iommu = \"none\" for the domain, or give the device to another one");
}

void Checker::check_device(const DomainSpec& domain, const DeviceSpec& device,
                           PlannedDomain& planned) {
  check_capabilities(device);
  if (!device.host) return;
  const auto& [host, at] = *device.host;
  const auto [other, is_new] = devices_.insert({host.value(), {at, label(domain)}});
  if (!is_new) {
    out_.error(at, fmt::format("device {} is given twice", format_bdf(host)),
               fmt::format("{} has it already, at {}", other->second.second,
                           said_at(other->second.first)));
    return;
  }
  const BoardDevice* on_board = plan_.board.find(host);
  if (on_board == nullptr) {
    std::string there;
    for (const BoardDevice& d : plan_.board.devices) {
      if (!d.bdf) continue;
      there += fmt::format("{}{} ({})", there.empty() ? "" : ", ", format_bdf(*d.bdf), d.name);
    }
    out_.error(at, fmt::format("the board has no device {}", format_bdf(host)),
               there.empty() ? "its description names no device" : fmt::format("it has {}", there));
    return;
  }
  if (plan_.board.bridge == "none") {
    out_.error(at, "the board has no PCI host bridge that Penstock can drive");
    return;
  }
  check_on_board(device, *on_board);
  check_ids(domain, device, *on_board);
  const SecurityStatement security = state_security(plan_.board, *on_board, domain.iommu.value);
  planned.devices.push_back({host, device.guest ? device.guest->value : GuestBdf(), on_board->name,
                             on_board->driver, device.accept_no_reset, device.accept_no_isolation,
                             device.scratch, device.denied, device.capabilities, security});
}

void Checker::check_iommu(const DomainSpec& domain) {
  if (domain.iommu.value == "none") return;
  const Position& at = domain.iommu.at;
  if (domain.devices.empty() && domain.slots.value == 0 && !domain.hardware.value) {
    out_.error(at, fmt::format("{} has an iommu but no device behind it", label(domain)),
               "leave iommu out, or give the domain a device or slots");
  }
  if (plan_.board.iommu != "smmuv3") {
    out_.error(at, fmt::format("{} cannot have an iommu: the board has no SMMUv3", label(domain)),
               "write iommu = \"none\"; accepting \"no-isolation\" does not stand in for it");
  } else if (plan_.board.iommu_stages < 2) {
    out_.error(
        at,
        fmt::format("{} cannot have an iommu: the board's SMMUv3 translates in one stage, and "
                    "that one is Penstock's",
                    label(domain)),
        "write iommu = \"none\", or iommu_stages = 2 in the board's description if it can do both");
  }
}

void Checker::check_devices(const DomainSpec& domain, PlannedDomain& planned) {
  if (domain.devices.size() > manifest::kMaxDevicesPerDomain) {
    out_.error(
        domain.devices[manifest::kMaxDevicesPerDomain].at,
        fmt::format("{} has more than {} devices", label(domain), manifest::kMaxDevicesPerDomain));
    return;
  }
  std::map<std::uint16_t, Position> guests;
  for (const DeviceSpec& device : domain.devices) {
    check_device(domain, device, planned);
    if (!device.guest) continue;
    check_place(domain, *device.guest);
    const auto [other, is_new] = guests.insert({device.guest->value.value(), device.guest->at});
    if (!is_new) {
      out_.error(
          device.guest->at,
          fmt::format("{} has two devices at {}", label(domain), format_bdf(device.guest->value)),
          fmt::format("the other one is at {}; leave \"guest\" out to get the next free slot",
                      said_at(other->second)));
    }
  }
  for (const DeviceSpec& device : domain.devices) {
    if (!device.guest || device.guest->value.function() == 0) continue;  // of bus 0
    const GuestBdf first(0, device.guest->value.device(), 0);
    if (!guests.contains(first.value())) {
      out_.error(
          device.guest->at,
          fmt::format("nothing is at {}: a guest looks for function 0 first", format_bdf(first)),
          fmt::format("write guest = \"{}\"", format_bdf(first)));
    }
  }
  place_devices(domain, planned);
}

/// As the hypervisor counts them, of devices whose vectors the board's description tells.
void Checker::check_interrupts(const DomainSpec& domain, PlannedDomain& planned) {
  std::uint64_t needed = 0;
  for (const PlannedDevice& device : planned.devices) {
    const BoardDevice* on_board = plan_.board.find(device.host);
    if (on_board == nullptr || on_board->vectors == 0) continue;
    needed += std::min(on_board->vectors, vpci::kMaxVectors) + 1U;
  }
  interrupts_ += needed;
  if (interrupts_ > manifest::kMaxInterrupts && interrupts_ - needed <= manifest::kMaxInterrupts) {
    out_.error(
        domain.at,
        fmt::format("with those of {} the devices need {} interrupts", label(domain), interrupts_),
        fmt::format("the board has {} for all domains", manifest::kMaxInterrupts));
  }
  if (!domain.interrupts) return;
  const auto& [allowed, at] = *domain.interrupts;
  if (allowed == 0 || allowed > manifest::kMaxInterrupts) {
    out_.error(at, fmt::format("a domain cannot have {} interrupts", allowed),
               fmt::format("write 1 to {}", manifest::kMaxInterrupts));
    return;
  }
  planned.interrupts = static_cast<unsigned>(allowed);
  if (needed > allowed) {
    out_.error(at, fmt::format("the devices of {} need {} interrupts", label(domain), needed),
               fmt::format("write interrupts = {}, or leave it out", needed));
  }
}

/// A slot that the domain has, or a place on bus 0 that is nobody else's.
void Checker::check_place(const DomainSpec& domain, const Located<GuestBdf>& guest) {
  const auto& [place, at] = guest;
  if (place.bus() > domain.slots.value) {
    out_.error(at, fmt::format("{} has no slot {}", label(domain), place.bus()),
               fmt::format("write slots = {} for it, or another place", place.bus()));
  } else if (place.bus() == 0 && domain.slots.value != 0 && place.device() >= kFirstPort) {
    out_.error(at, fmt::format("{} is where the root ports are", format_bdf(place)),
               "write a place below 00:10.0, or a slot");
  } else if (place.bus() == 0 && domain.control.value && place.device() == kControlDevice) {
    out_.error(at, fmt::format("{} is where the control interface is", format_bdf(place)),
               "write another place");
  }
}

/// Devices without a place get the lowest that are free, in the order of the file: slots where the
/// domain has any, else places on bus 0.
void Checker::place_devices(const DomainSpec& domain, PlannedDomain& planned) {
  std::array<bool, 32> used{};
  used[0] = true;  // the virtual host bridge
  used[kControlDevice] = domain.control.value;
  std::array<bool, manifest::kMaxSlots + 1> slots{};
  for (const DeviceSpec& device : domain.devices) {
    if (!device.guest) continue;
    if (device.guest->value.bus() == 0) used[device.guest->value.device()] = true;
    if (device.guest->value.bus() < slots.size()) slots[device.guest->value.bus()] = true;
  }
  for (PlannedDevice& device : planned.devices) {
    if (device.guest != GuestBdf()) continue;
    if (planned.slots != 0) {
      unsigned slot = 1;
      while (slot <= planned.slots && slots[slot]) ++slot;
      if (slot > planned.slots) {
        out_.error(domain.slots.at, fmt::format("{} has more devices than slots", label(domain)),
                   "give it more slots, or some of the devices a `guest` address on bus 0");
        return;
      }
      slots[slot] = true;
      device.guest = GuestBdf(slot, 0, 0);
      continue;
    }
    const auto* free = std::find(used.begin(), used.end(), false);
    if (free == used.end()) {
      out_.error(domain.devices.back().at,
                 fmt::format("{} has more devices than its bus has free slots; give some of them a "
                             "`guest` address with another function number, like \"00:01.1\"",
                             label(domain)));
      return;
    }
    device.guest = GuestBdf(0, static_cast<unsigned>(free - used.begin()), 0);
    used[device.guest.device()] = true;
  }
}

}  // namespace penstock::tool
