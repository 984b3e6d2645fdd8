// PCI of the board: the host bridge that is driven, the SMMU and the ITS that it says its devices
// are behind, and the units of both kinds that nobody will drive.
#include <libfdt.h>

#include "core/manifest/board_reader.hpp"

namespace penstock::manifest {
namespace {

constexpr std::uint64_t kSmmuFrames = 128 * kKiB;  // pages 0 and 1 (IHI 0070 6.1)
// Of an ITS: its control registers, and after them those that messages are written to
// (IHI 0069 12.18). One that is only switched off needs the first.
constexpr std::uint64_t kItsFrame = 64 * kKiB;
constexpr std::uint64_t kItsFrames = 2 * kItsFrame;
constexpr unsigned kFirstSpi = 32;        // IHI 0069 2.2.1
constexpr std::uint64_t kEcamBus = kMiB;  // configuration space of one bus
constexpr const char* kBridgeKind = "pci-host-ecam-generic";

/// What the two maps have in common (bindings pci-iommu and pci-msi).
struct MapKind {
  const char* map;
  const char* mask;
  const char* unit;   // compatible
  const char* cells;  // of the unit: how many an ID has
};
constexpr MapKind kIommuMap = {"iommu-map", "iommu-map-mask", "arm,smmu-v3", "#iommu-cells"};
constexpr MapKind kMsiMap = {"msi-map", "msi-map-mask", "arm,gic-v3-its", "#msi-cells"};

constexpr unsigned kMostBridges = 64;  // whose units are looked for
constexpr unsigned kMostUsers = 1024;  // of memory that firmware uses

constexpr unsigned kMapEntry = 4;  // requester ID, unit, ID there, length

/// Why a unit that a map names cannot be used; empty: it can.
std::string_view trouble(const DeviceTree& tree, const std::optional<NodePath>& unit,
                         const MapKind& kind) {
  if (!unit) return "which is not in the tree";
  if (!tree.enabled(*unit)) return "which is switched off (status)";
  if (!tree.compatible(unit->node(), kind.unit)) return "which Penstock does not drive";
  if (tree.cells(unit->node(), kind.cells).at(0) != 1) return "whose IDs are not one cell";
  return {};
}

TextWriter& name(TextWriter& out, const BridgeWindow& window) {
  out.text("its window at ").hex(window.host.value()).text(", ").hex(window.size);
  return out.text(" bytes, ");
}

/// Whether any requester ID has an ID at the unit.
bool has_usable(const IdMapBoard& map) {
  for (const IdMapEntry& each : map.entries) {
    if (!each.elsewhere) return true;
  }
  return false;
}

/// Units that were complained about: a map names the same one many times.
class Told {
 public:
  bool add(std::uint32_t phandle) {
    for (const std::uint32_t each : known_) {
      if (each == phandle) return false;
    }
    (void)known_.push_back(phandle);  // when full, some are told twice
    return true;
  }

 private:
  StaticVector<std::uint32_t, 8> known_;
};

/// A host bridge stands on a bus that is not PCI itself; ports below it have the same type.
bool is_bridge(const DeviceTree& tree, const NodePath& path) {
  return !path.is_root() && tree.text(path.node(), "device_type") == "pci" &&
         tree.text(path.above().node(), "device_type") != "pci";
}

bool is_driven(const DeviceTree& tree, const NodePath& path) {
  return is_bridge(tree, path) && tree.enabled(path) && tree.compatible(path.node(), kBridgeKind);
}

/// Whether the bridge names a usable unit in its map, or as the parent of all its messages.
bool names_unit(const DeviceTree& tree, const NodePath& bridge, const MapKind& kind) {
  const Cells map = tree.cells(bridge.node(), kind.map);
  if (map.count < kMapEntry) {
    const Cells parent = tree.cells(bridge.node(), "msi-parent");
    return &kind == &kMsiMap && trouble(tree, tree.with_phandle(parent.at(0)), kind).empty();
  }
  return trouble(tree, tree.with_phandle(map.at(1)), kind).empty();
}

/// The bridge that is driven: the first whose devices can be given out, else the first.
std::optional<NodePath> choose(const DeviceTree& tree) {
  std::optional<NodePath> first;
  unsigned seen = 0;
  for (NodePath at = tree.root(); tree.next(at);) {
    if (!is_driven(tree, at)) continue;
    if (seen++ == kMostBridges) break;
    if (names_unit(tree, at, kIommuMap) && names_unit(tree, at, kMsiMap)) return at;
    if (!first) first = at;
  }
  return first;
}

class BridgeReader {
 public:
  BridgeReader(BoardReader& reader, const NodePath& path) : r_(reader), path_(path) {}

  /// All but the windows.
  void read();
  /// When everything else that has addresses was read.
  void read_windows();

 private:
  void refuse(std::string_view what) { r_.say(path_.node(), Weight::kNoDevices, what); }
  bool read_ecam();
  bool read_inbound();
  void add_window(const BridgeWindow& window);
  void drop_windows_over(const NodePath& other, const MemoryRange& range);
  void drop_windows_over_others();
  std::optional<NodePath> read_map(const MapKind& kind, IdMapBoard& out);
  void add_entry(const Cells& map, unsigned at, bool elsewhere, IdMapBoard& out);
  std::optional<NodePath> read_msi_parent();
  void read_smmu();
  void read_its();

  BoardReader& r_;
  const NodePath& path_;
};

void BridgeReader::read() {
  if (!read_ecam()) return;
  if (!read_inbound()) return;
  read_smmu();
  read_its();
}

bool BridgeReader::read_ecam() {
  const DeviceTree& tree = r_.tree;
  const Cells buses = tree.cells(path_.node(), "bus-range");
  const std::uint32_t first = buses.at(0);
  const std::uint32_t last = buses.count >= 2 ? buses.at(1) : 255;
  if (first > last || last > 255) {
    refuse("its bus-range runs backwards or beyond 255");
    return false;
  }
  if (tree.cells(path_.node(), "#address-cells").at(0) != 3 ||
      tree.cells(path_.node(), "#size-cells").at(0) != 2) {
    refuse("its children's addresses are not those of PCI");
    return false;
  }
  const auto ecam = r_.registers(path_, 0, kEcamBus, Weight::kNoDevices);
  if (!ecam) return false;
  r_.board.bridge.emplace();
  r_.board.bridge->ecam = *ecam;
  r_.board.bridge->bus_first = first;
  r_.board.bridge->bus_last = last;
  r_.board.bridge->coherent = tree.coherent(path_);
  if (ecam->size / kEcamBus <= last - first) {
    r_.say(path_.node(), Weight::kRemark, "its ECAM ends before its bus-range does");
  }
  return true;
}

/// Devices have to find memory where CPUs find it: a guest is told nothing else.
bool BridgeReader::read_inbound() {
  const DeviceTree& tree = r_.tree;
  const Cells ranges = tree.cells(path_.node(), "dma-ranges");
  const Cells above = tree.cells(path_.above().node(), "#address-cells");
  const unsigned host = above.count == 0 ? 2 : above.at(0);
  const unsigned entry = 3 + host + 2;
  for (unsigned i = 0; host <= 2 && i + entry <= ranges.count; i += entry) {
    if (ranges.number(i + 1, 2) == ranges.number(i + 3, host)) continue;
    refuse("its devices see memory at other addresses than CPUs do (dma-ranges)");
    return false;
  }
  return true;
}

void BridgeReader::read_windows() {
  const DeviceTree& tree = r_.tree;
  const Cells above = tree.cells(path_.above().node(), "#address-cells");
  const unsigned host = above.count == 0 ? 2 : above.at(0);
  const Cells ranges = tree.cells(path_.node(), "ranges");
  // IEEE 1275 PCI: flags and the bus address, then the CPU's address, then the size.
  const unsigned entry = 3 + host + 2;
  for (unsigned i = 0; host >= 1 && host <= 2 && i + entry <= ranges.count; i += entry) {
    // 2 and 3: memory of 32 and of 64 bits. What a window can hold follows from its address.
    const unsigned space = (ranges.at(i) >> 24) & 3;
    if (space < 2) continue;
    BridgeWindow window;
    window.bus = ranges.number(i + 1, 2);
    window.size = ranges.number(i + 3 + host, 2);
    window.prefetchable = (ranges.at(i) & 0x4000'0000) != 0;
    const auto at = tree.translate(path_.above(), ranges.number(i + 3, host), window.size);
    if (!at) {
      BoardReader::Message text;
      text.text("its window at bus address ").hex(window.bus).text(" is not used: ").text(at.why);
      r_.say(path_.node(), Weight::kRemark, text);
      continue;
    }
    window.host = at->base;
    if (window.size != 0) add_window(window);
  }
  drop_windows_over_others();
  if (r_.board.bridge->windows.empty()) refuse("it has no memory window that can be used");
}

void BridgeReader::add_window(const BridgeWindow& window) {
  auto& windows = r_.board.bridge->windows;
  std::string_view why;
  if (window.bus + window.size < window.bus) why = "runs over the end of the address space";
  if (why.empty() && !r_.is_free({window.host, window.size})) {
    why = "lies over memory, over registers, or beyond 48 bits";
  }
  for (const MemoryRange& reserved : r_.board.reserved) {
    if (why.empty() && share_pages({window.host, window.size}, reserved)) {
      why = "lies over reserved memory";
    }
  }
  for (const BridgeWindow& other : windows) {
    if (why.empty() && overlaps(window.bus, window.size, other.bus, other.size)) {
      why = "lies over another one";
    }
  }
  if (why.empty() && !windows.push_back(window)) why = "is one too many";
  if (why.empty()) return;
  BoardReader::Message text;
  name(text, window).text(why).text(": not used");
  r_.say(path_.node(), Weight::kRemark, text);
}

/// A guest gets a part of a window: nothing else may answer there, whether Penstock drives it, left
/// it out (memory that was not used), or does not know what it is.
void BridgeReader::drop_windows_over_others() {
  const DeviceTree& tree = r_.tree;
  for (NodePath at = tree.root(); tree.next(at);) {
    const bool deeper = at.nodes.size() > path_.nodes.size();
    const std::size_t last = (deeper ? path_ : at).nodes.size() - 1;
    const bool own = at.nodes[last] == path_.nodes[last];  // or of a bus above
    if (own || !tree.enabled(at)) continue;
    const unsigned entries = tree.reg_count(at);
    for (unsigned i = 0; i < entries && i < kMostRegisters; ++i) {
      const auto range = tree.reg(at, i);
      if (range && range->size != 0) drop_windows_over(at, *range);
    }
  }
}

void BridgeReader::drop_windows_over(const NodePath& other, const MemoryRange& range) {
  auto& windows = r_.board.bridge->windows;
  for (std::size_t i = windows.size(); i-- > 0;) {
    const BridgeWindow& window = windows[i];
    if (!share_pages({window.host, window.size}, range)) continue;
    BoardReader::Message text;
    name(text, window).text("is not used: it lies over ");
    r_.say(path_.node(), Weight::kRemark, r_.name(text, other).view());
    windows.erase(i);
  }
}

/// Which unit the map's entries are about: the first usable one that it names. What is at another
/// one has no ID.
std::optional<NodePath> BridgeReader::read_map(const MapKind& kind, IdMapBoard& out) {
  const DeviceTree& tree = r_.tree;
  const Cells map = tree.cells(path_.node(), kind.map);
  const Cells mask = tree.cells(path_.node(), kind.mask);
  if (mask.count != 0) out.mask = mask.at(0);
  if (map.count % kMapEntry != 0 || map.count / kMapEntry > kMaxIdMapEntries) {
    BoardReader::Message text;
    text.text("its ").text(kind.map).text(" is damaged or too long");
    refuse(text.view());
    return std::nullopt;
  }
  std::optional<NodePath> used;
  std::uint32_t used_phandle = 0;
  Told told;
  for (unsigned i = 0; i < map.count; i += kMapEntry) {
    const std::uint32_t phandle = map.at(i + 1);
    bool elsewhere = !used || phandle != used_phandle;
    if (elsewhere && told.add(phandle)) {
      const auto unit = tree.with_phandle(phandle);
      std::string_view why = trouble(tree, unit, kind);
      if (why.empty() && !used) {
        used = unit;
        used_phandle = phandle;
        elsewhere = false;
      } else {
        if (why.empty()) why = "which is not the one that Penstock drives";
        BoardReader::Message text;
        text.text("from requester ID ").hex(map.at(i)).text(" on, its ").text(kind.map);
        text.text(" names ");
        if (unit) r_.name(text, *unit).text(", ");
        text.text(why).text(": devices there are given to nobody");
        r_.say(path_.node(), Weight::kRemark, text);
      }
    }
    add_entry(map, i, elsewhere, out);
  }
  return has_usable(out) ? used : std::nullopt;
}

void BridgeReader::add_entry(const Cells& map, unsigned at, bool elsewhere, IdMapBoard& out) {
  const IdMapEntry entry{map.at(at), map.at(at + 2), map.at(at + 3), elsewhere};
  if (entry.length == 0) return;
  const bool wraps = entry.out + (entry.length - 1) < entry.out;
  const bool masked = (entry.rid & ~out.mask) != 0;
  (void)out.entries.push_back(entry);  // the map's length was checked
  if (!wraps && !masked) return;
  out.entries.back().elsewhere = true;
  BoardReader::Message text;
  text.text("the entry for requester ID ").hex(entry.rid);
  text.text(wraps ? " leads beyond 32 bits" : " is outside its map's mask");
  text.text(": devices there are given to nobody");
  r_.say(path_.node(), Weight::kRemark, text);
}

/// Without a map every requester ID is the device ID at the one controller.
std::optional<NodePath> BridgeReader::read_msi_parent() {
  const Cells parent = r_.tree.cells(path_.node(), "msi-parent");
  if (parent.count == 0) return std::nullopt;
  const auto unit = r_.tree.with_phandle(parent.at(0));
  const std::string_view why = trouble(r_.tree, unit, kMsiMap);
  if (why.empty()) {
    (void)r_.board.bridge->msi_map.entries.push_back({0, 0, 0x1'0000, false});
    return unit;
  }
  BoardReader::Message text;
  text.text("its messages go to ");
  if (unit) r_.name(text, *unit).text(", ");
  text.text(why);
  r_.say(path_.node(), Weight::kRemark, text);
  return std::nullopt;
}

void BridgeReader::read_smmu() {
  const DeviceTree& tree = r_.tree;
  const auto unit = read_map(kIommuMap, r_.board.bridge->iommu_map);
  if (!unit) {
    return refuse(
        "no SMMUv3 is named for its devices (iommu-map) in a way that can be used: "
        "nothing isolates them");
  }
  const auto registers = r_.registers(*unit, 0, kSmmuFrames, Weight::kNoDevices);
  if (!registers) return;
  SmmuBoard smmu{*registers, 0, 0};
  const bool combined =
      fdt_stringlist_search(tree.fdt(), unit->node(), "interrupt-names", "combined") >= 0;
  const auto events = tree.named_interrupt(*unit, combined ? "combined" : "eventq");
  if (!events) {
    BoardReader::Message text;
    text.text("nobody would hear of its faults: ").text(events.why);
    return r_.say(unit->node(), Weight::kNoDevices, text);
  }
  smmu.event_intid = *events;
  if (*events < kFirstSpi) {
    return r_.say(unit->node(), Weight::kNoDevices,
                  "nobody would hear of its faults: their interrupt is one CPU's own");
  }
  const auto errors = tree.named_interrupt(*unit, combined ? "combined" : "gerror");
  const bool usable = errors && *errors >= kFirstSpi;
  // On the line of the events: 0, so that both are looked at there.
  if (usable && *errors != *events) smmu.gerror_intid = *errors;
  if (!usable) r_.say(unit->node(), Weight::kRemark, "its error interrupt cannot be used");
  r_.board.smmu = smmu;
}

void BridgeReader::read_its() {
  if (!r_.board.gic) return;
  const bool mapped = r_.tree.cells(path_.node(), kMsiMap.map).count != 0;
  const auto unit = mapped ? read_map(kMsiMap, r_.board.bridge->msi_map) : read_msi_parent();
  if (!unit) {
    return refuse(
        "no GICv3 ITS is named for its messages (msi-map) in a way that can be used: "
        "nothing checks their sender");
  }
  r_.board.gic->its = r_.registers(*unit, 0, kItsFrames, Weight::kNoDevices);
}

}  // namespace

void BoardReader::read_pci() {
  const auto driven = choose(tree);
  tell_other_bridges(driven);
  if (driven) {
    BridgeReader(*this, *driven).read();
    if (board.bridge) read_firmware_memory(*driven);
  } else {
    say(0, Weight::kNoDevices, "there is no PCI host bridge with a generic ECAM");
  }
  read_idle_units();
  if (board.bridge) BridgeReader(*this, *driven).read_windows();
}

void BoardReader::tell_other_bridges(const std::optional<NodePath>& driven) {
  for (NodePath at = tree.root(); tree.next(at);) {
    if (!is_bridge(tree, at) || (driven && at.node() == driven->node())) continue;
    BoardReader::Message text;
    text.text("a host bridge of kind ").text(tree.text(at.node(), "compatible").substr(0, 60));
    if (!tree.enabled(at)) {
      text.text(" that is switched off (status)");
    } else if (is_driven(tree, at)) {
      text.text(", of which Penstock drives one: its devices are given to nobody");
    } else {
      text.text(", which Penstock does not drive: its devices are given to nobody");
    }
    say(at.node(), Weight::kRemark, text);
  }
}

/// What reserved memory is for, if it is for functions behind the bridge: in `iommu-addresses` a
/// device each, then where the device sees the memory, in cells as its own `reg` has them.
void BoardReader::read_firmware_memory(const NodePath& bridge) {
  const int parent = fdt_path_offset(tree.fdt(), "/reserved-memory");
  int node = 0;
  if (parent < 0) return;
  fdt_for_each_subnode(node, tree.fdt(), parent) {
    if (!tree.has(node, "iommu-addresses")) continue;
    const auto memory = reserved_range(parent, node, 0);
    const std::size_t before = board.firmware_memory.size();
    const Status read = read_users(node, memory.value_or(MemoryRange{}), bridge);
    for (std::size_t i = before; i < board.firmware_memory.size(); ++i) {
      tell_firmware_memory(node, board.firmware_memory[i]);
    }
    if (read) continue;
    say(node, Weight::kNoDevices, "there is too much memory that firmware uses through devices");
    board.bridge.reset();
    return;
  }
}

void BoardReader::tell_firmware_memory(int node, const FirmwareMemory& memory) {
  if (!memory.devfn) {
    return say(node, Weight::kNoDevices,
               "firmware may use it through any device of the bridge: none can be given out");
  }
  Message text;
  text.text("firmware uses it through device ").dec(*memory.devfn >> 3).text(", function ");
  text.dec(*memory.devfn & 7U).text(" of the bridge: what is there is given to nobody");
  say(node, Weight::kRemark, text);
}

Status BoardReader::read_users(int node, const MemoryRange& memory, const NodePath& bridge) {
  const Cells users = tree.cells(node, "iommu-addresses");
  const std::size_t depth = bridge.nodes.size();
  for (unsigned i = 0; i < users.count;) {
    const auto user = tree.with_phandle(users.at(i));
    const bool known = user && !user->is_root() && users_read++ < kMostUsers;
    const int parent = known ? user->above().node() : -1;
    const int address_cells = known ? fdt_address_cells(tree.fdt(), parent) : -1;
    const int size_cells = known ? fdt_size_cells(tree.fdt(), parent) : -1;
    // How long the entry is cannot be known, nor what follows; or there are more than anybody has:
    // nobody is above suspicion.
    if (address_cells < 0 || size_cells < 0) {
      return board.firmware_memory.push_back({memory, std::nullopt});
    }
    i += 1 + static_cast<unsigned>(address_cells) + static_cast<unsigned>(size_cells);
    if (user->nodes.size() < depth || user->nodes[depth - 1] != bridge.node()) continue;
    std::optional<std::uint8_t> devfn;
    if (user->nodes.size() > depth) {
      const Cells reg = tree.cells(user->nodes[depth], "reg");  // IEEE 1275 PCI
      if (reg.count != 0) devfn = static_cast<std::uint8_t>(reg.at(0) >> 8);
    }
    TRY(board.firmware_memory.push_back({memory, devfn}));
  }
  return {};
}

void BoardReader::read_idle_units() {
  for (NodePath at = tree.root(); tree.next(at);) {
    const bool smmu = tree.compatible(at.node(), kIommuMap.unit);
    const bool its = tree.compatible(at.node(), kMsiMap.unit);
    if (!tree.enabled(at)) continue;
    if (!smmu && !its && tree.has(at.node(), "#iommu-cells")) {
      say(at.node(), Weight::kRemark,
          "an IOMMU that Penstock does not drive: devices behind it reach what firmware left open");
    }
    if (smmu || (its && board.gic)) read_idle_unit(at, smmu);
  }
}

void BoardReader::read_idle_unit(const NodePath& path, bool smmu) {
  const auto driven =
      smmu ? (board.smmu ? std::optional(board.smmu->registers) : std::nullopt) : board.gic->its;
  const auto at = tree.reg(path, 0);
  if (at && driven && at->base == driven->base) return;
  const auto registers = this->registers(path, 0, smmu ? kSmmuFrames : kItsFrame, Weight::kRemark);
  if (!registers) return;
  auto& units = smmu ? board.idle_smmus : board.gic->idle_its;
  const bool room = units.push_back(*registers).has_value();
  say(path.node(), Weight::kRemark,
      room ? "no device that can be given out is behind it: it is switched off, and what is behind "
             "it aborts"
           : "it is one unit too many: it is left as firmware had it");
}

}  // namespace penstock::manifest
