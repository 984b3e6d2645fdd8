#include "core/mem/stage2_table.hpp"

#include <atomic>

#include "core/mem/stage2_format.hpp"

namespace penstock::mem {

using stage2::is_table;
using stage2::is_valid;
using stage2::kEntries;
using stage2::kLevels;
using stage2::kRootEntries;
using stage2::shift;
using stage2::span;

namespace {

constexpr std::uint64_t kOutputLimit = std::uint64_t{1} << 48;

std::uint64_t index_of(std::uint64_t address, unsigned level) {
  return (address >> shift(level)) & (level == 1 ? kRootEntries - 1 : kEntries - 1);
}

/// The end of the part of [address, end) that lies in one entry of `level`.
std::uint64_t slot_end(std::uint64_t address, std::uint64_t end, unsigned level) {
  const std::uint64_t next = align_down(address, span(level)) + span(level);
  return next < end ? next : end;
}

Hpa output(std::uint64_t descriptor) {
  return Hpa(descriptor & stage2::Output::kMask);
}

std::uint64_t table_descriptor(Hpa table) {
  return table.value() | stage2::Valid::kMask | stage2::NotBlock::kMask;
}

std::uint64_t leaf_descriptor(std::uint64_t hpa, unsigned level, std::uint64_t leaf_bits) {
  return hpa | leaf_bits | stage2::Valid::kMask | (level == kLevels ? stage2::NotBlock::kMask : 0);
}

std::uint64_t encode(Stage2Attributes attributes) {
  const bool normal = attributes.memory == Stage2Attributes::Memory::kNormal;
  std::uint64_t bits = with<stage2::AccessFlag>(0, 1);
  bits = with<stage2::MemAttr>(
      bits, normal ? stage2::kMemAttrNormalWriteBack : stage2::kMemAttrDeviceNGnRE);
  bits = with<stage2::Sh>(bits, normal ? stage2::kInnerShareable : 0);
  bits = with<stage2::CanRead>(bits, attributes.read ? 1 : 0);
  bits = with<stage2::CanWrite>(bits, attributes.write ? 1 : 0);
  return with<stage2::NoExec>(bits, attributes.execute ? 0 : 1);
}

Stage2Attributes decode(std::uint64_t leaf) {
  Stage2Attributes attributes;
  attributes.read = get<stage2::CanRead>(leaf) != 0;
  attributes.write = get<stage2::CanWrite>(leaf) != 0;
  attributes.execute = get<stage2::NoExec>(leaf) == 0;
  attributes.memory = get<stage2::MemAttr>(leaf) == stage2::kMemAttrNormalWriteBack
                          ? Stage2Attributes::Memory::kNormal
                          : Stage2Attributes::Memory::kDevice;
  return attributes;
}

}  // namespace

// ---- Entries ----

std::uint64_t* Stage2Table::entry(Hpa table, std::uint64_t index) const {
  return reinterpret_cast<std::uint64_t*>(memory_->map(table + index * 8, 8));
}

std::uint64_t Stage2Table::load(Hpa table, std::uint64_t index) const {
  return std::atomic_ref<std::uint64_t>(*entry(table, index)).load(std::memory_order_relaxed);
}

/// Single-copy atomic, as walkers read it (Arm ARM D8.2.6); make_observable() orders it.
void Stage2Table::store(Hpa table, std::uint64_t index, std::uint64_t descriptor) {
  std::atomic_ref<std::uint64_t>(*entry(table, index)).store(descriptor, std::memory_order_relaxed);
}

void Stage2Table::publish(Hpa table, std::uint64_t index, std::uint64_t descriptor) {
  store(table, index, descriptor);
  memory_->make_observable(table + index * 8, 8);
}

/// The entries of one table that cover `range`, as one batch.
void Stage2Table::make_observable(Hpa table, unsigned level, Range range) {
  const std::uint64_t first = index_of(range.start, level);
  const std::uint64_t last = index_of(range.end - 1, level);
  memory_->make_observable(table + first * 8, (last - first + 1) * 8);
}

bool Stage2Table::is_empty(Hpa table) const {
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    if (is_valid(load(table, i))) return false;
  }
  return true;
}

// ---- Checks: nothing is changed before all of them have passed ----

Status Stage2Table::check_range(Gpa gpa, std::uint64_t size) const {
  if (root_ == Hpa()) return fail(Code::kBadState);
  if (!gpa.is_aligned(kPageSize)) return fail(Code::kMisaligned, gpa.value());
  if (size % kPageSize != 0) return fail(Code::kMisaligned, size);
  if (size == 0) return fail(Code::kOutOfRange, size);
  if (!fits(gpa.value(), size, kIpaLimit)) return fail(Code::kOutOfRange, gpa.value());
  return {};
}

Status Stage2Table::check_free(Hpa table, unsigned level, Range range) const {
  for (std::uint64_t at = range.start; at < range.end; at = slot_end(at, range.end, level)) {
    const std::uint64_t descriptor = load(table, index_of(at, level));
    if (!is_valid(descriptor)) continue;
    if (!is_table(descriptor, level)) return fail(Code::kAlreadyExists, at);
    const Range part{at, slot_end(at, range.end, level)};
    if (Status ok = check_free(output(descriptor), level + 1, part); !ok) return ok;
  }
  return {};
}

Status Stage2Table::check_mapped(Hpa table, unsigned level, Range range) const {
  for (std::uint64_t at = range.start; at < range.end; at = slot_end(at, range.end, level)) {
    const std::uint64_t descriptor = load(table, index_of(at, level));
    if (!is_valid(descriptor)) return fail(Code::kNotMapped, at);
    if (!is_table(descriptor, level)) continue;
    const Range part{at, slot_end(at, range.end, level)};
    if (Status ok = check_mapped(output(descriptor), level + 1, part); !ok) return ok;
  }
  return {};
}

// ---- Life ----

Status Stage2Table::init(PagePool& pool, port::PhysMem& memory, port::Stage2Tlb& tlb) {
  LockGuard guard(lock_);
  if (root_ != Hpa()) return fail(Code::kBadState);
  const Hpa root = TRY(pool.take(kStage2RootBytes, kStage2RootBytes));
  pool_ = &pool;
  memory_ = &memory;
  tlb_ = &tlb;
  root_ = root;
  pages_ = 2;
  return {};
}

void Stage2Table::destroy() {
  LockGuard guard(lock_);
  if (root_ == Hpa()) return;
  remove({0, kIpaLimit});
  pool_->give_back(root_, kStage2RootBytes);
  root_ = Hpa();
  pages_ = 0;
}

std::uint64_t Stage2Table::table_bytes() const {
  LockGuard guard(lock_);
  return pages_ * kPageSize;
}

// ---- Map ----

Status Stage2Table::map(Gpa gpa, Hpa hpa, std::uint64_t size, Stage2Attributes attributes) {
  LockGuard guard(lock_);
  if (Status ok = check_range(gpa, size); !ok) return ok;
  if (!hpa.is_aligned(kPageSize)) return fail(Code::kMisaligned, hpa.value());
  if (!fits(hpa.value(), size, kOutputLimit)) return fail(Code::kOutOfRange, hpa.value());
  if (!attributes.read && !attributes.write) return fail(Code::kOutOfRange);
  const Range range{gpa.value(), gpa.value() + size};
  if (Status ok = check_free(root_, 1, range); !ok) return ok;

  Status filled = fill(root_, 1, range, hpa.value() - gpa.value(), encode(attributes));
  // Nothing was mapped here before, so whatever is here now is ours to take back.
  if (!filled) remove(range);
  return filled;
}

/// Invalid entries are never cached (Arm ARM D8.13), so making them valid needs no invalidation.
Status Stage2Table::fill(Hpa table, unsigned level, Range range, std::uint64_t hpa_minus_gpa,
                         std::uint64_t leaf_bits) {
  for (std::uint64_t at = range.start; at < range.end; at = slot_end(at, range.end, level)) {
    const Range part{at, slot_end(at, range.end, level)};
    const std::uint64_t hpa = at + hpa_minus_gpa;
    const std::uint64_t index = index_of(at, level);
    if (part.end - part.start == span(level) && hpa % span(level) == 0) {
      store(table, index, leaf_descriptor(hpa, level, leaf_bits));
      continue;
    }
    if (!is_valid(load(table, index))) {
      const Hpa child = TRY(pool_->take(kPageSize));
      ++pages_;
      publish(table, index, table_descriptor(child));
    }
    const Hpa child = output(load(table, index));
    if (Status ok = fill(child, level + 1, part, hpa_minus_gpa, leaf_bits); !ok) return ok;
  }
  make_observable(table, level, range);
  return {};
}

// ---- Unmap ----

Status Stage2Table::unmap(Gpa gpa, std::uint64_t size) {
  LockGuard guard(lock_);
  if (Status ok = check_range(gpa, size); !ok) return ok;
  const Range range{gpa.value(), gpa.value() + size};
  if (Status ok = check_mapped(root_, 1, range); !ok) return ok;
  Spares spares;
  if (Status ok = take_spares(range, spares); !ok) return ok;
  split_at(range.start, spares);
  split_at(range.end, spares);
  for (Hpa unused : spares) pool_->give_back(unused, kPageSize);
  remove(range);
  return {};
}

/// Clears the range, which no block overlaps only in part, and frees the tables that it empties:
/// after the invalidation and not before, or a walk in flight would read a page that belongs to
/// somebody else by then.
void Stage2Table::remove(Range range) {
  clear(root_, 1, range);
  tlb_->invalidate(Gpa(range.start), range.end - range.start);
  while (buried_ != Hpa()) {
    const Hpa page = buried_;
    buried_ = Hpa(load(page, 0));
    pool_->give_back(page, kPageSize);
    --pages_;
  }
}

void Stage2Table::clear(Hpa table, unsigned level, Range range) {
  for (std::uint64_t at = range.start; at < range.end; at = slot_end(at, range.end, level)) {
    const std::uint64_t index = index_of(at, level);
    const std::uint64_t descriptor = load(table, index);
    if (!is_valid(descriptor)) continue;
    if (!is_table(descriptor, level)) {
      store(table, index, 0);
      continue;
    }
    const Hpa child = output(descriptor);
    clear(child, level + 1, {at, slot_end(at, range.end, level)});
    if (!is_empty(child)) continue;
    publish(table, index, 0);
    bury(child);
  }
  make_observable(table, level, range);
}

/// The link is a page address: its low bits are clear, so a walker that still holds the table reads
/// an invalid entry.
void Stage2Table::bury(Hpa table) {
  publish(table, 0, buried_.value());
  buried_ = table;
}

// ---- Splitting a block ----

/// How many blocks must be split so that `boundary` falls between two leaves.
unsigned Stage2Table::splits_at(std::uint64_t boundary) const {
  if (boundary % span(1) == 0) return 0;
  std::uint64_t descriptor = load(root_, index_of(boundary, 1));
  const unsigned below = boundary % span(2) == 0 ? 0 : 1;
  if (!is_valid(descriptor)) return 0;
  if (!is_table(descriptor, 1)) return 1 + below;
  descriptor = load(output(descriptor), index_of(boundary, 2));
  return is_valid(descriptor) && !is_table(descriptor, 2) ? below : 0;
}

Status Stage2Table::take_spares(Range range, Spares& spares) {
  // Both boundaries may lie in one block; then a page or two too many are taken, and given back by
  // the caller.
  const unsigned needed = splits_at(range.start) + splits_at(range.end);
  for (unsigned i = 0; i < needed; ++i) {
    Result<Hpa> page = pool_->take(kPageSize);
    Status kept = page ? spares.push_back(*page) : Status(page.error());
    if (kept) continue;
    for (Hpa taken : spares) pool_->give_back(taken, kPageSize);
    return kept;
  }
  return {};
}

void Stage2Table::split_at(std::uint64_t boundary, Spares& spares) {
  Hpa table = root_;
  for (unsigned level = 1; level < kLevels && boundary % span(level) != 0; ++level) {
    std::uint64_t descriptor = load(table, index_of(boundary, level));
    if (!is_valid(descriptor)) return;
    if (!is_table(descriptor, level)) {
      const Hpa page = spares.back();
      spares.erase(spares.size() - 1);
      split_block(table, level, boundary, page);
      descriptor = load(table, index_of(boundary, level));
    }
    table = output(descriptor);
  }
}

/// Break-before-make (Arm ARM D8.14.1): the block's entry is invalid, and the block forgotten,
/// before the table of its pieces takes its place. The pieces are ready before the break, so that
/// the gap is short.
void Stage2Table::split_block(Hpa table, unsigned level, std::uint64_t address, Hpa page) {
  const std::uint64_t index = index_of(address, level);
  const std::uint64_t block = load(table, index);
  const std::uint64_t bits = block & ~(stage2::Output::kMask | stage2::NotBlock::kMask);
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    const std::uint64_t hpa = output(block).value() + i * span(level + 1);
    store(page, i, leaf_descriptor(hpa, level + 1, bits));
  }
  memory_->make_observable(page, kPageSize);
  publish(table, index, 0);
  tlb_->invalidate(Gpa(align_down(address, span(level))), span(level));
  publish(table, index, table_descriptor(page));
  ++pages_;
}

// ---- Looking ----

Result<Stage2Table::Translation> Stage2Table::translate(Gpa gpa) const {
  LockGuard guard(lock_);
  if (gpa.value() >= kIpaLimit) return fail(Code::kOutOfRange, gpa.value());
  if (root_ == Hpa()) return fail(Code::kNotMapped, gpa.value());
  Hpa table = root_;
  for (unsigned level = 1; level <= kLevels; ++level) {
    const std::uint64_t descriptor = load(table, index_of(gpa.value(), level));
    if (!is_valid(descriptor)) break;
    if (!is_table(descriptor, level)) {
      return Translation{output(descriptor) + (gpa.value() & (span(level) - 1)),
                         decode(descriptor)};
    }
    table = output(descriptor);
  }
  return fail(Code::kNotMapped, gpa.value());
}

void Stage2Table::audit(MappingVisitor& visitor) const {
  LockGuard guard(lock_);
  if (root_ != Hpa()) visit(root_, 1, 0, visitor);
}

void Stage2Table::visit(Hpa table, unsigned level, std::uint64_t base,
                        MappingVisitor& visitor) const {
  const std::uint64_t count = level == 1 ? kRootEntries : kEntries;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t descriptor = load(table, i);
    const std::uint64_t at = base + i * span(level);
    if (!is_valid(descriptor)) continue;
    if (is_table(descriptor, level)) {
      visit(output(descriptor), level + 1, at, visitor);
    } else {
      visitor.mapping({Gpa(at), output(descriptor), span(level), decode(descriptor)});
    }
  }
}

}  // namespace penstock::mem
