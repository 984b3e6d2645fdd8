#include "core/assign/audit.hpp"

#include "core/assign/audit_parts.hpp"

namespace penstock::assign {
namespace {

/// Judges one domain, with its devices held still.
class DomainAudit final : public DevicesVisitor {
 public:
  DomainAudit(const AuditInput& input, const AuditedDomain& domain, AuditReport& report)
      : input_(input), domain_(domain), report_(report) {}

  void devices(std::span<const Device* const> devices) override {
    audit_parts::check_tables(input_, domain_, devices, report_);
    if (input_.hw.smmu != nullptr) {
      audit_parts::check_streams(*input_.hw.smmu, domain_, devices, report_);
    }
    audit_parts::check_messages(input_.hw, domain_, devices, report_);
  }

 private:
  const AuditInput& input_;
  const AuditedDomain& domain_;
  AuditReport& report_;
};

}  // namespace

void AuditReport::violation(std::string_view text) {
  ++violations_;
  if (texts_.full()) return;
  Kept kept;
  kept.size = text.size() < kTextBytes ? text.size() : kTextBytes;
  for (std::size_t i = 0; i < kept.size; ++i) kept.bytes[i] = text[i];
  (void)texts_.push_back(kept);  // not full
}

void AuditReport::add(const AuditReport& other) {
  streams += other.streams;
  mappings += other.mappings;
  lpis += other.lpis;
  for (std::size_t i = 0; i < other.texts(); ++i) violation(other.text(i));
  violations_ += other.violations_ - other.texts();
}

void AuditReport::write_json(TextWriter& out) const {
  out.text("{\"ok\":").text(ok() ? "true" : "false").text(",\"streams\":").dec(streams);
  out.text(",\"mappings\":").dec(mappings).text(",\"lpis\":").dec(lpis).text(",\"violations\":[");
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    out.text(i == 0 ? "\"" : ",\"");
    for (const char c : text(i)) out.ch(c == '"' || c == '\\' || c < ' ' ? '?' : c);
    out.ch('"');
  }
  if (violations_ > texts_.size()) {
    out.text(",\"and ").dec(violations_ - texts_.size()).text(" more\"");
  }
  out.text("]}");
}

void audit(const AuditInput& input, AuditReport& report) {
  for (const AuditedDomain& domain : input.domains) {
    DomainAudit one(input, domain, report);
    domain.devices->visit(one);
  }
  audit_parts::check_configuration(input, report);
  audit_parts::check_what_is_nobodys(input, report);
}

}  // namespace penstock::assign
