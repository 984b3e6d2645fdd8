// The parts of parse_board(): each reads one kind of thing into the board, and tells what it leaves
// out.
#pragma once

#include <array>

#include "core/base/text.hpp"
#include "core/manifest/board.hpp"

namespace penstock::manifest {

/// Rights are given by pages, so that one page cannot belong to both. Neither is empty.
[[nodiscard]] bool share_pages(const MemoryRange& a, const MemoryRange& b);

struct BoardReader {
  DeviceTree tree;
  Board& board;
  Findings& findings;
  bool devices_refused = false;           // something heavier than a remark was said
  std::array<unsigned, kWeights> told{};  // findings of each weight
  unsigned users_read = 0;                // entries of iommu-addresses that were read

  using Message = Text<240>;

  void say(int node, Weight weight, std::string_view what);
  void say(int node, Weight weight, const Message& what) { say(node, weight, what.view()); }
  /// How many findings were not told one by one.
  void tell_rest();
  /// "/soc/iommu@5000000 (arm,mmu-500)".
  TextWriter& name(TextWriter& out, const NodePath& path) const;

  /// Whether the range is free: neither RAM nor the registers of anything that was read before.
  [[nodiscard]] bool is_free(const MemoryRange& range) const;
  /// Entry `index` of `reg`, if registers of `bytes` can be used there; tells why not.
  [[nodiscard]] std::optional<MemoryRange> registers(const NodePath& path, unsigned index,
                                                     std::uint64_t bytes, Weight weight);

  void read_chosen();
  void read_memory();
  void read_reserved();
  /// Entry `index` of a node of reserved memory, in machine addresses.
  [[nodiscard]] std::optional<MemoryRange> reserved_range(int parent, int node,
                                                          unsigned index) const;
  void reserve(int node, std::uint64_t base, std::uint64_t size);
  void read_console();
  void read_cpus();
  void read_psci();
  void read_gic();
  void tell_other_controller();

  // board_pci.cpp
  void read_pci();
  void tell_other_bridges(const std::optional<NodePath>& driven);
  void read_idle_units();
  void read_idle_unit(const NodePath& path, bool smmu);
  void read_firmware_memory(const NodePath& bridge);
  void tell_firmware_memory(int node, const FirmwareMemory& memory);
  Status read_users(int node, const MemoryRange& memory, const NodePath& bridge);
};

/// The console of the tree (board_console.cpp).
struct ConsoleFound {
  std::optional<NodePath> path;
  std::optional<Uart> uart;
  std::string_view why;  // there is none, or it has no interrupt
};
[[nodiscard]] ConsoleFound console_of(const DeviceTree& tree);

}  // namespace penstock::manifest
