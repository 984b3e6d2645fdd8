#include "core/pci/enumerate.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/pci/probe.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;
using PortType = hp::express::PortType;

constexpr unsigned kMaxDepth = 8;                      // bridges above one another; deeper ones stay closed
constexpr std::uint64_t kBridgeGranule = 1 * kMiB;     // memory windows of a bridge (PCIe 7.5.1.3.8)

/// Hands out bus addresses of one window from the bottom up.
class Cursor {
 public:
  explicit Cursor(const HostWindow& window)
      : at_(window.bus), end_(window.bus + window.size), offset_(window.host.value() - window.bus) {}
  void align(std::uint64_t to) { at_ = align_up(at_, to); }
  [[nodiscard]] std::uint64_t at() const { return at_; }
  /// Room for a naturally aligned BAR; nothing when the window is full.
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t size) {
    const std::uint64_t start = align_up(at_, size);
    if (start < at_ || !fits(start, size, end_)) return std::nullopt;
    at_ = start + size;
    return start;
  }
  [[nodiscard]] Hpa host(std::uint64_t bus) const { return Hpa(bus + offset_); }

 private:
  std::uint64_t at_;
  std::uint64_t end_;
  std::uint64_t offset_;
};

class Walk {
 public:
  Walk(Ecam& ecam, const HostWindow& mem32, const HostWindow& mem64, Inventory& inventory)
      : ecam_(ecam), mem32_(mem32), mem64_(mem64), inventory_(inventory),
        next_bus_(ecam.first_bus() + 1) {}

  Status find_bus(unsigned bus, unsigned depth);
  void assign_bus(unsigned bus, bool root);
  void find_groups();
  void finish();

 private:
  Status find_slot(unsigned bus, unsigned slot, unsigned depth);
  Status open_bridge(FunctionInfo& bridge, unsigned depth);
  void assign_bars(unsigned bus, bool root);
  void assign_bar(FunctionInfo& info, unsigned index, bool root);
  void assign_behind(const FunctionInfo& bridge);
  void group_behind(const FunctionInfo& bridge);

  Ecam& ecam_;
  Cursor mem32_;
  Cursor mem64_;
  Inventory& inventory_;
  unsigned next_bus_;
};

Status Walk::find_bus(unsigned bus, unsigned depth) {
  for (unsigned slot = 0; slot < 32; ++slot) TRY(find_slot(bus, slot, depth));
  return {};
}

Status Walk::find_slot(unsigned bus, unsigned slot, unsigned depth) {
  unsigned functions = 1;
  for (unsigned function = 0; function < functions; ++function) {
    const HostBdf bdf(bus, slot, function);
    EcamFunction config = ecam_.function(bdf);
    const auto info = probe(bdf, config);
    if (!info) continue;
    if (function == 0 && info->multi_function) functions = 8;
    TRY(inventory_.functions.push_back(*info));
    if (info->bridge) TRY(open_bridge(inventory_.functions.back(), depth));
  }
  return {};
}

Status Walk::open_bridge(FunctionInfo& bridge, unsigned depth) {
  EcamFunction config = ecam_.function(bridge.bdf);
  bridge.secondary = 0;
  bridge.subordinate = 0;
  if (depth == kMaxDepth) return {};
  if (next_bus_ > ecam_.last_bus()) return fail(Code::kTableFull, next_bus_);
  const unsigned bus = next_bus_++;
  bridge.secondary = static_cast<std::uint8_t>(bus);
  config.write(hp::kPrimaryBus, 1, bridge.bdf.bus());
  config.write(hp::kSecondaryBus, 1, bus);
  config.write(hp::kSubordinateBus, 1, ecam_.last_bus());
  const HostBdf self = bridge.bdf;
  const Status found = find_bus(bus, depth + 1);
  for (FunctionInfo& info : inventory_.functions) {
    if (info.bdf == self) info.subordinate = static_cast<std::uint8_t>(next_bus_ - 1);
  }
  config.write(hp::kSubordinateBus, 1, next_bus_ - 1);
  return found;
}

void Walk::assign_bar(FunctionInfo& info, unsigned index, bool root) {
  Bar& bar = info.bars[index];
  if (bar.size == 0 || bar.io) return;
  // A bridge's 64-bit window is its prefetchable one; on the root bus nothing stands between (PCIe 7.5.1.3.9).
  const bool high = bar.is64 && (root || bar.prefetchable);
  Cursor& cursor = high ? mem64_ : mem32_;
  const auto at = cursor.take(bar.size < kPageSize ? kPageSize : bar.size);
  if (!at) {
    bar.size = 0;
    return;
  }
  bar.bus = *at;
  bar.host = cursor.host(*at);
  EcamFunction config = ecam_.function(info.bdf);
  config.write(hp::bar_offset(index), 4, static_cast<std::uint32_t>(bar.bus));
  if (bar.is64) {
    config.write(hp::bar_offset(index + 1), 4, static_cast<std::uint32_t>(bar.bus >> 32));
  }
}

void Walk::assign_bars(unsigned bus, bool root) {
  // Largest first: natural alignment then wastes nothing. At most 64 sizes, each bounded by the inventory.
  for (unsigned shift = 63; shift >= 4; --shift) {
    for (FunctionInfo& info : inventory_.functions) {
      if (info.bdf.bus() != bus) continue;
      for (unsigned i = 0; i < info.bars.size(); ++i) {
        if (info.bars[i].size == std::uint64_t{1} << shift) assign_bar(info, i, root);
      }
    }
  }
}

void Walk::assign_behind(const FunctionInfo& bridge) {
  mem32_.align(kBridgeGranule);
  mem64_.align(kBridgeGranule);
  const std::uint64_t start32 = mem32_.at();
  const std::uint64_t start64 = mem64_.at();
  assign_bus(bridge.secondary, false);
  mem32_.align(kBridgeGranule);
  mem64_.align(kBridgeGranule);
  EcamFunction config = ecam_.function(bridge.bdf);
  // base > limit closes a window. Registers hold address bits 31:20 in their bits 15:4.
  const auto base = [](std::uint64_t a) { return static_cast<std::uint32_t>(a >> 16) & 0xfff0; };
  const bool any32 = mem32_.at() != start32;
  const bool any64 = mem64_.at() != start64;
  config.write(hp::kMemoryBase, 2, any32 ? base(start32) : 0xfff0);
  config.write(hp::kMemoryLimit, 2, any32 ? base(mem32_.at() - 1) : 0);
  config.write(hp::kPrefetchBase, 2, any64 ? base(start64) : 0xfff0);
  config.write(hp::kPrefetchLimit, 2, any64 ? base(mem64_.at() - 1) : 0);
  config.write(hp::kPrefetchBaseHi, 4, any64 ? static_cast<std::uint32_t>(start64 >> 32) : ~0U);
  config.write(hp::kPrefetchLimitHi, 4,
               any64 ? static_cast<std::uint32_t>((mem64_.at() - 1) >> 32) : 0);
}

void Walk::assign_bus(unsigned bus, bool root) {
  assign_bars(bus, root);
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    const FunctionInfo& info = inventory_.functions[i];
    if (info.bdf.bus() == bus && info.bridge && info.secondary != 0) assign_behind(info);
  }
}

/// What is behind a bridge that does not keep its functions apart shares the bridge's group.
void Walk::group_behind(const FunctionInfo& bridge) {
  const bool conventional =
      !bridge.express || bridge.port_type == static_cast<std::uint8_t>(PortType::kPcieToPciBridge);
  unsigned functions = 0;
  for (const FunctionInfo& info : inventory_.functions) {
    if (info.bdf.bus() == bridge.secondary && info.bdf.function() == 0) ++functions;
  }
  if (!conventional && (bridge.acs || functions <= 1)) return;
  for (FunctionInfo& info : inventory_.functions) {
    if (info.bdf.bus() < bridge.secondary || info.bdf.bus() > bridge.subordinate) continue;
    info.group = bridge.group;
    info.aliased |= conventional;
  }
}

void Walk::find_groups() {
  for (FunctionInfo& info : inventory_.functions) {
    if (info.multi_function && !info.acs) {
      info.group = HostBdf(info.bdf.bus(), info.bdf.device(), 0).value();
    }
  }
  for (const FunctionInfo& info : inventory_.functions) {
    // Functions 1..7 say so in function 0's header only.
    for (FunctionInfo& other : inventory_.functions) {
      const bool same_slot =
          info.bdf.bus() == other.bdf.bus() && info.bdf.device() == other.bdf.device();
      if (same_slot && info.bdf.function() == 0 && info.multi_function && !other.acs) {
        other.group = info.group;
      }
    }
  }
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    if (inventory_.functions[i].bridge && inventory_.functions[i].secondary != 0) {
      group_behind(inventory_.functions[i]);
    }
  }
}

/// ACS on a downstream port: requests go up to the IOMMU, and with their own requester IDs.
void enable_acs(EcamFunction& config) {
  unsigned at = hp::kFirstExtendedCapability;
  for (unsigned n = 0; at >= hp::kFirstExtendedCapability && n < hp::kMaxExtendedCapabilities;
       ++n) {
    const std::uint32_t header = config.read(at, 4);
    if (header == 0 || header == ~0U) return;
    const auto id = static_cast<hp::ExtendedId>(get<hp::extended_header::Id>(header));
    if (id == hp::ExtendedId::kAccessControlServices) {
      constexpr std::uint32_t kWanted = hp::acs::SourceValidation::kMask |
                                        hp::acs::RequestRedirect::kMask |
                                        hp::acs::CompletionRedirect::kMask |
                                        hp::acs::UpstreamForwarding::kMask;
      const std::uint32_t can = config.read(at + hp::acs::kCapability, 2);
      config.write(at + hp::acs::kControl, 2, can & kWanted);
    }
    at = static_cast<unsigned>(get<hp::extended_header::Next>(header)) & ~3U;
  }
}

void Walk::finish() {
  constexpr std::uint32_t kEndpoint =
      hp::command::MemorySpace::kMask | hp::command::InterruptDisable::kMask;
  constexpr std::uint32_t kBridge = kEndpoint | hp::command::BusMaster::kMask;
  for (const FunctionInfo& info : inventory_.functions) {
    EcamFunction config = ecam_.function(info.bdf);
    if (info.bridge && info.acs) enable_acs(config);
    config.write(hp::kCommand, 2, info.bridge ? kBridge : kEndpoint);
  }
}

}  // namespace

Status enumerate(Ecam& ecam, const HostWindow& mem32, const HostWindow& mem64,
                 Inventory& inventory) {
  Walk walk(ecam, mem32, mem64, inventory);
  const Status found = walk.find_bus(ecam.first_bus(), 0);
  walk.assign_bus(ecam.first_bus(), true);
  walk.find_groups();
  walk.finish();
  return found;
}

}  // namespace penstock::pci
