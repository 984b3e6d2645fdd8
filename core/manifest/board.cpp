#include "core/manifest/board.hpp"

#include <libfdt.h>

namespace penstock::manifest {
namespace {

constexpr unsigned kFirstSpi = 32;
constexpr unsigned kFirstPpi = 16;

struct Cells {
  const fdt32_t* data = nullptr;
  unsigned count = 0;

  [[nodiscard]] std::uint32_t at(unsigned i) const {
    return i < count ? fdt32_to_cpu(fdt32_ld(data + i)) : 0;
  }
  [[nodiscard]] std::uint64_t number(unsigned first, unsigned cells) const {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < cells; ++i) value = value << 32 | at(first + i);
    return value;
  }
  static std::uint32_t fdt32_ld(const fdt32_t* p) {
    const auto* b = reinterpret_cast<const unsigned char*>(p);
    return static_cast<std::uint32_t>(b[0] | b[1] << 8 | b[2] << 16) |
           static_cast<std::uint32_t>(b[3]) << 24;
  }
};

Cells cells_of(const void* fdt, int node, const char* name) {
  int length = 0;
  const void* data = fdt_getprop(fdt, node, name, &length);
  if (data == nullptr || length < 4) return {};
  return {static_cast<const fdt32_t*>(data), static_cast<unsigned>(length) / 4};
}

std::optional<MemoryRange> reg(const void* fdt, int node, unsigned index) {
  const int parent = fdt_parent_offset(fdt, node);
  const int address_cells = parent < 0 ? 2 : fdt_address_cells(fdt, parent);
  const int size_cells = parent < 0 ? 2 : fdt_size_cells(fdt, parent);
  if (address_cells < 1 || address_cells > 2 || size_cells < 0 || size_cells > 2) return {};
  const auto ac = static_cast<unsigned>(address_cells);
  const auto sc = static_cast<unsigned>(size_cells);
  const Cells cells = cells_of(fdt, node, "reg");
  const unsigned first = index * (ac + sc);
  if (first + ac + sc > cells.count) return {};
  const MemoryRange range{Hpa(cells.number(first, ac)), cells.number(first + ac, sc)};
  if (range.base.value() + range.size < range.base.value()) return {};
  return range;
}

/// INTID of entry `index` of `interrupts` (three cells: kind, number, flags), 0 when there is none.
unsigned interrupt(const void* fdt, int node, unsigned index) {
  const Cells cells = cells_of(fdt, node, "interrupts");
  if (3 * index + 3 > cells.count) return 0;
  return cells.at(3 * index + 1) + (cells.at(3 * index) == 0 ? kFirstSpi : kFirstPpi);
}

unsigned named_interrupt(const void* fdt, int node, const char* name) {
  const int index = fdt_stringlist_search(fdt, node, "interrupt-names", name);
  return index < 0 ? 0 : interrupt(fdt, node, static_cast<unsigned>(index));
}

bool enabled(const void* fdt, int node) {
  int length = 0;
  const auto* status = static_cast<const char*>(fdt_getprop(fdt, node, "status", &length));
  return status == nullptr || (length >= 3 && status[0] == 'o' && status[1] == 'k');
}

/// The first enabled node that claims compatibility; negative when there is none.
int find(const void* fdt, const char* compatible) {
  int node = fdt_node_offset_by_compatible(fdt, -1, compatible);
  while (node >= 0 && !enabled(fdt, node)) {
    node = fdt_node_offset_by_compatible(fdt, node, compatible);
  }
  return node;
}

void read_bootargs(const void* fdt, Board& board) {
  const int node = fdt_path_offset(fdt, "/chosen");
  int length = 0;
  const void* data = node < 0 ? nullptr : fdt_getprop(fdt, node, "bootargs", &length);
  if (data == nullptr || length <= 1) return;
  const std::string_view all{static_cast<const char*>(data), static_cast<std::size_t>(length)};
  board.bootargs = all.substr(0, all.find('\0'));
}

void read_seed(const void* fdt, Board& board) {
  const int node = fdt_path_offset(fdt, "/chosen");
  int length = 0;
  const void* data = node < 0 ? nullptr : fdt_getprop(fdt, node, "rng-seed", &length);
  if (data == nullptr || length < static_cast<int>(kSeedBytes)) return;
  Seed seed;
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<const std::uint8_t*>(data)[i];
  board.rng_seed = seed;
}

void read_memory(const void* fdt, Board& board) {
  int node = -1;
  while ((node = fdt_node_offset_by_prop_value(fdt, node, "device_type", "memory", 7)) >= 0) {
    for (unsigned i = 0; !board.memory.full(); ++i) {
      const auto range = reg(fdt, node, i);
      if (!range) break;
      (void)board.memory.push_back(*range);
    }
  }
}

/// The host bridge that read_bridge() takes.
int find_bridge(const void* fdt) {
  return find(fdt, "pci-host-ecam-generic");
}

/// What the reserved memory of `node` is for, if it is for PCI functions: in `iommu-addresses` a
/// device each, then where the device sees the memory, in cells as its own `reg` has them.
Status read_users(const void* fdt, int node, const MemoryRange& memory, Board& board) {
  const Cells users = cells_of(fdt, node, "iommu-addresses");
  const int bridge = find_bridge(fdt);
  for (unsigned i = 0; i < users.count && bridge >= 0;) {
    const int user = fdt_node_offset_by_phandle(fdt, users.at(i));
    const int parent = user < 0 ? user : fdt_parent_offset(fdt, user);
    const int address_cells = parent < 0 ? parent : fdt_address_cells(fdt, parent);
    const int size_cells = parent < 0 ? parent : fdt_size_cells(fdt, parent);
    // How long the entry is cannot be known, nor what follows: nobody is above suspicion.
    if (address_cells < 0 || size_cells < 0) {
      return board.firmware_memory.push_back({memory, std::nullopt});
    }
    i += 1 + static_cast<unsigned>(address_cells) + static_cast<unsigned>(size_cells);
    std::optional<std::uint8_t> devfn;
    int at = user;
    while (at >= 0 && at != bridge) {
      const Cells reg = cells_of(fdt, at, "reg");  // IEEE 1275 PCI
      devfn.reset();
      if (reg.count != 0) devfn = static_cast<std::uint8_t>(reg.at(0) >> 8);
      at = fdt_parent_offset(fdt, at);
    }
    if (at == bridge) TRY(board.firmware_memory.push_back({memory, devfn}));
  }
  return {};
}

Status read_reserved(const void* fdt, Board& board) {
  for (int i = 0; i < fdt_num_mem_rsv(fdt); ++i) {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    if (fdt_get_mem_rsv(fdt, i, &address, &size) != 0) break;
    TRY(board.reserved.push_back({Hpa(address), size}));
  }
  const int parent = fdt_path_offset(fdt, "/reserved-memory");
  if (parent < 0) return {};
  for (int node = fdt_first_subnode(fdt, parent); node >= 0; node = fdt_next_subnode(fdt, node)) {
    const auto range = reg(fdt, node, 0);
    if (range) TRY(board.reserved.push_back(*range));
    TRY(read_users(fdt, node, range.value_or(MemoryRange{}), board));
  }
  return {};
}

void read_cpus(const void* fdt, Board& board) {
  const int parent = fdt_path_offset(fdt, "/cpus");
  if (parent < 0) return;
  const auto cells = static_cast<unsigned>(fdt_address_cells(fdt, parent));
  for (int node = fdt_first_subnode(fdt, parent); node >= 0; node = fdt_next_subnode(fdt, node)) {
    int length = 0;
    const auto* type = static_cast<const char*>(fdt_getprop(fdt, node, "device_type", &length));
    if (type == nullptr || length < 4 || type[0] != 'c' || !enabled(fdt, node)) continue;
    if (board.cpus.full()) return;
    (void)board.cpus.push_back(cells_of(fdt, node, "reg").number(0, cells > 2 ? 2 : cells));
  }
}

void read_psci(const void* fdt, Board& board) {
  int node = find(fdt, "arm,psci-1.0");
  if (node < 0) node = find(fdt, "arm,psci-0.2");
  if (node < 0) return;
  int length = 0;
  const auto* method = static_cast<const char*>(fdt_getprop(fdt, node, "method", &length));
  if (method == nullptr || length < 4) return;
  board.psci = method[0] == 's' ? Conduit::kSmc : Conduit::kHvc;
}

void read_gic(const void* fdt, Board& board) {
  const int node = find(fdt, "arm,gic-v3");
  if (node < 0) return;
  GicBoard gic;
  const auto distributor = reg(fdt, node, 0);
  if (!distributor) return;
  gic.distributor = *distributor;
  const std::uint32_t regions = cells_of(fdt, node, "#redistributor-regions").at(0);
  for (unsigned i = 0; i < (regions == 0 ? 1 : regions) && !gic.redistributors.full(); ++i) {
    if (const auto range = reg(fdt, node, 1 + i)) (void)gic.redistributors.push_back(*range);
  }
  const int its = find(fdt, "arm,gic-v3-its");
  if (its >= 0) gic.its = reg(fdt, its, 0);
  if (!gic.redistributors.empty()) board.gic = gic;
}

void read_smmu(const void* fdt, Board& board) {
  const int node = find(fdt, "arm,smmu-v3");
  if (node < 0) return;
  const auto registers = reg(fdt, node, 0);
  if (!registers) return;
  SmmuBoard smmu{*registers, named_interrupt(fdt, node, "eventq"),
                 named_interrupt(fdt, node, "gerror")};
  if (smmu.event_intid == 0) smmu.event_intid = named_interrupt(fdt, node, "combined");
  board.smmu = smmu;
}

void read_id_map(const Cells& cells, StaticVector<IdMapEntry, 8>& out) {
  for (unsigned i = 0; i + 4 <= cells.count && !out.full(); i += 4) {
    (void)out.push_back({cells.at(i), cells.at(i + 2), cells.at(i + 3)});
  }
}

void read_bridge(const void* fdt, Board& board) {
  const int node = find_bridge(fdt);
  if (node < 0) return;
  const auto ecam = reg(fdt, node, 0);
  if (!ecam) return;
  HostBridge bridge;
  bridge.ecam = *ecam;
  const Cells buses = cells_of(fdt, node, "bus-range");
  bridge.bus_first = buses.at(0);
  bridge.bus_last = buses.count >= 2 ? buses.at(1) : 255;
  const Cells ranges = cells_of(fdt, node, "ranges");
  constexpr unsigned kEntry = 7;  // 3 cells PCI address, 2 cells CPU address, 2 cells size
  for (unsigned i = 0; i + kEntry <= ranges.count; i += kEntry) {
    const BridgeWindow window{ranges.number(i + 1, 2), Hpa(ranges.number(i + 3, 2)),
                              ranges.number(i + 5, 2)};
    const unsigned space = (ranges.at(i) >> 24) & 3;  // IEEE 1275 PCI binding: ss field
    if (space == 2) bridge.mem32 = window;
    if (space == 3) bridge.mem64 = window;
  }
  read_id_map(cells_of(fdt, node, "iommu-map"), bridge.iommu_map);
  read_id_map(cells_of(fdt, node, "msi-map"), bridge.msi_map);
  board.bridge = bridge;
}

}  // namespace

Result<Board> parse_board(std::span<const std::uint8_t> blob) {
  const void* fdt = blob.data();
  if (blob.size() < 64) return fail(Code::kBadDeviceTree, blob.size());
  const int header = fdt_check_header(fdt);
  if (header != 0) return fail(Code::kBadDeviceTree, static_cast<std::uint64_t>(-header));
  if (fdt_totalsize(fdt) > blob.size()) return fail(Code::kBadDeviceTree, fdt_totalsize(fdt));
  Board board;
  board.tree_bytes = fdt_totalsize(fdt);
  read_memory(fdt, board);
  TRY(read_reserved(fdt, board));
  read_cpus(fdt, board);
  read_psci(fdt, board);
  read_bootargs(fdt, board);
  read_seed(fdt, board);
  const int uart = find(fdt, "arm,pl011");
  if (uart >= 0) {
    if (const auto registers = reg(fdt, uart, 0)) {
      board.uart = Uart{*registers, interrupt(fdt, uart, 0)};
    }
  }
  read_gic(fdt, board);
  read_smmu(fdt, board);
  read_bridge(fdt, board);
  if (board.memory.empty() || board.cpus.empty()) return fail(Code::kBadDeviceTree);
  return board;
}

}  // namespace penstock::manifest
