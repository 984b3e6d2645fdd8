#include "core/pci/isolation.hpp"

#include "core/hw/pci/express.hpp"
#include "core/pci/alias_quirks.hpp"
#include "core/pci/reset_quirks.hpp"

namespace penstock::pci {
namespace {

using PortType = hw::pci::express::PortType;

bool has_type(const FunctionInfo& bridge, PortType type) {
  return bridge.express && bridge.port_type == static_cast<std::uint8_t>(type);
}

/// What is behind it is conventional PCI: one shared bus on which everybody hears everybody. A
/// bridge from there to PCI Express sits on such a bus itself, and is treated as the bus is.
bool opens_conventional(const FunctionInfo& bridge) {
  return !bridge.express || has_type(bridge, PortType::kPcieToPciBridge) ||
         has_type(bridge, PortType::kPciToPcieBridge);
}

/// A link begins below it: what is behind it is one device, whose functions may use device numbers
/// too (ARI, PCIe 6.13).
bool has_link_below(const FunctionInfo& bridge) {
  return has_type(bridge, PortType::kRootPort) || has_type(bridge, PortType::kDownstreamPort);
}

/// One group for both, wherever their members are.
void merge(Inventory& inventory, std::uint16_t into, std::uint16_t from) {
  if (into == from) return;
  for (FunctionInfo& info : inventory.functions) {
    if (info.group == from) info.group = into;
  }
}

bool same_device(const Inventory& inventory, const FunctionInfo& a, const FunctionInfo& b) {
  if (a.bdf.bus() != b.bdf.bus()) return false;
  if (a.bdf.device() == b.bdf.device()) return true;
  const FunctionInfo* bridge = bridge_above(inventory, a.bdf.bus());
  return bridge != nullptr && has_link_below(*bridge);
}

/// Functions of one device talk to each other inside it, unless both have ACS. Virtual functions
/// that had such ways would have to have ACS (PCIe 6.12.1.2), so that they stand for themselves, as
/// they do in Linux.
void group_devices(Inventory& inventory) {
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    for (std::size_t k = i + 1; k < inventory.functions.size(); ++k) {
      const FunctionInfo& a = inventory.functions[i];
      const FunctionInfo& b = inventory.functions[k];
      if (a.is_vf || b.is_vf || (a.acs && b.acs)) continue;
      if (same_device(inventory, a, b)) merge(inventory, a.group, b.group);
    }
  }
}

/// A function that uses the routing ID of another one is that other one to the IOMMU.
void group_aliases(Inventory& inventory) {
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    const auto alias = alias_of(inventory.functions[i]);
    const FunctionInfo* other = alias ? find(inventory, HostBdf(*alias)) : nullptr;
    if (other != nullptr) merge(inventory, other->group, inventory.functions[i].group);
  }
}

/// Everything that comes from behind the bridge passes the IOMMU, with its own requester ID.
bool keeps_apart(const Inventory& inventory, const FunctionInfo& bridge) {
  if (opens_conventional(bridge)) return false;
  if (has_link_below(bridge)) return bridge.acs;
  if (!has_type(bridge, PortType::kUpstreamPort)) return false;
  // ACS is for ports that can turn a request round (PCIe 6.12.1). An upstream port can only where
  // other functions are in its device.
  for (const FunctionInfo& other : inventory.functions) {
    if (other.bdf != bridge.bdf && same_device(inventory, other, bridge)) return bridge.acs;
  }
  return true;
}

/// Functions that share an ID behind the map's mask, or through overlapping entries.
void group_same_ids(Inventory& inventory, const IdMap& map) {
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    const auto id = map.translate(inventory.functions[i].bdf.value());
    for (std::size_t k = i + 1; k < inventory.functions.size() && id; ++k) {
      const auto other = map.translate(inventory.functions[k].bdf.value());
      if (!other || *other != *id) continue;
      merge(inventory, inventory.functions[i].group, inventory.functions[k].group);
    }
  }
}

void group_behind(Inventory& inventory, const FunctionInfo& bridge) {
  if (keeps_apart(inventory, bridge)) return;
  const bool conventional = opens_conventional(bridge);
  // The switch sends what arrives at such a downstream port to its other ports.
  const FunctionInfo* whole = has_type(bridge, PortType::kDownstreamPort)
                                  ? bridge_above(inventory, bridge.bdf.bus())
                                  : nullptr;
  if (whole == nullptr) whole = &bridge;
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    FunctionInfo& info = inventory.functions[i];
    if (info.bdf.bus() < whole->secondary || info.bdf.bus() > whole->subordinate) continue;
    merge(inventory, bridge.group, info.group);
    info.aliased |= conventional;
  }
}

}  // namespace

const FunctionInfo* find(const Inventory& inventory, HostBdf bdf) {
  for (const FunctionInfo& info : inventory.functions) {
    if (info.bdf == bdf) return &info;
  }
  return nullptr;
}

const FunctionInfo* bridge_above(const Inventory& inventory, unsigned bus) {
  for (const FunctionInfo& info : inventory.functions) {
    if (info.bridge && info.secondary != 0 && info.secondary == bus) return &info;
  }
  return nullptr;
}

void find_groups(Inventory& inventory, std::span<const IdMap* const> ids) {
  for (FunctionInfo& info : inventory.functions) {
    info.group = info.bdf.value();
    info.aliased = false;
  }
  group_devices(inventory);
  group_aliases(inventory);
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    const FunctionInfo& bridge = inventory.functions[i];
    if (bridge.bridge && bridge.secondary != 0) group_behind(inventory, bridge);
  }
  for (const IdMap* map : ids) group_same_ids(inventory, *map);
}

GroupMembers group_members(const Inventory& inventory, std::uint16_t group) {
  GroupMembers members;
  for (const FunctionInfo& info : inventory.functions) {
    if (info.group == group) (void)members.push_back(info.bdf);  // as large as the inventory
  }
  return members;
}

Result<std::uint16_t> group_of(const Inventory& inventory, HostBdf bdf) {
  const FunctionInfo* info = find(inventory, bdf);
  if (info == nullptr) return fail(Code::kNotFound, bdf.value());
  return info->group;
}

RequesterIds requester_ids(const Inventory& inventory, HostBdf bdf) {
  RequesterIds ids;
  const auto add = [&](std::uint16_t id) {
    for (const std::uint16_t known : ids) {
      if (known == id) return;
    }
    (void)ids.push_back(id);  // never full: at most two IDs for each bridge
  };
  add(bdf.value());
  const FunctionInfo* info = find(inventory, bdf);
  const auto alias = info == nullptr ? std::nullopt : alias_of(*info);
  if (alias) add(*alias);
  const FunctionInfo* bridge = bridge_above(inventory, bdf.bus());
  for (unsigned depth = 0; bridge != nullptr && depth < kMaxBridgesAbove; ++depth) {
    if (has_type(*bridge, PortType::kPciToPcieBridge) || !bridge->express) {
      add(bridge->bdf.value());
    }
    // PCI Express to PCI/PCI-X Bridge 2.3: secondary bus number, device 0, function 0. Some such
    // bridges have no PCI Express capability to tell them by, so that every old one may do it.
    if (has_type(*bridge, PortType::kPcieToPciBridge) || !bridge->express) {
      add(HostBdf(bridge->secondary, 0, 0).value());
    }
    bridge = bridge_above(inventory, bridge->bdf.bus());
  }
  return ids;
}

std::uint16_t message_requester(const Inventory& inventory, HostBdf bdf) {
  std::uint16_t id = bdf.value();
  const FunctionInfo* bridge = bridge_above(inventory, bdf.bus());
  for (unsigned depth = 0; bridge != nullptr && depth < kMaxBridgesAbove; ++depth) {
    if (has_type(*bridge, PortType::kPcieToPciBridge)) {
      id = HostBdf(bridge->secondary, 0, 0).value();
    } else if (opens_conventional(*bridge)) {
      id = bridge->bdf.value();
    }
    bridge = bridge_above(inventory, bridge->bdf.bus());
  }
  return id;
}

HostBdf root_function(const Inventory& inventory, const FunctionInfo& info) {
  HostBdf at = info.is_vf ? info.pf : info.bdf;
  const FunctionInfo* bridge = bridge_above(inventory, at.bus());
  for (unsigned depth = 0; bridge != nullptr && depth < kMaxBridgesAbove; ++depth) {
    at = bridge->bdf;
    bridge = bridge_above(inventory, at.bus());
  }
  return at;
}

namespace {

bool stands_bus_reset(const FunctionInfo& info) {
  for (const ResetMethod method : reset_order(info)) {
    if (method == ResetMethod::kSecondaryBus) return true;
  }
  return false;
}

}  // namespace

const FunctionInfo* resettable_bus(const Inventory& inventory, const FunctionInfo& info) {
  const FunctionInfo* bridge = bridge_above(inventory, info.bdf.bus());
  if (bridge == nullptr || info.is_vf) return nullptr;
  std::size_t together = 0;
  for (const FunctionInfo& other : inventory.functions) {
    if (other.is_vf || other.bdf.bus() != info.bdf.bus()) continue;
    if (other.bridge || !stands_bus_reset(other)) return nullptr;
    ++together;
  }
  return together <= kMaxResetTogether ? bridge : nullptr;
}

}  // namespace penstock::pci
