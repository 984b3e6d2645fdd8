// Transactions of the simulated SMMU that stall on a fault of stage 1 (IHI 0070, 3.12.2).
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

namespace {

constexpr std::size_t kStallsAtOnce = 0x1'0000;  // as many as there are STAGs

}  // namespace

/// The event of a stall is recorded whatever CD.R says: somebody has to answer it.
Smmu::Outcome Smmu::stall(const Access& access, const Failure& failure) {
  Outcome outcome;
  outcome.event = failure.type;
  if (stalled_.size() == kStallsAtOnce) return outcome;
  while (stalled_.contains(next_stag_)) ++next_stag_;
  outcome.stalled = true;
  outcome.stag = next_stag_++;
  stalled_.emplace(outcome.stag, access);
  Event event = describe(access, failure);
  event[1] |= std::uint64_t{1} << 31 | outcome.stag;
  waiting_.push_back(event);  // never lost, or the access would wait forever (7.2.1)
  store_waiting();
  return outcome;
}

void Smmu::finish(const Access& access, const Outcome& outcome) {
  if (resumed_) resumed_(access, outcome);
}

/// CMD_RESUME. One that names no stalled transaction of its stream has no effect.
unsigned Smmu::resume(const Command& command) {
  if (stall_model() == 1) return kErrorIllegal;
  const auto stream = static_cast<std::uint32_t>(command[0] >> 32);
  const bool retry = bits(command[0], 12, 12) != 0;
  const auto found = stalled_.find(static_cast<std::uint16_t>(command[1]));
  if (found == stalled_.end() || found->second.stream != stream) return kNoError;
  const Access access = found->second;
  stalled_.erase(found);
  // With IDR0.TERM_MODEL = 1 a transaction that is ended without Abort is aborted nevertheless.
  finish(access, retry ? translate(access.stream, access.iova, access.is_write, access.substream)
                       : Outcome{});
  return kNoError;
}

/// CMD_STALL_TERM: all of a stream's, without a word to software.
unsigned Smmu::terminate_stalls(const Command& command) {
  if (stall_model() == 1) return kErrorIllegal;
  const auto stream = static_cast<std::uint32_t>(command[0] >> 32);
  std::vector<Access> ended;
  for (auto item = stalled_.begin(); item != stalled_.end();) {
    if (item->second.stream != stream) {
      ++item;
      continue;
    }
    ended.push_back(item->second);
    item = stalled_.erase(item);
  }
  for (const Access& access : ended) finish(access, {});
  return kNoError;
}

}  // namespace penstock::sim
