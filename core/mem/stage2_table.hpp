// One AArch64 stage-2 translation table (Arm ARM D8, VMSAv8-64): 4 KiB granule, 40-bit input
// addresses, start level 1 with two concatenated root pages. A CPU walks it through
// VTTBR_EL2/VTCR_EL2, an SMMU through a stream-table entry (S2TTB, S2T0SZ...). A domain has one for
// its CPUs and one for its devices (docs/architecture.md).
//
// An entry's life, and who makes each step:
//
//     invalid --map--> block or page --unmap--> invalid
//     invalid --map--> table --unmap, when empty--> invalid
//     block --unmap of a part--> invalid (break, invalidate TLB) --> table of smaller leaves (make)
//
// Each step is a single 64-bit store, and no store makes one valid leaf into another.
//
// Between break and make the whole block faults for a moment, for the pages that stay mapped too. A
// CPU access that faults then must be retried (translate() succeeds again); a device's access is
// lost. So parts of a block that a running device uses must not be unmapped: map in pieces what is
// going to be taken back in pieces.
//
// Walkers need not be coherent: every change is made observable before the next step depends on it.
// Table pages go back to the pool only after the TLB invalidation that follows their removal has
// completed.
//
// Locks: lock_ guards the table. Under it the TLB's lock (an SMMU's command queue) and then the
// pool's may be taken.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/lock.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/mem/page_pool.hpp"
#include "core/port/phys_mem.hpp"
#include "core/port/tlb.hpp"

namespace penstock::mem {

inline constexpr unsigned kIpaBits = 40;
inline constexpr std::uint64_t kIpaLimit = std::uint64_t{1} << kIpaBits;
inline constexpr std::uint64_t kStage2RootBytes =
    2 * kPageSize;  // two concatenated tables, aligned to their size

struct Stage2Attributes {
  enum class Memory : std::uint8_t {
    kNormal,  // write-back cacheable, inner shareable
    kDevice,  // Device-nGnRE
  };
  bool read = false;
  bool write = false;
  bool execute = false;
  Memory memory = Memory::kNormal;

  static constexpr Stage2Attributes ram() { return {true, true, true, Memory::kNormal}; }
  static constexpr Stage2Attributes dma_ram() { return {true, true, false, Memory::kNormal}; }
  static constexpr Stage2Attributes device() { return {true, true, false, Memory::kDevice}; }
  /// An interrupt doorbell: a device may write it and nothing else.
  static constexpr Stage2Attributes doorbell() { return {false, true, false, Memory::kDevice}; }

  friend constexpr bool operator==(const Stage2Attributes&, const Stage2Attributes&) = default;
};

/// One leaf of the table: [gpa, gpa + size) is machine memory from hpa on.
struct Stage2Mapping {
  Gpa gpa;
  Hpa hpa;
  std::uint64_t size = 0;  // 4 KiB, 2 MiB or 1 GiB
  Stage2Attributes attributes;
};

class MappingVisitor {
 public:
  /// Called under the table's lock; must not call back into the table.
  virtual void mapping(const Stage2Mapping& leaf) = 0;

 protected:
  ~MappingVisitor() = default;
};

class Stage2Table {
 public:
  struct Translation {
    Hpa hpa;
    Stage2Attributes attributes;
  };

  Stage2Table() = default;
  Stage2Table(const Stage2Table&) = delete;
  Stage2Table& operator=(const Stage2Table&) = delete;

  /// Allocates the empty root. The three objects outlive the table. kNoMemory; kBadState:
  /// initialised already.
  Status init(PagePool& pool, port::PhysMem& memory, port::Stage2Tlb& tlb) EXCLUDES(lock_);

  /// Relates [gpa, gpa + size) to [hpa, hpa + size), with 1 GiB and 2 MiB blocks where both are
  /// aligned. All or nothing: kMisaligned (arg: the value that is no multiple of 4 KiB),
  /// kOutOfRange (size 0, gpa beyond 40 bits, hpa beyond 48 bits, or attributes that allow
  /// nothing), kAlreadyExists (arg: the first Gpa mapped already), kNoMemory, kBadState (no init())
  /// leave every translation as it was.
  Status map(Gpa gpa, Hpa hpa, std::uint64_t size, Stage2Attributes attributes) EXCLUDES(lock_);

  /// Removes [gpa, gpa + size), which must be mapped wholly. When it returns with success no CPU or
  /// device can reach the range through this table and its frames may change owner. All or nothing:
  /// kMisaligned, kOutOfRange, kNotMapped (arg: the first hole), kNoMemory (splitting a block needs
  /// up to four pages), kBadState.
  Status unmap(Gpa gpa, std::uint64_t size) EXCLUDES(lock_);

  /// What a walk finds for one byte; kNotMapped (arg: the Gpa), kOutOfRange beyond 40 bits.
  [[nodiscard]] Result<Translation> translate(Gpa gpa) const EXCLUDES(lock_);

  /// Every leaf, in ascending order of addresses. Three levels deep, never more.
  void audit(MappingVisitor& visitor) const EXCLUDES(lock_);

  /// Removes every mapping, invalidates, and gives all pages back. The caller has taken the table
  /// out of every VTTBR and stream-table entry before. A table that was never initialised, or
  /// destroyed already, is left alone.
  void destroy() EXCLUDES(lock_);

  /// The root for VTTBR_EL2.BADDR and STE.S2TTB, 8 KiB aligned; 0 before init().
  [[nodiscard]] Hpa root() const { return root_; }
  /// Pages of the pool that this table holds now, root included.
  [[nodiscard]] std::uint64_t table_bytes() const EXCLUDES(lock_);

 private:
  struct Range {  // half-open, within what one table covers
    std::uint64_t start;
    std::uint64_t end;
  };
  using Spares = StaticVector<Hpa, 4>;  // two boundaries, two levels each

  [[nodiscard]] std::uint64_t* entry(Hpa table, std::uint64_t index) const;
  [[nodiscard]] std::uint64_t load(Hpa table, std::uint64_t index) const;
  void store(Hpa table, std::uint64_t index, std::uint64_t descriptor);
  void publish(Hpa table, std::uint64_t index, std::uint64_t descriptor);
  void make_observable(Hpa table, unsigned level, Range range);
  [[nodiscard]] bool is_empty(Hpa table) const;

  [[nodiscard]] Status check_range(Gpa gpa, std::uint64_t size) const;
  [[nodiscard]] Status check_free(Hpa table, unsigned level, Range range) const REQUIRES(lock_);
  [[nodiscard]] Status check_mapped(Hpa table, unsigned level, Range range) const REQUIRES(lock_);
  [[nodiscard]] Status fill(Hpa table, unsigned level, Range range, std::uint64_t hpa_minus_gpa,
                            std::uint64_t leaf_bits) REQUIRES(lock_);
  void clear(Hpa table, unsigned level, Range range) REQUIRES(lock_);
  void bury(Hpa table) REQUIRES(lock_);
  void remove(Range range) REQUIRES(lock_);
  [[nodiscard]] Status take_spares(Range range, Spares& spares) REQUIRES(lock_);
  [[nodiscard]] unsigned splits_at(std::uint64_t boundary) const REQUIRES(lock_);
  void split_at(std::uint64_t boundary, Spares& spares) REQUIRES(lock_);
  void split_block(Hpa table, unsigned level, std::uint64_t address, Hpa page) REQUIRES(lock_);
  void visit(Hpa table, unsigned level, std::uint64_t base, MappingVisitor& visitor) const
      REQUIRES(lock_);

  PagePool* pool_ = nullptr;
  port::PhysMem* memory_ = nullptr;
  port::Stage2Tlb* tlb_ = nullptr;
  Hpa root_;

  mutable SpinLock lock_;
  std::uint64_t pages_ GUARDED_BY(lock_) = 0;
  Hpa buried_ GUARDED_BY(
      lock_);  // unlinked tables that await the TLB invalidation, chained by their first word
};

}  // namespace penstock::mem
