// The board's one console taken apart into the hypervisor's and the domains'.
//
// Every line starts with its source: `store| text`. A line that another source interrupted ends
// early and goes on later as `store> rest`. Whether a domain's line is complete is therefore known
// only when its next one starts; its text is passed on at once nevertheless. The hypervisor's own
// lines are never interrupted.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/visible_text.hpp"

namespace penstock::tool {

inline constexpr std::string_view kHypervisorSource = "penstock";
/// Text without a known source: firmware, or a panic that could not take the console's lock.
inline constexpr std::string_view kBoardSource = "board";

class ConsoleSplitter {
 public:
  struct Sink {
    /// `new_line`: a line begins (the text is empty), and what the source wrote before is a line of
    /// its own. Else: text has appeared at the end of the source's line.
    std::function<void(std::string_view source, std::string_view text, bool new_line)> piece;
    /// A whole line, joined.
    std::function<void(std::string_view source, std::string_view line)> line;
  };

  ConsoleSplitter(const std::vector<std::string>& domains, Sink sink);
  /// Any cut of the byte stream.
  void feed(std::string_view bytes);
  /// The stream has ended: what is pending is complete.
  void finish();

 private:
  struct Pending {
    std::string text;
    bool open = false;
  };
  void character(char c);
  void decide();
  void begin(std::string_view source, bool continues);
  void flush();
  void end_of_line();
  void complete(std::string_view source);

  std::vector<std::string> sources_;
  Sink sink_;
  std::map<std::string, Pending, std::less<>> pending_;
  std::string prefix_;        // of a line whose source is not known yet
  std::string chunk_;         // text of `current_` not yet passed on
  std::string_view current_;  // source of the line that is being read; empty: not known yet
};

/// `text` as a part of one line: what would move a terminal's cursor or change its state is shown,
/// line ends too.
[[nodiscard]] std::string printable(std::string_view text);

/// The same for a stream, any cut of it, whose line ends pass: LF, and CR before LF.
class PrintableStream {
 public:
  [[nodiscard]] std::string put(std::string_view bytes);

 private:
  VisibleText visible_;
  bool returned_ = false;  // a CR has come, and what follows it has not
};

}  // namespace penstock::tool
