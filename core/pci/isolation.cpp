#include "core/pci/isolation.hpp"

#include "core/hw/pci/express.hpp"

namespace penstock::pci {
namespace {

using PortType = hw::pci::express::PortType;

bool has_type(const FunctionInfo& bridge, PortType type) {
  return bridge.express && bridge.port_type == static_cast<std::uint8_t>(type);
}

/// What is behind it is conventional PCI: one shared bus on which everybody hears everybody.
bool opens_conventional(const FunctionInfo& bridge) {
  return !bridge.express || has_type(bridge, PortType::kPcieToPciBridge);
}

/// One group for both, wherever their members are.
void merge(Inventory& inventory, std::uint16_t into, std::uint16_t from) {
  if (into == from) return;
  for (FunctionInfo& info : inventory.functions) {
    if (info.group == from) info.group = into;
  }
}

/// Functions of one device talk to each other inside it, unless it has ACS. Only function 0's
/// header says that there are more (PCIe 7.5.1.1.9).
void group_devices(Inventory& inventory) {
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    const FunctionInfo& first = inventory.functions[i];
    if (first.bdf.function() != 0 || !first.multi_function) continue;
    for (std::size_t k = 0; k < inventory.functions.size(); ++k) {
      const FunctionInfo& other = inventory.functions[k];
      const bool same_device =
          other.bdf.bus() == first.bdf.bus() && other.bdf.device() == first.bdf.device();
      if (same_device && !(other.acs && first.acs)) merge(inventory, first.group, other.group);
    }
  }
}

void group_behind(Inventory& inventory, const FunctionInfo& bridge) {
  const bool conventional = opens_conventional(bridge);
  if (!conventional && bridge.acs) return;
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    FunctionInfo& info = inventory.functions[i];
    if (info.bdf.bus() < bridge.secondary || info.bdf.bus() > bridge.subordinate) continue;
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

void find_groups(Inventory& inventory) {
  for (FunctionInfo& info : inventory.functions) {
    info.group = info.bdf.value();
    info.aliased = false;
  }
  group_devices(inventory);
  for (std::size_t i = 0; i < inventory.functions.size(); ++i) {
    const FunctionInfo& bridge = inventory.functions[i];
    if (bridge.bridge && bridge.secondary != 0) group_behind(inventory, bridge);
  }
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
    (void)ids.push_back(id);  // never full: at most one ID for each bridge
  };
  add(bdf.value());
  const FunctionInfo* bridge = bridge_above(inventory, bdf.bus());
  for (unsigned depth = 0; bridge != nullptr && depth < kMaxBridgesAbove; ++depth) {
    if (has_type(*bridge, PortType::kPcieToPciBridge)) {
      // PCI Express to PCI/PCI-X Bridge 2.3: secondary bus number, device 0, function 0.
      add(HostBdf(bridge->secondary, 0, 0).value());
    } else if (opens_conventional(*bridge)) {
      add(bridge->bdf.value());
    }
    bridge = bridge_above(inventory, bridge->bdf.bus());
  }
  return ids;
}

const FunctionInfo* bridge_of_only(const Inventory& inventory, HostBdf bdf) {
  const FunctionInfo* bridge = bridge_above(inventory, bdf.bus());
  if (bridge == nullptr || bridge->subordinate != bridge->secondary) return nullptr;
  for (const FunctionInfo& info : inventory.functions) {
    if (info.bdf.bus() == bdf.bus() && info.bdf != bdf) return nullptr;
  }
  return bridge;
}

}  // namespace penstock::pci
