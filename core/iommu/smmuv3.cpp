#include "core/iommu/smmuv3.hpp"

#include "core/base/text.hpp"
#include "core/base/worth_a_line.hpp"
#include "core/hw/smmuv3/commands.hpp"
#include "core/hw/smmuv3/registers.hpp"
#include "core/hw/smmuv3/stream_table.hpp"
#include "core/mem/stage2_table.hpp"

namespace penstock::iommu {

namespace hw = penstock::hw::smmuv3;

namespace {

using smmuv3::CommandQueue;

constexpr std::uint64_t kMaxRangePages = kGiB / kPageSize;  // beyond it, all of the VMID is cheaper
constexpr std::uint64_t kMaxSinglePages = CommandQueue::kMaxBatch - 1;  // and one for stage 1

/// The commands that forget `pages` pages from `start` on, by ranges; each takes five bits or more
/// of the number.
StaticVector<hw::Command, CommandQueue::kMaxBatch> by_ranges(Vmid vmid, Gpa start,
                                                             std::uint64_t pages) {
  StaticVector<hw::Command, CommandQueue::kMaxBatch> batch;
  while (pages != 0) {
    const auto scale = static_cast<unsigned>(__builtin_ctzll(pages));
    const std::uint64_t units = (pages >> scale) & hw::tlbi::kMaxNum;
    const bool single = scale == 0 && units == 1;
    const hw::Command command =
        single ? hw::tlbi_s2_ipa(vmid, start)
               : hw::tlbi_s2_ipa_range(vmid, start, static_cast<unsigned>(units - 1), scale);
    if (!batch.push_back(command)) break;  // cannot be: kMaxRangePages has 19 bits
    start += (units << scale) * kPageSize;
    pages -= units << scale;
  }
  return batch;
}

StaticVector<hw::Command, CommandQueue::kMaxBatch> by_pages(Vmid vmid, Gpa start,
                                                            std::uint64_t pages) {
  StaticVector<hw::Command, CommandQueue::kMaxBatch> batch;
  for (std::uint64_t i = 0; i < pages; ++i) {
    if (!batch.push_back(hw::tlbi_s2_ipa(vmid, start + i * kPageSize))) break;
  }
  return batch;
}

}  // namespace

// ---- The list of streams ----

std::size_t Smmu::lower_bound(StreamId stream) const {
  std::size_t low = 0;
  std::size_t high = streams_.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (streams_[middle].id < stream) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

Smmu::Stream* Smmu::find(StreamId stream) {
  const std::size_t at = lower_bound(stream);
  return at < streams_.size() && streams_[at].id == stream ? &streams_[at] : nullptr;
}

Status Smmu::remember(StreamId stream) {
  if (find(stream) != nullptr) return {};
  const std::size_t at = lower_bound(stream);
  if (Status ok = streams_.push_back({stream, std::nullopt}); !ok) return ok;
  for (std::size_t i = streams_.size() - 1; i > at; --i) streams_[i] = streams_[i - 1];
  streams_[at] = {stream, std::nullopt};
  return {};
}

bool Smmu::vmid_used(Vmid vmid) const {
  for (const Stream& stream : streams_) {
    if (stream.vmid == vmid) return true;
  }
  return false;
}

std::optional<Vmid> Smmu::owner(StreamId stream) const {
  LockGuard guard(lock_);
  const std::size_t at = lower_bound(stream);
  if (at == streams_.size() || streams_[at].id != stream) return std::nullopt;
  return streams_[at].vmid;
}

// ---- A stream's life ----

Status Smmu::check_context(const DmaContext& context) const {
  const std::uint16_t vmid = context.vmid.value();
  // Entries that bypass stage 2 are tagged with VMID 0.
  // The last ones are those of scratch pages.
  const std::uint16_t limit = scratch_vmid(kMaxScratch - 1).value();
  if (vmid == 0 || vmid >= limit) return fail(Code::kOutOfRange, vmid);
  if (!context.root.is_aligned(mem::kStage2RootBytes) || context.root == Hpa()) {
    return fail(Code::kMisaligned, context.root.value());
  }
  for (const Stream& stream : streams_) {
    // Two tables under one tag: each would be served from what the TLB holds of the other.
    if (stream.vmid != context.vmid) continue;
    const std::optional<smmuv3::SteView> entry = table_.view(stream.id);
    if (!entry.has_value() || entry->root != context.root) return fail(Code::kNotOwner, vmid);
  }
  return {};
}

/// A stream without an owner: gives it an entry that aborts, makes the SMMU see it, and only then
/// takes its scratch page away.
Status Smmu::make_abort(StreamId stream) {
  const bool linked = TRY(table_.provide(stream));
  if (Status ok = remember(stream); !ok) return ok;
  table_.write_abort(stream);
  // A new level-2 table is seen only when the level-1 descriptor is forgotten too.
  const hw::Command forget[] = {hw::cfgi_ste(stream, !linked)};
  if (Status ok = commands_.issue(forget); !ok) return ok;
  if (Status ok = confirm(*find(stream)); !ok) return ok;
  return end_scratch(*find(stream));
}

/// The stream's entry aborts, and holds all that it needs to lead to the context's table.
Status Smmu::prepare(StreamId id, const DmaContext& context) {
  if (!ready_) return fail(Code::kBadState);
  if (const Stream* known = find(id); known != nullptr && known->vmid.has_value()) {
    return fail(Code::kAlreadyExists, id.value());
  }
  if (Status ok = check_context(context); !ok) return ok;
  if (Status ok = make_abort(id); !ok) return ok;

  // What the aborting entry does not use, while nothing can be cached for a VMID that comes into
  // use.
  table_.write_unused_words(id, context.vmid, context.root);
  const hw::Command forget[] = {hw::cfgi_ste(id, true), hw::tlbi_s12_vmall(context.vmid)};
  return commands_.issue(std::span(forget).first(vmid_used(context.vmid) ? 1 : 2));
}

Status Smmu::attach_aborting(StreamId id, const DmaContext& context) {
  LockGuard guard(lock_);
  if (Status ok = prepare(id, context); !ok) return ok;
  Stream& attached = *find(id);
  attached.vmid = context.vmid;
  attached.stage1 = {hw::Stage1Mode::kAbort, 0, 0};
  return {};
}

Status Smmu::attach(StreamId id, const DmaContext& context) {
  LockGuard guard(lock_);
  if (Status ok = prepare(id, context); !ok) return ok;
  table_.write_stage2(id);
  const hw::Command publish[] = {hw::cfgi_ste(id, true)};
  Status published = commands_.issue(publish);
  if (!published) {
    table_.write_abort(id);
    find(id)->unconfirmed = context.vmid;
    // Best effort: the queue has just failed, and the first error is the one to report.
    static_cast<void>(confirm(*find(id)).has_value());
    return published;
  }
  Stream& attached = *find(id);
  attached.vmid = context.vmid;
  attached.stage1 = {};
  return {};
}

Status Smmu::detach_locked(Stream& stream) {
  table_.write_abort(stream.id);
  stream.unconfirmed = stream.vmid;
  stream.vmid = std::nullopt;
  return confirm(stream);
}

/// The stream's entry says abort. Makes the SMMU see that, and forget what the stream's table gave.
Status Smmu::confirm(Stream& stream) {
  if (!stream.unconfirmed.has_value()) return {};
  const Vmid vmid = *stream.unconfirmed;
  const hw::Command forget_entry[] = {hw::cfgi_ste(stream.id, true)};
  if (Status ok = commands_.issue(forget_entry); !ok) return ok;
  // Only now can no walk begin for this stream, so what is forgotten here stays forgotten.
  if (!vmid_used(vmid)) {
    const hw::Command forget_vmid[] = {hw::tlbi_s12_vmall(vmid)};
    if (Status ok = commands_.issue(forget_vmid); !ok) return ok;
  }
  table_.clear_unused_words(stream.id);
  stream.unconfirmed = std::nullopt;
  return {};
}

Status Smmu::confirm_all(Vmid vmid) {
  for (Stream& stream : streams_) {
    if (stream.unconfirmed != vmid) continue;
    if (Status ok = confirm(stream); !ok) return ok;
  }
  return {};
}

Status Smmu::detach(StreamId id) {
  LockGuard guard(lock_);
  if (!ready_) return fail(Code::kBadState);
  Stream* stream = find(id);
  if (stream == nullptr || !stream->vmid.has_value()) return fail(Code::kNotFound, id.value());
  return detach_locked(*stream);
}

Status Smmu::block(StreamId id) {
  LockGuard guard(lock_);
  if (!ready_) return fail(Code::kBadState);
  Stream* stream = find(id);
  if (stream != nullptr && stream->vmid.has_value()) return detach_locked(*stream);
  return make_abort(id);
}

Status Smmu::silence(StreamId id) {
  LockGuard guard(lock_);
  if (!ready_) return fail(Code::kBadState);
  if (find(id) != nullptr) return {};
  const std::optional<smmuv3::SteView> entry = table_.view(id);
  if (entry.has_value() && entry->valid) return {};  // it is; the event was in the queue before
  if (!entry.has_value() && silenced_tables_ == kMaxSilenced) {
    return fail(Code::kTableFull, id.value());
  }
  const bool linked = TRY(table_.provide(id));
  if (linked) ++silenced_tables_;
  table_.write_abort(id);
  const hw::Command forget[] = {hw::cfgi_ste(id, !linked)};
  return commands_.issue(forget);
}

// ---- Invalidation ----

Status Smmu::invalidate(Vmid vmid, Gpa start, std::uint64_t size) {
  LockGuard guard(lock_);
  if (!ready_) return fail(Code::kBadState);
  if (vmid == Vmid()) return fail(Code::kOutOfRange, vmid.value());
  if (!fits(start.value(), size, mem::kIpaLimit)) return fail(Code::kOutOfRange, start.value());
  if (size == 0) return {};
  if (Status ok = confirm_all(vmid); !ok) return ok;
  const Gpa first = start.align_down(kPageSize);
  const std::uint64_t pages = ((start + size).align_up(kPageSize) - first) / kPageSize;
  if (pages > (features_.ranges ? kMaxRangePages : kMaxSinglePages)) {
    const hw::Command all[] = {hw::tlbi_s12_vmall(vmid)};
    return commands_.issue(all);
  }
  auto batch = features_.ranges ? by_ranges(vmid, first, pages) : by_pages(vmid, first, pages);
  // By IPA nothing is forgotten that stage 1 and stage 2 gave together (IHI 0070, 4.4.3), and what
  // such entries lead to cannot be told from their addresses.
  if (get<hw::idr0::S1P>(ids_.idr0) != 0) TRY(batch.push_back(hw::tlbi_nh_all(vmid)));
  return commands_.issue({batch.begin(), batch.size()});
}

void SmmuTlb::invalidate(Gpa start, std::uint64_t size) {
  Status done = smmu_.invalidate(vmid_, start, size);
  // Before init() and after stop() nothing is translated at all.
  if (done || done.error().code == Code::kBadState) return;
  static_cast<void>(smmu_.stop().has_value());
}

// ---- Faults and errors ----

unsigned Smmu::take_events(std::span<Fault> out) {
  LockGuard guard(event_lock_);
  return events_.take(out);
}

std::uint64_t Smmu::next_event() {
  LockGuard guard(event_lock_);
  return events_.next_number();
}

std::uint64_t Smmu::event_overflows() const {
  LockGuard guard(event_lock_);
  return events_.overflows();
}

std::uint32_t Smmu::handle_gerror() {
  LockGuard guard(lock_);
  if (registers_ == nullptr) return 0;
  const std::uint32_t acknowledged = registers_->read32(hw::kGerrorN);
  const std::uint32_t active = registers_->read32(hw::kGerror) ^ acknowledged;
  if (active == 0) return 0;
  // Devices can fill the event queue as fast as they work, which is one, too.
  if (worth_a_line(++global_errors_)) {
    Text<96> message;
    message.text("smmu: global error ").dec(global_errors_).text(", GERROR ").hex(active, 8);
    log_->line(port::Severity::kError, message.view());
  }
  constexpr auto kCommandError = static_cast<std::uint32_t>(hw::gerror::CMDQ_ERR::kMask);
  registers_->write32(hw::kGerrorN, acknowledged ^ (active & ~kCommandError));
  if ((active & kCommandError) != 0) static_cast<void>(commands_.recover().has_value());
  return active;
}

// ---- Audit ----

void Smmu::audit(StreamVisitor& visitor) const {
  LockGuard guard(lock_);
  for (std::optional<StreamId> id = table_.next(0); id.has_value();
       id = table_.next(std::uint64_t{id->value()} + 1)) {
    const smmuv3::SteView entry = table_.view(*id).value_or(smmuv3::SteView());
    if (!entry.valid || entry.config == static_cast<std::uint8_t>(hw::SteConfig::kAbort)) continue;
    const std::size_t at = lower_bound(*id);
    const bool known = at < streams_.size() && streams_[at].id == *id;
    visitor.stream({*id, entry.vmid, entry.root, entry.config, entry.stage1_word0,
                    entry.stage1_word1, known ? streams_[at].stage1 : hw::Stage1{}, entry.exact,
                    known && leads_to_scratch(streams_[at], entry)});
  }
}

}  // namespace penstock::iommu
