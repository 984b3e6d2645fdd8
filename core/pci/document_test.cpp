// docs/SUPPORT.md is rendered from the tables that the security statement is made of. To renew it
// after a change, run this test with PENSTOCK_UPDATE_GOLDEN=1 in the environment and review the
// difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string>

#include "core/pci/alias_quirks.hpp"
#include "core/pci/io_quirks.hpp"
#include "core/pci/mirror_quirks.hpp"
#include "core/pci/reset_leftovers.hpp"
#include "core/pci/reset_quirks.hpp"
#include "core/pci/statement.hpp"

namespace penstock::pci {
namespace {

std::string hex(std::uint64_t value, unsigned digits) {
  std::ostringstream out;
  out << std::hex << std::setfill('0') << std::setw(static_cast<int>(digits)) << value;
  return out.str();
}

/// "10ec:8168", with an x for each digit that does not count.
std::string device_of(std::uint16_t vendor, std::uint16_t device, std::uint16_t mask) {
  if (mask == 0) return hex(vendor, 4) + ":any";
  std::string digits = hex(device, 4);
  for (unsigned i = 0; i < 4; ++i) {
    if ((mask >> (12 - 4 * i) & 0xf) == 0) digits[i] = 'x';
  }
  return hex(vendor, 4) + ":" + digits;
}

/// The part of a class code that the kind is told by: "0108 02", "02".
std::string class_of(const Kind& kind) {
  if (kind.mask == 0) return "any";
  const std::string all = hex(kind.class_code, 6);
  if (kind.mask == 0xff'0000) return all.substr(0, 2);
  return kind.mask == 0xff'ff00 ? all.substr(0, 4) : all.substr(0, 4) + " " + all.substr(4);
}

void render_levels(std::ostream& out) {
  out << "| level | means |\n|---|---|\n";
  for (unsigned i = 0; i < kSupportCount; ++i) {
    const auto level = static_cast<Support>(i);
    out << "| `" << name_of(level) << "` | " << meaning_of(level) << " |\n";
  }
}

struct Case {
  std::string_view title;
  std::initializer_list<Risk> risks;
};
const Case kCases[] = {
    {"physical, FLR, alone", {}},
    {"physical, D3hot reset, alone", {Risk::kWeakReset}},
    {"virtual function, alone", {Risk::kVirtualFunction}},
    {"no reset", {Risk::kNoReset}},
    {"shared group", {Risk::kSharedGroup}},
};

void render_kinds(std::ostream& out) {
  out << "| class | kind |";
  for (const Case& c : kCases) out << ' ' << c.title << " |";
  out << " because |\n|---|---|";
  for ([[maybe_unused]] const Case& c : kCases) out << "---|";
  out << "---|\n";
  for (const Kind& kind : kinds()) {
    out << "| `" << class_of(kind) << "` | " << kind.name << " |";
    for (const Case& c : kCases) {
      Risks risks;
      for (const Risk risk : c.risks) risks.add(risk);
      out << ' ' << name_of(level_of(kind, risks)) << " |";
    }
    out << ' ' << kind.why << " |\n";
  }
}

void render_risks(std::ostream& out) {
  out << "| bit | risk | what is not isolated | what is done about it | at most | accepted by |\n"
         "|---|---|---|---|---|---|\n";
  for (const RiskRow& row : risk_table()) {
    const std::string word(name_of(row.acceptance));
    out << "| " << static_cast<unsigned>(row.risk) << " | `" << row.name << "` | " << row.meaning
        << " | " << row.guard << " | " << name_of(row.at_most) << " | "
        << (word.empty() ? (row.acceptance == Acceptance::kNever ? "nothing" : "")
                         : "`" + word + "`")
        << " |\n";
  }
}

struct Feature {
  std::string_view name;
  Support level;
  std::string_view says;
};
/// What the claims above rest on. A feature of a build that is not named here is not claimed.
constexpr Feature kFeatures[] = {
    {"DMA behind an SMMUv3, stage 2", Support::kSupported,
     "a table for each domain; streams that nobody was given abort"},
    {"an SMMUv3 for the guest (stage 1)", Support::kSupported,
     "nested; the board's SMMU has to have both stages"},
    {"interrupts through an ITS", Support::kSupported,
     "the DeviceID is checked; events are the hypervisor's"},
    {"hot-plug below emulated root ports", Support::kCaveats,
     "the guest is asked; after a deadline it loses the device by surprise"},
    {"virtual functions of SR-IOV", Support::kCaveats,
     "their physical function's owner is trusted with their service, not with their secrets in "
     "memory"},
    {"domain with the control interface", Support::kCaveats,
     "it may start, stop and pause everyone and move their devices: it is trusted that far"},
    {"hardware domain", Support::kCaveats,
     "full config access to its own devices; what Penstock protects stays closed"},
    {"quarantine on a scratch page", Support::kCaveats,
     "for devices that hang on aborts: what they write, they can read again"},
    {"board without an IOMMU", Support::kNotSupported, "domains without devices only"},
    {"board without an ITS", Support::kNotSupported, "domains without devices only"},
};

void render_features(std::ostream& out) {
  out << "| feature | level | that is |\n|---|---|---|\n";
  for (const Feature& f : kFeatures) {
    out << "| " << f.name << " | " << name_of(f.level) << " | " << f.says << " |\n";
  }
}

void render_mirrors(std::ostream& out) {
  out << "| device | class | BAR | at | bytes | what | source |\n|---|---|---|---|---|---|---|\n";
  for (const MirrorQuirk& quirk : mirror_quirks()) {
    const std::string device = device_of(quirk.vendor, quirk.device, quirk.device_mask);
    out << "| `" << device << "` | "
        << (quirk.base_class == kMirrorAnyClass ? "any" : "`" + hex(quirk.base_class, 2) + "`")
        << " | " << unsigned{quirk.bar} << " | 0x" << hex(quirk.offset, 1) << " | 0x"
        << hex(quirk.bytes, 1) << " | "
        << (quirk.kind == MirrorKind::kConfig ? "config space" : "address and data register")
        << " | " << quirk.source << " |\n";
  }
}

void render_io(std::ostream& out) {
  out << "| device | driver | needs it | source |\n|---|---|---|---|\n";
  for (const IoQuirk& quirk : io_quirks()) {
    out << "| `" << hex(quirk.vendor, 4) << ':' << hex(quirk.device, 4);
    if (quirk.last != quirk.device) out << '-' << hex(quirk.last, 4);
    out << "` | `" << quirk.driver << "` | " << (quirk.needed ? "yes" : "no") << " | "
        << quirk.source << " |\n";
  }
}

void render_aliases(std::ostream& out) {
  out << "| device | seems to be | source |\n|---|---|---|\n";
  for (const AliasQuirk& quirk : alias_quirks()) {
    const char* as = quirk.rule == AliasRule::kFunction0 ? "function 0" : "function 1";
    if (quirk.rule == AliasRule::kDevice1) as = "01.0";
    out << "| `" << hex(quirk.vendor, 4) << ':' << hex(quirk.device, 4) << "` | " << as << " | "
        << quirk.source << " |\n";
  }
}

void render_resets(std::ostream& out) {
  out << "| device | reason | source |\n|---|---|---|\n";
  for (const ResetQuirk& quirk : reset_quirks()) {
    const std::uint16_t mask = quirk.device == kAnyDevice ? 0 : quirk.device_mask;
    out << "| `" << device_of(quirk.vendor, quirk.device, mask) << "` | " << quirk.reason << " | "
        << quirk.source << " |\n";
  }
}

void render_leftovers(std::ostream& out) {
  out << "| device | what | source |\n|---|---|---|\n";
  for (const Leftovers& row : reset_leftovers()) {
    const std::string device = row.vendor != 0 ? device_of(row.vendor, row.device, 0xffff)
                                               : "class " + hex(row.class_code, 6);
    out << "| `" << device << "` | " << row.what << " | " << row.source << " |\n";
  }
}

std::string document() {
  std::ostringstream out;
  out << R"(# What is supported

Rendered by `core/pci/document_test.cpp` from the tables that `penstock check`, `penstockctl report` and
the boot log speak from. What the levels promise is in [SECURITY.md](../SECURITY.md). The names are
stable: scripts may look for them.

## Levels

)";
  render_levels(out);
  out << "\n## Features\n\n";
  render_features(out);
  out << R"(
## Devices

By class code, the first row that fits. A device's level is the worst of its kind's and of its risks'.
"Alone": nobody but its owner is in its isolation group.

)";
  render_kinds(out);
  out << R"(
## Risks

Most severe first. "Bit" is its place in the `risks` field of the control interface. A risk with a word
in the last column forbids assignment until the configuration says that word in `accept`; `shared-group`
does not where the whole group has one owner.

)";
  render_risks(out);
  out << R"(
## Isolation groups

Functions are in one group when they can reach each other without passing the IOMMU, or when the IOMMU
sees one requester ID for several of them: the functions of a device without ACS, a root port without
ACS with everything behind it, a switch one of whose downstream ports has no ACS, everything behind a
bridge to conventional PCI, and a function with the one whose routing ID it uses. These are the groups
that Linux shows, but for two cases in which Linux trusts more: it takes the word of a function with ACS
for its neighbour without, and keeps downstream ports without ACS apart. Virtual functions stand for
themselves where the way up is isolated.

## Devices that show their configuration space in a BAR

)";
  render_mirrors(out);
  out << "\n## Devices with registers in I/O space, which is not shown\n\n";
  render_io(out);
  out << "\n## Devices that use another routing ID besides their own\n\n";
  render_aliases(out);
  out << "\n## Devices whose resets are not what they say\n\n";
  render_resets(out);
  out << "\n## Registers that a reset may leave, cleared after each\n\n";
  render_leftovers(out);
  return out.str();
}

// Covers: S3.27 S3.29 S3.37
TEST(Document, IsWhatTheCodeSays) {
  const std::string text = document();
  const std::string path = PENSTOCK_SOURCE_DIR "/docs/SUPPORT.md";
  if (std::getenv("PENSTOCK_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(text, golden.str()) << "docs/SUPPORT.md is not what the code says";
}

// Covers: S3.32
TEST(Document, TheThreatModelIsThereAndHasAVersion) {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/SECURITY.md");
  std::stringstream text;
  text << file.rdbuf();
  for (const char* part : {"Version ", "## Who is trusted", "## What is promised",
                           "## Attack surface", "## Not promised", "## Reporting"}) {
    EXPECT_NE(text.str().find(part), std::string::npos) << part;
  }
}

// Covers: S3.24
TEST(Document, TheDecisionAboutResetHasTheOrderOfTheCode) {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/docs/decisions/reset.md");
  std::stringstream text;
  text << file.rdbuf();
  std::string order;
  for (const ResetMethod method : kDefaultResetOrder) {
    if (method == ResetMethod::kNone) continue;
    order += (order.empty() ? "" : ", then ") + std::string(name_of(method));
  }
  EXPECT_NE(text.str().find("\n    " + order + "\n"), std::string::npos) << order;
  EXPECT_NE(text.str().find(name_of(ResetMethod::kSpecific)), std::string::npos);
}

}  // namespace
}  // namespace penstock::pci
