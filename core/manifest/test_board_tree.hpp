// For tests of the board's parser: a tree with the parts that a test wants, by default those of
// QEMU's `virt`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/manifest/board.hpp"
#include "core/manifest/test_bundle.hpp"

namespace penstock::manifest::test {

inline constexpr std::uint32_t kSmmuHandle = 1, kItsHandle = 2, kGicHandle = 3, kBridgeHandle = 7,
                               kPortHandle = 8, kDriveHandle = 9, kUartHandle = 10,
                               kLostHandle = 11, kOtherSmmuHandle = 12, kOtherItsHandle = 13;

using Numbers = std::vector<std::uint32_t>;

struct Parts {
  bool memory = true;
  std::uint32_t cpus = 2;
  bool gic = true;
  bool smmu = true;
  bool bridge = true;
  const char* smmu_status = "okay";
  const char* bus_status = "okay";  // of the bus that the SMMU is on
  Numbers gic_reg = {0, 0x0800'0000, 0, 0x1'0000, 0, 0x080a'0000, 0, 0xf6'0000};
  Numbers regions = {};  // #redistributor-regions; empty: not written
  Numbers smmu_interrupts = {0, 74, 1, 0, 75, 1, 0, 76, 1, 0, 77, 1};
  std::string smmu_interrupt_names = std::string("eventq\0priq\0cmdq-sync\0gerror", 28);
  std::uint32_t its_bytes = 0x2'0000;
  Numbers bus_range = {0, 255};
  Numbers ranges = {0x0100'0000, 0,    0,           0,    0x3eff'0000, 0,    0x1'0000,     //
                    0x0200'0000, 0,    0x1000'0000, 0,    0x1000'0000, 0,    0x2eff'0000,  //
                    0x0300'0000, 0x80, 0,           0x80, 0,           0x80, 0};
  Numbers iommu_map = {0, kSmmuHandle, 0, 0x1'0000};  // empty: not written
  Numbers iommu_map_mask = {};
  Numbers msi_map = {0, kItsHandle, 0, 0x1'0000};
  Numbers msi_parent = {};
  std::string bootargs = "";           // empty: not written
  std::string stdout_path = "";        // empty: not written
  Numbers firmware_memory_users = {};  // empty: no such node
  unsigned reserved = 0;               // nodes of reserved memory, a page each
  std::uint32_t other_units = 0;  // an SMMU and an ITS before those above: 1; 0: there are none
  std::function<void(Tree&)> more = {};  // at the end of the root
  std::function<void(Tree&)> in_bridge = {};
  std::function<void(Tree&)> in_root = {};
};

inline void begin_bus(Tree& tree, const std::string& name) {
  tree.begin(name);
  tree.cells("#address-cells", {2});
  tree.cells("#size-cells", {2});
}

/// Memory of the firmware's at 0x4800'0000.
inline void write_reserved(Tree& tree, const Parts& parts) {
  if (parts.firmware_memory_users.empty() && parts.reserved == 0) return;
  begin_bus(tree, "reserved-memory");
  if (!parts.firmware_memory_users.empty()) {
    tree.begin("log@48000000");
    tree.cells("reg", {0, 0x4800'0000, 0, 0x4000});
    tree.cells("iommu-addresses", parts.firmware_memory_users);
    tree.end();
  }
  for (std::uint32_t i = 0; i < parts.reserved; ++i) {
    tree.begin("r" + std::to_string(i));
    tree.cells("reg", {0, 0x5000'0000 + 0x2000 * i, 0, 0x1000});
    tree.end();
  }
  tree.end();
}

/// A port at device 2, and a drive behind it.
inline void write_port(Tree& tree) {
  tree.begin("pci@2,0");
  tree.text("device_type", "pci");
  tree.cells("#address-cells", {3});
  tree.cells("#size-cells", {2});
  tree.cells("reg", {0x1000, 0, 0, 0, 0});
  tree.cells("phandle", {kPortHandle});
  tree.begin("nvme@0,0");
  tree.cells("reg", {0x1'0000, 0, 0, 0, 0});
  tree.cells("phandle", {kDriveHandle});
  tree.end();
  tree.end();
  tree.begin("lost");  // says not where it is
  tree.cells("phandle", {kLostHandle});
  tree.end();
}

inline void write_its(Tree& tree, std::uint32_t base, std::uint32_t bytes, std::uint32_t handle) {
  tree.begin("its@" + std::to_string(base));
  tree.text("compatible", "arm,gic-v3-its");
  tree.cells("#msi-cells", {1});
  tree.cells("reg", {0, base, 0, bytes});
  tree.cells("phandle", {handle});
  tree.end();
}

inline void write_gic(Tree& tree, const Parts& parts) {
  begin_bus(tree, "intc@8000000");
  tree.text("compatible", "arm,gic-v3");
  tree.flag("ranges");
  tree.flag("interrupt-controller");
  tree.cells("#interrupt-cells", {3});
  tree.cells("reg", parts.gic_reg);
  tree.cells("phandle", {kGicHandle});
  if (!parts.regions.empty()) tree.cells("#redistributor-regions", parts.regions);
  if (parts.other_units != 0) write_its(tree, 0x0a00'0000, parts.its_bytes, kOtherItsHandle);
  write_its(tree, 0x0808'0000, parts.its_bytes, kItsHandle);
  tree.end();
}

inline void write_smmu(Tree& tree, const Parts& parts, std::uint32_t base, std::uint32_t handle) {
  begin_bus(tree, "bus" + std::to_string(base));
  tree.flag("ranges");
  tree.text("status", parts.bus_status);
  tree.begin("smmuv3");
  tree.text("compatible", "arm,smmu-v3");
  tree.text("status", parts.smmu_status);
  tree.cells("reg", {0, base, 0, 0x2'0000});
  tree.cells("interrupts", parts.smmu_interrupts);
  tree.text("interrupt-names", parts.smmu_interrupt_names);
  tree.cells("#iommu-cells", {1});
  tree.cells("phandle", {handle});
  tree.end();
  tree.end();
}

inline void write_bridge(Tree& tree, const Parts& parts) {
  tree.begin("pcie@10000000");
  tree.text("compatible", "pci-host-ecam-generic");
  tree.text("device_type", "pci");
  tree.cells("reg", {0x40, 0x1000'0000, 0, 0x1000'0000});
  tree.cells("bus-range", parts.bus_range);
  tree.cells("ranges", parts.ranges);
  if (!parts.iommu_map.empty()) tree.cells("iommu-map", parts.iommu_map);
  if (!parts.iommu_map_mask.empty()) tree.cells("iommu-map-mask", parts.iommu_map_mask);
  if (!parts.msi_map.empty()) tree.cells("msi-map", parts.msi_map);
  if (!parts.msi_parent.empty()) tree.cells("msi-parent", parts.msi_parent);
  tree.cells("#address-cells", {3});
  tree.cells("#size-cells", {2});
  tree.cells("phandle", {kBridgeHandle});
  if (parts.in_bridge) parts.in_bridge(tree);
  write_port(tree);
  tree.end();
}

inline void write_cpus(Tree& tree, std::uint32_t count) {
  tree.begin("cpus");
  tree.cells("#address-cells", {1});
  tree.cells("#size-cells", {0});
  for (std::uint32_t cpu = 0; cpu < count; ++cpu) {
    tree.begin("cpu@" + std::to_string(cpu));
    tree.text("device_type", "cpu");
    tree.cells("reg", {cpu});
    tree.end();
  }
  tree.end();
}

inline Bytes make_tree(const Parts& parts) {
  Tree tree;
  begin_bus(tree, "");
  tree.cells("interrupt-parent", {kGicHandle});
  if (parts.in_root) parts.in_root(tree);
  if (!parts.bootargs.empty() || !parts.stdout_path.empty()) {
    tree.begin("chosen");
    if (!parts.bootargs.empty()) tree.text("bootargs", parts.bootargs);
    if (!parts.stdout_path.empty()) tree.text("stdout-path", parts.stdout_path);
    tree.end();
  }
  if (parts.memory) {
    tree.begin("memory@40000000");
    tree.text("device_type", "memory");
    tree.cells("reg", {0, 0x4000'0000, 1, 0});
    tree.end();
  }
  if (parts.cpus != 0) write_cpus(tree, parts.cpus);
  tree.begin("psci");
  tree.text("compatible", std::string("arm,psci-1.0\0arm,psci-0.2", 25));
  tree.text("method", "smc");
  tree.end();
  tree.begin("pl011@9000000");
  tree.text("compatible", "arm,pl011");
  tree.cells("reg", {0, 0x0900'0000, 0, 0x1000});
  tree.cells("interrupts", {0, 1, 4});
  tree.cells("phandle", {kUartHandle});
  tree.end();
  write_reserved(tree, parts);
  if (parts.gic) write_gic(tree, parts);
  if (parts.other_units != 0) write_smmu(tree, parts, 0x0a10'0000, kOtherSmmuHandle);
  if (parts.smmu) write_smmu(tree, parts, 0x0905'0000, kSmmuHandle);
  if (parts.bridge) write_bridge(tree, parts);
  if (parts.more) parts.more(tree);
  tree.end();
  return tree.finish();
}

/// A parsed board with what the parser had to say; the tree stays as long as the board.
struct Parsed final : Findings {
  explicit Parsed(const Parts& parts) : Parsed(make_tree(parts)) {}
  explicit Parsed(Bytes bytes) : tree(std::move(bytes)), status(parse_board(tree, board, *this)) {}
  Parsed(const Parsed&) = delete;
  Parsed& operator=(const Parsed&) = delete;

  void add(int node, Weight weight, std::string_view what) override {
    Text<200> path;
    write_path(path, tree, node);
    said += std::string(path.view()) + ": " + std::string(what) + "\n";
    heaviest = weight > heaviest ? weight : heaviest;
  }
  [[nodiscard]] bool says(std::string_view text) const {
    return said.find(text) != std::string::npos;
  }

  Bytes tree;
  Board board;
  std::string said;
  Weight heaviest = Weight::kRemark;
  Status status;
};

}  // namespace penstock::manifest::test
