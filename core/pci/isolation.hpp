// Which functions the hardware can tell apart, and by which requester IDs.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/pci/function_info.hpp"
#include "core/pci/id_map.hpp"

namespace penstock::pci {

/// A function of the inventory, or null.
[[nodiscard]] const FunctionInfo* find(const Inventory& inventory, HostBdf bdf);
/// The bridge whose secondary bus this is, or null for a root bus.
[[nodiscard]] const FunctionInfo* bridge_above(const Inventory& inventory, unsigned bus);

/// The function of the root bus that the function is, or is behind; a virtual one stands where its
/// physical one does.
[[nodiscard]] HostBdf root_function(const Inventory& inventory, const FunctionInfo& info);

/// Sets `group` and `aliased` of every function. Functions share a group when they can reach each
/// other without passing the IOMMU, or when the IOMMU sees one requester ID for several of them:
///
/// - the functions of a device, unless they have ACS (virtual functions stand for themselves)
/// - a root port without ACS and everything behind it
/// - a whole switch, as soon as one of its downstream ports has no ACS
/// - a bridge to conventional PCI and everything behind it; these are `aliased` too
/// - a function and the one whose routing ID it uses (alias_quirks.hpp)
///
/// With `ids` (iommu-map, msi-map), functions that have one stream ID or one device ID, too: the
/// SMMU or the ITS takes them for one.
///
/// These are the IOMMU groups of Linux (drivers/iommu/iommu.c, pci_device_group), but for two cases
/// in which Linux trusts more: it takes the word of a function with ACS for its neighbour without,
/// and keeps downstream ports without ACS apart. Again after functions were added.
void find_groups(Inventory& inventory, std::span<const IdMap* const> ids = {});

/// The functions of a group, bridges too, in order of discovery.
using GroupMembers = StaticVector<HostBdf, kMaxFunctions>;
[[nodiscard]] GroupMembers group_members(const Inventory& inventory, std::uint16_t group);

/// The group of a function. kNotFound (arg: the BDF).
[[nodiscard]] Result<std::uint16_t> group_of(const Inventory& inventory, HostBdf bdf);

/// Calls `visit(const FunctionInfo&)` for the other endpoints of the function's group: they must
/// have the same owner.
template <typename Visit>
void for_each_neighbour(const Inventory& inventory, const FunctionInfo& info, Visit&& visit) {
  for (const FunctionInfo& other : inventory.functions) {
    if (other.group == info.group && other.bdf != info.bdf && !other.bridge) visit(other);
  }
}

/// Bounds every climb, should bus numbers ever form a loop; enumeration opens half as many levels.
inline constexpr unsigned kMaxBridgesAbove = 16;

/// Every requester ID that the function's requests may carry: its own first, then the one that it
/// is known to use besides, then those that bridges to conventional PCI put in its place (H2, H38).
/// Assignment must take all of them or none. Announced phantom functions are not among them: they
/// stay off (quiesce(), and the guest is not told of them).
using RequesterIds = StaticVector<std::uint16_t, 2 * kMaxBridgesAbove + 2>;
[[nodiscard]] RequesterIds requester_ids(const Inventory& inventory, HostBdf bdf);

/// The requester ID that the function's messages carry when they reach the root: its own, or that
/// of the topmost bridge that puts its own in place of it. One of requester_ids().
[[nodiscard]] std::uint16_t message_requester(const Inventory& inventory, HostBdf bdf);

/// The most functions of a bus that are reset together.
inline constexpr std::size_t kMaxResetTogether = 8;
/// The bridge above whose secondary bus a reset of the function can use, as long as nobody has any
/// other function there: endpoints only, kMaxResetTogether at most, all of which stand it. Or null.
/// A virtual function is never reset with its bus, and is not counted: it is off when its physical
/// function is reset.
[[nodiscard]] const FunctionInfo* resettable_bus(const Inventory& inventory,
                                                 const FunctionInfo& info);

}  // namespace penstock::pci
