#include "tools/penstock/board_tree.hpp"

#include <fmt/format.h>

#include <memory>

#include "core/base/text.hpp"

namespace penstock::tool {
namespace {

using manifest::Weight;

constexpr std::size_t kLargestTree = 2 << 20;  // what the arm64 boot protocol allows

std::string path_of(const Bytes& tree, int node) {
  Text<256> path;
  manifest::write_path(path, tree, node);
  return std::string(path.view());
}

class Collector final : public manifest::Findings {
 public:
  Collector(const Bytes& tree, std::vector<BoardReason>& out) : tree_(tree), out_(out) {}
  void add(int node, Weight weight, std::string_view what) override {
    out_.push_back({path_of(tree_, node), std::string(what), weight});
  }

 private:
  const Bytes& tree_;
  std::vector<BoardReason>& out_;
};

const char* name_of(Weight weight) {
  switch (weight) {
    case Weight::kRemark: return "remark";
    case Weight::kNoDevices: return "no-devices";
    case Weight::kNoBoot: return "no-boot";
  }
  return "";
}

const char* yes_or_no(bool value) {
  return value ? "yes" : "no";
}

}  // namespace

bool looks_like_tree(const Bytes& file) {
  return file.size() >= 4 && file[0] == 0xd0 && file[1] == 0x0d && file[2] == 0xfe &&
         file[3] == 0xed;
}

BoardReport unreadable_board() {
  BoardReport report;
  report.isolation = "none";
  report.reasons = {{"/", "the file cannot be read", Weight::kNoBoot}};
  return report;
}

BoardReport explain_board(const Bytes& tree) {
  BoardReport report;
  report.isolation = "none";
  const auto board = std::make_unique<manifest::Board>();
  Collector findings(tree, report.reasons);
  const Status parsed = manifest::parse_board(tree, *board, findings);
  if (!parsed) {
    report.reasons = {{"/", "the device tree is damaged", Weight::kNoBoot}};
    return report;
  }
  report.readable = true;
  report.model = board->model;
  if (tree.size() > kLargestTree) {
    report.reasons.push_back({"/", "the tree is larger than 2 MiB", Weight::kNoBoot});
    board->boots = false;
  }
  report.boots = board->boots;
  if (board->uart) report.console = path_of(tree, board->uart->node);
  report.assigns = board->boots && board->assigns;
  if (report.assigns) report.isolation = "iommu";
  report.cpus = board->cpus.size();
  for (const manifest::MemoryRange& range : board->memory) report.memory += range.size;
  return report;
}

nlohmann::json to_json(const BoardReport& report) {
  nlohmann::json reasons = nlohmann::json::array();
  for (const BoardReason& each : report.reasons) {
    reasons.push_back({{"node", each.node}, {"what", each.what}, {"weight", name_of(each.weight)}});
  }
  nlohmann::json console;  // null: there is none
  if (!report.console.empty()) console = report.console;
  return {{"ok", report.readable}, {"model", report.model},     {"boots", report.boots},
          {"console", console},    {"assigns", report.assigns}, {"isolation", report.isolation},
          {"cpus", report.cpus},   {"memory", report.memory},   {"reasons", std::move(reasons)}};
}

std::string to_text(const BoardReport& report) {
  std::string text = fmt::format("{}\n", report.model.empty() ? "a board" : report.model);
  text += fmt::format("  boots      {}\n", yes_or_no(report.boots));
  text += fmt::format("  console    {}\n", report.console.empty() ? "none" : report.console);
  text += fmt::format("  CPUs       {}\n", report.cpus);
  text += fmt::format("  assigns    {}\n", yes_or_no(report.assigns));
  text += fmt::format("  isolation  {}\n", report.isolation);
  if (!report.reasons.empty()) text += "\n";
  for (const Weight weight : {Weight::kNoBoot, Weight::kNoDevices, Weight::kRemark}) {
    for (const BoardReason& each : report.reasons) {
      if (each.weight != weight) continue;
      text += fmt::format("{:<10} {}: {}\n", name_of(weight), each.node, each.what);
    }
  }
  return text;
}

}  // namespace penstock::tool
