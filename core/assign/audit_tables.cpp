// Audit: stage-2 tables.
#include "core/assign/audit_parts.hpp"
#include "core/assign/built_in.hpp"

namespace penstock::assign::audit_parts {
namespace {

using mem::Stage2Attributes;
using mem::Stage2Mapping;
using Line = Text<AuditReport::kTextBytes>;

bool inside(Hpa at, std::uint64_t size, Hpa start, std::uint64_t bytes) {
  return at >= start && fits(at - start, size, bytes);
}
bool overlap(Hpa a, std::uint64_t a_bytes, Hpa b, std::uint64_t b_bytes) {
  return overlaps(a.value(), a_bytes, b.value(), b_bytes);
}

/// The leaves of one table, as they come.
class TableAudit : public mem::MappingVisitor {
 public:
  TableAudit(const AuditInput& input, const AuditedDomain& domain, std::string_view table,
             Stage2Attributes ram, AuditReport& report)
      : domain_(domain), report_(report), input_(input), table_(table), ram_as_(ram) {}

  void mapping(const Stage2Mapping& leaf) final {
    ++report_.mappings;
    if (leaf.gpa >= domain_.ram && fits(leaf.gpa - domain_.ram, leaf.size, domain_.ram_bytes)) {
      ram_ += leaf.size;
      judge(leaf, leaf.hpa == domain_.ram_home + (leaf.gpa - domain_.ram), ram_as_);
      return refuse_foreign(leaf);
    }
    if (!other(leaf)) complain("maps what is not the domain's", leaf);
    if (!is_doorbell(leaf)) refuse_foreign(leaf);
  }
  void finish() {
    if (ram_ == domain_.ram_bytes) return;
    Line line;
    line.text(domain_.name).text(": ").text(table_).text(" has ").hex(ram_);
    line.text(" bytes of RAM, not ").hex(domain_.ram_bytes);
    report_.violation(line.view());
  }

 protected:
  ~TableAudit() = default;
  /// A leaf that is not RAM: true when the table may have it.
  virtual bool other(const Stage2Mapping& leaf) = 0;
  [[nodiscard]] virtual bool is_doorbell(const Stage2Mapping& /*leaf*/) const { return false; }

  void judge(const Stage2Mapping& leaf, bool right_place, Stage2Attributes wanted) {
    if (!right_place) complain("leads to the wrong place", leaf);
    if (leaf.attributes != wanted) complain("has wrong rights", leaf);
  }
  void complain(std::string_view what, const Stage2Mapping& leaf) {
    Line line;
    line.text(domain_.name).text(": ").text(table_).ch(' ').text(what).text(": ");
    line.hex(leaf.gpa.value()).text(" to ").hex(leaf.hpa.value());
    report_.violation(line.view());
  }

  const AuditedDomain& domain_;
  AuditReport& report_;

 private:
  /// Whatever the model says: these frames are never a guest's, or another's (S2.27).
  void refuse_foreign(const Stage2Mapping& leaf) {
    for (const ForbiddenRange& range : input_.forbidden) {
      if (overlap(leaf.hpa, leaf.size, range.start, range.size)) complain(range.what, leaf);
    }
    for (const AuditedDomain& domain : input_.domains) {
      if (domain.id == domain_.id) continue;
      if (overlap(leaf.hpa, leaf.size, domain.ram_home, domain.ram_bytes)) {
        complain("maps another domain's RAM", leaf);
      }
    }
  }

  const AuditInput& input_;
  std::string_view table_;
  Stage2Attributes ram_as_;
  std::uint64_t ram_ = 0;
};

class CpuTableAudit final : public TableAudit {
 public:
  CpuTableAudit(const AuditInput& input, const AuditedDomain& domain, Devices devices,
                AuditReport& report)
      : TableAudit(input, domain, "CPU table", Stage2Attributes::ram(), report),
        devices_(devices) {}

  /// Every BAR that counts as mapped is there as a whole.
  void finish_bars() {
    std::uint64_t wanted = 0;
    for (const Device* device : devices_) {
      for (unsigned bar = 0; bar < device->bar_mapped.size(); ++bar) {
        if (!device->bar_mapped[bar]) continue;
        if (device->state != DeviceState::kAssigned) {
          Line line;
          line.text(domain_.name).text(": a BAR of ").bdf(device->info.bdf.value());
          report_.violation(line.text(" counts as mapped, and it is not assigned").view());
        }
        for (const vpci::PageRange& range : device->view.mappable(bar)) wanted += range.size;
      }
    }
    if (const auto shared = shared_memory()) wanted += shared->size;
    if (wanted == bars_) return;
    Line line;
    line.text(domain_.name).text(": CPU table has ").hex(bars_).text(" bytes of BARs, not ");
    report_.violation(line.hex(wanted).view());
  }

 private:
  [[nodiscard]] std::optional<Stage2Mapping> shared_memory() const {
    const BuiltIn* built_in = domain_.devices->built_in();
    return built_in == nullptr ? std::nullopt : built_in->shared();
  }
  bool other(const Stage2Mapping& leaf) override {
    if (const auto shared = shared_memory();
        shared && leaf.gpa >= shared->gpa &&
        fits(leaf.gpa - shared->gpa, leaf.size, shared->size)) {
      bars_ += leaf.size;
      judge(leaf, leaf.hpa == shared->hpa + (leaf.gpa - shared->gpa), shared->attributes);
      return true;
    }
    for (const Device* device : devices_) {
      if (device->state != DeviceState::kAssigned) continue;
      for (unsigned bar = 0; bar < device->bar_mapped.size(); ++bar) {
        if (device->bar_mapped[bar] && is_of(*device, bar, leaf)) {
          bars_ += leaf.size;
          judge(leaf, true, Stage2Attributes::device());
          return true;
        }
      }
    }
    return false;
  }
  static bool is_of(const Device& device, unsigned bar, const Stage2Mapping& leaf) {
    const vpci::BarView view = device.view.bar(bar);
    if (!inside(leaf.hpa, leaf.size, view.host, view.size)) return false;
    const std::uint64_t offset = leaf.hpa - view.host;
    if (leaf.gpa != view.gpa + offset) return false;
    for (const vpci::PageRange& range : device.view.mappable(bar)) {
      if (offset >= range.offset && fits(offset - range.offset, leaf.size, range.size)) return true;
    }
    return false;
  }

  Devices devices_;
  std::uint64_t bars_ = 0;
};

class DmaTableAudit final : public TableAudit {
 public:
  DmaTableAudit(const AuditInput& input, const AuditedDomain& domain, bool doorbell,
                AuditReport& report)
      : TableAudit(input, domain, doorbell ? "DMA table with doorbell" : "DMA table",
                   Stage2Attributes::dma_ram(), report),
        its_(doorbell ? input.hw.its : nullptr) {}
  void finish_doorbell() {
    if (its_ == nullptr || doorbells_ == 1) return;
    Line line;
    report_.violation(line.text(domain_.name).text(": DMA table without the doorbell").view());
  }

 private:
  bool other(const Stage2Mapping& leaf) override {
    if (!is_doorbell(leaf)) return false;
    ++doorbells_;
    judge(leaf, true, Stage2Attributes::doorbell());
    return true;
  }
  [[nodiscard]] bool is_doorbell(const Stage2Mapping& leaf) const override {
    return its_ != nullptr && leaf.gpa == domain_.doorbell_page && leaf.size == kPageSize &&
           leaf.hpa == its_->doorbell_page();
  }

  const msi::Its* its_;
  unsigned doorbells_ = 0;
};

void check_dma_table(const AuditInput& input, const AuditedDomain& domain,
                     const mem::Stage2Table* table, bool doorbell, AuditReport& report) {
  if (table == nullptr || table->root() == Hpa()) return;
  DmaTableAudit look(input, domain, doorbell, report);
  table->audit(look);
  look.finish();
  look.finish_doorbell();
}

void complain_of_both(const AuditedDomain& a, const AuditedDomain& b, std::string_view what,
                      AuditReport& report) {
  Line line;
  report.violation(line.text(a.name).text(" and ").text(b.name).text(what).view());
}

bool share_bars(const Device& a, const Device& b) {
  for (const pci::Bar& x : a.info.bars) {
    for (const pci::Bar& y : b.info.bars) {
      if (x.io || y.io || x.size < kPageSize || y.size < kPageSize) continue;
      if (overlap(x.host, x.size, y.host, y.size)) return true;
    }
  }
  return false;
}

/// What the devices of two domains have in common that they should not.
struct Shared {
  bool device = false;
  bool bar = false;
};

Shared shared(const AuditedDomain& a, const AuditedDomain& b) {
  const Members of_a(a);
  const Members of_b(b);
  Shared found;
  for (const Device* one : of_a) {
    for (const Device* other : of_b) {
      found.device |= one == other;
      found.bar |= one != other && share_bars(*one, *other);
    }
  }
  return found;
}

void check_pair(const AuditedDomain& a, const AuditedDomain& b, AuditReport& report) {
  if (overlap(a.ram_home, a.ram_bytes, b.ram_home, b.ram_bytes)) {
    complain_of_both(a, b, " have RAM in common", report);
  }
  // A device that went from one to the other in between is not both's at the next look.
  Shared wrong{true, true};
  for (unsigned look = 0; look < kLooks && (wrong.device || wrong.bar); ++look) {
    const Shared now = shared(a, b);
    wrong = {wrong.device && now.device, wrong.bar && now.bar};
  }
  if (wrong.device) complain_of_both(a, b, " have a device in common", report);
  if (wrong.bar) complain_of_both(a, b, " have devices with a BAR in common", report);
}

}  // namespace

void check_tables(const AuditInput& input, const AuditedDomain& domain, Devices devices,
                  AuditReport& report) {
  CpuTableAudit cpu(input, domain, devices, report);
  domain.cpu_table->audit(cpu);
  cpu.finish();
  cpu.finish_bars();
  const bool one = domain.dma.table == domain.with_doorbell.table;
  if (!one) check_dma_table(input, domain, domain.dma.table, false, report);
  check_dma_table(input, domain, domain.with_doorbell.table, true, report);
}

void check_configuration(const AuditInput& input, AuditReport& report) {
  for (std::size_t i = 0; i < input.domains.size(); ++i) {
    for (std::size_t k = i + 1; k < input.domains.size(); ++k) {
      check_pair(input.domains[i], input.domains[k], report);
    }
  }
}

}  // namespace penstock::assign::audit_parts
