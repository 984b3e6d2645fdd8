// The security statement of a function: what keeps it where it belongs, what does not, and what
// Penstock claims for its kind. The boot log, `penstockctl report`, `penstock check` and
// docs/SUPPORT.md all speak from the tables here and in risk.hpp.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/text.hpp"
#include "core/pci/reset_quirks.hpp"
#include "core/pci/risk.hpp"

namespace penstock::pci {

/// Devices of a class, and how far they have been tried.
struct Kind {
  std::uint32_t class_code;  // class << 16 | subclass << 8 | interface
  std::uint32_t mask;        // bits of it that count
  Support at_most;           // no claim for such a device is better
  std::string_view name;     // "NVMe controller"
  std::string_view why;      // for the claim, one clause without a final period
};

/// All of them; the first that fits counts, and the last fits everything.
[[nodiscard]] std::span<const Kind> kinds();
[[nodiscard]] const Kind& kind_of(std::uint32_t class_code);

/// The claim for a device of a kind with these risks: the worst of all that bound it.
[[nodiscard]] Support level_of(const Kind& kind, Risks risks);
/// What the level means, one sentence.
[[nodiscard]] std::string_view meaning_of(Support level);

/// What a configuration has said about a device, and who else is in its group.
struct Accepted {
  bool no_reset = false;
  bool no_isolation = false;
  bool whole_group = false;  // all its neighbours are the same owner's, or nobody's
};
/// The most severe risk that forbids to assign the device; nothing when it may be.
[[nodiscard]] std::optional<Risk> refusal_of(Risks risks, const Accepted& accepted);

struct Statement {
  HostBdf bdf;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;
  std::uint16_t group = 0;
  bool is_vf = false;
  HostBdf pf;  // of a virtual function
  ResetMethod reset = ResetMethod::kNone;
  Risks risks;
  Support level = Support::kNotSupported;
  std::string_view io_driver;  // that needs an I/O BAR of the function; empty: none is known
};

/// Reads what risks_of() reads, under the same conditions.
[[nodiscard]] Statement statement_of(const Inventory& inventory, const FunctionInfo& info,
                                     port::ConfigSpace& config, const Surroundings& around = {});

/// No statement is longer, in either form.
inline constexpr std::size_t kMaxStatementJson = 768;
inline constexpr std::size_t kMaxStatementLine = 512;

/// A JSON object without line breaks: {"device", "vendor", "id", "class", "kind", "group", "vf"
/// (of a virtual function: its PF), "reset", "support", "accept": [words], "risks": [names],
/// "unmet" (what its driver needs and is not shown, in words)}.
void write_json(TextWriter& out, const Statement& statement);
/// A JSON array: what the names mean, {"name", "meaning", "guard", "support", "accept"} each. Once
/// in a report; below kMaxLegendJson bytes.
void write_legend_json(TextWriter& out);
inline constexpr std::size_t kMaxLegendJson = 8192;
/// For people: "0000:01:00.0 NVMe controller: supported; function-level reset; sr-iov, option-rom".
void write_line(TextWriter& out, const Statement& statement);

}  // namespace penstock::pci
