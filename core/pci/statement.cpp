#include "core/pci/statement.hpp"

#include "core/pci/io_quirks.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/reset.hpp"

namespace penstock::pci {
namespace {

using enum Support;

constexpr std::string_view kEveryRun =
    "in every test run, with verified I/O, on the boards of boards/";
constexpr std::string_view kNobody = "nobody has tried one";

// clang-format off
// Class codes: PCI Code and ID Assignment Specification, chapter 1.
constexpr std::array kKinds = {
  Kind{0x01'0802, 0xff'ffff, kSupported,  "NVMe controller", kEveryRun},
  Kind{0x02'0000, 0xff'ff00, kSupported,  "Ethernet controller", kEveryRun},
  Kind{0x02'0000, 0xff'0000, kUntested,   "network controller", kNobody},
  Kind{0x01'0600, 0xff'ff00, kUntested,   "SATA controller", kNobody},
  Kind{0x01'0000, 0xff'0000, kUntested,   "storage controller", kNobody},
  Kind{0x03'0000, 0xff'0000, kUntested,   "display controller",
       "nobody has tried one; many mirror their configuration space and survive no reset"},
  Kind{0x04'0000, 0xff'0000, kUntested,   "multimedia device", kNobody},
  Kind{0x06'0000, 0xff'0000, kNotSupported,    "bridge", "it forwards what others send: it is never assigned"},
  Kind{0x0c'0300, 0xff'ff00, kUntested,   "USB controller", kNobody},
  Kind{0x10'0000, 0xff'0000, kUntested,   "encryption controller", kNobody},
  Kind{0x12'0000, 0xff'0000, kUntested,   "processing accelerator", kNobody},
  Kind{0x00'ff00, 0xff'ff00, kTestedOnly, "device without a class",
       "QEMU's teaching device, in every test run as the traitor"},
  Kind{0,         0,         kUntested,   "other device", kNobody},
};
// clang-format on

constexpr Support worse(Support a, Support b) {
  return a < b ? b : a;
}

TextWriter& quoted(TextWriter& out, std::string_view name, std::string_view value) {
  // Neither has a quote or a backslash: they are names and clauses of the tables.
  return out.ch('"').text(name).text("\":\"").text(value).ch('"');
}

TextWriter& hex_field(TextWriter& out, std::string_view name, std::uint32_t value,
                      unsigned digits) {
  return out.ch('"').text(name).text("\":\"").hex_digits(value, digits).text("\",");
}

TextWriter& bdf_field(TextWriter& out, std::string_view name, std::uint16_t bdf) {
  return out.ch('"').text(name).text("\":\"").bdf(bdf).text("\",");
}

bool accepts(Risks risks, Acceptance acceptance) {
  bool any = false;
  risks.for_each([&](const RiskRow& row) { any |= row.acceptance == acceptance; });
  return any;
}

}  // namespace

std::span<const Kind> kinds() {
  return kKinds;
}

const Kind& kind_of(std::uint32_t class_code) {
  for (const Kind& kind : kKinds) {
    if ((class_code & kind.mask) == kind.class_code) return kind;
  }
  return kKinds.back();
}

Support level_of(const Kind& kind, Risks risks) {
  Support level = kind.at_most;
  risks.for_each([&](const RiskRow& row) { level = worse(level, row.at_most); });
  return level;
}

std::string_view meaning_of(Support level) {
  switch (level) {
    case kSupported: return "what SECURITY.md promises holds; a way round it is a security bug";
    case kCaveats: return "the same, but for what the risks named say";
    case kTestedOnly: return "part of the tests, not meant for anything else";
    case kUntested: return "isolated by the same means, but no claim: this kind has not been tried";
    case kNotSupported:
      return "no claim; where a risk asks for it, not assigned unless the configuration accepts "
             "that "
             "by name";
  }
  return "";
}

std::optional<Risk> refusal_of(Risks risks, const Accepted& accepted) {
  std::optional<Risk> found;
  risks.for_each([&](const RiskRow& row) {
    const bool fine = row.acceptance == Acceptance::kNone ||
                      (row.acceptance == Acceptance::kNoReset && accepted.no_reset) ||
                      (row.acceptance == Acceptance::kNoIsolation && accepted.no_isolation) ||
                      (row.risk == Risk::kSharedGroup && accepted.whole_group);
    if (!fine && !found) found = row.risk;
  });
  return found;
}

Statement statement_of(const Inventory& inventory, const FunctionInfo& info,
                       port::ConfigSpace& config, const Surroundings& around) {
  Statement s;
  s.bdf = info.bdf;
  s.vendor = info.vendor;
  s.device = info.device;
  s.class_code = info.class_code;
  s.group = info.group;
  s.is_vf = info.is_vf;
  s.pf = info.pf;
  s.reset = reset_method(info, config, around.bus && resettable_bus(inventory, info) != nullptr);
  s.risks = risks_of(inventory, info, config, around);
  s.level = level_of(kind_of(info.class_code), s.risks);
  if (s.risks.has(Risk::kIoBarNeeded)) s.io_driver = io_quirk_of(s.vendor, s.device)->driver;
  return s;
}

namespace {

void write_unmet(TextWriter& out, const Statement& s) {
  out.text("I/O BAR not shown: ").text(s.io_driver).text(" needs it");
}

}  // namespace

void write_json(TextWriter& out, const Statement& s) {
  bdf_field(out.ch('{'), "device", s.bdf.value());
  hex_field(out, "vendor", s.vendor, 4);
  hex_field(out, "id", s.device, 4);
  hex_field(out, "class", s.class_code, 6);
  quoted(out, "kind", kind_of(s.class_code).name).ch(',');
  bdf_field(out, "group", s.group);
  if (s.is_vf) bdf_field(out, "vf", s.pf.value());
  quoted(out, "reset", name_of(s.reset)).ch(',');
  quoted(out, "support", name_of(s.level)).text(",\"accept\":[");
  const char* separator = "";
  for (const Acceptance word : {Acceptance::kNoReset, Acceptance::kNoIsolation}) {
    if (!accepts(s.risks, word)) continue;
    out.text(separator).ch('"').text(name_of(word)).ch('"');
    separator = ",";
  }
  out.text("],\"risks\":[");
  separator = "";
  s.risks.for_each([&](const RiskRow& row) {
    out.text(separator).ch('"').text(row.name).ch('"');
    separator = ",";
  });
  out.ch(']');
  if (!s.io_driver.empty()) {
    write_unmet(out.text(",\"unmet\":\""), s);
    out.ch('"');
  }
  out.ch('}');
}

void write_legend_json(TextWriter& out) {
  const char* separator = "[";
  for (const RiskRow& row : risk_table()) {
    quoted(out.text(separator).ch('{'), "name", row.name).ch(',');
    quoted(out, "meaning", row.meaning).ch(',');
    quoted(out, "guard", row.guard).ch(',');
    quoted(out, "support", name_of(row.at_most)).ch(',');
    quoted(out, "accept", name_of(row.acceptance)).ch('}');
    separator = ",";
  }
  out.ch(']');
}

void write_line(TextWriter& out, const Statement& s) {
  out.bdf(s.bdf.value()).ch(' ').text(kind_of(s.class_code).name);
  if (s.is_vf) out.text(", VF of ").bdf(s.pf.value());
  out.text(": ").text(name_of(s.level)).text("; reset: ").text(name_of(s.reset));
  const char* separator = "; ";
  s.risks.for_each([&](const RiskRow& row) {
    out.text(separator).text(row.name);
    separator = ", ";
  });
  if (!s.io_driver.empty()) write_unmet(out.text("; "), s);
}

}  // namespace penstock::pci
