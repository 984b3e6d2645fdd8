#include "core/pci/enumerate.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/probe.hpp"
#include "core/pci/sriov.hpp"

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
  [[nodiscard]] std::uint64_t left() const { return at_ < end_ ? end_ - at_ : 0; }
  /// Room for a naturally aligned BAR; nothing when the window is full.
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t size) { return take(size, size); }
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t size, std::uint64_t alignment) {
    const std::uint64_t start = align_up(at_, alignment);
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

  void find_bus(unsigned bus, unsigned depth, FunctionInfo* bridge);
  void assign_root();
  void finish();

 private:
  /// What the bridges above a bus let through.
  enum class Reach : std::uint8_t { kEverything, kPrefetchable64, k32Bit };

  void find_slot(unsigned bus, unsigned slot);
  [[nodiscard]] std::optional<FunctionInfo> find_function(HostBdf bdf);
  void find_link(FunctionInfo& port);
  void find_sriov(const FunctionInfo& pf, const FunctionInfo* port);
  void open_bridge(FunctionInfo& bridge, unsigned depth);
  void close_bridge(FunctionInfo& bridge);
  void assign_bus(unsigned bus, Reach reach);
  void assign_bar(FunctionInfo& info, unsigned index, Reach reach);
  [[nodiscard]] Cursor* high_window(const Bar& bar, Reach reach);
  [[nodiscard]] bool place(Bar& bar, unsigned count, Reach reach);
  void assign_vfs(SriovInfo& info, Reach reach);
  void assign_behind(const FunctionInfo& bridge, Reach reach);

  Ecam& ecam_;
  Cursor mem32_;
  Cursor mem64_;
  Inventory& inventory_;
  unsigned next_bus_;
};

/// Whether a link with one device at its other end is below (PCIe 7.3.1); a conventional bus has 32
/// places, and so have the root bus and the inside of a switch.
bool leads_to_link(const FunctionInfo& bridge) {
  return bridge.express &&
         bridge.port_type != static_cast<std::uint8_t>(PortType::kPcieToPciBridge) &&
         bridge.port_type != static_cast<std::uint8_t>(PortType::kUpstreamPort);
}

/// Looks at the whole bus, and closes the bridges on it, before one is opened: numbers that
/// firmware left in one must not claim what another is given. `bridge`: null for the root bus.
void Walk::find_bus(unsigned bus, unsigned depth, FunctionInfo* bridge) {
  const bool link = bridge != nullptr && leads_to_link(*bridge);
  if (link) find_link(*bridge);
  for (unsigned slot = 0; slot < kSlots && !link; ++slot) find_slot(bus, slot);
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    const FunctionInfo& info = inventory_.functions[i];
    if (info.bdf.bus() == bus && info.sriov_at != 0) find_sriov(info, bridge);
  }
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    FunctionInfo& info = inventory_.functions[i];
    if (info.bdf.bus() == bus && info.bridge) open_bridge(info, depth);
  }
}

void count(Inventory::Left& left, HostBdf bdf) {
  if (left.count++ == 0) left.first = bdf;
}

/// One that does not fit any more is silent, and closed where it is a bridge (probe()).
std::optional<FunctionInfo> Walk::find_function(HostBdf bdf) {
  EcamFunction config = ecam_.function(bdf);
  auto info = probe(bdf, config);
  if (!info) return info;
  if (info->bridge) close_bridge(*info);
  if (!inventory_.functions.push_back(*info)) count(inventory_.functions_left, bdf);
  return info;
}

void Walk::find_slot(unsigned bus, unsigned slot) {
  unsigned functions = 1;
  for (unsigned function = 0; function < functions; ++function) {
    const auto info = find_function(HostBdf(bus, slot, function));
    if (info && function == 0 && info->multi_function) functions = 8;
  }
}

/// The one device at the other end of a link (PCIe 7.3.1). Where both ends know alternative routing
/// IDs its functions are a chain over all 256 numbers (PCIe 6.13), else they are eight at most.
void Walk::find_link(FunctionInfo& port) {
  namespace express = hp::express;
  EcamFunction above = ecam_.function(port.bdf);
  const std::uint32_t word = above.read(port.express_at + express::kCapabilities, 2);
  const bool second = get<express::capabilities::Version>(word) >= 2;  // has these registers
  const std::uint32_t can =
      second ? above.read(port.express_at + express::kDeviceCapabilities2, 4) : 0;
  const bool forwards = get<express::device_capabilities2::AriForwarding>(can) != 0;
  const auto forward = [&](bool on) {
    const unsigned at = port.express_at + express::kDeviceControl2;
    const std::uint64_t before = above.read(at, 2);
    using AriForwarding = express::device_control2::AriForwarding;
    above.write(at, 2, static_cast<std::uint32_t>(with<AriForwarding>(before, on ? 1 : 0)));
  };
  if (forwards) forward(false);  // as firmware may have left it, for another device
  const std::size_t first = inventory_.functions.size();
  find_slot(port.secondary, 0);
  if (!forwards || first == inventory_.functions.size()) return;
  const unsigned ari_at = inventory_.functions[first].ari_at;
  if (ari_at == 0 || inventory_.functions[first].bdf.function() != 0) return;
  forward(true);
  port.ari = true;
  // The numbers rise along the chain, so it ends.
  for (unsigned at = ari_at, number = 0; at != 0;) {
    EcamFunction config = ecam_.function(HostBdf(port.secondary, number >> 3, number & 7));
    const std::uint32_t ari = config.read(at + hp::ari::kCapability, 2);
    const auto next = static_cast<unsigned>(get<hp::ari::NextFunction>(ari));
    if (next <= number) return;
    number = next;
    const HostBdf bdf(port.secondary, number >> 3, number & 7);
    const FunctionInfo* known = pci::find(inventory_, bdf);
    const auto info = known == nullptr ? find_function(bdf) : std::nullopt;
    at = known != nullptr ? known->ari_at : (info ? info->ari_at : 0U);
  }
}

/// `port`: null on the root bus.
void Walk::find_sriov(const FunctionInfo& pf, const FunctionInfo* port) {
  if (inventory_.sriov.full()) return count(inventory_.sriov_left, pf.bdf);
  SriovInfo info;
  // Only functions below a port with ARI may have other numbers than 0 to 7 of device 0.
  info.ari = port != nullptr && port->ari && pf.ari_at != 0;
  info.numbers = port == nullptr || info.ari ? 256 : 8;
  // VFs beyond the PF's bus take the next ones, which nobody has been given yet. On the root bus
  // those are the bridges'.
  info.last_bus = static_cast<std::uint8_t>(port == nullptr ? pf.bdf.bus() : ecam_.last_bus());
  EcamFunction config = ecam_.function(pf.bdf);
  measure_sriov(config, pf, info);
  if (info.usable != 0) {
    const unsigned last = vf_bdf(info, info.usable - 1U).bus();
    if (port != nullptr && last >= next_bus_) next_bus_ = last + 1;
  }
  (void)inventory_.sriov.push_back(info);
}

void Walk::close_bridge(FunctionInfo& bridge) {
  EcamFunction config = ecam_.function(bridge.bdf);
  bridge.secondary = 0;
  bridge.subordinate = 0;
  config.write(hp::kSubordinateBus, 1, 0);
  config.write(hp::kSecondaryBus, 1, 0);
  config.write(hp::kPrimaryBus, 1, bridge.bdf.bus());
}

void Walk::open_bridge(FunctionInfo& bridge, unsigned depth) {
  if (depth == kMaxDepth || next_bus_ > ecam_.last_bus()) {
    return count(inventory_.bridges_left, bridge.bdf);
  }
  EcamFunction config = ecam_.function(bridge.bdf);
  const unsigned bus = next_bus_++;
  bridge.secondary = static_cast<std::uint8_t>(bus);
  config.write(hp::kSecondaryBus, 1, bus);
  config.write(hp::kSubordinateBus, 1, ecam_.last_bus());
  find_bus(bus, depth + 1, &bridge);
  bridge.subordinate = static_cast<std::uint8_t>(next_bus_ - 1);
  config.write(hp::kSubordinateBus, 1, next_bus_ - 1);
}

/// Where the BAR may go besides the window below 4 GiB; null: nowhere.
Cursor* Walk::high_window(const Bar& bar, Reach reach) {
  // A bridge's window beyond 4 GiB is its prefetchable one; on the root bus nothing stands between
  // (PCIe 7.5.1.3.9).
  const bool high = bar.is64 && (reach == Reach::kEverything ||
                                 (reach == Reach::kPrefetchable64 && bar.prefetchable));
  return high ? &mem64_ : nullptr;
}

/// Room for `count` BARs like this one in a row; false: there is none.
bool Walk::place(Bar& bar, unsigned count, Reach reach) {
  // Each BAR has pages of its own, so that its pages can be given to a guest.
  const std::uint64_t each = bar.size < kPageSize ? kPageSize : bar.size;
  Cursor* cursor = high_window(bar, reach);
  auto at = cursor != nullptr ? cursor->take(count * each, each) : std::nullopt;
  if (!at) {
    cursor = &mem32_;
    at = cursor->take(count * each, each);
  }
  if (!at) return false;
  bar.bus = *at;
  bar.host = cursor->host(*at);
  return true;
}

void Walk::assign_bar(FunctionInfo& info, unsigned index, Reach reach) {
  Bar& bar = info.bars[index];
  if (bar.size == 0 || bar.io) return;
  if (!place(bar, 1, reach)) {
    info.placed = false;
    for (Bar& other : info.bars) other.size = 0;
    return;
  }
  EcamFunction config = ecam_.function(info.bdf);
  config.write(hp::bar_offset(index), 4, static_cast<std::uint32_t>(bar.bus));
  if (bar.is64) {
    config.write(hp::bar_offset(index + 1), 4, static_cast<std::uint32_t>(bar.bus >> 32));
  }
}

/// Room for all VFs or for none. The registers are written when VFs are switched on (SriovPf).
void Walk::assign_vfs(SriovInfo& info, Reach reach) {
  if (info.usable == 0) return;
  VfLimit trouble = VfLimit::kNone;
  for (unsigned i = 0; i < info.usable; ++i) {
    if (pci::find(inventory_, vf_bdf(info, i)) != nullptr) trouble = VfLimit::kBroken;
  }
  for (Bar& bar : info.bars) {
    // What others need more is not spent on functions that perhaps nobody switches on. Below 4 GiB
    // all the same where there is plenty: QEMU 10.0 maps igb's VFs by the lower half of the
    // address.
    const bool modest = bar.size <= mem32_.left() / 4 / info.usable;
    const bool high = high_window(bar, reach) != nullptr;
    const bool fine = bar.size == 0 || (modest && place(bar, info.usable, Reach::k32Bit)) ||
                      (high && place(bar, info.usable, reach));
    if (!fine) trouble = VfLimit::kNoRoom;
  }
  if (trouble == VfLimit::kNone) return;
  info.limit = trouble;
  info.usable = 0;
  info.bars = {};
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
  for (SriovInfo& info : inventory_.sriov) {
    if (info.pf.bus() == bus) assign_vfs(info, reach);
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

void enumerate(Ecam& ecam, const HostWindow& mem32, const HostWindow& mem64, Inventory& inventory) {
  Walk walk(ecam, mem32, mem64, inventory);
  walk.find_bus(ecam.first_bus(), 0, nullptr);
  walk.assign_root();
  find_groups(inventory);
  walk.finish();
}

}  // namespace penstock::pci
