#include "core/pci/enumerate.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/probe.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;
using PortType = hp::express::PortType;

constexpr unsigned kSlots = 32;    // devices on a bus
constexpr unsigned kMaxDepth = 8;  // bridges above one another; deeper ones stay closed
constexpr std::uint64_t kBridgeGranule = 1 * kMiB;  // memory windows of a bridge (PCIe 7.5.1.3.8)

/// Hands out bus addresses of one window from the bottom up.
class Cursor {
 public:
  explicit Cursor(const HostWindow& window)
      : at_(window.bus == 0 ? kBridgeGranule : window.bus),  // 0 in a BAR means unassigned to many
        end_(window.bus + window.size),
        offset_(window.host.value() - window.bus) {}
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
      : ecam_(ecam),
        mem32_(mem32),
        mem64_(mem64),
        inventory_(inventory),
        next_bus_(ecam.first_bus() + 1) {}

  Status find_bus(unsigned bus, unsigned depth, unsigned slots);
  void assign_root();
  void finish();

 private:
  /// What the bridges above a bus let through.
  enum class Reach : std::uint8_t { kEverything, kPrefetchable64, k32Bit };

  Status find_slot(unsigned bus, unsigned slot);
  Status open_bridge(FunctionInfo& bridge, unsigned depth);
  void close_bridge(FunctionInfo& bridge);
  void assign_bus(unsigned bus, Reach reach);
  void assign_bar(FunctionInfo& info, unsigned index, Reach reach);
  void assign_behind(const FunctionInfo& bridge, Reach reach);

  Ecam& ecam_;
  Cursor mem32_;
  Cursor mem64_;
  Inventory& inventory_;
  unsigned next_bus_;
};

/// Looks at the whole bus, and closes the bridges on it, before one is opened: numbers that
/// firmware left in one must not claim what another is given.
Status Walk::find_bus(unsigned bus, unsigned depth, unsigned slots) {
  for (unsigned slot = 0; slot < slots; ++slot) TRY(find_slot(bus, slot));
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    FunctionInfo& info = inventory_.functions[i];
    if (info.bdf.bus() == bus && info.bridge) TRY(open_bridge(info, depth));
  }
  return {};
}

Status Walk::find_slot(unsigned bus, unsigned slot) {
  unsigned functions = 1;
  for (unsigned function = 0; function < functions; ++function) {
    const HostBdf bdf(bus, slot, function);
    EcamFunction config = ecam_.function(bdf);
    const auto info = probe(bdf, config);
    if (!info) continue;
    if (function == 0 && info->multi_function) functions = 8;
    TRY(inventory_.functions.push_back(*info));
    if (info->bridge) close_bridge(inventory_.functions.back());
  }
  return {};
}

void Walk::close_bridge(FunctionInfo& bridge) {
  EcamFunction config = ecam_.function(bridge.bdf);
  bridge.secondary = 0;
  bridge.subordinate = 0;
  config.write(hp::kSubordinateBus, 1, 0);
  config.write(hp::kSecondaryBus, 1, 0);
  config.write(hp::kPrimaryBus, 1, bridge.bdf.bus());
}

Status Walk::open_bridge(FunctionInfo& bridge, unsigned depth) {
  if (depth == kMaxDepth) return {};
  if (next_bus_ > ecam_.last_bus()) return fail(Code::kTableFull, next_bus_);
  EcamFunction config = ecam_.function(bridge.bdf);
  const unsigned bus = next_bus_++;
  bridge.secondary = static_cast<std::uint8_t>(bus);
  config.write(hp::kSecondaryBus, 1, bus);
  config.write(hp::kSubordinateBus, 1, ecam_.last_bus());
  // A link has one device at its other end (PCIe 7.3.1); a conventional bus has 32 places.
  const bool link = bridge.express &&
                    bridge.port_type != static_cast<std::uint8_t>(PortType::kPcieToPciBridge) &&
                    bridge.port_type != static_cast<std::uint8_t>(PortType::kUpstreamPort);
  const Status found = find_bus(bus, depth + 1, link ? 1 : kSlots);
  bridge.subordinate = static_cast<std::uint8_t>(next_bus_ - 1);
  config.write(hp::kSubordinateBus, 1, next_bus_ - 1);
  return found;
}

void Walk::assign_bar(FunctionInfo& info, unsigned index, Reach reach) {
  Bar& bar = info.bars[index];
  if (bar.size == 0 || bar.io) return;
  // A bridge's window beyond 4 GiB is its prefetchable one; on the root bus nothing stands between
  // (PCIe 7.5.1.3.9).
  const bool high = bar.is64 && (reach == Reach::kEverything ||
                                 (reach == Reach::kPrefetchable64 && bar.prefetchable));
  // Each BAR has pages of its own, so that its pages can be given to a guest.
  const std::uint64_t size = bar.size < kPageSize ? kPageSize : bar.size;
  Cursor* cursor = high ? &mem64_ : &mem32_;
  auto at = cursor->take(size);
  if (!at && high) {
    cursor = &mem32_;
    at = cursor->take(size);
  }
  if (!at) {
    info.placed = false;
    for (Bar& other : info.bars) other.size = 0;
    return;
  }
  bar.bus = *at;
  bar.host = cursor->host(*at);
  EcamFunction config = ecam_.function(info.bdf);
  config.write(hp::bar_offset(index), 4, static_cast<std::uint32_t>(bar.bus));
  if (bar.is64) {
    config.write(hp::bar_offset(index + 1), 4, static_cast<std::uint32_t>(bar.bus >> 32));
  }
}

void Walk::assign_behind(const FunctionInfo& bridge, Reach reach) {
  mem32_.align(kBridgeGranule);
  mem64_.align(kBridgeGranule);
  const std::uint64_t start32 = mem32_.at();
  const std::uint64_t start64 = mem64_.at();
  const bool high = reach != Reach::k32Bit && bridge.prefetch64;
  assign_bus(bridge.secondary, high ? Reach::kPrefetchable64 : Reach::k32Bit);
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

void Walk::assign_bus(unsigned bus, Reach reach) {
  // Largest first: natural alignment then wastes nothing. At most 60 sizes, each bounded by the
  // inventory.
  for (unsigned shift = 63; shift >= 4; --shift) {
    for (FunctionInfo& info : inventory_.functions) {
      if (info.bdf.bus() != bus) continue;
      for (unsigned i = 0; i < info.bars.size(); ++i) {
        if (info.bars[i].size == std::uint64_t{1} << shift) assign_bar(info, i, reach);
      }
    }
  }
  for (const FunctionInfo& info : inventory_.functions) {
    if (info.bdf.bus() == bus && info.bridge && info.secondary != 0) assign_behind(info, reach);
  }
}

void Walk::assign_root() {
  assign_bus(ecam_.first_bus(), Reach::kEverything);
}

/// Requests go up to the IOMMU, and with their own requester IDs, wherever the function has the
/// means for it.
void enable_acs(port::ConfigSpace& config, const FunctionInfo& info) {
  if (info.acs_at == 0) return;
  constexpr std::uint32_t kWanted =
      hp::acs::SourceValidation::kMask | hp::acs::RequestRedirect::kMask |
      hp::acs::CompletionRedirect::kMask | hp::acs::UpstreamForwarding::kMask;
  const std::uint32_t can = config.read(info.acs_at + hp::acs::kCapability, 2);
  config.write(info.acs_at + hp::acs::kControl, 2, can & kWanted);
}

void Walk::finish() {
  constexpr std::uint32_t kNothing = hp::command::InterruptDisable::kMask;
  constexpr std::uint32_t kEndpoint = kNothing | hp::command::MemorySpace::kMask;
  constexpr std::uint32_t kBridge = kEndpoint | hp::command::BusMaster::kMask;
  for (const FunctionInfo& info : inventory_.functions) {
    EcamFunction config = ecam_.function(info.bdf);
    enable_acs(config, info);
    const std::uint32_t endpoint = info.placed ? kEndpoint : kNothing;
    config.write(hp::kCommand, 2, info.bridge ? kBridge : endpoint);
  }
}

}  // namespace

Status enumerate(Ecam& ecam, const HostWindow& mem32, const HostWindow& mem64,
                 Inventory& inventory) {
  Walk walk(ecam, mem32, mem64, inventory);
  const Status found = walk.find_bus(ecam.first_bus(), 0, kSlots);
  walk.assign_root();
  find_groups(inventory);
  walk.finish();
  return found;
}

}  // namespace penstock::pci
