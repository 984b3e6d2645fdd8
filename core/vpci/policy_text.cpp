// The policy as text for people: docs/vpci-policy.md.
#include "core/vpci/policy.hpp"

namespace penstock::vpci {
namespace {

std::string_view title(Owner owner) {
  switch (owner) {
    case Owner::kHeader: return "Header (type 0; types 1 and 2 are refused)";
    case Owner::kPower: return "Power Management, 01";
    case Owner::kMsi: return "MSI, 05";
    case Owner::kExpress: return "PCI Express, 10";
    case Owner::kMsix: return "MSI-X, 11";
    case Owner::kAdvancedFeatures: return "Advanced Features, 13";
    case Owner::kSerial: return "Device Serial Number, extended 0003";
    case Owner::kSriov:
      return "Single Root I/O Virtualization, extended 0010 (behind a virtual root port alone)";
  }
  return "";
}

std::string_view phrase(Condition condition) {
  switch (condition) {
    case Condition::kAlways: return "";
    case Condition::kMsi64: return " (64-bit address)";
    case Condition::kMsi32: return " (32-bit address)";
    case Condition::kMsiMasks64: return " (64-bit address, per-vector masks)";
    case Condition::kMsiMasks32: return " (32-bit address, per-vector masks)";
    case Condition::kExpressLink: return " (behind a virtual root port)";
    case Condition::kExpress2: return " (version 2)";
    case Condition::kExpress2Link: return " (version 2, behind a virtual root port)";
  }
  return "";
}

void render_mask(TextWriter& out, std::uint32_t mask, unsigned width) {
  out.text(" | ");
  if (mask != 0) out.hex(mask, 2 * width);
}

void render_denied(TextWriter& out, std::span<const Denied> list) {
  out.text("| capability | name | why |\n|---|---|---|\n");
  for (const Denied& entry : list) {
    out.text(entry.extended ? "| extended " : "| ").hex(entry.id, entry.extended ? 4 : 2);
    out.text(" | ").text(entry.name).text(" | ").text(entry.reason).text(" |\n");
  }
}

void render_row(TextWriter& out, const Row& row) {
  out.text("| +").hex(row.offset, 2).text(" | ").dec(row.width).text(" | ").text(row.name);
  out.text(phrase(row.condition));
  const Masks& m = row.masks;
  for (const std::uint32_t mask : {m.ro, m.one, m.rw, m.live, m.hw_rw, m.hw_w1c, m.rsvdz}) {
    render_mask(out, mask, row.width);
  }
  out.text(" | ").text(row.reason).text(" |\n");
}

constexpr std::string_view kIntroduction =
    "# What a guest may see and write in a passed-through function's config space\n"
    "\n"
    "This text is rendered from the table that the code uses (`core/vpci/policy.cpp`); a test "
    "keeps "
    "both equal.\n"
    "\n"
    "Whatever is not listed is hidden: it reads zero, or all-ones where the configuration says so, "
    "and "
    "drops writes.\n"
    "The masks say which bits of a register are what:\n"
    "\n"
    "- **ro**: as it was when the device was assigned\n"
    "- **one**: always reads 1\n"
    "- **rw**: the guest's own; kept by the hypervisor and never written to the device\n"
    "- **live**: read from the device each time\n"
    "- **hw rw**: live, and the guest's writes reach the device\n"
    "- **hw w1c**: live, and the guest may clear it in the device by writing 1\n"
    "- **rsvdz**: reads 0 and is always written 0 to the device\n"
    "- a bit in no mask reads 0 and keeps in the device what it has there\n";

constexpr std::string_view kFullAccess =
    "\n## Full access, for the hardware domain\n"
    "\n"
    "Registers from 40 on that are not listed above are read and written as they are in the "
    "device, each write with its own width. The header and all that is listed stay as described, "
    "and so does what is never shown: those capabilities are not in the list that the domain "
    "walks, and from their header to where the next capability begins nothing is read or written. "
    "The same holds for capabilities that the configuration denies, and for these:\n"
    "\n";

}  // namespace

void render_policy(TextWriter& out) {
  out.text(kIntroduction);
  const Row* before = nullptr;
  for (const Row& row : policy()) {
    if (before == nullptr || before->owner != row.owner) {
      out.text("\n## ").text(title(row.owner)).text("\n\n");
      out.text(
          "| offset | bytes | register | ro | one | rw | live | hw rw | hw w1c | rsvdz | why |\n");
      out.text("|---|---|---|---|---|---|---|---|---|---|---|\n");
    }
    render_row(out, row);
    before = &row;
  }
  out.text(
      "\n## Vendor-specific capabilities, 09, by vendor\n\nRead-only copies. Others of 09 are "
      "hidden.\n\n| devices | kind | bytes | name | shown | why |\n|---|---|---|---|---|---|\n");
  for (const VendorCapability& row : vendor_capabilities()) {
    out.text("| ").hex_digits(row.vendor, 4).ch(':').hex_digits(row.first_device, 4).ch('-');
    out.hex_digits(row.last_device, 4).text(" | ").dec(row.kind).text(" | ").dec(row.most);
    out.text(" | ").text(row.name).text(row.shown ? " | yes | " : " | never | ");
    out.text(row.reason).text(" |\n");
  }
  out.text("\n## Never shown, not even when a device's configuration asks for it\n\n");
  render_denied(out, never_shown());
  out.text(kFullAccess);
  render_denied(out, kept_back());
}

}  // namespace penstock::vpci
