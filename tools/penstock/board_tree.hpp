// What would run on a board of which only the device tree is known: the hypervisor's own parser,
// asked on a workstation.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/manifest/board.hpp"
#include "tools/penstock/bundle.hpp"

namespace penstock::tool {

/// Something that the tree has and Penstock does not use, and why.
struct BoardReason {
  std::string node;  // path in the tree
  std::string what;
  manifest::Weight weight = manifest::Weight::kRemark;
};

struct BoardReport {
  bool readable = false;  // else the one reason is why not
  std::string model;
  bool boots = false;
  std::string console;    // node; empty: there is none
  bool assigns = false;   // PCI devices can be given out, isolated as `isolation` says
  std::string isolation;  // "iommu", "window", "none"
  std::size_t cpus = 0;
  std::uint64_t memory = 0;  // bytes that the tree itself tells
  std::vector<BoardReason> reasons;
};

/// Whether the bytes are a flattened device tree, sound or not.
[[nodiscard]] bool looks_like_tree(const Bytes& file);
[[nodiscard]] BoardReport explain_board(const Bytes& tree);
/// Of a file that cannot be read.
[[nodiscard]] BoardReport unreadable_board();
[[nodiscard]] nlohmann::json to_json(const BoardReport& report);
[[nodiscard]] std::string to_text(const BoardReport& report);

}  // namespace penstock::tool
