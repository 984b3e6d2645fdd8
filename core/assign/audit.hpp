// Does the hardware's state say what the configuration says? Reads back every stream-table entry,
// every stage-2 table, and what of the interrupt tables can be read back, and compares each with
// what it has to be, given who owns which device at this moment. Nothing is changed.
//
// What it compares
//   streams   an entry that does not abort belongs to an assigned device and leads to its owner's
//             tables with its owner's VMID; behind a stage 1 of the guest's, its fields are those
//             that the SMMU's driver was asked for. An assigned device that is not cut off has one.
//   tables    a DMA table maps the domain's RAM, and the one with the doorbell that page,
//             write-only; a CPU table maps RAM and the BARs that are mapped; nothing else. No frame
//             is in two domains' tables, none of the hypervisor's or its devices' in any.
//   messages  devices with a table at the ITS are the assigned ones with vectors; an LPI is enabled
//             exactly when it is theirs; routes lead from them to their own domain; each domain
//             holds what its devices have. The ITS and its first-level tables are set up as at
//             boot.
//
// What it cannot: an ITS keeps devices, events and collections in a form of its own behind the
// first level (IHI 0069, 5.2), redistributors their pending tables: only the driver's record of
// them is compared. Where a route leads within its domain is the guest's choice and changes while
// this runs; it is compared with the domain, not with the virtual ITS.
//
// While guests run the answer is still right: each domain is judged under its devices' lock, so
// that no device of it changes owner, state or place; what is nobody's is judged by looks that are
// consistent in themselves. One thing has no such lock: a guest that makes its own stage 1 abort
// and translate again. There one look in kLooks has to be good.
//
// Locks: one domain's DeviceSet at a time, and under it one table's, the SMMU's, the ITS's, the LPI
// allocator's. Work per domain: its tables, 8,192 LPIs, the stream table. It waits where a device
// of a domain is being reset.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/assign/device_set.hpp"
#include "core/base/static_vector.hpp"
#include "core/base/text.hpp"

namespace penstock::assign {

/// Machine memory that no table may map: the hypervisor's own, registers of the board.
struct ForbiddenRange {
  Hpa start;
  std::uint64_t size = 0;
  std::string_view what;
};

/// One table that devices walk, and the tag of its translations. `table` null: there is none.
struct AuditedDmaTable {
  const mem::Stage2Table* table = nullptr;
  Vmid vmid;
};

/// A domain as the configuration has it. References outlive the audit.
struct AuditedDomain {
  DomainId id;
  std::string_view name;
  DeviceSet* devices = nullptr;  // a device is in one set of the machine
  const mem::Stage2Table* cpu_table = nullptr;
  AuditedDmaTable dma;            // of devices whose messages were never on
  AuditedDmaTable with_doorbell;  // the same table as `dma` where there is only one
  Gpa ram;
  Hpa ram_home;
  std::uint64_t ram_bytes = 0;  // contiguous
  Gpa doorbell_page;
  unsigned vcpus = 0;
  bool has_stage1 = false;  // its guest has an IOMMU of its own
};

struct AuditInput {
  Hardware hw;  // smmu, its: null where the board has none
  std::span<const AuditedDomain> domains;
  std::span<const ForbiddenRange> forbidden;
};

class AuditReport {
 public:
  static constexpr std::size_t kTexts = 4;
  static constexpr std::size_t kTextBytes = 120;

  std::uint64_t streams = 0;   // entries that do not abort
  std::uint64_t mappings = 0;  // leaves of all tables
  std::uint64_t lpis = 0;      // enabled

  /// Counts one violation; the first kTexts are kept, cut to kTextBytes.
  void violation(std::string_view text);
  /// All that `other` has counted and found.
  void add(const AuditReport& other);

  [[nodiscard]] bool ok() const { return violations_ == 0; }
  [[nodiscard]] std::uint64_t violations() const { return violations_; }
  [[nodiscard]] std::size_t texts() const { return texts_.size(); }
  [[nodiscard]] std::string_view text(std::size_t i) const {
    return {texts_[i].bytes.data(), texts_[i].size};
  }
  /// {"ok":true,"streams":N,"mappings":N,"lpis":N,"violations":[]}: texts, and how many more.
  void write_json(TextWriter& out) const;
  static constexpr std::size_t kJsonBytes = 160 + kTexts * (kTextBytes + 4);

 private:
  struct Kept {
    std::array<char, kTextBytes> bytes{};
    std::size_t size = 0;
  };
  std::uint64_t violations_ = 0;
  StaticVector<Kept, kTexts> texts_;
};

/// How often a stream that should not abort is looked at before it counts as one that does.
inline constexpr unsigned kLooks = 4;

/// Adds what it finds to `report`. Any CPU that holds no lock, after boot; guests may run.
void audit(const AuditInput& input, AuditReport& report);

}  // namespace penstock::assign
