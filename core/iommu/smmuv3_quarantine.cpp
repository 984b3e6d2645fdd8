// Smmu: quarantine with a scratch page, for devices that hang when their accesses abort.
//
// Such a stream has a stage 2 of its own in which all entries of a level are the same one: the root
// leads to one level-2 table, that to one level-3 table, that to one page, whatever the address.
// Nothing of it is shared with another stream, its VMID included: what the TLB holds of one
// device's page is never served to another (H27, H37).
#include "core/hw/smmuv3/commands.hpp"
#include "core/iommu/smmuv3.hpp"
#include "core/mem/stage2_format.hpp"
#include "core/mem/stage2_table.hpp"

namespace penstock::iommu {

namespace hw = penstock::hw::smmuv3;

namespace {

namespace stage2 = mem::stage2;

// What a stream's share of the pool holds, in this order.
constexpr std::uint64_t kLevel2 = mem::kStage2RootBytes;
constexpr std::uint64_t kLevel3 = kLevel2 + kPageSize;
constexpr std::uint64_t kPage = kLevel3 + kPageSize;
constexpr std::uint64_t kBytes = kPage + kPageSize;

constexpr std::uint64_t kTableBits = stage2::Valid::kMask | stage2::NotBlock::kMask;

constexpr std::uint64_t page_bits() {
  std::uint64_t bits = stage2::Valid::kMask | stage2::NotBlock::kMask | stage2::CanRead::kMask |
                       stage2::CanWrite::kMask | stage2::AccessFlag::kMask | stage2::NoExec::kMask;
  bits = with<stage2::MemAttr>(bits, stage2::kMemAttrNormalWriteBack);
  return with<stage2::Sh>(bits, stage2::kInnerShareable);
}

struct Table {
  std::uint64_t at;
  std::uint64_t entries;
  std::uint64_t target;
  std::uint64_t bits;
};
constexpr Table kTables[] = {
    {0, stage2::kRootEntries, kLevel2, kTableBits},
    {kLevel2, stage2::kEntries, kLevel3, kTableBits},
    {kLevel3, stage2::kEntries, kPage, page_bits()},
};

}  // namespace

/// From the top down, out of the way of the domains'.
Vmid Smmu::scratch_vmid(std::size_t place) const {
  const unsigned last = features_.vmid16 ? 0xffff : 0xff;
  return Vmid(static_cast<std::uint16_t>(last - place));
}

Status Smmu::quarantine(StreamId id, QuarantineKind kind) {
  if (kind == QuarantineKind::kAbort) return block(id);
  LockGuard guard(lock_);
  if (!ready_) return fail(Code::kBadState);
  Stream* stream = find(id);
  if (stream != nullptr && stream->vmid.has_value()) {
    TRY(detach_locked(*stream));
  } else {
    TRY(make_abort(id));
    stream = find(id);
  }
  return begin_scratch(*stream);
}

Status Smmu::begin_scratch(Stream& stream) {
  std::size_t place = 0;
  while (place < scratch_.size() && scratch_[place] != Hpa()) ++place;
  if (place == scratch_.size()) return fail(Code::kTableFull, kMaxScratch);
  const Hpa base = TRY(pool_->take(kBytes, mem::kStage2RootBytes));
  for (const Table& table : kTables) {
    auto* entries = reinterpret_cast<std::uint64_t*>(
        memory_->map(base + table.at, table.entries * sizeof(std::uint64_t)));
    for (std::uint64_t i = 0; i < table.entries; ++i) {
      entries[i] = (base + table.target).value() | table.bits;
    }
  }
  memory_->make_observable(base, kBytes);
  // From here on the stream owns the place, and only a step that the SMMU confirms frees it.
  scratch_[place] = base;
  stream.scratch = static_cast<std::uint8_t>(place + 1);
  const Vmid vmid = scratch_vmid(place);
  table_.write_unused_words(stream.id, vmid, base);
  const hw::Command prepare[] = {hw::cfgi_ste(stream.id, true), hw::tlbi_s12_vmall(vmid)};
  if (Status ok = commands_.issue(prepare); !ok) return ok;
  table_.write_stage2(stream.id);
  const hw::Command publish[] = {hw::cfgi_ste(stream.id, true)};
  Status published = commands_.issue(publish);
  if (published) return published;
  table_.write_abort(stream.id);
  // Best effort: the queue has just failed, and the first error is the one to report.
  static_cast<void>(commands_.issue(publish).has_value());
  return published;
}

/// The stream's entry aborts and is seen to: no walk of its table begins any more.
Status Smmu::end_scratch(Stream& stream) {
  if (stream.scratch == 0) return {};
  const std::size_t place = stream.scratch - std::size_t{1};
  const hw::Command forget[] = {hw::tlbi_s12_vmall(scratch_vmid(place))};
  if (Status ok = commands_.issue(forget); !ok) return ok;
  table_.clear_unused_words(stream.id);
  pool_->give_back(scratch_[place], kBytes);
  scratch_[place] = Hpa();
  stream.scratch = 0;
  return {};
}

bool Smmu::leads_to_scratch(const Stream& stream, const smmuv3::SteView& entry) const {
  if (stream.scratch == 0) return false;
  const std::size_t place = stream.scratch - std::size_t{1};
  const Hpa base = scratch_[place];
  if (entry.vmid != scratch_vmid(place) || entry.root != base) return false;
  if (entry.config != static_cast<std::uint8_t>(hw::SteConfig::kStage2)) return false;
  for (const Table& table : kTables) {
    const auto* entries = reinterpret_cast<const std::uint64_t*>(
        memory_->map(base + table.at, table.entries * sizeof(std::uint64_t)));
    for (std::uint64_t i = 0; i < table.entries; ++i) {
      if (entries[i] != ((base + table.target).value() | table.bits)) return false;
    }
  }
  return true;
}

}  // namespace penstock::iommu
