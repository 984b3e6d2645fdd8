#include "core/manifest/device_tree.hpp"

#include <libfdt.h>

namespace penstock::manifest {
namespace {

constexpr unsigned kMostCells = 4;      // of an address, a size or an interrupt
constexpr unsigned kMostMappings = 4;   // interrupt maps in a row
constexpr unsigned kMostExtended = 16;  // entries of interrupts-extended
constexpr unsigned kMostInMap = 256;    // entries of an interrupt map
constexpr unsigned kMostRanges = 256;   // entries of a bus's ranges
constexpr unsigned kDefaultAddressCells = 2;
constexpr unsigned kDefaultSizeCells = 1;

// Interrupt kinds of the arm,gic-v3 binding, and the INTIDs of IHI 0069 2.2.1.
constexpr std::uint32_t kSpi = 0;
constexpr std::uint32_t kPpi = 1;
constexpr unsigned kFirstPpi = 16;
constexpr unsigned kFirstSpi = 32;
constexpr unsigned kSpiEnd = 1020;

/// A count of cells that a node sets for its children; nothing when it cannot be one.
std::optional<unsigned> count_of(const DeviceTree& tree, int node, const char* name,
                                 unsigned otherwise) {
  const Cells value = tree.cells(node, name);
  if (value.count == 0) return otherwise;
  if (value.at(0) > kMostCells) return std::nullopt;
  return value.at(0);
}

/// How many cells an address and a size have below a bus on the way to memory.
struct BusCells {
  unsigned address = 0;
  unsigned size = 0;
};

std::optional<BusCells> bus_cells(const DeviceTree& tree, int bus) {
  const auto address = count_of(tree, bus, "#address-cells", kDefaultAddressCells);
  const auto size = count_of(tree, bus, "#size-cells", kDefaultSizeCells);
  if (!address || !size || *address < 1 || *address > 2 || *size > 2) return std::nullopt;
  return BusCells{*address, *size};
}

Found<unsigned> intid_of(std::uint32_t kind, std::uint32_t number) {
  if (kind == kSpi && number < kSpiEnd - kFirstSpi) return {kFirstSpi + number, {}};
  if (kind == kPpi && number < kFirstSpi - kFirstPpi) return {kFirstPpi + number, {}};
  return {{}, "its interrupt is beyond those that a GICv3 has"};
}

}  // namespace

std::uint32_t Cells::at(unsigned i) const {
  if (i >= count) return 0;
  const unsigned char* b = data + std::size_t{4} * i;
  return static_cast<std::uint32_t>(b[0]) << 24 | static_cast<std::uint32_t>(b[1]) << 16 |
         static_cast<std::uint32_t>(b[2]) << 8 | b[3];
}

std::uint64_t Cells::number(unsigned first, unsigned cells) const {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < cells; ++i) value = value << 32 | at(first + i);
  return value;
}

NodePath NodePath::above() const {
  NodePath up = *this;
  up.nodes.erase(up.nodes.size() - 1);
  return up;
}

NodePath DeviceTree::root() const {
  NodePath path;
  (void)path.nodes.push_back(0);
  return path;
}

bool DeviceTree::next(NodePath& at) const {
  int depth = static_cast<int>(at.nodes.size()) - 1;
  int node = at.node();
  do {
    node = fdt_next_node(fdt_, node, &depth);
    if (node < 0 || depth < 1) return false;
  } while (depth >= static_cast<int>(kMaxTreeDepth));
  while (at.nodes.size() > static_cast<std::size_t>(depth)) at.nodes.erase(at.nodes.size() - 1);
  return at.nodes.push_back(node).has_value();
}

bool DeviceTree::next_compatible(NodePath& at, const char* compatible) const {
  while (next(at)) {
    if (this->compatible(at.node(), compatible) && enabled(at)) return true;
  }
  return false;
}

std::optional<NodePath> DeviceTree::at_offset(int node) const {
  NodePath path = root();
  while (path.node() != node) {
    if (!next(path)) return std::nullopt;
  }
  return path;
}

std::optional<NodePath> DeviceTree::with_phandle(std::uint32_t phandle) const {
  if (phandle == 0) return std::nullopt;
  for (const Known& each : known_) {
    if (each.phandle == phandle) return each.path;
  }
  if (searches_ == kMostSearches) return std::nullopt;
  Known& known = known_[searches_++ % known_.size()];
  known = {phandle, search(phandle)};
  return known.path;
}

std::optional<NodePath> DeviceTree::search(std::uint32_t phandle) const {
  NodePath path = root();
  do {
    if (fdt_get_phandle(fdt_, path.node()) == phandle) return path;
  } while (next(path));
  return std::nullopt;
}

bool DeviceTree::has(int node, const char* property) const {
  return fdt_getprop(fdt_, node, property, nullptr) != nullptr;
}

Cells DeviceTree::cells(int node, const char* property) const {
  int length = 0;
  const void* data = fdt_getprop(fdt_, node, property, &length);
  if (data == nullptr || length < 4) return {};
  return {static_cast<const unsigned char*>(data), static_cast<unsigned>(length) / 4};
}

std::string_view DeviceTree::text(int node, const char* property) const {
  int length = 0;
  const void* data = fdt_getprop(fdt_, node, property, &length);
  if (data == nullptr || length <= 0) return {};
  const std::string_view all{static_cast<const char*>(data), static_cast<std::size_t>(length)};
  return all.substr(0, all.find('\0'));
}

bool DeviceTree::compatible(int node, const char* kind) const {
  return fdt_node_check_compatible(fdt_, node, kind) == 0;
}

bool DeviceTree::enabled(const NodePath& path) const {
  for (const int node : path.nodes) {
    if (has(node, "status") && !text(node, "status").starts_with("ok")) return false;
  }
  return true;
}

bool DeviceTree::coherent(const NodePath& path) const {
  for (std::size_t i = path.nodes.size(); i-- > 0;) {
    if (has(path.nodes[i], "dma-noncoherent")) return false;
    if (has(path.nodes[i], "dma-coherent")) return true;
  }
  return false;
}

Found<MemoryRange> DeviceTree::translate(const NodePath& bus, std::uint64_t address,
                                         std::uint64_t size) const {
  for (NodePath at = bus; !at.is_root(); at = at.above()) {
    if (!has(at.node(), "ranges")) return {{}, "a bus above it has no ranges"};
    const auto below = bus_cells(*this, at.node());
    const auto above = bus_cells(*this, at.above().node());
    if (!below || !above) return {{}, "a bus above it has cells of an unusual size"};
    const Cells ranges = cells(at.node(), "ranges");
    if (ranges.count == 0) continue;  // the addresses are those of the bus above
    const unsigned entry = below->address + above->address + below->size;
    bool found = false;
    for (unsigned n = 0, i = 0; n < kMostRanges && i + entry <= ranges.count && !found;
         ++n, i += entry) {
      const std::uint64_t start = ranges.number(i, below->address);
      const std::uint64_t bytes = ranges.number(i + below->address + above->address, below->size);
      if (address < start || !fits(address - start, size, bytes)) continue;
      address = ranges.number(i + below->address, above->address) + (address - start);
      found = true;
    }
    if (!found) return {{}, "its address is outside the ranges of a bus above it"};
  }
  if (address + size < address) return {{}, "its address runs over the end of the address space"};
  return {MemoryRange{Hpa(address), size}, {}};
}

unsigned DeviceTree::reg_count(const NodePath& path) const {
  const auto bus = path.is_root() ? std::nullopt : bus_cells(*this, path.above().node());
  if (!bus) return 0;
  const unsigned count = cells(path.node(), "reg").count / (bus->address + bus->size);
  return count > kMostRegisters ? kMostRegisters + 1 : count;
}

Found<MemoryRange> DeviceTree::reg(const NodePath& path, unsigned index) const {
  if (path.is_root()) return {{}, "the root has no address"};
  const NodePath bus = path.above();
  const auto bus_has = bus_cells(*this, bus.node());
  if (!bus_has) return {{}, "the bus above it has cells of an unusual size"};
  const Cells cells = this->cells(path.node(), "reg");
  const unsigned entry = bus_has->address + bus_has->size;
  if (cells.count / entry <= index) return {{}, "it has no such register range"};
  const unsigned first = index * entry;
  return translate(bus, cells.number(first, bus_has->address),
                   cells.number(first + bus_has->address, bus_has->size));
}

/// An interrupt as the controller or the map that is responsible for it understands it.
struct DeviceTree::Specifier {
  NodePath parent;
  std::uint64_t unit = 0;  // address of the device, for a map
  StaticVector<std::uint32_t, kMostCells> cells;
};

std::optional<NodePath> DeviceTree::interrupt_parent(const NodePath& path) const {
  for (NodePath at = path;; at = at.above()) {
    const Cells named = cells(at.node(), "interrupt-parent");
    if (named.count != 0) return with_phandle(named.at(0));
    if (at.is_root()) return std::nullopt;
    const bool serves = has(at.above().node(), "#interrupt-cells");
    if (serves) return at.above();
  }
}

Found<DeviceTree::Specifier> DeviceTree::taken(const NodePath& path, const NodePath& parent,
                                               const Cells& from, unsigned first) const {
  Specifier out;
  const auto bus = path.is_root() ? std::nullopt : bus_cells(*this, path.above().node());
  if (bus) out.unit = cells(path.node(), "reg").number(0, bus->address);
  const auto count = count_of(*this, parent.node(), "#interrupt-cells", 0);
  if (!count || *count == 0) return {{}, "its interrupt parent has no usable #interrupt-cells"};
  if (first + *count > from.count) return {{}, "it has no such interrupt"};
  out.parent = parent;
  for (unsigned k = 0; k < *count; ++k) (void)out.cells.push_back(from.at(first + k));
  return {out, {}};
}

Found<DeviceTree::Specifier> DeviceTree::specifier(const NodePath& path, unsigned index) const {
  constexpr std::string_view kLost = "its interrupt parent is not in the tree";
  const Cells extended = cells(path.node(), "interrupts-extended");
  if (extended.count == 0) {
    const auto parent = interrupt_parent(path);
    if (!parent) return {{}, kLost};
    const Cells plain = cells(path.node(), "interrupts");
    const auto count = count_of(*this, parent->node(), "#interrupt-cells", 0);
    return taken(path, *parent, plain, index * count.value_or(0));
  }
  unsigned at = 0;  // of an entry: the controller, then as many cells as it says
  for (unsigned i = 0; i < kMostExtended && at < extended.count; ++i) {
    const auto parent = with_phandle(extended.at(at));
    if (!parent) return {{}, kLost};
    if (i == index) return taken(path, *parent, extended, at + 1);
    const auto count = count_of(*this, parent->node(), "#interrupt-cells", 0);
    if (!count) break;
    at += 1 + *count;
  }
  return {{}, "it has no such interrupt"};
}

/// One step through an interrupt-map (release 0.4, 2.4.3).
Found<DeviceTree::Specifier> DeviceTree::map(const Specifier& from) const {
  constexpr std::string_view kBad = "the interrupt-map above it is damaged";
  const int nexus = from.parent.node();
  const Cells map = cells(nexus, "interrupt-map");
  const Cells mask = cells(nexus, "interrupt-map-mask");
  const auto address = count_of(*this, nexus, "#address-cells", 0);
  if (!address) return {{}, kBad};
  const auto width = static_cast<unsigned>(from.cells.size());
  const unsigned key = *address + width;
  const auto wanted = [&](unsigned i) {
    if (i >= *address) return from.cells[i - *address];
    const unsigned below = *address - 1 - i;  // cells of lesser weight
    return below > 1 ? 0 : static_cast<std::uint32_t>(from.unit >> (32 * below));
  };
  for (unsigned at = 0, n = 0; at < map.count && n < kMostInMap; ++n) {
    const auto parent = with_phandle(map.at(at + key));
    if (!parent) return {{}, kBad};
    const auto parent_address = count_of(*this, parent->node(), "#address-cells", 0);
    const auto parent_cells = count_of(*this, parent->node(), "#interrupt-cells", 0);
    if (!parent_address || !parent_cells) return {{}, kBad};
    const unsigned first = at + key + 1 + *parent_address;
    if (*parent_cells == 0 || first + *parent_cells > map.count) return {{}, kBad};
    bool same = true;
    for (unsigned i = 0; i < key; ++i) {
      const std::uint32_t looked_at = i < mask.count ? mask.at(i) : ~0U;
      same = same && ((wanted(i) ^ map.at(at + i)) & looked_at) == 0;
    }
    if (same) {
      Specifier out;
      out.parent = *parent;
      out.unit = map.number(at + key + 1, *parent_address);
      for (unsigned k = 0; k < *parent_cells; ++k) (void)out.cells.push_back(map.at(first + k));
      return {out, {}};
    }
    at = first + *parent_cells;
  }
  return {{}, "the interrupt-map above it does not have its interrupt"};
}

Found<unsigned> DeviceTree::interrupt(const NodePath& path, unsigned index) const {
  auto at = specifier(path, index);
  for (unsigned steps = 0; at && has(at->parent.node(), "interrupt-map"); ++steps) {
    if (steps == kMostMappings) return {{}, "too many interrupt maps in a row are above it"};
    at = map(*at);
  }
  if (!at) return {{}, at.why};
  if (!compatible(at->parent.node(), "arm,gic-v3") || at->cells.size() < 3) {
    return {{}, "its interrupt does not go to the GICv3 itself"};
  }
  return intid_of(at->cells[0], at->cells[1]);
}

Found<unsigned> DeviceTree::named_interrupt(const NodePath& path, const char* name) const {
  const int index = fdt_stringlist_search(fdt_, path.node(), "interrupt-names", name);
  if (index < 0) return {{}, "it has no interrupt of that name"};
  return interrupt(path, static_cast<unsigned>(index));
}

}  // namespace penstock::manifest
