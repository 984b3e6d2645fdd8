// Smmu: streams whose owner has a stage 1 of its own (IHI 0070, 3.3 and 5.2; the order of updates
// is that of 3.21.3.1).
#include "core/hw/smmuv3/commands.hpp"
#include "core/iommu/smmuv3.hpp"

namespace penstock::iommu {

namespace hw = penstock::hw::smmuv3;

namespace {

bool is_live(hw::Stage1Mode mode) {
  return mode == hw::Stage1Mode::kBypass || mode == hw::Stage1Mode::kTranslate;
}

}  // namespace

Status Smmu::nesting(std::string_view& why) const {
  LockGuard guard(lock_);
  if (!ready_) {
    why = "the SMMU is not in use";
    return fail(Code::kBadState);
  }
  if (get<hw::idr0::S1P>(ids_.idr0) == 0) {
    why = "the board's SMMU has no stage 1";
  } else if (!features_.coherent) {
    why = "the board's SMMU does not snoop caches: a guest's tables cannot be walked safely";
  } else {
    why = {};
    return {};
  }
  return fail(Code::kUnsupported, hw::kIdr0);
}

hw::IdRegisters Smmu::id_registers() const {
  LockGuard guard(lock_);
  return ids_;
}

std::optional<hw::Stage1> Smmu::stage1(StreamId id) const {
  LockGuard guard(lock_);
  const std::size_t at = lower_bound(id);
  if (at == streams_.size() || streams_[at].id != id || !streams_[at].vmid) return std::nullopt;
  return streams_[at].stage1;
}

// ---- Configuration ----

Status Smmu::configure(StreamId id, const hw::Stage1& wanted) {
  if (!lock_.try_lock()) return fail(Code::kBusy);
  const Status done = configure_locked(id, wanted);
  lock_.unlock();
  return done;
}

Status Smmu::configure_locked(StreamId id, const hw::Stage1& wanted) {
  if (!ready_) return fail(Code::kBadState);
  Stream* stream = find(id);
  if (stream == nullptr || !stream->vmid) return fail(Code::kNotFound, id.value());
  if (wanted.mode == hw::Stage1Mode::kTranslate && get<hw::idr0::S1P>(ids_.idr0) == 0) {
    return fail(Code::kUnsupported, hw::kIdr0);
  }
  const Status done = reconfigure(*stream, wanted);
  if (done) {
    stream->stage1 = wanted;
    return done;
  }
  stream->stage1 = {hw::Stage1Mode::kAbort, 0, 0};
  table_.write_abort(id);
  const hw::Command forget[] = {hw::cfgi_ste(id, true)};
  // Best effort: the queue has just failed, and the first error is the one to report.
  static_cast<void>(commands_.issue(forget).has_value());
  return done;
}

Status Smmu::reconfigure(Stream& stream, const hw::Stage1& wanted) {
  const hw::Stage1& now = stream.stage1;
  if (now == wanted) {
    const hw::Command forget[] = {hw::cfgi_ste(stream.id, true)};
    return commands_.issue(forget);
  }
  // Both nested but with different attributes in word 1, which an entry in use may not change
  // while word 0 stays: through an abort.
  const bool both_nested =
      now.mode == hw::Stage1Mode::kTranslate && wanted.mode == hw::Stage1Mode::kTranslate;
  if (!is_live(wanted.mode) || (both_nested && now.word1 != wanted.word1)) {
    if (Status ok = stop_stage1(stream, wanted); !ok) return ok;
  }
  return is_live(wanted.mode) ? start_stage1(stream, wanted) : Status{};
}

/// To an entry that aborts, silently or with an event.
Status Smmu::stop_stage1(const Stream& stream, const hw::Stage1& wanted) {
  if (wanted.mode == hw::Stage1Mode::kInvalid) {
    table_.write_invalid(stream.id);
  } else {
    table_.write_abort(stream.id);
  }
  // What stage 1 gave may only be served to the stage 1 that gave it (H37).
  const hw::Command forget[] = {hw::cfgi_ste(stream.id, true),
                                hw::tlbi_nh_all(stream.vmid.value_or(Vmid()))};
  return commands_.issue(forget);
}

/// To an entry that translates; whatever is there now does not use word 1's stage-1 fields, or has
/// them already.
Status Smmu::start_stage1(const Stream& stream, const hw::Stage1& wanted) {
  const bool nested = wanted.mode == hw::Stage1Mode::kTranslate;
  const std::uint64_t fields = table_.view(stream.id).value_or(smmuv3::SteView()).stage1_word1;
  if (nested && fields != wanted.word1) {
    table_.write_stage1_fields(stream.id, wanted.word1);
    const hw::Command forget[] = {hw::cfgi_ste(stream.id, true)};
    if (Status ok = commands_.issue(forget); !ok) return ok;
  }
  if (nested) {
    table_.write_nested(stream.id, wanted.word0);
  } else {
    table_.write_stage2(stream.id);
  }
  const hw::Command forget[] = {hw::cfgi_ste(stream.id, true),
                                hw::tlbi_nh_all(stream.vmid.value_or(Vmid()))};
  if (Status ok = commands_.issue(forget); !ok) return ok;
  if (!nested && fields != 0) table_.write_stage1_fields(stream.id, 0);  // not in use any more
  return {};
}

// ---- A guest's own invalidations ----

Status Smmu::check_forward(Vmid vmid, hw::Command& command) {
  const auto op = get<hw::command::Op>(command[0]);
  static_assert(static_cast<unsigned>(hw::Opcode::kTlbiNhVaa) ==
                static_cast<unsigned>(hw::Opcode::kTlbiNhAll) + 3);
  if (op >= hw::Opcode::kTlbiNhAll && op <= hw::Opcode::kTlbiNhVaa) {
    command[0] = with<hw::tlbi::VMID>(command[0], vmid.value());
    return {};
  }
  if (op != hw::Opcode::kCfgiCd && op != hw::Opcode::kCfgiCdAll) {
    return fail(Code::kOutOfRange, get<hw::command::Number>(command[0]));
  }
  const StreamId id(static_cast<std::uint32_t>(get<hw::cfgi_cd::StreamId>(command[0])));
  const Stream* stream = find(id);
  if (stream == nullptr || stream->vmid != vmid) return fail(Code::kNotOwner, id.value());
  return {};
}

Status Smmu::forward(Vmid vmid, std::span<hw::Command> batch) {
  if (!lock_.try_lock()) return fail(Code::kBusy);
  const Status done = forward_locked(vmid, batch);
  lock_.unlock();
  return done;
}

Status Smmu::forward_locked(Vmid vmid, std::span<hw::Command> batch) {
  if (!ready_) return fail(Code::kBadState);
  for (hw::Command& command : batch) {
    if (Status ok = check_forward(vmid, command); !ok) return ok;
  }
  return commands_.issue(batch);
}

}  // namespace penstock::iommu
