// Any bytes as a board's device tree. What parse_board() says of a board must hold everything that
// the hypervisor relies on when it maps, numbers and drives what is there.
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/manifest/board.hpp"
#include "core/manifest/boot_options.hpp"

namespace penstock::manifest {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class Listener final : public Findings {
 public:
  explicit Listener(std::span<const std::uint8_t> blob) : blob_(blob) {}
  void add(int node, Weight weight, std::string_view what) override {
    Text<256> path;
    write_path(path, blob_, node);
    require(!what.empty() && !path.view().empty());
    require(++told <= kWeights * (kMostFindings + 1));
    no_boot = no_boot || weight == Weight::kNoBoot;
  }
  bool no_boot = false;
  unsigned told = 0;

 private:
  std::span<const std::uint8_t> blob_;
};

bool in_pages(const MemoryRange& a, const MemoryRange& b) {
  const auto start = [](const MemoryRange& r) { return r.base.align_down(kPageSize).value(); };
  const auto end = [](const MemoryRange& r) {
    return (r.base + r.size).align_up(kPageSize).value();
  };
  return start(a) < end(b) && start(b) < end(a);
}

/// Everything that the hypervisor maps: each inside 48 bits, no two in one page.
void check_ranges(const Board& board) {
  std::vector<MemoryRange> all(board.memory.begin(), board.memory.end());
  if (board.uart) all.push_back(board.uart->registers);
  if (board.gic) {
    all.push_back(board.gic->distributor);
    for (const MemoryRange& each : board.gic->redistributors) all.push_back(each);
    if (board.gic->its) all.push_back(*board.gic->its);
    for (const MemoryRange& each : board.gic->idle_its) all.push_back(each);
    require(!board.gic->redistributors.empty());
  }
  if (board.smmu) all.push_back(board.smmu->registers);
  for (const MemoryRange& each : board.idle_smmus) all.push_back(each);
  if (board.bridge) {
    all.push_back(board.bridge->ecam);
    for (const BridgeWindow& each : board.bridge->windows) all.push_back({each.host, each.size});
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    require(all[i].size != 0 && fits(all[i].base.value(), all[i].size, 1ULL << 48));
    for (std::size_t k = i + 1; k < all.size(); ++k) require(!in_pages(all[i], all[k]));
  }
}

void check_bridge(const HostBridge& bridge) {
  require(bridge.bus_first <= bridge.bus_last && bridge.bus_last <= 255);
  require(bridge.ecam.size >= kMiB);
  for (const BridgeWindow& each : bridge.windows) {
    require(each.size != 0 && each.bus + each.size >= each.bus);
  }
  for (const IdMapBoard* map : {&bridge.iommu_map, &bridge.msi_map}) {
    for (const IdMapEntry& each : map->entries) {
      require(each.length != 0);
      require(each.elsewhere || each.out + (each.length - 1) >= each.out);
    }
  }
}

void check(const Board& board, const Listener& said) {
  require(board.boots == !said.no_boot);
  require(!board.boots || (board.gic && !board.cpus.empty()));
  require(!board.assigns || (board.boots && board.bridge && board.smmu && board.gic->its));
  if (board.uart) require(board.uart->intid < 1020);
  if (board.smmu) {
    const unsigned events = board.smmu->event_intid;
    const unsigned errors = board.smmu->gerror_intid;
    require(events >= 32 && events < 1020);
    require(errors == 0 || (errors >= 32 && errors < 1020 && errors != events));
  }
  if (board.gic && board.gic->its) require(board.gic->its->size >= 128 * kKiB);
  for (const MemoryRange& each : board.reserved) {
    require(each.size != 0 && each.base.value() + (each.size - 1) >= each.base.value());
  }
  check_ranges(board);
  if (board.bridge) check_bridge(*board.bridge);
  (void)boot_options(board.bootargs);
}

}  // namespace
}  // namespace penstock::manifest

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::manifest;
  const std::vector<std::uint8_t> tree(data, data + size);  // operator new aligns it
  const auto board = std::make_unique<Board>();
  Listener said(tree);
  (void)find_console(tree);
  if (parse_board(tree, *board, said)) check(*board, said);
  return 0;
}
