// The stream table of one SMMUv3 (IHI 0070, 3.3.1): two levels with 256 entries per level-2 table
// where the hardware can, else one linear table. Level-2 tables are allocated when their first
// stream is named and are kept.
//
// An entry's states. A walk by the SMMU may read the eight words in any order at any time, so the
// words that a state does not use are written first, invalidated, and then word 0 (one 64-bit
// store) makes the step:
//
//     invalid (V=0)           aborts with C_BAD_STE
//     abort   (V=1, Config 0) aborts silently; words 1..7 are not used
//     stage 2 (V=1, Config 6) uses words 1..3
//     nested  (V=1, Config 7) uses words 1..3, and of words 0 and 1 the guest's stage-1 fields
//
//     invalid --word 0--> abort --words 1..7, CFGI+SYNC, word 0, CFGI+SYNC--> stage 2 or nested
//     --word 0, CFGI+SYNC--> abort
//     stage 2 --word 1's stage-1 fields, CFGI+SYNC, word 0, CFGI+SYNC--> nested --word 0,
//     CFGI+SYNC--> stage 2
//
// This class writes memory; the CFGI and SYNC between are the caller's (Smmu), in the order that
// the names demand. Not thread-safe: the Smmu's lock_ is held around every call.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/address.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/hw/smmuv3/stream_table.hpp"
#include "core/iommu/smmuv3/features.hpp"
#include "core/mem/page_pool.hpp"
#include "core/port/mmio.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::iommu::smmuv3 {

/// What an entry says, decoded from the table itself.
struct SteView {
  bool valid = false;
  std::uint8_t config = 0;
  Vmid vmid;
  Hpa root;
  std::uint64_t stage1_word0 = 0;  // within hw::smmuv3::kStage1Word0, as it stands
  std::uint64_t stage1_word1 = 0;  // within hw::smmuv3::kStage1Word1, as it stands
  bool exact = false;              // every other bit is what this class writes for such an entry
};

class StreamTable {
 public:
  static constexpr unsigned kSplit = 8;        // one bus of a PCI segment per level-2 table
  static constexpr unsigned kMaxSidBits = 20;  // two levels: 16 segments; 32 KiB of level-1 table
  static constexpr unsigned kMaxLinearBits = 10;  // linear: 64 KiB

  /// Takes the (level-1) table. kNoMemory.
  Status init(port::PhysMem& memory, mem::PagePool& pool, const Features& features);
  /// Writes STRTAB_BASE and STRTAB_BASE_CFG. The SMMU is disabled.
  void program(port::Mmio& registers) const;

  /// Streams that the table can hold, from 0.
  [[nodiscard]] std::uint64_t streams() const { return std::uint64_t{1} << sid_bits_; }

  /// Makes sure that the stream has an entry; `true` when a level-2 table was linked for it, so
  /// that the SMMU may have the empty level-1 descriptor cached (CFGI_STE with Leaf = 0 is due).
  /// kOutOfRange, kNoMemory.
  Result<bool> provide(StreamId stream);

  // The stream has an entry (provide()). Each store is observable when the call returns.
  void write_abort(StreamId stream);  // word 0 only
  void write_unused_words(StreamId stream, Vmid vmid,
                          Hpa root);    // words 1..7 for stage 2; the entry aborts
  void write_stage2(StreamId stream);   // word 0 only
  void write_invalid(StreamId stream);  // word 0 only: V = 0
  void write_nested(StreamId stream, std::uint64_t stage1_word0);  // word 0 only
  /// Word 1 only: the stage-1 fields of a nested entry, 0 for the others, which do not use them.
  void write_stage1_fields(StreamId stream, std::uint64_t stage1_word1);
  void clear_unused_words(StreamId stream);  // words 1..7; the entry aborts

  /// nullopt when no entry exists for the stream.
  [[nodiscard]] std::optional<SteView> view(StreamId stream) const;
  /// The first stream at or after `from` that has an entry in memory, for walks over the table in
  /// bounded steps.
  [[nodiscard]] std::optional<StreamId> next(std::uint64_t from) const;

 private:
  [[nodiscard]] std::optional<Hpa> entry(StreamId stream) const;
  [[nodiscard]] std::uint64_t load(Hpa word) const;
  [[nodiscard]] bool is_exact(Hpa entry, const SteView& view) const;
  void store(Hpa word, std::uint64_t value);
  void write_word(StreamId stream, unsigned word, std::uint64_t value);

  port::PhysMem* memory_ = nullptr;
  mem::PagePool* pool_ = nullptr;
  Features features_;
  Hpa base_;
  unsigned sid_bits_ = 0;
  bool linear_ = false;
};

}  // namespace penstock::iommu::smmuv3
