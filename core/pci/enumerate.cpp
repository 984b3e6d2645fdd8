#include "core/pci/enumerate.hpp"

#include <array>
#include <optional>

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

constexpr std::uint64_t k4GiB = 4 * kGiB;

/// Hands out bus addresses of a host window from the bottom up: of the part of it below 4 GiB, or
/// of the part above.
class Cursor {
 public:
  Cursor() = default;
  Cursor(const HostWindow& window, bool upper)
      : end_(window.bus + window.size),
        offset_(window.host.value() - window.bus),
        upper_(upper),
        prefetchable_(window.prefetchable) {
    at_ = window.bus == 0 ? kBridgeGranule : window.bus;  // 0 in a BAR means unassigned to many
    if (upper && at_ < k4GiB) at_ = k4GiB;
    if (!upper && end_ > k4GiB) end_ = k4GiB;
  }
  /// To the next multiple; to the end where that would be 2^64.
  void align(std::uint64_t to) {
    const std::uint64_t next = align_up(at_, to);
    at_ = next < at_ ? end_ : next;
  }
  [[nodiscard]] std::uint64_t at() const { return at_; }
  [[nodiscard]] std::uint64_t left() const { return at_ < end_ ? end_ - at_ : 0; }
  [[nodiscard]] bool upper() const { return upper_; }
  [[nodiscard]] bool prefetchable() const { return prefetchable_; }
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t size, std::uint64_t alignment) {
    const std::uint64_t start = align_up(at_, alignment);
    if (start < at_ || !fits(start, size, end_)) return std::nullopt;
    at_ = start + size;
    return start;
  }
  [[nodiscard]] Hpa host(std::uint64_t bus) const { return Hpa(bus + offset_); }

 private:
  std::uint64_t at_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t offset_ = 0;
  bool upper_ = false;
  bool prefetchable_ = false;
};

/// Finds first, then decides where everything goes, and writes that last. find_bus() and
/// assign_bus() call themselves for each level of bridges: what they call is not inlined, so that a
/// level takes little of the stack.
class Walk {
 public:
  Walk(Ecam& ecam, std::span<const HostWindow> windows, Inventory& inventory)
      : ecam_(ecam), inventory_(inventory), next_bus_(ecam.first_bus() + 1) {
    for (const HostWindow& window : windows) {
      for (const bool upper : {false, true}) {
        const Cursor cursor(window, upper);
        if (cursor.left() != 0) (void)cursors_.push_back(cursor);  // room for both of each
      }
    }
  }

  void find_bus(unsigned bus, unsigned depth, FunctionInfo* bridge);
  void assign_root();
  void finish();

 private:
  /// What the bridges above a bus let through.
  enum class Reach : std::uint8_t { kEverything, kPrefetchable64, k32Bit };
  using Cursors = StaticVector<Cursor, 2 * kMaxHostWindows>;
  static constexpr std::size_t kNoWindow = 2 * kMaxHostWindows;
  /// Where what is behind a bridge of the root bus goes: a bridge forwards one range of each kind,
  /// so that all of it comes from one window of each kind.
  struct Choice {
    std::size_t low = kNoWindow;   // below 4 GiB, for everything
    std::size_t high = kNoWindow;  // above, for prefetchable BARs
  };

  void find_slot(unsigned bus, unsigned slot);
  [[nodiscard]] std::optional<FunctionInfo> find_function(HostBdf bdf);
  void find_link(FunctionInfo& port);
  void find_sriov(const FunctionInfo& pf, const FunctionInfo* port);
  void open_bridge(FunctionInfo& bridge, unsigned depth);
  void close_bridge(FunctionInfo& bridge);

  [[nodiscard]] bool is_open(std::size_t cursor, const Bar& bar, Reach reach) const;
  [[nodiscard]] bool place(Bar& bar, unsigned count, Reach reach);
  [[nodiscard]] std::uint64_t left32(const Bar& bar) const;
  void assign_bus(unsigned bus, Reach reach);
  void assign_bars(FunctionInfo& info, std::uint64_t size, Reach reach);
  void assign_vfs(std::size_t index, Reach reach);
  void assign_behind(std::size_t index, Reach reach);
  void choose_windows(std::size_t index);
  [[nodiscard]] unsigned left_out_behind(std::size_t index);

  void close_unplaced();
  void write_bars(const FunctionInfo& info);
  void write_windows(const FunctionInfo& bridge, const Forwarded& ranges);

  Ecam& ecam_;
  Inventory& inventory_;
  unsigned next_bus_;
  Cursors cursors_;
  std::optional<Choice> choice_;  // absent: on the root bus, where every window is open
  std::array<VfLimit, kMaxPhysicalFunctions> vf_limit_{};  // by the index of its SR-IOV
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

[[gnu::noinline]] void Walk::find_slot(unsigned bus, unsigned slot) {
  unsigned functions = 1;
  for (unsigned function = 0; function < functions; ++function) {
    const auto info = find_function(HostBdf(bus, slot, function));
    if (info && function == 0 && info->multi_function) functions = 8;
  }
}

/// The one device at the other end of a link (PCIe 7.3.1). Where both ends know alternative routing
/// IDs its functions are a chain over all 256 numbers (PCIe 6.13), else they are eight at most.
[[gnu::noinline]] void Walk::find_link(FunctionInfo& port) {
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
[[gnu::noinline]] void Walk::find_sriov(const FunctionInfo& pf, const FunctionInfo* port) {
  EcamFunction config = ecam_.function(pf.bdf);
  // Where BARs are fixed, so are those of VFs.
  if (pf.fixed_bars) return close_sriov(config, pf);
  if (inventory_.sriov.full()) {
    close_sriov(config, pf);
    return count(inventory_.sriov_left, pf.bdf);
  }
  SriovInfo info;
  // Only functions below a port with ARI may have other numbers than 0 to 7 of device 0.
  info.ari = port != nullptr && port->ari && pf.ari_at != 0;
  info.numbers = port == nullptr || info.ari ? 256 : 8;
  // VFs beyond the PF's bus take the next ones, which nobody has been given yet. On the root bus
  // those are the bridges'.
  info.last_bus = static_cast<std::uint8_t>(port == nullptr ? pf.bdf.bus() : ecam_.last_bus());
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

/// Whether the BAR may go to this window.
bool Walk::is_open(std::size_t cursor, const Bar& bar, Reach reach) const {
  const Cursor& at = cursors_[cursor];
  // What may be prefetched must stand it.
  if (at.prefetchable() && !bar.prefetchable) return false;
  if (choice_ && cursor != choice_->low && cursor != choice_->high) return false;
  if (!at.upper()) return true;
  // A bridge's window beyond 4 GiB is its prefetchable one; on the root bus nothing stands between
  // (PCIe 7.5.1.3.9).
  return bar.is64 &&
         (reach == Reach::kEverything || (reach == Reach::kPrefetchable64 && bar.prefetchable));
}

/// Room for `count` BARs like this one in a row, above 4 GiB if possible; false: there is none.
bool Walk::place(Bar& bar, unsigned count, Reach reach) {
  // Each BAR has pages of its own, so that its pages can be given to a guest.
  const std::uint64_t each = bar.size < kPageSize ? kPageSize : bar.size;
  for (const bool upper : {true, false}) {
    for (std::size_t i = 0; i < cursors_.size(); ++i) {
      Cursor& cursor = cursors_[i];
      if (cursor.upper() != upper || !is_open(i, bar, reach)) continue;
      const auto at = cursor.take(count * each, each);
      if (!at) continue;
      bar.bus = *at;
      bar.host = cursor.host(*at);
      return true;
    }
  }
  return false;
}

/// The most that a window below 4 GiB has left for such a BAR.
std::uint64_t Walk::left32(const Bar& bar) const {
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    if (!is_open(i, bar, Reach::k32Bit)) continue;
    if (cursors_[i].left() > most) most = cursors_[i].left();
  }
  return most;
}

[[gnu::noinline]] void Walk::assign_bars(FunctionInfo& info, std::uint64_t size, Reach reach) {
  for (Bar& bar : info.bars) {
    if (bar.size != size || bar.io || !info.placed) continue;
    info.placed = place(bar, 1, reach);
  }
}

/// Room for all VFs or for none. The registers are written when VFs are switched on (SriovPf).
[[gnu::noinline]] void Walk::assign_vfs(std::size_t index, Reach reach) {
  SriovInfo& info = inventory_.sriov[index];
  VfLimit trouble = VfLimit::kNone;
  for (unsigned i = 0; i < info.usable; ++i) {
    if (pci::find(inventory_, vf_bdf(info, i)) != nullptr) trouble = VfLimit::kBroken;
  }
  for (Bar& bar : info.bars) {
    if (info.usable == 0 || bar.size == 0) continue;
    // What others need more is not spent on functions that perhaps nobody switches on. Below 4 GiB
    // all the same where there is plenty: QEMU 10.0 maps igb's VFs by the lower half of the
    // address.
    const bool modest = bar.size <= left32(bar) / 4 / info.usable;
    const bool fine = (modest && place(bar, info.usable, Reach::k32Bit)) ||
                      (reach != Reach::k32Bit && bar.is64 && place(bar, info.usable, reach));
    if (!fine) trouble = VfLimit::kNoRoom;
  }
  vf_limit_[index] = trouble;
}

void Walk::assign_behind(std::size_t index, Reach reach) {
  const FunctionInfo& bridge = inventory_.functions[index];
  const auto at = [this](std::size_t cursor) {
    if (cursor == kNoWindow) return std::uint64_t{0};
    cursors_[cursor].align(kBridgeGranule);
    return cursors_[cursor].at();
  };
  Forwarded& ranges = inventory_.forwarded[index];
  ranges.start32 = at(choice_->low);
  ranges.start64 = at(choice_->high);
  const bool high = reach != Reach::k32Bit && bridge.prefetch64;
  assign_bus(bridge.secondary, high ? Reach::kPrefetchable64 : Reach::k32Bit);
  ranges.end32 = at(choice_->low);
  ranges.end64 = at(choice_->high);
}

/// How many functions behind the bridge had no room, with the windows that are chosen.
unsigned Walk::left_out_behind(std::size_t index) {
  const FunctionInfo& bridge = inventory_.functions[index];
  const auto behind = [&bridge](const FunctionInfo& info) {
    return info.bdf.bus() >= bridge.secondary && info.bdf.bus() <= bridge.subordinate;
  };
  for (FunctionInfo& info : inventory_.functions) {
    if (behind(info)) info.placed = !info.fixed_bars;
  }
  assign_behind(index, Reach::kEverything);
  unsigned left_out = 0;
  for (const FunctionInfo& info : inventory_.functions) {
    if (behind(info) && !info.placed) ++left_out;
  }
  for (std::size_t i = 0; i < inventory_.sriov.size(); ++i) {
    const FunctionInfo* pf = pci::find(inventory_, inventory_.sriov[i].pf);
    if (pf != nullptr && behind(*pf) && vf_limit_[i] == VfLimit::kNoRoom) ++left_out;
  }
  return left_out;
}

/// The first pair of windows that have room for everything behind a bridge of the root bus, or
/// those that leave the least out. At most as many tries as there are pairs.
[[gnu::noinline]] void Walk::choose_windows(std::size_t index) {
  const Cursors before = cursors_;
  Choice best;
  std::optional<unsigned> least;
  const auto attempt = [&](Choice choice) {
    cursors_ = before;
    choice_ = choice;
    const unsigned left_out = left_out_behind(index);
    if (least && *least <= left_out) return left_out == 0;
    least = left_out;
    best = choice;
    return left_out == 0;
  };
  const auto fits_low = [&](std::size_t i) {
    return i == kNoWindow || (!before[i].upper() && !before[i].prefetchable());
  };
  const auto fits_high = [&](std::size_t i) { return i == kNoWindow || before[i].upper(); };
  const std::size_t count = before.size();
  for (std::size_t l = 0; l <= count; ++l) {
    const std::size_t low = l == count ? kNoWindow : l;
    for (std::size_t h = 0; h <= count && fits_low(low); ++h) {
      const std::size_t high = h == count ? kNoWindow : h;
      if (fits_high(high) && attempt({low, high})) {
        choice_.reset();
        return;
      }
    }
  }
  (void)attempt(best);
  choice_.reset();
}

void Walk::assign_bus(unsigned bus, Reach reach) {
  // Largest first: natural alignment then wastes nothing. At most 60 sizes, each bounded by the
  // inventory.
  for (unsigned shift = 63; shift >= 4; --shift) {
    for (FunctionInfo& info : inventory_.functions) {
      if (info.bdf.bus() == bus) assign_bars(info, std::uint64_t{1} << shift, reach);
    }
  }
  for (std::size_t i = 0; i < inventory_.sriov.size(); ++i) {
    if (inventory_.sriov[i].pf.bus() == bus) assign_vfs(i, reach);
  }
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    const FunctionInfo& info = inventory_.functions[i];
    if (info.bdf.bus() != bus || !info.bridge || info.secondary == 0) continue;
    if (choice_) assign_behind(i, reach);
    if (!choice_) choose_windows(i);
  }
}

void Walk::assign_root() {
  for (FunctionInfo& info : inventory_.functions) info.placed = !info.fixed_bars;
  assign_bus(ecam_.first_bus(), Reach::kEverything);
}

void Walk::write_bars(const FunctionInfo& info) {
  EcamFunction config = ecam_.function(info.bdf);
  for (unsigned i = 0; i < info.bars.size(); ++i) {
    const Bar& bar = info.bars[i];
    if (bar.size == 0 || bar.io) continue;
    config.write(hp::bar_offset(i), 4, static_cast<std::uint32_t>(bar.bus));
    if (bar.is64) {
      config.write(hp::bar_offset(i + 1), 4, static_cast<std::uint32_t>(bar.bus >> 32));
    }
  }
}

void Walk::write_windows(const FunctionInfo& bridge, const Forwarded& ranges) {
  EcamFunction config = ecam_.function(bridge.bdf);
  // base > limit closes a window. Registers hold address bits 31:20 in their bits 15:4.
  const auto base = [](std::uint64_t a) { return static_cast<std::uint32_t>(a >> 16) & 0xfff0; };
  const bool any32 = ranges.end32 != ranges.start32;
  const bool any64 = ranges.end64 != ranges.start64;
  const std::uint64_t last64 = ranges.end64 - 1;
  config.write(hp::kMemoryBase, 2, any32 ? base(ranges.start32) : 0xfff0);
  config.write(hp::kMemoryLimit, 2, any32 ? base(ranges.end32 - 1) : 0);
  config.write(hp::kPrefetchBase, 2, any64 ? base(ranges.start64) : 0xfff0);
  config.write(hp::kPrefetchLimit, 2, any64 ? base(last64) : 0);
  config.write(hp::kPrefetchBaseHi, 4,
               any64 ? static_cast<std::uint32_t>(ranges.start64 >> 32) : ~0U);
  config.write(hp::kPrefetchLimitHi, 4, any64 ? static_cast<std::uint32_t>(last64 >> 32) : 0);
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

/// A bridge without an address for its own registers decodes no memory: nothing that is behind it
/// can be reached either.
void Walk::close_unplaced() {
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    const FunctionInfo& bridge = inventory_.functions[i];
    if (bridge.placed || !bridge.bridge || bridge.secondary == 0) continue;
    for (FunctionInfo& info : inventory_.functions) {
      const unsigned bus = info.bdf.bus();
      if (bus >= bridge.secondary && bus <= bridge.subordinate) info.placed = false;
    }
  }
}

void Walk::finish() {
  close_unplaced();
  constexpr std::uint32_t kNothing = hp::command::InterruptDisable::kMask;
  constexpr std::uint32_t kEndpoint = kNothing | hp::command::MemorySpace::kMask;
  constexpr std::uint32_t kBridge = hp::command::BusMaster::kMask;  // what is behind it masters
  for (std::size_t i = 0; i < inventory_.functions.size(); ++i) {
    FunctionInfo& info = inventory_.functions[i];
    if (!info.placed) {
      for (Bar& bar : info.bars) bar.size = 0;
    }
    write_bars(info);
    EcamFunction config = ecam_.function(info.bdf);
    if (info.bridge && info.secondary != 0) write_windows(info, inventory_.forwarded[i]);
    enable_acs(config, info);
    const std::uint32_t decodes = info.placed ? kEndpoint : kNothing;
    config.write(hp::kCommand, 2, decodes | (info.bridge ? kBridge : 0));
  }
  for (std::size_t i = 0; i < inventory_.sriov.size(); ++i) {
    if (vf_limit_[i] == VfLimit::kNone || inventory_.sriov[i].usable == 0) continue;
    inventory_.sriov[i].limit = vf_limit_[i];
    inventory_.sriov[i].usable = 0;
    inventory_.sriov[i].bars = {};
  }
}

}  // namespace

void enumerate(Ecam& ecam, std::span<const HostWindow> windows, Inventory& inventory) {
  Walk walk(ecam,
            windows.first(windows.size() < kMaxHostWindows ? windows.size() : kMaxHostWindows),
            inventory);
  walk.find_bus(ecam.first_bus(), 0, nullptr);
  walk.assign_root();
  find_groups(inventory);
  walk.finish();
}

}  // namespace penstock::pci
