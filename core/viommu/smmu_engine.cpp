// VirtualSmmu: slices of work, and the streams whose entries are to be read anew.
#include "core/base/bits.hpp"
#include "core/viommu/virtual_smmu.hpp"

namespace penstock::viommu {

namespace hw = penstock::hw::smmuv3;

// ---- slices ----

void VirtualSmmu::run() {
  if (!engine_.try_lock()) return;  // another CPU of the guest is at it; the work stays announced
  take_work();
  count(counters_.slices, 1);
  unsigned left = kUnitsPerSlice;
  bool pending = true;
  while (pending && left != 0) {
    const unsigned spent = step(left);
    left -= spent != 0 && spent < left ? spent : left;
    pending = has_pending();
  }
  if (pending) add_work();
  engine_.unlock();
}

bool VirtualSmmu::has_pending() const {
  if (stale_ != 0 || transition_ != Transition::kNone) return true;
  if (cr0_wanted_.load(std::memory_order_acquire) != cr0_ ||
      gbpa_wanted_.load(std::memory_order_acquire)) {
    return true;
  }
  const std::uint32_t difference =
      cmdq_cons_.load(std::memory_order_relaxed) ^ cmdq_prod_.load(std::memory_order_acquire);
  return wrap(difference) != 0 && get<hw::cr0::CMDQEN>(cr0_) != 0 &&
         !command_error_.load(std::memory_order_acquire);
}

/// The next thing to do, in units; 0: nothing is left, or nothing can be done now.
unsigned VirtualSmmu::step(unsigned budget) {
  if (stale_ != 0) return refresh_one() ? kRefreshUnits : 0;
  if (transition_ != Transition::kNone) {
    finish_transition();
    return 1;
  }
  const bool asked = cr0_wanted_.load(std::memory_order_acquire) != cr0_ ||
                     gbpa_wanted_.load(std::memory_order_acquire);
  if (asked && begin_transition()) return 1;
  return run_commands(budget);
}

// ---- CR0 and GBPA ----

bool VirtualSmmu::begin_transition() {
  const std::uint32_t cr0 = cr0_wanted_.load(std::memory_order_acquire);
  if (cr0 != cr0_) {
    const LockGuard guard(registers_);
    const bool switches = get<hw::cr0::SMMUEN>(cr0 ^ cr0_) != 0;
    cr0_ = cr0;
    // Base registers cannot change while what they describe is enabled: read once, here.
    table_ = stream_table_shape(value(Reg::kStrtabBase),
                                static_cast<std::uint32_t>(value(Reg::kStrtabBaseCfg)));
    const std::uint64_t queue = value(Reg::kCmdqBase);
    const std::uint64_t most = get<hw::idr1::CMDQS>(ids_.idr1);
    const std::uint64_t log2 = get<hw::queue_base::LOG2SIZE>(queue);
    entries_ = std::uint32_t{1} << (log2 < most ? log2 : most);
    const std::uint64_t bytes = std::uint64_t{hw::kCommandBytes} * entries_;
    queue_ = Gpa(queue & hw::queue_base::ADDR::kMask).align_down(bytes < 32 ? 32 : bytes);
    if (switches) make_stale(0, 32);
    transition_ = Transition::kCr0;
    return true;
  }
  if (!gbpa_wanted_.load(std::memory_order_acquire)) return false;
  const LockGuard guard(registers_);
  const bool abort = get<hw::gbpa::ABORT>(value(Reg::kGbpa)) != 0;
  const bool matters = get<hw::cr0::SMMUEN>(cr0_) == 0 && abort != gbpa_abort_;
  gbpa_abort_ = abort;
  if (matters) make_stale(0, 32);
  transition_ = Transition::kGbpa;
  return true;
}

/// No stream is stale: what was asked for has taken effect.
void VirtualSmmu::finish_transition() {
  const LockGuard guard(registers_);
  if (transition_ == Transition::kCr0) {
    value(Reg::kCr0Ack) = cr0_;
  } else {
    value(Reg::kGbpa) = with<hw::gbpa::UPDATE>(value(Reg::kGbpa), 0);
    gbpa_wanted_.store(false, std::memory_order_release);
  }
  transition_ = Transition::kNone;
}

// ---- streams ----

/// Those whose ID equals `id` but for its `ignored_bits` lowest ones.
void VirtualSmmu::make_stale(std::uint32_t id, unsigned ignored_bits) {
  for (Stream& stream : streams_) {
    const std::uint64_t difference = std::uint64_t{stream.guest.value() ^ id};
    if (stream.stale || stream.cut_off || difference >> ignored_bits != 0) continue;
    stream.stale = true;
    ++stale_;
  }
}

JudgedEntry VirtualSmmu::wanted(GuestStreamId stream) {
  if (get<hw::cr0::SMMUEN>(cr0_) != 0) {
    return read_stream_entry(*around_.memory, table_, ids_, stream);
  }
  return {{gbpa_abort_ ? hw::Stage1Mode::kAbort : hw::Stage1Mode::kBypass, 0, 0}, 0, {}};
}

/// False when the host is busy.
bool VirtualSmmu::refresh(Stream& stream) {
  const JudgedEntry entry = wanted(stream.guest);
  {
    // First, so that an event of the new entry finds its reason.
    const LockGuard guard(registers_);
    note_reason(stream.guest, entry);
  }
  const Status done = host_.configure(stream.physical, entry.stage1);
  if (!done && done.error().code == Code::kBusy) return false;
  stream.cut_off = !done && done.error().code == Code::kNotFound;
  stream.stale = false;  // on any other error the stream aborts, and the host has said why
  --stale_;
  return true;
}

/// The same for the first that is stale.
bool VirtualSmmu::refresh_one() {
  for (Stream& stream : streams_) {
    if (stream.stale) return refresh(stream);
  }
  stale_ = 0;
  return true;
}

std::size_t VirtualSmmu::lower_bound(GuestStreamId stream) const {
  std::size_t low = 0;
  std::size_t high = streams_.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (streams_[middle].guest < stream) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

VirtualSmmu::Stream* VirtualSmmu::find(GuestStreamId stream) {
  const std::size_t at = lower_bound(stream);
  return at < streams_.size() && streams_[at].guest == stream ? &streams_[at] : nullptr;
}

/// The host has refused a batch because of a stream that it has cut off. False: not one of ours.
bool VirtualSmmu::note_cut_off(const Error& why) {
  if (why.code != Code::kNotOwner) return false;
  for (Stream& stream : streams_) {
    if (stream.physical.value() != why.arg || stream.cut_off) continue;
    stream.cut_off = true;
    if (stream.stale) --stale_;
    stream.stale = false;
    return true;
  }
  return false;
}

Status VirtualSmmu::attach(GuestStreamId stream, StreamId physical) {
  const LockGuard engine(engine_);
  if (find(stream) != nullptr) return fail(Code::kAlreadyExists, stream.value());
  const std::size_t at = lower_bound(stream);
  TRY(streams_.push_back({stream, physical}));
  for (std::size_t i = streams_.size() - 1; i > at; --i) streams_[i] = streams_[i - 1];
  streams_[at] = {.guest = stream, .physical = physical, .stale = true};
  ++stale_;
  add_work();
  {
    const LockGuard guard(registers_);
    TRY(reasons_.push_back({stream, 0, {}}));
  }
  // While this SMMU is off there is no entry to read: nothing to wait for, unless the host is busy.
  if (get<hw::cr0::SMMUEN>(cr0_) == 0) (void)refresh(streams_[at]);
  return {};
}

void VirtualSmmu::detach(GuestStreamId stream) {
  const LockGuard engine(engine_);
  const Stream* gone = find(stream);
  if (gone == nullptr) return;
  if (gone->stale) --stale_;
  streams_.erase(lower_bound(stream));
  const LockGuard guard(registers_);
  for (std::size_t i = 0; i < reasons_.size(); ++i) {
    if (reasons_[i].guest == stream) return reasons_.erase(i);
  }
}

}  // namespace penstock::viommu
