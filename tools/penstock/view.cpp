#include "tools/penstock/view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/penstock/console.hpp"

namespace penstock::tool {
namespace {

constexpr std::array<int, 6> kColours = {32, 36, 33, 35, 34, 31};  // ECMA-48 8.3.117, foreground
constexpr std::string_view kLineEnd = "\r\n";                      // also right on a raw terminal

}  // namespace

SourceLogs::SourceLogs(const std::filesystem::path& folder,
                       const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    logs_[source].file.open(folder / (source + ".log"));
  }
}

void SourceLogs::piece(std::string_view source, std::string_view text, bool new_line) {
  const auto found = logs_.find(source);
  if (found == logs_.end()) return;
  Log& log = found->second;
  if (new_line && log.begun) log.file.write("\n");
  log.begun = true;
  log.file.write(text);
}

void SourceLogs::finish() {
  for (auto& [source, log] : logs_) {
    if (log.begun) log.file.write("\n");
    log.begun = false;
  }
}

std::string SourceLogs::problem() const {
  for (const auto& [source, log] : logs_) {
    if (!log.file.problem().empty()) return log.file.problem();
  }
  return {};
}

LiveView::LiveView(std::vector<std::string> domains, bool colour)
    : domains_(std::move(domains)), width_(kHypervisorSource.size()), colour_(colour) {
  for (const std::string& domain : domains_) width_ = std::max(width_, domain.size());
}

std::string LiveView::head(std::string_view source) const {
  std::string name = fmt::format("{:<{}} | ", source, width_);
  if (!colour_) return name;
  const auto found = std::find(domains_.begin(), domains_.end(), source);
  if (found == domains_.end()) return fmt::format("\x1b[1m{}\x1b[0m", name);
  const auto index = static_cast<std::size_t>(found - domains_.begin());
  return fmt::format("\x1b[{}m{}\x1b[0m", kColours[index % kColours.size()], name);
}

std::string LiveView::piece(std::string_view source, std::string_view text, bool new_line) {
  std::string result;
  if (new_line || shown_ != source) {
    result = finish();
    result += head(source);
    shown_ = source;
  }
  VisibleText& visible = visible_[std::string(source)];
  if (new_line) visible = {};
  for (const char c : text) result += visible.put(c);
  return result;
}

std::string LiveView::finish() {
  if (shown_.empty()) return {};
  shown_.clear();
  return std::string(kLineEnd);
}

}  // namespace penstock::tool
