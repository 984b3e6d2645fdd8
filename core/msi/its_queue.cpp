#include "core/msi/its_queue.hpp"

#include "core/base/bits.hpp"
#include "core/hw/gic/its_frame.hpp"
#include "core/hw/gic/lpi.hpp"
#include "core/msi/limits.hpp"

namespace penstock::msi {
namespace {

namespace gic = hw::gic;
namespace gits = hw::gic::gits;
using Retry = Field<0, 0>;    // GITS_CWRITER, 12.19.5
using Stalled = Field<0, 0>;  // GITS_CREADR, 12.19.3

constexpr std::uint64_t kAlignment = 64 * kKiB;  // address bits 15:12 must be zero (12.19.2)

}  // namespace

Status ItsQueue::init(port::Mmio& gits, port::PhysMem& memory, mem::PagePool& pool,
                      port::Clock& clock) {
  gits_ = &gits;
  memory_ = &memory;
  clock_ = &clock;
  ring_ = TRY(pool.take(kBytes, kAlignment));
  std::uint64_t base = with<gits::CbSize>(0, kBytes / kPageSize - 1);
  base = with<gits::CbAddress>(base, ring_.value() >> 12);
  base = with<gits::CbValid>(base, 1);
  std::uint64_t shared = with<gits::CbShareability>(base, gic::kInnerShareable);
  shared = with<gits::CbInnerCache>(shared, gic::kWriteBackReadWriteAllocate);
  gits.write64(gits::kCbaser, shared);
  std::uint64_t kept = gits.read64(gits::kCbaser);
  if (get<gits::CbShareability>(kept) == gic::kNonShareable) {
    // It does not snoop; publish() makes the commands observable in any case.
    gits.write64(gits::kCbaser, with<gits::CbInnerCache>(base, gic::kNonCacheable));
    kept = gits.read64(gits::kCbaser);
  }
  if (get<gits::CbAddress>(kept) != get<gits::CbAddress>(base) ||
      get<gits::CbSize>(kept) != get<gits::CbSize>(base)) {
    return fail(Code::kUnsupported, kept);
  }
  cbaser_ = kept;
  gits.write64(gits::kCwriter, 0);  // a write to GITS_CBASER has set GITS_CREADR to 0
  written_ = 0;
  published_ = 0;
  return {};
}

bool ItsQueue::intact() const {
  return gits_ == nullptr || gits_->read64(gits::kCbaser) == cbaser_;
}

Status ItsQueue::push(const its_commands::Words& command) {
  if (dead_) return fail(Code::kTimeout, gits::kCreadr);
  write_command(written_, command);
  written_ = (written_ + 1) % kCommands;
  // One slot stays empty: equal offsets mean an empty ring.
  if ((written_ + 1) % kCommands == published_) return flush();
  return {};
}

Status ItsQueue::flush() {
  if (dead_) return fail(Code::kTimeout, gits::kCreadr);
  if (written_ == published_) return {};
  publish();
  gits_->write64(gits::kCwriter, with<gits::QueueOffset>(0, written_));
  return wait();
}

void ItsQueue::write_command(unsigned at, const its_commands::Words& command) {
  std::byte* slot = memory_->map(ring_ + at * its_commands::kBytes, its_commands::kBytes);
  for (unsigned i = 0; i < its_commands::kBytes; ++i) {
    slot[i] = std::byte{static_cast<std::uint8_t>(command[i / 8] >> (i % 8 * 8))};
  }
}

void ItsQueue::publish() {
  // The commands must be in memory before the ITS is told of them: pairs with the write to
  // GITS_CWRITER that follows.
  const auto show = [this](unsigned first, unsigned end) {
    if (first == end) return;
    memory_->make_observable(ring_ + first * its_commands::kBytes,
                             (end - first) * its_commands::kBytes);
  };
  if (published_ <= written_) {
    show(published_, written_);
  } else {
    show(published_, kCommands);
    show(0, written_);
  }
}

Status ItsQueue::wait() {
  const unsigned first = published_;
  published_ = written_;
  Status outcome;
  unsigned last_stall = kCommands;  // none yet
  unsigned last_position = first;
  port::Deadline deadline(*clock_, kWaitNs);
  for (;;) {
    const bool late = deadline.expired();  // before the look: one more look after the deadline
    const std::uint64_t creadr = gits_->read64(gits::kCreadr);
    const auto position = static_cast<unsigned>(get<gits::QueueOffset>(creadr));
    if (get<Stalled>(creadr) == 0 && position == written_) return outcome;
    // The ITS stands somewhere in this batch and moves forward only, or it is broken (H31).
    const unsigned length = (written_ + kCommands - first) % kCommands;
    const unsigned done = (position + kCommands - first) % kCommands;
    const unsigned before = (last_position + kCommands - first) % kCommands;
    if (position >= kCommands || done > length || done < before || late) return die();
    last_position = position;
    if (get<Stalled>(creadr) != 0) {
      outcome = fail(Code::kHardwareError, position * its_commands::kBytes);
      TRY(skip_stalled(position, last_stall));
    }
  }
}

Status ItsQueue::skip_stalled(unsigned at, unsigned& last_stall) {
  if (at == last_stall || at == written_) return die();  // it refuses even the filler
  last_stall = at;
  write_command(at, filler_);
  memory_->make_observable(ring_ + at * its_commands::kBytes, its_commands::kBytes);
  gits_->write64(gits::kCwriter, with<Retry>(with<gits::QueueOffset>(0, written_), 1));
  return {};
}

Status ItsQueue::die() {
  dead_ = true;
  return fail(Code::kTimeout, gits::kCreadr);
}

}  // namespace penstock::msi
