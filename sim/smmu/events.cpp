// The simulated SMMU's event queue (IHI 0070, 7.2 to 7.4).
#include "core/base/bytes.hpp"
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

namespace {

constexpr std::uint64_t kStallBit = std::uint64_t{1} << 31;  // of word 1

/// Configuration errors carry no address.
bool is_about_an_address(std::uint8_t type) {
  return type != kBadStreamId && type != kBadSte && type != kStreamDisabled &&
         type != kBadSubstreamId && type != kBadCd;
}

}  // namespace

Smmu::Event Smmu::describe(const Access& access, const Failure& failure) {
  Event event{};
  event[0] = failure.type | std::uint64_t{access.stream} << 32;
  if (access.substream) event[0] |= 1u << 11 | std::uint64_t{*access.substream & 0xf'ffff} << 12;
  if (!is_about_an_address(failure.type)) return event;
  event[2] = access.iova;
  if (failure.type == kBadAtsRequest) return event;
  const std::uint64_t rnw = access.is_write ? 0 : 1;
  event[1] = rnw << 35;
  if (failure.type == kTranslatedForbidden) return event;
  event[1] |= std::uint64_t{failure.stage2} << 39 | std::uint64_t{failure.cls} << 40;
  event[3] = failure.stage2 ? failure.ipa & ~(kPage - 1) : failure.fetch;
  return event;
}

/// The end of an access that does not get through. `merge`: STE.MEV of its stream.
Smmu::Outcome Smmu::fault(const Access& access, const Failure& failure, bool merge) {
  if (failure.stalls) return stall(access, failure);
  Outcome outcome;
  outcome.event = failure.type;
  if (!failure.recorded || failure.type == 0) return outcome;
  const Event event = describe(access, failure);
  if (merge && similar_is_queued(event)) {
    ++events_merged_;
  } else {
    record(event);
  }
  return outcome;
}

/// An event of the same type, stream, substream and page that software has not taken yet (7.3.1).
/// Whoever has to answer a stall sees each.
bool Smmu::similar_is_queued(const Event& event) const {
  if ((cr0_ & 4) == 0) return false;
  const std::uint32_t mask = queue_mask(eventq_base_);
  for (std::uint32_t at = eventq_cons_ & mask; at != (eventq_prod_ & mask); at = (at + 1) & mask) {
    std::array<std::uint8_t, 32> bytes{};
    if (!memory_.device_read(queue_slot(eventq_base_, at, 32), bytes)) return false;
    if (load_le(bytes, 0, 8) == event[0] && (load_le(bytes, 8, 8) & kStallBit) == 0 &&
        load_le(bytes, 16, 8) / kPage == event[2] / kPage) {
      return true;
    }
  }
  return false;
}

bool Smmu::event_queue_is_full() const {
  const std::uint32_t mask = queue_mask(eventq_base_);
  return ((eventq_prod_ ^ eventq_cons_) & mask) == (mask >> 1) + 1;
}

void Smmu::record(const Event& event) {
  if ((cr0_ & 4) == 0) return;
  // 7.4: only a full queue stops recording, an overflow that is not acknowledged yet does not.
  if (event_queue_is_full()) {
    const bool overflow_pending = ((eventq_prod_ ^ eventq_cons_) >> 31) != 0;
    ++events_lost_;
    if (!overflow_pending) eventq_prod_ ^= 0x8000'0000;
    return;
  }
  store(event);
}

void Smmu::store_waiting() {
  while (!waiting_.empty() && (cr0_ & 4) != 0 && !event_queue_is_full()) {
    const Event event = waiting_.front();
    waiting_.pop_front();
    store(event);
  }
}

void Smmu::store(const Event& event) {
  const std::uint32_t mask = queue_mask(eventq_base_);
  const bool was_empty = ((eventq_prod_ ^ eventq_cons_) & mask) == 0;
  std::array<std::uint8_t, 32> bytes{};
  for (unsigned i = 0; i < 4; ++i) store_le(bytes, i * 8, 8, event[i]);
  const std::uint64_t slot = queue_slot(eventq_base_, eventq_prod_, 32);
  if (slot != (eventq_base_ & 0x00ff'ffff'ffff'ffe0u) + (eventq_prod_ & (mask >> 1)) * 32) {
    misuse("EVENTQ_BASE is not aligned to the queue's size");
  }
  if (!memory_.device_write(slot, bytes)) {
    raise_gerror(kEventWriteAborted);
    return;
  }
  eventq_prod_ = (eventq_prod_ & ~mask) | ((eventq_prod_ + 1) & mask);
  ++events_recorded_;
  if (!was_empty || (irq_ctrl_ & 4) == 0) return;
  const std::uint64_t address = eventq_irq_.address & 0x000f'ffff'ffff'fffcu;
  if (has(13) && address != 0 &&
      !send_message(address, static_cast<std::uint32_t>(eventq_irq_.data))) {
    raise_gerror(kEventMessageAborted);
    return;
  }
  ++event_interrupts_;
}

}  // namespace penstock::sim
