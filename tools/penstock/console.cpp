#include "tools/penstock/console.hpp"

namespace penstock::tool {

ConsoleSplitter::ConsoleSplitter(const std::vector<std::string>& domains, Sink sink)
    : sources_(domains), sink_(std::move(sink)) {
  sources_.emplace_back(kHypervisorSource);
}

void ConsoleSplitter::feed(std::string_view bytes) {
  for (const char c : bytes) character(c);
  flush();
}

void ConsoleSplitter::character(char c) {
  if (c == '\r') return;  // the hypervisor drops its guests' and ends its own lines with CR LF
  if (c == '\n') {
    end_of_line();
  } else if (current_.empty()) {
    prefix_ += c;
    decide();
  } else {
    chunk_ += c;
  }
}

/// Looks whether prefix_ is a source's mark, may become one, or cannot be one.
void ConsoleSplitter::decide() {
  bool possible = false;
  for (const std::string& source : sources_) {
    for (const char mark : {'|', '>'}) {
      const std::string whole = source + mark + ' ';
      if (prefix_ == whole) {
        prefix_.clear();
        begin(source, mark == '>');
        return;
      }
      possible = possible || whole.starts_with(prefix_);
    }
  }
  if (possible) return;
  begin(kBoardSource, false);
  chunk_ = std::move(prefix_);
  prefix_.clear();
}

void ConsoleSplitter::begin(std::string_view source, bool continues) {
  current_ = source;
  const auto found = pending_.find(source);
  if (continues && found != pending_.end() && found->second.open) return;
  complete(source);
  pending_[std::string(source)].open = true;
  if (sink_.piece) sink_.piece(source, {}, true);
}

void ConsoleSplitter::flush() {
  if (chunk_.empty()) return;
  pending_[std::string(current_)].text += chunk_;
  if (sink_.piece) sink_.piece(current_, chunk_, false);
  chunk_.clear();
}

void ConsoleSplitter::end_of_line() {
  if (current_.empty()) {
    if (prefix_.empty()) return;
    begin(kBoardSource, false);
    chunk_ = std::move(prefix_);
    prefix_.clear();
  }
  flush();
  if (current_ == kHypervisorSource || current_ == kBoardSource) complete(current_);
  current_ = {};
}

void ConsoleSplitter::complete(std::string_view source) {
  const auto found = pending_.find(source);
  if (found == pending_.end() || !found->second.open) return;
  const std::string text = std::move(found->second.text);
  found->second = {};
  if (sink_.line) sink_.line(source, text);
}

void ConsoleSplitter::finish() {
  end_of_line();
  for (auto& [source, pending] : pending_) complete(source);
}

std::string printable(std::string_view text) {
  VisibleText visible;
  std::string result;
  for (const char c : text) {
    if (c == '\t') {
      result += ' ';
    } else if (c == '\n') {
      result += std::string(visible.rest()) + "^J";
    } else {
      result += visible.put(c);
    }
  }
  return result + std::string(visible.rest());
}

std::string PrintableStream::put(std::string_view bytes) {
  std::string result;
  for (const char c : bytes) {
    if (returned_ && c == '\n') {
      result += '\r';
    } else if (returned_) {
      result += visible_.put('\r');
    }
    returned_ = c == '\r';
    if (!returned_) result += visible_.put(c);
  }
  return result;
}

}  // namespace penstock::tool
