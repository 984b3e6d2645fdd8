// Reading a flattened device tree as the specification has it (devicetree.org, release 0.4): every
// number in the cells that the node above says, every address through the `ranges` of all nodes
// above, every interrupt to the controller that is responsible for it.
//
// Every function ends after a number of steps that the size of the tree bounds. Searches for a
// phandle go through the whole tree: the last are remembered, and there are kMostSearches at most.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/address.hpp"
#include "core/base/static_vector.hpp"

namespace penstock::manifest {

struct MemoryRange {
  Hpa base;
  std::uint64_t size = 0;
};

/// A property as 32-bit cells; beyond its end they read as 0.
struct Cells {
  const unsigned char* data = nullptr;
  unsigned count = 0;

  [[nodiscard]] std::uint32_t at(unsigned i) const;
  /// `cells` cells from `first` on as one number; of more than two the last two.
  [[nodiscard]] std::uint64_t number(unsigned first, unsigned cells) const;
};

inline constexpr std::size_t kMaxTreeDepth = 16;
inline constexpr unsigned kMostSearches = 256;
inline constexpr unsigned kMostRegisters = 512;  // entries of one `reg` that are looked at

/// A node with the nodes above it, root first: their offsets in the tree.
struct NodePath {
  StaticVector<int, kMaxTreeDepth> nodes;

  [[nodiscard]] int node() const { return nodes[nodes.size() - 1]; }
  [[nodiscard]] bool is_root() const { return nodes.size() == 1; }
  /// The node above; of a node that is not the root.
  [[nodiscard]] NodePath above() const;
};

/// A value, or why there is none.
template <typename T>
struct Found {
  std::optional<T> value;
  std::string_view why;

  explicit operator bool() const { return value.has_value(); }
  const T* operator->() const { return &*value; }
  const T& operator*() const { return *value; }
};

class DeviceTree {
 public:
  /// `fdt`: checked as a whole by the caller (fdt_check_full).
  explicit DeviceTree(const void* fdt) : fdt_(fdt) {}

  [[nodiscard]] const void* fdt() const { return fdt_; }
  [[nodiscard]] NodePath root() const;
  /// The next node in the order of the tree; false: there is none. Nodes deeper than kMaxTreeDepth
  /// are passed over.
  bool next(NodePath& at) const;
  /// The first node from `at` on that claims compatibility and is enabled, at itself excluded.
  bool next_compatible(NodePath& at, const char* compatible) const;
  /// Also nothing once kMostSearches were made.
  [[nodiscard]] std::optional<NodePath> with_phandle(std::uint32_t phandle) const;
  [[nodiscard]] unsigned searches() const { return searches_; }
  /// The node at this offset of the tree.
  [[nodiscard]] std::optional<NodePath> at_offset(int node) const;

  [[nodiscard]] bool has(int node, const char* property) const;
  [[nodiscard]] Cells cells(int node, const char* property) const;
  /// The property's text up to its first zero.
  [[nodiscard]] std::string_view text(int node, const char* property) const;
  [[nodiscard]] bool compatible(int node, const char* kind) const;
  /// Neither it nor a node above is switched off (`status`).
  [[nodiscard]] bool enabled(const NodePath& path) const;
  /// The nearest of the two properties from the node upwards decides (dma-coherent,
  /// dma-noncoherent).
  [[nodiscard]] bool coherent(const NodePath& path) const;

  /// How many entries its `reg` has, kMostRegisters + 1 if it has more.
  [[nodiscard]] unsigned reg_count(const NodePath& path) const;
  /// Entry `index` of `reg`, where CPUs find it.
  [[nodiscard]] Found<MemoryRange> reg(const NodePath& path, unsigned index) const;
  /// [address, address + size) as the children of `bus` see it, where CPUs find it.
  [[nodiscard]] Found<MemoryRange> translate(const NodePath& bus, std::uint64_t address,
                                             std::uint64_t size) const;
  /// INTID at a GICv3 (arm,gic-v3) of entry `index` of the node's interrupts.
  [[nodiscard]] Found<unsigned> interrupt(const NodePath& path, unsigned index) const;
  [[nodiscard]] Found<unsigned> named_interrupt(const NodePath& path, const char* name) const;

 private:
  struct Specifier;
  struct Known {
    std::uint32_t phandle = 0;  // 0: nothing yet, and no node's
    std::optional<NodePath> path;
  };
  [[nodiscard]] std::optional<NodePath> search(std::uint32_t phandle) const;
  [[nodiscard]] Found<Specifier> taken(const NodePath& path, const NodePath& parent,
                                       const Cells& from, unsigned first) const;
  [[nodiscard]] Found<Specifier> specifier(const NodePath& path, unsigned index) const;
  [[nodiscard]] Found<Specifier> map(const Specifier& from) const;
  [[nodiscard]] std::optional<NodePath> interrupt_parent(const NodePath& path) const;

  const void* fdt_;
  mutable std::array<Known, 4> known_{};  // the last that were searched for
  mutable unsigned searches_ = 0;
};

}  // namespace penstock::manifest
