#include "core/manifest/board.hpp"

#include <libfdt.h>

#include "core/manifest/board_reader.hpp"

namespace penstock::manifest {
namespace {

constexpr std::uint64_t kGicFrame = 64 * kKiB;
constexpr std::uint64_t kAddressEnd = std::uint64_t{1} << 48;  // of the largest address space

/// Everything of the board that has addresses of its own.
template <typename Visit>
void for_each_range(const Board& board, Visit&& visit) {
  for (const MemoryRange& each : board.memory) visit(each);
  if (board.uart) visit(board.uart->registers);
  if (board.gic) {
    visit(board.gic->distributor);
    for (const MemoryRange& each : board.gic->redistributors) visit(each);
    if (board.gic->its) visit(*board.gic->its);
    for (const MemoryRange& each : board.gic->idle_its) visit(each);
  }
  if (board.smmu) visit(board.smmu->registers);
  for (const MemoryRange& each : board.idle_smmus) visit(each);
  if (!board.bridge) return;
  visit(board.bridge->ecam);
  for (const BridgeWindow& each : board.bridge->windows) visit({each.host, each.size});
}

void write_node_path(TextWriter& out, const void* fdt, int node) {
  char path[200];
  const bool known = fdt_get_path(fdt, node, path, sizeof(path)) == 0;
  out.text(known ? std::string_view(path) : "a node");
}

}  // namespace

bool share_pages(const MemoryRange& a, const MemoryRange& b) {
  const Hpa start_a = a.base.align_down(kPageSize);
  const Hpa start_b = b.base.align_down(kPageSize);
  const std::uint64_t size_a = (a.base + a.size).align_up(kPageSize) - start_a;
  const std::uint64_t size_b = (b.base + b.size).align_up(kPageSize) - start_b;
  return overlaps(start_a.value(), size_a, start_b.value(), size_b);
}

void write_path(TextWriter& out, std::span<const std::uint8_t> blob, int node) {
  write_node_path(out, blob.data(), node);
}

void BoardReader::say(int node, Weight weight, std::string_view what) {
  if (told[static_cast<std::size_t>(weight)]++ < kMostFindings) findings.add(node, weight, what);
  if (weight == Weight::kNoBoot) board.boots = false;
  if (weight != Weight::kRemark) devices_refused = true;
}

void BoardReader::tell_rest() {
  for (const Weight weight : {Weight::kRemark, Weight::kNoDevices, Weight::kNoBoot}) {
    const unsigned count = told[static_cast<std::size_t>(weight)];
    if (count <= kMostFindings) continue;
    Message text;
    text.text("and ").dec(count - kMostFindings).text(" more of this weight");
    findings.add(0, weight, text.view());
  }
}

TextWriter& BoardReader::name(TextWriter& out, const NodePath& path) const {
  write_node_path(out, tree.fdt(), path.node());
  const std::string_view kind = tree.text(path.node(), "compatible");
  if (!kind.empty()) out.text(" (").text(kind.substr(0, 40)).ch(')');
  return out;
}

bool BoardReader::is_free(const MemoryRange& range) const {
  bool free = range.size != 0 && fits(range.base.value(), range.size, kAddressEnd);
  for_each_range(board, [&](const MemoryRange& other) {
    free = free && (other.size == 0 || !share_pages(range, other));
  });
  return free;
}

std::optional<MemoryRange> BoardReader::registers(const NodePath& path, unsigned index,
                                                  std::uint64_t bytes, Weight weight) {
  const auto at = tree.reg(path, index);
  if (!at) {
    say(path.node(), weight, at.why);
    return std::nullopt;
  }
  if (at->size >= bytes && is_free(*at)) return *at;
  Message text;
  text.text("its registers at ").hex(at->base.value()).text(", ").hex(at->size);
  text.text(at->size < bytes ? " bytes, are too small"
                             : " bytes, lie over memory or another device");
  say(path.node(), weight, text);
  return std::nullopt;
}

void BoardReader::read_memory() {
  for (NodePath at = tree.root(); tree.next(at);) {
    if (tree.text(at.node(), "device_type") != "memory" || !tree.enabled(at)) continue;
    if (tree.reg_count(at) > kMostRegisters) {
      say(at.node(), Weight::kNoDevices, "it has too many ranges: the last are not looked at");
    }
    for (unsigned i = 0; i < kMostRegisters; ++i) {
      const auto range = tree.reg(at, i);
      if (!range) break;
      if (range->size == 0) continue;
      const bool room = !board.memory.full();
      if (room && is_free(*range)) {
        (void)board.memory.push_back(*range);
        continue;
      }
      Message text;
      text.text("memory at ").hex(range->base.value()).text(", ").hex(range->size);
      text.text(room ? " bytes, lies over other memory or beyond 48 bits: not used"
                     : " bytes, is one range too many: not used");
      say(at.node(), Weight::kRemark, text);
    }
  }
  if (board.memory.empty()) {
    say(0, Weight::kRemark, "the tree has no memory: firmware has to add it before the boot");
  }
}

/// A range that runs over the end of the address space ends there.
void BoardReader::reserve(int node, std::uint64_t base, std::uint64_t size) {
  if (size == 0) return;
  if (base + size < base) size = 0 - base;
  if (board.reserved.push_back({Hpa(base), size})) return;
  // Once: the rest of it could be used by a domain.
  if (board.boots) say(node, Weight::kNoBoot, "there are too many ranges of reserved memory");
}

void BoardReader::read_reserved() {
  for (int i = 0; i < fdt_num_mem_rsv(tree.fdt()); ++i) {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    if (fdt_get_mem_rsv(tree.fdt(), i, &address, &size) != 0) break;
    reserve(0, address, size);
  }
  const int parent = fdt_path_offset(tree.fdt(), "/reserved-memory");
  if (parent < 0) return;
  int node = 0;
  fdt_for_each_subnode(node, tree.fdt(), parent) {
    if (tree.cells(node, "reg").count != 0 && !reserved_range(parent, node, 0)) {
      say(node, Weight::kNoBoot, "reserved memory has cells of an unusual size");
    }
    for (unsigned i = 0; i < 2 * kMaxReservedRanges; ++i) {
      const auto range = reserved_range(parent, node, i);
      if (!range) break;
      reserve(node, range->base.value(), range->size);
    }
  }
}

/// The node's parent is on the root, so that its addresses are the machine's.
std::optional<MemoryRange> BoardReader::reserved_range(int parent, int node, unsigned index) const {
  const int address_cells = fdt_address_cells(tree.fdt(), parent);
  const int size_cells = fdt_size_cells(tree.fdt(), parent);
  if (address_cells < 1 || address_cells > 2 || size_cells < 1 || size_cells > 2) return {};
  const auto ac = static_cast<unsigned>(address_cells);
  const auto sc = static_cast<unsigned>(size_cells);
  const Cells reg = tree.cells(node, "reg");
  const unsigned first = index * (ac + sc);
  if (first + ac + sc > reg.count) return {};
  return MemoryRange{Hpa(reg.number(first, ac)), reg.number(first + ac, sc)};
}

void BoardReader::read_cpus() {
  const int parent = fdt_path_offset(tree.fdt(), "/cpus");
  const int cells = parent < 0 ? 0 : fdt_address_cells(tree.fdt(), parent);
  int node = 0;
  unsigned left_out = 0;
  bool by_psci = true;
  if (cells == 1 || cells == 2) {
    fdt_for_each_subnode(node, tree.fdt(), parent) {
      if (tree.text(node, "device_type") != "cpu") continue;
      if (tree.has(node, "status") && !tree.text(node, "status").starts_with("ok")) continue;
      const std::uint64_t affinity =
          tree.cells(node, "reg").number(0, static_cast<unsigned>(cells));
      if (!board.cpus.push_back(affinity)) ++left_out;
      if (tree.has(node, "enable-method") && tree.text(node, "enable-method") != "psci") {
        by_psci = false;
      }
    }
  }
  if (board.cpus.empty()) return say(0, Weight::kNoBoot, "the tree has no CPU");
  if (left_out != 0) {
    Message text;
    text.dec(left_out).text(" CPUs are too many: they stay off");
    say(parent, Weight::kRemark, text);
  }
  if (!by_psci) say(parent, Weight::kRemark, "CPUs that PSCI does not start stay off");
}

void BoardReader::read_psci() {
  NodePath at = tree.root();
  bool found = false;
  for (const char* kind : {"arm,psci-1.0", "arm,psci-0.2"}) {
    if (found) break;
    at = tree.root();
    found = tree.next_compatible(at, kind);
  }
  const std::string_view method = found ? tree.text(at.node(), "method") : std::string_view();
  if (method == "smc") board.psci = Conduit::kSmc;
  if (method == "hvc") board.psci = Conduit::kHvc;
  if (board.psci != Conduit::kNone) return;
  say(found ? at.node() : 0, Weight::kRemark,
      "there is no PSCI 0.2 or later: other CPUs stay off, and the board cannot be switched off");
}

void BoardReader::read_chosen() {
  board.model = tree.text(0, "model");
  const int node = fdt_path_offset(tree.fdt(), "/chosen");
  if (node < 0) return;
  board.bootargs = tree.text(node, "bootargs");
  int length = 0;
  const void* data = fdt_getprop(tree.fdt(), node, "rng-seed", &length);
  if (data == nullptr || length < static_cast<int>(kSeedBytes)) return;
  Seed seed;
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<const std::uint8_t*>(data)[i];
  board.rng_seed = seed;
}

void BoardReader::read_console() {
  const ConsoleFound console = console_of(tree);
  const int node = console.path ? console.path->node() : 0;
  if (!console.uart) return say(node, Weight::kRemark, console.why);
  if (!is_free(console.uart->registers)) {
    return say(node, Weight::kRemark, "the console's registers lie over something else");
  }
  board.uart = console.uart;
  if (!console.why.empty()) {
    Message text;
    text.text("the console cannot be typed at: ").text(console.why);
    say(node, Weight::kRemark, text);
  }
}

void BoardReader::read_gic() {
  NodePath at = tree.root();
  if (!tree.next_compatible(at, "arm,gic-v3")) return tell_other_controller();
  GicBoard gic;
  const auto distributor = registers(at, 0, kGicFrame, Weight::kNoBoot);
  if (!distributor) return;
  gic.distributor = *distributor;
  board.gic = gic;
  const Cells claimed = tree.cells(at.node(), "#redistributor-regions");
  const std::uint32_t regions = claimed.count == 0 ? 1 : claimed.at(0);
  StaticVector<MemoryRange, kMaxRedistributorRegions>& found = board.gic->redistributors;
  for (std::uint32_t i = 0; i < regions; ++i) {
    const auto range = tree.reg(at, 1 + i);
    if (!range && i != 0) {
      say(at.node(), Weight::kRemark, "it has fewer redistributor regions than it says");
      break;
    }
    const auto usable = registers(at, 1 + i, 2 * kGicFrame, Weight::kNoBoot);
    if (!usable) break;
    if (found.push_back(*usable)) continue;
    say(at.node(), Weight::kRemark, "it has too many redistributor regions: the last are not used");
    break;
  }
  if (!found.empty()) return;
  board.gic.reset();
  if (regions == 0) say(at.node(), Weight::kNoBoot, "it has no redistributor region");
}

/// There is no GICv3: what there is instead.
void BoardReader::tell_other_controller() {
  constexpr std::string_view kNeeded = "Penstock needs a GICv3 (arm,gic-v3)";
  for (NodePath at = tree.root(); tree.next(at);) {
    const std::string_view kind = tree.text(at.node(), "compatible");
    const auto is = [kind](std::string_view part) {
      return kind.find(part) != std::string_view::npos;
    };
    if (!(is("-gic") || is(",gic") || is("qgic")) || !tree.has(at.node(), "interrupt-controller"))
      continue;
    Message text;
    text.text("the interrupt controller is of kind ").text(kind.substr(0, 40)).text(": ");
    text.text(kNeeded);
    return say(at.node(), Weight::kNoBoot, text);
  }
  Message text;
  text.text("there is no interrupt controller that Penstock knows: ").text(kNeeded);
  say(0, Weight::kNoBoot, text);
}

Status parse_board(std::span<const std::uint8_t> blob, Board& board, Findings& findings) {
  const void* fdt = blob.data();
  const int damage = fdt_check_full(fdt, blob.size());
  if (damage != 0) return fail(Code::kBadDeviceTree, static_cast<std::uint64_t>(-damage));
  board.tree_bytes = fdt_totalsize(fdt);
  BoardReader reader{DeviceTree(fdt), board, findings};
  reader.read_chosen();
  reader.read_memory();
  reader.read_reserved();
  reader.read_console();
  reader.read_cpus();
  reader.read_psci();
  reader.read_gic();
  reader.read_pci();
  reader.tell_rest();
  board.assigns = !reader.devices_refused && board.bridge && board.smmu && board.gic &&
                  board.gic->its.has_value();
  return {};
}

}  // namespace penstock::manifest
